//! What the two nodes of a link say to each other about the link, and how a link is put aside or brought to rest.
//!
//! A node decides which of several links to one peer carries new calls, and when to leave. The channel only keeps to it:
//!
//! ```text
//!   Retire: room() is Retired, calls begun are finished ─┐
//!   Drain:  requests of the peer are refused as Draining ─┴──▶ Output::Idle when no call is open in either direction and all is written
//! ```

use std::time::Instant;

use super::content::Part;
use super::{Channel, Output, Phase, count};
use crate::codec::Payload;
use crate::frame::{Dialect, Kind};
use crate::limits;
use crate::outcome::{LinkLost, PeerMisbehaved, Refused};

/// Whether a link still takes new calls.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Another link carries our new calls.
    pub(super) retired: bool,
    /// This end refuses new requests of the peer.
    pub(super) draining: bool,
    /// The rest of the link has been told.
    at_rest: bool,
    /// The peer's node has said who it is, which it does once.
    introduced: bool,
}

impl Channel {
    /// Sends what our node says to the other.
    pub(super) fn say(&mut self, kind: Kind, content: &Payload) {
        if self.config.dialect != Dialect::Full || !kind.is_of_nodes() || self.phase != Phase::Open {
            return;
        }
        let Some(encoding) = self.encoding else { return };
        let fits = match content.transcode(encoding) {
            // Behind some of these the peer may believe that it has read every request of ours; others are long.
            Ok(content) if closes_a_chapter(kind) || is_gossip(kind) => {
                self.put_frame(kind, 0, Part::Shared(content.bytes()))
            }
            Ok(content) => self.put_ahead(kind, 0, content.bytes()),
            Err(why) => Err(Refused::BadRequest(why.to_string())),
        };
        if let Err(why) = fits {
            // Nothing may be left unsaid in silence: without these words the two nodes would hold different beliefs.
            self.end(LinkLost::Broken(format!("a word to the peer's node cannot be sent: {why}")));
        }
    }

    /// Hands our node what the other says. It waits in a queue there, so it must be short, come once, or keep to a budget.
    pub(super) fn hear_node(&mut self, now: Instant, kind: Kind, content: Payload) -> Result<(), PeerMisbehaved> {
        let limit = match kind {
            Kind::Introduction => limits::INTRODUCTION_BYTES_MAX,
            Kind::Discovered => limits::DISCOVERED_FRAME_BYTES_MAX,
            Kind::Summary => limits::SUMMARY_FRAME_BYTES_MAX,
            Kind::Services => limits::SERVICES_FRAME_BYTES_MAX,
            _ => limits::WORD_BYTES_MAX,
        };
        if content.len() > limit {
            return Err(PeerMisbehaved::WordTooLarge { kind: kind.number(), size: content.len(), limit });
        }
        if kind == Kind::Introduction && std::mem::replace(&mut self.standing.introduced, true) {
            return Err(PeerMisbehaved::Unasked(kind.number().into()));
        }
        if is_gossip(kind) && self.allowance.spend_gossip(now, content.len()).is_err() {
            count(&mut self.counters.gossip_dropped, 1);
            return Ok(());
        }
        self.orders.push_back(Output::Control { kind, content });
        Ok(())
    }

    /// Tells the node once that no call is open on a link that is to come to rest.
    pub(super) fn tell_when_idle(&mut self) {
        let idle = self.is_idle();
        let standing = &mut self.standing;
        if !standing.retired && !standing.draining {
            standing.at_rest = false;
            return;
        }
        if idle && !std::mem::replace(&mut standing.at_rest, idle) && self.phase == Phase::Open {
            self.orders.push_back(Output::Idle);
        }
        self.standing.at_rest = idle;
    }

    /// A call was opened: what was told about rest is over.
    pub(super) fn is_busy_again(&mut self) {
        self.standing.at_rest = false;
    }
}

/// Whether frames of this kind may be long and come often. They overtake nothing and have a budget of bytes.
fn is_gossip(kind: Kind) -> bool {
    matches!(kind, Kind::Discovered | Kind::Summary | Kind::Services)
}

/// Whether a peer that reads this will close the link once nothing it knows of is open.
fn closes_a_chapter(kind: Kind) -> bool {
    matches!(kind, Kind::Superseded | Kind::SupersededOk | Kind::Disconnect | Kind::Disconnected)
}
