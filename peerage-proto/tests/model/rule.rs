//! What decides at each end: the shipped machine, and three rules that look right and are not.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::LazyLock;
use std::time::Instant;

use peerage_proto::hello::{HelloError, Refusal};
use peerage_proto::id::{Epoch, LinkId, LinkOrder, NodeId};
use peerage_proto::node::{Config, Control, Input, Node, Order, Output, Proved, Trust, WhyClosed, WhyDown};
use peerage_proto::outcome::LinkLost;

use crate::world::WIRES;

/// A link, by the order in which it was dialled.
pub(crate) type Wire = u8;

/// How often a link was kept.
pub(crate) type Round = u8;

/// An end, 0 or 1.
pub(crate) type End = usize;

/// What happens to a machine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Fact {
    /// The other end, in this epoch, has proved itself on a link dialled by `dialler` as its `seq`th.
    Proved {
        wire: Wire,
        epoch: u8,
        dialler: End,
        seq: u8,
    },
    Up(Wire),
    Refused(Wire),
    Lost(Wire),
    Superseded(Wire, Place, Round),
    SupersededOk(Wire, Place, Round),
    Idle(Wire, u8),
}

/// What a machine wants done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Act {
    Admit(Wire),
    Refuse(Wire),
    Activate(Wire),
    Retire(Wire),
    Restore(Wire),
    WhenIdle(Wire, u8),
    Superseded(Wire, Place, Round),
    SupersededOk(Wire, Place, Round),
    /// `true`: by the rule for duplicates.
    Close(Wire, bool),
}

/// A link as the wire names it in words about links.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) dialler: u8,
    pub(crate) seq: u8,
    pub(crate) wire: Wire,
}

/// One end's decisions.
pub(crate) trait Rule: Clone + Debug + Eq + Hash {
    fn new(end: End, epoch: u8) -> Self;
    fn step(&mut self, fact: Fact, acts: &mut Vec<Act>);
}

/// The code that ships.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Shipped(Node);

impl Rule for Shipped {
    fn new(end: End, epoch: u8) -> Shipped {
        Shipped(Node::new(Config::new(id(end), self::epoch(epoch), 0)))
    }

    fn step(&mut self, fact: Fact, acts: &mut Vec<Act>) {
        let link = |wire: Wire| LinkId(wire.into());
        let down = |wire, why| Input::Down { link: link(wire), why };
        let input = match fact {
            Fact::Proved { wire, epoch, dialler, seq } => Input::Proved {
                link: link(wire),
                proved: Proved {
                    peer: if self.0.id() == id(0) { id(1) } else { id(0) },
                    trust: Trust::Proven,
                    epoch: self::epoch(epoch),
                    order: order(Place { dialler: dialler as u8, seq, wire }),
                },
                dialled: None,
            },
            Fact::Up(wire) => Input::Up { link: link(wire) },
            Fact::Refused(wire) => down(wire, WhyDown::Hello(HelloError::Refused(Refusal::Draining))),
            Fact::Lost(wire) => down(wire, WhyDown::Lost(LinkLost::PeerClosed)),
            Fact::Superseded(wire, winner, round) => Input::Heard {
                link: link(wire),
                control: Control::Superseded { winner: order(winner), round: round.into() },
            },
            Fact::SupersededOk(wire, winner, round) => Input::Heard {
                link: link(wire),
                control: Control::SupersededOk { winner: order(winner), round: round.into() },
            },
            Fact::Idle(wire, ask) => Input::Idle { link: link(wire), ask: ask.into() },
        };
        acts.extend(self.0.handle(*NOW, input).filter_map(|output| match output {
            Output::Order(order) => Some(act(order)),
            Output::Event(_) | Output::Tell { .. } | Output::Cut { .. } => None,
        }));
    }
}

fn act(order: Order) -> Act {
    let wire = |link: LinkId| link.0 as Wire;
    match order {
        Order::Admit { link } => Act::Admit(wire(link)),
        Order::Refuse { link, .. } => Act::Refuse(wire(link)),
        Order::Activate { link, .. } => Act::Activate(wire(link)),
        Order::Retire { link } => Act::Retire(wire(link)),
        Order::Restore { link } => Act::Restore(wire(link)),
        Order::WhenIdle { link, ask } => Act::WhenIdle(wire(link), ask as u8),
        Order::Send { link, control: Control::Superseded { winner, round } } => {
            Act::Superseded(wire(link), place(winner), round as Round)
        }
        Order::Send { link, control: Control::SupersededOk { winner, round } } => {
            Act::SupersededOk(wire(link), place(winner), round as Round)
        }
        Order::Close { link, why } => Act::Close(wire(link), why == WhyClosed::Superseded),
        other => panic!("nobody asked for {other}"),
    }
}

