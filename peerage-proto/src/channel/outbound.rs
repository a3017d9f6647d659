//! Our own calls: sending, giving up, and how they end.

use std::time::{Duration, Instant};

use super::budget::Fate;
use super::in_flight::{Ending, State};
use super::{Channel, Content, Output, Phase, Token, count};
use crate::frame::{Dialect, Kind};
use crate::id::RequestId;
use crate::limits;
use crate::outcome::{CallError, LinkLost, NotSent, Refused, Stop};

impl Channel {
    pub(super) fn call(&mut self, now: Instant, token: Token, content: Content<'_>, deadline: Option<Instant>) {
        let place = self.outgoing.end();
        match self.ask(now, Kind::Request, content, deadline) {
            Ok(id) => {
                let len = self.outgoing.end().saturating_sub(place) as usize;
                self.calls.open(now, token, id, deadline, (place, len));
            }
            Err(error) => self.refuse_call(token, error),
        }
    }

    /// Tells the peer something that needs no answer: it is over when it is queued.
    pub(super) fn notify(&mut self, now: Instant, token: Token, content: Content<'_>) {
        if self.config.dialect == Dialect::Plain {
            let why = "a plain link carries no notifications: its peer answers whatever it is asked";
            return self.refuse_call(token, CallError::Refused { why: Refused::BadRequest(why.to_owned()) });
        }
        match self.ask(now, Kind::Notification, content, None) {
            Ok(_) => {
                self.calls.accept(token, content.encoding());
                self.orders.push_back(Output::Settled(token));
            }
            Err(error) => self.refuse_call(token, error),
        }
    }

