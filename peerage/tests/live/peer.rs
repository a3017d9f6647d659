//! The other process: it serves at a tcp and a unix address, writes down which calls it started, and can be killed.
//!
//! It is this test program, started again with one test selected and an environment variable that tells it to be the
//! peer. What it started it writes to a socket, call by call, before the work begins: that survives its death.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use peerage::{Address, Listener, Request};
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

/// The process, as its parent sees it. It is killed when this is dropped.
pub(crate) struct Peer {
    child: Child,
    diary: Option<JoinHandle<Vec<u64>>>,
    pub(crate) tcp: Address,
    pub(crate) unix: Address,
    _directory: TempDir,
}

/// What a call asks of the peer: its number, what to do, after how many milliseconds, and some bytes to carry.
pub(crate) type Task = (u64, Deed, u64, String);

/// What the peer does with a request.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize)]
pub(crate) enum Deed {
    Answer,
    Fail,
    Forget,
    Keep,
}

impl Peer {
    pub(crate) fn start() -> Peer {
        let directory = TempDir::new().unwrap();
        let diary = UnixListener::bind(directory.path().join(DIARY)).unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "peer::the_other_process_of_these_tests_serves"])
            .env(DIRECTORY, directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut diary = BufReader::new(diary.accept().unwrap().0);
        let mut address = || {
            let mut line = String::new();
            diary.read_line(&mut line).unwrap();
            line.trim().parse::<Address>().unwrap()
        };
        let (tcp, unix) = (address(), address());
        Peer { child, diary: Some(std::thread::spawn(move || numbers(diary))), tcp, unix, _directory: directory }
    }

    /// Ends the process with SIGKILL, at this very moment.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// The numbers of the calls that the process started. It must have been killed.
    pub(crate) fn started(&mut self) -> Vec<u64> {
        self.child.wait().unwrap();
        self.diary.take().unwrap().join().unwrap()
    }

    /// Memory of the process in KiB: now, and at the most so far. `None` where the system does not tell.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let row = |name: &str| {
            let row = status.lines().find_map(|line| line.strip_prefix(name))?;
            row.split_whitespace().next()?.parse().ok()
        };
        Some((row("VmRSS:")?, row("VmHWM:")?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whole numbers until the writer is gone.
fn numbers(mut diary: impl Read) -> Vec<u64> {
    let (mut numbers, mut number) = (Vec::new(), [0; 8]);
    while diary.read_exact(&mut number).is_ok() {
        numbers.push(u64::from_be_bytes(number));
    }
    numbers
}

/// Allows this process as many open files as `wanted`. False if the system does not.
pub(crate) fn allow_files(wanted: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return true;
    }
    limit.current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
    setrlimit(Resource::Nofile, limit).is_ok() && limit.current >= Some(wanted)
}

#[test]
fn the_other_process_of_these_tests_serves() {
    // Among the other tests it has nothing to do.
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let directory = std::path::Path::new(&directory);
    allow_files(FILES);
    let diary = UnixStream::connect(directory.join(DIARY)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let places = ["tcp://127.0.0.1:0".parse().unwrap(), Address::unix(directory.join("peer.sock")).unwrap()];
        let shared = Arc::new(Mutex::new(diary.try_clone().unwrap()));
        let mut servers = Vec::new();
        for place in places {
            let diary = shared.clone();
            let listener = Listener::bind(&place).await.unwrap();
            let server = listener.serve(move |request| work(request, diary.clone()));
            writeln!(shared.lock().unwrap(), "{}", server.local_address()).unwrap();
            servers.push(server);
        }
        // A parent that ends without killing us closes the diary.
        let mut parent = diary;
        tokio::task::spawn_blocking(move || parent.read(&mut [0])).await.unwrap().unwrap();
    });
    runtime.shutdown_background();
}

async fn work(request: Request, diary: Arc<Mutex<UnixStream>>) {
    let (number, deed, after, carried): Task = request.content().unwrap();
    diary.lock().unwrap().write_all(&number.to_be_bytes()).unwrap();
    if after > 0 {
        tokio::time::sleep(Duration::from_millis(after)).await;
    }
    match deed {
        Deed::Answer => request.reply(&(number, carried)),
        Deed::Fail => request.fail("as told"),
        Deed::Forget => drop(request),
        Deed::Keep => std::future::pending().await,
    }
}

/// Where the peer finds its parent; set for the peer only.
const DIRECTORY: &str = "PEERAGE_TEST_PEER_DIRECTORY";

/// Socket in that directory to which the peer writes its addresses, and then the numbers of calls.
const DIARY: &str = "diary.sock";

/// Open files that a peer under a thousand connections needs, doubled, because a listener takes half of what there is.
pub(crate) const FILES: u64 = 4096;
