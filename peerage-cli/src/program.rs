//! Programs that answer requests: one process a request, in a process group of its own, without a shell.
//!
//! A request that is given up must take its processes with it, the ones its program started included. So the whole group
//! is told to end (SIGTERM) and, a second later, made to (SIGKILL). That happens when the [`Running`] is dropped, in
//! whatever way the request ends; [`Groups`] knows when the last group is gone, and what is left when this process ends is
//! killed.
//!
//! ```text
//!   request ──▶ stdin   one line of JSON
//!               stdout ──▶ answer: JSON if it parses as a whole, else text; {"$flag":NAME} is a flag
//!               stderr ──▶ message of the failure, if the exit code is not 0
//! ```

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerage::outcome::Code;
use peerage::{Failure, Value, limits};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::content;

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    name: String,
    arguments: Vec<String>,
    /// Most bytes of its stdout that are taken.
    output_bytes: usize,
}

impl Program {
    /// Reads a command by the quoting rules of a shell, and looks whether there is such a program.
    pub(crate) fn parse(command: &str, output_bytes: u32) -> Result<Program, ProgramError> {
        let mut words = shlex::split(command).ok_or(ProgramError::Quotes)?.into_iter();
        let name = words.next().ok_or(ProgramError::Empty)?;
        find(&name)?;
        Ok(Program { name, arguments: words.collect(), output_bytes: output_bytes as usize })
    }

    /// Runs the program for one request. Dropping the future ends its process group.
    pub(crate) async fn answer(&self, request: &Value, groups: &Groups) -> Result<Answer, Failed> {
        let started = Command::new(&self.name)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let child = started.map_err(|why| failure("not-started", format!("cannot start `{}`: {why}", self.name)))?;
        let mut running = Running::new(child, groups)?;
        let mut printed = Printed::default();
        let status = running.communicate(&format!("{request}\n"), &mut printed, self.output_bytes).await?;
        if printed.too_much {
            let text = format!("the command printed more than {} bytes", self.output_bytes);
            return Err(failure("too-large", text));
        }
        if status.success() { answer(printed.stdout) } else { Err(failed(status, &printed.stderr)) }
    }
}

/// What a program answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Value(Value),
    /// The flag of this name.
    Flag(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failed {
    /// For programs.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl From<Failed> for Failure {
    fn from(Failed { code, message, data }: Failed) -> Failure {
        let failure = Failure::new(message).code(Code::new(code));
        match data {
            Some(data) => failure.data(data),
            None => failure,
        }
    }
}

/// Why a command cannot be run, seen before any request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// Quotes without their partner, or a backslash at the end.
    #[error("a quote is not closed, or a backslash ends it")]
    Quotes,
    /// Nothing but white space.
    #[error("it is empty: write a program and its arguments, as in 'wc -w'")]
    Empty,
    /// No such program.
    #[error("there is no program `{0}` on the PATH: check its spelling, or write its path")]
    NotOnPath(String),
    /// The path leads nowhere.
    #[error("there is no file `{0}`: check the path")]
    NoFile(String),
    /// Something is there that cannot be run.
    #[error("`{0}` is no program: it cannot be executed (chmod +x)")]
    NotExecutable(String),
}

