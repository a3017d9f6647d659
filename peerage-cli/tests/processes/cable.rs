//! Two network namespaces of a test's own, joined by a virtual cable. They go when the test ends, however it ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::home::Home;
use crate::is_thorough;
use crate::node::{Killed, Up};

/// Two hosts with a cable between them.
pub(crate) struct Cable {
    ends: [Killed; 2],
}

/// The addresses of the two hosts.
pub(crate) const HOSTS: [&str; 2] = ["10.209.0.1", "10.209.0.2"];

impl Cable {
    /// Makes both namespaces; nothing where the machine does not let us, which fails a thorough run.
    pub(crate) fn lay() -> Option<Cable> {
        match Cable::try_lay() {
            Ok(cable) => Some(cable),
            Err(why) if is_thorough() => panic!("no network namespaces: {why}"),
            Err(why) => {
                println!("skipped: no network namespaces here ({why}); run as root with iproute2 and util-linux");
                None
            }
        }
    }

    fn try_lay() -> Result<Cable, String> {
        let cable = Cable { ends: [namespace()?, namespace()?] };
        let other = cable.pid(1).to_string();
        cable.inside(0, &["ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &other])?;
        for (host, address) in HOSTS.iter().enumerate() {
            cable.inside(host, &["ip", "address", "add", &format!("{address}/24"), "dev", "cable"])?;
            for device in ["lo", "cable"] {
                cable.inside(host, &["ip", "link", "set", device, "up"])?;
            }
        }
        Ok(cable)
    }

    /// Gives a host an address on the cable, or takes it away: `add` or `del`.
    pub(crate) fn address(&self, host: usize, what: &str, address: &str) {
        let address = format!("{address}/24");
        let arguments = ["ip", "address", what, &address, "dev", "cable"];
        self.inside(host, &arguments).expect("the addresses of a host can be changed");
    }

    /// Cuts the cable: nothing passes any more, and nobody is told.
    pub(crate) fn cut(&self) {
        // Frames to a station that does not exist are lost without an error, as they are behind a cable that is cut
        // further away; a link that is taken down here would be reported to the processes.
        for host in 0..HOSTS.len() {
            let (other, nobody) = (HOSTS[1 - host], "02:00:00:00:00:01");
            self.neighbour(host, &["replace", other, "lladdr", nobody, "dev", "cable", "nud", "permanent"]);
        }
    }

    /// Mends it again.
    pub(crate) fn mend(&self) {
        for host in 0..HOSTS.len() {
            self.neighbour(host, &["del", HOSTS[1 - host], "dev", "cable"]);
        }
    }

    fn neighbour(&self, host: usize, arguments: &[&str]) {
        self.inside(host, &[&["ip", "neighbour"], arguments].concat()).expect("the table of neighbours can be changed");
    }

    /// A node on one of the hosts.
    pub(crate) fn up(&self, host: usize, home: &Home, name: &str, options: &[&str]) -> Up {
        self.up_under(host, &[], home, name, options)
    }

    /// The same, for which names stand for what a file like `/etc/hosts` says.
    pub(crate) fn up_with_names(&self, host: usize, names: &Path, home: &Home, name: &str, options: &[&str]) -> Up {
        let script = format!("mount --bind '{}' /etc/hosts && exec \"$@\"", names.display());
        self.up_under(host, &["unshare", "--mount", "--", "sh", "-c", &script, "sh"], home, name, options)
    }

    fn up_under(&self, host: usize, prefix: &[&str], home: &Home, name: &str, options: &[&str]) -> Up {
        let inner = home.peerage(&[&["up", "--name", name, "--jsonl"], options].concat());
        let mut command = Command::new("nsenter");
        home.prepare(&mut command);
        command.args(["--net", "--target", &self.pid(host).to_string(), "--"]).args(prefix);
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        Up::start(command)
    }

    /// Runs a program on one of the hosts to its end.
    fn inside(&self, host: usize, arguments: &[&str]) -> Result<(), String> {
        let pid = self.pid(host).to_string();
        let output = Command::new("nsenter")
            .args(["--net", "--target", &pid, "--"])
            .args(arguments)
            .output()
            .map_err(|why| format!("nsenter: {why}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("{}: {}", arguments.join(" "), said.trim())) }
    }

    /// The process that keeps the network of a host.
    pub(crate) fn pid(&self, host: usize) -> u32 {
        self.ends[host].0.id()
    }
}

/// A process that does nothing but keep a network namespace.
fn namespace() -> Result<Killed, String> {
    let mut child: Child = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", "echo there; exec sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|why| format!("unshare: {why}"))?;
    let mut word = [0; 6];
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    let is_there = std::io::Read::read_exact(stdout, &mut word);
    let child = Killed(child);
    is_there.map_err(|_| "unshare --net is not allowed".to_owned())?;
    Ok(child)
}
