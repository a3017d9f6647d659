//! Which services a plain listener offers, beside those that every node offers everywhere.

use peerage_proto::address::Address;
use peerage_proto::id::Pattern;

/// Services by their names.
#[derive(Clone, Debug)]
pub(crate) struct Offer(Option<Pattern>);

impl Offer {
    /// What a plain listener at this address offers: what the address says, else everything where only this machine can
    /// come, and nothing elsewhere.
    pub(crate) fn at(address: &Address) -> Offer {
        match address.services() {
            Some(pattern) => Offer(pattern.parse().ok()),
            None => Offer(is_local(address).then(Pattern::all)),
        }
    }

    pub(super) fn includes(&self, tag: &str) -> bool {
        self.0.as_ref().is_some_and(|pattern| pattern.matches(tag))
    }
}

fn is_local(address: &Address) -> bool {
    match address.host() {
        Some(host) => host.ip().is_some_and(|ip| ip.is_loopback()) || host.to_string() == LOCALHOST,
        // A path, or a name within this process.
        None => true,
    }
}

const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_finds_services_that_the_address_does_not_name() {
        let offers = |address: &str| Offer::at(&address.parse().expect("an address")).includes("img.resize");
        for address in ["tcp://127.0.0.1:0", "tcp://[::1]:7", "tcp://localhost", "unix:///s", "memory://m"] {
            assert!(offers(address), "{address}");
        }
        assert!(!offers("tcp://0.0.0.0:0") && !offers("tcp://192.0.2.7") && !offers("tcp://lab"));
        assert!(offers("tcp://0.0.0.0:0?services=img.*") && !offers("tcp://127.0.0.1:0?services=sum"));
    }
}
