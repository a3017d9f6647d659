//! Subscriptions of ours at the peer (PROTOCOL §17): asking for them, what comes in, and how they end.
//!
//! ```text
//!   application ── Subscribe ──▶ subscribe ──────────────────▶ publisher
//!               ◀── Events ───── events … over ◀──────────────
//!               ── take_events ─▶ grant ──────────────────────▶
//! ```
//!
//! What has come stands here until the application takes it, and only what was taken is granted anew, as with streams: the
//! two share [`Receiving`]. So a subscriber that does not read makes nobody wait but its own feed at the publisher.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of what lies in memory")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::budget::{Changes, RETRY_AFTER};
use super::content::Part;
use super::streams::{End, Receiving};
use super::{Channel, Output, Phase, count};
use crate::codec::Payload;
use crate::frame::{Dialect, Kind};
use crate::limits;
use crate::outcome::{FeedEnd, LinkLost, NotSent, PeerMisbehaved};

mod hearing;
mod mark;

/// What an application that listens gets.
#[derive(Debug)]
pub enum Listened {
    /// Records, as they came in one frame: a content of PROTOCOL §17.3, unopened.
    Records(Payload),
    /// Nothing yet; [`Output::Events`] follows.
    Nothing,
    /// No more will come, for this reason. The number is free of meaning from now on.
    Over(FeedEnd),
}

/// Our subscriptions on a link.
#[derive(Debug, Default)]
pub(super) struct Listening {
    all: BTreeMap<u64, Subscription>,
    /// The lowest number that was never used.
    next: u64,
    /// What is to be said when the peer will hear it, oldest first.
    withheld: VecDeque<(u64, Change)>,
    changes: Changes,
    /// When to try to say it again.
    retry_at: Option<Instant>,
    /// Bytes by which all windows are wider than at the beginning.
    widened: usize,
    /// Of those that hold large events the one that may always go on.
    elder: Option<u64>,
}

#[derive(Debug)]
struct Subscription {
    receiving: Receiving,
    /// How it ended, behind what came.
    over: Option<FeedEnd>,
    /// Words of ours that the peer has not answered.
    unanswered: u32,
    /// Something of it has come.
    is_heard: bool,
    /// The application wants nothing more.
    is_left: bool,
}

#[derive(Debug)]
enum Change {
    Subscribe(Payload),
    Unsubscribe { finish: bool },
}

impl Listening {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    #[inline]
    pub(super) fn is_withholding(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// When to try again to say what is withheld.
    pub(super) fn due(&self) -> Option<Instant> {
        self.retry_at
    }

    fn forget(&mut self, number: u64) {
        if let Some(gone) = self.all.remove(&number) {
            self.widened -= gone.receiving.widened();
            self.changes.answered(gone.unanswered);
        }
        self.pass_on(number);
    }

    /// What is to be granted now. As with streams, only one goes on while more than a value's worth of large ones lies here.
    fn grant(&mut self, number: u64) -> Option<u32> {
        let held: usize = match self.all.get(&number)?.receiving.held() {
            0 => 0,
            _ => self.all.values().map(|subscription| subscription.receiving.held()).sum(),
        };
        let elder = *self.elder.get_or_insert(number);
        let may_assemble = held <= limits::VALUE_BYTES_MAX || elder == number;
        let more = limits::LINK_WINDOWS_MAX.saturating_sub(self.widened);
        let subscription = self.all.get_mut(&number)?;
        let before = subscription.receiving.widened();
        let granted = subscription.receiving.grant(more, may_assemble);
        self.widened += subscription.receiving.widened() - before;
        if subscription.receiving.held() == 0 {
            self.pass_on(number);
        }
        granted
    }

    /// A subscription holds no large event any more: another one may always go on.
    fn pass_on(&mut self, number: u64) {
        if self.elder == Some(number) {
            self.elder = self.all.iter().find(|(_, other)| other.receiving.held() > 0).map(|(other, _)| *other);
        }
    }
}

impl Channel {
    /// The lowest number for a subscription that was never used on this link.
    pub fn next_subscription(&self) -> u64 {
        self.listening.next
    }