    /// Queues a request of some kind under a new id.
    #[inline]
    pub(super) fn ask(
        &mut self,
        now: Instant,
        kind: Kind,
        content: Content<'_>,
        deadline: Option<Instant>,
    ) -> Result<RequestId, CallError> {
        if self.phase != Phase::Open || self.standing.retired {
            return Err(CallError::NotSent { why: self.no_way() });
        }
        let Some(encoding) = self.encoding else {
            let why = "the codec of this connection is not known before the peer's first frame: name one with ?codec=";
            return Err(CallError::Refused { why: Refused::BadRequest(why.to_owned()) });
        };
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(CallError::NotSent { why: NotSent::QueueFull });
        }
        let id = self.next_id;
        let put = match content.encoding() == encoding {
            true => self.put_frame(kind, id, content.part()),
            false => self.put_transcoded(kind, id, content, encoding),
        };
        put.map_err(|why| CallError::Refused { why })?;
        self.is_busy_again();
        // Ids do not end: at a million calls a second 2⁶⁴ of them last for half a million years.
        self.next_id = self.next_id.wrapping_add(if self.config.dialect == Dialect::Full { 2 } else { 1 });
        count(&mut self.counters.calls, 1);
        Ok(RequestId(id))
    }

    pub(super) fn refuse_call(&mut self, token: Token, error: CallError) {
        self.calls.refuse(token, error);
        self.orders.push_back(Output::Settled(token));
    }

    pub(super) fn cancel(&mut self, now: Instant, token: Token) {
        let Some(waiting) = self.calls.get(token) else { return };
        let (id, deadline) = (waiting.id, waiting.deadline);
        if self.take_out(token) {
            self.settle(token, CallError::NotSent { why: NotSent::Cancelled });
        } else if self.config.dialect == Dialect::Plain {
            self.settle(token, CallError::Cancelled { stop: Stop::Unconfirmed });
        } else if self.calls.get(token).is_some_and(|w| w.state == State::Answer) {
            self.call_is_over(id);
            self.send_cancel(now, id);
            self.calls.wait_for(now, token, State::StopAfterCancel, stop_awaited_until(deadline, now));
        }
    }

    /// The time of a call is up, or the time in which the callee's word is awaited.
    pub(super) fn call_expired(&mut self, now: Instant, token: Token) {
        let Some(waiting) = self.calls.get(token) else { return };
        let (id, state) = (waiting.id, waiting.state);
        match state {
            State::Answer if self.take_out(token) => {
                self.settle(token, CallError::NotSent { why: NotSent::QueueFull });
            }
            State::Answer if self.config.dialect == Dialect::Full => {
                self.call_is_over(id);
                self.send_cancel(now, id);
                let until = waiting_until(self.calls.get(token).and_then(|w| w.deadline), now);
                self.calls.wait_for(now, token, State::StopAfterDeadline, until);
            }
            State::Answer | State::StopAfterDeadline => {
                self.settle(token, CallError::Deadline { stop: Stop::Unconfirmed });
            }
            State::StopAfterCancel => self.settle(token, CallError::Cancelled { stop: Stop::Unconfirmed }),
        }
    }

    /// Tells the callee that nobody waits, now or when there is room for another small frame.
    fn send_cancel(&mut self, now: Instant, id: RequestId) {
        match self.thrift.cancel(now, id.0) {
            Fate::Leaves => self.put_empty(Kind::Cancel, id.0),
            Fate::Waits => count(&mut self.counters.cancels_withheld, 1),
            Fate::Dropped => count(&mut self.counters.cancels_dropped, 1),
        }
    }

    /// Sends cancels that were kept back.
    pub(super) fn release_cancels(&mut self, now: Instant) {
        while let Some(id) = self.thrift.release(now) {
            self.put_empty(Kind::Cancel, id);
        }
    }

    /// An answer to one of our calls arrived. Returns whether it was awaited.
    ///
    /// `ending` is only made once it is known that somebody waits for it.
    #[inline]
    pub(super) fn answered<'a>(&mut self, id: u64, ending: impl FnOnce() -> Ending<'a>) -> bool {
        self.load.is_answered();
        let Some(token) = self.calls.by_id(RequestId(id)) else {
            count(&mut self.counters.late_replies, 1);
            self.thrift.answered(id);
            return false;
        };
        match self.calls.get(token).map(|waiting| (waiting.state, waiting.place)) {
            // Nothing was asked under this id yet: the peer guesses.
            Some((State::Answer, place)) if !self.outgoing.may_be_written(place) => {
                count(&mut self.counters.late_replies, 1)
            }
            Some((State::Answer, _)) => {
                self.calls.settle(token, ending());
                self.orders.push_back(Output::Settled(token));
                self.call_is_over(RequestId(id));
                return true;
            }
            // The work was done before the callee heard that nobody waits.
            Some((State::StopAfterDeadline | State::StopAfterCancel, _)) => {
                count(&mut self.counters.late_replies, 1);
                let refused = matches!(ending(), Ending::Failed(error)
                    if matches!(*error, CallError::Busy { .. } | CallError::Refused { .. }));
                let stop = if refused { Stop::NotStarted } else { Stop::Completed };
                self.thrift.answered(id);
                self.stop_confirmed(id, stop);
            }
            None => {}
        }
        false
    }

    /// The callee's word on work nobody waits for.
    pub(super) fn stop_confirmed(&mut self, id: u64, stop: Stop) {
        let Some(token) = self.calls.by_id(RequestId(id)) else {
            return;
        };
        match self.calls.get(token).map(|waiting| waiting.state) {
            Some(State::StopAfterDeadline) => self.settle(token, CallError::Deadline { stop }),
            Some(State::StopAfterCancel) => self.settle(token, CallError::Cancelled { stop }),
            // Nobody asked for it; the answer is still awaited.
            Some(State::Answer) | None => {}
        }
    }

    /// Gives every call its outcome: the link takes no more answers.
    pub(super) fn settle_all(&mut self, why: &LinkLost) {
        for token in self.calls.tokens() {
            let state = self.calls.get(token).map(|waiting| waiting.state);
            let unsent = self.take_out(token);
            let error = match (state, why) {
                _ if unsent => CallError::NotSent { why: self.no_way_after(why) },
                (Some(State::StopAfterDeadline), _) => CallError::Deadline { stop: Stop::Unconfirmed },
                (Some(State::StopAfterCancel), _) => CallError::Cancelled { stop: Stop::Unconfirmed },
                (_, LinkLost::Misbehaved(misbehaved)) => CallError::Protocol { why: misbehaved.to_string() },
                (_, why) => CallError::ConnectionLost { why: why.clone() },
            };
            self.settle(token, error);
        }
    }

    /// Takes a call's frame out of the outgoing bytes if certainly no byte of it was written.
    fn take_out(&mut self, token: Token) -> bool {
        let Some(waiting) = self.calls.get(token) else {
            return false;
        };
        let (id, place, len) = (waiting.id, waiting.place, waiting.len);
        if waiting.state != State::Answer || self.outgoing.may_be_written(place) || self.has_said_something(id) {
            return false;
        }
        self.outgoing.remove(place, len);
        self.calls.close_gap(place, len);
        true
    }

    fn no_way(&self) -> NotSent {
        match &self.phase {
            Phase::Flushing | Phase::Ended(LinkLost::ClosedHere) => NotSent::ShuttingDown,
            Phase::Open | Phase::Answering | Phase::Ended(_) => NotSent::NoRoute,
        }
    }

    fn no_way_after(&self, why: &LinkLost) -> NotSent {
        if *why == LinkLost::ClosedHere { NotSent::ShuttingDown } else { NotSent::NoRoute }
    }
}

/// The callee's word is awaited until this long after the deadline itself, not after the moment it was noticed.
fn waiting_until(deadline: Option<Instant>, now: Instant) -> Instant {
    deadline.unwrap_or(now) + limits::OUTCOME_GRACE
}

/// After a cancel the callee's word is awaited longer, but never beyond what the deadline of the call allows.
fn stop_awaited_until(deadline: Option<Instant>, now: Instant) -> Instant {
    let until = now + STOP_AWAITED;
    let last = deadline.and_then(|deadline| deadline.checked_add(limits::OUTCOME_GRACE));
    last.map_or(until, |last| last.min(until))
}

/// How long the callee's word is awaited after a cancel.
const STOP_AWAITED: Duration = Duration::from_secs(1);
