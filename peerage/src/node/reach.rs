//! Where this node can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use peerage_proto::address::{Address, Host, Scheme};
use peerage_proto::node::Here;

/// The addresses of this machine's interfaces that others can use, in order.
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
        if Here::may_tell(ip) && !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips
}

/// Where other nodes can reach this one: what it was told to advertise, else where it listens.
pub(super) fn reachable(advertise: &[Address], listening: &[Address], interfaces: &[IpAddr]) -> Vec<Address> {
    if !advertise.is_empty() {
        return advertise.iter().map(Address::bare).collect();
    }
    let mut told: Vec<Address> = listening.iter().flat_map(|listening| told(listening, interfaces)).collect();
    // The quickest ways first: this is the order in which others try them.
    told.sort_by_key(|address| match address.scheme() {
        Scheme::Memory => 0,
        Scheme::Unix => 1,
        Scheme::Tls => 2,
        Scheme::Quic => 3,
        Scheme::Tcp => 4,
    });
    told
}

/// Where this node can be reached besides, by what peers on other machines see it come from: behind a translator of addresses
/// none of the interfaces is of use to others. Believed where more of them say the same than anything else together. That the
/// port is the same outside is a guess; it costs those who try it one dial.
pub(super) fn observed<'a>(
    said: impl Iterator<Item = &'a IpAddr>,
    advertise: &[Address],
    listening: &[Address],
    interfaces: &[IpAddr],
) -> Vec<Address> {
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for ip in said {
        *counts.entry(ip.to_canonical()).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let agreed = counts.into_iter().find(|(_, count)| count * 2 > all).map(|(ip, _)| ip);
    let known = |ip: &IpAddr| interfaces.iter().any(|own| own.to_canonical() == *ip);
    let is_new = |ip: &IpAddr| advertise.is_empty() && Here::may_tell(*ip) && !ip.is_unspecified() && !known(ip);
    let Some(ip) = agreed.filter(is_new) else { return Vec::new() };
    let is_of_all = |address: &&Address| address.host().and_then(Host::ip).is_some_and(|ip| ip.is_unspecified());
    listening.iter().filter(is_of_all).flat_map(|listening| told(listening, &[ip])).collect()
}

/// Where this node is once its interfaces have these addresses; `None` if that is where it was.
pub(super) fn moved(before: &Here, advertise: &[Address], interfaces: Vec<IpAddr>) -> Option<Here> {
    let set = |ips: &[IpAddr]| ips.iter().copied().collect::<BTreeSet<_>>();
    if set(&before.interfaces) == set(&interfaces) {
        return None;
    }
    let own = reachable(advertise, &before.listening, &interfaces);
    Some(Here { own, listening: before.listening.clone(), interfaces, plaintext: before.plaintext })
}

/// What others are told of an address listened at: itself, or one for each interface where it is that of all of them.
///
/// Where there is no interface but loopback, others on this machine are still told how to come.
fn told(listening: &Address, interfaces: &[IpAddr]) -> Vec<Address> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_more_or_less_is_another_place_and_their_order_is_none() {
        let listening: Vec<Address> = vec!["tls://[::]:5000".parse().unwrap(), "unix:///run/a.link".parse().unwrap()];
        let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let interfaces = ips(&["10.0.0.1", "10.1.0.1"]);
        let before = Here { own: reachable(&[], &listening, &interfaces), listening, interfaces, plaintext: false };
        assert_eq!(moved(&before, &[], ips(&["10.1.0.1", "10.0.0.1"])), None);
        let after = moved(&before, &[], ips(&["10.0.0.1", "10.2.0.1"])).unwrap();
        let own: Vec<String> = after.own.iter().map(Address::to_string).collect();
        assert_eq!(own, ["unix:///run/a.link", "tls://10.0.0.1:5000", "tls://10.2.0.1:5000"]);
        let advertise = ["tls://node.lab".parse().unwrap()];
        assert_eq!(moved(&before, &advertise, ips(&["10.0.0.1"])).unwrap().own, advertise);
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

    #[test]
    fn what_most_peers_see_is_told_besides_where_all_interfaces_are_listened_at() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let listening: Vec<Address> = ["tls://[::]:5000", "quic://0.0.0.0:5001", "tls://10.1.2.3:7", "unix:///run/a"]
            .map(|text| text.parse().unwrap())
            .into();
        let observed = |said: &[&str], advertise: &[Address]| {
            let said: Vec<IpAddr> = said.iter().map(|said| ip(said)).collect();
            let told = super::observed(said.iter(), advertise, &listening, &[ip("10.1.2.3")]);
            told.iter().map(Address::to_string).collect::<Vec<_>>()
        };
        let outside = ["tls://198.18.0.7:5000", "quic://198.18.0.7:5001"];
        assert_eq!(observed(&["198.18.0.7"], &[]), outside);
        assert_eq!(observed(&["198.18.0.7", "::ffff:198.18.0.7", "9.9.9.9"], &[]), outside);
        assert_eq!(observed(&["198.18.0.7", "9.9.9.9"], &[]), [""; 0], "they do not agree");
        assert_eq!(observed(&["10.1.2.3"], &[]), [""; 0], "it is known");
        assert_eq!(observed(&["127.0.0.1"], &[]), [""; 0], "of no use to others");
        assert_eq!(
            observed(&["198.18.0.7"], &["tls://a.lab:1".parse().unwrap()]),
            [""; 0],
            "the operator knows better"
        );
        assert_eq!(observed(&[], &[]), [""; 0]);
    }
}
