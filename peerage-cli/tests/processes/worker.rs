//! Workers as processes: this very test program, started once more, with a node whose functions are its own.
//!
//! ```text
//!   test ──environment: network, seed, log──▶ worker ──"ready ID"──▶ test
//!        ──SIGTERM──▶ it drains, and ends with 0;  ──SIGKILL──▶ it is gone
//! ```

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use peerage::{Address, Failure, Identity, Network, Node};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::program::{ended, signal as send};

/// A worker. Dropping it kills it.
pub(crate) struct Worker {
    pub(crate) child: Child,
    pub(crate) id: String,
    /// Open for as long as it may say something.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// Where workers of a test belong.
pub(crate) struct Workplace<'a> {
    pub(crate) network: &'a Path,
    pub(crate) seed: &'a Address,
    /// Where each begun piece of work leaves a line.
    pub(crate) log: &'a Path,
}

impl Worker {
    /// Starts one and waits until it serves.
    pub(crate) fn start(place: &Workplace<'_>) -> Worker {
        let program = env::current_exe().expect("a process knows its program");
        let mut child = Command::new(program)
            .args(["--exact", "worker::works_if_it_is_started_as_a_worker", "--nocapture"])
            .env(NETWORK, place.network)
            .env(SEED, place.seed.to_string())
            .env(LOG, place.log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut said = lines.by_ref().map_while(Result::ok);
        let ready = said.find_map(|line| line.strip_prefix("ready ").map(str::to_owned));
        Worker { child, id: ready.expect("it says that it is ready"), _stdout: lines }
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Lets it leave in good order.
    pub(crate) fn leave(mut self) {
        send(&self.child, Signal::TERM);
        assert_eq!(ended(&mut self.child), Some(0), "nothing was cut off");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn works_if_it_is_started_as_a_worker() {
    let Some(network) = env::var_os(NETWORK).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let abandoned = runtime.expect("there is a runtime").block_on(work(&network));
    assert_eq!(abandoned, 0, "calls were cut off");
}

async fn work(network: &Path) -> u64 {
    let seed: Address = env::var(SEED).expect("a seed").parse().expect("an address");
    let log = env::var_os(LOG).map(PathBuf::from).expect("a log");
    let node = Node::builder(Identity::generate())
        .network(Network::open(network).expect("a network file"))
        .listen("tls://127.0.0.1:0".parse().expect("an address"))
        .seed(seed)
        .start()
        .await
        .expect("a node");
    let mut told = signal(SignalKind::terminate()).expect("signals can be heard");
    let lines = log.clone();
    let slow = move |n: u64| {
        let log = lines.clone();
        async move {
            begun(&log, n);
            sleep(Duration::from_secs(30)).await;
            Ok::<_, Failure>(n)
        }
    };
    node.serve("slow", slow).expect("a name of its own");
    let quick = move |n: u64| {
        let log = log.clone();
        async move {
            sleep(Duration::from_millis(2)).await;
            begun(&log, n);
            Ok::<_, Failure>(n)
        }
    };
    node.serve("quick", quick).expect("a name of its own");
    println!("ready {}", node.id());
    told.recv().await;
    node.drain(Duration::from_secs(10)).await.abandoned
}

/// Leaves a line for a piece of work. Lines of several processes do not mix.
fn begun(log: &Path, n: u64) {
    let mut file: File = OpenOptions::new().append(true).create(true).open(log).expect("a log");
    file.write_all(format!("{n}\n").as_bytes()).expect("a line");
}

const NETWORK: &str = "PEERAGE_TEST_WORKER_NETWORK";

const SEED: &str = "PEERAGE_TEST_WORKER_SEED";

const LOG: &str = "PEERAGE_TEST_WORKER_LOG";
