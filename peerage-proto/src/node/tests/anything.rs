//! Whatever peers say, connections do and applications want, in whatever order: no panic, every bound kept, every question
//! answered once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Links that the node under test may have.
const LINKS_MAX: u32 = 12;

#[derive(Clone, Debug)]
enum Step {
    Connect { to: usize, expected: Option<u8>, keep: Keep },
    Withdraw { to: usize },
    NetworkChanged,
    Addresses { peer: u8, count: usize },
    DialFailed { nth: usize, why: usize },
    Proved { peer: u8, start: u64, proven: bool, dial: Option<usize>, seq: u64 },
    Up(usize),
    Down { nth: usize, why: usize },
    Heard { nth: usize, word: usize, seq: u64, round: u32 },
    Answered(usize),
    Idle { nth: usize, ask: u32 },
    Disconnect(u8),
    Redial,
    Drain(u64),
    Stop,
    Trouble(u16),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || 1_u8..6;
    let nth = || 0_usize..40;
    let seq = || prop_oneof![4 => 0_u64..6, 1 => Just(u64::MAX)];
    let millis = || prop_oneof![4 => 0_u64..500, 2 => 900_u64..12_000, 1 => 60_000_u64..4_000_000];
    let keep = prop_oneof![Just(Keep::Once), Just(Keep::Forever), Just(Keep::Found)];
    prop_oneof![
        8 => (0_usize..6, prop::option::of(peer()), keep)
            .prop_map(|(to, expected, keep)| Step::Connect { to, expected, keep }),
        3 => (0_usize..6).prop_map(|to| Step::Withdraw { to }),
        1 => Just(Step::NetworkChanged),
        2 => (peer(), 0_usize..30).prop_map(|(peer, count)| Step::Addresses { peer, count }),
        3 => (nth(), 0_usize..5).prop_map(|(nth, why)| Step::DialFailed { nth, why }),
        12 => (peer(), 0_u64..4, any::<bool>(), prop::option::of(nth()), seq())
            .prop_map(|(peer, start, proven, dial, seq)| Step::Proved { peer, start, proven, dial, seq }),
        12 => nth().prop_map(Step::Up),
        5 => (nth(), 0_usize..5).prop_map(|(nth, why)| Step::Down { nth, why }),
        20 => (nth(), 0_usize..8, seq(), 0_u32..4)
            .prop_map(|(nth, word, seq, round)| Step::Heard { nth, word, seq, round }),
        2 => nth().prop_map(Step::Answered),
        5 => (nth(), prop_oneof![4 => 0_u32..4, 1 => Just(u32::MAX)]).prop_map(|(nth, ask)| Step::Idle { nth, ask }),
        2 => peer().prop_map(Step::Disconnect),
        1 => Just(Step::Redial),
        1 => (0_u64..20).prop_map(Step::Drain),
        1 => Just(Step::Stop),
        1 => (0_u16..200).prop_map(Step::Trouble),
        6 => millis().prop_map(Step::Pass),
    ]
}

/// A node, and what follows from its orders and events.
struct World {
    scene: Scene,
    /// Links that were proved, all of them; those that are admitted and have not ended.
    links: Vec<(LinkId, LinkOrder)>,
    admitted: BTreeSet<LinkId>,
    closed: BTreeSet<LinkId>,
    dials: Vec<DialId>,
    dialling: BTreeSet<DialId>,
    asked: u64,
    answered: BTreeSet<u64>,
    connected: BTreeMap<NodeId, bool>,
    faults: usize,
    is_stopped: bool,
}

impl World {
    fn new() -> World {
        let config = Config { links_max: LINKS_MAX, ..Config::new(ADA, epoch(2), 4711) };
        World {
            scene: Scene::of(config),
            links: Vec::new(),
            admitted: BTreeSet::new(),
            closed: BTreeSet::new(),
            dials: Vec::new(),
            dialling: BTreeSet::new(),
            asked: 0,
            answered: BTreeSet::new(),
            connected: BTreeMap::new(),
            faults: 0,
            is_stopped: false,
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Pass(time) => self.scene.after(millis(time)),
            // The driver answers for a node that has stopped.
            Step::Connect { .. } if self.is_stopped => {}
            step => {
                let input = self.input(step);
                self.scene.feed(input);
            }
        }
        self.look();
    }

