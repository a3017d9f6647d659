//! Every input that was ever worth keeping, run through its fuzz target again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use peerage_proto::sim::targets;

#[test]
fn frame() {
    replay("frame", targets::frame);
}

#[test]
fn payload() {
    replay("payload", targets::payload);
}

#[test]
fn session() {
    replay("session", targets::session);
}

#[test]
fn hello() {
    replay("hello", targets::hello);
}

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = folder.read_dir().expect("the corpus is beside the crate");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus of {target} is there");
    for file in files {
        let input = std::fs::read(&file).expect("a readable file");
        let ran = catch_unwind(AssertUnwindSafe(|| run(&input)));
        assert!(ran.is_ok(), "{target} fails on {}", file.display());
    }
}
