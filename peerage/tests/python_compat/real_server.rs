//! Our client asks, real aiomas answers.

use std::time::Duration;

use peerage::codec::BadTriple;
use peerage::outcome::{Code, LinkLost, NotSent, PeerMisbehaved, Stop};
use peerage::{Address, CallError, Channel, Encoding, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::checks::{Checks, STEP, within};
use crate::place::{Place, Transport, from_python, in_python};
use crate::process::Process;
use crate::python::Python;
use crate::wire::{frame, to_hex, triple, vectors};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_answers_in_json_over_tcp() {
    ask_a_real_server(Encoding::Json, Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_answers_in_json_over_unix_sockets() {
    ask_a_real_server(Encoding::Json, Transport::Unix).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_answers_in_messagepack_over_tcp() {
    ask_a_real_server(Encoding::MsgPack, Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_answers_in_messagepack_over_unix_sockets() {
    ask_a_real_server(Encoding::MsgPack, Transport::Unix).await;
}

async fn ask_a_real_server(encoding: Encoding, transport: Transport) {
    let Some(python) = Python::ready() else { return };
    let place = Place::new(transport);
    let server = RealServer::start(python, &place, encoding);
    let mut checks = Checks::of(format!("aiomas answers, {encoding}, {transport:?}"));

    let mut channel = server.connect(encoding).await;
    values_come_back(&mut checks, &channel, encoding).await;
    many_and_large_ones_too(&mut checks, &channel).await;
    failures_are_told(&mut checks, &channel).await;
    replies_overtake_each_other(&mut checks, &channel).await;
    the_server_asks_back(&mut checks, &mut channel).await;
    a_deadline_ends_only_its_call(&mut checks, &channel).await;
    late_and_second_replies_are_counted(&mut checks, &channel).await;
    the_server_closes(&mut checks, &server.connect(encoding).await).await;
    frames_are_forged(&mut checks, &server, encoding).await;
    for (garbage, reason) in garbage(encoding) {
        let victim = server.connect(encoding).await;
        garbage_ends_its_channel(&mut checks, &victim, &garbage, reason).await;
        let alive: String = within("the other channel", channel.request("alive")).await.unwrap();
        checks.equal("another channel goes on", alive, "alive");
    }
    the_server_hangs_up_on_another_codec(&mut checks, &server, encoding).await;
    channel.close().await;
    checks.equal("closing", channel.ended().await, LinkLost::ClosedHere);
    checks.report();
}

/// `aiomas_server.py` at work.
struct RealServer {
    address: Address,
    /// Ends it when dropped.
    _process: Process,
}

impl RealServer {
    fn start(python: &Python, place: &Place, encoding: Encoding) -> RealServer {
        let (address, codec) = (in_python(&place.free("aiomas")), encoding.to_string());
        let mut process = python.start("aiomas_server.py", &[&address, &codec, "--quiet"]);
        let line = process.line(2 * STEP).expect("the server says that it is ready");
        let ready: Json = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        RealServer { address: from_python(ready["address"].as_str().unwrap()), _process: process }
    }

    async fn connect(&self, encoding: Encoding) -> Channel {
        within("connecting", Channel::connect(&self.address).encoding(encoding)).await.unwrap()
    }
}

/// A call in a task of its own.
fn in_background<R: DeserializeOwned + Send + 'static>(
    channel: &Channel,
    content: impl Serialize + Send + Sync + 'static,
) -> JoinHandle<Result<R, CallError>> {
    let caller = channel.caller();
    tokio::spawn(async move { caller.request(&content).await })
}

/// Every value that the package itself was recorded with, straight and inside `["echo", X]`.
pub(crate) async fn values_come_back(checks: &mut Checks, channel: &Channel, encoding: Encoding) {
    for vector in vectors()["vectors"][encoding.to_string()].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        if name == "custom_type_id0" {
            // The package takes a map with this key for a type of its own; this server has none and would hang up.
            continue;
        }
        let value = Value::from_notation(vector["content"].clone()).unwrap();
        let back: Value = within(name, channel.request(&("echo", &value))).await.unwrap();
        // Equal floats may differ in the sign of zero; their texts do not.
        checks.equal(name, format!("{back:?}"), format!("{value:?}"));
    }
    let extremes = [i128::from(u64::MAX), i128::from(i64::MIN)].map(Value::Int);
    for value in extremes {
        let back: Value = within("extremes", channel.request(&value)).await.unwrap();
        checks.equal("extremes", back, value);
    }
}

pub(crate) async fn many_and_large_ones_too(checks: &mut Checks, channel: &Channel) {
    let calls: Vec<_> = (0..200_u32).map(|number| in_background::<u32>(channel, ("echo", number))).collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(within("200 at once", call).await.unwrap().unwrap());
    }
    checks.equal("200 at once", answers, (0..200).collect::<Vec<_>>());

    let large = "M".repeat(4 << 20);
    let back: String = within("4 MiB", channel.request(&large)).await.unwrap();
    checks.holds("4 MiB come back", back == large);
    let items: Vec<u32> = (0..70_000).collect();
    let back: Vec<u32> = within("70,000 items", channel.request(&items)).await.unwrap();
    checks.holds("70,000 items come back", back == items);
}

pub(crate) async fn failures_are_told(checks: &mut Checks, channel: &Channel) {
    for (content, wanted) in
        [(&["fail", "böom"][..], "ValueError: böom"), (&["unserializable"][..], "SerializationError")]
    {
        let failed = within("a failure", channel.request::<Value>(content)).await;
        let Err(CallError::Remote { code, message, .. }) = failed else { panic!("{content:?}: {failed:?}") };
        checks.equal("its code", code, Code::PLAIN);
        checks.holds(wanted, message.contains(wanted));
    }
    let alive: String = within("after failures", channel.request("alive")).await.unwrap();
    checks.equal("the channel after failures", alive, "alive");
}

pub(crate) async fn replies_overtake_each_other(checks: &mut Checks, channel: &Channel) {
    let order = std::sync::Mutex::new(Vec::new());
    let ask = async |content: Value| {
        let number: u32 = within("a reply", channel.request(&content)).await.unwrap();
        order.lock().unwrap().push(number);
    };
    let slow = |seconds: f64, number: u32| Value::List(vec!["slow".into(), seconds.into(), number.into()]);
    tokio::join!(ask(slow(0.4, 1)), ask(slow(0.15, 2)), ask(slow(0.0, 3)));
    checks.equal("the order of replies", order.into_inner().unwrap(), [3, 2, 1]);
}

pub(crate) async fn the_server_asks_back(checks: &mut Checks, channel: &mut Channel) {
    // Asked back once, and answered.
    let caller = channel.caller();
    let call = caller.request::<Value>(&("callback", Value::from("Q")));
    let (answer, ()) = tokio::join!(within("callback", call), async {
        let request = within("being asked", channel.next_request()).await.unwrap();
        let content: Value = request.content().unwrap();
        request.reply(&("answer", content));
    });
    let wanted = Value::List(vec!["answer".into(), "Q".into()]);
    checks.equal("callback", answer, Ok(wanted));

    // Asked back once, and failed.
    let call = caller.request::<Value>(&("callback", 1));
    let (answer, ()) = tokio::join!(within("callback", call), async {
        let request = within("being asked", channel.next_request()).await.unwrap();
        request.fail("out of order");
    });
    let told = matches!(answer, Err(CallError::Remote { message, .. }) if message.contains("out of order"));
    checks.holds("our failure comes back to us", told);

    // Asked many times at once, and answered in the other direction.
    let call = caller.request::<Vec<u64>>(&("push", 20));
    let (answer, ()) = tokio::join!(within("push", call), async {
        let mut requests = Vec::new();
        for _ in 0..20 {
            requests.push(within("being asked", channel.next_request()).await.unwrap());
        }
        for request in requests.into_iter().rev() {
            let (_, number): (String, u64) = request.content().unwrap();
            request.reply(&(number * 10));
        }
    });
    checks.equal("push", answer.unwrap(), (0..20).map(|number| number * 10).collect::<Vec<_>>());
}

async fn a_deadline_ends_only_its_call(checks: &mut Checks, channel: &Channel) {
    let (deadline, start) = (Duration::from_millis(200), Instant::now());
    let call = channel.request::<Value>(&["never"]).deadline(deadline);
    let stop = Stop::Unconfirmed;
    checks.equal("never", within("never", call).await, Err(CallError::Deadline { stop }));
    checks.holds("not before the deadline", start.elapsed() >= deadline);
    let alive: String = within("after a deadline", channel.request("alive")).await.unwrap();
    checks.equal("the channel after a deadline", alive, "alive");
}

async fn late_and_second_replies_are_counted(checks: &mut Checks, channel: &Channel) {
    checks.equal("late replies so far", channel.counters().late_replies, 0);
    let answer: String = within("twice", channel.request(&("twice", "X"))).await.unwrap();
    checks.equal("twice", answer, "X");
    // What the server sends next comes after the second reply.
    let alive: String = within("after twice", channel.request("alive")).await.unwrap();
    checks.equal("the channel after a second reply", alive, "alive");
    checks.equal("the second reply", channel.counters().late_replies, 1);

    let brief = channel.request::<Value>(&("slow", 0.5, "late")).deadline(Duration::from_millis(10));
    checks.holds("too slow", within("too slow", brief).await.is_err());
    let later: String = within("later", channel.request(&("slow", 0.6, "later"))).await.unwrap();
    checks.equal("a reply behind the late one", later, "later");
    checks.equal("the late reply", channel.counters().late_replies, 2);
}

async fn the_server_closes(checks: &mut Checks, channel: &Channel) {
    // Both leave in this order, so nothing is written any more once the server has closed.
    let (never, close) = tokio::join!(
        within("never", channel.request::<Value>(&["never"])),
        within("close", channel.request::<Value>(&["close"])),
    );
    let lost = |why| Err(CallError::ConnectionLost { why });
    checks.equal("the call that closes", close, lost(LinkLost::PeerClosed));
    checks.equal("the call beside it", never, lost(LinkLost::PeerClosed));
    let ended = within("the end", channel.ended()).await;
    checks.equal("the end", ended, LinkLost::PeerClosed);
    let after = within("after the end", channel.request::<Value>("late")).await;
    let why = NotSent::NoRoute;
    checks.equal("a call after the end", after, Err(CallError::NotSent { why }));
}

/// It says nothing when it cannot read a frame, so there is no more to tell than that it closed.
async fn the_server_hangs_up_on_another_codec(checks: &mut Checks, server: &RealServer, encoding: Encoding) {
    let [json, msgpack] = Encoding::ALL;
    let other = if encoding == json { msgpack } else { json };
    let channel = server.connect(other).await;
    let call = within("another codec", channel.request::<Value>("hello")).await;
    let why = LinkLost::PeerClosed;
    checks.equal("a call in another codec", call, Err(CallError::ConnectionLost { why }));
}

/// Frames that are well formed but lie.
async fn frames_are_forged(checks: &mut Checks, server: &RealServer, encoding: Encoding) {
    let channel = server.connect(encoding).await;
    let raw =
        |kind, id, content: Value| channel.request::<Value>(&("raw", to_hex(&triple(encoding, kind, id, &content))));
    let unknown = within("raw", raw(1, 99, Value::Null)).await;
    checks.equal("a reply to nothing", unknown, Ok("raw-sent".into()));
    checks.equal("is counted", channel.counters().late_replies, 1);
    // The second call of this channel has the id 1.
    let forged = within("raw", raw(1, 1, "forged".into())).await;
    checks.equal("a reply ahead of the server's own", forged, Ok("forged".into()));
    let odd = within("raw", raw(2, 2, Value::Map(vec![("a".into(), 1.into())]))).await;
    let Err(CallError::Remote { data: Some(data), .. }) = odd else { panic!("{odd:?}") };
    checks.equal("an exception that is no text", data.decode(), Ok(Value::Map(vec![("a".into(), 1.into())])));
}

/// What ends a channel, and how the reason reads.
fn garbage(encoding: Encoding) -> Vec<(Vec<u8>, PeerMisbehaved)> {
    let (json, msgpack) = (Encoding::Json, Encoding::MsgPack);
    let other = if encoding == json { msgpack } else { json };
    let bad = PeerMisbehaved::BadFrame;
    let limit = peerage::limits::PLAIN_FRAME_BYTES_DEFAULT;
    let mut cases = vec![
        (triple(encoding, 7, 0, &Value::Null), PeerMisbehaved::UnknownKind(7)),
        (frame(b""), bad(BadTriple::Empty)),
        (vec![0xff; 4], PeerMisbehaved::FrameTooLarge { size: u32::MAX, limit }),
        (triple(other, 1, 0, &Value::Null), bad(BadTriple::OtherCodec { expected: encoding, found: other })),
    ];
    cases.extend(match encoding {
        Encoding::Json => vec![
            (frame(b"[1, 0]"), bad(BadTriple::NotATriple)),
            (frame(b"{{{"), bad(BadTriple::NotATriple)),
            (frame(b"[1, 0, [}]"), bad(BadTriple::Unbalanced { at: 8 })),
            (frame(b"[1, \"a\", 0]"), bad(BadTriple::BadId)),
        ],
        Encoding::MsgPack => vec![
            (frame(&[0x92, 1, 0]), bad(BadTriple::NotATriple)),
            (frame(&[0xc1]), bad(BadTriple::NotATriple)),
            (frame(&[0x93, 1, 0, 0xda, 0xff, 0xff]), bad(BadTriple::Truncated { at: 3 })),
            (frame(&[0x93, 1, 0xa1, b'a', 0]), bad(BadTriple::BadId)),
        ],
    });
    cases
}

async fn garbage_ends_its_channel(checks: &mut Checks, channel: &Channel, garbage: &[u8], reason: PeerMisbehaved) {
    let content = ("raw", to_hex(garbage));
    let (never, raw) = tokio::join!(
        within("never", channel.request::<Value>(&["never"])),
        within("raw", channel.request::<Value>(&content)),
    );
    let why = reason.to_string();
    let broken = Err(CallError::Protocol { why });
    checks.equal("the call that provokes it", &raw, &broken);
    checks.equal("the call beside it", never, broken);
    let ended = within("the end", channel.ended()).await;
    checks.equal("the reason", ended, LinkLost::Misbehaved(reason));
}
