//! A home of its own for each test, and programs run in it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{self, Run};

/// A directory for `PEERAGE_HOME`, removed at the end.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { folder: tempfile::tempdir().expect("a temporary directory can be made") }
    }

    /// A path below `PEERAGE_HOME`.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("home").join(below)
    }

    /// A path beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command line of the program in this home, without any setting of whoever runs the tests.
    pub(crate) fn peerage(&self, arguments: &[&str]) -> Command {
        let mut command = program::peerage(arguments);
        self.prepare(&mut command);
        command
    }

    /// Gives a command this home.
    pub(crate) fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PEERAGE_")) {
            command.env_remove(name);
        }
        command.env("PEERAGE_HOME", self.path(""));
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        program::finish(self.peerage(arguments).spawn().expect("the program starts"))
    }

    /// Runs the program to its end with one more variable.
    pub(crate) fn run_where(&self, variable: &str, value: impl AsRef<OsStr>, arguments: &[&str]) -> Run {
        program::finish(self.peerage(arguments).env(variable, value).spawn().expect("the program starts"))
    }

    /// Runs the program to its end with this stdin.
    pub(crate) fn run_with(&self, stdin: &[u8], arguments: &[&str]) -> Run {
        let mut child = self.peerage(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        // A program that refuses its arguments does not read.
        let _ = child.stdin.take().expect("stdin is piped").write_all(stdin);
        program::finish(child)
    }

    /// Runs the program, which must end well.
    pub(crate) fn done(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        run
    }
}

/// Sets the mode of a file or directory.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

/// Names in a directory, in order.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a directory can be read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
