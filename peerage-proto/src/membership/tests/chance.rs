//! Whatever neighbours say and links do, in whatever order: what the machine promises about itself holds after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::scene::{MS, Puppet, SECOND, Scene, discovered, epoch_at};
use crate::id::{Epoch, NodeId};
use crate::limits;
use crate::membership::{Answer, ChangedTo, Digest, Handed, LinkEnd, Word};
use crate::sim::Dice;

/// A machine in bad company.
struct Company {
    scene: Scene,
    dice: Dice,
    linked: BTreeSet<u8>,
    /// What the application was told last of each node.
    told: BTreeMap<NodeId, (Epoch, ChangedTo)>,
    version: u64,
}

impl Company {
    fn new(seed: u64) -> Company {
        let dice = Dice::seeded(seed);
        Company { scene: Scene::new(), dice, linked: BTreeSet::new(), told: BTreeMap::new(), version: 0 }
    }

    fn somebody(&mut self) -> u8 {
        self.dice.between(1, 6) as u8
    }

    /// Somebody in some run, in some place.
    fn puppet(&mut self) -> Puppet {
        let number = self.somebody();
        let mut puppet = Puppet::of(number);
        puppet.epoch = epoch_at(self.dice.between(100, 103));
        if self.dice.chance(20) { puppet.moved("memory://elsewhere") } else { puppet }
    }

    fn sequence(&mut self) -> u64 {
        match self.dice.below(20) {
            0 => u64::MAX,
            1 => limits::INCARNATION_JUMP_MAX,
            _ => self.dice.between(1, 12),
        }
    }

    fn handed(&mut self) -> Handed {
        let (puppet, sequence) = (self.puppet(), self.sequence());
        let handed = match self.dice.below(10) {
            0 => puppet.forged(sequence),
            1 => puppet.farewell(sequence),
            _ => puppet.handed(sequence),
        };
        match self.dice.below(6) {
            0 => Handed { remaining: Duration::ZERO, ..handed },
            1 => Handed { remaining: Duration::MAX, ..handed },
            2 => Handed { remaining: MS * 200, ..handed },
            _ => handed,
        }
    }

    fn word(&mut self) -> Word {
        let digest = if self.dice.chance(30) { self.scene.digest() } else { Digest([self.dice.below(4) as u8; 16]) };
        let node = Puppet::of(self.somebody()).id;
        let ask = self.dice.below(8) as u32;
        match self.dice.below(10) {
            0..4 => {
                let records: Vec<_> = (0..self.dice.below(4)).map(|_| self.handed()).collect();
                let at = Some(digest).filter(|_| self.dice.chance(40));
                Word::Discovered { records, at }
            }
            4 => Word::Digest(digest),
            5 => Word::Summary(Vec::new()),
            6 => Word::Check { ask, node },
            7 => Word::Checked { ask, answer: Answer::Alive },
            8 => Word::Checked { ask, answer: Answer::Unreachable },
            _ => Word::Suspected,
        }
    }

    fn step(&mut self) {
        let number = self.somebody();
        let id = Puppet::of(number).id;
        let is_linked = self.linked.contains(&number);
        match self.dice.below(16) {
            0 | 1 if !is_linked => {
                let puppet = Puppet { id, ..self.puppet() };
                let sequence = self.dice.between(1, 12);
                self.scene.link_with(&puppet, sequence);
                self.linked.insert(number);
            }
            0 if is_linked => {
                let ends = [LinkEnd::Goodbye, LinkEnd::Fin, LinkEnd::Reset, LinkEnd::Silence, LinkEnd::Cut];
                self.scene.unlink(&Puppet::of(number), ends[self.dice.below(5) as usize]);
                self.linked.remove(&number);
            }
            2 => self.scene.act(|ada, now| ada.quiet(now, id)),
            3 => self.scene.act(|ada, now| ada.heard(now, id)),
            4 => self.scene.act(|ada, now| ada.refused(now, id)),
            5 => self.scene.act(|ada, now| ada.answered(now, id)),
            6 => self.scene.act(|ada, _| ada.tried(&id)),
            7 if self.dice.chance(10) => self.scene.act(|ada, now| ada.jumped(now)),
            8 if self.dice.chance(20) => {
                let factor = self.dice.below(10) as u8;
                self.scene.act(|ada, now| ada.local_health(now, factor));
            }
            9 if self.dice.chance(10) => self.scene.act(|ada, now| ada.refresh(now)),
            10 => {
                let limit = if self.dice.chance(5) { limits::MEMBER_KEPT } else { SECOND * 4 };
                let time = self.dice.time(limit);
                self.scene.wait(time);
            }
            _ => {
                let word = self.word();
                self.scene.told(&Puppet::of(number), word);
            }
        }
    }

