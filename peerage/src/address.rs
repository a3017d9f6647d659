//! Addresses, and what the system says about them.
//!
//! The text form and its rules are those of [`peerage_proto::address`]. Here is what needs the system: the IP addresses
//! behind a name, and the name of this machine.
//!
//! Names are resolved outside the async threads, since the system's resolver blocks. [`resolve`] remembers an answer
//! for 30 s, so that asking often is cheap; a failure is not remembered, so that a name is usable as soon as it exists.
//! Connecting does not rely on what is remembered: each attempt asks anew, because an address that moved is a
//! common reason for the attempt before to have failed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use peerage_proto::address::{Address, Host, InvalidAddress, Scheme};
pub use peerage_proto::codec::Encoding;
pub use peerage_proto::frame::Dialect;
pub use peerage_proto::id::{InvalidNodeId, NodeId};

/// All socket addresses behind an address of scheme `tcp`, `tls` or `quic`, in the resolver's order.
///
/// An answer is remembered for 30 s. The list is never empty.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] for unix and memory addresses, which have none; otherwise the resolver's error with
/// the name in its text.
pub async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = host_and_port(address)?;
    if let Host::Name(name) = host {
        let known = remembered().find(name, Instant::now());
        if let Some(ips) = known {
            return Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
    }
    look_up(address).await
}

/// As [`resolve`], but asks anew, and remembers the answer.
pub(crate) async fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = host_and_port(address)?;
    let name = match host {
        Host::Name(name) => name,
        Host::V4(ip) => return Ok(vec![SocketAddr::new((*ip).into(), port)]),
        Host::V6(ip) => return Ok(vec![SocketAddr::new((*ip).into(), port)]),
    };
    let failed = |why: io::Error| io::Error::new(why.kind(), format!("cannot resolve `{name}`: {why}"));
    let mut ips = Vec::new();
    for found in tokio::net::lookup_host((name.as_str(), port)).await.map_err(failed)? {
        if !ips.contains(&found.ip()) && ips.len() < ADDRESSES_PER_NAME_MAX {
            ips.push(found.ip());
        }
    }
    if ips.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    remembered().remember(name, &ips, Instant::now());
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// The name under which others on the network may know this machine: the first of its full name, its host name and
/// `localhost` that resolves, otherwise `127.0.0.1`.
///
/// Finding the full name is a reverse lookup, which may take seconds where name servers do not answer.
pub async fn local_host_name() -> String {
    let names = tokio::task::spawn_blocking(own_names).await.unwrap_or_default();
    for name in names.into_iter().chain(["localhost".to_owned()]) {
        let Ok(address) = name.parse::<Address>() else {
            continue;
        };
        if look_up(&address).await.is_ok() {
            return name;
        }
    }
    "127.0.0.1".to_owned()
}

/// The IP addresses among the hosts of `addresses` of scheme `tcp`, `tls` and `quic`; names are left out, not resolved.
pub fn ip_addresses<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> BTreeSet<IpAddr> {
    addresses.into_iter().filter_map(|address| address.host()?.ip()).collect()
}

fn host_and_port(address: &Address) -> io::Result<(&Host, u16)> {
    address.host().zip(address.port()).ok_or_else(|| {
        let why = format!("a {} address has no IP address", address.scheme());
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })
}

/// The full name, if one can be found, and the host name. Blocks.
fn own_names() -> Vec<String> {
    let Ok(host_name) = dns_lookup::get_hostname() else {
        return Vec::new();
    };
    let full_name = dns_lookup::lookup_host(&host_name)
        .into_iter()
        .flatten()
        .filter_map(|ip| dns_lookup::lookup_addr(&ip).ok())
        // Without a name the answer is the address itself.
        .find(|name| name.contains('.') && name.parse::<IpAddr>().is_err());
    full_name.into_iter().chain([host_name]).collect()
}

