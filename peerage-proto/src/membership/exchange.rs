//! How neighbours bring each other up to date: digests, summaries, answers.
//!
//! Nothing is flooded. A node tells each neighbour a digest of what it holds live, when that has changed. Where the digest
//! differs from its own, the neighbour sends a summary of what it knows, one line for each member, and gets the records that
//! it lacks (anti-entropy: Demers et al., *Epidemic algorithms for replicated database maintenance*, 1987):
//!
//! ```text
//!   a: Digest(x) ──▶ b   y ≠ x: Summary ──▶ a   what b lacks: Discovered … Discovered(at x) ──▶ b
//! ```
//!
//! The answer ends with the digest that it was made from. A neighbour whose last digest this was has nothing new, even if the
//! digests still differ because the two judge a member differently; so two nodes that disagree do not talk for ever. They
//! compare again with each renewal: whoever is lost here and live there may have signed something since.
//! Renewals do not change a digest: neighbours push their own, and those of members without a link are asked for before
//! their leases end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::table::Member;
use super::word::short;
use super::{Digest, Handed, Known, Membership, State, Wish, Word};
use crate::id::NodeId;
use crate::limits;

impl Membership {
    /// A neighbour says something.
    pub(crate) fn told(&mut self, now: Instant, from: NodeId, word: Word) {
        if self.own.has_left() || !self.neighbours.contains_key(&from) {
            return;
        }
        match word {
            Word::Discovered { records, at } => self.told_records(now, from, records, at),
            Word::Digest(digest) => {
                let delay = self.summary_delay();
                if let Some(neighbour) = self.neighbours.get_mut(&from) {
                    neighbour.told_digest(now, digest, delay);
                }
            }
            Word::Summary(lines) => self.told_summary(now, from, &lines),
            Word::Check { ask, node } => self.told_check(now, from, ask, node),
            Word::Checked { ask, answer } => self.told_answer(now, from, ask, answer),
            Word::Suspected => self.own.doubted(now),
            Word::Wanted(digests) => self.told_wanted(now, from, &digests),
            Word::Services { lists, whole } => self.told_services(now, from, lists, whole),
        }
        self.pump(now);
    }

    /// Asks all neighbours what they know, whether their digests differ or not.
    pub(crate) fn refresh(&mut self, now: Instant) {
        let lines = self.summary();
        for (peer, neighbour) in &mut self.neighbours {
            if !neighbour.is_asked(now) {
                neighbour.ask(now);
                self.wishes.push_back(Wish::Say { peer: *peer, word: Word::Summary(lines.clone()) });
            }
        }
    }

    /// Whether the answer of any neighbour is awaited.
    pub(crate) fn is_asking(&self, now: Instant) -> bool {
        self.neighbours.values().any(|neighbour| neighbour.is_asked(now))
    }

    /// The digest of what is live here, this node included.
    pub(super) fn digest(&self) -> Digest {
        let mut digest = self.table.digest();
        if !self.own.has_left() {
            digest.toggle(self.own.mark());
        }
        digest
    }

    /// Tells and asks what is due.
    pub(super) fn converse(&mut self, now: Instant) {
        let ours = self.digest();
        let is_stale = self.stale_at().is_some_and(|at| at <= now);
        let mut open = self.neighbours.values().filter(|neighbour| neighbour.is_asked(now)).count();
        if self.neighbours.values().all(|neighbour| neighbour.agrees(ours)) {
            self.fruitless = 0;
        }
        let delay = self.summary_delay();
        let mut free = Vec::new();
        let mut asked = Vec::new();
        for (peer, neighbour) in &mut self.neighbours {
            let held_the_same = neighbour.held_the_same();
            if neighbour.says(now, ours) {
                let since = std::mem::replace(&mut neighbour.told_at, self.table.changes());
                let news = self.table.undialled_since(since).filter(|(id, _)| *id != peer && held_the_same);
                let news: Vec<&Member> = news.map(|(_, member)| member).take(limits::NEWS_MAX + 1).collect();
                // A record says more than a question and an answer about it. Whoever can be dialled is met by itself.
                if (1..=limits::NEWS_MAX).contains(&news.len()) {
                    let records = news.iter().filter_map(|member| member.handed(now)).collect();
                    self.wishes.push_back(Wish::Say { peer: *peer, word: Word::Discovered { records, at: None } });
                }
                self.wishes.push_back(Wish::Say { peer: *peer, word: Word::Digest(ours) });
            }
            // What one neighbour answers is mostly what the others would.
            if neighbour.asks(now, ours, delay, open < limits::SUMMARIES_AT_ONCE) {
                open = open.saturating_add(1);
                asked.push(*peer);
            } else if !neighbour.is_asked(now) {
                free.push(*peer);
            }
        }
        if is_stale {
            self.refreshed = Some(now);
            let drawn = (self.jitter.next() as usize).checked_rem(free.len());
            if let Some(peer) = drawn.and_then(|drawn| free.get(drawn)) {
                self.neighbours.get_mut(peer).expect("one of the keys").ask(now);
                asked.push(*peer);
            }
        }
        if !asked.is_empty() {
            let lines = self.summary();
            for peer in asked {
                self.say(peer, Word::Summary(lines.clone()));
            }
        }
    }

