//! Who may use whom, what a module may be called, who may drive a machine.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{self, Source};

/// What the modules of `peerage-proto` may use of their own crate. Arrows point down only.
const PROTO_MAY_USE: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("outputs", &[]),
    ("jitter", &[]),
    // Rules that tests can break; in what ships there is nothing of it.
    ("planted", &[]),
    ("id", &["limits"]),
    ("backoff", &["limits"]),
    ("liveness", &["limits"]),
    ("codec", &["limits"]),
    // The vocabulary of ends: it names what a peer did wrong and carries a failure's data unopened.
    ("outcome", &["codec", "limits"]),
    ("frame", &["codec", "id", "limits", "outcome"]),
    ("keys", &["id"]),
    // What a callee remembers of requests that must not run twice.
    ("idempotent", &["codec", "id", "limits", "outcome"]),
    // What is published, what a subscriber is told of it, what it has heard. It knows no link.
    ("events", &["codec", "id", "limits", "planted"]),
    // Whom to ask of several that could answer.
    ("routing", &["id", "limits", "outcome"]),
    // What happens on a connection before it is a link.
    ("hello", &["address", "codec", "frame", "id", "keys", "limits", "outputs", "planted"]),
    // An address says how to reach a peer and what to speak there, so it names codec and dialect. It opens no frame.
    ("address", &["codec", "frame", "id", "limits"]),
    ("channel", &["backoff", "codec", "events", "frame", "id", "limits", "liveness", "outcome", "outputs", "planted"]),
    // Links, contacts and the rule for duplicate links. Of handshake and channel it knows the words for how they end.
    ("peers", &["address", "backoff", "hello", "id", "jitter", "limits", "outcome", "outputs", "planted"]),
    // Who exists, and why it is believed. It hears of links, and knows nothing of how they are made.
    (
        "membership",
        &["address", "codec", "frame", "hello", "id", "jitter", "keys", "limits", "liveness", "outputs", "planted"],
    ),
    // The one file that knows all parts of the control plane.
    (
        "node",
        &[
            "address",
            "codec",
            "frame",
            "hello",
            "id",
            "keys",
            "limits",
            "liveness",
            "membership",
            "outcome",
            "outputs",
            "peers",
        ],
    ),
    // Drives the machines on virtual time; nothing shipped uses it.
    (
        "sim",
        &[
            "address",
            "channel",
            "codec",
            "events",
            "frame",
            "hello",
            "id",
            "keys",
            "limits",
            "liveness",
            "membership",
            "node",
            "outcome",
            "planted",
        ],
    ),
];

/// What the modules of `peerage` may use: of their own crate, and of `peerage-proto`.
const PEERAGE_MAY_USE: &[(&str, &[&str], &[&str])] = &[
    // Turns names into addresses, and is where an application finds the words an address is made of.
    ("address", &[], &["address", "codec", "frame", "id", "limits"]),
    ("name", &[], &["limits"]),
    // Files that hold secrets, whatever the secret.
    ("private_file", &[], &["limits"]),
    // Who and where, as values and as files. They know no link and no node.
    ("identity", &["private_file"], &["id", "keys"]),
    ("network", &["name", "private_file"], &["address", "limits"]),
    // Bytes, addresses and keys; never a frame or a value. Of `hello` it knows the label of the exporter.
    ("transport", &["address", "identity"], &["address", "backoff", "hello", "id", "limits"]),
    // Text from elsewhere, made harmless.
    ("shown", &[], &[]),
    // The only place below the public face that drives a channel machine. It hands requests up in the form in which
    // applications hold them, which is the one arrow that points up.
    (
        "link",
        &["address", "channel", "shown", "transport"],
        &["channel", "codec", "events", "frame", "id", "limits", "liveness", "outcome", "outputs"],
    ),
    // Counts; knows nothing of what it counts.
    ("metrics", &["shown"], &["limits"]),
    // What a call carries beside its arguments, and what may stand around it.
    ("trace", &[], &["codec"]),
    ("flag", &["channel"], &["codec", "id", "outcome"]),
    ("hook", &["trace"], &["id", "outcome"]),
    // Calls whose two directions are streams, at both ends.
    ("stream", &["channel", "link"], &["channel", "codec", "limits", "outcome"]),
    // From a request to the handler of its function. It answers over the link from which the request came.
    (
        "dispatch",
        &["channel", "flag", "hook", "link", "metrics", "shown", "stream", "trace"],
        &["address", "channel", "codec", "id", "idempotent", "limits", "outcome"],
    ),
    // The public face of serving: functions become handlers of a node.
    (
        "service",
        &["channel", "dispatch", "flag", "node", "shown", "stream", "trace"],
        &["codec", "id", "limits", "outcome"],
    ),
    // What happens at nodes, told to whoever wants to know. It puts events into links and takes them out.
    ("event", &["link", "shown"], &["channel", "codec", "events", "id", "limits", "outcome"]),
    // Files over streams.
    ("files", &["channel", "node", "service", "shown", "stream"], &["id", "outcome"]),
    // The door for programs of this user.
    ("control", &["address", "channel", "metrics", "dispatch", "private_file", "transport"], &["limits"]),
    // Proposes addresses, and knows nothing of links: what becomes of a proposal is decided elsewhere.
    ("discovery", &["address", "private_file"], &["address", "hello", "id", "limits", "node"]),
    // The public face of nodes; `node/driver` is where its parts come together.
    (
        "node",
        &[
            "address",
            "channel",
            "control",
            "discovery",
            "dispatch",
            "event",
            // Programs at the control socket let the node send and take files.
            "files",
            "flag",
            "hook",
            "identity",
            "link",
            "metrics",
            "name",
            "network",
            "private_file",
            "shown",
            "stream",
            "trace",
            "transport",
        ],
        &[
            "address",
            "channel",
            "codec",
            "events",
            "frame",
            "hello",
            "id",
            "keys",
            "limits",
            "liveness",
            "membership",
            "node",
            "outcome",
            "routing",
        ],
    ),
    // The public face of request and reply. It speaks with a link, never with a machine or a socket; of the machine it
    // names the settings and the keys it passes through.
    ("channel", &["address", "link", "transport"], &["backoff", "channel", "codec", "frame", "limits", "outcome"]),
];

