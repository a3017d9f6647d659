//! Trying nodes for others: a neighbour suspects somebody and asks whether he can be reached from here.
//!
//! Only what is seen after the question counts: the link is probed afresh. What is asked for costs little and has bounds,
//! so that nobody can have a third node pinged to death.

use std::collections::BTreeMap;
use std::time::Instant;

use super::word::Answer;
use super::{Membership, Wish, Word};
use crate::id::NodeId;
use crate::limits;
use crate::planted::{self, Bug};

/// The questions that are open.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Checks {
    questions: Vec<Question>,
    /// When a node was probed last for others.
    probed: BTreeMap<NodeId, Instant>,
    /// Whom the next record of a node is passed on to, because they doubted it.
    promises: Vec<Promise>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Question {
    from: NodeId,
    ask: u32,
    node: NodeId,
    at: Instant,
    is_probed: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Promise {
    to: NodeId,
    about: NodeId,
    until: Instant,
}

impl Checks {
    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let questions = self.questions.iter().map(|question| {
            let again = self.probed.get(&question.node).map(|at| *at + limits::CHECK_PAUSE);
            let over = question.at + limits::CHECK_PROBE;
            if question.is_probed { over } else { again.map_or(over, |again| again.min(over)) }
        });
        questions.min()
    }

    fn has_room_for(&self, from: &NodeId) -> bool {
        let of_asker = self.questions.iter().filter(|question| question.from == *from).count();
        self.questions.len() < limits::CHECKS_MAX && of_asker < limits::CHECKS_PER_NEIGHBOUR_MAX
    }
}

impl Membership {
    /// A neighbour asks to try a node.
    pub(super) fn told_check(&mut self, now: Instant, from: NodeId, ask: u32, node: NodeId) {
        if planted::is(Bug::HearsayEvicts) && self.state(&node).is_some_and(super::State::is_live) {
            self.turn(now, node, super::State::Lost, super::Seen::of(super::Evidence::Indirect));
        }
        let answer = if node == self.own.id() {
            Answer::Alive
        } else if !self.is_linked(&node) {
            match self.state(&node) {
                Some(state) if state != super::State::Up => Answer::Unreachable,
                _ => Answer::CannotTell,
            }
        } else if self.checks.has_room_for(&from) {
            self.checks.questions.push(Question { from, ask, node, at: now, is_probed: false });
            return;
        } else {
            Answer::CannotTell
        };
        self.say(from, Word::Checked { ask, answer });
    }

    /// The link with this neighbour has answered a probe.
    pub(crate) fn answered(&mut self, now: Instant, peer: NodeId) {
        let mut is_doubted = false;
        for question in std::mem::take(&mut self.checks.questions) {
            if question.node != peer || !question.is_probed {
                self.checks.questions.push(question);
                continue;
            }
            is_doubted = true;
            self.say(question.from, Word::Checked { ask: question.ask, answer: Answer::Alive });
            let promise = Promise { to: question.from, about: peer, until: now + limits::REFUTATION_PASSED_ON };
            self.checks.promises.retain(|other| (other.to, other.about) != (promise.to, promise.about));
            if self.checks.promises.len() < limits::CHECKS_MAX {
                self.checks.promises.push(promise);
            }
        }
        if is_doubted {
            self.say(peer, Word::Suspected);
        }
        self.pump(now);
    }

    /// Probes those who are to be tried, and gives up on those who did not answer in time.
    pub(super) fn check(&mut self, now: Instant) {
        let mut questions = std::mem::take(&mut self.checks.questions);
        self.checks.probed.retain(|_, at| now.saturating_duration_since(*at) < limits::CHECK_PAUSE);
        self.checks.promises.retain(|promise| now < promise.until);
        questions.retain(|question| {
            let is_over = now >= question.at + limits::CHECK_PROBE || !self.is_linked(&question.node);
            if is_over {
                let word = Word::Checked { ask: question.ask, answer: Answer::Unreachable };
                self.say(question.from, word);
            }
            !is_over
        });
        for question in &mut questions {
            let node = question.node;
            // One probe stands for all who ask at this moment.
            let probed = self.checks.probed.get(&node).copied();
            if !question.is_probed && probed.is_none_or(|at| at == now) {
                question.is_probed = true;
                if probed.is_none() {
                    self.checks.probed.insert(node, now);
                    self.wishes.push_back(Wish::Probe { peer: node });
                }
            }
        }
        self.checks.questions = questions;
    }

    /// A node has signed a new record: whoever doubted it is told.
    pub(super) fn pass_on(&mut self, now: Instant, about: NodeId) {
        let Some(handed) = self.table.get(&about).and_then(|member| member.handed(now)) else { return };
        for promise in std::mem::take(&mut self.checks.promises) {
            if promise.about != about {
                self.checks.promises.push(promise);
            } else if now < promise.until {
                self.say(promise.to, Word::Discovered { records: vec![handed.clone()], at: None });
            }
        }
    }
}