    fn input(&mut self, step: Step) -> Input {
        let links = &self.links;
        let link = |nth: usize| links.get(nth % links.len().max(1)).map_or(LinkId(u64::MAX), |(link, _)| *link);
        match step {
            Step::Connect { to, expected, keep } => {
                self.asked += 1;
                Input::Connect {
                    connect: Some(ConnectId(self.asked)),
                    address: address(&format!("tls://host-{to}")),
                    expected: expected.map(node),
                    keep,
                }
            }
            Step::Withdraw { to } => Input::Withdraw { address: address(&format!("tls://host-{to}")) },
            Step::NetworkChanged => Input::NetworkChanged { here: Here::default() },
            Step::Addresses { peer, count } => {
                let addresses = (0..count).map(|n| address(&format!("tls://of-{peer}-{n}"))).collect();
                Input::Addresses { peer: node(peer), addresses }
            }
            Step::DialFailed { nth, why } => {
                let dial = self.dials.get(nth % self.dials.len().max(1)).copied().unwrap_or(DialId(77_777));
                self.dialling.remove(&dial);
                Input::DialFailed { dial, why: dial_error(why) }
            }
            Step::Proved { peer, start, proven, dial, seq } => self.proved(peer, start, proven, dial, seq),
            Step::Up(nth) => Input::Up { link: link(nth) },
            Step::Down { nth, why } => {
                let link = link(nth);
                self.admitted.remove(&link);
                Input::Down { link, why: why_down(why) }
            }
            Step::Heard { nth, word, seq, round } => {
                Input::Heard { link: link(nth), control: self.control(nth, word, seq, round) }
            }
            Step::Answered(nth) => Input::Answered { link: link(nth) },
            Step::Idle { nth, ask } => Input::Idle { link: link(nth), ask },
            Step::Disconnect(peer) => Input::Disconnect { peer: node(peer), reason: "x".repeat(500) },
            Step::Redial => Input::Redial,
            Step::Drain(seconds) => Input::Drain { within: secs(seconds), reason: String::new() },
            Step::Stop => Input::Stop { reason: String::new() },
            Step::Trouble(port) => trouble(port),
            Step::Pass(_) => Input::Timeout,
        }
    }

    fn proved(&mut self, peer: u8, start: u64, proven: bool, dial: Option<usize>, seq: u64) -> Input {
        let dialled = dial.and_then(|nth| self.dials.get(nth % self.dials.len().max(1)).copied());
        let dialled = dialled.filter(|dial| self.dialling.remove(dial));
        let link = LinkId(self.links.len() as u64);
        let dialer = if dialled.is_some() { ADA } else { node(peer) };
        let order = LinkOrder { dialer, dial_seq: seq, binding: [link.0 as u8; 32] };
        self.links.push((link, order));
        let trust = if proven { Trust::Proven } else { Trust::Claimed };
        Input::Proved { link, proved: Proved { peer: node(peer), trust, epoch: epoch(start), order }, dialled }
    }

    fn control(&self, nth: usize, word: usize, seq: u64, round: u32) -> Control {
        let winner = match self.links.get((nth + seq as usize % 7) % self.links.len().max(1)) {
            Some((_, order)) if word.is_multiple_of(2) => *order,
            _ => LinkOrder { dialer: node(1 + (seq % 5) as u8), dial_seq: seq, binding: [9; 32] },
        };
        match word {
            0..3 => Control::Superseded { winner, round },
            3..5 => Control::SupersededOk { winner, round },
            5 => Control::Disconnect { reason: "é".repeat(300) },
            6 => Control::Disconnected,
            _ => Control::Draining,
        }
    }

