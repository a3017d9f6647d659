//! Settings of a node: from flags, the environment, a file and defaults, and what is refused in each.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::home::{Home, set_mode};
use crate::program::Run;

/// What `up --print-config` shows.
fn shown(run: &Run) -> Value {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.object()
}

const PRINT: [&str; 3] = ["up", "--print-config", "--json"];

/// A setting: its flag as typed, the value in the environment, the value in a file, and what they mean.
struct Case {
    key: &'static str,
    flag: &'static [&'static str],
    by_flag: Value,
    variable: &'static str,
    by_variable: Value,
    file: &'static str,
    by_file: Value,
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |key, flag, by_flag, variable, by_variable, file, by_file| {
        Case { key, flag, by_flag, variable, by_variable, file, by_file }
    };
    let (yes, no) = (json!(true), json!(false));
    vec![
        case("name", &["--name", "a"], json!("a"), "b", json!("b"), "'c'", json!("c")),
        case("network", &["--network", "a"], json!("a"), "b", json!("b"), "'c'", json!("c")),
        case("listen", &["--listen", "a", "quic://b:1"], json!(["tls://a:5000", "quic://b:1"]),
            " tls://c:7  unix:///d ", json!(["tls://c:7", "unix:///d"]), "['tls://e', 'tls://f']", json!(["tls://e:5000", "tls://f:5000"])),
        case("advertise", &["--advertise", "a", "--advertise", "b"], json!(["tls://a:5000", "tls://b:5000"]),
            "c", json!(["tls://c:5000"]), "'d'", json!(["tls://d:5000"])),
        case("seed", &["--seed", "a"], json!(["tls://a:5000"]), "b c", json!(["tls://b:5000", "tls://c:5000"]), "['d']", json!(["tls://d:5000"])),
        case("require-seed", &["--require-seed"], yes.clone(), "false", no.clone(), "true", yes.clone()),
        case("group", &["--group", "a", "b", "--group", "c"], json!(["a", "b", "c"]), "d e", json!(["d", "e"]), "['f']", json!(["f"])),
        case("hub", &["--hub=false"], no.clone(), "true", yes.clone(), "false", no.clone()),
        case("no-lan", &["--no-lan"], yes.clone(), "false", no.clone(), "true", yes.clone()),
        case("no-local", &["--no-local"], yes.clone(), "false", no.clone(), "true", yes.clone()),
        case("max-full-mesh", &["--max-full-mesh", "3"], json!(3), "4", json!(4), "5", json!(5)),
        case("log", &["--log", "debug"], json!("debug"), "peerage=trace,warn", json!("peerage=trace,warn"), "'info'", json!("info")),
        case("log-format", &["--log-format", "json"], json!("json"), "text", json!("text"), "'json'", json!("json")),
        case("ready-fd", &["--ready-fd", "3"], json!(3), "4", json!(4), "5", json!(5)),
        case("detach", &["--detach"], yes.clone(), "false", no.clone(), "true", yes.clone()),
        case("dangerously-plaintext", &["--dangerously-plaintext"], yes.clone(), "false", no.clone(), "true", yes.clone()),
        case("jsonl", &["--jsonl"], yes.clone(), "false", no, "true", yes),
    ]
}

#[test]
fn every_flag_of_up_can_stand_in_the_environment_and_in_a_file_and_goes_before_them() {
    let home = Home::new();
    fs::create_dir(home.path("")).expect("a home can be made");
    for case in cases() {
        let check = |run: Run, value: &Value, origin: &str, from: Value| {
            let setting = &shown(&run)["settings"][case.key];
            assert_eq!(*setting, json!({"value":value,"origin":origin,"from":from}), "{}", case.key);
        };
        let file = home.path("peerage.toml");
        fs::write(&file, format!("{} = {}\n", case.key, case.file)).expect("a file can be written");
        let variable = format!("PEERAGE_{}", case.key.to_uppercase().replace('-', "_"));
        let all = [&PRINT, case.flag].concat();
        check(home.run_where(&variable, case.variable, &all), &case.by_flag, "flag", json!(format!("--{}", case.key)));
        check(home.run_where(&variable, case.variable, &PRINT), &case.by_variable, "environment", json!(variable));
        check(home.run_where(&variable, "", &PRINT), &case.by_file, "file", json!(file));
        check(home.run(&PRINT), &case.by_file, "file", json!(file));
        fs::remove_file(&file).expect("a file can be removed");
    }
}

