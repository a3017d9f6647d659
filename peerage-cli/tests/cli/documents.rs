//! What the program writes about itself, and the demo.

use std::fs;

use serde_json::json;

use crate::program::run;

#[test]
fn help_holds_the_exit_codes() {
    for arguments in [&["--help"][..], &["channel", "call", "--help"]] {
        let help = run(arguments);
        assert_eq!(help.code, Some(0));
        for line in ["0  ok", "5  refused", "6  deadline", "7  did not run", "8  remote", "9  connection lost"] {
            assert!(help.stdout.contains(line), "{line}: {}", help.stdout);
        }
    }
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.stdout.contains("channel") && script.stdout.contains("ready-fd"), "{shell}");
    }
    let script = run(&["completions", "bash", "--json"]).object();
    assert_eq!((&script["schema"], &script["shell"]), (&json!(1), &json!("bash")));
}

#[test]
fn every_command_gets_its_manual_page() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = home.path().join("man/man1");
    let written = run(&["man", &directory.display().to_string(), "--json"]);
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let mut names: Vec<String> = fs::read_dir(&directory)
        .expect("the directory was made")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let wanted = [
        "peerage-bench-call.1",
        "peerage-bench-pub.1",
        "peerage-bench-stream.1",
        "peerage-bench.1",
        "peerage-call.1",
        "peerage-channel-call.1",
        "peerage-channel-serve.1",
        "peerage-channel.1",
        "peerage-completions.1",
        "peerage-demo.1",
        "peerage-describe.1",
        "peerage-drain.1",
        "peerage-find.1",
        "peerage-id-list.1",
        "peerage-id-new.1",
        "peerage-id-show.1",
        "peerage-id.1",
        "peerage-log.1",
        "peerage-man.1",
        "peerage-network-join.1",
        "peerage-network-list.1",
        "peerage-network-new.1",
        "peerage-network-show.1",
        "peerage-network-ticket.1",
        "peerage-network.1",
        "peerage-peers.1",
        "peerage-ping.1",
        "peerage-pub.1",
        "peerage-send.1",
        "peerage-serve.1",
        "peerage-services.1",
        "peerage-set.1",
        "peerage-status.1",
        "peerage-sub.1",
        "peerage-up.1",
        "peerage-why.1",
        "peerage.1",
    ];
    assert_eq!(names, wanted);
    assert_eq!(written.object()["pages"].as_array().map(Vec::len), Some(wanted.len()));
    let page = fs::read_to_string(directory.join("peerage-channel-call.1")).expect("a page can be read");
    assert!(page.contains("connection lost") && page.contains("\\-\\-timeout"), "{page}");
}

#[test]
fn the_demo_proves_every_step_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let demo = crate::program::peerage(&["demo", "--json"]).env("TMPDIR", home.path()).spawn();
    let demo = crate::program::finish(demo.expect("the program starts"));
    let shown = demo.object();
    assert_eq!((demo.code, &shown["ok"], &shown["schema"]), (Some(0), &json!(true), &json!(1)), "{}", demo.stdout);
    let steps = shown["steps"].as_array().expect("there are steps");
    assert!(steps.len() >= 10);
    for step in steps {
        let keys: Vec<&str> = step.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!((keys, &step["ok"]), (vec!["detail", "name", "ok"], &json!(true)), "{step}");
    }
    assert_eq!(fs::read_dir(home.path()).expect("it can be read").count(), 0, "the temporary home is removed");
}
