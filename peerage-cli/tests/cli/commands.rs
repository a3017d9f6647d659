//! `--command`: what goes in, what comes out, and what happens to the processes.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::json;

use crate::program::{Server, eventually, run};

#[test]
fn a_command_gets_the_content_as_a_line_of_json_and_answers_with_what_it_prints() {
    let server = Server::start(&["--command", "cat"]);
    for content in [r#"{"b":1,"a":[2.0,null]}"#, r#"{"$bin":"00ff"}"#, r#""a\nb""#] {
        let call = server.call(content, &["--codec", "msgpack"]);
        assert_eq!((call.code, call.stdout.trim_end()), (Some(0), content));
    }
    let server = Server::start(&["--command", "printf 'it is\n\"fine\"\n'"]);
    assert_eq!(server.call("1", &[]).stdout, "\"it is\\n\\\"fine\\\"\"\n", "text less one newline");
}

#[test]
fn a_command_is_split_by_quoting_rules_and_sees_no_shell() {
    let server = Server::start(&["--command", r#"printf '%s|' 'a b' $HOME "c\"d" *"#]);
    assert_eq!(server.call("1", &[]).stdout, "\"a b|$HOME|c\\\"d|*|\"\n");
}

#[test]
fn a_command_that_fails_says_how_and_why() {
    let table = [
        ("sh -c 'echo no such record >&2; exit 3'", "[exit-3] no such record"),
        ("false", "[exit-1] the command ended with exit 1 and wrote nothing to stderr"),
        ("sh -c 'kill -9 $$'", "[signal-9] the command ended with signal 9 and wrote nothing to stderr"),
        (r#"echo '{"$flag":"null"}'"#, "null (flag)"),
        ("printf '\\377'", "[bad-answer] the command printed something else than UTF-8"),
        (r#"echo '{"$bin":"0"}'"#, "[bad-answer] the command printed: {\"$bin\":…} holds a string"),
    ];
    for (command, message) in table {
        let server = Server::start(&["--command", command]);
        let call = server.call("1", &["--json"]);
        let record = call.object();
        assert_eq!((call.code, &record["outcome"], &record["class"]), (Some(8), &json!("remote"), &json!("failed")));
        assert_eq!((&record["code"], &record["data"], &record["peer"]), (&json!("plain"), &json!(null), &json!(null)));
        assert!(record["message"].as_str().is_some_and(|text| text.starts_with(message)), "{record}");
    }
}

#[test]
fn the_end_of_a_long_stderr_is_what_is_told() {
    let server = Server::start(&["--command", "sh -c 'seq 10000 >&2; exit 1'"]);
    let record = server.call("1", &["--json"]).object();
    let message = record["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("9999\n10000") && message.len() > 4_000, "{message}");
}

#[test]
fn a_command_that_prints_too_much_is_ended() {
    let server = Server::start(&["--command", "yes", "--max-frame", "64KiB"]);
    let record = server.call("1", &["--json"]).object();
    assert_eq!(record["message"], "[too-large] the command printed more than 65536 bytes, see --max-frame");
}

#[test]
fn a_request_that_no_type_can_hold_fails_alone() {
    let server = Server::start(&["--command", "cat"]);
    let mut stream = UnixStream::connect(server.socket()).expect("the server listens");
    stream.write_all(b"\0\0\0\x0b[0, 0, NaN]").expect("is sent");
    let mut reply = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut reply).expect("an answer arrives");
    assert_eq!(&reply[4..], b"[2, 0, \"");
    assert_eq!(server.call("1", &[]).code, Some(0));
}

#[test]
fn as_many_commands_run_at_once_as_allowed() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let lock = home.path().join("lock");
    // Two at once would meet in the directory.
    let command = format!("sh -c 'mkdir {0} || exit 1; sleep 0.05; rmdir {0}'", lock.display());
    let server = Server::start(&["--command", &command, "--concurrency", "1"]);
    let calls = server.call("1", &["--repeat", "6", "--concurrency", "6"]);
    assert_eq!(calls.code, Some(0), "{}{}", calls.stdout, calls.stderr);
}

#[test]
fn a_command_and_what_it_started_end_with_the_connection_of_its_caller() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let (server, file) = server_with_a_family(home.path());
    let mut stream = UnixStream::connect(server.socket()).expect("the server listens");
    stream.write_all(b"\0\0\0\x09[0, 0, 1]").expect("is sent");
    let family = family(&file);
    // A frame that no peer may send breaks the connection; an end in order would only close one direction of it.
    stream.write_all(b"\xff\xff\xff\xff").expect("is sent");
    assert!(eventually(|| family.iter().all(|id| is_gone(id))), "{family:?}");
}

#[test]
fn a_command_and_what_it_started_end_with_the_server() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let (server, file) = server_with_a_family(home.path());
    let mut stream = UnixStream::connect(server.socket()).expect("the server listens");
    stream.write_all(b"\0\0\0\x09[0, 0, 1]").expect("is sent");
    let family = family(&file);
    assert_eq!(server.stop().0, Some(0));
    assert!(family.iter().all(|id| is_gone(id)), "{family:?}");
}

#[test]
fn a_command_that_is_not_there_is_refused_at_the_start_and_later_fails_the_call() {
    let serve = run(&["channel", "serve", "127.0.0.1:0", "--command", "no-such-program-xyz"]);
    assert_eq!(serve.code, Some(2));
    assert!(serve.stderr.contains("there is no program `no-such-program-xyz` on the PATH"), "{}", serve.stderr);

    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let program = home.path().join("program");
    fs::copy("/bin/cat", &program).expect("a program can be copied");
    let server = Server::start(&["--command", &program.display().to_string()]);
    fs::remove_file(&program).expect("a copy can be removed");
    let record = server.call("1", &["--json"]).object();
    assert!(
        record["message"].as_str().is_some_and(|text| text.starts_with("[not-started] cannot start `")),
        "{record}"
    );
}

/// A server whose command starts another process, writes both ids to a file, and does not end when asked to.
fn server_with_a_family(home: &Path) -> (Server, std::path::PathBuf) {
    let file = home.join("ids");
    let script = home.join("family");
    let text = format!(
        "trap '' TERM\nsleep 60 &\necho $$ $! > {0}.part\nmv {0}.part {0}\nwhile :; do sleep 1; done\n",
        file.display()
    );
    fs::write(&script, text).expect("a script can be written");
    (Server::start(&["--command", &format!("sh {}", script.display())]), file)
}

fn family(file: &Path) -> Vec<String> {
    assert!(eventually(|| file.exists()), "the command starts");
    let ids = fs::read_to_string(file).expect("the ids can be read");
    ids.split_whitespace().map(str::to_owned).collect()
}

/// Whether a process is gone, or dead and only waits for somebody to ask for its exit code.
fn is_gone(id: &str) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", id]).output().expect("ps runs").stdout;
    state.is_empty() || state.starts_with(b"Z")
}
