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
const LONGER_FUNCTIONS: &[(&str, &str, usize, &str)] = &[];

#[test]
fn files_stay_readable() {
    for file in tree::rust_files() {
        let lines = file.text.lines().count();
        let exception = LONGER_FILES.iter().find(|(path, ..)| *path == file.path);
        let allowed = exception.map_or(FILE_LINES, |(_, lines, _)| *lines);
        assert!(
            lines <= allowed,
            "{}: {lines} lines, {allowed} are allowed. One concept per file: split it",
            file.path
        );
        assert!(
            exception.is_none() || lines > FILE_LINES,
            "{}: no longer needs its exception",
            file.path
        );
    }
    for (path, ..) in LONGER_FILES {
        assert!(
            tree::root().join(path).exists(),
            "{path}: has an exception and does not exist"
        );
    }
}

#[test]
fn functions_stay_readable() {
    for file in tree::rust_files() {
        for (name, line, lines) in functions_of(&file.code()) {
            let exception = LONGER_FUNCTIONS
                .iter()
                .find(|(path, function, ..)| *path == file.path && *function == name);
            let allowed = exception.map_or(FUNCTION_LINES, |(_, _, lines, _)| *lines);
            assert!(
                lines <= allowed,
                "{}:{line}: `{name}` has {lines} lines, {allowed} are allowed. Name its parts",
                file.path
            );
        }
    }
    for (path, function, ..) in LONGER_FUNCTIONS {
        let text = std::fs::read_to_string(tree::root().join(path)).unwrap_or_default();
        let longest = functions_of(&tree::blank(&text))
            .into_iter()
            .filter(|(name, ..)| name == function)
            .map(|f| f.2)
            .max();
        assert!(
            longest.is_some_and(|lines| lines > FUNCTION_LINES),
            "{path}: `{function}` no longer needs its exception"
        );
    }
}

/// Name, first line and number of lines of each function with a body.
fn functions_of(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = code[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
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
    let lengths: Vec<_> = functions_of(code)
        .into_iter()
        .map(|(name, _, lines)| (name, lines))
        .collect();
    assert_eq!(lengths, [("a".into(), 4), ("c".into(), 2), ("d".into(), 1)]);
}
