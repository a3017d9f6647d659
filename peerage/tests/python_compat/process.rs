//! A program that a test has started: its lines with a deadline, its end with a deadline, and never left behind.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A program at work. Dropping it ends it and what it started, which shares its process group.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a program whose output and errors are read line by line. Its input stays open as long as it lives.
    pub(crate) fn start(mut command: Command) -> io::Result<Process> {
        let (output, write) = io::pipe()?;
        command.stdin(Stdio::piped()).stdout(write.try_clone()?).stderr(write).process_group(0);
        let child = command.spawn()?;
        // The command holds our copies of the writing end, and without them the output ends with the program.
        drop(command);
        let (sender, lines) = sync_channel(LINES_AHEAD);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return; // nobody reads any more
                }
            }
        });
        Ok(Process { child, lines })
    }

    /// The next line of its output; `None` at its end, or if none comes in time.
    pub(crate) fn line(&mut self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    /// Waits for its end. Returns the rest of its output and how it ended; `None` if that takes too long.
    pub(crate) fn finish(mut self, within: Duration) -> Option<(Vec<String>, ExitStatus)> {
        let until = Instant::now() + within;
        let mut rest = Vec::new();
        loop {
            use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => rest.push(line),
                Err(Timeout) => return None,
                // Its output ends with the process, so this does not wait.
                Err(Disconnected) => return Some((rest, self.child.wait().ok()?)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only as long as it is not waited for is the number certainly its own.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Lines that may wait to be read; a program that prints more waits.
const LINES_AHEAD: usize = 1024;
