//! The node link of `PROTOCOL.md` §10.9, byte for byte: two machines are told what the document says, and write what it shows.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use peerage_proto::channel::{Answer, Channel, Config, Content, Input, Output, Served, Token};
use peerage_proto::codec::{Encoding, Form, Payload};
use peerage_proto::frame::{Kind, Side};
use peerage_proto::hello::{Introduction, NetworkKey};
use peerage_proto::id::{Epoch, LinkOrder, NodeId};
use peerage_proto::keys::Signer;
use peerage_proto::membership::{Incarnation, Record, SignedRecord};
use peerage_proto::node::Control;
use peerage_proto::outcome::{CallError, Code, Refused, Stop};
use peerage_proto::sim;

use crate::admission::Key;
use crate::vectors::Vectors;

#[test]
fn two_machines_write_the_link_of_the_document() {
    let mut link = Link::new();

    link.says(D, &introduction("seed d", "ada", 4242, 0x3a, &["tls://192.0.2.7:5000"]));
    link.says(A, &introduction("seed a", "bob", 77, 0xbb, &[]));
    link.shows(D, &["introduction", "ping"]);
    link.shows(A, &["introduction", "ping", "pong"]);
    link.shows(D, &["pong"]);

    link.feed(D, Input::Propose(Form::COMPRESSED));
    link.shows(D, &["propose"]);
    link.shows(A, &["agree"]);
    link.shows(D, &["agree"]);
    assert_eq!(link.agreed, [Form::COMPRESSED; 2]);

    let long = text(&"peerage ".repeat(200));
    link.calls(D, 0, &long);
    link.shows(D, &["request 0"]);
    let (_, served, content) = link.asked.pop_front().expect("the request is served");
    assert_eq!(content, long);
    link.feed(A, Input::Reply { request: served, content: Content::Shared(&long) });
    link.shows(A, &["result 0"]);
    assert_eq!(link.outcome(0), Ok(long.clone()));

    link.calls(D, 1, &text("short"));
    link.shows(D, &["request 2"]);
    let (_, served, _) = link.asked.pop_front().expect("the request is served");
    let message = "peerage ".repeat(200);
    link.feed(A, Input::Fail { request: served, code: Code::new("demo"), message: &message, data: None });
    link.shows(A, &["exception 2"]);
    assert_eq!(link.outcome(1), Err(CallError::Remote { code: Code::new("demo"), message, data: None }));

    link.calls(D, 2, &text("slow"));
    link.shows(D, &["request 4"]);
    let (_, served, _) = link.asked.pop_front().expect("the request is served");
    link.feed(D, Input::Cancel(Token(2)));
    link.shows(D, &["cancel 4"]);
    assert_eq!(link.stopping, [served]);
    link.feed(A, Input::Stopped { request: served, stop: Stop::Stopped });
    link.shows(A, &["stopped 4"]);
    assert_eq!(link.outcome(2), Err(CallError::Cancelled { stop: Stop::Stopped }));
}

#[test]
fn what_does_not_decompress_leads_to_the_frames_of_the_document() {
    let mut link = Link::in_use();
    link.feed(D, Input::Propose(Form::COMPRESSED));
    link.settle();
    assert_eq!(link.agreed, [Form::COMPRESSED; 2]);
    link.calls(D, 0, &text(&"peerage ".repeat(200)));
    link.shows_in_transit(D, "request 0", "request 0 damaged");
    link.shows(A, &["rejected 0", "propose none"]);
    link.shows(D, &["agree none"]);
    link.shows(A, &["agree none"]);
    assert_eq!(link.agreed[2..], [Form::plain(Encoding::MsgPack); 2]);
    let why = Refused::BadRequest("the content does not decompress: the block is damaged".to_owned());
    assert_eq!(link.outcome(0), Err(CallError::Refused { why }));
}

#[test]
fn the_end_of_a_link_is_said_in_the_frames_of_the_document() {
    let mut link = Link::in_use();
    let dialer = NodeId::from_bytes(link.vectors.array("id d"));
    let winner = LinkOrder { dialer, dial_seq: 7, binding: link.vectors.array("tls order") };
    link.says(D, &Control::Superseded { winner, round: 0 }.encode());
    link.shows(D, &["superseded"]);
    link.says(A, &Control::SupersededOk { winner, round: 0 }.encode());
    link.shows(A, &["superseded-ok"]);
    link.feed(A, Input::Drain);
    link.says(A, &Control::Draining.encode());
    link.shows(A, &["draining"]);
    link.calls(D, 0, &text("late"));
    link.shows(D, &["request 0 late"]);
    link.shows(A, &["busy 0"]);
    assert!(
        matches!(link.outcome(0), Err(CallError::Busy { retry_after, .. }) if retry_after == Duration::from_secs(1))
    );
    link.says(D, &Control::Disconnect { reason: "maintenance".to_owned() }.encode());
    link.shows(D, &["disconnect"]);
    link.says(A, &Control::Disconnected.encode());
    link.shows(A, &["disconnected"]);
}

/// Two ends of one link, the dialler first.
struct Link {
    vectors: Vectors,
    machines: [Channel; 2],
    /// What was written and not looked at, frame by frame.
    written: [VecDeque<Vec<u8>>; 2],
    asked: VecDeque<(usize, Served, Payload)>,
    stopping: Vec<Served>,
    agreed: Vec<Form>,
    outcomes: Vec<(Token, Result<Payload, CallError>)>,
}

const D: usize = 0;
const A: usize = 1;

