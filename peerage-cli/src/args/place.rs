//! Addresses as the commands take them.
//!
//! An [`Address`] can say more than a connection without a node can do: prove a key, offer services, speak to the same
//! process. What would be ignored is refused here, because somebody who writes it relies on it.

use std::str::FromStr;

use peerage::Address;
use peerage::address::{Dialect, Scheme};

/// Where `channel call` connects to.
#[derive(Clone, Debug)]
pub(crate) struct CallPlace(pub(crate) Address);

/// Where `channel serve` listens.
#[derive(Clone, Debug)]
pub(crate) struct ServePlace(pub(crate) Address);

/// Where a node may find members of its network.
#[derive(Clone, Debug)]
pub(crate) struct SeedPlace(pub(crate) Address);

/// Where a node listens.
#[derive(Clone, Debug)]
pub(crate) struct ListenPlace(pub(crate) Address);

impl FromStr for ListenPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenPlace, String> {
        let address = for_node(text)?;
        let is_plain = address.dialect() == Some(Dialect::Plain);
        let why = match address.scheme() {
            _ if address.node().is_some() => "the node id before `@` is for connecting: leave it out",
            Scheme::Tls | Scheme::Quic if is_plain => {
                "a plain listener of a node is tcp:// or unix://: leave out dialect=plain, or change the scheme"
            }
            _ if !is_plain && address.codec().is_some() => "the option codec is for plain listeners: add dialect=plain",
            _ if !is_plain && address.services().is_some() => {
                "the option services is for plain listeners: add dialect=plain"
            }
            _ => return Ok(ListenPlace(address)),
        };
        Err(why.to_owned())
    }
}

/// What a node tells others to connect to.
#[derive(Clone, Debug)]
pub(crate) struct AdvertisePlace(pub(crate) Address);

impl FromStr for AdvertisePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<AdvertisePlace, String> {
        let SeedPlace(address) = text.parse()?;
        match address.scheme() {
            Scheme::Unix => Err("unix:// stays on this machine, where nodes find each other anyway".to_owned()),
            _ => Ok(AdvertisePlace(address)),
        }
    }
}

impl FromStr for SeedPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<SeedPlace, String> {
        let address = for_node(text)?;
        reachable(&address)?;
        Ok(SeedPlace(address))
    }
}

impl FromStr for CallPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<CallPlace, String> {
        let address = plain(text)?;
        if address.port() == Some(0) {
            return Err("port 0 is for listening: write the port that the server printed in its ready line".to_owned());
        }
        if address.next().is_some() {
            return Err("the option next is for listening: leave it out".to_owned());
        }
        Ok(CallPlace(address))
    }
}

impl FromStr for ServePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<ServePlace, String> {
        plain(text).map(ServePlace)
    }
}

/// An address of a node: without a scheme it is `tls://`.
fn for_node(text: &str) -> Result<Address, String> {
    written_as_an_address(text)?;
    let address = Address::for_node(text).map_err(|why| why.to_string())?;
    match address.scheme() {
        Scheme::Memory => Err("memory:// stays within one process: use tls://, quic:// or unix://".to_owned()),
        _ => Ok(address),
    }
}

/// What an address must be that others are to connect to, as nodes.
fn reachable(address: &Address) -> Result<(), String> {
    let unspecified = address.host().and_then(|host| host.ip()).is_some_and(|ip| ip.is_unspecified());
    let why = match () {
        () if unspecified => "no host has this address: name one that others can use",
        () if address.port() == Some(0) => "port 0 is for listening: write the port of the node's ready line",
        () if address.next().is_some() => "the option next is for listening: leave it out",
        () if address.dialect() == Some(Dialect::Plain) => "a node cannot be reached in the plain dialect",
        () if address.codec().is_some() => "the option codec is for plain listeners: leave it out",
        () if address.services().is_some() => "the option services is for plain listeners: leave it out",
        () => return Ok(()),
    };
    Err(why.to_owned())
}

/// Refuses what is meant as a unix socket and is not written as one.
fn written_as_an_address(text: &str) -> Result<(), String> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.starts_with("//")) {
        return Err(format!("a unix socket is written with its absolute path: unix://{}", absolute(path)));
    }
    if text.starts_with(['/', '.', '~']) {
        return Err(format!("a unix socket is written unix://{}", absolute(text)));
    }
    Ok(())
}

fn plain(text: &str) -> Result<Address, String> {
    written_as_an_address(text)?;
    let address: Address = text.parse().map_err(|why: peerage::address::InvalidAddress| why.to_string())?;
    match address.scheme() {
        Scheme::Tcp | Scheme::Unix => {}
        Scheme::Memory => return Err("memory:// stays within one process: use unix:///path or tcp://host".to_owned()),
        scheme @ (Scheme::Tls | Scheme::Quic) => {
            return Err(format!("{scheme}:// is not available in this release: use unix:///path or tcp://host"));
        }
    }
    if address.node().is_some() {
        return Err("a plain channel cannot prove who is at the other end: leave out the node id before `@`".to_owned());
    }
    if address.dialect() == Some(Dialect::Full) {
        return Err("the channel commands speak the plain dialect: leave out dialect=full".to_owned());
    }
    if address.services().is_some() {
        return Err("a channel without a node has no services: leave out the option services".to_owned());
    }
    Ok(address)
}

/// The path as far as it can be guessed.
fn absolute(path: &str) -> String {
    match path.strip_prefix("./").unwrap_or(path) {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("$PWD/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plain_channel_cannot_do_is_refused_and_not_ignored() {
        let table = [
            ("memory://x", "memory:// stays within one process"),
            ("tls://host", "tls:// is not available in this release"),
            ("quic://host", "quic:// is not available in this release"),
            ("host?dialect=full", "the channel commands speak the plain dialect"),
            ("host?services=x", "a channel without a node has no services"),
            ("host:x", "`x` is no port"),
            ("/run/a.sock", "a unix socket is written unix:///run/a.sock"),
            ("./a.sock", "a unix socket is written unix://$PWD/a.sock"),
            ("unix:a.sock", "a unix socket is written with its absolute path: unix://$PWD/a.sock"),
            ("unix:/run/a.sock", "a unix socket is written with its absolute path: unix:///run/a.sock"),
        ];
        for (text, why) in table {
            let error = text.parse::<ServePlace>().unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
        let node = format!("tcp://{}@host", "1".repeat(32));
        assert!(node.parse::<CallPlace>().is_err(), "{node}");
    }

    #[test]
    fn what_is_for_listening_is_refused_when_calling() {
        assert!("host:0".parse::<ServePlace>().is_ok());
        assert!("host:0".parse::<CallPlace>().unwrap_err().starts_with("port 0 is for listening"));
        assert!("host?next=5".parse::<CallPlace>().unwrap_err().starts_with("the option next is for listening"));
    }

    #[test]
    fn an_address_without_a_scheme_is_tcp() {
        let CallPlace(address) = "host".parse().expect("a host is an address");
        assert_eq!(address.to_string(), "tcp://host:5000");
    }
}
