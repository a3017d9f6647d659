//! What a node costs in memory: with nobody there, and for each link on which nothing happens.
//!
//! Counted from outside: the resident memory of the process `peerage up` (`Rss` in `/proc/PID/smaps_rollup`), the pages of its
//! program file included. Beside tests that load the machine more handshakes are under way at a time, whose memory the allocator
//! keeps; so these have it for themselves.

use std::fs;
use std::time::Duration;

use peerage::network::Network;
use peerage::{Address, Identity, Node};

use crate::home::Home;
use crate::node::Up;
use crate::program::eventually;

/// Most that a node may take that is alone, in KiB. What is built for tests is a larger program, and more of its file is read.
const EMPTY_KIB: u64 = if cfg!(debug_assertions) { 32 << 10 } else { 20 << 10 };

/// Most of it that is no page of a file, in KiB: what the node itself has taken.
const OWN_KIB: u64 = 8 << 10;

/// Most that one end of an idle TLS link may take, in KiB.
const LINK_KIB: f64 = 40.0;

/// Links that are there before it is counted, so that what all links share is not taken for their price.
const BEFORE: usize = 20;

/// Links that are counted.
const COUNTED: usize = 200;

/// Links of the node that dials and is compared with: more than a node dials at once, so that both have had as many handshakes at
/// a time, whose memory the allocator keeps.
const DIALLED_BEFORE: usize = 80;

/// Resident memory of a node's process in KiB.
fn resident(node: &Up) -> u64 {
    counted(node, "Rss:")
}

/// A line of what the kernel says about the memory of a node's process, in KiB.
fn counted(node: &Up, what: &str) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", node.child.id())).expect("it runs");
    let line = rollup.lines().find_map(|line| line.strip_prefix(what)).expect("the kernel tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn lab() -> Home {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    home
}

/// How many links the node of this home has.
fn links(home: &Home) -> usize {
    home.done(&["status", "--json"]).object()["links"].as_array().expect("links").len()
}

/// So many nodes in this process, all of the network of this home.
async fn nodes(home: &Home, count: usize, listen: Option<&Address>) -> Vec<Node> {
    let network = Network::open(&home.path("networks/lab.network")).expect("the network");
    let mut nodes = Vec::new();
    for _ in 0..count {
        // They hear of each other, and shall not dial each other for it.
        let builder = Node::builder(Identity::generate()).network(network.clone()).ephemeral(true);
        let builder = listen.cloned().into_iter().fold(builder, peerage::node::Builder::listen);
        nodes.push(builder.start().await.expect("it starts"));
    }
    nodes
}

#[test]
fn a_node_that_is_alone_takes_at_most_20_mib() {
    let _alone = crate::alone();
    let home = lab();
    let mut node =
        home.up("a", &["--network", "lab", "--listen", "tls://127.0.0.1:0", "--listen", "quic://127.0.0.1:0"]);
    home.done(&["status"]);
    let (resident, own) = (resident(&node), counted(&node, "Anonymous:"));
    println!("an empty node: {resident} KiB resident, {own} KiB of it not from files");
    assert!(resident <= EMPTY_KIB && own <= OWN_KIB, "{resident} KiB, {own} KiB");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn an_idle_tls_link_takes_at_most_40_kib_at_the_end_that_accepted_it() {
    let _alone = crate::alone();
    runtime().block_on(accepted());
}

async fn accepted() {
    let home = lab();
    let node = home.up_at_loopback("a", "lab", &[]);
    let at: Address = node.address("tls://").parse().expect("an address");
    let members = nodes(&home, BEFORE + COUNTED, None).await;
    let mut before = 0;
    for (n, member) in members.iter().enumerate() {
        if n == BEFORE {
            assert!(eventually(|| links(&home) == BEFORE));
            before = resident(&node);
        }
        member.connect(&at).await.expect("they are linked");
        if n % 50 == 49 {
            // A node takes 200 connections a second in the long run.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    assert!(eventually(|| links(&home) == BEFORE + COUNTED));
    told("accepted", before, resident(&node), COUNTED);
}

#[test]
fn an_idle_tls_link_takes_at_most_40_kib_at_the_end_that_dialled_it() {
    let _alone = crate::alone();
    runtime().block_on(dialled());
}

async fn dialled() {
    let home = lab();
    let at = "tls://127.0.0.1:0".parse().expect("an address");
    let members = nodes(&home, BEFORE + COUNTED, Some(&at)).await;
    let mut taken = Vec::new();
    for count in [DIALLED_BEFORE, BEFORE + COUNTED] {
        let seeds: Vec<String> = members[..count].iter().map(|member| member.addresses()[0].to_string()).collect();
        let options: Vec<&str> = seeds.iter().flat_map(|seed| ["--seed", seed]).collect();
        let mut node = home.up_at_loopback("a", "lab", &options);
        assert!(eventually(|| links(&home) == count), "{}", node.said());
        taken.push(resident(&node));
        assert_eq!(node.stop(), Some(0));
    }
    told("dialled", taken[0], taken[1], BEFORE + COUNTED - DIALLED_BEFORE);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn told(end: &str, before: u64, after: u64, links: usize) {
    let each = after.saturating_sub(before) as f64 / links as f64;
    println!("an idle TLS link that was {end}: {each:.1} KiB (from {before} to {after} KiB with {links} links more)");
    assert!(each <= LINK_KIB, "{each:.1} KiB");
}