/// Files that may call `.handle(` of a machine: drivers. Tests, the simulator and fuzz targets may as well.
///
/// A machine's `handle` takes its `Input`, so a call in a file without that word is a handler of requests.
const DRIVERS: &[&str] = &[
    "peerage/src/link.rs",
    "peerage/src/link/",
    "peerage/src/node/admission.rs",
    "peerage/src/node/driver.rs",
    "peerage-proto/src/sim/",
];

/// Names that say nothing, and so attract everything.
const NAMES_THAT_SAY_NOTHING: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];

#[test]
fn modules_of_peerage_proto_use_only_what_lies_below_them() {
    let rows = PROTO_MAY_USE.iter().map(|(module, own)| (*module, own.to_vec()));
    let faults = faults_of("peerage-proto", "crate", &rows.collect());
    assert!(faults.is_empty(), "{RULE}\n{}", faults.join("\n"));
}

#[test]
fn modules_of_peerage_use_only_what_lies_below_them() {
    let own = PEERAGE_MAY_USE.iter().map(|(module, own, _)| (*module, own.to_vec()));
    let proto = PEERAGE_MAY_USE.iter().map(|(module, _, proto)| (*module, proto.to_vec()));
    let mut faults = faults_of("peerage", "crate", &own.collect());
    faults.extend(faults_of("peerage", "peerage_proto", &proto.collect()));
    assert!(faults.is_empty(), "{RULE}\n{}", faults.join("\n"));
}

#[test]
fn the_command_line_uses_the_public_api_only() {
    for file in tree::rust_files().iter().filter(|file| file.inside("peerage-cli").is_some()) {
        assert!(
            !file.shipped_code().contains("peerage_proto"),
            "{}: the command line may use the crate `peerage` only, so that whatever it can do, your code can do too",
            file.path
        );
    }
}

#[test]
fn only_drivers_call_a_machine() {
    for file in tree::rust_files() {
        let exempt = file.path.starts_with("fuzz/")
            || file.path.starts_with("bench/peers/")
            || DRIVERS.iter().any(|driver| file.path.starts_with(driver));
        if exempt {
            continue;
        }
        let code = file.shipped_code();
        if !code.contains("Input") {
            continue;
        }
        let mut calls = code.match_indices(".handle(").filter(|(at, call)| !code[at + call.len()..].starts_with(')'));
        if let Some((at, _)) = calls.next() {
            panic!(
                "{}:{}: only drivers call `.handle(` of a machine ({}), so that one file shows everything that can wake it",
                file.path,
                line_of(&code, at),
                DRIVERS.join(", ")
            );
        }
    }
}

#[test]
fn modules_have_names_that_say_something() {
    for file in tree::rust_files() {
        for part in file.path.trim_end_matches(".rs").split('/') {
            assert!(
                !NAMES_THAT_SAY_NOTHING.contains(&part),
                "{}: a module is named by its noun; \"{part}\" says nothing and attracts everything",
                file.path
            );
        }
    }
}

const RULE: &str = "Modules use only what lies below them (ARCHITECTURE.md, layering). \
    If the new arrow is right, add it to the table in peerage/tests/source/layering.rs with its reason:";

/// The uses of `<prefix>::module` in the crate in `folder` that no row allows.
fn faults_of(folder: &str, prefix: &str, rows: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let mut faults = Vec::new();
    let known = modules_below(if prefix == "crate" { folder } else { "peerage-proto" });
    for file in tree::rust_files() {
        let Some(module) = file.module_of(folder) else { continue };
        let Some(allowed) = rows.get(module) else {
            faults.push(format!("  {}: the module `{module}` has no row in the table", file.path));
            continue;
        };
        for used in uses_of(&file, prefix).intersection(&known) {
            let own = prefix == "crate" && used == module;
            if !own && !allowed.contains(&used.as_str()) {
                faults.push(format!(
                    "  {}: `{module}` may not use `{prefix}::{used}`; it may use {allowed:?}",
                    file.path
                ));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Names of the modules directly below the root of a crate.
pub(crate) fn modules_below(krate: &str) -> BTreeSet<String> {
    tree::rust_files().iter().filter_map(|file| file.module_of(krate).map(str::to_owned)).collect()
}

/// First path elements behind `<prefix>::` in shipped code, groups `{a, b::c}` included.
fn uses_of(file: &Source, prefix: &str) -> BTreeSet<String> {
    let code = file.shipped_code();
    let start = format!("{prefix}::");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(&start) {
        let in_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if !in_word {
            found.extend(heads(code[at + start.len()..].trim_start()));
        }
    }
    found
}

/// The identifiers a path or a group of paths begins with.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()];
    };
    let (mut depth, mut heads, mut head) = (1, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            heads.push(std::mem::take(&mut head));
        } else {
            head.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    heads.iter().map(|head| head.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

/// The line, from 1, in which byte `at` stands.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn groups_of_imports_are_read_to_their_heads() {
    assert_eq!(heads("{codec::{Encoding, Payload}, limits, id::RequestId}"), ["codec", "limits", "id"]);
    assert_eq!(heads("frame::Kind;"), ["frame"]);
}
