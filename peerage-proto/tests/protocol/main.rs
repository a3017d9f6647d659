//! `PROTOCOL.md`, held against the machines: a document with bytes in it goes stale silently.
//!
//! ```text
//!   examples    the `frames` blocks: each line is decoded
//!   vectors     the `vectors` blocks: values by their names
//!   admission   the handshake of §9.7, byte for byte
//!   links       the node link of §10.9, byte for byte
//!   records     the record of §13, byte for byte
//!   events      the subscription of §17.5, byte for byte
//! ```

mod admission;
mod events;
mod examples;
mod links;
mod records;
mod vectors;

const PROTOCOL: &str = include_str!("../../../PROTOCOL.md");

fn bytes_of(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte: {hex}");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or_else(|_| panic!("not hex: {hex}"));
    (0..hex.len()).step_by(2).map(byte).collect()
}
