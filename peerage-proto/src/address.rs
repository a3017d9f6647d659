//! Where a node or a channel is reached: one text, read once at the edge.
//!
//! People type addresses, files and tickets hold them, nodes tell each other theirs. Inside, everything works on
//! [`Address`], which is right by construction; only parsing can fail, and each way to fail is a variant of
//! [`InvalidAddress`] whose text names the cause and the remedy.
//!
//! ```text
//!   tls://5xY…@node-7.lab:5000?codec=json
//!   ─┬─   ─┬── ─────┬──── ─┬── ────┬─────
//!    │     │        │      │       └ options: codec, dialect, services, next (listening only)
//!    │     │        │      └ port, 5000 when left out; 0 when listening: pick one
//!    │     │        └ host: a name, an IPv4 address or an IPv6 address in brackets
//!    │     └ node id: only the node with this key will do
//!    └ scheme: tcp (when left out; tls for nodes), tls, quic, unix, memory
//!
//!   unix:///run/user/1000/peerage/a.sock        an absolute path, `%xx` for what would be misread
//!   memory://left                               a name within this process
//! ```
//!
//! Printing is explicit where reading is lenient: scheme and port always stand there, options come in one order, and
//! the printed text is read back as the same address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use crate::codec::Encoding;
use crate::frame::Dialect;
use crate::id::NodeId;

pub use invalid::InvalidAddress;

mod invalid;
mod parse;
#[cfg(test)]
mod tests;

/// Where to listen or whom to dial.
///
/// ```
/// use peerage_proto::address::{Address, Scheme};
///
/// let address: Address = "node-7.lab?codec=json".parse()?;
/// assert_eq!(address.scheme(), Scheme::Tcp);
/// assert_eq!(address.to_string(), "tcp://node-7.lab:5000?codec=json");
/// assert_eq!(Address::for_node("node-7.lab")?.to_string(), "tls://node-7.lab:5000");
/// # Ok::<(), peerage_proto::address::InvalidAddress>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address {
    scheme: Scheme,
    node: Option<NodeId>,
    place: Place,
    options: Options,
}

impl Address {
    /// Reads an address at which a *node* is meant: as [`FromStr`], but without a scheme it is `tls://`, because nodes
    /// are never plain by accident.
    ///
    /// # Errors
    ///
    /// The same as those of `text.parse::<Address>()`.
    pub fn for_node(text: &str) -> Result<Self, InvalidAddress> {
        parse::address(text, Scheme::Tls)
    }

    /// The TCP address of a socket.
    pub fn tcp(socket: SocketAddr) -> Self {
        Address::at_socket(Scheme::Tcp, socket)
    }

    /// The address of a TCP socket over which TLS is spoken.
    pub fn tls(socket: SocketAddr) -> Self {
        Address::at_socket(Scheme::Tls, socket)
    }

    /// The address of a UDP socket over which QUIC is spoken.
    pub fn quic(socket: SocketAddr) -> Self {
        Address::at_socket(Scheme::Quic, socket)
    }

