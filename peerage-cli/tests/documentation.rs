//! The documents run.
//!
//! Every block marked `console` in the README and in `docs/` is executed with the built program on the path, each in an
//! empty directory of its own, and what is printed is compared with what the document says:
//!
//! ```text
//!   $ command            run by the shell; must end with 0 within 30 s
//!   > continued          more of the command, after a backslash at the end of the line before
//!   output               what it prints, stdout and stderr together
//!   $ command &          stays in the background until the block ends; the block goes on once its output has appeared
//!   … or [..]            within a line: any text; a line that is `…` alone: any lines
//! ```
//!
//! A server is waited for by its own ready line, never by sleeping, and is ended by its handle when the block ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// Longest time for one command, or for the expected output of a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines a command may print before its reader has to keep up.
const LINES_AHEAD: usize = 1_024;

#[test]
fn every_console_block_of_the_documents_does_what_it_says() {
    let mut faults = Vec::new();
    let mut blocks = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a document can be read");
        let name = page.strip_prefix(root()).unwrap_or(&page).display().to_string();
        for block in blocks_of(&text) {
            blocks += 1;
            if let Err(fault) = run(&block, &program_folder()) {
                faults.push(format!("{name}:{}: {}", fault.line, fault.what));
            }
        }
    }
    assert!(blocks > 0, "no console block was found: has the form of the documents changed?");
    assert!(faults.is_empty(), "{} of {blocks} blocks failed\n{}", faults.len(), faults.join("\n"));
}

/// README.md and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("docs/ can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the crate lies in the workspace")
}

fn program_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_peerage")).parent().expect("a program lies in a folder").to_owned()
}

/// A command and the output that the document shows below it.
#[derive(Debug, Default)]
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// What differed, and at which line of the document.
#[derive(Debug)]
struct Fault {
    line: usize,
    what: String,
}

/// The console blocks of a document, each as its steps.
fn blocks_of(text: &str) -> Vec<Vec<Step>> {
    let mut blocks: Vec<Vec<Step>> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        match line.trim_end() {
            "```console" => {
                inside = true;
                blocks.push(Vec::new());
            }
            "```" => inside = false,
            line if inside => {
                let steps = blocks.last_mut().expect("inside a block means that one was begun");
                take_line(steps, index + 1, line);
            }
            _ => {}
        }
    }
    blocks
}

fn take_line(steps: &mut Vec<Step>, number: usize, line: &str) {
    if let Some(command) = line.strip_prefix("$ ") {
        steps.push(Step { line: number, command: command.to_owned(), expected: Vec::new() });
        return;
    }
    let step = steps.last_mut().unwrap_or_else(|| panic!("line {number}: output before any command: {line}"));
    match line.strip_prefix("> ") {
        Some(more) if step.command.ends_with('\\') && step.expected.is_empty() => {
            step.command.pop();
            step.command.push_str(more);
        }
        _ => step.expected.push(line.to_owned()),
    }
}

/// Runs a block in a directory of its own.
fn run(steps: &[Step], programs: &Path) -> Result<(), Fault> {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let mut servers = Vec::new();
    for step in steps {
        let mut printed = Vec::new();
        let outcome = match step.command.strip_suffix('&') {
            Some(server) => {
                servers.push(Running::start(&format!("exec {server}"), home.path(), programs));
                let server = servers.last().expect("one was pushed just now");
                server.read_until(&mut printed, |printed| matches(&step.expected, printed))
            }
            None => {
                let mut command = Running::start(&step.command, home.path(), programs);
                command.read_to_end(&mut printed).and_then(|()| command.end_well()).and_then(|()| {
                    let same = matches(&step.expected, &printed);
                    if same { Ok(()) } else { Err("prints something else".to_owned()) }
                })
            }
        };
        outcome.map_err(|why| Fault { line: step.line, what: difference(step, &printed, &why) })?;
    }
    Ok(())
}

fn difference(step: &Step, printed: &[String], why: &str) -> String {
    let indent = |lines: &[String]| lines.iter().map(|line| format!("\n      {line}")).collect::<String>();
    format!("`{}` {why}\n    expected:{}\n    printed:{}", step.command, indent(&step.expected), indent(printed))
}

