//! What is never written.

use crate::{
    layering::line_of,
    tree::{self, Source},
};

/// Never in a library of ours: (text, reason). Tests may print; the command line may do all of it.
const NOT_IN_A_LIBRARY: &[(&str, &str)] = &[
    ("println!", "a library does not print: its user decides where output goes"),
    ("eprintln!", "a library does not print: log through `tracing`"),
    ("print!(", "a library does not print: its user decides where output goes"),
    ("dbg!", "left over from a search"),
    ("env::var", "only the command line reads the environment; a library takes parameters"),
    ("process::exit", "only the command line ends the process"),
    ("todo!", "an unfinished path is not merged"),
    ("unimplemented!", "an unfinished path is not merged"),
];

/// Never in any code of ours, tests included.
const NOWHERE: &[(&str, &str)] = &[
    (
        "unbounded_channel",
        "no queue is unbounded: choose a bound, give it a name in `limits`, say what a full one does",
    ),
    ("mpsc::channel()", "std's `channel()` is unbounded: use `sync_channel` with a bound"),
    ("mpsc::unbounded", "no queue is unbounded"),
    ("use std::sync::mpsc::channel", "std's `channel` is unbounded: use `sync_channel` with a bound"),
];

#[test]
fn libraries_neither_print_nor_read_the_environment_nor_exit() {
    for file in tree::rust_files() {
        if file.inside("peerage-proto").is_some() || file.inside("peerage").is_some() {
            let code = file.shipped_code();
            refuse(&file, &code, NOT_IN_A_LIBRARY);
        }
    }
}

#[test]
fn no_queue_is_unbounded() {
    for file in tree::rust_files() {
        let code = file.code();
        refuse(&file, &code, NOWHERE);
    }
}

#[test]
fn the_rust_version_is_written_in_one_place() {
    let places: Vec<String> = tree::all_files()
        .iter()
        .filter(|file| file.path.ends_with("Cargo.toml") || file.path.ends_with("clippy.toml"))
        .flat_map(|file| lines_with(file, &["rust-version = \"", "msrv = "]))
        .collect();
    assert_eq!(
        places.len(),
        1,
        "the minimum Rust version stands in Cargo.toml of the workspace and nowhere else: {places:?}"
    );
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    // Written in two parts, so that this file does not find itself.
    let homes = [("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/wo", "rk/"), ("C:\\", "Users")];
    let homes: Vec<String> = homes.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
    let found: Vec<String> = tree::all_files().iter().flat_map(|file| lines_with(file, &homes)).collect();
    assert!(found.is_empty(), "a path of one machine means nothing on another:\n{}", found.join("\n"));
}

fn refuse(file: &Source, code: &str, words: &[(&str, &str)]) {
    for (word, reason) in words {
        let hit = code.match_indices(word).find(|(at, _)| {
            !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_') // `eprintln!` is not `println!`
        });
        if let Some((at, _)) = hit {
            panic!("{}:{}: `{word}`: {reason}", file.path, line_of(code, at));
        }
    }
}

/// Lines of a file that hold one of `words` at the beginning of a word, as `path:line: text`.
fn lines_with(file: &Source, words: &[&str]) -> Vec<String> {
    let begins_word = |line: &str, word: &str| {
        line.match_indices(word)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')))
    };
    let numbered = file.text.lines().enumerate();
    let hits = numbered.filter(|(_, line)| words.iter().any(|word| begins_word(line, word)));
    hits.map(|(n, line)| format!("{}:{}: {}", file.path, n + 1, line.trim())).collect()
}
