//! Frames recorded from the real package, with our server in the place of its own: one by one, and whole exchanges.

use peerage::{Encoding, Listener, Value};
use tokio::io::AsyncWriteExt as _;

use crate::checks::{Checks, within};
use crate::operations::operation;
use crate::place::{Place, Transport};
use crate::wire::{Stream, dial, from_hex, open, read_frame, triple, vectors, write};

#[tokio::test]
async fn every_frame_of_the_original_package_is_understood_and_answered() {
    let vectors = vectors();
    for encoding in Encoding::ALL {
        let mut checks = Checks::of(format!("single frames, {encoding}"));
        let place = Place::new(Transport::Tcp);
        let mut listener = Listener::bind(&place.free("server")).await.unwrap();
        let mut stream = dial(listener.local_address()).await.unwrap();
        let mut channel = within("accepting", listener.accept()).await;
        let mut replies = 0;
        for vector in vectors["vectors"][encoding.to_string()].as_array().unwrap() {
            let name = vector["name"].as_str().unwrap();
            write(&mut stream, &from_hex(vector["frame"].as_str().unwrap())).await;
            if vector["msg_type"] != 0 {
                // Nobody here has asked; it is counted below.
                replies += 1;
                continue;
            }
            let stated = Value::from_notation(vector["content"].clone()).unwrap();
            let request = within(name, channel.next_request()).await.expect(name);
            let content: Value = request.content().unwrap();
            // Equal floats may differ in the sign of zero; their texts do not.
            checks.equal(name, format!("{content:?}"), format!("{stated:?}"));
            request.reply(&content);
            let answer = within(name, read_frame(&mut stream)).await.expect(name);
            let (kind, id, content) = open(encoding, &answer);
            checks.equal(name, (kind, id), (1, vector["msg_id"].as_u64().unwrap()));
            checks.equal(name, content.decode(), Ok(stated));
        }
        write(&mut stream, &triple(encoding, 0, 0, &"the last".into())).await;
        let last = within("the last", channel.next_request()).await.unwrap();
        checks.equal("the last", last.content(), Ok("the last".to_owned()));
        checks.equal("replies to nothing", channel.counters().late_replies, replies);
        checks.report();
    }
}

#[tokio::test]
async fn recorded_exchanges_go_the_same_way_with_our_server() {
    for (name, steps) in vectors()["live"].as_object().unwrap() {
        let (codec, transport) = name.split_once('_').unwrap();
        let encoding: Encoding = codec.parse().unwrap();
        let transport = match transport {
            "tcp" => Transport::Tcp,
            _ => Transport::Unix,
        };
        let mut checks = Checks::of(format!("recorded, {encoding}, {transport:?}"));
        let place = Place::new(transport);
        let server = Listener::bind(&place.free("server")).await.unwrap().serve(operation);
        let mut stream = dial(server.local_address()).await.unwrap();
        for step in ["echo", "fail", "interleave", "unserializable_reply", "callback", "close"] {
            for frame in steps[step]["frames"].as_array().unwrap() {
                let (direction, frame) = (frame[0].as_str().unwrap(), frame[1].as_str().unwrap());
                pass(&mut checks, &mut stream, encoding, step, direction, frame).await;
            }
        }
        checks.report();
    }
}

/// One frame of a recording: the client's are sent, the server's are awaited.
async fn pass(
    checks: &mut Checks,
    stream: &mut Box<dyn Stream>,
    encoding: Encoding,
    step: &str,
    direction: &str,
    frame: &str,
) {
    match (direction, frame) {
        ("c2s", "EOF") => within(step, stream.shutdown()).await.unwrap(),
        ("c2s", frame) => write(stream, &from_hex(frame)).await,
        (_, "EOF") => checks.equal(step, within(step, read_frame(stream)).await, None::<Vec<u8>>),
        (_, frame) => {
            let (kind, id, content) = open(encoding, &from_hex(frame));
            let found = within(step, read_frame(stream)).await.expect("a frame");
            let (found_kind, found_id, found) = open(encoding, &found);
            checks.equal(step, (found_kind, found_id), (kind, id));
            let (content, found): (Value, Value) = (content.decode().unwrap(), found.decode().unwrap());
            match (kind, step) {
                // The text of a failure is each package's own; that of the application must be in it.
                (2, "fail") => checks.holds(step, found == Value::from("boom")),
                (2, _) => checks.holds(step, matches!(found, Value::Text(_))),
                _ => checks.equal(step, found, content),
            }
        }
    }
}
