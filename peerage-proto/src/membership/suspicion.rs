//! From doubt to verdict: what happens when something speaks against a member.
//!
//! A link that is lost or silent is this node's own observation, and so is an address that refuses. It makes a member
//! *suspect*. Before it counts as lost, two neighbours are asked to try it, it may refute with a new record, and a node
//! that knows itself to be slow takes longer to judge (SWIM: Das, Gupta, Motivala, 2002; Lifeguard: Dadgar, Phillips,
//! Currey, 2018).
//!
//! ```text
//!   silence, fin, reset, refused ──▶ suspect ──ask two──▶ time over, nobody reaches it ──▶ lost
//!                                       │                 all addresses refuse, nobody reaches it ──▶ lost at once
//!                                       │                 somebody reaches it ──▶ ask again
//!                                       └──linked, heard, newer record──▶ up
//! ```
//!
//! We differ from both papers: nobody's word ever makes a member suspect or lost. It can put a verdict off, or let it fall
//! earlier where this node has seen for itself that all addresses refuse.

use std::time::{Duration, Instant};

use super::word::Answer;
use super::{Evidence, Incarnation, LinkEnd, Membership, Seen, State, Wish, Word};
use crate::id::NodeId;
use crate::limits;

/// The case against one member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Suspicion {
    /// What began it.
    evidence: Evidence,
    detail: String,
    path: Option<String>,
    /// The newest record when it began: a newer one refutes.
    pub(super) held: Incarnation,
    /// When others were asked last, and how long they and the suspect have from then on, before this node's own slowness.
    since: Instant,
    patience: Duration,
    asked: Vec<Asked>,
    /// All its addresses refuse.
    refuses: bool,
    /// The verdict is due and waits for the end of the link.
    waits_for_link: bool,
}

/// A neighbour that was asked, and what it said.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Asked {
    whom: NodeId,
    ask: u32,
    at: Instant,
    answer: Option<Answer>,
}

impl Suspicion {
    /// When something is to be decided.
    pub(super) fn due(&self, health: u8) -> Option<Instant> {
        let verdict = (!self.waits_for_link).then(|| self.verdict_at(health));
        // Where they alone are waited for: nobody has said yet that it lives.
        let counts = self.refuses && !self.has_answer(Answer::Alive);
        let answers = self.asked.iter().filter(|asked| counts && asked.answer.is_none());
        let answers = answers.map(|asked| asked.at + patience(limits::CHECK_ANSWER, health));
        answers.chain(verdict).min()
    }

    /// Whether it began because all addresses refuse, or has been found since.
    pub(super) fn refuses(&self) -> bool {
        self.refuses
    }

    fn verdict_at(&self, health: u8) -> Instant {
        self.since + patience(self.patience, health)
    }

    fn is_open(&self, now: Instant, health: u8) -> bool {
        let limit = patience(limits::CHECK_ANSWER, health);
        self.asked.iter().any(|asked| asked.answer.is_none() && now.saturating_duration_since(asked.at) < limit)
    }

    fn has_answer(&self, wanted: Answer) -> bool {
        self.asked.iter().any(|asked| asked.answer == Some(wanted))
    }

    fn answers(&self) -> Vec<(NodeId, Option<Answer>)> {
        self.asked.iter().map(|asked| (asked.whom, asked.answer)).collect()
    }
}

