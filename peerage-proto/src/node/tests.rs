//! A node and what it is told, step by step.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::*;
use crate::hello::{HelloError, Refusal};
use crate::id::LinkOrder;
use crate::outcome::LinkLost;

mod admission;
mod anything;
mod contacts;
mod farewell;
mod faults;
mod finding;
mod hearsay;

const ADA: NodeId = NodeId::from_bytes([1; 32]);
const BOB: NodeId = NodeId::from_bytes([2; 32]);
const CAT: NodeId = NodeId::from_bytes([3; 32]);

fn epoch(start: u64) -> Epoch {
    Epoch::new(start, [7; 16])
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ada's node, the time, and what it has ordered and told and nobody has looked at yet.
struct Scene {
    node: Node,
    now: Instant,
    orders: VecDeque<Order>,
    events: VecDeque<Event>,
    next_link: u64,
    node_keeps_members: bool,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(Config::new(ADA, epoch(100), 4711))
    }

    fn of(config: Config) -> Scene {
        let (orders, events) = (VecDeque::new(), VecDeque::new());
        Scene {
            node: Node::new(config),
            now: crate::sim::epoch(),
            orders,
            events,
            next_link: 1,
            node_keeps_members: false,
        }
    }

    fn feed(&mut self, input: Input) {
        for output in self.node.handle(self.now, input) {
            match output {
                Output::Order(order) => self.orders.push_back(order),
                Output::Event(event) => self.events.push_back(event),
                // What is said about members is for other tests.
                _ if self.node_keeps_members => {}
                Output::Tell { .. } | Output::Cut { .. } => panic!("this node keeps no members"),
            }
        }
    }

    /// Lets time pass, waking the node whenever it wants to be.
    fn after(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.node.next_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "it wants to be woken in the past");
            self.now = at;
            self.feed(Input::Timeout);
            assert_ne!(self.node.next_timeout(), Some(at), "it wants to be woken again and again");
        }
        self.now = end;
    }

    /// A connection whose other end has proved to be this node in this epoch; accepted, or led to by a dial.
    fn proved_by(&mut self, peer: NodeId, epoch: Epoch, trust: Trust, dialled: Option<DialId>) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let dialer = if dialled.is_some() { ADA } else { peer };
        let order = LinkOrder { dialer, dial_seq: link.0, binding: [0; 32] };
        self.feed(Input::Proved { link, proved: Proved { peer, trust, epoch, order }, dialled });
        link
    }

    fn proved(&mut self, peer: NodeId, start: u64) -> LinkId {
        self.proved_by(peer, epoch(start), Trust::Proven, None)
    }

    /// A link with this node that is up.
    fn link(&mut self, peer: NodeId) -> LinkId {
        let link = self.proved(peer, 1);
        self.feed(Input::Up { link });
        link
    }

    /// Like `link`, and nothing of it is left to be looked at.
    fn linked(&mut self, peer: NodeId) -> LinkId {
        let link = self.link(peer);
        self.forget();
        link
    }

    fn lost(&mut self, link: LinkId) {
        self.feed(Input::Down { link, why: WhyDown::Lost(LinkLost::PeerClosed) });
    }

    fn connect(&mut self, connect: u64, to: &str) {
        let connect = Some(ConnectId(connect));
        self.feed(Input::Connect { connect, address: address(to), expected: None, keep: Keep::Once });
    }

    fn seed(&mut self, at: &str) {
        self.feed(Input::Connect { connect: None, address: address(at), expected: None, keep: Keep::Forever });
    }

    fn found(&mut self, at: &str) {
        self.feed(Input::Connect { connect: None, address: address(at), expected: None, keep: Keep::Found });
    }

    fn fails(&mut self, dial: DialId, why: DialError) {
        self.feed(Input::DialFailed { dial, why });
    }

    fn forget(&mut self) {
        self.orders.clear();
        self.events.clear();
    }

    #[track_caller]
    fn ordered(&mut self, expected: &[Order]) -> &mut Scene {
        let orders: Vec<Order> = self.orders.drain(..).collect();
        assert_eq!(orders, expected);
        self
    }

    #[track_caller]
    fn told(&mut self, expected: &[Event]) -> &mut Scene {
        let events: Vec<Event> = self.events.drain(..).collect();
        assert_eq!(events, expected);
        self
    }

    /// The one dial that was ordered, and nothing else.
    #[track_caller]
    fn dials(&mut self, to: &str) -> DialId {
        match self.orders.pop_front() {
            Some(Order::Dial { dial, address: found, .. }) if found == address(to) && self.orders.is_empty() => dial,
            other => panic!("expected a dial to {to}, found {other:?} and {:?}", self.orders),
        }
    }

    /// Lets time pass until something is ordered. How long that was.
    #[track_caller]
    fn waits(&mut self) -> Duration {
        self.waits_or_nothing().expect("something is due")
    }

    /// The same, if anything is ordered at all.
    fn waits_or_nothing(&mut self) -> Option<Duration> {
        let began = self.now;
        while self.orders.is_empty() {
            self.now = self.node.next_timeout()?;
            self.feed(Input::Timeout);
        }
        Some(self.now - began)
    }

    fn fault_names(&self) -> Vec<&'static str> {
        self.node.faults().iter().map(|fault| fault.kind.name()).collect()
    }
}

fn unreachable() -> DialError {
    DialError::Unreachable { refused: true, why: "connection refused".to_owned() }
}

fn refused(why: Refusal) -> DialError {
    DialError::Hello(HelloError::Refused(why))
}

fn link_up(peer: NodeId, start: u64, link: LinkId) -> Event {
    Event::LinkUp { peer, epoch: epoch(start), link, dialled: false }
}

fn link_down(peer: NodeId, start: u64, why: WhyDown) -> Event {
    Event::LinkDown { peer, epoch: epoch(start), why }
}

fn busy() -> Refusal {
    Refusal::Busy { retry_after: secs(1) }
}
