//! What the handshake promises, as transcripts.

mod admission;
mod ends;
mod introduction;
