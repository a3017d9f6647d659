//! Where this node can be reached.

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

#[cfg(test)]
mod tests {
    use super::*;

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
