//! On a terminal, where people sit: everything works there too, and tables have a heading and columns.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::home::Home;
use crate::node::pair;
use crate::program::ended;

/// Runs a command whose stdin, stdout and stderr are a terminal; its exit code and all that appeared there.
fn on_a_terminal(mut command: Command) -> (Option<i32>, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the system has terminals");
    grantpt(&ours).expect("a terminal of ours");
    unlockpt(&ours).expect("a terminal of ours");
    let path = ptsname(&ours, Vec::new()).expect("a terminal has a name").into_string().expect("a path");
    let theirs = || Stdio::from(File::options().read(true).write(true).open(&path).expect("a terminal opens"));
    let mut child = command.stdin(theirs()).stdout(theirs()).stderr(theirs()).spawn().expect("the program starts");
    // The command holds the other end of the terminal as long as it lives.
    drop(command);
    let mut shown = Vec::new();
    // When nobody holds the other end any more, reading fails instead of coming to an end.
    let _ = File::from(ours).read_to_end(&mut shown);
    (ended(&mut child), String::from_utf8_lossy(&shown).replace("\r\n", "\n"))
}

#[test]
fn on_a_terminal_tables_have_a_heading_and_columns_and_logs_are_plain_lines() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let (code, shown) = on_a_terminal(home.peerage(&["peers", "--node", "a", "--log", "debug"]));
    let (head, row) = shown
        .lines()
        .zip(shown.lines().skip(1))
        .find(|(head, _)| head.starts_with("name"))
        .unwrap_or_else(|| panic!("no table: {shown}"));
    assert_eq!(code, Some(0), "{shown}");
    let columns: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(columns, ["name", "state", "path", "rtt", "id"]);
    let column_of = |text: &str, line: &str| line.find(text).map(|at| line[..at].chars().count());
    assert_eq!(column_of("id", head), column_of(&b.id(), row), "{shown}");
    assert!(row.starts_with("b     up     unix"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours: {shown:?}");
}

#[test]
fn a_fault_of_the_command_line_is_told_on_a_terminal_as_well() {
    let home = Home::new();
    let (code, shown) = on_a_terminal(home.peerage(&["status"]));
    assert_eq!(code, Some(7), "{shown}");
    assert!(shown.starts_with("error: no node of yours runs"), "{shown}");
}
