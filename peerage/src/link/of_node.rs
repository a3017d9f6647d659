//! What a node does with a link it holds: all of it takes the lock for an instant and never waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peerage_proto::channel::{Config, Counters, Input};
use peerage_proto::codec::{Encoding, Form, Payload};
use peerage_proto::frame::Kind;
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::liveness::Profile;
use tokio::time::Instant;
use tracing::Span;

use super::{Errands, Feeder, Link, Reporter, Serve, Word};
use crate::transport::Connection;

/// What a node wants of a link.
#[derive(Debug)]
pub(crate) enum Order<'a> {
    /// Say this to the peer's node, ahead of bulk.
    Say(Kind, &'a Payload),
    /// Take no new calls of ours.
    Retire,
    /// Take them again.
    Restore,
    /// As `Retire`, and refuse the peer's new requests: this node is about to leave.
    Drain,
    /// Tell with this number when no call is open.
    WhenIdle(u32),
    /// Ask for a sign of life now, and tell when anything arrives.
    Probe,
    /// Ask the peer to write frames in this form.
    Propose(Form),
    /// The peer announces to be this patient.
    PeerProfile(Profile),
    /// This process is slow by its own measure, 1 (not at all) to 8.
    LocalHealth(u8),
    /// This process or machine stood still.
    Jumped,
}

/// Between which nodes a link is.
pub(crate) struct Standing {
    /// Who is at the other end.
    pub(crate) peer: NodeId,
    /// Which run of it.
    pub(crate) epoch: Epoch,
    /// Who feeds the peer's subscriptions.
    pub(crate) feeder: Arc<dyn Feeder>,
    /// What its log lines stand in.
    pub(crate) span: Span,
}

/// Figures of a link, for status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkFigures {
    pub(crate) counters: Counters,
    pub(crate) encoding: Encoding,
    pub(crate) rtt: Option<Duration>,
    pub(crate) calls_in_flight: usize,
    pub(crate) calls_in_flight_max: u32,
    pub(crate) calls_waiting: usize,
    pub(crate) requests_in_service: usize,
    pub(crate) served_at_once: u32,
    pub(crate) unsent_bytes: usize,
}

impl Link {
    /// Starts the link of a node, which introduces itself before it says anything else. `behind` are the bytes that came
    /// behind the peer's admission.
    pub(crate) fn start_of_node(
        connection: Connection,
        introduction: &Payload,
        behind: &Bytes,
        config: Config,
        server: Box<dyn Serve>,
        reporter: Reporter,
        standing: Standing,
    ) -> Link {
        let span = standing.span.clone();
        let (link, stream) = Link::made_of(connection, config, Some(reporter), Some(standing));
        let mut state = link.lock();
        state.carry_out(Instant::now(), Input::Control { kind: Kind::Introduction, content: introduction });
        if !behind.is_empty() {
            state.carry_out(Instant::now(), Input::Received(behind));
        }
        link.release(state);
        link.drive(stream, Some(server), None, span);
        link
    }

    /// One end of a node's link with itself.
    pub(crate) fn start_with_oneself(
        connection: Connection,
        config: Config,
        server: Box<dyn Serve>,
        standing: Standing,
    ) -> Link {
        let span = standing.span.clone();
        let (link, stream) = Link::made_of(connection, config, None, Some(standing));
        link.drive(stream, Some(server), None, span);
        link
    }

    /// Which node is at the other end, and which run of it; `None` on links without a node.
    pub(crate) fn peer(&self) -> Option<(NodeId, Epoch)> {
        self.0.standing.as_ref().map(|standing| (standing.peer, standing.epoch))
    }

    /// Does what the node wants. An ended link does nothing any more.
    pub(crate) fn order(&self, order: Order<'_>) {
        let mut state = self.lock();
        let now = Instant::now();
        match order {
            Order::Say(kind, content) => state.carry_out(now, Input::Control { kind, content }),
            Order::Retire => state.carry_out(now, Input::Retire),
            Order::Restore => state.carry_out(now, Input::Restore),
            Order::Drain => {
                state.carry_out(now, Input::Retire);
                state.carry_out(now, Input::Drain);
            }
            Order::WhenIdle(ask) if state.machine.is_idle() => state.errands.words.push(Word::Idle(ask)),
            Order::WhenIdle(ask) => state.asked_idle = Some(ask),
            Order::Probe => state.carry_out(now, Input::Probe),
            Order::Propose(form) => state.carry_out(now, Input::Propose(form)),
            Order::PeerProfile(profile) => state.carry_out(now, Input::PeerProfile(profile)),
            Order::LocalHealth(factor) => state.carry_out(now, Input::LocalHealth(factor)),
            Order::Jumped => state.carry_out(now, Input::Jumped),
        }
        self.release(state);
        self.wake_driver();
    }

    /// Figures of the link.
    pub(crate) fn figures(&self) -> LinkFigures {
        let state = self.lock();
        let machine = &state.machine;
        LinkFigures {
            counters: machine.counters(),
            encoding: machine.encoding().unwrap_or(Encoding::MsgPack),
            rtt: machine.liveness().and_then(|liveness| liveness.rtt()),
            calls_in_flight: machine.calls_in_flight(),
            calls_in_flight_max: machine.config().calls_in_flight,
            calls_waiting: state.waiting.len(),
            requests_in_service: machine.requests_in_service(),
            served_at_once: machine.config().served_at_once,
            unsent_bytes: machine.unsent_bytes(),
        }
    }

    /// Tells the node, if there is one; cuts the link if the node has no room for its words.
    pub(super) fn tell(&self, errands: &mut Errands) {
        let words = std::mem::take(&mut errands.words);
        let Some(reporter) = &self.0.reporter else { return };
        let mut told_all = true;
        for word in words {
            told_all &= reporter.tell(word);
        }
        if !told_all {
            tracing::warn!(remote = %self.facts().remote, "cut: it reports faster than the node can listen");
            let mut state = self.lock();
            state.carry_out(Instant::now(), Input::Broken("cut: too slow".to_owned()));
            self.release(state);
            self.wake_driver();
        }
    }
}