impl Link {
    fn new() -> Link {
        let machine = |side| Channel::new(Config { compression: true, ..Config::for_node(side) });
        Link {
            vectors: Vectors::read(),
            machines: [machine(Side::Dialler), machine(Side::Acceptor)],
            written: Default::default(),
            asked: VecDeque::new(),
            stopping: Vec::new(),
            agreed: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// One whose first pings have gone to and fro.
    fn in_use() -> Link {
        let mut link = Link::new();
        link.feed(D, Input::Timeout);
        link.settle();
        link
    }

    /// Lets everything arrive that was written, and what is written because of it.
    fn settle(&mut self) {
        while self.written.iter().any(|frames| !frames.is_empty()) {
            for end in [D, A] {
                while let Some(frame) = self.written[end].pop_front() {
                    self.feed(1 - end, Input::Received(&frame));
                }
            }
        }
    }

    fn says(&mut self, end: usize, (kind, content): &(Kind, Payload)) {
        self.feed(end, Input::Control { kind: *kind, content });
    }

    fn calls(&mut self, end: usize, token: u32, content: &Payload) {
        self.feed(end, Input::Call { token: Token(token), content: Content::Shared(content), deadline: None });
    }

    fn feed(&mut self, end: usize, input: Input<'_>) {
        let machine = &mut self.machines[end];
        let orders: Vec<Output> = machine.handle(sim::epoch(), input).collect();
        for order in orders {
            match order {
                Output::Request { request, content } => self.asked.push_back((end, request, content)),
                Output::Stop(request) => self.stopping.push(request),
                Output::Agreed(form) => self.agreed.push(form),
                Output::Settled(token) => {
                    let mut buffer = Vec::new();
                    let outcome = machine.collect(token, &mut buffer).expect("what is announced");
                    let outcome = outcome.map(|answer: Answer| answer.into_payload(&buffer)).map_err(|error| *error);
                    self.outcomes.push((token, outcome));
                }
                Output::Control { .. } | Output::Idle => {}
                other => panic!("nothing else happens here: {other:?}"),
            }
        }
        while let Some(mut transmit) = machine.transmit() {
            let mut bytes = Vec::new();
            while !transmit.is_empty() {
                let mut slices = [std::io::IoSlice::new(&[])];
                transmit.slices(&mut slices);
                bytes.extend_from_slice(&slices[0]);
                let count = slices[0].len();
                transmit.advance(count);
            }
            let written = Input::Written(transmit);
            assert!(machine.handle(sim::epoch(), written).all(|order| matches!(order, Output::Idle)));
            let mut rest = &bytes[..];
            while let Some((length, _)) = rest.split_first_chunk::<4>() {
                let (frame, behind) = rest.split_at(4 + u32::from_be_bytes(*length) as usize);
                self.written[end].push_back(frame.to_vec());
                rest = behind;
            }
        }
    }

    /// The next frames of an end are these of the document; they reach the other end.
    fn shows(&mut self, end: usize, names: &[&str]) {
        for name in names {
            let frame = self.next(end, name);
            self.feed(1 - end, Input::Received(&frame));
        }
        assert!(self.written[end].is_empty(), "behind {names:?}: {}", hex(&self.written[end][0]));
    }

    /// The next frame is the one of the document; what reaches the other end is another.
    fn shows_in_transit(&mut self, end: usize, name: &str, arrives: &str) {
        self.next(end, name);
        let frame = self.vectors.bytes(&format!("{} {arrives}", ["d", "a"][end]));
        self.feed(1 - end, Input::Received(&frame));
    }

    fn next(&mut self, end: usize, name: &str) -> Vec<u8> {
        let name = format!("{} {name}", ["d", "a"][end]);
        let frame = self.written[end].pop_front().unwrap_or_else(|| panic!("{name}: nothing was written"));
        assert_eq!(hex(&frame), hex(&self.vectors.bytes(&name)), "{name}");
        frame
    }

    fn outcome(&mut self, token: u32) -> Result<Payload, CallError> {
        let (settled, outcome) = self.outcomes.pop().expect("the call has ended");
        assert_eq!((settled, self.outcomes.len()), (Token(token), 0));
        outcome
    }
}

fn introduction(seed: &str, name: &str, process: u32, machine: u8, addresses: &[&str]) -> (Kind, Payload) {
    let vectors = Vectors::read();
    let key = Key(SigningKey::from_bytes(&vectors.array(seed)));
    let network = NetworkKey::new("lab", &vectors.bytes("secret")).expect("the document is right");
    let random = if addresses.is_empty() { [0xbb; 16] } else { [0xda; 16] };
    let record = Record {
        id: key.id(),
        incarnation: Incarnation { epoch: Epoch::new(1_763_712_000, random), sequence: 1 },
        name: name.to_owned(),
        machine: [machine; 16],
        groups: addresses.iter().map(|_| "rack/7".parse().expect("a group")).collect(),
        hub: false,
        ephemeral: false,
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
        services: None,
        sealing_key: None,
        left: None,
        lease: Duration::from_secs(90),
    };
    let said = Introduction {
        record: SignedRecord::sign(&record, &network, &key).expect("the document is right").encode(),
        process,
        encodings: BTreeSet::from(Encoding::ALL),
        compression: BTreeSet::from(["lz4".to_owned()]),
        build: "demo 0.1".to_owned(),
        ping_interval: Duration::from_secs(1),
        sees_us_at: addresses.is_empty().then_some([192, 0, 2, 7].into()),
    };
    (Kind::Introduction, said.encode().expect("an introduction"))
}

fn text(text: &str) -> Payload {
    Payload::encode(text, Encoding::MsgPack).expect("a text")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
