//! Nothing needs configuring: what the first nodes of a user make, and what later ones choose.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;

use peerage::{Identity, Network};
use rustix::process::Signal;
use serde_json::Value;

use crate::home::{Home, names_in};
use crate::program::{ended, eventually, finish, signal};

/// A node that runs. Dropping it kills it.
struct Node(Child);

impl Node {
    fn up(home: &Home, arguments: &[&str]) -> Node {
        Node(home.peerage(&[&["up"], arguments].concat()).spawn().expect("the program starts"))
    }

    /// Asks it to leave; its exit code.
    fn leave(mut self) -> Option<i32> {
        signal(&self.0, Signal::TERM);
        ended(&mut self.0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Name and process of each key in use.
fn in_use(home: &Home) -> BTreeSet<(String, u64)> {
    let record = home.run(&["id", "list", "--json"]).object();
    let records: Vec<Value> = record["ids"].as_array().expect("a list").clone();
    let user = |record: &Value| Some((record["name"].as_str()?.to_owned(), record["pid"].as_u64()?));
    records.iter().filter_map(user).collect()
}

#[test]
fn the_first_node_makes_a_key_and_the_network_local_and_the_next_takes_the_next_name() {
    let home = Home::new();
    let name = home.run(&["up", "--print-config", "--json"]).object()["settings"]["name"]["value"].clone();
    let name = name.as_str().expect("a name").to_owned();
    let first = Node::up(&home, &[]);
    let control = home.path(&format!("run/local/{name}.sock"));
    assert!(eventually(|| control.exists()), "a node has a control socket");
    let second = Node::up(&home, &[]);
    let all = [(name.clone(), u64::from(first.0.id())), (format!("{name}-2"), u64::from(second.0.id()))];
    assert!(eventually(|| in_use(&home) == all.clone().into()), "{:?}", in_use(&home));
    assert_eq!(names_in(&home.path("networks")), ["local.network"]);
    let shown = home.run(&["up", "--print-config", "--json"]).object()["settings"]["name"]["value"].clone();
    assert_eq!(shown, format!("{name}-3"));
    assert!(eventually(|| home.path(&format!("run/local/{name}-2.sock")).exists()));
    assert_eq!(first.leave(), Some(0));
    // The name is free again, and so is the key.
    let third = Node::up(&home, &[]);
    let all = [(name.clone(), u64::from(third.0.id())), (format!("{name}-2"), u64::from(second.0.id()))];
    assert!(eventually(|| in_use(&home) == all.clone().into()), "{:?}", in_use(&home));
}

#[test]
fn the_name_of_a_running_node_is_refused_and_its_process_told() {
    let home = Home::new();
    let held = Identity::open_or_create(&home.path("identity/ada.key")).expect("a key can be made");
    let run = home.run(&["up", "--name", "ada"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    let told = format!("a node called ada runs already as process {}", std::process::id());
    assert!(run.stderr.contains(&told) && run.stderr.lines().count() == 1, "{}", run.stderr);
    drop(held);
}

#[test]
fn what_a_node_cannot_start_with_is_refused_before_a_key_is_made() {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    let table: [(&[&str], i32, &str); 4] = [
        (&["up", "--name", "cli"], 2, "is that of the nodes that commands start"),
        (&["up", "--network", "office"], 1, "there is no network called office; `peerage network new office`"),
        (&["up", "--require-seed"], 2, "say --seed ADDR"),
        (&["up", "--network-file", "/no/such/file"], 1, "/no/such/file: there is no such file"),
    ];
    for (arguments, code, remedy) in table {
        let run = home.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(remedy), "{arguments:?}: {}", run.stderr);
    }
    assert!(!home.path("identity").exists());
    fs::write(home.path("networks/lab.network"), "x").expect("a file can be written");
    let run = home.run(&["up"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("lab.network: is not a ticket"), "{}", run.stderr);
}

/// How many others a node is linked with.
fn linked(home: &Home, name: &str) -> usize {
    let peers = home.done(&["peers", "--node", name, "--json"]).object()["peers"].clone();
    peers.as_array().expect("a list").iter().filter(|peer| peer["path"] == "unix" && peer["state"] == "up").count()
}

#[test]
fn sixteen_nodes_that_start_together_in_an_empty_home_form_one_mesh_and_share_no_key() {
    let home = Home::new();
    let nodes: Vec<Node> = (0..16).map(|_| Node::up(&home, &[])).collect();
    let all: BTreeSet<u64> = nodes.iter().map(|node| u64::from(node.0.id())).collect();
    let holders = || in_use(&home).into_iter().map(|(_, pid)| pid).collect::<BTreeSet<u64>>();
    assert!(eventually(|| holders() == all), "{:?} of {all:?}", in_use(&home));
    assert_eq!(names_in(&home.path("networks")), ["local.network"]);
    Network::open(&home.path("networks/local.network")).expect("it is whole");
    let keys = names_in(&home.path("identity"));
    assert_eq!(keys.iter().filter(|name| name.ends_with(".key")).count(), 16, "{keys:?}");
    // Nothing half made stays; the counter of starts is made after the key is locked.
    let whole = || names_in(&home.path("identity")).iter().all(|name| !name.ends_with(".new"));
    assert!(eventually(whole), "{:?}", names_in(&home.path("identity")));
    for (name, _) in in_use(&home) {
        assert!(eventually(|| linked(&home, &name) == 15), "{name}: {}", linked(&home, &name));
    }
}

#[test]
fn a_node_whose_network_file_others_can_read_does_not_start() {
    let home = Home::new();
    home.done(&["network", "new", "local"]);
    let file = home.path("networks/local.network");
    crate::home::set_mode(&file, 0o644);
    let run = finish(home.peerage(&["up"]).spawn().expect("the program starts"));
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains(&format!("`chmod 600 {}`", file.display())), "{}", run.stderr);
}