/// Looks for a program as the system will when it is started.
fn find(name: &str) -> Result<(), ProgramError> {
    if name.contains('/') {
        let path = Path::new(name);
        return match (path.exists(), is_program(path)) {
            (_, true) => Ok(()),
            (true, false) => Err(ProgramError::NotExecutable(name.to_owned())),
            (false, _) => Err(ProgramError::NoFile(name.to_owned())),
        };
    }
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    match folders.iter().any(|folder| is_program(&folder.join(name))) {
        true => Ok(()),
        false => Err(ProgramError::NotOnPath(name.to_owned())),
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// All process groups of a server; [`GroupsEnded`] waits for the last one.
#[derive(Debug)]
pub(crate) struct Groups {
    each: mpsc::Sender<()>,
}

impl Groups {
    /// None yet, and the end of all that will be.
    pub(crate) fn new() -> (Groups, GroupsEnded) {
        let (each, ended) = mpsc::channel(1);
        (Groups { each }, GroupsEnded(ended))
    }
}

/// Waits until the [`Groups`] are dropped and every group is gone.
#[derive(Debug)]
pub(crate) struct GroupsEnded(mpsc::Receiver<()>);

impl GroupsEnded {
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: the channel ends with its last sender.
        while self.0.recv().await.is_some() {}
    }
}

/// A process group at work. Dropping it ends the group.
struct Running {
    child: Option<Child>,
    group: Pid,
    here: mpsc::Sender<()>,
}

impl Running {
    fn new(child: Child, groups: &Groups) -> Result<Running, Failed> {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = leader.ok_or_else(|| failure("not-started", "the command has no process id".to_owned()))?;
        lock(&ALIVE).insert(group.as_raw_nonzero().get());
        Ok(Running { child: Some(child), group, here: groups.each.clone() })
    }

    /// Hands the request over and waits for the end of the program and of its output.
    async fn communicate(&mut self, request: &str, printed: &mut Printed, most: usize) -> Result<ExitStatus, Failed> {
        let child = self.child.as_mut().expect("taken only when dropped");
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let Printed { stdout: out, stderr: err, too_much } = printed;
        let pipes = async {
            let ask = async {
                if let Some(mut stdin) = stdin {
                    // A program need not read its request; then the pipe is broken, which is its own business.
                    let _ = stdin.write_all(request.as_bytes()).await;
                }
                Ok(())
            };
            let listen = async { read(stdout, out, most, too_much).await };
            let overhear = async { read_last(stderr, err).await };
            tokio::try_join!(ask, listen, overhear).map(|_| ())
        };
        tokio::pin!(pipes);
        let ended = tokio::select! {
            biased;
            closed = &mut pipes => match closed {
                Ok(()) => child.wait().await,
                Err(_) => return Ok(ExitStatus::default()),
            },
            ended = child.wait() => {
                // What it left running may hold the pipes open for ever.
                let _ = timeout(LAST_WORDS, &mut pipes).await;
                ended
            }
        };
        ended.map_err(|why| failure("not-started", format!("cannot wait for the command: {why}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        if test_kill_process_group(self.group).is_err() {
            forget(self.group);
            return;
        }
        let (group, here) = (self.group, self.here.clone());
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(end(child, group, here))),
            // Without a runtime nobody can wait.
            Err(_) => {
                let _ = kill_process_group(group, Signal::KILL);
                forget(group);
            }
        }
    }
}

/// Groups that have not been seen to end, by the ids of their leaders.
static ALIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn forget(group: Pid) {
    lock(&ALIVE).remove(&group.as_raw_nonzero().get());
}

fn lock(groups: &Mutex<BTreeSet<i32>>) -> MutexGuard<'_, BTreeSet<i32>> {
    groups.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills what this process has started and not seen to end: it is about to end itself, and nobody else would.
pub(crate) fn kill_what_is_left() {
    for group in std::mem::take(&mut *lock(&ALIVE)).into_iter().filter_map(Pid::from_raw) {
        // An error says that it has gone by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Ends a group: SIGTERM, and after a second SIGKILL.
async fn end(mut child: Child, group: Pid, here: mpsc::Sender<()>) {
    // Errors say that the group has gone by itself.
    let _ = kill_process_group(group, Signal::TERM);
    let gone = async {
        let _ = child.wait().await;
        // Not our children, so nobody tells us of their end.
        while lives(group) {
            sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(TERM_PATIENCE, gone).await.is_err() {
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait().await;
    }
    forget(group);
    drop(here);
}

/// Whether anything of a group still runs. What has ended and waits for its parent to take notice does not; that parent may
/// be anybody by then, and slow.
fn lives(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = std::fs::read_dir("/proc") else { return true };
    let (mut any, mut running) = (false, false);
    for process in processes.flatten() {
        let Ok(status) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        // Behind the name, which may hold anything, in parentheses: state, parent, group.
        let mut fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, of) = (fields.next(), fields.nth(1));
        if of.and_then(|of| of.parse().ok()) == Some(group.as_raw_nonzero().get()) {
            any = true;
            running |= !matches!(state, Some("Z" | "X"));
        }
    }
    // Where nothing is told of processes, the system's word counts.
    running || !any
}

/// What a program printed.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    /// The last of it.
    stderr: Vec<u8>,
    too_much: bool,
}

/// Reads all, up to a limit. An error ends the joint reading of all pipes.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    most: usize,
    over: &mut bool,
) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    pipe.take(most as u64 + 1).read_to_end(into).await?;
    if into.len() > most {
        *over = true;
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Reads all and keeps the last [`limits::FAILURE_MESSAGE_BYTES`].
async fn read_last(pipe: Option<impl AsyncRead + Unpin>, last: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = [0; limits::FAILURE_MESSAGE_BYTES];
    loop {
        let count = pipe.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        last.extend_from_slice(&buffer[..count]);
        last.drain(..last.len().saturating_sub(limits::FAILURE_MESSAGE_BYTES));
    }
}

/// What stdout means.
fn answer(stdout: Vec<u8>) -> Result<Answer, Failed> {
    let text = String::from_utf8(stdout)
        .map_err(|_| failure("bad-answer", "the command printed something else than UTF-8".to_owned()))?;
    // As it is written: `{"$$flag":…}` is a map whose key is read as `$flag`.
    if let Ok(Marked { flag }) = serde_json::from_str(&text) {
        return Ok(Answer::Flag(flag));
    }
    let value = content::parse(&text).map_err(|why| failure("bad-answer", format!("the command printed: {why}")))?;
    Ok(match value {
        // Text, not JSON: as it came, not as it was read.
        Value::Text(read) if read == text => Answer::Value(Value::Text(content::less_one_newline(text))),
        value => Answer::Value(value),
    })
}

/// `{"$flag":"NAME"}`, and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    #[serde(rename = "$flag")]
    flag: String,
}

/// The failure of a program that did not end well.
fn failed(status: ExitStatus, stderr: &[u8]) -> Failed {
    let (kind, number) = match status.signal() {
        Some(signal) => ("signal", signal),
        None => ("exit", status.code().unwrap_or_default()),
    };
    let text = String::from_utf8_lossy(stderr);
    let message = match text.trim_end() {
        "" => format!("the command ended with {kind} {number} and wrote nothing to stderr"),
        text => text.to_owned(),
    };
    let data = Value::Map(vec![(kind.into(), number.into())]);
    Failed { code: format!("{kind}-{number}"), message, data: Some(data) }
}

fn failure(code: &str, message: String) -> Failed {
    Failed { code: code.to_owned(), message, data: None }
}

/// How long a group may take to end by itself once it was told to.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// How long the pipes of a program that has ended may stay open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Between two looks whether a group is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_cannot_run_is_refused_with_its_reason() {
        let why = |command| Program::parse(command, 1).unwrap_err().to_string();
        assert!(why("wc 'w").starts_with("a quote is not closed"));
        assert!(why("  ").starts_with("it is empty"));
        assert!(why("no-such-program-xyz -w").starts_with("there is no program `no-such-program-xyz` on the PATH"));
        assert!(why("/no/such/file").starts_with("there is no file `/no/such/file`"));
        assert!(why("/etc/passwd").starts_with("`/etc/passwd` is no program"));
    }

    #[test]
    fn what_is_printed_is_json_or_text_less_one_newline() {
        let table = [
            ("6\n", Value::Int(6)),
            ("ohai\n\n", Value::Text("ohai\n".into())),
            ("\"quoted\"\n", Value::Text("quoted".into())),
            ("", Value::Text(String::new())),
            ("{\"$bin\":\"ff\"}", Value::Bytes(vec![255])),
        ];
        for (printed, value) in table {
            assert_eq!(answer(printed.into()), Ok(Answer::Value(value)), "{printed}");
        }
        assert!(answer(vec![0xff]).is_err());
        assert!(answer(b"{\"$bin\":\"f\"}".to_vec()).is_err());
    }

    #[test]
    fn a_flag_is_the_whole_of_what_is_printed() {
        assert_eq!(answer(b"{\"$flag\":\"busy\"}\n".to_vec()), Ok(Answer::Flag("busy".into())));
        let map = |key: &str, value: Value| Answer::Value(Value::Map(vec![(key.into(), value)]));
        assert_eq!(answer(b"{\"$$flag\":\"busy\"}".to_vec()), Ok(map("$flag", "busy".into())));
    }
}