fn remembered() -> impl std::ops::DerefMut<Target = Resolved> {
    static RESOLVED: Mutex<Resolved> = Mutex::new(Resolved { by_name: BTreeMap::new() });
    RESOLVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names resolved lately.
struct Resolved {
    by_name: BTreeMap<String, Answer>,
}

struct Answer {
    ips: Vec<IpAddr>,
    until: Instant,
}

impl Resolved {
    fn remember(&mut self, name: &str, ips: &[IpAddr], now: Instant) {
        if self.by_name.len() >= RESOLVED_NAMES_MAX {
            self.by_name.retain(|_, answer| now < answer.until);
        }
        if self.by_name.len() >= RESOLVED_NAMES_MAX {
            self.by_name.pop_first(); // any one will do: a name that is asked for comes back
        }
        let answer = Answer { ips: ips.to_vec(), until: now + RESOLVED_FOR };
        self.by_name.insert(name.to_owned(), answer);
    }

    fn find(&self, name: &str, now: Instant) -> Option<Vec<IpAddr>> {
        let answer = self.by_name.get(name)?;
        (now < answer.until).then(|| answer.ips.clone())
    }
}

/// How long an answer is good for. Short enough that a moved machine is found again while somebody waits for it.
const RESOLVED_FOR: Duration = Duration::from_secs(30);

/// Most names remembered at once: more than any configuration lists, and some 100 KiB.
const RESOLVED_NAMES_MAX: usize = 256;

/// Most addresses taken for one name. Round-robin entries seldom have more, and each costs an attempt when dialling.
const ADDRESSES_PER_NAME_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_ip_address_resolves_to_itself_with_the_port() {
        assert_eq!(resolve(&read("10.0.0.1:7")).await.unwrap(), ["10.0.0.1:7".parse().unwrap()]);
        assert_eq!(resolve(&read("tls://[::1]")).await.unwrap(), ["[::1]:5000".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_resolves_to_all_its_addresses_once_each() {
        let found = resolve(&read("localhost:7")).await.unwrap();
        assert!(found.iter().all(|socket| socket.ip().is_loopback() && socket.port() == 7), "{found:?}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
        let again = resolve(&read("localhost:8")).await.unwrap();
        assert!(again.iter().all(|socket| socket.port() == 8), "the port is not remembered");
    }

    #[tokio::test]
    async fn unix_and_memory_addresses_do_not_resolve() {
        for text in ["unix:///x", "memory://x"] {
            let why = resolve(&read(text)).await.unwrap_err();
            assert_eq!(why.kind(), io::ErrorKind::InvalidInput, "{why}");
        }
    }

    #[tokio::test]
    async fn an_unknown_name_is_named_and_not_remembered() {
        let why = resolve(&read("no-such-host.invalid")).await.unwrap_err();
        assert!(why.to_string().starts_with("cannot resolve `no-such-host.invalid`: "), "{why}");
        assert_eq!(remembered().find("no-such-host.invalid", Instant::now()), None);
    }

    #[test]
    fn an_answer_expires() {
        let mut resolved = Resolved { by_name: BTreeMap::new() };
        let (now, ip) = (Instant::now(), IpAddr::from([10, 0, 0, 1]));
        resolved.remember("a", &[ip], now);
        assert_eq!(resolved.find("a", now + RESOLVED_FOR - Duration::from_nanos(1)), Some(vec![ip]));
        assert_eq!(resolved.find("a", now + RESOLVED_FOR), None);
    }

    #[test]
    fn the_number_of_remembered_names_is_bounded() {
        let mut resolved = Resolved { by_name: BTreeMap::new() };
        let now = Instant::now();
        for n in 0..2 * RESOLVED_NAMES_MAX {
            resolved.remember(&n.to_string(), &[], now);
            assert!(resolved.find(&n.to_string(), now).is_some());
        }
        assert_eq!(resolved.by_name.len(), RESOLVED_NAMES_MAX);
        resolved.remember("late", &[], now + RESOLVED_FOR);
        assert_eq!(resolved.by_name.len(), 1, "expired names go first");
    }

    #[tokio::test]
    async fn the_name_of_this_machine_resolves() {
        let name = local_host_name().await;
        assert!(resolve(&read(&name)).await.is_ok(), "{name}");
    }

    #[test]
    fn ip_addresses_are_those_of_both_families_in_addresses_with_a_port() {
        let addresses =
            ["tcp://10.0.0.1", "tls://[::1]:1", "quic://10.0.0.1:9", "tcp://name", "unix:///x", "memory://x"].map(read);
        let expected = BTreeSet::from([IpAddr::from([10, 0, 0, 1]), "::1".parse().unwrap()]);
        assert_eq!(ip_addresses(&addresses), expected);
    }
}
