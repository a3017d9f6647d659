//! Watching the peer, and what a pause of this process means for the peer's requests.
//!
//! When a process stood still for a while, what it finds in its socket is old: callers may have given up, and their
//! cancels lie behind their requests in the same bytes. To start such work would be to run what nobody waits for any more,
//! maybe beside the same work at another node. So (PROTOCOL §10.2) after a jump of the time requests are read and kept back, until the pong
//! of a ping sent *after* the jump has been read: in front of it lies everything that was said during the pause.
//!
//! ```text
//!   jump ──▶ ping n ──▶ requests, cancels, … read, requests kept back ──▶ pong n ──▶ what is left of them starts
//! ```

use std::time::Instant;

use super::{Channel, Output, Phase, Transmit, count};
use crate::frame::{Dialect, Kind};
use crate::limits;
use crate::liveness::{Act, Liveness, Profile};
use crate::outcome::{Busy, LinkLost, PeerMisbehaved};
use crate::planted::{self, Bug};

/// What is known about the peer's life.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// From the first input on, on links that are to be watched.
    liveness: Option<Liveness>,
    /// The ping whose pong must be read before any request starts.
    gate: Option<u64>,
    /// The ping whose pong our node waits for. Other bytes may have been under way for long, and say nothing about now.
    probe: Option<u64>,
}

impl Watch {
    /// Whether requests are kept back until a pong is read.
    #[inline]
    pub(super) fn is_gated(&self) -> bool {
        self.gate.is_some()
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.liveness.as_ref().map(Liveness::due)
    }

    pub(super) fn peer_announces(&mut self, now: Instant, profile: Profile) {
        if let Some(liveness) = &mut self.liveness {
            liveness.peer_announces(now, profile);
        }
    }

    pub(super) fn set_local_health(&mut self, now: Instant, factor: u8) {
        if let Some(liveness) = &mut self.liveness {
            liveness.set_local_health(now, factor);
        }
    }

    /// Nothing is awaited any more.
    pub(super) fn forget(&mut self) {
        self.gate = None;
    }
}

impl Channel {
    /// What is known about the life of the peer; `None` where nobody asks, and before the first input.
    pub fn liveness(&self) -> Option<&Liveness> {
        self.watch.liveness.as_ref()
    }

    /// Whether requests are kept back because this process stood still a moment ago.
    pub fn is_gated(&self) -> bool {
        self.watch.is_gated()
    }

    /// Looks whether the time jumped since the last input. The first one begins the watch.
    pub(super) fn look_at_the_time(&mut self, now: Instant) {
        // A plain peer has no word for a ping.
        let Some(profile) = self.config.liveness.filter(|_| self.config.dialect == Dialect::Full) else { return };
        let grid = self.config.grid;
        let liveness = self.watch.liveness.get_or_insert_with(|| Liveness::new(now, profile, grid.unwrap_or(now)));
        if liveness.has_jumped(now) {
            self.jumped(now);
        }
    }

    /// The time jumped: a new round of pings begins, and requests wait for it.
    pub(super) fn jumped(&mut self, now: Instant) {
        // Subscribers could take nothing while this process stood still.
        self.feeds.excuse(now);
        let Some(liveness) = &mut self.watch.liveness else { return };
        match self.phase {
            Phase::Open => {
                let ping = liveness.begin_round(now);
                self.watch.gate = Some(ping).filter(|_| !planted::is(Bug::PauseRuleSkipped));
                count(&mut self.counters.pauses, 1);
                self.put_small(now, Kind::Ping, ping);
            }
            // No pong can come any more.
            Phase::Answering => self.refuse_withheld(),
            Phase::Flushing | Phase::Ended(_) => {}
        }
    }

    /// Asks the peer for a sign of life at once.
    pub(super) fn probe(&mut self, now: Instant) {
        if let Some(liveness) = &mut self.watch.liveness
            && self.phase == Phase::Open
        {
            let ping = liveness.ping(now);
            self.watch.probe = Some(ping);
            self.put_empty(Kind::Ping, ping);
        }
    }

    /// Asks the peer, or judges it, if the time for that has come.
    pub(super) fn watch_peer(&mut self, now: Instant) {
        if self.phase != Phase::Open || self.watch.due().is_none_or(|due| now < due) {
            return;
        }
        let listens = self.wants_bytes();
        while let Some(liveness) = &mut self.watch.liveness {
            if !listens {
                liveness.skip(now);
            }
            match liveness.act(now) {
                Some(Act::Ping(number)) => self.put_small(now, Kind::Ping, number),
                Some(Act::Quiet) => self.orders.push_back(Output::Quiet),
                Some(Act::Lost) if planted::is(Bug::SilenceForgiven) => liveness.skip(now),
                Some(Act::Lost) => return self.end(LinkLost::Silent),
                None => return,
            }
        }
    }

    /// Bytes of the peer arrived.
    #[inline]
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(liveness) = &mut self.watch.liveness
            && liveness.heard(now)
        {
            self.orders.push_back(Output::Heard);
        }
    }

    /// Bytes of ours were written: the peer hears us.
    #[inline]
    pub(super) fn written(&mut self, now: Instant, transmit: Transmit) {
        let written = self.outgoing.give_back(transmit);
        count(&mut self.counters.bytes_out, written);
        if let Some(liveness) = self.watch.liveness.as_mut().filter(|_| written > 0) {
            liveness.spoke(now);
        }
        if self.is_ended() {
            self.outgoing.clear();
        }
    }

    pub(super) fn pong(&mut self, now: Instant, number: u64) -> Result<(), PeerMisbehaved> {
        let unasked = PeerMisbehaved::Unasked(Kind::Pong.number().into());
        let Some(liveness) = &mut self.watch.liveness else { return Err(unasked) };
        liveness.pong(now, number).map_err(|_| unasked)?;
        if self.watch.gate.is_some_and(|gate| gate <= number) {
            self.watch.gate = None;
        }
        if self.watch.probe.take_if(|probe| *probe <= number).is_some() {
            self.orders.push_back(Output::Answered);
        }
        Ok(())
    }

    /// Requests that were kept back will not be started here.
    pub(super) fn refuse_withheld(&mut self) {
        self.watch.forget();
        while let Some((request, _)) = self.serving.next_withheld() {
            let sort = request.sort();
            if let Some(id) = self.serving.answer(request) {
                self.request_is_over(id);
                self.turn_away(sort, id.0, Busy::Overloaded, limits::RETRY_AFTER_PAUSE);
            }
        }
    }
}
