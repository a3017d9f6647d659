//! Seeds whose host is a name that stands for several nodes.
//!
//! A seed is dialled for as long as the node runs, and each attempt resolves its name anew; one of its addresses is enough for
//! that. But whoever gives several addresses to one name means several nodes. So the name is resolved here as well, and each of
//! its addresses is told, as if it had been written down. A name with a single address gives nothing that the seed itself does
//! not; a seed with a node id means one node, however many addresses it has.
//!
//! Names are resolved again every minute, sooner after a failure, and at once when the node has lost everybody or its network
//! has changed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peerage_proto::address::{Address, Host, Scheme};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{NobodyListens, Teller};
use crate::address::look_up;

/// Resolves the names of seeds, for as long as somebody listens.
pub(crate) struct Seeds {
    names: Vec<Address>,
    /// Rings when it is time to look again at once.
    hurry: Arc<Notify>,
}

impl Seeds {
    /// The seeds whose names are to be resolved; `None` if there are none.
    pub(crate) fn new(seeds: &[Address], hurry: Arc<Notify>) -> Option<Seeds> {
        let is_name = |seed: &&Address| matches!(seed.host(), Some(Host::Name(_))) && seed.node().is_none();
        let names: Vec<Address> = seeds.iter().filter(is_name).cloned().collect();
        (!names.is_empty()).then_some(Seeds { names, hurry })
    }

    /// Resolves and tells, until nobody listens.
    pub(crate) async fn run(self, teller: Teller) {
        let Err(NobodyListens) = self.look_on(&teller).await;
    }

    async fn look_on(&self, teller: &Teller) -> Result<std::convert::Infallible, NobodyListens> {
        loop {
            let mut found = BTreeSet::new();
            let mut failed = Vec::new();
            // One after the other: each has its time, and all but the last is remembered by the system's resolver.
            for name in &self.names {
                match timeout(RESOLVE_WITHIN, look_up(name)).await {
                    Ok(Ok(sockets)) => found.extend(siblings(name, &sockets)),
                    Ok(Err(why)) => failed.push(why.to_string()),
                    Err(_) => failed.push(format!("{name}: the name was not resolved within {RESOLVE_WITHIN:?}")),
                }
            }
            let pause = if failed.is_empty() { RESOLVE_AGAIN } else { RESOLVE_AFTER_FAILURE };
            teller.tell(found, (!failed.is_empty()).then(|| failed.join("; "))).await?;
            // Either is fine: the time, or the wish.
            let _ = timeout(pause, self.hurry.notified()).await;
        }
    }
}

/// Each address of a name with several of them.
fn siblings(name: &Address, sockets: &[SocketAddr]) -> Vec<Address> {
    if sockets.len() < 2 {
        return Vec::new();
    }
    let at = |socket: &SocketAddr| match name.scheme() {
        Scheme::Quic => Address::quic(*socket),
        Scheme::Tcp => Address::tcp(*socket),
        _ => Address::tls(*socket),
    };
    sockets.iter().map(at).collect()
}

/// How long one name may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Time from one answer to the next question.
const RESOLVE_AGAIN: Duration = Duration::from_secs(60);

/// The same after a failure: the longest wait between two dials of a seed.
const RESOLVE_AFTER_FAILURE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::Method;
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_with_several_addresses_is_as_many_seeds_with_its_scheme_and_port() {
        let sockets: Vec<SocketAddr> = ["10.0.0.1:7", "[fd00::1]:7"].map(|text| text.parse().unwrap()).into();
        let shown = |name: &str| siblings(&address(name), &sockets).iter().map(Address::to_string).collect::<Vec<_>>();
        assert_eq!(shown("quic://nodes.lab:7"), ["quic://10.0.0.1:7", "quic://[fd00::1]:7"]);
        assert_eq!(shown("tls://nodes.lab:7"), ["tls://10.0.0.1:7", "tls://[fd00::1]:7"]);
        assert_eq!(shown("tcp://nodes.lab:7"), ["tcp://10.0.0.1:7", "tcp://[fd00::1]:7"]);
        assert!(siblings(&address("tls://nodes.lab:7"), &sockets[..1]).is_empty(), "the seed itself is enough");
    }

    #[test]
    fn only_names_without_a_node_id_are_resolved() {
        let id = crate::Identity::generate().id();
        let pinned = address("tls://node.lab").with_node(id);
        let none = ["tls://10.0.0.1", "unix:///run/a.link", "memory://a"].map(address);
        assert!(Seeds::new(&none, Arc::default()).is_none());
        assert!(Seeds::new(&[pinned], Arc::default()).is_none());
        assert!(Seeds::new(&[address("tls://node.lab")], Arc::default()).is_some());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_told_with_the_reason_and_asked_again_when_there_is_a_hurry() {
        let (findings, mut told) = mpsc::channel(1);
        let hurry = Arc::new(Notify::new());
        let seeds = Seeds::new(&[address("tls://no-such-name.invalid")], hurry.clone()).unwrap();
        tokio::spawn(seeds.run(Teller::new(Method::Seeds, findings)));
        for _ in 0..2 {
            let finding = tokio::time::timeout(Duration::from_secs(15), told.recv()).await.unwrap().unwrap();
            assert!(finding.found.is_empty());
            assert!(finding.failed.is_some_and(|why| why.contains("no-such-name.invalid")));
            hurry.notify_one();
        }
    }
}
