//! Many machines, their links and what befalls them: whatever happened, in the end all see the same, and then all is quiet.
//!
//! The links are simple: a wish for one leads to a dial, a dial to a link unless the other is down or cut off. What a link
//! watch would notice of a cut is told to both ends as late as it would notice. One seed gives one run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::scene::{MS, SECOND, about, epoch_at, keys_of};
use crate::id::NodeId;
use crate::liveness::Profile;
use crate::membership::{LinkEnd, Membership, Record, State, Wish, Word};
use crate::sim::Dice;

struct Mesh {
    now: Instant,
    dice: Dice,
    nodes: Vec<Node>,
    by_id: BTreeMap<NodeId, usize>,
    /// Links that are up, each with its number; words on the way carry it, and are lost with it.
    links: BTreeMap<(usize, usize), u32>,
    next_link: u32,
    /// Pairs that nothing gets through, in this direction.
    cuts: BTreeSet<(usize, usize)>,
    agenda: BTreeMap<(Instant, u64), Event>,
    events: u64,
    words: BTreeMap<&'static str, u32>,
}

struct Node {
    id: NodeId,
    machine: Option<Membership>,
    runs: u64,
    wanted: BTreeSet<usize>,
    armed: Option<Instant>,
}

enum Event {
    Word { from: usize, to: usize, link: u32, word: Word },
    Timer(usize),
    Dial { from: usize, to: usize, run: u64 },
    Probed { by: usize, node: usize, link: u32 },
    Ended { at: usize, peer: usize, link: u32, end: LinkEnd },
    Quiet { at: usize, peer: usize, link: u32 },
    Start(usize),
    Crash(usize),
    Break(usize, usize),
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Mesh {
    fn new(seed: u64, nodes: usize) -> Mesh {
        let id_of = |number: usize| {
            let mut bytes = [0; 32];
            // Ids are keys: their first bytes differ.
            bytes[..8].copy_from_slice(&(number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            NodeId::from_bytes(bytes)
        };
        let node = |number| Node { id: id_of(number), machine: None, runs: 0, wanted: BTreeSet::new(), armed: None };
        Mesh {
            now: crate::sim::epoch(),
            dice: Dice::seeded(seed),
            nodes: (0..nodes).map(node).collect(),
            by_id: (0..nodes).map(|number| (id_of(number), number)).collect(),
            links: BTreeMap::new(),
            next_link: 0,
            cuts: BTreeSet::new(),
            agenda: BTreeMap::new(),
            events: 0,
            words: BTreeMap::new(),
        }
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.events += 1;
        self.agenda.insert((at, self.events), event);
    }

    fn soon(&mut self, limit: Duration, event: Event) {
        let at = self.now + self.dice.time(limit);
        self.at(at, event);
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = until;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Word { from, to, link, word } => {
                let arrives = self.links.get(&pair(from, to)) == Some(&link) && !self.cuts.contains(&(from, to));
                if arrives {
                    let id = self.nodes[from].id;
                    self.act(to, |machine, now| machine.told(now, id, word));
                }
            }
            Event::Timer(node) => {
                self.nodes[node].armed = None;
                let is_due = |machine: &Membership, now| machine.next_timeout().is_some_and(|due| due <= now);
                if self.nodes[node].machine.as_ref().is_some_and(|machine| is_due(machine, self.now)) {
                    self.act(node, |machine, now| machine.timeout(now));
                } else {
                    self.arm(node);
                }
            }
            Event::Dial { from, to, run } if self.nodes[from].runs == run => self.dial(from, to),
            Event::Dial { .. } => {}
            Event::Probed { by, node, link } => {
                let is_up = self.links.get(&pair(by, node)) == Some(&link);
                let is_through = !self.cuts.contains(&(by, node)) && !self.cuts.contains(&(node, by));
                if is_up && is_through {
                    let id = self.nodes[node].id;
                    self.act(by, |machine, now| machine.answered(now, id));
                }
            }
            Event::Quiet { at, peer, link } => {
                if self.links.get(&pair(at, peer)) == Some(&link) && self.cuts.contains(&(peer, at)) {
                    let id = self.nodes[peer].id;
                    self.act(at, |machine, now| machine.quiet(now, id));
                    self.at(self.now + SECOND * 3, Event::Ended { at, peer, link, end: LinkEnd::Silence });
                }
            }
            Event::Ended { at, peer, link, end } => {
                let is_silence = end == LinkEnd::Silence;
                if is_silence && !self.cuts.contains(&(peer, at)) {
                    let id = self.nodes[peer].id;
                    self.act(at, |machine, now| machine.heard(now, id));
                } else if self.links.get(&pair(at, peer)) == Some(&link) || !is_silence {
                    self.unlink(at, peer, end);
                    self.unlink(peer, at, if is_silence { LinkEnd::Fin } else { end });
                }
            }
            Event::Start(node) => self.start(node),
            Event::Crash(node) => self.crash(node),
            Event::Break(a, b) => {
                if self.links.contains_key(&pair(a, b)) {
                    self.unlink(a, b, LinkEnd::Reset);
                    self.unlink(b, a, LinkEnd::Reset);
                }
            }
        }
    }

    fn act(&mut self, node: usize, act: impl FnOnce(&mut Membership, Instant)) {
        let now = self.now;
        let Some(machine) = &mut self.nodes[node].machine else { return };
        act(machine, now);
        let wishes: Vec<Wish> = machine.wishes.drain(..).collect();
        machine.changes.clear();
        for wish in wishes {
            self.wish(node, wish);
        }
        self.arm(node);
    }

    fn wish(&mut self, node: usize, wish: Wish) {
        match wish {
            Wish::Say { peer, word } => {
                let to = self.by_id[&peer];
                let name = match &word {
                    Word::Discovered { at: None, .. } => "pushed",
                    Word::Discovered { .. } => "answer",
                    Word::Digest(_) => "digest",
                    Word::Summary(_) => "summary",
                    Word::Check { .. } | Word::Checked { .. } | Word::Suspected => "check",
                    Word::Wanted(_) | Word::Services { .. } => "lists",
                };
                *self.words.entry(name).or_default() += 1;
                let Some(link) = self.links.get(&pair(node, to)).copied() else { return };
                // All ways are equally long, so that words keep their order.
                self.at(self.now + MS * 2, Event::Word { from: node, to, link, word });
            }
            Wish::Probe { peer } => {
                let of = self.by_id[&peer];
                let Some(link) = self.links.get(&pair(node, of)).copied() else { return };
                self.at(self.now + MS * 4, Event::Probed { by: node, node: of, link });
            }
            Wish::Reach { peer, .. } => {
                let to = self.by_id[&peer];
                if self.nodes[node].wanted.insert(to) {
                    let run = self.nodes[node].runs;
                    self.soon(MS * 50, Event::Dial { from: node, to, run });
                }
            }
            Wish::Forget { peer } => _ = self.nodes[node].wanted.remove(&self.by_id[&peer]),
            // Here a process ends with its links.
            Wish::Outdated { .. } => {}
            Wish::Cut { peer, why } => panic!("an honest node is cut: {peer} {why}"),
        }
    }

    fn arm(&mut self, node: usize) {
        let Some(due) = self.nodes[node].machine.as_ref().and_then(Membership::next_timeout) else { return };
        let due = due.max(self.now);
        if self.nodes[node].armed.is_none_or(|armed| due < armed) {
            self.nodes[node].armed = Some(due);
            self.at(due, Event::Timer(node));
        }
    }

    fn dial(&mut self, from: usize, to: usize) {
        let run = self.nodes[from].runs;
        let is_wanted = self.nodes[from].machine.is_some() && self.nodes[from].wanted.contains(&to);
        if !is_wanted || self.links.contains_key(&pair(from, to)) {
            return;
        }
        let (id, own) = (self.nodes[to].id, self.nodes[from].id);
        if self.cuts.contains(&(from, to)) || self.cuts.contains(&(to, from)) {
            self.act(from, |machine, _| machine.tried(&id));
            return self.at(self.now + SECOND * 3, Event::Dial { from, to, run });
        }
        let Some(other) = &self.nodes[to].machine else {
            self.act(from, |machine, now| {
                machine.tried(&id);
                machine.refused(now, id);
            });
            return self.soon(SECOND * 2, Event::Dial { from, to, run });
        };
        let theirs = other.record().clone();
        let ours = self.nodes[from].machine.as_ref().expect("looked at above").record().clone();
        self.links.insert(pair(from, to), self.next_link);
        self.next_link += 1;
        let [there, here] = [&theirs, &ours].map(|signed| signed.record().incarnation.epoch);
        self.act(from, |machine, now| machine.linked(now, id, there, theirs, "out"));
        self.act(to, |machine, now| machine.linked(now, own, here, ours, "in"));
        self.nodes[to].wanted.insert(from);
    }

    fn unlink(&mut self, at: usize, peer: usize, end: LinkEnd) {
        self.links.remove(&pair(at, peer));
        let id = self.nodes[peer].id;
        self.act(at, |machine, now| machine.unlinked(now, id, end, ""));
        let run = self.nodes[at].runs;
        self.soon(MS * 200, Event::Dial { from: at, to: peer, run });
    }

    fn start(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.machine.is_some() {
            return;
        }
        node.runs += 1;
        let (run, epoch, seed) = (node.runs, epoch_at(100 + node.runs), self.dice.below(u64::MAX));
        let (keys, words) = (keys_of(node.id), about(&format!("n{number}")));
        node.machine = Some(Membership::new(keys, Profile::LAN, words, epoch, seed, self.now).unwrap());
        // Two seeds, which everybody knows.
        node.wanted = [0, 1].into_iter().filter(|seed| *seed != number).collect();
        for to in node.wanted.clone() {
            self.soon(MS * 20, Event::Dial { from: number, to, run });
        }
        self.arm(number);
    }

    fn crash(&mut self, number: usize) {
        self.nodes[number].machine = None;
        self.nodes[number].armed = None;
        self.nodes[number].runs += 1;
        let ends: Vec<_> = self.links.keys().copied().filter(|(a, b)| *a == number || *b == number).collect();
        for (a, b) in ends {
            let peer = a + b - number;
            self.unlink(peer, number, LinkEnd::Reset);
        }
    }

    /// Cuts the ways from each of one side to each of the other.
    fn cut(&mut self, from: &[usize], to: &[usize]) {
        for (a, b) in from.iter().flat_map(|a| to.iter().map(|b| (*a, *b))) {
            self.cuts.insert((a, b));
            if let Some(link) = self.links.get(&pair(a, b)).copied() {
                self.at(self.now + SECOND * 3, Event::Quiet { at: b, peer: a, link });
            }
        }
    }

    /// What a node holds live: who, which run, and whether it is suspect.
    fn view(machine: &Membership) -> BTreeSet<(NodeId, u64, State)> {
        let live = machine.members().filter(|member| member.state.is_live());
        let of = |record: &Record, state| (record.id, record.incarnation.epoch.start(), state);
        live.map(|member| of(member.record, member.state)).chain([of(machine.record().record(), State::Up)]).collect()
    }

    /// Why not all nodes agree on what is true, if they do not.
    fn disagreement(&self) -> Option<String> {
        let alive = || self.nodes.iter().filter_map(|node| node.machine.as_ref());
        let own = alive().map(|machine| machine.record().record());
        let truth: BTreeSet<_> = own.map(|record| (record.id, record.incarnation.epoch.start(), State::Up)).collect();
        let machine = alive().find(|machine| Mesh::view(machine) != truth)?;
        let name = |id: &NodeId| format!("n{}", self.by_id[id]);
        let view = Mesh::view(machine);
        let odd = view.symmetric_difference(&truth).map(|(id, start, state)| {
            let seen: Vec<_> = machine.transitions(id).map(ToString::to_string).collect();
            format!("{} {state} in {start} {seen:?}", name(id))
        });
        Some(format!("{} differs in {:?}", name(&machine.id()), odd.collect::<Vec<_>>()))
    }

    /// How long it takes until all agree, looked at ten times a second.
    fn agree_within(&mut self, limit: Duration) -> Duration {
        let mut taken = Duration::ZERO;
        while let Some(why) = self.disagreement() {
            assert!(taken < limit, "no agreement after {taken:?}: {why}");
            self.run(MS * 100);
            taken += MS * 100;
        }
        taken
    }

    /// Renewals go on for ever, and nothing else does.
    fn is_quiet_for(&mut self, time: Duration) {
        self.run(SECOND * 5);
        self.words.clear();
        self.run(time);
        let count = |word| self.words.get(word).copied().unwrap_or(0);
        let links = self.links.len() as u32;
        let renewals = (time.as_secs() / 27 + 1) as u32;
        assert_eq!((count("summary"), count("answer"), count("check")), (0, 0, 0), "{:?}", self.words);
        assert!(count("pushed") <= 2 * links * renewals, "{:?}", self.words);
        assert!(count("digest") <= 2 * links * renewals, "{:?}", self.words);
        let complete = |machine: &Membership| machine.missing().is_empty();
        assert!(self.nodes.iter().filter_map(|node| node.machine.as_ref()).all(complete), "a view is not complete");
    }

    fn start_all_within(&mut self, time: Duration) {
        for node in 0..self.nodes.len() {
            self.soon(time, Event::Start(node));
        }
    }
}

#[test]
fn sixty_four_nodes_that_start_at_once_agree_and_fall_silent() {
    let mut mesh = Mesh::new(1, 64);
    mesh.start_all_within(MS * 100);
    mesh.run(MS * 100);
    let taken = mesh.agree_within(SECOND * 3);
    let asked = mesh.words["summary"];
    println!("64 nodes agree {taken:?} after the last start; {:?}", mesh.words);
    assert!(asked < 64 * 63, "{asked} summaries");
    mesh.is_quiet_for(SECOND * 60);
}

#[test]
fn sixty_four_nodes_under_churn_agree_within_ten_seconds_of_the_last_change() {
    let mut mesh = Mesh::new(7, 64);
    mesh.start_all_within(SECOND * 5);
    let begin = mesh.now;
    for _ in 0..60 {
        let node = 2 + mesh.dice.below(62) as usize;
        let at = begin + mesh.dice.time(SECOND * 35);
        mesh.at(at, Event::Crash(node));
        // Most come back, before or after it is noticed.
        if mesh.dice.chance(90) {
            let again = at + mesh.dice.time(SECOND * 4);
            mesh.at(again, Event::Start(node));
        }
    }
    for _ in 0..600 {
        let (a, b) = (mesh.dice.below(64) as usize, mesh.dice.below(64) as usize);
        let at = begin + mesh.dice.time(SECOND * 40);
        mesh.at(at, Event::Break(a, b));
    }
    mesh.run(SECOND * 40);
    let taken = mesh.agree_within(SECOND * 10);
    println!("64 nodes agree {taken:?} after the last change; {:?}", mesh.words);
    mesh.is_quiet_for(SECOND * 30);
}

#[test]
fn after_a_minute_apart_all_see_the_same_within_twenty_seconds() {
    let all: Vec<usize> = (0..16).collect();
    let (left, right) = all.split_at(8);
    for (seed, ways) in [
        (1, vec![(left, right), (right, left)]),
        (2, vec![(left, right)]),
        // Everybody reaches the middle, and the two sides do not reach each other.
        (3, vec![(&left[..4], &right[4..]), (&right[4..], &left[..4])]),
    ] {
        let mut mesh = Mesh::new(seed, 16);
        mesh.start_all_within(MS * 100);
        mesh.run(SECOND * 5);
        mesh.agree_within(SECOND);
        for (from, to) in &ways {
            mesh.cut(from, to);
        }
        mesh.run(SECOND * 60);
        mesh.cuts.clear();
        let taken = mesh.agree_within(SECOND * 20);
        println!("seed {seed}: views are equal {taken:?} after the partition");
        mesh.is_quiet_for(SECOND * 30);
    }
}

#[test]
fn nobody_is_lost_who_is_cut_off_from_one_node_only() {
    let mut mesh = Mesh::new(5, 8);
    mesh.start_all_within(MS * 100);
    mesh.run(SECOND * 5);
    mesh.cut(&[3], &[4]);
    mesh.cut(&[4], &[3]);
    for _ in 0..60 {
        mesh.run(SECOND);
        for (at, peer) in [(3, 4), (4, 3)] {
            let machine = mesh.nodes[at].machine.as_ref().unwrap();
            let state = machine.member(&mesh.nodes[peer].id).unwrap().state;
            assert!(state.is_live(), "{state}: {:?}", machine.transitions(&mesh.nodes[peer].id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_crash_is_seen_by_all_within_three_seconds_where_addresses_refuse() {
    let mut mesh = Mesh::new(6, 16);
    mesh.start_all_within(MS * 100);
    mesh.run(SECOND * 5);
    mesh.crash(7);
    let taken = mesh.agree_within(SECOND * 3);
    println!("16 nodes agree on a crash after {taken:?}");
}
