//! The links: made, read and written, cut; and the calls on them.

use std::time::{Duration, Instant};

use super::super::end::{End, News, numbered};
use super::super::pipe::Pipe;
use super::{Event, P, S, World};
use crate::channel::{Config, Input, Served, Side};
use crate::frame::Dialect;
use crate::id::Epoch;
use crate::outcome::LinkLost;

/// Two ends and what is between them.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) ends: [End; 2],
    /// `pipes[i]` carries what `ends[i]` writes.
    pipes: [Pipe; 2],
    told_of_close: [bool; 2],
    /// The run of the publisher that made it.
    pub(super) epoch: Epoch,
}

impl Link {
    /// When something happens on it by itself.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        let times = [S, P].into_iter().flat_map(|side| {
            let arrival = self.pipes[1 - side].next_arrival().filter(|at| *at > now);
            [arrival, self.ends[side].next_timeout()]
        });
        times.flatten().min()
    }
}

impl World {
    /// Another link, which takes the place of those that live.
    pub(super) fn connect(&mut self) {
        let number = self.next_link;
        self.next_link += 1;
        let end = |side| {
            End::new(Config {
                encoding: Some(self.plan.encoding),
                dialect: Dialect::Full,
                side,
                frame_bytes: 200_000,
                ..Config::default()
            })
        };
        let ends = [end(Side::Dialler), end(Side::Acceptor)];
        let epoch = self.publisher.epoch();
        let capacity = [50, 4_000, 300_000][self.dice.below(3) as usize];
        let link = Link { ends, pipes: [0, 1].map(|_| Pipe::new(capacity)), told_of_close: [false; 2], epoch };
        for older in self.links.values_mut() {
            for end in &mut older.ends {
                end.order(self.now, Input::Retire);
            }
        }
        self.links.insert(number, link);
        self.trace.note(self.now, &[1, number.into()]);
        for _ in 0..self.plan.calls {
            for side in [S, P] {
                self.soon(Duration::from_secs(3), Event::Call(number, side));
            }
        }
        self.subscribe_on(number);
    }

    /// All links break, at one end after the other; later there is another one.
    pub(super) fn cut(&mut self) {
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            let first = self.dice.below(2) as usize;
            self.break_end(number, first);
            self.soon(Duration::from_millis(300), Event::Break(number, 1 - first));
        }
        self.soon(Duration::from_secs(2), Event::Connect);
    }

    /// A link that was superseded, and on which nothing is open any more, is closed.
    pub(super) fn close(&mut self, number: u32) {
        if let Some(link) = self.links.get_mut(&number)
            && link.ends[S].channel().is_idle()
        {
            link.ends[S].close(self.now);
        }
        self.hear_news(number, S);
    }

    pub(super) fn break_end(&mut self, number: u32, side: usize) {
        if let Some(link) = self.links.get_mut(&number) {
            link.ends[side].broken(self.now);
        }
        self.hear_news(number, side);
    }

    pub(super) fn read(&mut self, number: u32, side: usize) -> bool {
        let now = self.now;
        let Some(link) = self.links.get_mut(&number) else { return false };
        let (end, pipe) = (&mut link.ends[side], &mut link.pipes[1 - side]);
        if !end.wants_bytes() {
            return false;
        }
        if pipe.has_arrived(now) {
            if let Some(mut lent) = end.lend() {
                let (buffer, room) = lent.buffer();
                let read = pipe.read(now, room);
                buffer.extend_from_slice(&read);
                end.take_back(now, lent, &read);
                return true;
            }
            let limit = [7, 300, 70_000][self.dice.below(3) as usize];
            let bytes = pipe.read(now, limit);
            end.receive(now, &bytes);
            return true;
        }
        if pipe.is_finished(now) && !std::mem::replace(&mut link.told_of_close[side], true) {
            end.peer_closed(now);
            return true;
        }
        false
    }

    pub(super) fn write(&mut self, number: u32, side: usize) -> bool {
        let Some(link) = self.links.get_mut(&number) else { return false };
        let space = link.pipes[side].space();
        if space == 0 || link.ends[side].holds_transmit() || !link.ends[side].takes() {
            return false;
        }
        let limit = if self.dice.chance(20) { self.dice.between(1, 200) as usize } else { usize::MAX };
        let bytes = link.ends[side].write(limit.min(space));
        let at = self.now + self.dice.time(Duration::from_millis(10));
        link.pipes[side].write(at, bytes);
        if self.dice.chance(10) {
            self.soon(Duration::from_millis(5), Event::GiveBack(number, side));
        } else {
            link.ends[side].give_back(self.now);
        }
        true
    }

    pub(super) fn hear_news(&mut self, number: u32, side: usize) {
        loop {
            let Some(link) = self.links.get_mut(&number) else { return };
            let news = link.ends[side].news();
            if news.is_empty() {
                return;
            }
            for news in news {
                match news {
                    News::Request { served, .. } => {
                        self.soon(Duration::from_millis(20), Event::Answer(number, side, served));
                    }
                    News::OfEvents(order) if side == P => self.publisher_is_told(number, order),
                    News::OfEvents(order) => self.subscriber_is_told(number, &order),
                    News::Ended => self.ended(number, side),
                    News::Idle if side == S => self.soon(Duration::from_millis(50), Event::Close(number)),
                    _ => {}
                }
            }
        }
    }

    fn ended(&mut self, number: u32, side: usize) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.pipes[1 - side].deafen();
        match link.ends[side].ended() {
            Some(LinkLost::ClosedHere | LinkLost::PeerClosed) => link.pipes[side].close(self.now),
            Some(LinkLost::Broken(_)) => {}
            why => panic!("an honest link does not end so: {why:?}"),
        }
        if side == S {
            self.read_rest(number);
        } else {
            self.publisher.forget(number);
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        if link.ends.iter().all(|end| end.ended().is_some()) {
            for end in &mut link.ends {
                end.check_empty(self.now);
            }
            self.links.remove(&number);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.is_settling = true;
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            for side in [S, P] {
                if let Some(link) = self.links.get_mut(&number) {
                    link.ends[side].close(self.now);
                }
                self.hear_news(number, side);
            }
        }
        self.run();
        assert!(self.links.is_empty(), "all links have ended");
    }

    pub(super) fn call(&mut self, number: u32, side: usize) {
        let padding = self.dice.size(20_000);
        if let Some(link) = self.links.get_mut(&number) {
            link.ends[side].call(self.now, padding, None);
        }
        self.hear_news(number, side);
    }

    pub(super) fn answer(&mut self, number: u32, side: usize, served: Served) {
        let padding = self.dice.size(20_000);
        let content = numbered(0, padding, self.plan.encoding);
        if let Some(link) = self.links.get_mut(&number)
            && link.ends[side].working().contains(&served)
        {
            link.ends[side].reply(self.now, served, &content);
        }
        self.hear_news(number, side);
    }
}
