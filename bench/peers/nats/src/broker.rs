//! A `nats-server` of one's own.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

/// A server on a free port of loopback, as it comes from Debian, that ends with this process.
#[derive(Debug)]
pub(crate) struct Broker {
    server: Child,
    address: String,
}

impl Broker {
    /// # Errors
    /// When there is no `nats-server`, or it does not begin to listen.
    pub(crate) async fn start() -> io::Result<Self> {
        let program = program().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "nats-server is not installed (apt install nats-server)")
        })?;
        // It would outlive a publisher that is killed. And it has threads of its own: this process may be pinned to one CPU.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list", EVERY_CPU]);
        command.arg(program).args(["--addr", "127.0.0.1", "--port", "-1"]);
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = server.stderr.take().ok_or_else(|| io::Error::other("the server's log cannot be read"))?;
        let (found, address) = tokio::sync::oneshot::channel();
        // What it writes is read to its end, so that it never waits for a reader.
        thread::spawn(move || {
            let mut found = Some(found);
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                    found.take().into_iter().for_each(|found| drop(found.send(address.trim().to_owned())));
                }
                if line.contains("[ERR]") || line.contains("[FTL]") || line.contains("Slow Consumer") {
                    eprintln!("nats-server: {line}");
                }
            }
        });
        match address.await {
            Ok(address) => Ok(Self { server, address }),
            Err(_) => Err(io::Error::other(format!("nats-server ended before it listened: {:?}", server.wait()?))),
        }
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do but to collect it.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Where the server lies: Debian installs it for administrators, whose folder is not in everybody's path.
fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file())
}

/// The kernel leaves out those that are not there.
const EVERY_CPU: &str = "0-1023";
