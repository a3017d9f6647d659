//! From settings to a node that can be started: what was left open is chosen, what is missing is made.
//!
//! Nothing needs configuring. The first node of a user makes the network `local` and a key with the name of the host; any
//! number of them may start at once and agree on the network, while each takes a key of its own.

use std::path::{Path, PathBuf};

use peerage::address::{Address, Dialect};
use peerage::identity::KeyInfo;
use peerage::name::Name;
use peerage::network::Secret;
use peerage::node::{Builder, Limits};
use peerage::private_file::{self, PrivateFileError};
use peerage::{Identity, Network, Node};

use super::{NetworkChoice, Origin, Setting, Settings, default};
use crate::exit::Abort;
use crate::home::{self, Home};

/// What a node needs to start: all of it exists, and the key is locked for this process.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) identity: Identity,
    pub(crate) name: Name,
    pub(crate) network: Network,
    /// Where it listens, its link socket for other nodes of this user included.
    pub(crate) listen: Vec<Address>,
    /// Where members are likely to be found: the network's seeds, and those that were said.
    pub(crate) seeds: Vec<Address>,
    /// The directory in which other nodes of this user have their link sockets, if they are to be looked for.
    pub(crate) neighbourhood: Option<PathBuf>,
    /// The path of its control socket.
    pub(crate) control: PathBuf,
}

impl Settings {
    /// Chooses what was left open and makes what is missing.
    ///
    /// # Errors
    ///
    /// A usage error if there are several networks and none was named, or if a node of the name that was given runs.
    pub(crate) fn prepare(&self) -> Result<Prepared, Abort> {
        let network = self.open_network()?;
        if self.require_seed.value && network.seeds().is_empty() && self.seed.value.is_empty() {
            return Err(Abort::Usage(format!(
                "--require-seed, and neither --seed nor the network {} names one: say --seed ADDR",
                network.name()
            )));
        }
        let (name, identity) = self.take_name(network.name())?;
        let place = Place::of(&self.home, network.name(), &name)?;
        let folder = self.home.run_folder().join(network.name().as_str());
        private_file::private_folder(&folder).map_err(failed)?;
        let mut listen = self.listen(network.name(), &place).value;
        if !self.no_local.value && !listen.contains(&place.link) {
            listen.insert(0, place.link);
        }
        let seeds = network.seeds().iter().chain(&self.seed.value).cloned().collect();
        let neighbourhood = (!self.no_local.value).then_some(folder);
        Ok(Prepared { identity, name, network, listen, seeds, neighbourhood, control: place.control })
    }

    /// The node that is meant.
    pub(crate) fn builder(&self, prepared: &Prepared) -> Builder {
        let mut builder = Node::builder(prepared.identity.clone())
            .network(prepared.network.clone())
            .name(prepared.name.clone())
            .control(&prepared.control)
            .anchors(self.home.anchors(prepared.network.name().as_str(), prepared.name.as_str()))
            .hub(self.hub.value)
            .limits(Limits { full_mesh: self.max_full_mesh.value.into(), ..Limits::default() });
        for address in &prepared.listen {
            builder = builder.listen(address.clone());
        }
        for address in &self.advertise.value {
            builder = builder.advertise(address.clone());
        }
        for address in &self.seed.value {
            builder = builder.seed(address.clone());
        }
        for group in &self.group.value {
            builder = builder.group(group.clone());
        }
        if let Some(folder) = &prepared.neighbourhood {
            builder = builder.localhost(folder);
        }
        // What nobody configured stays on this machine.
        builder = builder.mdns(prepared.network.name().as_str() != LOCAL && !self.no_lan.value);
        if self.dangerously_plaintext.value { builder.dangerously_plaintext() } else { builder }
    }

    /// Where it listens. Its link socket is there besides, unless it is not to be found by nodes of this user.
    pub(super) fn listen(&self, network: &Name, place: &Place) -> Setting<Vec<Address>> {
        let local = (!self.no_local.value).then(|| place.link.clone());
        let everywhere = EVERYWHERE.iter().filter(|_| network.as_str() != LOCAL);
        let usual = local.into_iter().chain(everywhere.map(|text| text.parse().expect("a test has parsed it")));
        match &self.listen {
            None => default(usual.collect()),
            // A listener for programs says nothing about where nodes are to be met.
            Some(listen) if listen.value.iter().all(|address| address.dialect() == Some(Dialect::Plain)) => {
                let value = usual.chain(listen.value.iter().cloned()).collect();
                Setting { value, origin: listen.origin.clone() }
            }
            Some(listen) => listen.clone(),
        }
    }

