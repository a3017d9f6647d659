//! A brokerless application mesh (story follows).

pub mod address;
