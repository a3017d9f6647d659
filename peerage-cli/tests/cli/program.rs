//! Running the program: to its end, or as a server that is waited for by its ready line and killed by its id.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The one object on stdout.
    pub(crate) fn object(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// The objects on stdout, one a line.
    pub(crate) fn records(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        self.stdout.lines().map(read).collect()
    }
}

/// A command line of the program.
pub(crate) fn peerage(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerage"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    finish(peerage(arguments).spawn().expect("the program starts"))
}

/// Runs the program to its end with this stdin.
pub(crate) fn run_with(stdin: &[u8], arguments: &[&str]) -> Run {
    let mut child = peerage(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().expect("stdin is piped").write_all(stdin);
    finish(child)
}

/// Waits for the end of a process and of its output.
pub(crate) fn finish(mut child: Child) -> Run {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let code = ended(&mut child);
    Run { code, stdout: stdout.join().expect("stdout is read"), stderr: stderr.join().expect("stderr is read") }
}

/// The exit code of a process, which must end soon.
pub(crate) fn ended(child: &mut Child) -> Option<i32> {
    let mut status = None;
    let over = eventually(|| {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    if !over {
        let _ = child.kill();
        panic!("the program did not end within {PATIENCE:?}");
    }
    status.and_then(|status| status.code())
}

/// Asks again and again until something holds; false if it does not within [`PATIENCE`].
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
    kill_process(pid, signal).expect("a child can be signalled");
}

/// `channel serve` as a process. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) ready: Value,
    stdout: BufReader<ChildStdout>,
    home: Option<TempDir>,
}

impl Server {
    /// Starts on a unix socket in a directory of its own.
    pub(crate) fn start(options: &[&str]) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let address = format!("unix://{}/a.sock", home.path().display());
        let mut server = Server::at(&address, options);
        server.home = Some(home);
        server
    }

    pub(crate) fn at(address: &str, options: &[&str]) -> Server {
        let arguments = [&["channel", "serve", address, "--jsonl"], options].concat();
        let mut child = peerage(&arguments).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout can be read");
        let Ok(ready) = serde_json::from_str(&line) else {
            panic!("no ready line: {line:?} {:?}", finish(child));
        };
        Server { child, ready, stdout, home: None }
    }

    pub(crate) fn address(&self) -> &str {
        self.ready["address"].as_str().expect("a ready line has an address")
    }

    /// Where its socket is, if it has a directory of its own.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.as_ref().expect("started in a directory of its own").path().join("a.sock")
    }

    /// Calls it.
    pub(crate) fn call(&self, content: &str, options: &[&str]) -> Run {
        run(&[&["channel", "call", self.address(), content], options].concat())
    }

    /// Asks it to end; its exit code, and what it said on stderr.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        signal(&self.child, Signal::TERM);
        let stderr = drain(self.child.stderr.take());
        let code = ended(&mut self.child);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("stdout can be read");
        assert_eq!(rest, "", "nothing follows the ready line");
        (code, stderr.join().expect("stderr is read"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        String::from_utf8(bytes).expect("the program prints UTF-8")
    })
}

/// Longest time for anything here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
