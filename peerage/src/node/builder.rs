//! What is said before a node starts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use peerage_proto::address::{Address, Host, Scheme};
use peerage_proto::frame::Dialect;
use peerage_proto::id::Group;
use peerage_proto::limits;
use peerage_proto::liveness::Profile;

use super::log_filter::LogFilter;
use super::mistake::{Mistake, StartError};
use super::{Events, Node, start};
use crate::hook::Hook;
use crate::identity::Identity;
use crate::name::Name;
use crate::network::Network;

/// A node to be started. Made by [`Node::builder`].
///
/// Nothing is checked before [`start`](Self::start), which names the first mistake.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before it is started"]
pub struct Builder {
    pub(super) identity: Identity,
    pub(super) network: Option<Network>,
    pub(super) name: Option<Name>,
    pub(super) listen: Vec<Address>,
    pub(super) advertise: Vec<Address>,
    pub(super) seeds: Vec<Address>,
    pub(super) localhost: Option<PathBuf>,
    pub(super) mdns: bool,
    pub(super) anchors: Option<PathBuf>,
    pub(super) groups: BTreeSet<Group>,
    pub(super) hub: bool,
    pub(super) ephemeral: bool,
    pub(super) control: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) plaintext: bool,
    pub(super) compression: bool,
    pub(super) profile: Profile,
    pub(super) log_filter: Option<Arc<dyn LogFilter>>,
    pub(super) hook: Option<Arc<dyn Hook>>,
    pub(super) says_who_runs_it: bool,
}

/// Bounds of one node that may be set.
///
/// ```
/// use peerage::node::Limits;
///
/// let limits = Limits { links: 4_096, ..Limits::default() };
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Links at once; one more is refused as busy. Default 1,024, at most 65,536.
    pub links: u32,
    /// Connections accepted in a second over all node listeners, and from this machine alone. Default 200.
    pub accepts_per_second: u32,
    /// Connections accepted in a second from one source (an IPv4 address, an IPv6 /64) elsewhere. Default 20.
    pub accepts_per_second_from_one: u32,
    /// Connections not admitted yet, over all node listeners. One more, and the oldest of them is dropped. Default 128, at
    /// most 4,096.
    pub half_open: usize,
    /// As [`half_open`](Self::half_open), from one source that is not on this machine. Default 16.
    pub half_open_from_one: usize,
    /// Links up to which it dials every node it hears of. Default 64, at most 150. More come by themselves, or are asked for.
    pub full_mesh: usize,
    /// Calls of its own services that it works on at once, whoever made them; one more is refused as busy, its handler not
    /// started. Default 8,192.
    pub served: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            links: limits::LINKS_DEFAULT,
            accepts_per_second: limits::ACCEPTS_PER_SECOND_DEFAULT,
            accepts_per_second_from_one: limits::ACCEPTS_PER_SECOND_SOURCE_DEFAULT,
            half_open: limits::HALF_OPEN_DEFAULT,
            half_open_from_one: limits::HALF_OPEN_SOURCE_DEFAULT,
            full_mesh: limits::FULL_MESH_DEFAULT,
            served: limits::SERVED_BY_NODE_AT_ONCE,
        }
    }
}

impl Builder {
    pub(super) fn new(identity: Identity) -> Builder {
        Builder {
            identity,
            network: None,
            name: None,
            listen: Vec::new(),
            advertise: Vec::new(),
            seeds: Vec::new(),
            localhost: None,
            mdns: false,
            anchors: None,
            groups: BTreeSet::new(),
            hub: false,
            ephemeral: false,
            control: None,
            limits: Limits::default(),
            plaintext: false,
            compression: false,
            profile: Profile::default(),
            log_filter: None,
            hook: None,
            says_who_runs_it: true,
        }
    }

    /// The network to belong to. Required. Its seeds count as if each had been given to [`seed`](Self::seed).
    pub fn network(mut self, network: Network) -> Builder {
        self.network = Some(network);
        self
    }

    /// What people call it. Names need not be unique. Default: the first characters of the id.
    pub fn name(mut self, name: Name) -> Builder {
        self.name = Some(name);
        self
    }

