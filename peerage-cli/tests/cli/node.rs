//! Nodes as processes: each node is waited for by its ready line and killed by its id.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::home::Home;
use crate::program::{PATIENCE, ended, signal};

impl Home {
    /// A running node of this name.
    pub(crate) fn up(&self, name: &str, options: &[&str]) -> Up {
        Up::start(self.peerage(&[&["up", "--name", name, "--jsonl"], options].concat()))
    }

    /// A node that listens on the loopback interface of a network.
    pub(crate) fn up_at_loopback(&self, name: &str, network: &str, options: &[&str]) -> Up {
        self.up(name, &[&["--network", network, "--listen", "tls://127.0.0.1:0"], options].concat())
    }

    /// The control socket of a node.
    pub(crate) fn socket(&self, network: &str, name: &str) -> PathBuf {
        self.path(&format!("run/{network}/{name}.sock"))
    }

    /// Gives `other` the ticket of a network of ours, with this seed.
    pub(crate) fn invite(&self, other: &Home, network: &str, seed: &str) {
        let ticket = self.done(&["network", "ticket", "--network", network, "--seed", seed]).stdout;
        other.run_with(ticket.as_bytes(), &["network", "join", "-"]);
    }
}

/// `up` as a process. Dropping it kills it.
pub(crate) struct Up {
    pub(crate) child: Child,
    pub(crate) ready: Value,
    records: Receiver<Value>,
    stderr: Arc<Mutex<String>>,
}

impl Up {
    /// Starts a node and waits for its ready line.
    pub(crate) fn start(mut command: Command) -> Up {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut up = Up::of(child);
        up.ready = up.next("ready");
        assert_eq!(up.ready["event"], "ready", "the ready line is the first: {}", up.ready);
        up
    }

    fn of(mut child: Child) -> Up {
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut pipe = child.stderr.take().expect("stderr is piped");
        let (send, records) = sync_channel(10_000);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let record = serde_json::from_str(&line).unwrap_or_else(|why| Value::String(format!("{why}: {line}")));
                if send.send(record).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let kept = stderr.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                kept.lock().expect("no thread panics with it").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Up { child, ready: Value::Null, records, stderr }
    }

    /// The next record, whatever it is.
    fn next(&self, wanted: &str) -> Value {
        self.next_until(wanted, Instant::now() + PATIENCE)
    }

    fn next_until(&self, wanted: &str, until: Instant) -> Value {
        match self.records.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(record) => record,
            Err(RecvTimeoutError::Timeout) => panic!("no record `{wanted}` in time; stderr: {}", self.said()),
            Err(RecvTimeoutError::Disconnected) => panic!("ended before `{wanted}`; stderr: {}", self.said()),
        }
    }

    /// All records that have come and were not waited for.
    #[allow(dead_code, reason = "for the tests of processes, which share this file")]
    pub(crate) fn records_so_far(&self) -> Vec<Value> {
        self.records.try_iter().collect()
    }

    /// Waits for this event; others are skipped.
    pub(crate) fn event(&mut self, event: &str) -> Value {
        self.event_within(event, PATIENCE)
    }

    /// Waits for this event no longer than this.
    pub(crate) fn event_within(&mut self, event: &str, limit: Duration) -> Value {
        let until = Instant::now() + limit;
        loop {
            let record = self.next_until(event, until);
            if record["event"] == event {
                return record;
            }
        }
    }

    /// Waits for this event of that node.
    pub(crate) fn event_of(&mut self, event: &str, name: &str) -> Value {
        loop {
            let record = self.event(event);
            if record["name"] == name {
                return record;
            }
        }
    }

    pub(crate) fn id(&self) -> String {
        self.ready["id"].as_str().expect("a ready line has an id").to_owned()
    }

    /// The address of this scheme at which it listens.
    pub(crate) fn address(&self, scheme: &str) -> String {
        let addresses = self.ready["addresses"].as_array().expect("a ready line has addresses");
        let address = addresses.iter().filter_map(Value::as_str).find(|address| address.starts_with(scheme));
        address.unwrap_or_else(|| panic!("no {scheme} address: {}", self.ready)).to_owned()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.lock().expect("no thread panics with it").clone()
    }

    pub(crate) fn signal(&self, wanted: Signal) {
        signal(&self.child, wanted);
    }

    /// Asks it to end; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        ended(&mut self.child)
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two nodes without any configuration, a and b, that know each other.
pub(crate) fn pair(home: &Home) -> (Up, Up) {
    let (mut a, mut b) = (home.up("a", &[]), home.up("b", &[]));
    a.event_of("joined", "b");
    b.event_of("joined", "a");
    (a, b)
}

/// The keys of an object, in order.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}

/// A process that is killed when this is dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