#[test]
fn the_settings_shown_are_the_flags_there_are() {
    let home = Home::new();
    let record = shown(&home.run(&PRINT));
    let settings: BTreeSet<String> = record["settings"].as_object().expect("an object").keys().cloned().collect();
    let mut tried: BTreeSet<String> = cases().iter().map(|case| case.key.to_owned()).collect();
    tried.insert("network-file".to_owned()); // which has a test of its own
    assert_eq!(settings, tried);
    let help = home.done(&["up", "--help"]).stdout;
    let options = help.split("Each of these settings").next().expect("it has a beginning");
    let flags = options
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--").or(line.trim_start().strip_prefix("-h, --")));
    let flags: BTreeSet<String> =
        flags.map(|flag| flag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()).collect();
    let more = ["config", "print-config", "json", "help"].map(str::to_owned);
    assert_eq!(flags, settings.into_iter().chain(more).collect());
}

#[test]
fn defaults_are_shown_and_looking_makes_nothing() {
    let home = Home::new();
    let record = shown(&home.run(&PRINT));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = record["settings"]["name"]["value"].as_str().expect("a name").to_owned();
    assert!(host.replace(['.', '_'], "-").starts_with(&name.replace('_', "-")), "{name} of {host}");
    assert_eq!(record["home"], json!(home.path("").to_string_lossy().trim_end_matches('/')));
    let link = format!("unix://{}", home.path(&format!("run/local/{name}.link")).display());
    assert_eq!(record["link"], json!(link));
    assert_eq!(record["control"], json!(link.replace(".link", ".sock")));
    let value = |key: &str| record["settings"][key]["value"].clone();
    assert_eq!((value("network"), value("listen")), (json!("local"), json!([link])));
    assert_eq!((value("max-full-mesh"), value("log"), value("hub")), (json!(64), json!("warn"), json!(false)));
    assert!(record["settings"].as_object().expect("an object").values().all(|setting| setting["origin"] == "default"));
    assert!(!home.path("").exists());

    home.done(&["network", "new", "lab"]);
    let record = shown(&home.run(&PRINT));
    let listen = record["settings"]["listen"]["value"].as_array().expect("a list").clone();
    assert_eq!(record["settings"]["network"]["value"], "lab");
    assert_eq!(listen[1..], [json!("tls://[::]:5000?next=999"), json!("quic://[::]:5000?next=999")]);
    assert!(listen[0].as_str().is_some_and(|text| text.ends_with(&format!("/run/lab/{name}.link"))));
    let record = shown(&home.run(&[&PRINT[..], &["--no-local"]].concat()));
    assert_eq!(record["link"], json!(null));
    assert_eq!(record["settings"]["listen"]["value"].as_array().map(Vec::len), Some(2));
}

#[test]
fn without_a_word_the_network_is_local_or_the_only_other_one_and_of_several_none() {
    let home = Home::new();
    let network = |home: &Home| shown(&home.run(&PRINT))["settings"]["network"]["value"].clone();
    home.done(&["network", "new", "local"]);
    assert_eq!(network(&home), "local");
    home.done(&["network", "new", "lab"]);
    for arguments in [&PRINT[..], &["up"]] {
        let run = home.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(run.stderr.contains("say which one with --network: lab, local"), "{}", run.stderr);
    }
    let other = Home::new();
    other.done(&["network", "new", "lab"]);
    assert_eq!(network(&other), "lab");
}

#[test]
fn a_network_file_names_the_network_wherever_it_stands() {
    let (home, elsewhere) = (Home::new(), Home::new());
    elsewhere.done(&["network", "new", "lab"]);
    let file = elsewhere.path("networks/lab.network").display().to_string();
    let record = shown(&home.run(&[&PRINT[..], &["--network-file", &file]].concat()));
    let origin = json!({"value":"lab","origin":"flag","from":"--network-file"});
    assert_eq!(record["settings"]["network"], origin);
    assert_eq!(record["settings"]["network-file"], json!({"value":file,"origin":"flag","from":"--network-file"}));
    // The one that goes first counts, whichever of the two it is.
    let network = |run: Run| shown(&run)["settings"]["network"].clone();
    let flag = network(home.run_where("PEERAGE_NETWORK_FILE", &file, &[&PRINT[..], &["--network", "office"]].concat()));
    assert_eq!(flag["value"], "office");
    let flag = network(home.run_where("PEERAGE_NETWORK", "office", &[&PRINT[..], &["--network-file", &file]].concat()));
    assert_eq!(flag, origin);
    let both = home.run(&[&PRINT[..], &["--network-file", &file, "--network", "lab"]].concat());
    assert_eq!(both.code, Some(2));
    assert!(both.stderr.contains("leave one of them out"), "{}", both.stderr);
    set_mode(&elsewhere.path("networks/lab.network"), 0o640);
    let open = home.run(&[&PRINT[..], &["--network-file", &file]].concat());
    assert_eq!(open.code, Some(1));
    assert!(open.stderr.contains(&format!("`chmod 600 {file}`")), "{}", open.stderr);
}

