//! What is decided about one end of a link before it begins.

use std::time::Instant;

use crate::codec::Encoding;
use crate::frame::{Dialect, Side};
use crate::limits;
use crate::liveness::Profile;

/// How one end of a link behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The encoding of the link; `None` takes that of the peer's first frame. Default JSON, as aiomas has it.
    pub encoding: Option<Encoding>,
    /// Which frames the link speaks. Default plain. Both ends must agree.
    pub dialect: Dialect,
    /// Which end we are; decides the parity of ids in the full dialect. Default the dialling one.
    pub side: Side,
    /// Largest frame body accepted and sent, in bytes. Default [`limits::PLAIN_FRAME_BYTES_DEFAULT`], at least
    /// [`limits::FRAME_BYTES_MIN`].
    pub frame_bytes: u32,
    /// Calls of ours without an outcome, at most. Default [`limits::CALLS_IN_FLIGHT_DEFAULT`].
    pub calls_in_flight: u32,
    /// Requests of the peer without an answer, at most. Default [`limits::SERVED_AT_ONCE_DEFAULT`].
    pub served_at_once: u32,
    /// How patient the link is with a silent peer; `None` never asks and never gives up. Default none. Full dialect only.
    ///
    /// The watch begins with the first input, whatever it is, and from then on there is always a next timeout.
    pub liveness: Option<Profile>,
    /// Whether both ends may agree to compress large contents. Default not. Full dialect only.
    pub compression: bool,
    /// From when the grid of [`limits::PING_GRID`] is counted on which pings leave: one moment for all links of a node,
    /// another for each node. Default the beginning of the link.
    pub grid: Option<Instant>,
}

impl Config {
    /// For a link between two nodes: the full dialect in MessagePack, frames of [`limits::NODE_FRAME_BYTES_DEFAULT`], the
    /// patience of [`Profile::LAN`].
    pub fn for_node(side: Side) -> Config {
        Config {
            encoding: Some(Encoding::MsgPack),
            dialect: Dialect::Full,
            side,
            frame_bytes: limits::NODE_FRAME_BYTES_DEFAULT,
            liveness: Some(Profile::LAN),
            ..Config::default()
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            encoding: Some(Encoding::Json),
            dialect: Dialect::Plain,
            side: Side::Dialler,
            frame_bytes: limits::PLAIN_FRAME_BYTES_DEFAULT,
            calls_in_flight: limits::CALLS_IN_FLIGHT_DEFAULT,
            served_at_once: limits::SERVED_AT_ONCE_DEFAULT,
            liveness: None,
            compression: false,
            grid: None,
        }
    }
}
