//! Every interleaving of two nodes that dial each other: the rule for duplicate links, on the code that ships.
//!
//! The proof obligations are those of docs/guarantees.md: at rest both ends hold the same single link (P1); while nothing is
//! broken there is a usable link at every moment (P2); nothing is sent into a link that its other end has closed by the
//! rule, and no call is lost to it (P3); everything comes to rest (P4); all of that with broken links and a restart (P5).
//!
//! The same search over rules that look right shows that it can find what it looks for.

#![allow(clippy::disallowed_types, reason = "tables that are only looked up in, never iterated")]

use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};

mod budget;
mod machines;
mod rule;
mod wire;
mod world;

use budget::Budget;
use machines::{Fast, Machines};
use rule::{CloseAtOnce, KeepFirst, KeepLast, Rule, Shipped, WithoutIdleness, WithoutKeeping, WithoutRounds};
use world::{Broken, Step, World};

/// What a search has found.
#[derive(Debug, Default)]
struct Found {
    states: u64,
    steps: u64,
    /// Moments at rest with all dials made.
    ends: u64,
    bad_ends: u64,
    without_link: u64,
    into_closed: u64,
    calls_lost: u64,
    machines: usize,
    machine_steps: usize,
    first: Option<(Broken, Vec<Step>)>,
}

impl Found {
    fn note(&mut self, broken: Broken, path: &[Frame]) {
        match broken {
            Broken::Agreement => self.bad_ends += 1,
            Broken::Continuity => self.without_link += 1,
            Broken::IntoClosed => self.into_closed += 1,
            Broken::CallLost => self.calls_lost += 1,
        }
        if self.first.is_none() {
            self.first = Some((broken, path.iter().filter_map(|frame| frame.came_by).collect()));
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} moments, {} steps, {} machines with {} steps; ",
            self.states, self.steps, self.machines, self.machine_steps
        )?;
        write!(f, "{} of {} ends are bad, {} moments without a link, ", self.bad_ends, self.ends, self.without_link)?;
        write!(f, "{} sends into a closed end, {} calls lost", self.into_closed, self.calls_lost)
    }
}

/// One moment on the path from the beginning to where the search is.
struct Frame {
    world: World,
    came_by: Option<Step>,
    steps: Vec<Step>,
    print: u64,
}

/// Visits every moment that can be reached. Stops at the first broken promise if told to.
fn search<R: Rule>(budget: &Budget, stop: bool) -> Found {
    let mut machines = Machines::<R>::new();
    let mut seen: HashSet<u64, BuildHasherDefault<Fast>> = HashSet::default();
    let mut on_path: HashSet<u64, BuildHasherDefault<Fast>> = HashSet::default();
    let (mut found, mut path, mut spare) = (Found::default(), Vec::<Frame>::new(), Vec::<Vec<Step>>::new());
    let mut next = Some((World::new(&mut machines), None));
    loop {
        if let Some((world, came_by)) = next.take() {
            let print = world.fingerprint();
            assert!(!on_path.contains(&print), "P4: the same moment comes again and again: {:?}", steps_of(&path));
            if seen.insert(print) {
                found.states += 1;
                let mut steps = spare.pop().unwrap_or_default();
                world.steps(budget, &mut steps);
                on_path.insert(print);
                path.push(Frame { world, came_by, steps, print });
                let frame = path.last().expect("pushed just now");
                let at_rest = !frame.steps.iter().any(|step| step.is_due());
                let broken = world.broken.or((at_rest && !world.agrees()).then_some(Broken::Agreement));
                found.ends += u64::from(at_rest && world.dialled == budget.dials);
                if let Some(broken) = broken {
                    found.note(broken, &path);
                    if stop {
                        break;
                    }
                }
            }
        }
        let Some(frame) = path.last_mut() else { break };
        match frame.steps.pop() {
            Some(step) => {
                found.steps += 1;
                next = Some((frame.world.after(step, budget, &mut machines), Some(step)));
            }
            None => {
                let mut frame = path.pop().expect("looked at above");
                on_path.remove(&frame.print);
                frame.steps.clear();
                spare.push(frame.steps);
            }
        }
    }
    (found.machines, found.machine_steps) = machines.counts();
    found
}

fn steps_of(path: &[Frame]) -> Vec<Step> {
    path.iter().filter_map(|frame| frame.came_by).collect()
}