    /// The name of the network that is meant. Nothing is made.
    pub(super) fn network_name(&self) -> Result<Setting<Name>, Abort> {
        match &self.network {
            None => self.default_network().map(default),
            Some(Setting { value: NetworkChoice::Named(name), origin }) => {
                Ok(Setting { value: name.clone(), origin: origin.clone() })
            }
            Some(Setting { value: NetworkChoice::InFile(file), origin }) => {
                let network = Network::open(file).map_err(failed)?;
                Ok(Setting { value: network.name().clone(), origin: origin.clone() })
            }
        }
    }

    /// The name that the node would take now. Nothing is made.
    pub(super) fn node_name(&self, network: &Name) -> Result<Setting<Name>, Abort> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        for name in candidates(network, &self.home)? {
            match KeyInfo::read(&self.home.key(&name)) {
                Ok(key) if key.in_use_by.is_some() => {}
                Ok(_) | Err(PrivateFileError::NotFound { .. }) => return Ok(default(name)),
                Err(why) => return Err(failed(why)),
            }
        }
        Err(too_many())
    }

    fn open_network(&self) -> Result<Network, Abort> {
        let name = match &self.network {
            Some(Setting { value: NetworkChoice::InFile(file), .. }) => return Network::open(file).map_err(failed),
            Some(Setting { value: NetworkChoice::Named(name), .. }) => name.clone(),
            None => self.default_network()?,
        };
        let file = self.home.network(&name);
        if name.as_str() == LOCAL {
            let fresh = || Network::new(LOCAL, Secret::generate()).expect("`local` is a name");
            return Network::open_or_create(&file, fresh).map_err(failed);
        }
        Network::open(&file).map_err(|why| match why {
            PrivateFileError::NotFound { .. } => Abort::Failed(format!(
                "there is no network called {name}; `peerage network new {name}` makes one, `peerage network join` takes part in one"
            )),
            why => failed(why),
        })
    }

    fn default_network(&self) -> Result<Name, Abort> {
        let mut names = self.home.networks()?;
        match names.len() {
            0 => Ok(LOCAL.parse().expect("`local` is a name")),
            1 => Ok(names.remove(0)),
            _ => Err(Abort::Usage(format!(
                "there are several networks; say which one with --network: {}",
                home::listed(&names)
            ))),
        }
    }

    /// Takes the key of the name that was given, or of the first that is free.
    fn take_name(&self, network: &Name) -> Result<(Name, Identity), Abort> {
        if let Some(Setting { value: name, .. }) = &self.name {
            if name.as_str() == home::CLI {
                return Err(Abort::Usage(
                    "the name cli is that of the nodes that commands start; choose another".to_owned(),
                ));
            }
            Place::of(&self.home, network, name)?;
            return match Identity::open_or_create(&self.home.key(name)) {
                Ok(identity) => Ok((name.clone(), identity)),
                Err(PrivateFileError::InUse { pid, .. }) => Err(runs_already(name, pid)),
                Err(why) => Err(failed(why)),
            };
        }
        for name in candidates(network, &self.home)? {
            match Identity::open_or_create(&self.home.key(&name)) {
                Ok(identity) => return Ok((name, identity)),
                Err(PrivateFileError::InUse { .. }) => {}
                Err(why) => return Err(failed(why)),
            }
        }
        Err(too_many())
    }
}

/// The two sockets of a node.
pub(super) struct Place {
    pub(super) control: PathBuf,
    pub(super) link: Address,
}