    /// The address of the unix socket at `path`.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress::RelativePath`] and the other errors about paths. [`InvalidAddress::PathNotText`] if the path
    /// is not UTF-8.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, InvalidAddress> {
        let path = path.as_ref().to_str().ok_or(InvalidAddress::PathNotText)?;
        Ok(Address::at(Scheme::Unix, parse::path(path.to_owned())?))
    }

    /// The address of the place called `name` within this process.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress::MissingName`], [`InvalidAddress::InvalidName`].
    pub fn memory(name: &str) -> Result<Self, InvalidAddress> {
        Ok(Address::at(Scheme::Memory, parse::name(name)?))
    }

    /// The same with another port; addresses without a port stay as they are.
    #[must_use]
    pub fn with_port(mut self, to: u16) -> Self {
        if let Place::Port { port, .. } = &mut self.place {
            *port = to;
        }
        self
    }

    /// The same, meaning only the node with this id. It can be read back from text if the id
    /// [is a key](NodeId::is_sound).
    #[must_use]
    pub fn with_node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// The same with another `codec=`; `None` takes the option away.
    #[must_use]
    pub fn with_codec(mut self, codec: impl Into<Option<Encoding>>) -> Self {
        self.options.codec = codec.into();
        self
    }

    /// The same with another `dialect=`; `None` takes the option away.
    #[must_use]
    pub fn with_dialect(mut self, dialect: impl Into<Option<Dialect>>) -> Self {
        self.options.dialect = dialect.into();
        self
    }

    /// The same place with the options of another address.
    #[must_use]
    pub fn with_options_of(mut self, other: &Address) -> Self {
        self.options = other.options.clone();
        self
    }

    /// The same without `next=`: what an address is once its port is certain.
    #[must_use]
    pub fn without_next(mut self) -> Self {
        self.options.next = None;
        self
    }

    /// Scheme and place alone, without node id and options: what two addresses of one place share.
    #[must_use]
    pub fn bare(&self) -> Self {
        Address::at(self.scheme, self.place.clone())
    }

    /// Which transport.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The only node that will do, if one was named.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// The host; `None` for unix and memory addresses.
    pub fn host(&self) -> Option<&Host> {
        match &self.place {
            Place::Port { host, .. } => Some(host),
            Place::Path(_) | Place::Name(_) => None,
        }
    }

    /// The port; `None` for unix and memory addresses. When listening, 0 means "pick one".
    pub fn port(&self) -> Option<u16> {
        match self.place {
            Place::Port { port, .. } => Some(port),
            Place::Path(_) | Place::Name(_) => None,
        }
    }

    /// The absolute path of the socket file of a unix address.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Path(path) => Some(Path::new(path.as_ref())),
            Place::Port { .. } | Place::Name(_) => None,
        }
    }

    /// The name of a memory address.
    pub fn name(&self) -> Option<&str> {
        match &self.place {
            Place::Name(name) => Some(name),
            Place::Port { .. } | Place::Path(_) => None,
        }
    }

    /// How content is encoded there. `None`: the caller's default; a listener recognises it by the first byte.
    pub fn codec(&self) -> Option<Encoding> {
        self.options.codec
    }

    /// Which frames are spoken there, if the address says so.
    pub fn dialect(&self) -> Option<Dialect> {
        self.options.dialect
    }

    /// The pattern of the services offered at a plain listener, if the address says so.
    pub fn services(&self) -> Option<&str> {
        self.options.services.as_deref()
    }

    /// How many ports to move on at most when listening finds the port taken, 0 to 999. `None` as 0: not at all.
    pub fn next(&self) -> Option<u16> {
        self.options.next
    }

    fn at_socket(scheme: Scheme, socket: SocketAddr) -> Self {
        let host = match socket.ip() {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        };
        Address::at(scheme, Place::Port { host, port: socket.port() })
    }

    fn at(scheme: Scheme, place: Place) -> Self {
        Address { scheme, node: None, place, options: Options::default() }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        parse::address(text, Scheme::Tcp)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(node) = self.node {
            write!(f, "{node}@")?;
        }
        write!(f, "{}{}", self.place, self.options)
    }
}

/// Which transport an address belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// Plain TCP.
    Tcp,
    /// TLS 1.3 over TCP.
    Tls,
    /// QUIC over UDP.
    Quic,
    /// A unix socket.
    Unix,
    /// Within this process.
    Memory,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Scheme; 5] = [Scheme::Tcp, Scheme::Tls, Scheme::Quic, Scheme::Unix, Scheme::Memory];

    /// Whether addresses of this scheme have a host and a port.
    pub fn has_port(self) -> bool {
        matches!(self, Scheme::Tcp | Scheme::Tls | Scheme::Quic)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scheme::Tcp => "tcp",
            Scheme::Tls => "tls",
            Scheme::Quic => "quic",
            Scheme::Unix => "unix",
            Scheme::Memory => "memory",
        })
    }
}

/// The machine part of an address with a port.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// A name to be resolved, in lower case.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl Host {
    /// The IP address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(ip) => Some(IpAddr::V4(*ip)),
            Host::V6(ip) => Some(IpAddr::V6(*ip)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(ip) => write!(f, "{ip}"),
            Host::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

/// What stands behind the scheme; which variant it is follows from the scheme.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Place {
    Port { host: Host, port: u16 },
    Path(Box<str>),
    Name(Box<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Port { host, port } => write!(f, "{host}:{port}"),
            Place::Path(path) => write_path(f, path),
            Place::Name(name) => f.write_str(name),
        }
    }
}

/// Writes a path so that it stays one word with a certain end: `%`, `?`, white space and control characters as `%xx`.
fn write_path(f: &mut fmt::Formatter<'_>, path: &str) -> fmt::Result {
    for character in path.chars() {
        if matches!(character, '%' | '?') || character.is_whitespace() || character.is_control() {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(f, "%{byte:02X}")?;
            }
        } else {
            write!(f, "{character}")?;
        }
    }
    Ok(())
}

#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Options {
    codec: Option<Encoding>,
    dialect: Option<Dialect>,
    services: Option<Box<str>>,
    next: Option<u16>,
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = [
            self.codec.map(|codec| format!("codec={codec}")),
            self.dialect.map(|dialect| format!("dialect={dialect}")),
            self.services.as_ref().map(|services| format!("services={services}")),
            self.next.map(|next| format!("next={next}")),
        ];
        for (before, option) in ["?", "&", "&", "&"].iter().zip(written.into_iter().flatten()) {
            write!(f, "{before}{option}")?;
        }
        Ok(())
    }
}
