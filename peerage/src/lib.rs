//! A brokerless application mesh (story follows).

pub mod address;
#[allow(
    dead_code,
    reason = "channels, the first to connect through it, come next"
)]
pub mod transport;
