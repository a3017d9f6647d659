//! What is typed wrongly ends with 2, before anything has happened, and says what to type.

use crate::program::{Server, run};

#[test]
fn every_usage_error_names_its_remedy() {
    let call = ["channel", "call", "127.0.0.1:1"];
    let serve = ["channel", "serve", "127.0.0.1:0"];
    let table: [(&[&str], &[&str], &str); 20] = [
        (&call, &["x", "--timeout", "5"], "the unit is missing: write 5ms, 5s, 5m or 5h"),
        (&call, &["x", "--timeout", "5d"], "write a number with its unit: ms, s, m or h"),
        (&call, &["x", "--retry", "1m"], "say a longer --timeout too"),
        (&call, &["x", "--codec", "yaml"], "[possible values: json, msgpack]"),
        (&call, &["x", "--concurrency", "2"], "say --repeat N too"),
        (&call, &["x", "--repeat", "0"], "0 is not in 1..=10000000"),
        (&call, &["x", "--json", "--jsonl"], "cannot be used with"),
        (&call, &["x", "--jsn"], "a similar argument exists: '--json'"),
        (&call, &[], "<CONTENT>"),
        (&call, &[r#"{"$bin":"0"}"#], "two hexadecimal digits for each byte"),
        (&["channel", "call", "host:port"], &["x"], "`port` is no port: write a number"),
        (&["channel", "call", "tls://host"], &["x"], "use unix:///path or tcp://host"),
        (&["channel", "call", "host?codec=json"], &["x", "--codec", "msgpack"], "disagree: leave one out"),
        (&["channel", "call", "./a.sock"], &["x"], "a unix socket is written unix://$PWD/a.sock"),
        (&serve, &[], "<--echo|--command <CMD>>"),
        (&serve, &["--echo", "--command", "cat"], "cannot be used with"),
        (&serve, &["--echo", "--max-frame", "1MB"], "write bytes as a whole number"),
        (&serve, &["--echo", "--ready-fd", "1"], "1 is not in 3.."),
        (&serve, &["--command", "cat 'x"], "a quote is not closed"),
        (&["--log", "x=y=z"], &["demo"], "write a level such as debug"),
    ];
    for (begin, end, remedy) in table {
        let run = run(&[begin, end].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{begin:?} {end:?}: {}", run.stderr);
        assert!(run.stderr.contains(remedy), "{begin:?} {end:?}: {}", run.stderr);
    }
}

#[test]
fn no_command_shows_what_there_is() {
    let run = run(&[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("channel") && run.stderr.contains("Exit codes:"), "{}", run.stderr);
}

#[test]
fn a_negative_number_is_content_and_no_option() {
    let server = Server::start(&["--echo"]);
    assert_eq!(server.call("-5", &[]).stdout, "-5\n");
}
