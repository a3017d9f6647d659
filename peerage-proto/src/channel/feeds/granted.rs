//! What arrives from subscribers: subscriptions and their ends, grants, words on marks.

use std::time::Instant;

use super::super::{Channel, Output, count};
use super::{FeedId, Sender};
use crate::codec::Payload;
use crate::frame::Kind;
use crate::limits;
use crate::outcome::{FeedEnd, PeerMisbehaved};

impl Channel {
    /// Takes in what a subscriber says.
    pub(in super::super) fn hear_subscriber(
        &mut self,
        now: Instant,
        kind: Kind,
        number: u64,
        content: Payload,
    ) -> Result<(), PeerMisbehaved> {
        self.feeds.note_time(now);
        match kind {
            Kind::Subscribe => self.hear_subscribe(now, number, content),
            Kind::Unsubscribe => self.hear_unsubscribe(now, number, &content),
            Kind::Grant => self.hear_grant(now, number, &content),
            _ => self.hear_confirmed(number, &content),
        }
    }

    fn hear_subscribe(&mut self, now: Instant, number: u64, wish: Payload) -> Result<(), PeerMisbehaved> {
        self.allowance.spend_change(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
        if self.feeds.last.is_some_and(|last| number <= last) {
            return Err(PeerMisbehaved::BadSubscription(number));
        }
        let (size, limit) = (wish.len(), limits::WISH_BYTES_MAX);
        if size > limit {
            return Err(PeerMisbehaved::WordTooLarge { kind: Kind::Subscribe.number(), size, limit });
        }
        self.feeds.last = Some(number);
        if self.standing.draining {
            self.put_over(number, &FeedEnd::Draining);
        } else if self.feeds.len() >= limits::SUBSCRIPTIONS_PER_PEER_MAX {
            let most = limits::SUBSCRIPTIONS_PER_PEER_MAX;
            self.put_over(number, &FeedEnd::LimitReached(format!("a peer may have {most} subscriptions on a link")));
        } else {
            self.feeds.all.insert(number, Sender::new());
            self.is_busy_again();
            self.orders.push_back(Output::Subscribed { feed: FeedId(number), wish });
        }
        Ok(())
    }

    fn hear_unsubscribe(&mut self, now: Instant, number: u64, content: &Payload) -> Result<(), PeerMisbehaved> {
        self.allowance.spend_change(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
        let finish: Option<bool> = content.decode().map_err(|_| PeerMisbehaved::BadContent("unsubscribe"))?;
        // It may have ended here before its subscriber knew.
        if self.is_known(number)? {
            match finish {
                Some(true) => self.finish_feed(number, FeedEnd::Unsubscribed),
                _ => self.end_feed(FeedId(number), FeedEnd::Unsubscribed),
            }
        }
        Ok(())
    }

    fn hear_grant(&mut self, now: Instant, number: u64, content: &Payload) -> Result<(), PeerMisbehaved> {
        let bytes: u64 = content.decode().map_err(|_| PeerMisbehaved::BadContent("grant"))?;
        if bytes < u64::from(limits::STREAM_CREDIT_START) / 8 {
            self.allowance.spend(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
        }
        if self.is_known(number)?
            && let Some(sender) = self.feeds.all.get_mut(&number)
        {
            sender.credit.grant(bytes).map_err(|_| PeerMisbehaved::GrantOverflow(number))?;
            sender.excuse(now);
            self.line_up_feed(number);
        }
        Ok(())
    }

    fn hear_confirmed(&mut self, number: u64, content: &Payload) -> Result<(), PeerMisbehaved> {
        let mark: u64 = content.decode().map_err(|_| PeerMisbehaved::BadContent("confirmed"))?;
        if !self.is_known(number)? {
            return Ok(());
        }
        let Some(sender) = self.feeds.all.get_mut(&number) else { return Ok(()) };
        let tally = sender.feed.as_mut().and_then(|feed| feed.confirmed(mark));
        let tally = tally.ok_or(PeerMisbehaved::NotMarked { number, mark })?;
        self.orders.push_back(Output::Confirmed { feed: FeedId(number), mark, tally });
        Ok(())
    }

    /// Whether there is a feed of this number. One that is over was known, and what comes for it is counted.
    fn is_known(&mut self, number: u64) -> Result<bool, PeerMisbehaved> {
        if self.feeds.last.is_none_or(|last| number > last) {
            return Err(PeerMisbehaved::NoSubscription(number));
        }
        let is_there = self.feeds.all.contains_key(&number);
        if !is_there {
            count(&mut self.counters.late_events, 1);
        }
        Ok(is_there)
    }
}
