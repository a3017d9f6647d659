//! A node of the demo: `up` as a process of its own, and what it tells.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// A node in a process. Unless it is to be kept, dropping it kills it, by its id.
pub(super) struct Member {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) ready: Ready,
}

/// What the ready line says.
#[derive(Deserialize)]
pub(super) struct Ready {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) control: String,
    pub(super) pid: u32,
}

#[derive(Deserialize)]
struct Record {
    event: String,
    #[serde(default)]
    id: String,
}

impl Member {
    /// Starts `up` in this home and waits for its ready line.
    pub(super) async fn start(home: &Path, name: &str, keep: bool) -> Result<Member, String> {
        let program = std::env::current_exe().map_err(|why| format!("this program cannot be found: {why}"))?;
        let mut command = Command::new(program);
        command.args(["up", "--name", name, "--network", "local", "--jsonl"]).env("PEERAGE_HOME", home);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(!keep);
        if keep {
            // Neither the end of the demo nor a signal meant for it is to reach a node that stays.
            command.process_group(0).stderr(Stdio::null());
        }
        let mut child = command.spawn().map_err(|why| format!("cannot start a node: {why}"))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("a node without stdout")?).lines();
        let line = match timeout(READY_WITHIN, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => return Err(format!("node {name} ended before it was ready")),
            Err(_) => return Err(format!("node {name} was not ready within {READY_WITHIN:?}")),
        };
        let ready = serde_json::from_str(&line).map_err(|why| format!("no ready line but {line:?}: {why}"))?;
        Ok(Member { child, lines, ready })
    }

    /// Waits until it tells this of the node with this id (of itself: an empty id); how long that took.
    pub(super) async fn tells(&mut self, event: &str, id: &str, within: Duration) -> Result<Duration, String> {
        let began = Instant::now();
        loop {
            let line = match timeout_at(began + within, self.lines.next_line()).await {
                Ok(Ok(Some(line))) => line,
                Ok(_) => return Err(format!("{} ended before it told `{event}`", self.ready.name)),
                Err(_) => return Err(format!("{} did not tell `{event}` within {within:?}", self.ready.name)),
            };
            let record: Record = serde_json::from_str(&line).map_err(|why| format!("{line:?}: {why}"))?;
            if record.event == event && record.id == id {
                return Ok(began.elapsed());
            }
        }
    }

    /// Ends it without a chance to say goodbye, and waits until it is gone.
    pub(super) async fn kill(&mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|why| format!("cannot kill process {}: {why}", self.ready.pid))
    }

    /// Waits for its end; its exit code.
    pub(super) async fn ended(&mut self) -> Result<Option<i32>, String> {
        match timeout(END_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status.code()),
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err(format!("process {} did not end within {END_WITHIN:?}", self.ready.pid)),
        }
    }
}

const READY_WITHIN: Duration = Duration::from_secs(10);

const END_WITHIN: Duration = Duration::from_secs(5);
