//! Files and functions one can hold in mind.
//!
//! Where a longer one reads better it gets a line here, with the reason. An exception that is no longer needed must go.

use crate::{
    layering::line_of,
    tree::{self, item_end},
};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// (file, lines allowed, reason)
const LONGER_FILES: &[(&str, usize, &str)] = &[];

/// (file, function, lines allowed, reason)
const LONGER_FUNCTIONS: &[(&str, &str, usize, &str)] = &[(
    "peerage-proto/src/address/tests.rs",
    "each_mistake_has_its_own_error",
    90,
    "one table: a row for each mistake",
)];

#[test]
fn files_stay_readable() {
    let mut faults = Vec::new();
    for file in tree::rust_files() {
        let lines = file.text.lines().count();
        let exception = LONGER_FILES.iter().find(|(path, ..)| *path == file.path);
        let allowed = exception.map_or(FILE_LINES, |(_, lines, _)| *lines);
        if lines > allowed {
            faults.push(format!("{}: {lines} lines, {allowed} are allowed", file.path));
        }
        if exception.is_some() && lines <= FILE_LINES {
            faults.push(format!("{}: no longer needs its exception", file.path));
        }
    }
    let gone = LONGER_FILES.iter().filter(|(path, ..)| !tree::root().join(path).exists());
    faults.extend(gone.map(|(path, ..)| format!("{path}: has an exception and does not exist")));
    assert!(faults.is_empty(), "one concept per file, so that it can be held in mind:\n{}", faults.join("\n"));
}

#[test]
fn functions_stay_readable() {
    let mut faults = Vec::new();
    for file in tree::rust_files() {
        for (name, line, lines) in functions_of(&file.code()) {
            let of_this = |(path, function, ..): &&(&str, &str, usize, &str)| *path == file.path && *function == name;
            let exception = LONGER_FUNCTIONS.iter().find(of_this);
            let allowed = exception.map_or(FUNCTION_LINES, |(_, _, lines, _)| *lines);
            if lines > allowed {
                faults.push(format!("{}:{line}: `{name}` has {lines} lines, {allowed} are allowed", file.path));
            }
        }
    }
    for (path, function, ..) in LONGER_FUNCTIONS {
        let text = std::fs::read_to_string(tree::root().join(path)).unwrap_or_default();
        let functions = functions_of(&tree::blank(&text));
        if !functions.iter().any(|(name, _, lines)| name == function && *lines > FUNCTION_LINES) {
            faults.push(format!("{path}: `{function}` no longer needs its exception"));
        }
    }
    assert!(faults.is_empty(), "a function is read in one glance; name its parts:\n{}", faults.join("\n"));
}

/// Name, first line and number of lines of each function with a body.
fn functions_of(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue; // `fn (…)`, the type of a function
        }
        let first = line_of(code, at);
        found.push((name, first, line_of(code, item_end(code, at)) - first + 1));
    }
    found
}

#[test]
fn the_length_of_a_function_counts_from_its_name_to_its_closing_brace() {
    let code = "fn a() {\n  if b {\n  }\n}\nfn c(f: fn (u8)) -> u8 {\n 1 }\ntrait T { fn d(&self); }\n";
    let lengths: Vec<_> = functions_of(code).into_iter().map(|(name, _, lines)| (name, lines)).collect();
    assert_eq!(lengths, [("a".into(), 4), ("c".into(), 2), ("d".into(), 1)]);
}
