//! A brokerless application mesh (story follows).
