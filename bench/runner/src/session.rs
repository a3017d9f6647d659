//! One measurement: a server and a client, or a publisher and a subscriber, and their end.

use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use harness::{Measurement, Pins, Roles, Runtime, Workload};

use crate::peers::Row;

/// What is about to be measured, and where.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    row: &'a Row,
    workload: Workload,
    server_cpu: Option<usize>,
    client_cpu: Option<usize>,
    period: Duration,
}

impl<'a> Session<'a> {
    /// Places both processes as the workload asks, on the first of `cpus`.
    pub(crate) fn new(row: &'a Row, workload: Workload, cpus: &[usize], period: Duration) -> Self {
        let first = cpus.first().copied();
        let second = cpus.get(1).copied().or(first);
        let is_single_threaded = row.runtime == Runtime::Current && !row.has_own_threads;
        let (server_cpu, client_cpu) = match workload.pins() {
            Pins::OneCpu => (first, first),
            Pins::TwoCpus => (first, second),
            Pins::TwoCpusIfSingleThreaded if is_single_threaded => (first, second),
            Pins::TwoCpusIfSingleThreaded => (None, None),
        };
        Self { row, workload, server_cpu, client_cpu, period }
    }

    /// Starts a server or publisher of its own, has a client or subscriber measure it, and ends both.
    ///
    /// # Errors
    /// When a process does not start, says something else than agreed, or is silent for too long.
    pub(crate) fn measure(&self, binaries: &Path) -> Result<Measurement, Box<dyn Error>> {
        let program = binaries.join(self.row.binary);
        let (answering, asking) = match self.workload.roles() {
            Roles::ServerAndClient => ("server", "client"),
            Roles::PublisherAndSubscriber => ("pub", "sub"),
        };
        let mut command = self.command(&program, answering, self.server_cpu);
        if self.workload.roles() == Roles::PublisherAndSubscriber {
            // A server answers whatever comes; a publisher has to know what to publish.
            command.args(["--workload", self.workload.name()]);
        }
        let mut server = Running::start(command)?;
        let ready = server.first_line(READY_WITHIN)?;
        let address = ready.strip_prefix("ready ").ok_or_else(|| format!("the server said {ready:?}"))?;

        let mut command = self.command(&program, asking, self.client_cpu);
        command.args(["--workload", self.workload.name(), "--address", address]);
        command.arg("--server-pid").arg(server.0.id().to_string());
        command.arg("--seconds").arg(self.period.as_secs_f64().to_string());
        let line = Running::start(command)?.first_line(self.period + ANSWER_WITHIN)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn command(&self, program: &Path, role: &str, cpu: Option<usize>) -> Command {
        let mut command = Command::new(program);
        command.env("TMPDIR", scratch());
        command.args([role, "--runtime", self.row.runtime.name(), "--mode", self.row.mode]);
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        command
    }
}

/// Where peers put their sockets: they are killed and cannot take them away.
pub(crate) fn scratch() -> PathBuf {
    env::temp_dir().join(format!("bench-{}", process::id()))
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.map(Self).map_err(|why| format!("{}: {why}", command.get_program().display()).into())
    }

    /// The first line the process writes. It may be asked for once.
    fn first_line(&mut self, within: Duration) -> Result<String, Box<dyn Error>> {
        let out = self.0.stdout.take().ok_or("the output was already read")?;
        let (send, receive) = mpsc::sync_channel(1);
        // A pipe cannot be read with a time limit. The thread ends with the process at the latest.
        thread::spawn(move || {
            let mut line = String::new();
            let outcome = BufReader::new(out).read_line(&mut line).map(|_| line);
            // Nobody waits any more when the time was over.
            drop(send.send(outcome));
        });
        let line = receive.recv_timeout(within).map_err(|_| format!("silent for {within:?}"))??;
        if line.is_empty() { Err("ended without a word".into()) } else { Ok(line.trim_end().to_owned()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do but to collect it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const READY_WITHIN: Duration = Duration::from_secs(10);
/// Connecting, the warm-up and, for W6, 2,000 connections come on top of the measured period.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
