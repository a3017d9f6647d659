//! Faults: each is shown with its remedy by `up` and by `status`, and gone once it is cured.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::home::{Home, set_mode};
use crate::node::Up;
use crate::program::eventually;

/// A home with a network `lab` of its own.
fn lab() -> Home {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    home
}

/// Waits for this fault, and looks at it in `status` as a record and as text.
fn shows(home: &Home, node: &mut Up, fault: &str) -> Value {
    let event = loop {
        let event = node.event("fault");
        if event["fault"] == fault {
            break event;
        }
    };
    let remedy = event["remedy"].as_str().expect("a fault has a remedy");
    let status = home.done(&["status", "--json"]).object();
    assert_eq!(status["nominal"], json!(false));
    let shown = &status["faults"][0];
    assert_eq!(crate::node::keys(shown), ["detail", "fault", "remedy", "since"]);
    assert_eq!((&shown["fault"], &shown["remedy"]), (&json!(fault), &json!(remedy)));
    let text = home.done(&["status"]).stdout;
    assert!(text.starts_with(&format!("{fault}: ")) && text.contains(&format!("  remedy  {remedy}")), "{text}");
    event
}

/// Waits until it is gone.
fn cured(home: &Home, node: &mut Up, fault: &str) {
    while node.event("cleared")["fault"] != fault {}
    // Until the cure is there, another fault may have taken its place, such as nobody at the address.
    let nominal = || {
        let status = home.done(&["status", "--json"]).object();
        status["nominal"] == json!(true) && status["faults"] == json!([])
    };
    assert!(eventually(nominal), "{}", node.said());
    assert!(home.done(&["status"]).stdout.starts_with("Nominal\n"));
}

/// The port of an address.
fn port(address: &str) -> String {
    address.rsplit(':').next().expect("an address has a port").to_owned()
}

#[test]
fn a_wrong_network_is_one_fault_the_node_stays_and_it_is_gone_with_the_right_one() {
    let (home, others) = (lab(), lab());
    let stranger = others.up_at_loopback("s", "lab", &[]);
    let address = stranger.address("tls://");
    let mut node = home.up_at_loopback("a", "lab", &["--seed", &address]);
    shows(&home, &mut node, "wrong-network");
    // It tries on, and says nothing twice.
    assert!(eventually(
        || home.done(&["status", "--json"]).object()["counters"]["peerage_dials_total"].as_u64() > Some(2)
    ));
    drop(stranger);
    let friend = Home::new();
    home.invite(&friend, "lab", &node.address("tls://"));
    let _friend = friend.up("f", &["--network", "lab", "--listen", &format!("tls://127.0.0.1:{}", port(&address))]);
    cured(&home, &mut node, "wrong-network");
}