/// A command and the lines it prints. Dropping it ends it.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts `command` in `home` with `programs` first on the path.
    fn start(command: &str, home: &Path, programs: &Path) -> Running {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .current_dir(home)
            .env("PATH", std::env::join_paths(folders).expect("folders of a path can be joined again"))
            .env("HOME", home)
            .env("PEERAGE_HOME", home.join("peerage"))
            .env("PWD", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let printed = child.stdout.take().expect("stdout is piped");
        Running { lines: lines_of(printed), child }
    }

    /// Collects lines until `enough` says so.
    fn read_until(&self, printed: &mut Vec<String>, enough: impl Fn(&[String]) -> bool) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !enough(printed) {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => printed.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(format!("did not print this within {PATIENCE:?}")),
                Err(RecvTimeoutError::Disconnected) => return Err("ended before it had printed this".to_owned()),
            }
        }
        Ok(())
    }

    /// Collects lines until the command has closed its output.
    fn read_to_end(&self, printed: &mut Vec<String>) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => printed.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => return Err(format!("did not end within {PATIENCE:?}")),
            }
        }
    }

    /// Waits for a command whose output is at its end.
    fn end_well(&mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|why| format!("cannot be waited for: {why}"))?;
        if status.success() { Ok(()) } else { Err(format!("fails ({status})")) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of `printed` as they come; the channel closes at its end.
fn lines_of(printed: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = sync_channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Whether the lines printed are the lines expected.
fn matches(expected: &[String], printed: &[String]) -> bool {
    match expected {
        [] => printed.is_empty(),
        [any, rest @ ..] if any.trim() == "…" => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        [line, rest @ ..] => match printed {
            [first, others @ ..] => line_matches(line, first) && matches(rest, others),
            [] => false,
        },
    }
}

/// Whether a line is as expected; `…` and `[..]` stand for any text, blanks at the end do not count.
fn line_matches(expected: &str, printed: &str) -> bool {
    let (expected, printed) = (expected.trim_end().replace("[..]", "…"), printed.trim_end());
    let mut parts: Vec<&str> = expected.split('…').collect();
    let first = parts.remove(0);
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What the runner makes of a document, with no program of ours involved.
fn outcome_of(document: &str) -> Result<(), String> {
    let nowhere = tempfile::tempdir().expect("a temporary directory can be made");
    let outcome = blocks_of(document).iter().try_for_each(|block| run(block, nowhere.path()));
    outcome.map_err(|fault| format!("{}: {}", fault.line, fault.what))
}

#[test]
fn a_block_runs_in_a_directory_of_its_own_and_its_output_is_compared() {
    let first = "```console\n$ echo one > file; ls\nfile\n```\n";
    let second = "```console\n$ ls\n$ echo a; echo b \\\n> c\na\nb c\n```\n";
    assert_eq!(outcome_of(&format!("{first}{second}")), Ok(()));
    let fault = outcome_of("```console\n$ echo one\ntwo\n```\n").unwrap_err();
    assert!(fault.starts_with("2: `echo one` prints something else") && fault.contains("\n      two"), "{fault}");
}

#[test]
fn a_command_that_fails_fails_its_block() {
    let fault = outcome_of("```console\n$ echo no; exit 3\nno\n```\n").unwrap_err();
    assert!(fault.contains("fails (exit status: 3)"), "{fault}");
    assert_eq!(outcome_of("```console\n$ (exit 3); echo \"exit $?\"\nexit 3\n```\n"), Ok(()));
}

#[test]
fn a_server_is_waited_for_by_its_output_and_ended_with_its_block() {
    let server = "$ sh -c 'echo $$ > id; echo ready at $PWD; exec sleep 1000' &\nready at /[..]\n";
    let client = "$ kill -0 $(cat id) && echo alive\nalive\n";
    let started = Instant::now();
    assert_eq!(outcome_of(&format!("```console\n{server}{client}```\n")), Ok(()));
    assert!(started.elapsed() < PATIENCE, "the block waited for the server to end");
    let fault = outcome_of("```console\n$ sh -c 'echo sorry' &\nready\n```\n").unwrap_err();
    assert!(fault.contains("ended before it had printed this") && fault.contains("sorry"), "{fault}");
}

#[test]
fn three_dots_stand_for_any_text() {
    let record = r#"{"schema":1,"outcome":"ok","value":5,"n":1}"#;
    for (expected, printed, same) in [
        ("ready unix://[..]/a codec any", "ready unix:///run/x/a codec any", true),
        (r#"{"schema":1,…"value":5,…}"#, record, true),
        (r#"{"schema":1,…"value":6,…}"#, record, false),
        ("same", "same  ", true),
        ("same", "same but longer", false),
        ("…end", "the end", true),
        ("…end", "the end of it", false),
    ] {
        assert_eq!(line_matches(expected, printed), same, "{expected} and {printed}");
    }
    let lines = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a|…|z"), &lines("a|b|c|z")));
    assert!(matches(&lines("a|…"), &lines("a")));
    assert!(!matches(&lines("a|…|z"), &lines("a|b")));
}
