//! Which node: its Ed25519 public key, 32 bytes, base58 in text.
/// placeholder until the address work lands
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId([u8; 32]);
/// placeholder
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidNodeId;