    fn check(&mut self) {
        for change in self.scene.whole_changes() {
            let before = self.told.insert(change.id, (change.epoch, change.to));
            let is_over = |to: ChangedTo| matches!(to, ChangedTo::Left | ChangedTo::Lost);
            let is_allowed = match (change.to, before) {
                (ChangedTo::Joined, before) => before.is_none_or(|(epoch, to)| is_over(to) && epoch <= change.epoch),
                (ChangedTo::Up, before) => before == Some((change.epoch, ChangedTo::Suspect)),
                (ChangedTo::Suspect, Some((epoch, to))) => {
                    epoch == change.epoch && matches!(to, ChangedTo::Joined | ChangedTo::Up)
                }
                (ChangedTo::Left | ChangedTo::Lost, Some((epoch, to))) => epoch == change.epoch && !is_over(to),
                (_, None) => false,
            };
            assert!(is_allowed, "{change:?} after {before:?}");
        }
        for (to, word) in self.scene.said() {
            assert!(self.linked.iter().any(|number| Puppet::of(*number).id == to), "{word:?} to a stranger");
        }
        let ada = &self.scene.ada;
        // Who is forgotten after an hour is a stranger again.
        self.told.retain(|id, _| ada.member(id).is_some());
        assert_eq!(ada.digest(), self.scene.digest());
        assert!(ada.asks.len() <= ada.table.len() * limits::INDIRECT_CHECKS, "questions are left over");
        let suspects = ada.table.iter().filter(|(_, member)| member.suspicion.is_some()).map(|(id, _)| *id);
        let suspects: BTreeSet<_> = suspects.collect();
        assert!(ada.asks.values().all(|id| suspects.contains(id)), "a question about nobody suspect");
        for member in ada.members() {
            let is_suspect = member.state == crate::membership::State::Suspect;
            assert_eq!(is_suspect, suspects.contains(&member.record.id), "a suspicion belongs to a suspect");
            assert!(!member.state.is_live() || member.record.left.is_none(), "nobody lives who said farewell");
            assert!(self.told.contains_key(&member.record.id) || !member.state.is_live(), "nobody is there untold");
            let last = ada.transitions(&member.record.id).next_back();
            assert!(!member.state.is_live() || last.map(|last| last.to) == Some(member.state), "{last:?}");
        }
        assert!(ada.version() >= self.version);
        self.version = ada.version();
    }
}

#[test]
fn whatever_happens_events_keep_their_grammar_and_tables_their_sense() {
    for seed in 0..300 {
        let mut company = Company::new(seed);
        for step in 0..300 {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                company.step();
                company.check();
            }));
            assert!(caught.is_ok(), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn two_machines_with_the_same_seed_and_the_same_inputs_are_equal() {
    let run = |seed| {
        let mut company = Company::new(seed);
        (0..200).for_each(|_| company.step());
        company.scene
    };
    let [a, b, c] = [run(1), run(1), run(2)];
    assert_eq!(a.ada, b.ada);
    assert_ne!(a.ada, c.ada);
}

#[test]
fn a_process_that_was_away_for_an_hour_comes_back_to_a_sensible_state() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.told(&bob, discovered((2..20).map(|number| Puppet::of(number).handed(1))));
    scene.now += limits::MEMBER_KEPT * 2;
    scene.act(|ada, now| ada.jumped(now));
    scene.act(|ada, now| ada.timeout(now));
    scene.wait(SECOND * 60);
    assert_eq!(scene.ada.members().filter(|member| member.state.is_live()).count(), 1);
}