    /// When a neighbour is to be asked for the records of members without a link, because they run out.
    pub(super) fn stale_at(&self) -> Option<Instant> {
        if self.neighbours.is_empty() {
            return None;
        }
        let first = self.due().stale?;
        Some(self.refreshed.map_or(first, |at| first.max(at + limits::REFRESH_PAUSE)))
    }

    /// Hands the newest record of this node to all neighbours.
    pub(super) fn push(&mut self, now: Instant) {
        let handed = self.own.handed(now);
        for (peer, neighbour) in &mut self.neighbours {
            neighbour.remind();
            let word = Word::Discovered { records: vec![handed.clone()], at: None };
            self.wishes.push_back(Wish::Say { peer: *peer, word });
        }
    }

    /// Says something to a neighbour; to somebody who is none any more, nothing.
    pub(super) fn say(&mut self, peer: NodeId, word: Word) {
        if self.neighbours.contains_key(&peer) {
            self.wishes.push_back(Wish::Say { peer, word });
        }
    }

    /// One line for each member that is known, and for this node.
    fn summary(&self) -> Vec<Known> {
        let own = Known::of(&self.own.id(), self.own.incarnation());
        let members = self.table.iter().map(|(id, member)| Known::of(id, member.incarnation()));
        members.take(limits::SUMMARY_LINES_MAX.saturating_sub(1)).chain([own]).collect()
    }

    fn told_records(&mut self, now: Instant, from: NodeId, records: Vec<Handed>, at: Option<Digest>) {
        let mut is_news = false;
        for handed in records {
            let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
            if neighbour.may_hand(now, handed.record.len()) {
                is_news |= self.learn(now, from, &handed);
            }
        }
        if let (Some(at), Some(neighbour)) = (at, self.neighbours.get_mut(&from)) {
            neighbour.told_all(now, at);
            self.fruitless = if is_news { 0 } else { self.fruitless.saturating_add(1) };
        }
    }

    /// How long it is waited before a neighbour whose digest differs is asked. Where the last answers brought nothing, what
    /// differs are the nodes' own judgements, and those take their time.
    fn summary_delay(&self) -> Duration {
        limits::SUMMARY_DELAY.saturating_mul(1 << self.fruitless.min(limits::SUMMARY_DELAY_DOUBLINGS))
    }

    fn told_summary(&mut self, now: Instant, from: NodeId, lines: &[Known]) {
        if lines.len() > limits::SUMMARY_LINES_MAX {
            return self.forged(now, from);
        }
        let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
        if !neighbour.may_ask(now) {
            return;
        }
        let (records, is_whole) = self.lacking(now, &from, lines);
        let mut pieces = pieces(records).into_iter().peekable();
        let at = Some(self.digest()).filter(|_| is_whole);
        if pieces.peek().is_none() {
            self.say(from, Word::Discovered { records: Vec::new(), at });
        }
        while let Some(records) = pieces.next() {
            let at = at.filter(|_| pieces.peek().is_none());
            self.say(from, Word::Discovered { records, at });
        }
    }

    /// The records that somebody lacks who knows these, as many as one answer holds; and whether those are all.
    fn lacking(&self, now: Instant, from: &NodeId, lines: &[Known]) -> (Vec<Handed>, bool) {
        let known: BTreeMap<u64, (u64, u64, u64)> = lines.iter().map(|line| (line.node, line.age())).collect();
        let is_lacking = |id: &NodeId, own: Known, state: State, left: bool| {
            let theirs = known.get(&short(id));
            match state {
                State::Up | State::Suspect => theirs.is_none_or(|theirs| *theirs < own.age()),
                // A farewell is for those who believe that the node is there.
                State::Left => left && theirs.is_some_and(|theirs| *theirs < own.age()),
                State::Lost => false,
            }
        };
        let own = (self.own.id(), self.own.incarnation());
        let own = is_lacking(&own.0, Known::of(&own.0, own.1), State::Up, false).then(|| self.own.handed(now));
        let members = self.table.iter().filter(|(id, member)| {
            *id != from
                && is_lacking(id, Known::of(id, member.incarnation()), member.state, member.record().left.is_some())
        });
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        for handed in own.into_iter().chain(members.filter_map(|(_, member)| member.handed(now))) {
            bytes = bytes.saturating_add(handed.record.len());
            if records.len() >= limits::ANSWER_RECORDS_MAX || bytes > limits::ANSWER_BYTES_MAX {
                return (records, false);
            }
            records.push(handed);
        }
        (records, true)
    }
}

/// Records in pieces that a frame holds.
fn pieces(records: Vec<Handed>) -> Vec<Vec<Handed>> {
    let (mut pieces, mut bytes) = (Vec::<Vec<Handed>>::new(), 0_usize);
    for handed in records {
        bytes = bytes.saturating_add(handed.record.len());
        match pieces.last_mut() {
            Some(piece) if piece.len() < limits::DISCOVERED_RECORDS_MAX && bytes <= limits::DISCOVERED_BYTES_MAX => {
                piece.push(handed);
            }
            _ => {
                bytes = handed.record.len();
                pieces.push(vec![handed]);
            }
        }
    }
    pieces
}
