//! Keys and networks: made, shown, handed on, and refused when they cannot be trusted.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use peerage::{Identity, Network};
use serde_json::{Value, json};

use crate::home::{Home, names_in, set_mode};
use crate::program::{Run, finish};

#[test]
fn a_new_key_is_told_shown_and_listed_in_the_same_record() {
    let home = Home::new();
    let new = home.done(&["id", "new", "ada", "--json"]).object();
    let record = &new["ids"][0];
    let id = record["id"].as_str().expect("an id");
    assert_eq!(
        new,
        json!({"schema":1,"ids":[{"name":"ada","id":id,"file":home.path("identity/ada.key"),"in_use":false,"pid":null}]})
    );
    assert_eq!(home.done(&["id", "show", "--json"]).object(), new);
    assert_eq!(home.done(&["id", "show", "ada", "--json"]).object(), new);
    assert_eq!(home.done(&["id", "list", "--json"]).object(), new);
    let line = format!("ada\t{id}\t-\t{}\n", home.path("identity/ada.key").display());
    assert_eq!(home.done(&["id", "list"]).stdout, line);
    home.done(&["id", "new", "bob"]);
    let listed = home.done(&["id", "list", "--json"]).object();
    let names: Vec<&Value> = listed["ids"].as_array().expect("ids").iter().map(|record| &record["name"]).collect();
    assert_eq!(names, ["ada", "bob"]);
}

#[test]
fn nothing_is_listed_in_an_empty_home_and_nothing_is_made_by_looking() {
    let home = Home::new();
    assert_eq!(home.done(&["id", "list", "--json"]).object(), json!({"schema":1,"ids":[]}));
    assert_eq!(home.done(&["network", "list", "--json"]).object(), json!({"schema":1,"networks":[]}));
    assert_eq!(home.done(&["id", "list"]).stdout, "");
    assert!(!home.path("").exists());
}

#[test]
fn a_key_that_a_node_holds_is_shown_with_its_process() {
    let home = Home::new();
    home.done(&["id", "new", "ada"]);
    let held = Identity::open(&home.path("identity/ada.key")).expect("a key can be opened");
    let record = &home.done(&["id", "show", "--json"]).object()["ids"][0];
    assert_eq!((&record["in_use"], &record["pid"]), (&json!(true), &json!(std::process::id())));
    assert_eq!(record["id"], held.id().to_string());
    drop(held);
    let record = &home.done(&["id", "show", "--json"]).object()["ids"][0];
    assert_eq!((&record["in_use"], &record["pid"]), (&json!(false), &json!(null)));
}

#[test]
fn a_network_is_made_shown_and_listed_without_its_secret() {
    let home = Home::new();
    let new = home.done(&["network", "new", "lab", "--seed", "node-7.lab", "quic://[::1]:7", "--json"]).object();
    let file = home.path("networks/lab.network");
    let seeds = ["tls://node-7.lab:5000", "quic://[::1]:7"];
    assert_eq!(new, json!({"schema":1,"networks":[{"name":"lab","file":file,"seeds":seeds}]}));
    assert_eq!(home.done(&["network", "show", "--json"]).object(), new);
    assert_eq!(home.done(&["network", "show", "--network", "lab", "--json"]).object(), new);
    assert_eq!(home.done(&["network", "list", "--json"]).object(), new);
    assert_eq!(home.done(&["network", "show"]).stdout, format!("lab\t{}\t{}\n", seeds.join(" "), file.display()));
}

#[test]
fn a_ticket_makes_the_same_network_elsewhere_from_stdin_or_a_file() {
    let (here, there, third) = (Home::new(), Home::new(), Home::new());
    here.done(&["network", "new", "lab", "--seed", "tls://node-7.lab"]);
    let ticket = here.done(&["network", "ticket", "--seed", "tls://node-8.lab"]);
    assert_eq!((ticket.stderr.as_str(), ticket.stdout.lines().count()), ("", 1));
    let joined = there.run_with(ticket.stdout.as_bytes(), &["network", "join", "-", "--json"]);
    assert_eq!(joined.code, Some(0), "{}", joined.stderr);
    assert_eq!(joined.object()["networks"][0]["seeds"], json!(["tls://node-7.lab:5000", "tls://node-8.lab:5000"]));

    let file = third.beside("lab.ticket");
    let ticket = here.done(&["network", "ticket", "--network", "lab", "--json"]).object();
    assert_eq!(ticket["network"], "lab");
    fs::write(&file, ticket["ticket"].as_str().expect("a ticket")).expect("a file can be written");
    set_mode(&file, 0o600);
    let joined = third.done(&["network", "join", &file.display().to_string()]);
    assert_eq!(joined.stderr, "");

    let secret = |home: &Home| {
        Network::open(&home.path("networks/lab.network")).expect("it is there").secret().as_bytes().to_vec()
    };
    assert_eq!(secret(&here), secret(&there));
    assert_eq!(secret(&here), secret(&third));
}