    /// Whether nothing more will come on a subscription of ours than what waits to be taken.
    pub fn is_subscription_over(&self, number: u64) -> bool {
        self.listening.all.get(&number).is_none_or(|subscription| subscription.over.is_some())
    }

    /// Subscriptions of ours that have not ended, or whose end was not taken.
    pub fn subscriptions(&self) -> usize {
        self.listening.len()
    }

    /// The application wants events.
    pub(super) fn subscribe(&mut self, now: Instant, number: u64, wish: &Payload) {
        if number < self.listening.next {
            return;
        }
        self.listening.next = number.saturating_add(1);
        let subscription =
            Subscription { receiving: Receiving::new(), over: None, unanswered: 0, is_heard: false, is_left: false };
        self.listening.all.insert(number, subscription);
        match self.why_not_subscribe(wish) {
            Some(why) => self.subscription_is_over(number, why),
            None => {
                self.is_busy_again();
                self.change(now, number, Change::Subscribe(wish.clone()));
            }
        }
    }

    fn why_not_subscribe(&self, wish: &Payload) -> Option<FeedEnd> {
        if self.config.dialect == Dialect::Plain || self.encoding.is_none() {
            let why = "a plain link carries no events: its peer knows requests and answers only";
            return Some(FeedEnd::BadRequest(why.to_owned()));
        }
        if self.phase != Phase::Open {
            let closed_here = matches!(self.phase, Phase::Flushing | Phase::Ended(LinkLost::ClosedHere));
            return Some(FeedEnd::NotSent(if closed_here { NotSent::ShuttingDown } else { NotSent::NoRoute }));
        }
        if self.standing.retired {
            return Some(FeedEnd::NotSent(NotSent::NoRoute));
        }
        let too_large = wish.len() > limits::WISH_BYTES_MAX;
        let limit = limits::WISH_BYTES_MAX;
        too_large.then(|| FeedEnd::BadRequest(format!("a subscription of {} bytes, at most {limit}", wish.len())))
    }

    /// The application wants no more events.
    pub(super) fn unsubscribe(&mut self, now: Instant, number: u64, finish: bool) {
        let Some(subscription) = self.listening.all.get_mut(&number) else { return };
        if !finish {
            subscription.is_left = true;
            subscription.receiving.deafen();
            self.listening.pass_on(number);
            self.grant_elder_of_events();
        }
        let Some(subscription) = self.listening.all.get(&number) else { return };
        if subscription.over.is_some() {
            if subscription.is_left {
                self.listening.forget(number);
            }
            return;
        }
        // What was never said need not be taken back.
        let before = self.listening.withheld.len();
        self.listening.withheld.retain(|(other, change)| *other != number || !matches!(change, Change::Subscribe(_)));
        if self.listening.withheld.len() < before {
            return self.subscription_is_over(number, FeedEnd::Unsubscribed);
        }
        self.change(now, number, Change::Unsubscribe { finish });
    }

    fn change(&mut self, now: Instant, number: u64, change: Change) {
        self.listening.withheld.push_back((number, change));
        self.release_changes(now);
        if self.listening.is_withholding() {
            count(&mut self.counters.changes_withheld, 1);
        }
    }

    /// Says what may be said now.
    pub(super) fn release_changes(&mut self, now: Instant) {
        self.listening.retry_at = None;
        while let Some((number, change)) = self.listening.withheld.pop_front() {
            if self.outgoing.len() >= limits::UNSENT_BYTES_HIGH || !self.listening.changes.pay(now) {
                self.listening.withheld.push_front((number, change));
                self.listening.retry_at = now.checked_add(RETRY_AFTER);
                return;
            }
            if let Some(subscription) = self.listening.all.get_mut(&number) {
                subscription.unanswered += 1;
            }
            self.say_change(number, &change);
        }
    }

