//! Who exists, by their own word: records that each node signs about itself, and which of two is the newer.
//!
//! What nodes tell each other about third nodes is worth nothing unless the third has said it. So all there is to say about
//! a node stands in one [`Record`] that its key has signed; others keep it, hand it on byte for byte, and can neither change
//! it nor make one up. Of two records of one node the one with the greater [`Incarnation`] counts.
//!
//! ```text
//!   Record ──sign(Signer)──▶ SignedRecord ──bytes──▶ any neighbour ──▶ SignedRecord::open(Verifier) ──▶ Record
//! ```

pub use evidence::{Evidence, State, Transition};
pub use record::{Incarnation, InvalidRecord, Record, SignedRecord, UnverifiedRecord};
pub use view::{About, Change, ChangedTo, Keys, MemberView, Missing};
pub use word::{Answer, Digest, Handed, Known, Word};

#[allow(dead_code, reason = "the machine that uses it follows")]
mod evidence;
mod record;
#[allow(dead_code, reason = "the machine that uses it follows")]
mod view;
#[allow(dead_code, reason = "the machine that uses it follows")]
mod word;
