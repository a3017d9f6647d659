//! Odd and hostile input, each on a connection of its own, beside an honest channel that must not notice.
//!
//! The cases are those that the real package was recorded with. What ours does with them is the plain dialect of
//! `PROTOCOL.md`: serve, fail that request, or end that channel and log why.

use peerage::{Address, Channel, Encoding, Failure, Listener, Value};
use serde_json::Value as Json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::checks::{Checks, within};
use crate::log;
use crate::operations::operation;
use crate::place::{Place, Transport};
use crate::wire::{frame, open, read_frame, vectors, write};

/// What is expected of our server.
enum Verdict {
    /// These bodies come back, and the connection goes on.
    Served(&'static [&'static str]),
    /// Nothing comes back, and the connection goes on.
    Ignored,
    /// The connection ends, nothing comes back, and the log has this reason: on a listener for JSON, and on one that
    /// looks at the first byte.
    Closed(&'static str, &'static str),
}

use Verdict::{Closed, Ignored, Served};

fn verdict(case: &str) -> Verdict {
    let no_triple = "the frame is not an array of three elements";
    let bad_kind = "the first element of the frame, its kind, is not an unsigned integer";
    let bad_id = "the second element of the frame, its id, is not an unsigned 64-bit integer";
    let empty = "the frame is empty";
    match case {
        "invalid_type_7" => Closed("invalid message type 7", "invalid message type 7"),
        "garbage" => Closed(no_triple, "the first byte 0x7b is neither JSON nor MessagePack"),
        "not_triple" => Closed(no_triple, no_triple),
        "type_bool" => Closed(bad_kind, bad_kind),
        "string_id" | "null_id" | "negative_id" | "float_id" => Closed(bad_id, bad_id),
        "empty_frame" => Closed(empty, empty),
        "bom" => Closed("byte order mark", "the first byte 0xef is neither JSON nor MessagePack"),
        "result_unknown_id" => Ignored,
        "dup_id" => Served(&[r#"[1, 1, "x"]"#, r#"[1, 1, "x"]"#]),
        // Opaque content leaves byte for byte as it came.
        "nan" => Served(&["[1, 1, NaN]"]),
        "compact_json" => Served(&[r#"[1, 1, {"a":1}]"#]),
        "unknown___type__" => Served(&[r#"[1, 1, {"__type__":[5,1]}]"#]),
        "half_close_then_slow_reply" => Served(&["[1, 0, 1]"]),
        other => panic!("no verdict for the case {other}"),
    }
}

#[tokio::test]
async fn odd_and_hostile_input_is_served_ignored_or_ends_its_own_channel_with_a_logged_reason() {
    log::keep();
    let vectors = vectors();
    for codec in [Some(Encoding::Json), None] {
        let mut checks = Checks::of(match codec {
            Some(codec) => format!("hostile input, a listener for {codec}"),
            None => "hostile input, a listener for any codec".to_owned(),
        });
        let place = Place::new(Transport::Tcp);
        let listener = Listener::bind(&place.free("server").with_codec(codec)).await.unwrap();
        let server = listener.serve(operation);
        let honest = Channel::connect(server.local_address()).encoding(Encoding::Json).await.unwrap();
        for (name, case) in vectors["edge_cases"].as_object().unwrap() {
            provoke(&mut checks, server.local_address(), codec, name, case).await;
            let alive: String = within("the honest channel", honest.request(name)).await.unwrap();
            checks.equal("the honest channel goes on", &alive, name);
        }
        checks.report();
    }
}

async fn provoke(checks: &mut Checks, server: &Address, codec: Option<Encoding>, name: &str, case: &Json) {
    let mut stream = connect(server).await;
    let sent = frame(case["sent"].as_str().unwrap().as_bytes());
    for _ in 0..case["times"].as_u64().unwrap() {
        write(&mut stream, &sent).await;
    }
    let half_closed = case.get("then").is_some();
    if half_closed {
        stream.shutdown().await.unwrap();
    }
    match verdict(name) {
        Served(bodies) => {
            for body in bodies {
                let reply = within(name, read_frame(&mut stream)).await;
                checks.equal(name, reply, Some(frame(body.as_bytes())));
            }
        }
        Ignored => {}
        Closed(for_json, for_any) => {
            checks.equal(name, within(name, read_frame(&mut stream)).await, None::<Vec<u8>>);
            // The reason is logged before the socket is closed.
            let remote = Address::tcp(stream.local_addr().unwrap()).to_string();
            let wanted = if codec.is_some() { for_json } else { for_any };
            checks.holds(&format!("{name}: the log says {wanted:?}"), log::tells(&remote, wanted));
            return;
        }
    }
    if half_closed {
        checks.equal("the end after the last reply", within(name, read_frame(&mut stream)).await, None::<Vec<u8>>);
    } else {
        write(&mut stream, &frame(br#"[0,2,"alive"]"#)).await;
        let reply = within(name, read_frame(&mut stream)).await;
        checks.equal(name, reply, Some(frame(br#"[1, 2, "alive"]"#)));
    }
}

#[tokio::test]
async fn content_that_cannot_be_opened_fails_that_request_only() {
    let mut checks = Checks::of("content that a typed handler cannot open");
    let place = Place::new(Transport::Tcp);
    let listener = Listener::bind(&place.free("server")).await.unwrap();
    let server = listener.serve(async |content: Value| Ok::<_, Failure>(content));
    let mut stream = connect(server.local_address()).await;
    let deep = format!("[0,3,{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    for (id, body) in [
        (1, "[0,1,NaN]"),
        (2, "[0,2,18446744073709551616]"),
        (3, &deep),
        (4, "[0,4,-Infinity]"),
        (5, r#"[0,5,"\ud800"]"#),
    ] {
        write(&mut stream, &frame(body.as_bytes())).await;
        let reply =
            within("a failure", read_frame(&mut stream)).await.unwrap_or_else(|| panic!("no reply to {body:.100}"));
        let (kind, found, content) = open(Encoding::Json, &reply);
        checks.equal("an exception with the id of its request", (kind, found), (2, id));
        let text: String = content.decode().unwrap();
        checks.holds(&text, text.starts_with("[bad-request] "));
    }
    write(&mut stream, &frame(br#"[0,6,{"a":1}]"#)).await;
    let reply = within("alive", read_frame(&mut stream)).await;
    checks.equal("the channel goes on", reply, Some(frame(br#"[1, 6, {"a":1}]"#)));
    checks.report();
}

#[tokio::test]
async fn a_reply_to_nothing_is_counted_and_a_length_beyond_the_limit_ends_the_channel() {
    let mut checks = Checks::of("replies to nothing, lengths beyond the limit");
    let place = Place::new(Transport::Tcp);
    let mut listener = Listener::bind(&place.free("server")).await.unwrap();
    let mut stream = connect(listener.local_address()).await;
    let mut channel = within("accepting", listener.accept()).await;
    write(&mut stream, &frame(b"[1,99,null]")).await;
    write(&mut stream, &frame(b"[0,0,\"next\"]")).await;
    let request = within("a request", channel.next_request()).await.unwrap();
    checks.equal("the request behind it", request.content::<String>(), Ok("next".to_owned()));
    checks.equal("late replies", channel.counters().late_replies, 1);
    write(&mut stream, &[0xff; 4]).await;
    let why = within("the end", channel.ended()).await;
    let wanted = "a frame of 4294967295 bytes is announced, at most 16777216 are accepted";
    checks.equal("the reason", why.to_string(), wanted);
    checks.holds("no next request", within("the end", channel.next_request()).await.is_none());
    checks.report();
}

async fn connect(server: &Address) -> TcpStream {
    let socket = (server.host().unwrap().to_string(), server.port().unwrap());
    TcpStream::connect(socket).await.unwrap()
}