    /// An address to listen at; may be said several times. `tls://`, `quic://`, `unix://` and `memory://` are for nodes.
    /// With `?dialect=plain` a `tcp://` or `unix://` address is for programs in the plain dialect, which find a few
    /// built-in services there. Default: nowhere; such a node has the links that it opens.
    ///
    /// Port 0 picks a free one; `?next=N` moves on to the next free one.
    pub fn listen(mut self, address: Address) -> Builder {
        self.listen.push(address);
        self
    }

    /// An address that others are told to use; may be said several times. Default: those it listens at, with the
    /// addresses of this machine's interfaces in place of `0.0.0.0` and `[::]`.
    pub fn advertise(mut self, address: Address) -> Builder {
        self.advertise.push(address);
        self
    }

    /// An address at which a member is likely to be found; may be said several times. It is tried for ever, with growing
    /// pauses.
    pub fn seed(mut self, address: Address) -> Builder {
        self.seeds.push(address);
        self
    }

    /// A group to belong to; may be said several times.
    pub fn group(mut self, group: Group) -> Builder {
        self.groups.insert(group);
        self
    }

    /// Whether it is a hub: a node that others may prefer to ask. Default no.
    pub fn hub(mut self, hub: bool) -> Builder {
        self.hub = hub;
        self
    }

    /// Whether it is there for one command only, so that nobody relies on it. Default no.
    pub fn ephemeral(mut self, ephemeral: bool) -> Builder {
        self.ephemeral = ephemeral;
        self
    }

    /// The path of a control socket: how programs of this user reach the node. Its directory is made if it is missing,
    /// and must be this user's alone (0700). Default none.
    pub fn control(mut self, path: impl Into<PathBuf>) -> Builder {
        self.control = Some(path.into());
        self
    }

    /// A directory in which nodes of this user have link sockets, `*.link`: whoever listens there is found, now and later,
    /// without any traffic on a network. To be found as well, [listen](Self::listen) at `unix://` and a path in it. Default none.
    pub fn localhost(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.localhost = Some(folder.into());
        self
    }

    /// Whether to look for members on the local network, and to be found there, by multicast DNS. Whoever listens there learns
    /// addresses and ports, and that a node of some network is there, but neither its name nor its network's. Default no.
    pub fn mdns(mut self, yes: bool) -> Builder {
        self.mdns = yes;
        self
    }

    /// A file in which a few members are remembered that there are links with, so that they are found again after a restart
    /// even if the seeds are gone. It is written at most once a minute, and when the node stops; its directory is made if there
    /// is none, and must be this user's alone (0700). Default none.
    pub fn anchors(mut self, file: impl Into<PathBuf>) -> Builder {
        self.anchors = Some(file.into());
        self
    }

    /// Whether large contents may travel compressed (LZ4). Where both ends of a link allow it, they are from the beginning;
    /// [`Node::propose`] changes that later. Default no: it costs time, and helps on slow networks alone.
    pub fn compression(mut self, allowed: bool) -> Builder {
        self.compression = allowed;
        self
    }

    /// Bounds that differ from the defaults.
    pub fn limits(mut self, limits: Limits) -> Builder {
        self.limits = limits;
        self
    }

    /// Allows `tcp://` between nodes: nothing is encrypted, and whoever sits on the way may read and change everything, ids
    /// included. Links of that kind are marked in every record.
    pub fn dangerously_plaintext(mut self) -> Builder {
        self.plaintext = true;
        self
    }

    /// How patient links are with a silent peer; the slower one of both ends rules a link. Default [`Profile::LAN`].
    pub fn profile(mut self, profile: Profile) -> Builder {
        self.profile = profile;
        self
    }

    /// Lets the control socket show and change the log filter of this program. Default: it says that it cannot.
    pub fn log_filter(mut self, filter: impl LogFilter + 'static) -> Builder {
        self.log_filter = Some(Arc::new(filter));
        self
    }

