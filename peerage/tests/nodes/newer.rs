//! A peer of a newer version, made by hand: whatever it adds is skipped or declined, and the rest of it is served.

use std::collections::VecDeque;
use std::sync::Arc;

use peerage::{Address, Encoding, Identity, Payload, Value};
use peerage_proto::channel::Side;
use peerage_proto::hello::{Binding, Config, Features, Handshake, Input, Introduction, NetworkKey, Output, Versions};
use peerage_proto::id::Epoch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::place::{Place, address, soon, until};
use crate::rogue::record_of;

#[tokio::test]
async fn unknown_fields_features_and_skippable_kinds_of_a_newer_version_are_served() {
    let place = Place::new();
    let builder = place.node("b").dangerously_plaintext().compression(true);
    let b = builder.listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let mut newer = Newer::dial(&place, &b.addresses()[0]).await;

    // All in one piece with the word of admission, so that the node reads it before it has said anything.
    let grown = map([
        ("record", newer.record.clone()),
        ("process", 7_u64.into()),
        ("ping_ms", 1_000_u64.into()),
        ("orbit", Value::List(vec![Value::Null, 2_u64.into()])),
        ("encodings", Value::List(vec!["msgpack".into(), "cbor".into()])),
        ("compression", Value::List(vec!["zstd".into(), "lz4".into()])),
    ]);
    let call = |metadata: Value| {
        let args = Value::List(vec!["x".into()]);
        Value::List(vec!["peerage/pass_through".into(), args, Value::Map(Vec::new()), metadata])
    };
    newer.admits_and_says(&[
        (14, 0, grown),
        (12, 0, map([("load", 3_u64.into())])),
        (72, 9, "a kind that may be skipped".into()),
        (250, u64::MAX, Value::Null),
        (20, 0, Value::List(vec![9_u64.into(), 9_u64.into()])),
        (0, 0, call(map([("baggage", "skipped".into())]))),
    ]);
    newer.flush().await;

    let first = newer.frame().await;
    assert_eq!(first.0, 14, "the introduction comes before everything else");
    let said = Introduction::decode(&Payload::encode(&first.2, Encoding::MsgPack).unwrap()).unwrap();
    assert_eq!(said.process, std::process::id());
    // Its own ping and what it knows of others come in between.
    let mut answers = Vec::new();
    while answers.len() < 3 {
        let frame = newer.frame().await;
        if !matches!(frame.0, 12 | 24) {
            answers.push(frame);
        }
    }
    answers.sort_by_key(|(kind, ..)| *kind);
    assert_eq!(answers, [(1, 0, "x".into()), (13, 0, Value::Null), (22, 0, Value::Null)]);

    until(|| b.status().counters["peerage_link_skipped_frames_total"] == 2).await;
    let peers = b.peers().peers;
    assert_eq!((peers.len(), &*peers[0].name, peers[0].addresses.len()), (1, "newer", 0));

    // And later, when nothing else is said.
    newer.says(&[(77, 1, Value::List(Vec::new())), (0, 2, call(Value::Null))]);
    newer.flush().await;
    loop {
        match newer.frame().await {
            (12 | 13 | 24.., ..) => {}
            frame => break assert_eq!(frame, (1, 2, "x".into())),
        }
    }
    assert_eq!(b.status().counters["peerage_links_misbehaved_total"], 0);
}

#[tokio::test]
async fn an_unknown_kind_that_may_not_be_skipped_ends_the_link() {
    let place = Place::new();
    let b = place.node("b").dangerously_plaintext().listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let mut newer = Newer::dial(&place, &b.addresses()[0]).await;
    newer.admits_and_says(&[(31, 0, Value::Null)]);
    newer.flush().await;
    let mut rest = Vec::new();
    // It may end in a reset.
    let _ = soon(newer.stream.read_to_end(&mut rest)).await;
    until(|| b.status().counters["peerage_links_misbehaved_total"] == 1).await;
    assert!(b.peers().peers.is_empty());
}

#[tokio::test]
async fn a_view_is_not_complete_while_a_peer_that_is_linked_has_not_said_its_name() {
    let place = Place::new();
    let b = place.node("b").dangerously_plaintext().listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let mut newer = Newer::dial(&place, &b.addresses()[0]).await;
    newer.admits_and_says(&[]);
    newer.flush().await;
    until(|| !b.status().links.is_empty()).await;
    let peers = b.peers();
    assert!(peers.peers.is_empty() && !peers.complete);
    let unnamed = |missing: &String| missing.ends_with("has not introduced itself yet");
    assert!(peers.missing.iter().any(unnamed), "{:?}", peers.missing);

    let introduction =
        map([("record", newer.record.clone()), ("process", 7_u64.into()), ("ping_ms", 1_000_u64.into())]);
    newer.says(&[(14, 0, introduction)]);
    newer.flush().await;
    let digest = loop {
        if let (24, _, digest) = newer.frame().await {
            break digest;
        }
    };
    assert!(!b.peers().complete, "it has not said what it knows");
    newer.says(&[(24, 0, digest)]);
    newer.flush().await;
    until(|| b.peers().complete).await;
    assert_eq!(b.peers().peers[0].name, "newer");
}

