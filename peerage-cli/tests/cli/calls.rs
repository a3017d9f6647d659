//! One call: each outcome has its exit code, its record and its line for people.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{Server, finish, peerage, run, run_with, signal};

fn keys(record: &Value) -> Vec<&str> {
    let record = record.as_object().expect("a record is an object");
    record.keys().map(String::as_str).collect()
}

/// The same record without what differs from run to run.
fn steady(mut record: Value) -> Value {
    let fields = record.as_object_mut().expect("a record is an object");
    let elapsed = fields.remove("elapsed_us").expect("every record has its time");
    assert!(elapsed.is_u64(), "{elapsed}");
    record
}

/// A listener that does with its first connection what it is told to, in a thread of its own.
fn peer(behaviour: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || behaviour(listener.accept().expect("somebody connects").0));
    address.to_string()
}

fn read_some(stream: &mut TcpStream) {
    let count = stream.read(&mut [0; 1024]).expect("a request arrives");
    assert!(count > 0, "a request arrives");
}

/// A call in flight: it has connected and written its request.
fn call_in_flight(options: &[&str]) -> (Child, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    let child = peerage(&[&["channel", "call", &address, "1"], options].concat()).spawn().expect("the program starts");
    let (mut stream, _) = listener.accept().expect("the program connects");
    read_some(&mut stream);
    (child, stream)
}

