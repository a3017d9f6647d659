//! T29: a secret never shows up where somebody could read it.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use peerage::Network;
use rustix::process::Signal;

use crate::home::Home;
use crate::program::{Run, ended, eventually, finish};

/// A secret in every form in which it might slip out.
struct Canary {
    forms: Vec<Vec<u8>>,
}

impl Canary {
    fn new(secret: &[u8]) -> Canary {
        assert_eq!(secret.len(), 32);
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = secret.iter().map(u8::to_string).collect::<Vec<_>>();
        let texts = [hex.to_uppercase(), hex, base58(secret), base64(secret), list.join(","), list.join(", ")];
        Canary { forms: texts.into_iter().map(String::into_bytes).chain([secret.to_vec()]).collect() }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.forms.iter().any(|form| text.windows(form.len()).any(|window| window == form))
    }
}

fn base58(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut number = bytes.to_vec();
    let mut digits = Vec::new();
    while number.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 58) as u8;
            rest = value % 58;
        }
        digits.push(DIGITS[rest as usize]);
    }
    digits.extend(bytes.iter().take_while(|byte| **byte == 0).map(|_| b'1'));
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// Without the last characters, which depend on what follows and may be padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = bytes.chunks_exact(3).map(|three| {
        let number = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(number >> shift & 63) as usize]))
    });
    whole.flatten().collect()
}

/// The secret key in a key file.
fn secret_key(line: &str) -> Vec<u8> {
    let content = line.trim().split('-').nth(3).expect("a key file is one line of five parts");
    let mut number = vec![0_u8; 32];
    for digit in content.bytes() {
        let digits = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let mut carry = digits.iter().position(|known| *known == digit).expect("base58") as u32;
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 58 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
    }
    number
}

#[test]
fn no_secret_is_in_any_output_argument_or_environment() {
    let (home, there) = (Home::new(), Home::new());
    home.done(&["id", "new", "ada"]);
    home.done(&["network", "new", "lab", "--seed", "tls://node-7.lab"]);
    let line = fs::read_to_string(home.path("identity/ada.key")).expect("a key file is text");
    let key = Canary::new(&secret_key(&line));
    assert!(line.contains(&base58(&secret_key(&line))), "the key was read as it was written");
    let secret = Network::open(&home.path("networks/lab.network")).expect("a network").secret().as_bytes().to_vec();
    let canaries = [key, Canary::new(&secret)];
    let ticket = home.done(&["network", "ticket"]).stdout;
    let clean = |run: &Run, what: &str| {
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(canaries.iter().all(|canary| !canary.is_in(text.as_bytes())), "{what}: {text}");
        assert!(!text.contains(&ticket.trim()[20..60]), "{what}: {text}");
    };

    let commands: [&[&str]; 7] = [
        &["id", "show", "ada"],
        &["id", "list", "--json"],
        &["id", "new", "ada"],
        &["network", "show"],
        &["network", "list", "--json"],
        &["network", "new", "lab"],
        &["up", "--print-config", "--json"],
    ];
    for command in commands {
        clean(&home.run(&[&["--log", "trace"], command].concat()), &format!("{command:?}"));
    }
    // Damaged, doubled and misplaced tickets: the complaint must not repeat them.
    let damaged =
        [ticket.replace('-', "_"), format!("{} {}", ticket.trim(), ticket), ticket[..ticket.len() - 3].to_owned()];
    for text in &damaged {
        clean(&there.run_with(text.as_bytes(), &["--log", "trace", "network", "join", "-"]), "a damaged ticket");
    }
    clean(&there.run(&["network", "join", ticket.trim()]), "a ticket as an argument");
    clean(&there.run(&["up", "--network", ticket.trim()]), "a ticket as an argument");
    clean(&there.run_where("PEERAGE_NETWORK", ticket.trim(), &["id", "list"]), "a ticket as a variable");
    fs::write(there.beside("settings.toml"), format!("network = \"{}\"\n= ", ticket.trim())).expect("is written");
    let settings = there.beside("settings.toml").display().to_string();
    clean(&there.run(&["up", "--print-config", "--config", &settings]), "a ticket in settings");

    // A node that runs with both: what it says at the highest level, and what others can ask and see of it.
    let mut node = home.up("ada", &["--log", "trace", "--network", "lab", "--listen", "tls://127.0.0.1:0"]);
    for command in [&["status", "--json"][..], &["status", "--metrics"], &["peers", "--json"], &["log"]] {
        clean(&home.done(command), &format!("{command:?} of a running node"));
    }
    clean(&home.run(&["id", "show", "ada", "--json"]), "the key in use");
    unseen(node.child.id(), &canaries, &ticket);
    node.signal(Signal::TERM);
    node.event("stopped");
    assert_eq!(ended(&mut node.child), Some(0));
    clean(&Run { code: None, stdout: node.ready.to_string(), stderr: node.said() }, "a node's log");
    assert!(node.said().contains("node started"), "the log was read: {}", node.said());

    // A command that has read half of a ticket.
    let mut joining = there.peerage(&["network", "join", "-"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = joining.stdin.take().expect("stdin is piped");
    stdin.write_all(&ticket.as_bytes()[..60]).expect("it reads");
    unseen(joining.id(), &canaries, &ticket);
    stdin.write_all(&ticket.as_bytes()[60..]).expect("it reads");
    drop(stdin);
    let joined = finish(joining);
    assert_eq!(joined.code, Some(0), "{}", joined.stderr);
    clean(&joined, "network join");
}

/// Looks at what other processes of this machine can see of one.
fn unseen(pid: u32, canaries: &[Canary], ticket: &str) {
    let proc = format!("/proc/{pid}");
    assert!(eventually(|| fs::read(format!("{proc}/cmdline")).is_ok_and(|text| !text.is_empty())));
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("{proc}/{file}")).expect("a process shows it");
        assert!(canaries.iter().all(|canary| !canary.is_in(&text)), "{file}");
        assert!(!text.windows(40).any(|window| window == &ticket.as_bytes()[20..60]), "{file}");
    }
}

#[test]
fn a_canary_is_found_in_every_form() {
    let secret: Vec<u8> = (100..132).collect();
    let canary = Canary::new(&secret);
    assert!(canary.is_in(format!("x{secret:?}").as_bytes()));
    assert!(canary.is_in(format!("x{}x", base58(&secret)).as_bytes()));
    assert!(canary.is_in(b"ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="));
    assert!(canary.is_in(&[b"x".to_vec(), secret].concat()));
    assert!(!canary.is_in(b"nothing of it"));
}
