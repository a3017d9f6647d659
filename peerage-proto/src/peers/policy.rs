//! Which addresses that others name may be dialled.
//!
//! A peer may name any address it likes, and a node that dialled all of them could be made to knock at doors that only it
//! can reach: a service on its loopback, a router, a cloud's metadata. So an address from a peer is dialled only if the
//! peer could have it. What the operator writes down, seeds and arguments, is not judged here.

use std::net::{IpAddr, Ipv4Addr};

use crate::address::{Address, Host, Scheme};

/// What is known of this node when an address from a peer is judged.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Here {
    /// Where this node says that it can be reached.
    pub own: Vec<Address>,
    /// Where it listens, with the ports it got. An address of all interfaces stands as that.
    pub listening: Vec<Address>,
    /// Addresses of this machine's interfaces that others can use: neither loopback nor link-local.
    pub interfaces: Vec<IpAddr>,
    /// Whether links over `tcp://` have been asked for.
    pub plaintext: bool,
}

impl Here {
    /// Whether an address that a peer names as its own may be dialled. `same_machine`: the peer runs where we do.
    ///
    /// Local sockets and loopback are for peers of this machine, and for a node that meets others there: one that listens
    /// there itself, or nowhere at all.
    pub fn may_dial(&self, address: &Address, same_machine: bool) -> bool {
        if address.dialect().is_some() || address.next().is_some() || self.is_own(address) {
            return false;
        }
        match address.scheme() {
            Scheme::Memory => same_machine,
            Scheme::Unix => same_machine && self.meets_at(|listening| listening.scheme() == Scheme::Unix),
            Scheme::Tcp if !self.plaintext => false,
            Scheme::Tcp | Scheme::Tls | Scheme::Quic => {
                let ip = address.host().and_then(Host::ip);
                address.port() != Some(0) && ip.is_some_and(|ip| self.may_reach(ip.to_canonical(), same_machine))
            }
        }
    }

    /// Whether others can use an address of one of our interfaces: neither loopback nor link-local.
    pub fn may_tell(ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        !ip.is_loopback() && !is_link_local(ip)
    }

    /// Whether this node itself is there: at what it tells, or at a port of its own on any interface it listens at.
    fn is_own(&self, address: &Address) -> bool {
        if self.own.contains(&address.bare()) || self.listening.iter().any(|own| own.bare() == address.bare()) {
            return true;
        }
        let Some(ip) = address.host().and_then(Host::ip).map(|ip| ip.to_canonical()) else { return false };
        let is_of_this_machine = ip.is_loopback() || self.interfaces.iter().any(|own| own.to_canonical() == ip);
        is_of_this_machine
            && self.listening.iter().any(|own| {
                let covers = |listening: IpAddr| listening.is_unspecified() || listening.to_canonical() == ip;
                own.port() == address.port()
                    && own.scheme() == address.scheme()
                    && own.host().and_then(Host::ip).is_some_and(covers)
            })
    }

    /// Whether this node listens at an address of that kind, or nowhere.
    fn meets_at(&self, is_there: impl Fn(&Address) -> bool) -> bool {
        self.listening.is_empty() || self.listening.iter().any(is_there)
    }

    fn may_reach(&self, ip: IpAddr, same_machine: bool) -> bool {
        if ip.is_loopback() {
            let on_loopback = |ip: IpAddr| ip.is_unspecified() || ip.to_canonical().is_loopback();
            let is_there = |listening: &Address| listening.host().and_then(Host::ip).is_some_and(on_loopback);
            return same_machine && self.meets_at(is_there);
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

/// 169.254.0.0/16 and fe80::/10: addresses that only mean something on one interface.
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

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn here(interfaces: &[&str]) -> Here {
        Here {
            own: addresses(&["tls://10.1.2.3:5000", "unix:///run/own.link"]),
            listening: addresses(&["tls://[::]:5000", "unix:///run/own.link"]),
            interfaces: interfaces.iter().map(|ip| ip.parse().unwrap()).collect(),
            plaintext: false,
        }
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
            "tls://[::ffff:224.0.0.1]:80",
            "tls://192.0.2.1:1",
            "tls://198.51.100.1:1",
            "tls://203.0.113.1:1",
            "tls://[2001:db8::1]:1",
            "tls://[3fff::1]:1",
            "tls://host.lab:5000",
            "tcp://10.1.2.4:5000",
            "unix:///run/a.sock?dialect=plain",
        ] {
            assert!(!may_dial(&here, address, false) && !may_dial(&here, address, true), "{address}");
        }
    }

    #[test]
    fn a_node_does_not_dial_itself() {
        let here = here(&["10.1.2.3", "198.18.0.7"]);
        for own in [
            "tls://10.1.2.3:5000",
            "tls://198.18.0.7:5000",
            "tls://[::ffff:198.18.0.7]:5000",
            "tls://127.0.0.1:5000",
            "tls://[::1]:5000",
            "unix:///run/own.link",
        ] {
            assert!(!may_dial(&here, own, true), "{own}");
        }
        for another in ["tls://198.18.0.7:5001", "quic://198.18.0.7:5000", "unix:///run/another.link"] {
            assert!(may_dial(&here, another, true), "{another}");
        }
        let at_one = Here { listening: addresses(&["tls://10.1.2.3:5000"]), ..here };
        assert!(may_dial(&at_one, "tls://198.18.0.7:5000", true), "another node may listen there");
    }

    #[test]
    fn loopback_and_local_sockets_are_for_peers_on_this_machine() {
        let here = here(&["10.1.2.3"]);
        for address in [
            "tls://127.0.0.1:5001",
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
    fn a_node_that_is_met_elsewhere_is_not_led_to_its_loopback_or_to_sockets() {
        let elsewhere = Here { listening: addresses(&["tls://10.1.2.3:5000"]), ..here(&["10.1.2.3"]) };
        let on_loopback = Here { listening: addresses(&["tls://127.0.0.1:5000"]), ..here(&["10.1.2.3"]) };
        let by_socket = Here { listening: addresses(&["unix:///run/own.link"]), ..here(&["10.1.2.3"]) };
        let nowhere = Here { listening: Vec::new(), ..here(&["10.1.2.3"]) };
        let (loopback, socket) = ("tls://127.0.0.1:6000", "unix:///run/a.sock");
        let table = [
            (&elsewhere, false, false),
            (&on_loopback, true, false),
            (&by_socket, false, true),
            (&nowhere, true, true),
        ];
        for (here, to_loopback, to_socket) in table {
            assert_eq!(may_dial(here, loopback, true), to_loopback, "{here:?}");
            assert_eq!(may_dial(here, socket, true), to_socket, "{here:?}");
            assert!(!may_dial(here, loopback, false) && !may_dial(here, socket, false), "{here:?}");
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
    fn plaintext_is_dialled_only_where_it_was_asked_for() {
        let asked = Here { plaintext: true, ..here(&["10.1.2.3"]) };
        assert!(may_dial(&asked, "tcp://10.1.2.4:5000", false));
        assert!(!may_dial(&asked, "tcp://10.1.2.4:0", false));
        assert!(!may_dial(&asked, "tcp://10.1.2.4:5000?next=3", false));
    }
}
