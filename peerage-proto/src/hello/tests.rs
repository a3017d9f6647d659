//! What the handshake promises, as transcripts.

mod admission;
mod attacks;
mod ends;
mod identity;
mod introduction;
mod misbehaviour;
mod properties;
mod refusals;
mod time;
