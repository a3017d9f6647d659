//! What arrives for our subscriptions: events, parts of large ones, and their ends.
//!
//! Whoever has unsubscribed may still find events on the way: they are counted and thrown away. What nobody can have meant
//! ends the link: events for a number that was never used, more of them than was granted, contents that are no records.

use super::super::items::bytes_of;
use super::super::streams::{Fault, Receiving};
use super::super::{Channel, Output, count};
use super::mark::{is_array, marks_of};
use crate::codec::Payload;
use crate::frame::Kind;
use crate::limits;
use crate::outcome::{FeedEnd, PeerMisbehaved};

impl Channel {
    /// Takes in what the peer says of a subscription of ours.
    pub(in super::super) fn hear_events(
        &mut self,
        kind: Kind,
        number: u64,
        content: Payload,
    ) -> Result<(), PeerMisbehaved> {
        let subscription = self.listening.all.get_mut(&number).filter(|subscription| subscription.over.is_none());
        let Some(subscription) = subscription else {
            if number >= self.listening.next {
                return Err(PeerMisbehaved::NoSubscription(number));
            }
            count(&mut self.counters.late_events, 1);
            return Ok(());
        };
        if subscription.unanswered == 0 && !subscription.is_heard {
            // We have not even asked for it yet.
            return Err(PeerMisbehaved::NoSubscription(number));
        }
        if !std::mem::replace(&mut subscription.is_heard, true) {
            subscription.unanswered = subscription.unanswered.saturating_sub(1);
            self.listening.changes.answered(1);
        }
        if kind == Kind::Over {
            self.subscription_is_over(number, over_of(&content)?);
            return Ok(());
        }
        let was_readable = subscription.receiving.is_readable();
        take_in(&mut subscription.receiving, kind, content).map_err(|wrong| wrong.of(number))?;
        let newest = subscription.receiving.newest().filter(|_| kind == Kind::Events);
        if newest.is_some_and(|newest| !is_array(newest)) {
            return Err(PeerMisbehaved::BadContent("events"));
        }
        let marks = newest.map(marks_of).unwrap_or_default();
        if !was_readable && subscription.receiving.is_readable() {
            self.orders.push_back(Output::Events(number));
        }
        if kind == Kind::EventsPart {
            self.grant_events(number);
        }
        for mark in marks {
            self.put_value(Kind::Confirmed, number, &mark);
        }
        Ok(())
    }
}

/// What is wrong with a frame of events.
enum Wrong {
    Credit,
    Large,
    Content(&'static str),
}

impl Wrong {
    fn of(self, number: u64) -> PeerMisbehaved {
        match self {
            Wrong::Credit => PeerMisbehaved::OverGrant(number),
            Wrong::Large => PeerMisbehaved::ValueTooLarge { limit: limits::VALUE_BYTES_MAX },
            Wrong::Content(name) => PeerMisbehaved::BadContent(name),
        }
    }
}

fn take_in(receiving: &mut Receiving, kind: Kind, content: Payload) -> Result<(), Wrong> {
    let taken = match kind {
        Kind::EventsPart => {
            let bytes = bytes_of(&content).ok_or(Wrong::Content("events-part"))?;
            receiving.part(content.encoding(), content.len(), &bytes)
        }
        _ => receiving.item(content),
    };
    taken.map_err(|fault| match fault {
        Fault::Overdrawn | Fault::Behind => Wrong::Credit,
        Fault::TooLarge => Wrong::Large,
        Fault::NoValue => Wrong::Content("events"),
    })
}

/// How a publisher ends a subscription.
fn over_of(content: &Payload) -> Result<FeedEnd, PeerMisbehaved> {
    if content.bytes() == content.encoding().null() {
        return Ok(FeedEnd::Unsubscribed);
    }
    let said = content.decode::<(String, String)>();
    said.map(|(code, message)| FeedEnd::from_peer(code, message)).map_err(|_| PeerMisbehaved::BadContent("over"))
}