    /// Takes in what was ordered and told.
    fn look(&mut self) {
        for order in std::mem::take(&mut self.scene.orders) {
            assert!(!self.is_stopped, "nothing is ordered after the last order: {order:?}");
            match order {
                Order::Dial { dial, .. } => {
                    self.dials.push(dial);
                    assert!(self.dialling.insert(dial), "every dial has a number of its own");
                }
                Order::Abandon { dial } => _ = self.dialling.remove(&dial),
                Order::Admit { link } => assert!(self.admitted.insert(link), "a link is admitted once"),
                Order::Refuse { link, .. } => {
                    assert!(!self.admitted.contains(&link), "what is admitted is not refused")
                }
                Order::Close { link, .. } => assert!(self.closed.insert(link), "a link is closed once"),
                Order::Send { link, control: Control::Disconnect { reason } } => {
                    assert!(!self.closed.contains(&link) && reason.len() <= limits::REASON_BYTES_MAX);
                }
                Order::Activate { link, .. } | Order::Restore { link } | Order::Send { link, .. } => {
                    assert!(!self.closed.contains(&link), "nothing is wanted of a closed link");
                }
                Order::Answer { connect, .. } => {
                    assert!(self.answered.insert(connect.0), "a question is answered once")
                }
                Order::Stopped => self.is_stopped = true,
                _ => {}
            }
        }
        for event in std::mem::take(&mut self.scene.events) {
            match event {
                Event::LinkUp { peer, .. } => assert_ne!(self.connected.insert(peer, true), Some(true)),
                Event::LinkDown { peer, .. } => assert_eq!(self.connected.insert(peer, false), Some(true)),
                Event::Fault(_) => self.faults += 1,
                Event::Cleared(_) => self.faults -= 1,
                _ => {}
            }
        }
        let node = &self.scene.node;
        assert!(self.admitted.len() <= LINKS_MAX as usize, "links are bounded");
        assert!(self.dialling.len() <= limits::DIALS_AT_ONCE_MAX, "dials are bounded");
        assert_eq!(node.faults().len(), self.faults, "faults that are told are those there are");
        assert!(self.faults <= limits::FAULTS_MAX, "faults are bounded");
        assert_eq!(node.connected(), self.connected.values().filter(|up| **up).count());
    }
}

fn trouble(port: u16) -> Input {
    let trouble = Trouble::Listen(address(&format!("tls://[::]:{}", port / 2 + 1)));
    match port % 2 {
        0 => Input::Troubled { trouble, detail: "in use".to_owned() },
        _ => Input::Cured { trouble },
    }
}

fn node(nth: u8) -> NodeId {
    NodeId::from_bytes([nth; 32])
}

fn dial_error(nth: usize) -> DialError {
    match nth {
        0 => refused(busy()),
        1 => refused(Refusal::StaleEpoch { newest: epoch(9) }),
        2 => DialError::Hello(HelloError::WrongNetwork),
        3 => DialError::Hello(HelloError::ToMyself),
        _ => unreachable(),
    }
}

fn why_down(nth: usize) -> WhyDown {
    match nth {
        0 => WhyDown::TooSlow,
        1 => WhyDown::Hello(HelloError::Refused(Refusal::StaleEpoch { newest: Epoch::new(u64::MAX, [0xff; 16]) })),
        2 => WhyDown::Hello(HelloError::TimedOut),
        3 => WhyDown::Lost(LinkLost::Silent),
        _ => WhyDown::Lost(LinkLost::PeerClosed),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_bounds_are_kept_and_every_question_is_answered_once(
        steps in prop::collection::vec(step(), 1..160)
    ) {
        let mut world = World::new();
        for step in steps {
            world.perform(step);
        }
        // Every link ends and nobody answers any dial, so each question has its answer soon.
        (0..world.links.len()).for_each(|nth| world.perform(Step::Down { nth, why: 4 }));
        (0..60).for_each(|_| world.perform(Step::Pass(4_000)));
        assert_eq!(world.answered, (1..=world.asked).collect(), "every question is answered");
        (0..3).for_each(|_| world.perform(Step::Stop));
        assert!(world.is_stopped && world.dialling.is_empty(), "a stopped node wants nothing more");
    }
}