    /// Puts this around every call that the node makes or serves: to let it through or not, to log it, to measure it.
    /// Default: nothing.
    pub fn hook(mut self, hook: impl Hook) -> Builder {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Keeps the path of the program and the name of its user to itself, where `peerage/info` tells them to admitted nodes
    /// otherwise. Plain listeners never tell them.
    pub fn anonymous(mut self) -> Builder {
        self.says_who_runs_it = false;
        self
    }

    /// Starts the node: when this returns it listens everywhere it should, and is on its way to its seeds.
    ///
    /// # Errors
    /// [`StartError`]: the first mistake in what was said, or an address that cannot be listened at. Nothing is left
    /// behind then.
    pub async fn start(self) -> Result<Node, StartError> {
        self.start_with_events().await.map(|(node, _)| node)
    }

    /// As [`start`](Self::start), for who wants all that happens: events from the first moment on, while
    /// [`Node::events`] tells what happens after it was called.
    ///
    /// # Errors
    /// As those of [`start`](Self::start).
    pub async fn start_with_events(self) -> Result<(Node, Events), StartError> {
        self.check().map_err(StartError::from)?;
        start::start(self).await
    }

    fn check(&self) -> Result<(), Mistake> {
        let Some(network) = &self.network else { return Err(Mistake::NoNetwork) };
        self.check_limits()?;
        for (index, address) in self.listen.iter().enumerate() {
            self.check_listen(address)?;
            if self.listen[..index].contains(address) && address.port() != Some(0) {
                return Err(Mistake::Twice { address: address.clone() });
            }
        }
        self.advertise.iter().try_for_each(|address| self.check_reachable(address, Mistake::advertise))?;
        network.seeds().iter().chain(&self.seeds).try_for_each(|seed| self.check_reachable(seed, Mistake::seed))?;
        if self.groups.len() > limits::GROUPS_MAX {
            return Err(Mistake::TooManyGroups { groups: self.groups.len() });
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Mistake> {
        let Limits { links, accepts_per_second, accepts_per_second_from_one, .. } = &self.limits;
        let Limits { half_open, half_open_from_one, full_mesh, served, .. } = &self.limits;
        let within = |name, value: u64, max: u64| match value {
            0 => Err(Mistake::Limit { name, value, max }),
            value if value > max => Err(Mistake::Limit { name, value, max }),
            _ => Ok(()),
        };
        within("links", u64::from(*links), u64::from(limits::LINKS_MAX))?;
        within("accepts_per_second", u64::from(*accepts_per_second), u64::from(u32::MAX))?;
        within("accepts_per_second_from_one", u64::from(*accepts_per_second_from_one), u64::from(u32::MAX))?;
        within("half_open", *half_open as u64, limits::HALF_OPEN_MAX as u64)?;
        within("half_open_from_one", *half_open_from_one as u64, limits::HALF_OPEN_MAX as u64)?;
        within("full_mesh", *full_mesh as u64, limits::FULL_MESH_MAX as u64)?;
        within("served", *served as u64, limits::SERVED_BY_NODE_MAX as u64)
    }

    fn check_listen(&self, address: &Address) -> Result<(), Mistake> {
        let refuse = |why| Err(Mistake::Listen { address: address.clone(), why });
        if address.node().is_some() {
            return refuse("it holds a node id, which is for connecting");
        }
        match (address.dialect(), address.scheme()) {
            (Some(Dialect::Plain), Scheme::Tcp | Scheme::Unix | Scheme::Memory) => Ok(()),
            (Some(Dialect::Plain), Scheme::Tls | Scheme::Quic) => refuse(
                "a plain listener of a node is tcp:// or unix://: leave out ?dialect=plain, or change the scheme",
            ),
            _ if address.codec().is_some() || address.services().is_some() => {
                refuse("?codec= and ?services= are for plain listeners: add ?dialect=plain, or leave them out")
            }
            (_, Scheme::Tcp) if !self.plaintext => Err(Mistake::Plaintext { address: address.clone() }),
            _ => Ok(()),
        }
    }

    fn check_reachable(&self, address: &Address, mistake: fn(Address, &'static str) -> Mistake) -> Result<(), Mistake> {
        let refuse = |why| Err(mistake(address.clone(), why));
        let unspecified = match address.host() {
            Some(Host::V4(ip)) => ip.is_unspecified(),
            Some(Host::V6(ip)) => ip.is_unspecified(),
            Some(Host::Name(_)) | None => false,
        };
        match address.scheme() {
            _ if address.dialect() == Some(Dialect::Plain) => refuse("a node cannot be reached in the plain dialect"),
            _ if address.port() == Some(0) => refuse("port 0 is for listening"),
            _ if address.next().is_some() => refuse("?next= is for listening"),
            _ if unspecified => refuse("no host has this address: give one that others can use"),
            Scheme::Tcp if !self.plaintext => Err(Mistake::Plaintext { address: address.clone() }),
            _ => Ok(()),
        }
    }
}
