//! Serving: the ready line, the echo, and the end.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::program::{Server, ended, eventually, run, signal};

#[test]
fn the_ready_record_has_exactly_these_keys() {
    let server = Server::at("127.0.0.1:0", &["--echo"]);
    let ready = server.ready.as_object().expect("an object");
    let keys: Vec<&str> = ready.keys().map(String::as_str).collect();
    assert_eq!(keys, ["address", "codec", "event", "mono_us", "pid", "schema"]);
    assert_eq!((&ready["event"], &ready["codec"]), (&json!("ready"), &json!("any")));
    assert_eq!(ready["pid"], server.child.id());
    let port = server.address().strip_prefix("tcp://127.0.0.1:").and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| port > 0), "{}", server.address());
}

#[test]
fn the_ready_line_names_address_and_codec_and_goes_to_a_descriptor_too() {
    // The shell opens descriptor 3, which is a pipe to the reader that only ends when every copy of it is closed.
    let script =
        format!("'{}' channel serve 127.0.0.1:0 --command cat --codec json --ready-fd 3 3>&1 >/dev/null", BINARY);
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {script}")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let mut line = String::new();
    child.stdout.take().expect("stdout is piped").read_to_string(&mut line).expect("the descriptor is closed");
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(ended(&mut child), Some(0));
    assert!(line.starts_with("ready tcp://127.0.0.1:") && line.ends_with(" codec json\n"), "{line}");
}

#[test]
fn an_echo_returns_byte_for_byte_what_no_type_could_hold() {
    let server = Server::at("127.0.0.1:0", &["--echo"]);
    let address = server.address().strip_prefix("tcp://").expect("a tcp address");
    let content = r#"{"a" : NaN,"a":123456789012345678901234567890}"#;
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let ask = format!("[0, 7, {content}]");
    let length = u32::try_from(ask.len()).expect("a short body").to_be_bytes();
    stream.write_all(&length).and_then(|()| stream.write_all(ask.as_bytes())).expect("is sent");
    let mut reply = vec![0; 4 + ask.len()];
    stream.read_exact(&mut reply).expect("an answer arrives");
    assert_eq!(String::from_utf8_lossy(&reply[4..]), format!("[1, 7, {content}]"));
}

#[test]
fn a_frame_over_the_limit_ends_that_connection_alone() {
    let server = Server::start(&["--echo", "--max-frame", "1KiB"]);
    let call = server.call(&"x".repeat(2_000), &[]);
    assert_eq!(call.code, Some(9));
    assert!(call.stderr.contains("or the request is over its limit"), "{}", call.stderr);
    assert_eq!(server.call("1", &[]).code, Some(0));
    assert!(server.stop().1.contains("at most 1024 are accepted"));
}

#[test]
fn it_ends_in_order_when_asked_and_leaves_no_socket_behind() {
    let server = Server::start(&["--echo"]);
    let socket = server.socket();
    // A connection that stays open does not hold it up.
    let _idle = std::os::unix::net::UnixStream::connect(&socket).expect("the server listens");
    assert!(socket.exists());
    assert_eq!(server.stop(), (Some(0), String::new()));
    assert!(!socket.exists());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // This command does not end when it is asked to, which takes the orderly end a second.
    let mut server = Server::start(&["--command", "sh -c 'trap \"\" TERM; echo started >&2; sleep 3; sleep 3'"]);
    let mut call = crate::program::peerage(&["channel", "call", server.address(), "1"]).spawn().expect("starts");
    let pid = server.child.id().to_string();
    let started =
        || Command::new("ps").args(["-o", "pid=", "--ppid", &pid]).output().is_ok_and(|list| !list.stdout.is_empty());
    assert!(eventually(started), "the command runs");
    signal(&server.child, rustix::process::Signal::INT);
    let socket = server.socket();
    assert!(eventually(|| !socket.exists()), "it stops listening first");
    signal(&server.child, rustix::process::Signal::INT);
    assert_eq!(ended(&mut server.child), Some(1));
    ended(&mut call);
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let server = Server::at("127.0.0.1:0", &["--echo"]);
    let second = run(&["channel", "serve", server.address(), "--echo"]);
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    let wanted = format!("error: {} is in use: choose another port", server.address());
    assert!(second.stderr.starts_with(&wanted), "{}", second.stderr);
}

#[test]
fn a_descriptor_that_is_not_open_is_a_usage_error() {
    let file = File::open("/dev/null").expect("there is a null device");
    let closed = (file.as_raw_fd() + 500).to_string();
    drop(file);
    let serve = run(&["channel", "serve", "127.0.0.1:0", "--echo", "--ready-fd", &closed]);
    assert_eq!(serve.code, Some(2));
    assert!(serve.stderr.contains("it must be an open pipe or file"), "{}", serve.stderr);
}

const BINARY: &str = env!("CARGO_BIN_EXE_peerage");