impl Place {
    /// Where they are to be; a usage error if the system has no room for such a path.
    pub(super) fn of(home: &Home, network: &Name, node: &Name) -> Result<Place, Abort> {
        let folder = home.run_folder().join(network.as_str());
        let (control, link) = (folder.join(format!("{node}.sock")), folder.join(format!("{node}.link")));
        let bytes = link.as_os_str().len();
        if bytes > SOCKET_BYTES_MAX {
            return Err(Abort::Usage(format!(
                "{}: a path of {bytes} bytes, and that of a socket has at most {SOCKET_BYTES_MAX}; {}",
                link.display(),
                shorter(home.root(), bytes - SOCKET_BYTES_MAX)
            )));
        }
        let link = Address::unix(&link).map_err(|why| Abort::Usage(format!("{}: {why}", home::HOME_VARIABLE)))?;
        Ok(Place { control, link })
    }
}

/// What to do about a path that is so much too long.
fn shorter(root: &Path, by: usize) -> String {
    let room = root.as_os_str().len().saturating_sub(by);
    let uid = rustix::process::geteuid().as_raw();
    let places = [
        std::env::var_os("HOME").map(|home| Path::new(&home).join(".peerage")),
        Some(format!("/tmp/peerage-{uid}").into()),
    ];
    match places.into_iter().flatten().find(|place| place.as_os_str().len() <= room) {
        Some(place) => format!("set {}={}, or to another place as short", home::HOME_VARIABLE, place.display()),
        None => "choose a shorter --name".to_owned(),
    }
}

/// The names that a node without one tries, in order.
fn candidates(network: &Name, home: &Home) -> Result<impl Iterator<Item = Name>, Abort> {
    let host = host_name();
    let numbered = (2..=NAMES_TRIED).map({
        let host = host.clone();
        move |number| format!("{host}-{number}").parse().expect("a short name, a dash and a number are a name")
    });
    Place::of(home, network, &host)?;
    Ok(std::iter::once(host).chain(numbered).filter(|name| name.as_str() != home::CLI))
}

/// The first part of this host's name, as far as it can be a name.
fn host_name() -> Name {
    short_name(&rustix::system::uname().nodename().to_string_lossy())
}

fn short_name(host: &str) -> Name {
    let short = host.split('.').next().unwrap_or_default();
    let fitting = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let short: String = short.chars().map(fitting).collect();
    let short = short.trim_matches('-');
    short[..short.len().min(HOST_CHARACTERS_MAX)].parse().unwrap_or_else(|_| "node".parse().expect("it is a name"))
}

fn runs_already(name: &Name, pid: Option<u32>) -> Abort {
    let process = pid.map(|pid| format!(" as process {pid}")).unwrap_or_default();
    Abort::Usage(format!("a node called {name} runs already{process}; stop it, or choose another --name"))
}

fn too_many() -> Abort {
    Abort::Failed(format!("{NAMES_TRIED} nodes with the name of this host run already; say --name"))
}

fn failed(why: PrivateFileError) -> Abort {
    Abort::Failed(why.to_string())
}

impl Origin {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::File(_) => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
        }
    }
}

/// The network that exists without anybody having made it.
const LOCAL: &str = "local";

/// Where a node of any other network listens: on the usual port, or the next free one.
const EVERYWHERE: [&str; 2] = ["tls://[::]:5000?next=999", "quic://[::]:5000?next=999"];

/// Longest path of a socket. Linux takes 107 bytes, macOS 103.
const SOCKET_BYTES_MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// Most nodes of one user with the name of the host.
const NAMES_TRIED: u32 = 1_000;

/// Longest host name that is taken for a name: room for a number remains.
const HOST_CHARACTERS_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_addresses_are_addresses() {
        for usual in EVERYWHERE {
            assert_eq!(usual.parse::<Address>().unwrap().next(), Some(999));
        }
    }

    #[test]
    fn any_host_gives_a_name_that_a_node_can_have() {
        let table = [
            ("host", "host"),
            ("host.example.org", "host"),
            ("-a b-", "a-b"),
            ("über", "ber"),
            ("", "node"),
            ("...", "node"),
            (&"h".repeat(64), &"h".repeat(48)),
        ];
        for (host, name) in table {
            assert_eq!(short_name(host).as_str(), name);
            assert!(format!("{}-{NAMES_TRIED}", short_name(host)).parse::<Name>().is_ok(), "{host}");
        }
    }
}