/// Searches the shipped rule, prints what was visited, and fails with the interleaving that breaks a promise.
fn prove(budget: Budget) {
    let found = search::<Shipped>(&budget, true);
    println!("{budget}: {found}");
    if let Some((broken, steps)) = found.first {
        panic!("{broken:?} is broken by\n{}", tell::<Shipped>(&budget, &steps));
    }
}

/// An interleaving, step by step, with what each machine was told and ordered.
fn tell<R: Rule>(budget: &Budget, steps: &[Step]) -> String {
    let mut machines = Machines::<R>::new();
    let mut world = World::new(&mut machines);
    let mut story = String::new();
    for step in steps {
        machines.log = Some(String::new());
        world = world.after(*step, budget, &mut machines);
        story += &format!("  {step:?}: {}\n", machines.log.take().unwrap_or_default());
    }
    story
}

#[test]
fn two_nodes_end_with_one_link_and_are_never_without_whatever_the_timing() {
    for dials in 1..=4 {
        prove(Budget { dials, ..Budget::NOTHING });
    }
    prove(Budget { dials: 3, calls: 1, ..Budget::NOTHING });
    prove(Budget { dials: 2, calls: 1, kills: 2, restarts: 1, ..Budget::NOTHING });
    prove(Budget { dials: 3, kills: 2, restarts: 1, ..Budget::NOTHING });
    prove(Budget { dials: 4, restarts: 1, ..Budget::NOTHING });
    prove(Budget { dials: 4, kills: 1, diallers: Some([0, 1, 0, 1]), ..Budget::NOTHING });
}

/// The whole of it, in parts small enough for the memory: one for each order in which the two may dial.
#[test]
#[ignore = "takes half an hour: .ci/long model"]
fn four_dials_two_broken_links_and_a_restart_in_every_interleaving() {
    prove(Budget { dials: 4, calls: 1, ..Budget::NOTHING });
    prove(Budget { dials: 3, calls: 1, kills: 2, restarts: 1, ..Budget::NOTHING });
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let order @ 0..16 = next.fetch_add(1, Ordering::Relaxed) {
                    let diallers = Some([order & 1, order >> 1 & 1, order >> 2 & 1, order >> 3 & 1]);
                    prove(Budget { dials: 4, kills: 2, restarts: 1, diallers, ..Budget::NOTHING });
                }
            });
        }
    });
}

#[test]
fn the_search_finds_what_is_wrong_with_rules_that_look_right() {
    for (dials, calls) in [(2, 0), (3, 0), (4, 0), (2, 1), (3, 1)] {
        let budget = Budget { dials, calls, ..Budget::NOTHING };
        let [first, last, hasty] = [
            ("keep first", search::<KeepFirst>(&budget, false)),
            ("keep last", search::<KeepLast>(&budget, false)),
            ("close at once", search::<CloseAtOnce>(&budget, false)),
        ]
        .map(|(name, found)| {
            println!("{name}, {budget}: {found}");
            found
        });
        // By order of arrival each end may choose differently, and then they close each other's link.
        assert!(first.bad_ends > 0, "{first}");
        assert!(last.bad_ends > 0 || dials == 2, "{last}");
        // A common order cures that, and leaves moments without a link.
        assert!(hasty.bad_ends == 0 && hasty.without_link > 0, "{hasty}");
        // What is closed at once loses what is on its way.
        if calls > 0 {
            assert!([first, last, hasty].iter().all(|found| found.into_closed > 0 && found.calls_lost > 0));
        }
    }
}

/// What the rule is made of is needed: each part taken away breaks a promise.
#[test]
fn the_search_finds_what_each_part_of_the_rule_is_for() {
    let without = [
        ("rounds", first::<WithoutRounds>(Budget { dials: 3, kills: 2, ..Budget::NOTHING })),
        ("words of keeping", first::<WithoutKeeping>(Budget { dials: 2, kills: 1, ..Budget::NOTHING })),
        ("idleness", first::<WithoutIdleness>(Budget { dials: 2, calls: 1, ..Budget::NOTHING })),
    ];
    for (part, broken) in without {
        println!("without {part}: {broken:?}");
        assert!(broken.is_some(), "nothing is broken without {part}");
    }
}

/// The first broken promise that a search comes upon.
fn first<R: Rule>(budget: Budget) -> Option<(Broken, Vec<Step>)> {
    search::<R>(&budget, true).first
}
