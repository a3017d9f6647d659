//! Where this node can be reached, and which addresses that others name may be dialled.
//!
//! A peer may name any address it likes, and a node that dialled all of them could be made to knock at doors that only it
//! can reach: a service on its loopback, a router, a cloud's metadata. So an address from a peer is dialled only if the
//! peer could have it. What the operator writes down, seeds and arguments, is not judged here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use peerage_proto::address::{Address, Host, Scheme};

/// The addresses of this machine's interfaces that others can use: not loopback, not link-local.
pub(super) fn interfaces() -> Vec<IpAddr> {
    let Ok(found) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut ips: Vec<IpAddr> = Vec::new();
    for interface in found {
        let Some(address) = interface.address else { continue };
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            _ => continue,
        };
        if !ip.is_loopback() && !is_link_local(ip) && !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips
}

/// What others are told of an address listened at: itself, or one for each interface where it is that of all of them.
///
/// Where there is no interface but loopback, others on this machine are still told how to come.
pub(super) fn told(listening: &Address, interfaces: &[IpAddr]) -> Vec<Address> {
    let (ip, port) = match (listening.host().and_then(Host::ip), listening.port()) {
        (Some(ip), Some(port)) if ip.is_unspecified() => (ip, port),
        _ => return vec![listening.bare()],
    };
    // A socket of `[::]` takes both families.
    let fits = |found: &&IpAddr| ip.is_ipv6() || found.is_ipv4();
    let mut ips: Vec<IpAddr> = interfaces.iter().filter(fits).copied().collect();
    if ips.is_empty() {
        ips.push(if ip.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
    }
    let at = |ip: IpAddr| match listening.scheme() {
        Scheme::Quic => Address::quic((ip, port).into()),
        Scheme::Tcp => Address::tcp((ip, port).into()),
        _ => Address::tls((ip, port).into()),
    };
    ips.into_iter().map(at).collect()
}

/// What is known of this node when an address of a peer is judged.
#[derive(Clone, Debug)]
pub(super) struct Here {
    /// Addresses of this node itself.
    pub(super) own: Vec<Address>,
    pub(super) interfaces: Vec<IpAddr>,
    pub(super) plaintext: bool,
}

impl Here {
    /// Whether an address that a peer names as its own may be dialled. `same_machine`: the peer runs where we do.
    pub(super) fn may_dial(&self, address: &Address, same_machine: bool) -> bool {
        if self.own.contains(&address.bare()) || address.dialect().is_some() || address.next().is_some() {
            return false;
        }
        match address.scheme() {
            Scheme::Unix | Scheme::Memory => same_machine,
            Scheme::Tcp if !self.plaintext => false,
            Scheme::Tcp | Scheme::Tls | Scheme::Quic => {
                let ip = address.host().and_then(Host::ip);
                address.port() != Some(0) && ip.is_some_and(|ip| self.may_reach(ip, same_machine))
            }
        }
    }

    fn may_reach(&self, ip: IpAddr, same_machine: bool) -> bool {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return same_machine;
        }
        let is_private_here = || self.interfaces.iter().any(|own| is_private(own.to_canonical()));
        !ip.is_unspecified()
            && !ip.is_multicast()
            && !is_link_local(ip)
            && !is_for_documents(ip)
            && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
            && (!is_private(ip) || same_machine || is_private_here())
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// 100.64.0.0/10, which providers use inside (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0b1100_0000 == 0b0100_0000
}

/// Ranges that only stand in books (RFC 5737, RFC 3849, RFC 9637).
fn is_for_documents(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_documentation(),
        IpAddr::V6(ip) => {
            matches!(ip.segments(), [0x2001, 0xdb8, ..])
                || matches!(ip.segments(), [0x3fff, second, ..] if second < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(interfaces: &[&str]) -> Here {
        let own = vec!["tls://10.1.2.3:5000".parse().unwrap()];
        Here { own, interfaces: interfaces.iter().map(|ip| ip.parse().unwrap()).collect(), plaintext: false }
    }

    fn may_dial(here: &Here, address: &str, same_machine: bool) -> bool {
        here.may_dial(&address.parse().unwrap(), same_machine)
    }

    #[test]
    fn addresses_that_no_peer_can_have_are_never_dialled() {
        let here = here(&["10.1.2.3", "198.18.0.7"]);
        for address in [
            "tls://0.0.0.0:1",
            "tls://[::]:1",
            "tls://224.0.0.1:1",
            "tls://[ff02::1]:1",
            "tls://255.255.255.255:1",
            "tls://169.254.169.254:80",
            "tls://[fe80::1]:1",
            "tls://[::ffff:169.254.169.254]:80",
            "tls://192.0.2.1:1",
            "tls://198.51.100.1:1",
            "tls://203.0.113.1:1",
            "tls://[2001:db8::1]:1",
            "tls://[3fff::1]:1",
            "tls://host.lab:5000",
            "tcp://10.1.2.4:5000",
            "tls://10.1.2.3:5000",
            "unix:///run/a.sock?dialect=plain",
        ] {
            assert!(!may_dial(&here, address, false) && !may_dial(&here, address, true), "{address}");
        }
    }

    #[test]
    fn loopback_and_local_sockets_are_for_peers_on_this_machine() {
        let here = here(&["10.1.2.3"]);
        for address in [
            "tls://127.0.0.1:5000",
            "quic://[::1]:5000",
            "tls://[::ffff:127.0.0.1]:1",
            "unix:///run/a.sock",
            "memory://a",
        ] {
            assert!(may_dial(&here, address, true), "{address}");
            assert!(!may_dial(&here, address, false), "{address}");
        }
    }

    #[test]
    fn private_ranges_are_dialled_by_nodes_that_live_in_one() {
        let (inside, outside) = (here(&["192.168.1.5"]), here(&["8.8.4.4"]));
        for address in ["tls://10.9.9.9:1", "quic://172.16.0.1:1", "tls://[fd00::1]:1", "tls://100.64.0.1:1"] {
            assert!(may_dial(&inside, address, false), "{address}");
            assert!(!may_dial(&outside, address, false), "{address}");
        }
        assert!(may_dial(&outside, "tls://9.9.9.9:5000", false));
        assert!(may_dial(&outside, "quic://[2606:4700::1]:5000", false));
    }

    #[test]
    fn an_address_of_all_interfaces_is_told_as_one_for_each() {
        let interfaces: Vec<IpAddr> = ["10.0.0.1", "fd00::5"].map(|ip| ip.parse().unwrap()).into();
        let told = |address: &str| {
            told(&address.parse().unwrap(), &interfaces).iter().map(Address::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told("tls://[::]:5001?next=9"), ["tls://10.0.0.1:5001", "tls://[fd00::5]:5001"]);
        assert_eq!(told("quic://0.0.0.0:5001"), ["quic://10.0.0.1:5001"]);
        assert_eq!(told("tls://127.0.0.1:7"), ["tls://127.0.0.1:7"]);
        assert_eq!(told("unix:///run/a.sock"), ["unix:///run/a.sock"]);
        let alone = super::told(&"tls://0.0.0.0:5".parse().unwrap(), &[]);
        assert_eq!(alone[0].to_string(), "tls://127.0.0.1:5");
    }
}