    fn say_change(&mut self, number: u64, change: &Change) {
        let Some(encoding) = self.encoding else { return };
        let said = match change {
            Change::Subscribe(wish) => wish.transcode(encoding).map_err(|why| why.to_string()).and_then(|wish| {
                self.put_frame(Kind::Subscribe, number, Part::Shared(wish.bytes())).map_err(|why| why.to_string())
            }),
            Change::Unsubscribe { finish } => {
                let content = Payload::encode(&finish.then_some(true), encoding);
                let content = content.unwrap_or_else(|_| Payload::null(encoding));
                let put = self.put_frame(Kind::Unsubscribe, number, Part::Copied(content.bytes()));
                debug_assert!(put.is_ok(), "a word of a few bytes fits into the smallest frame");
                Ok(())
            }
        };
        if let Err(why) = said {
            self.subscription_is_over(number, FeedEnd::BadRequest(why));
        }
    }

    /// A subscription has ended. What came before can still be taken.
    fn subscription_is_over(&mut self, number: u64, why: FeedEnd) {
        let Some(subscription) = self.listening.all.get_mut(&number) else { return };
        self.listening.changes.answered(std::mem::take(&mut subscription.unanswered));
        if subscription.is_left {
            return self.listening.forget(number);
        }
        let was_readable = subscription.receiving.is_readable();
        if subscription.over.is_none() && subscription.receiving.ended(End::Well).is_ok() {
            subscription.over = Some(why);
        }
        if !was_readable {
            self.orders.push_back(Output::Events(number));
        }
        self.listening.pass_on(number);
        self.grant_elder_of_events();
    }

    /// Takes what has come on a subscription. What was taken is granted to the publisher anew.
    pub fn take_events(&mut self, number: u64) -> Listened {
        let Some(subscription) = self.listening.all.get_mut(&number).filter(|subscription| !subscription.is_left)
        else {
            return Listened::Over(FeedEnd::Unsubscribed);
        };
        match subscription.receiving.take() {
            None => Listened::Nothing,
            Some(Ok(records)) => {
                self.grant_events(number);
                Listened::Records(records)
            }
            Some(Err(_)) => {
                let why = subscription.over.take().unwrap_or(FeedEnd::Unsubscribed);
                self.listening.forget(number);
                Listened::Over(why)
            }
        }
    }

    /// What was taken makes no sense.
    pub(super) fn garbled(&mut self, number: u64) {
        if self.listening.next > number {
            self.end(LinkLost::Misbehaved(PeerMisbehaved::BadContent("events")));
        }
    }

    /// Grants what was taken, if it is worth a frame.
    fn grant_events(&mut self, number: u64) {
        let is_open = |subscription: &Subscription| subscription.over.is_none();
        if self.phase == Phase::Open
            && self.listening.all.get(&number).is_some_and(is_open)
            && let Some(bytes) = self.listening.grant(number)
        {
            self.put_value(Kind::Grant, number, &bytes);
        }
        if self.listening.elder.is_some_and(|elder| elder != number) {
            self.grant_elder_of_events();
        }
    }

    fn grant_elder_of_events(&mut self) {
        if self.phase == Phase::Open
            && let Some(elder) = self.listening.elder
            && let Some(bytes) = self.listening.grant(elder)
        {
            self.put_value(Kind::Grant, elder, &bytes);
        }
    }

    /// No event can come any more.
    pub(super) fn end_subscriptions(&mut self, why: &LinkLost) {
        self.listening.withheld.clear();
        self.listening.retry_at = None;
        for number in self.listening.all.keys().copied().collect::<Vec<_>>() {
            if self.listening.all.get(&number).is_some_and(|subscription| subscription.over.is_none()) {
                self.subscription_is_over(number, FeedEnd::Lost(why.clone()));
            }
        }
    }
}
