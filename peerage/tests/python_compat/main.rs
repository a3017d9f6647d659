//! Peerage and the real Python package aiomas talk to each other.
//!
//! Frames that we wrote ourselves only show that we agree with ourselves. Here the other end is the published package, in
//! processes of its own: as client of our server, as server of our client, in both codecs, over TCP and unix sockets.
//! Then come the frames recorded from it, the odd and hostile ones among them, over sockets of their own.
//!
//! ```text
//!   real_client   aiomas asks, our server answers      aiomas_client.py ──▶ relay ──▶ Listener + operations
//!   real_server   our client asks, aiomas answers      Channel ──▶ aiomas_server.py
//!   secured       both again over TLS, each end with a certificate
//!   services      aiomas.rpc calls a node's services   call.py ──▶ node;  node ──▶ serve.py
//!   recorded      frames recorded from it, sent again  frames ──▶ Listener + operations
//!   hostile       what no honest peer sends            bytes ──▶ Listener + operations, beside an honest channel
//! ```
//!
//! `interop/README.md` tells where Python comes from. Every step has a deadline; each test prints how many checks it made.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

#[path = "../channel/certificates.rs"]
#[allow(dead_code, reason = "shared with the tests of channels")]
mod certificates;
mod checks;
mod hostile;
mod log;
mod operations;
mod place;
mod process;
mod python;
mod real_client;
mod real_server;
mod recorded;
mod relay;
mod secured;
mod services;
mod wire;