#[test]
fn an_answer_is_printed_as_json_on_one_line() {
    let server = Server::start(&["--echo"]);
    let call = server.call(r#"{"b":[1,2.0,"a\nb"],"a":null}"#, &[]);
    assert_eq!((call.code, call.stdout.as_str()), (Some(0), "{\"b\":[1,2.0,\"a\\nb\"],\"a\":null}\n"));
    assert_eq!(call.stderr, "");
}

#[test]
fn the_record_of_an_answer_has_exactly_these_keys() {
    let server = Server::start(&["--echo"]);
    let call = server.call("5", &["--json"]);
    let wanted = json!({"schema":1,"outcome":"ok","class":"ok","value":5,"peer":null,"attempts":1});
    assert_eq!((call.code, steady(call.object())), (Some(0), wanted));
}

#[test]
fn both_codecs_carry_what_they_can_and_bytes_need_messagepack() {
    let server = Server::start(&["--echo"]);
    for content in [r#"{"$bin":"00ff"}"#, r#"{"$f64":"NaN"}"#, r#"{"$map":[[1,"one"],[null,2]]}"#] {
        let call = server.call(content, &["--codec", "msgpack"]);
        assert_eq!((call.code, call.stdout.trim_end()), (Some(0), content), "{}", call.stderr);
    }
    let call = server.call(r#"[1,{"a":{"$bin":"00"}}]"#, &["--json"]);
    let record = steady(call.object());
    assert_eq!(call.code, Some(5));
    assert_eq!(keys(&record), ["class", "may_have_run", "message", "outcome", "schema", "why"]);
    assert_eq!((&record["outcome"], &record["why"]), (&json!("refused"), &json!("bad-request")));
    assert_eq!(record["message"], "JSON cannot carry bytes at $[1].a; use msgpack");
}

#[test]
fn content_comes_from_stdin_and_text_that_is_no_json_is_a_string() {
    let server = Server::start(&["--echo"]);
    let table: [(&[u8], &str); 4] =
        [(b"[1]\n", "[1]"), (b"[1", "\"[1\""), (b"two\nlines\n", "\"two\\nlines\""), (b"", "\"\"")];
    for (stdin, answer) in table {
        let call = run_with(stdin, &["channel", "call", server.address(), "-"]);
        assert_eq!((call.code, call.stdout.trim_end()), (Some(0), answer));
    }
    let call = run_with(b"\xff", &["channel", "call", server.address(), "-"]);
    assert_eq!(call.code, Some(2));
    assert!(call.stderr.contains("stdin is not UTF-8"), "{}", call.stderr);
}

#[test]
fn nobody_listens_is_not_sent_and_says_how_to_wait() {
    let call = run(&["channel", "call", "127.0.0.1:1", "x", "--json"]);
    let wanted = json!({
        "schema":1, "outcome":"not-sent", "class":"did-not-run", "may_have_run":false, "why":"no-route",
        "message":"nobody listens at tcp://127.0.0.1:1; start the server, or say --retry 10s to wait for it",
    });
    assert_eq!((call.code, steady(call.object())), (Some(7), wanted));
    assert_eq!(call.stderr, "");

    let call = run(&["channel", "call", "unix:///no/such.sock", "x"]);
    assert_eq!((call.code, call.stdout.as_str()), (Some(7), ""));
    assert!(call.stderr.starts_with("error: not-sent: nobody listens at unix:///no/such.sock"), "{}", call.stderr);
}

#[test]
fn retry_waits_for_a_server_that_is_still_to_come() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let address = format!("unix://{}/late.sock", home.path().display());
    let call = peerage(&["channel", "call", &address, "1", "--retry", "20s", "--log", "debug"]).spawn();
    let mut call = call.expect("the program starts");
    // Its log says when the first attempt has failed.
    let mut log = [0; 1];
    call.stderr.as_mut().expect("stderr is piped").read_exact(&mut log).expect("a failed attempt is logged");
    let _server = Server::at(&address, &["--echo"]);
    let call = finish(call);
    assert_eq!((call.code, call.stdout.as_str()), (Some(0), "1\n"), "{}", call.stderr);
}

#[test]
fn retry_gives_up_when_its_time_is_over() {
    let call = run(&["channel", "call", "unix:///no/such.sock", "x", "--retry", "300ms", "--json"]);
    let record = call.object();
    assert_eq!((call.code, &record["why"]), (Some(7), &json!("no-route")));
    assert!(record["elapsed_us"].as_u64() >= Some(300_000), "{record}");
    assert!(record["message"].as_str().is_some_and(|text| text.ends_with("tried for 300ms: start the server")));
}

#[test]
fn a_deadline_ends_the_call_and_leaves_open_whether_it_ran() {
    let (child, _silent) = call_in_flight(&["--timeout", "200ms", "--json"]);
    let call = finish(child);
    let wanted = json!({
        "schema":1, "outcome":"deadline", "class":"unknown", "may_have_run":true, "stop":"unconfirmed", "peer":null,
        "message":"no answer within 200ms; the work may have run, or still run; --timeout allows more", "attempts":1,
    });
    assert_eq!((call.code, steady(call.object())), (Some(6), wanted));
}

#[test]
fn a_lost_connection_leaves_open_whether_it_ran_and_names_what_may_be_wrong() {
    let (child, stream) = call_in_flight(&["--json"]);
    drop(stream);
    let call = finish(child);
    let record = steady(call.object());
    let wanted = ["attempts", "class", "may_have_run", "message", "outcome", "peer", "schema", "why"];
    assert_eq!((call.code, keys(&record)), (Some(9), wanted.to_vec()));
    assert_eq!((&record["outcome"], &record["may_have_run"]), (&json!("connection-lost"), &json!(true)));
    let message = record["message"].as_str().unwrap_or_default();
    assert!(message.contains("another codec than json (say --codec msgpack)"), "{message}");
}

#[test]
fn a_server_with_another_codec_hangs_up_and_both_ends_say_why() {
    for (server_codec, client_codec, its_name) in [("msgpack", "json", "MessagePack"), ("json", "msgpack", "JSON")] {
        let server = Server::start(&["--echo", "--codec", server_codec]);
        let call = server.call("1", &["--codec", client_codec]);
        assert_eq!((call.code, call.stdout.as_str()), (Some(9), ""));
        assert!(call.stderr.contains(&format!("say --codec {server_codec}")), "{}", call.stderr);
        assert_eq!(server.call("1", &["--codec", server_codec]).code, Some(0));
        let (code, log) = server.stop();
        assert_eq!(code, Some(0));
        assert!(log.contains(&format!("the frame is not {its_name} but looks like")), "{log}");
    }
}

#[test]
fn an_answer_in_another_codec_is_a_protocol_error_that_names_it() {
    let address = peer(|mut stream| {
        read_some(&mut stream);
        stream.write_all(b"\0\0\0\x04\x93\x01\x00\x05").expect("the caller is there");
        let _ = stream.read(&mut [0; 1]);
    });
    let call = run(&["channel", "call", &address, "1", "--json"]);
    let record = call.object();
    assert_eq!((call.code, &record["outcome"], &record["class"]), (Some(1), &json!("protocol"), &json!("unknown")));
    let message = record["message"].as_str().unwrap_or_default();
    assert!(message.contains("not JSON but looks like MessagePack"), "{message}");
    assert!(message.ends_with("say --codec msgpack"), "{message}");
}

#[test]
fn an_answer_that_cannot_be_opened_is_a_protocol_error() {
    let address = peer(|mut stream| {
        read_some(&mut stream);
        stream.write_all(b"\0\0\0\x0b[1, 0, NaN]").expect("the caller is there");
        let _ = stream.read(&mut [0; 1]);
    });
    let call = run(&["channel", "call", &address, "1"]);
    assert_eq!(call.code, Some(1));
    assert!(call.stderr.starts_with("error: protocol: the answer cannot be opened: NaN"), "{}", call.stderr);
}

#[test]
fn a_failure_from_elsewhere_is_shown_on_one_line_and_cut() {
    let text = format!("boom\\n\\u001b]0;owned\\u0007\\u202e{}", "x".repeat(1_000));
    let address = peer(move |mut stream| {
        read_some(&mut stream);
        let body = format!("[2, 0, \"{text}\"]");
        let length = u32::try_from(body.len()).expect("a short body");
        stream.write_all(&length.to_be_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("is sent");
        let _ = stream.read(&mut [0; 1]);
    });
    let call = run(&["channel", "call", &address, "1"]);
    assert_eq!(call.code, Some(8));
    assert!(call.stderr.starts_with("error: remote: boom\\n\\u{1b}]0;owned\\u{7}\\u{202e}xxx"), "{}", call.stderr);
    assert!(call.stderr.len() < 300 && call.stderr.ends_with("x…\n"), "{}", call.stderr);
}

#[test]
fn what_is_too_large_for_a_frame_is_refused_before_it_is_sent() {
    let server = Server::start(&["--echo"]);
    let call = run_with(&vec![b'x'; 17 << 20], &["channel", "call", server.address(), "-", "--json"]);
    let record = call.object();
    assert_eq!((call.code, &record["outcome"], &record["why"]), (Some(5), &json!("refused"), &json!("too-large")));
}

#[test]
fn an_interrupted_call_is_cancelled_and_may_have_run() {
    for (number, options) in [(Signal::INT, &["--json"][..]), (Signal::TERM, &["--json"][..])] {
        let (child, _silent) = call_in_flight(options);
        signal(&child, number);
        let call = finish(child);
        let record = steady(call.object());
        assert_eq!((call.code, &record["outcome"]), (Some(1), &json!("cancelled")));
        assert_eq!((&record["may_have_run"], &record["stop"]), (&json!(true), &json!("unconfirmed")));
    }
}
