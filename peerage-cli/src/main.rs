//! The command line of Peerage.
fn main() {}