impl Membership {
    /// The link with a neighbour has been silent for as long as makes it suspect.
    pub(crate) fn quiet(&mut self, now: Instant, peer: NodeId) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.is_quiet = true;
        }
        let patience = self.profile.lost_after().saturating_sub(self.profile.suspect_after());
        if self.is_linked(&peer) && self.state(&peer) == Some(State::Up) {
            self.suspect(now, peer, Evidence::Silence, "its link is silent", patience);
        }
        self.pump(now);
    }

    /// A neighbour whose link was silent speaks again.
    pub(crate) fn heard(&mut self, now: Instant, peer: NodeId) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.is_quiet = false;
        }
        if self.is_linked(&peer) && self.state(&peer) == Some(State::Suspect) {
            let path = self.path(&peer);
            self.turn(now, peer, State::Up, Seen { path, ..Seen::of(Evidence::Heard) });
        }
        self.pump(now);
    }

    /// Every known address of this member has refused actively: nobody listens there.
    pub(crate) fn refused(&mut self, now: Instant, peer: NodeId) {
        let unlinked = !self.is_linked(&peer);
        let Some(member) = self.table.get(&peer).filter(|member| unlinked && member.state.is_live()) else { return };
        if member.state == State::Up && !member.refuses_always {
            self.suspect(now, peer, Evidence::Refused, NOBODY_LISTENS, self.profile.lost_after());
        }
        self.table.with(&peer, |member| {
            if let Some(suspicion) = &mut member.suspicion {
                suspicion.refuses = true;
            }
        });
        self.judge(now, peer);
        self.pump(now);
    }

    /// A link has ended that made the peer a neighbour.
    pub(super) fn bereft(&mut self, now: Instant, peer: NodeId, path: String, end: LinkEnd, detail: &str) {
        let Some(state) = self.state(&peer).filter(|state| state.is_live()) else { return };
        if end == LinkEnd::Goodbye {
            let path = Some(path);
            return self.turn(now, peer, State::Left, Seen { path, ..Seen::of(Evidence::Left).saying(detail) });
        }
        let lost_after = self.profile.lost_after();
        // The link was a sign of life in itself, whatever is left of the lease.
        let at_least = now + patience(lost_after, self.health);
        self.table.with(&peer, |member| member.lease_until = member.lease_until.max(at_least));
        if state == State::Suspect {
            self.with_suspicion(&peer, |suspicion| suspicion.waits_for_link = false);
            return self.judge(now, peer);
        }
        let evidence = match end {
            LinkEnd::Fin => Evidence::Fin,
            LinkEnd::Reset => Evidence::Reset,
            LinkEnd::Silence => Evidence::Silence,
            LinkEnd::Cut | LinkEnd::Goodbye => Evidence::Cut,
        };
        self.suspect_over(now, peer, Some(path), evidence, detail, lost_after);
    }

    /// A neighbour says what came of trying a node for this one.
    pub(super) fn told_answer(&mut self, now: Instant, from: NodeId, ask: u32, answer: Answer) {
        let Some(suspect) = self.asks.get(&ask).copied() else { return };
        let limit = patience(limits::CHECK_ANSWER, self.health);
        self.table.with(&suspect, |member| {
            let asked = member.suspicion.iter_mut().flat_map(|suspicion| &mut suspicion.asked);
            let in_time = |asked: &Asked| now.saturating_duration_since(asked.at) < limit;
            for asked in asked.filter(|asked| asked.whom == from && asked.ask == ask && in_time(asked)) {
                asked.answer.get_or_insert(answer);
            }
        });
        self.judge(now, suspect);
    }

    /// Decides about all suspects whose time has come.
    pub(super) fn judge_all(&mut self, now: Instant) {
        let health = self.health;
        let is_due = |suspicion: &Suspicion| suspicion.due(health).is_some_and(|due| due <= now);
        let due = self.table.iter().filter(|(_, member)| member.suspicion.as_ref().is_some_and(is_due));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.judge(now, id);
        }
    }

    fn suspect(&mut self, now: Instant, peer: NodeId, evidence: Evidence, detail: &str, patience: Duration) {
        let path = self.path(&peer);
        self.suspect_over(now, peer, path, evidence, detail, patience);
    }

    fn suspect_over(
        &mut self,
        now: Instant,
        peer: NodeId,
        path: Option<String>,
        evidence: Evidence,
        detail: &str,
        patience: Duration,
    ) {
        let seen = Seen { path: path.clone(), ..Seen::of(evidence).saying(detail) };
        self.turn(now, peer, State::Suspect, seen);
        self.table.with(&peer, |member| {
            member.suspicion = Some(Suspicion {
                evidence,
                detail: detail.to_owned(),
                path,
                held: member.incarnation(),
                since: now,
                patience,
                asked: Vec::new(),
                refuses: evidence == Evidence::Refused,
                waits_for_link: false,
            });
        });
        self.ask_others(now, peer);
    }

    /// Asks a few neighbours, drawn by lot, to try a suspect.
    fn ask_others(&mut self, now: Instant, suspect: NodeId) {
        let is_fit = |id: &NodeId| *id != suspect && self.state(id) == Some(State::Up) && self.is_linked(id);
        let mut fit: Vec<NodeId> = self.neighbours.keys().filter(|id| is_fit(id)).copied().collect();
        let mut asked = Vec::new();
        while asked.len() < limits::INDIRECT_CHECKS && !fit.is_empty() {
            let drawn = (self.jitter.next() as usize).checked_rem(fit.len()).unwrap_or(0);
            let whom = fit.swap_remove(drawn);
            let ask = self.next_ask;
            self.next_ask = self.next_ask.wrapping_add(1);
            self.asks.insert(ask, suspect);
            asked.push(Asked { whom, ask, at: now, answer: None });
            self.wishes.push_back(Wish::Say { peer: whom, word: Word::Check { ask, node: suspect } });
        }
        let before = self.table.with(&suspect, |member| {
            let suspicion = member.suspicion.as_mut();
            suspicion.map(|suspicion| std::mem::replace(&mut suspicion.asked, asked))
        });
        for asked in before.flatten().unwrap_or_default() {
            self.asks.remove(&asked.ask);
        }
    }

    /// Decides about one suspect, if its time has come.
    fn judge(&mut self, now: Instant, id: NodeId) {
        let (health, is_linked) = (self.health, self.is_linked(&id));
        let Some(suspicion) = self.table.get(&id).and_then(|member| member.suspicion.as_ref()) else { return };
        let is_over = now >= suspicion.verdict_at(health);
        let refuses = suspicion.refuses && !is_linked && !suspicion.is_open(now, health);
        if now < self.verdicts_from || !is_over && !refuses {
            return;
        }
        if suspicion.has_answer(Answer::Alive) {
            if is_over {
                let patience = self.profile.lost_after();
                self.with_suspicion(&id, |suspicion| (suspicion.since, suspicion.patience) = (now, patience));
                self.ask_others(now, id);
            }
            return;
        }
        if is_linked {
            // The link has its own watch. Its end is the verdict.
            self.with_suspicion(&id, |suspicion| suspicion.waits_for_link = true);
            return;
        }
        let evidence = match suspicion {
            Suspicion { refuses: true, .. } => Evidence::Refused,
            suspicion if suspicion.has_answer(Answer::Unreachable) => Evidence::Indirect,
            suspicion => suspicion.evidence,
        };
        let detail = match evidence {
            Evidence::Refused => NOBODY_LISTENS.to_owned(),
            _ => suspicion.detail.clone(),
        };
        let seen = Seen { evidence, detail, informant: None, path: suspicion.path.clone(), asked: suspicion.answers() };
        self.turn(now, id, State::Lost, seen);
    }

    fn with_suspicion(&mut self, id: &NodeId, change: impl FnOnce(&mut Suspicion)) {
        self.table.with(id, |member| member.suspicion.as_mut().map(change));
    }

    /// Forgets the case against a member, and what was asked about it.
    pub(super) fn acquit(&mut self, id: &NodeId) {
        let suspicion = self.table.with(id, |member| member.suspicion.take()).flatten();
        for asked in suspicion.into_iter().flat_map(|suspicion| suspicion.asked) {
            self.asks.remove(&asked.ask);
        }
    }
}

/// So many times as long as this node is slow.
pub(super) fn patience(time: Duration, health: u8) -> Duration {
    time.saturating_mul(u32::from(health))
}

/// What all addresses that refuse mean, for people.
const NOBODY_LISTENS: &str = "nobody listens at any of its addresses";