#[test]
fn a_file_of_settings_can_be_named_by_flag_or_variable() {
    let home = Home::new();
    let (one, other) = (home.beside("one.toml"), home.beside("other.toml"));
    fs::write(&one, "# a comment\nname = 'one'\ngroup = []\n").expect("a file can be written");
    fs::write(&other, "name = 'other'").expect("a file can be written");
    let from = |run: Run| shown(&run)["settings"]["name"].clone();
    let by_variable = from(home.run_where("PEERAGE_CONFIG", &one, &PRINT));
    assert_eq!(by_variable, json!({"value":"one","origin":"file","from":one}));
    let other = other.display().to_string();
    let by_flag = [&PRINT[..], &["--config", &other]].concat();
    assert_eq!(from(home.run_where("PEERAGE_CONFIG", &one, &by_flag))["value"], "other");
    let missing = home.run(&["up", "--print-config", "--config", "/no/such/file"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("/no/such/file: there is no such file of settings"), "{}", missing.stderr);
}

#[test]
fn the_text_form_shows_the_same_a_setting_a_line() {
    let home = Home::new();
    let run = home.run_where("PEERAGE_SEED", "a b", &["up", "--print-config", "--name", "ada"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with("name\tada\tflag --name\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\nseed\ttls://a:5000 tls://b:5000\tenvironment PEERAGE_SEED\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\nadvertise\t-\tdefault\n"), "{}", run.stdout);
}

#[test]
fn each_mistake_in_a_flag_a_variable_or_a_file_ends_with_2_and_its_remedy() {
    let home = Home::new();
    fs::create_dir(home.path("")).expect("a home can be made");
    let with_id = format!("tls://{}@h", peerage::Identity::generate().id());
    let flags: [(&[&str], &str); 18] = [
        (&["--name", "a/b"], "is not allowed in a name"),
        (&["--listen", &with_id], "the node id before `@` is for connecting"),
        (&["--listen", "memory://x"], "memory:// stays within one process"),
        (&["--listen", "/run/a"], "a unix socket is written unix:///run/a"),
        (&["--listen", "tls://h?codec=json"], "add dialect=plain"),
        (&["--listen", "tls://h?services=x"], "add dialect=plain"),
        (&["--listen", "tls://h?dialect=plain"], "a plain listener of a node is tcp:// or unix://"),
        (&["--listen", "tcp://h"], "allow it with --dangerously-plaintext"),
        (&["--seed", "tcp://h"], "allow it with --dangerously-plaintext"),
        (&["--seed", "h:0"], "port 0 is for listening"),
        (&["--seed", "h?dialect=plain"], "a node cannot be reached in the plain dialect"),
        (&["--advertise", "0.0.0.0"], "no host has this address"),
        (&["--advertise", "h?next=5"], "the option next is for listening"),
        (&["--advertise", "unix:///x"], "unix:// stays on this machine"),
        (&["--max-full-mesh", "151"], "151 is not in 2..=150"),
        (&["--ready-fd", "2"], "2 is not in 3.."),
        (&["--hub", "maybe"], "unexpected argument 'maybe'"),
        (&["--log", "x=y=z"], "write a level such as debug"),
    ];
    let told = |run: Run, remedy: &str| {
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{remedy}: {}", run.stderr);
        assert!(run.stderr.contains(remedy), "{remedy}: {}", run.stderr);
    };
    for (arguments, remedy) in &flags[..] {
        told(home.run(&[&PRINT[..], arguments].concat()), remedy);
    }
    told(home.run(&["up", "--json"]), "--print-config");
    let variables = [
        ("PEERAGE_LISTNE", "x", "PEERAGE_LISTNE is no setting; is PEERAGE_LISTEN meant?"),
        ("PEERAGE_COLOUR_OF_THE_SKY", "x", "is no setting; `peerage up --print-config` shows all"),
        ("PEERAGE_PRINT_CONFIG", "true", "PEERAGE_PRINT_CONFIG is no setting"),
        ("PEERAGE_LISTEN", "a h:x", "PEERAGE_LISTEN: `h:x`: `x` is no port"),
        ("PEERAGE_HUB", "maybe", "PEERAGE_HUB: `maybe`: write one of: true, false"),
        ("PEERAGE_LOG_FORMAT", "yaml", "PEERAGE_LOG_FORMAT: `yaml`: write one of: text, json"),
        ("PEERAGE_LOG", "x=y=z", "PEERAGE_LOG: `x=y=z`: "),
        ("PEERAGE_MAX_FULL_MESH", "many", "PEERAGE_MAX_FULL_MESH: `many`: "),
        ("PEERAGE_NAME", "-x", "PEERAGE_NAME: `-x`: a name does not start with '-'"),
        ("PEERAGE_LISTEN", "tcp://h", "allow it with --dangerously-plaintext"),
    ];
    for (variable, value, remedy) in variables {
        told(home.run_where(variable, value, &PRINT), remedy);
    }
    let files = [
        ("listne = ['x']", "peerage.toml: listne is no setting; is listen meant?"),
        ("config = 'x'", "config is no setting"),
        ("[listen]\nx = 1", "peerage.toml: listen: write a text, a number, true or false, or a list of texts"),
        ("[nodes]\nx = 1", "peerage.toml: nodes is no setting"),
        ("name = ['a', 'b']", "peerage.toml: name: takes one value only"),
        ("name = []", "peerage.toml: name: write one value"),
        ("hub = 1", "peerage.toml: hub: `1`: write one of: true, false"),
        ("max-full-mesh = 1.5", "max-full-mesh: write a text, a number"),
        ("seed = ['h:0']", "peerage.toml: seed: `h:0`: port 0 is for listening"),
        ("name = 'a'\nname = 'b'", "peerage.toml:2: is not TOML: duplicate key"),
        ("= x", "peerage.toml:1: is not TOML: "),
    ];
    for (text, remedy) in files {
        fs::write(home.path("peerage.toml"), text).expect("a file can be written");
        told(home.run(&PRINT), remedy);
    }
    fs::write(home.path("peerage.toml"), "#".repeat(2 << 20)).expect("a file can be written");
    let long = home.run(&PRINT);
    assert!(long.code == Some(1) && long.stderr.contains("is it the right file?"), "{}", long.stderr);
}

#[test]
fn a_secret_is_refused_in_the_environment_and_in_a_file_of_settings() {
    let home = Home::new();
    fs::create_dir(home.path("")).expect("a home can be made");
    for variable in ["PEERAGE_SECRET", "PEERAGE_NETWORK_SECRET", "PEERAGE_TICKET", "PEERAGE_KEY", "PEERAGE_PASSWORD"] {
        let run = home.run_where(variable, "correct-horse", &PRINT);
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains(variable) && run.stderr.contains("--network-file FILE"), "{}", run.stderr);
        assert!(!run.stderr.contains("correct-horse"), "{}", run.stderr);
    }
    for text in ["secret = 'correct-horse'", "network-secret = 'correct-horse'", "ticket = 'correct-horse'"] {
        fs::write(home.path("peerage.toml"), text).expect("a file can be written");
        let run = home.run(&PRINT);
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains("a secret stands in a network file and nowhere else"), "{}", run.stderr);
        assert!(!run.stderr.contains("correct-horse"), "{}", run.stderr);
    }
}

#[test]
fn a_home_too_deep_for_a_socket_is_an_error_that_proposes_another() {
    let home = Home::new();
    let deep = home.beside(&"d".repeat(100));
    let run = home.run_where("PEERAGE_HOME", &deep, &["up"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("a socket has at most 107; set PEERAGE_HOME=/"), "{}", run.stderr);
    assert!(!deep.join("identity").exists(), "nothing was made");
    let run = home.run_where("PEERAGE_HOME", &deep, &["up", "--name", &"n".repeat(64), "--network", &"m".repeat(64)]);
    assert!(run.stderr.contains("choose a shorter --name") || run.code == Some(1), "{}", run.stderr);
}
