//! A server of the demo: this program as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use peerage::Address;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A server process. Dropping it kills it, by its id.
pub(super) struct Servant {
    child: Child,
    pub(super) address: Address,
    pub(super) pid: u32,
}

impl Servant {
    /// Starts `channel serve` and waits for its ready line.
    pub(super) async fn start(address: &str, options: &[&str]) -> Result<Servant, String> {
        let program = std::env::current_exe().map_err(|why| format!("this program cannot be found: {why}"))?;
        let mut child = Command::new(program)
            .args(["channel", "serve", address, "--jsonl"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|why| format!("cannot start a server: {why}"))?;
        let stdout = child.stdout.take().ok_or("a server without stdout")?;
        let mut line = String::new();
        let read = timeout(READY_WITHIN, BufReader::new(stdout).read_line(&mut line)).await;
        match read {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => return Err("a server ended before it was ready".to_owned()),
            Err(_) => return Err(format!("a server was not ready within {READY_WITHIN:?}")),
        }
        let ready: Ready = serde_json::from_str(&line).map_err(|why| format!("no ready line but {line:?}: {why}"))?;
        let address = ready.address.parse().map_err(|why| format!("address of the ready line: {why}"))?;
        Ok(Servant { child, address, pid: ready.pid })
    }

    /// Stops it in mid-air: it is there, and does nothing.
    pub(super) fn freeze(&self) -> Result<(), String> {
        self.signal(Signal::STOP)?;
        // A signal takes its time, and until then the process goes on; the system tells when its last thread stands still.
        match waitpid(Some(self.process()?), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => Ok(()),
            other => Err(format!("process {} did not stop: {other:?}", self.pid)),
        }
    }

    /// Ends it without a chance to say goodbye, and waits until it is gone.
    pub(super) async fn kill(&mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|why| format!("cannot kill process {}: {why}", self.pid))
    }

    /// Asks it to end, and waits for that; its exit code.
    pub(super) async fn stop(&mut self) -> Result<Option<i32>, String> {
        self.signal(Signal::TERM)?;
        match timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status.code()),
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err(format!("process {} did not end within {STOP_WITHIN:?}", self.pid)),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(self.process()?, signal).map_err(|why| format!("cannot signal process {}: {why}", self.pid))
    }

    fn process(&self) -> Result<Pid, String> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| "no process id".to_owned())
    }
}

#[derive(Deserialize)]
struct Ready {
    address: String,
    pid: u32,
}

const READY_WITHIN: Duration = Duration::from_secs(10);

const STOP_WITHIN: Duration = Duration::from_secs(5);