#[tokio::test]
async fn where_a_peer_elsewhere_sees_this_node_come_from_is_told_to_others_as_long_as_it_is_linked() {
    let place = Place::new();
    let b = place.node("b").dangerously_plaintext().listen(address("tcp://0.0.0.0:0")).start().await.unwrap();
    let port = b.addresses()[0].port().unwrap();
    let mut newer = Newer::dial(&place, &address(&format!("tcp://127.0.0.1:{port}"))).await;
    newer.admits_and_says(&[]);
    let introduction = map([
        ("record", newer.record.clone()),
        ("process", 7_u64.into()),
        ("ping_ms", 1_000_u64.into()),
        ("you", "198.18.0.7".into()),
    ]);
    newer.says(&[(14, 0, introduction)]);
    newer.flush().await;
    let seen = address(&format!("tcp://198.18.0.7:{port}"));
    until(|| b.addresses().contains(&seen)).await;
    drop(newer);
    until(|| !b.addresses().contains(&seen)).await;
}

/// A node of a version to come, as far as one is needed here.
struct Newer {
    stream: TcpStream,
    record: Value,
    unsaid: Vec<u8>,
}

impl Newer {
    /// Goes through the handshake up to the other end's word of admission. Its own is said with what follows.
    async fn dial(place: &Place, at: &Address) -> Newer {
        let stream = TcpStream::connect((at.host().unwrap().ip().unwrap(), at.port().unwrap())).await.unwrap();
        let network = NetworkKey::new(place.network.name(), place.network.secret().as_bytes()).unwrap();
        let signer = Arc::new(Identity::generate());
        let record = Value::Bytes(record_of(&signer, &place.network, "newer").bytes().to_vec());
        let epoch = Epoch::new(1, [7; 16]);
        let config = Config::new(Side::Dialler, signer, network, epoch, [9; 32], Binding::Plaintext);
        let features = Features::offer(["lz4", "x-orbits", "x-streams-2"]).unwrap();
        let mut machine = Handshake::new(
            std::time::Instant::now(),
            Config { versions: Versions::new(1, 9).unwrap(), features, ..config },
        );
        let mut newer = Newer { stream, record, unsaid: Vec::new() };
        let (mut input, mut is_proved) = (Vec::new(), false);
        loop {
            let now = std::time::Instant::now();
            let fed = if input.is_empty() { Input::Start } else { Input::Received(&input) };
            let mut orders: VecDeque<Output> = machine.handle(now, fed).collect();
            while let Some(order) = orders.pop_front() {
                match order {
                    Output::Send(bytes) if is_proved => newer.unsaid = bytes,
                    Output::Send(bytes) => newer.stream.write_all(&bytes).await.unwrap(),
                    Output::Proved(established) => {
                        assert_eq!(established.version, 1, "the newest that both speak");
                        is_proved = true;
                        orders.extend(machine.handle(now, Input::Admit));
                    }
                    Output::Admitted { behind, .. } => {
                        assert!(behind.is_empty(), "nothing comes before this end has admitted the other");
                        return newer;
                    }
                    Output::Failed(why) => panic!("{why}"),
                }
            }
            let mut buffer = [0; 4_096];
            let read = soon(newer.stream.read(&mut buffer)).await.unwrap();
            assert!(read > 0, "the other end goes on");
            input = buffer[..read].to_vec();
        }
    }

    fn admits_and_says(&mut self, frames: &[(u8, u64, Value)]) {
        assert!(!self.unsaid.is_empty(), "the word of admission is still to be said");
        self.says(frames);
    }

    fn says(&mut self, frames: &[(u8, u64, Value)]) {
        for (kind, id, content) in frames {
            let mut body = Vec::new();
            Encoding::MsgPack.put_head(*kind, *id, &mut body);
            body.extend_from_slice(Payload::encode(content, Encoding::MsgPack).unwrap().bytes());
            self.unsaid.extend((body.len() as u32).to_be_bytes());
            self.unsaid.extend(body);
        }
    }

    async fn flush(&mut self) {
        self.stream.write_all(&std::mem::take(&mut self.unsaid)).await.unwrap();
    }

    /// The next frame of the other end.
    async fn frame(&mut self) -> (u64, u64, Value) {
        let length = soon(self.stream.read_u32()).await.unwrap();
        let mut body = vec![0; length as usize];
        soon(self.stream.read_exact(&mut body)).await.unwrap();
        let triple = Encoding::MsgPack.split(&body).unwrap();
        let content = Payload::parse(Encoding::MsgPack, body[triple.content].to_vec().into()).unwrap();
        (triple.kind, triple.id, content.decode().unwrap())
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}