#[test]
fn a_ticket_without_seeds_says_so() {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    let ticket = home.done(&["network", "ticket"]);
    assert!(ticket.stderr.contains("holds no seed") && ticket.stderr.contains("--seed ADDR"), "{}", ticket.stderr);
}

#[test]
fn joining_twice_changes_nothing_and_another_network_of_that_name_is_refused() {
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab", "--seed", "tls://a.lab"]);
    let ticket = here.done(&["network", "ticket"]).stdout;
    let joined = there.run_with(ticket.as_bytes(), &["network", "join", "-", "--json"]).object();
    let again = there.run_with(ticket.as_bytes(), &["network", "join", "-", "--json"]);
    assert_eq!((again.code, again.object()), (Some(0), joined));
    assert!(again.stderr.contains("joined already"), "{}", again.stderr);

    let other = Home::new();
    other.done(&["network", "new", "lab", "--seed", "tls://a.lab"]);
    let ticket = other.done(&["network", "ticket"]).stdout;
    let before = fs::read(there.path("networks/lab.network")).expect("it is there");
    let refused = there.run_with(ticket.as_bytes(), &["network", "join", "-"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("holds another network called lab"), "{}", refused.stderr);
    assert_eq!(fs::read(there.path("networks/lab.network")).expect("it is there"), before);
}

#[test]
fn each_damage_of_a_ticket_has_its_own_error_and_makes_nothing() {
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab", "--seed", "tls://node-7.lab"]);
    let ticket = here.done(&["network", "ticket"]).stdout.trim().to_owned();
    let place = ticket.len() - 20;
    let other = if ticket.as_bytes()[place] == b'x' { "y" } else { "x" };
    let with = |text: &str| format!("{}{text}{}", &ticket[..place], &ticket[place + 1..]);
    let table = [
        (String::new(), "is empty"),
        ("hello".to_owned(), "is not a ticket but something else"),
        (with(other), "was changed somewhere (its checksum does not match)"),
        (with("0"), "has a wrong character after"),
        (with("ü"), "has a wrong character after"),
        (with("\n"), "is broken by a blank or a line break after"),
        (ticket[..place].to_owned(), "is cut off"),
        (ticket[..ticket.len() - 1].to_owned(), "is cut off"),
        (format!("{ticket}{ticket}"), "has a wrong character after"),
        (ticket.replace("ticket-1-", "ticket-2-"), "is of version 2"),
        (ticket.replace("ticket", "key"), "is not a ticket but a key"),
        ("x".repeat(1 << 20), "is longer than any key or ticket"),
    ];
    for (text, error) in table {
        let run = there.run_with(text.as_bytes(), &["network", "join", "-"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{error}: {}", run.stderr);
        assert!(run.stderr.starts_with(&format!("error: stdin: {error}")), "{error}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1);
    }
    let run = there.run_with(b"\xff\xfe", &["network", "join", "-"]);
    assert!(run.stderr.contains("is not text"), "{}", run.stderr);
    assert!(!there.path("").exists());
}

#[test]
fn a_ticket_that_others_can_read_is_taken_with_a_warning() {
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab"]);
    let file = there.beside("lab.ticket");
    fs::write(&file, here.done(&["network", "ticket"]).stdout).expect("a file can be written");
    set_mode(&file, 0o644);
    let joined = there.done(&["network", "join", &file.display().to_string()]);
    assert!(joined.stderr.contains("others on this machine can read this ticket"), "{}", joined.stderr);
}

#[test]
fn what_cannot_be_meant_is_a_usage_error_with_its_remedy() {
    let home = Home::new();
    for name in ["ada", "bob"] {
        home.done(&["id", "new", name]);
        home.done(&["network", "new", name]);
    }
    let table: [(&[&str], i32, &str); 14] = [
        (&["id", "new", "../x"], 2, "'/' at byte 2 is not allowed in a name"),
        (&["id", "new", ".x"], 2, "a name does not start with '.'"),
        (&["id", "new", &"x".repeat(65)], 2, "at most 64 characters"),
        (&["id", "show"], 2, "there are several keys; say which one: ada, bob"),
        (&["id", "show", "eve"], 1, "there is no key called eve; `peerage id new eve` makes one"),
        (&["id", "new", "ada"], 1, "exists already and is left as it is"),
        (&["network", "new", "a/b"], 2, "is not allowed in a name"),
        (&["network", "new", "bob"], 1, "exists already and is left as it is"),
        (&["network", "show"], 2, "say which one with --network: ada, bob"),
        (&["network", "ticket", "--network", "eve"], 1, "there is no network called eve"),
        (&["network", "new", "x", "--seed", "tls://h:0"], 2, "port 0 is for listening"),
        (&["network", "new", "x", "--seed", "tls://0.0.0.0"], 2, "no host has this address"),
        (&["network", "new", "x", "--seed", "memory://x"], 2, "memory:// stays within one process"),
        (&["network", "join", "/no/such/file"], 1, "/no/such/file: "),
    ];
    for (arguments, code, remedy) in table {
        let run = home.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(remedy), "{arguments:?}: {}", run.stderr);
    }
    let empty = Home::new();
    for (arguments, remedy) in
        [(["id", "show"], "make one with `peerage id new NAME`"), (["network", "show"], "`peerage network new NAME`")]
    {
        let run = empty.run(&arguments);
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains(remedy), "{}", run.stderr);
    }
}

#[test]
fn files_that_others_could_have_read_or_made_are_refused_in_one_line_with_the_remedy() {
    let home = Home::new();
    home.done(&["id", "new", "ada"]);
    home.done(&["network", "new", "lab"]);
    let commands: [(&str, &[&str]); 2] =
        [("identity/ada.key", &["id", "show", "ada"]), ("networks/lab.network", &["network", "ticket"])];
    for (file, command) in commands {
        let path = home.path(file);
        let refused = |remedy: &str| {
            let run = home.run(command);
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{remedy}: {}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
            assert!(run.stderr.contains(remedy), "{remedy}: {}", run.stderr);
        };
        for mode in [0o644, 0o640, 0o604] {
            set_mode(&path, mode);
            refused(&format!("`chmod 600 {}`", path.display()));
        }
        set_mode(&path, 0o600);
        let aside = home.beside("aside");
        fs::rename(&path, &aside).expect("a file can be moved");
        symlink(&aside, &path).expect("a link can be made");
        refused("is a symbolic link; put the file or directory itself there");
        fs::remove_file(&path).expect("a link can be removed");
        fs::create_dir(&path).expect("a directory can be made");
        refused("is not a plain file");
        fs::remove_dir(&path).expect("a directory can be removed");
        fs::rename(&aside, &path).expect("a file can be moved back");
        if std::os::unix::fs::chown(&path, Some(4711), None).is_ok() {
            refused("belongs to user 4711");
            std::os::unix::fs::chown(&path, Some(0), None).expect("who gave it away can take it back");
        } else {
            eprintln!("skipped: only root can give files away");
        }
        assert_eq!(home.run(command).code, Some(0));
    }
    set_mode(&home.path("identity"), 0o755);
    let run = home.run(&["id", "new", "bob"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains(&format!("`chmod 700 {}`", home.path("identity").display())), "{}", run.stderr);
}

#[test]
fn one_damaged_file_does_not_hide_the_others() {
    let home = Home::new();
    for name in ["ada", "bob"] {
        home.done(&["id", "new", name]);
        home.done(&["network", "new", name]);
    }
    fs::write(home.path("identity/ada.key"), "x").expect("a file can be written");
    fs::write(home.path("networks/ada.network"), "x").expect("a file can be written");
    for (command, list, error) in
        [("id", "ids", "is not a key"), ("network", "networks", "is not a ticket but something else")]
    {
        let run = home.run(&[command, "list", "--json"]);
        assert_eq!((run.code, &run.object()[list][0]["name"]), (Some(1), &json!("bob")));
        assert!(run.stderr.contains(error), "{}", run.stderr);
    }
}

#[test]
fn of_sixteen_processes_that_make_the_same_file_one_does_and_the_others_say_that_it_exists() {
    let home = Home::new();
    for arguments in [["id", "new", "ada"], ["network", "new", "lab"]] {
        let all: Vec<_> = (0..16).map(|_| home.peerage(&arguments).spawn().expect("the program starts")).collect();
        let all: Vec<Run> = all.into_iter().map(finish).collect();
        let (made, refused): (Vec<Run>, Vec<Run>) = all.into_iter().partition(|run| run.code == Some(0));
        assert_eq!(made.len(), 1, "{refused:?}");
        assert!(refused.iter().all(|run| run.code == Some(1) && run.stderr.contains("exists already")), "{refused:?}");
    }
    assert_eq!(names_in(&home.path("identity")), ["ada.key"]);
    assert_eq!(names_in(&home.path("networks")), ["lab.network"]);
}

#[test]
fn a_disk_without_room_leaves_nothing_behind() {
    let home = Home::new();
    home.done(&["id", "new", "ada"]);
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {} id new bob", env!("CARGO_BIN_EXE_peerage"));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    home.prepare(&mut command);
    let run = finish(command.spawn().expect("there is a shell"));
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("cannot write ") && run.stderr.contains("bob.key: "), "{}", run.stderr);
    assert_eq!(names_in(&home.path("identity")), ["ada.key"]);
}