/// All time is one moment: the rule for duplicates knows no clock.
static NOW: LazyLock<Instant> = LazyLock::new(peerage_proto::sim::epoch);

/// The id of end 1 is the greater one.
fn id(end: End) -> NodeId {
    NodeId::from_bytes([end as u8 + 1; 32])
}

fn epoch(number: u8) -> Epoch {
    Epoch::new(number.into(), [0; 16])
}

fn order(place: Place) -> LinkOrder {
    LinkOrder { dialer: id(place.dialler.into()), dial_seq: place.seq.into(), binding: [place.wire; 32] }
}

fn place(order: LinkOrder) -> Place {
    let dialler = u8::from(order.dialer == id(1));
    Place { dialler, seq: order.dial_seq as u8, wire: order.binding[0] }
}

/// Rules without a word to the other end: every link is taken, and all but one are closed at once.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Hasty<const KEEP: u8> {
    /// With the link's place, in the order of arrival.
    links: Vec<(Wire, Place, bool)>,
    active: Option<Wire>,
}

/// The link that was there first stays.
pub(crate) type KeepFirst = Hasty<0>;
/// The newest link stays.
pub(crate) type KeepLast = Hasty<1>;
/// The greatest link stays, as in the shipped rule, but the others are closed at once.
pub(crate) type CloseAtOnce = Hasty<2>;

impl<const KEEP: u8> Rule for Hasty<KEEP> {
    fn new(_: End, _: u8) -> Self {
        Hasty { links: Vec::new(), active: None }
    }

    fn step(&mut self, fact: Fact, acts: &mut Vec<Act>) {
        match fact {
            Fact::Proved { wire, dialler, seq, .. } => {
                self.links.push((wire, Place { dialler: dialler as u8, seq, wire }, false));
                acts.push(Act::Admit(wire));
            }
            Fact::Up(wire) => {
                let at = self.links.iter().position(|(link, ..)| *link == wire).expect("it was proved");
                let (wire, place, _) = self.links.remove(at);
                self.links.push((wire, place, true));
            }
            Fact::Refused(wire) | Fact::Lost(wire) => self.links.retain(|(link, ..)| *link != wire),
            Fact::Superseded(..) | Fact::SupersededOk(..) | Fact::Idle(..) => {}
        }
        let mut up = self.links.iter().filter(|(.., is_up)| *is_up);
        let best = match KEEP {
            0 => up.next(),
            1 => up.next_back(),
            _ => up.max_by_key(|(_, place, _)| *place),
        };
        let best = best.map(|(wire, ..)| *wire);
        if let Some(wire) = best.filter(|_| best != self.active) {
            acts.push(Act::Activate(wire));
        }
        self.active = best;
        self.links.retain(|(wire, _, is_up)| {
            let stays = !is_up || Some(*wire) == best;
            acts.extend((!stays).then_some(Act::Close(*wire, true)));
            stays
        });
    }
}

/// The shipped machine with a part of its rule taken away, on the way between it and the network.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Without<const PART: u8> {
    machine: Shipped,
    /// The round in the last naming on each link.
    rounds: [Round; WIRES],
}

/// An answer is good for every round of the same naming.
pub(crate) type WithoutRounds = Without<0>;
/// Nobody says that a link is kept.
pub(crate) type WithoutKeeping = Without<1>;
/// A loser is closed whatever is open on it.
pub(crate) type WithoutIdleness = Without<2>;

impl<const PART: u8> Rule for Without<PART> {
    fn new(end: End, epoch: u8) -> Self {
        Without { machine: Shipped::new(end, epoch), rounds: [0; WIRES] }
    }

    fn step(&mut self, fact: Fact, acts: &mut Vec<Act>) {
        let mut facts = vec![match fact {
            Fact::SupersededOk(wire, place, _) if PART == 0 => {
                Fact::SupersededOk(wire, place, self.rounds[wire as usize])
            }
            fact => fact,
        }];
        while let Some(fact) = facts.pop() {
            let mut wanted = Vec::new();
            self.machine.step(fact, &mut wanted);
            for act in wanted {
                match act {
                    Act::Superseded(wire, place, _) if PART == 1 && place.wire == wire => continue,
                    Act::Superseded(wire, _, round) => self.rounds[wire as usize] = round,
                    Act::WhenIdle(wire, ask) if PART == 2 => {
                        facts.push(Fact::Idle(wire, ask));
                        continue;
                    }
                    _ => {}
                }
                acts.push(act);
            }
        }
    }
}