#[test]
fn who_requires_a_seed_ends_with_five_in_a_wrong_network() {
    let (home, others) = (lab(), lab());
    let stranger = others.up_at_loopback("s", "lab", &[]);
    let address = stranger.address("tls://");
    let run = home.run(&["up", "--name", "a", "--listen", "tls://127.0.0.1:0", "--seed", &address, "--require-seed"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(!run.stdout.contains("ready") && run.stderr.contains("closed without proof"), "{run:?}");
    let none = home.run(&["up", "--name", "a", "--require-seed"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""));
    assert!(none.stderr.contains("say --seed ADDR"), "{}", none.stderr);

    let guest = Home::new();
    others.invite(&guest, "lab", &address);
    let mut in_time = guest.up_at_loopback("g", "lab", &["--require-seed"]);
    assert_eq!(in_time.stop(), Some(0));
}

#[test]
fn a_seed_that_is_somebody_else_is_a_fault_until_it_is_the_right_one() {
    let (home, others) = (lab(), Home::new());
    let a = home.up_at_loopback("a", "lab", &[]);
    home.invite(&others, "lab", &a.address("tls://"));
    let wrong = others.up_at_loopback("wrong", "lab", &[]);
    let address = wrong.address("tls://");
    let id =
        others.done(&["id", "new", "right", "--json"]).object()["ids"][0]["id"].as_str().expect("an id").to_owned();
    drop(a);
    let pinned = address.replace("tls://", &format!("tls://{id}@"));
    let mut node = home.up_at_loopback("b", "lab", &["--seed", &pinned]);
    shows(&home, &mut node, "identity-mismatch");
    drop(wrong);
    let _right = others.up("right", &["--network", "lab", "--listen", &address]);
    cured(&home, &mut node, "identity-mismatch");
}

#[test]
fn a_seed_that_is_not_there_is_a_fault_until_it_is() {
    let home = lab();
    let first = home.up_at_loopback("a", "lab", &[]);
    let address = first.address("tls://");
    drop(first);
    let other = Home::new();
    home.invite(&other, "lab", &address);
    let mut node = other.up_at_loopback("b", "lab", &[]);
    shows(&other, &mut node, "seed-unreachable");
    let _seed = home.up("a", &["--network", "lab", "--listen", &address]);
    cured(&other, &mut node, "seed-unreachable");
}

#[test]
fn two_processes_with_one_key_are_told_so() {
    let (home, copy) = (lab(), Home::new());
    let a = home.up_at_loopback("a", "lab", &[]);
    let mut b = home.up_at_loopback("b", "lab", &["--seed", &a.address("tls://")]);
    b.event_of("joined", "a");
    home.invite(&copy, "lab", &a.address("tls://"));
    copy.done(&["id", "new", "b"]);
    fs::copy(home.path("identity/b.key"), copy.path("identity/b.key")).expect("a key can be copied");
    set_mode(&copy.path("identity/b.key"), 0o600);
    let twin = copy.up_at_loopback("b", "lab", &[]);
    assert_eq!(twin.id(), b.id());
    // Whichever of the three sees it first.
    let told = || {
        [(&home, "a"), (&home, "b"), (&copy, "b")].iter().any(|(home, name)| {
            let status = home.run(&["status", "--node", name, "--json"]);
            status.code == Some(0) && status.object()["faults"].to_string().contains("identity-conflict")
        })
    };
    assert!(eventually(told), "{} {}", a.said(), b.said());
    drop(twin);
}

#[test]
fn a_socket_that_cannot_be_made_anew_is_a_fault_until_its_place_is_free() {
    let home = Home::new();
    let mut a = home.up("a", &[]);
    let link = home.path("run/local/a.link");
    fs::remove_file(&link).expect("somebody tidies up");
    fs::create_dir(&link).expect("and puts something else there");
    let fault = shows(&home, &mut a, "listen");
    assert!(fault["detail"].as_str().is_some_and(|detail| detail.contains("a.link")), "{fault}");
    fs::remove_dir(&link).expect("it is empty");
    cured(&home, &mut a, "listen");
    let _b = home.up("b", &[]);
    a.event_of("joined", "b");
}

#[test]
fn a_node_without_descriptors_says_so_serves_on_and_recovers() {
    let home = lab();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_peerage"), "up", "--name", "a"]);
    command.args(["--jsonl", "--network", "lab", "--listen", "tls://127.0.0.1:0"]);
    home.prepare(command.stdin(Stdio::null()));
    let mut node = Up::start(command);
    // Whoever is connected already is served on.
    let mut asks = UnixStream::connect(home.socket("lab", "a")).expect("the control socket");
    let mut faults = || stats(&mut asks)["faults"].clone();
    assert_eq!(faults(), json!([]));
    let at = node.address("tls://").trim_start_matches("tls://").to_owned();
    let strangers: Vec<TcpStream> =
        (0..64).map(|_| TcpStream::connect(&at).expect("the system accepts for the node")).collect();
    let event = node.event("fault");
    assert_eq!(event["fault"], "accept");
    let shown = faults()[0].clone();
    assert_eq!((&shown["fault"], &shown["remedy"]), (&json!("accept"), &event["remedy"]));
    assert!(event["remedy"].as_str().is_some_and(|remedy| remedy.contains("ulimit -n")), "{event}");
    assert!(event["detail"].as_str().is_some_and(|detail| detail.contains(&at)), "{event}");
    drop(strangers);
    cured(&home, &mut node, "accept");
    assert_eq!(node.stop(), Some(0));
}

/// What `peerage/stats` says, by a frame written by hand on a connection that is there already.
fn stats(asks: &mut UnixStream) -> Value {
    let request = br#"[0, 1, ["peerage/stats", [], {}]]"#;
    let length = u32::try_from(request.len()).expect("it is short");
    asks.write_all(&[&length.to_be_bytes()[..], request].concat()).expect("the node reads");
    let mut length = [0; 4];
    asks.read_exact(&mut length).expect("the node answers");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    asks.read_exact(&mut answer).expect("the whole answer");
    serde_json::from_slice::<Value>(&answer).expect("an answer in JSON")[2].clone()
}
