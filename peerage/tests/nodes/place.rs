//! Networks, folders and nodes made for one test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::node::{Builder, Event, Events};
use peerage::{Address, CallError, Failure, Identity, Node};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// A network and a folder of their own.
pub(crate) struct Place {
    pub(crate) network: Network,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let network = Network::new("lab", Secret::generate()).unwrap();
        Place { network, folder: tempfile::tempdir().unwrap() }
    }

    /// A node of this network, to be configured further.
    pub(crate) fn node(&self, name: &str) -> Builder {
        Node::builder(Identity::generate()).network(self.network.clone()).name(name.parse().unwrap())
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in a directory that does not exist yet.
    pub(crate) fn control(&self, name: &str) -> PathBuf {
        self.folder.path().join("run").join(format!("{name}.sock"))
    }
}

/// Two nodes with one link, dialled by the first, over memory.
pub(crate) async fn pair(place: &Place) -> (Node, Node) {
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    assert_eq!(soon(a.connect(&b.addresses()[0])).await, Ok(b.id()));
    until(|| !b.peers().peers.is_empty()).await;
    (a, b)
}

/// A function to serve.
pub(crate) async fn add(a: i64, b: i64) -> Result<i64, Failure> {
    Ok(a + b)
}

/// One node calls another.
pub(crate) async fn call<R: DeserializeOwned>(
    from: &Node,
    to: &Node,
    tag: &str,
    args: &impl Serialize,
) -> Result<R, CallError> {
    soon(from.call(tag).peer(to.id()).args(args)).await
}

/// A place in memory that nobody else has.
pub(crate) fn memory() -> Address {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Address::memory(&format!("place-{}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap()
}

/// Waits until something is true that must become so soon.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Reads events until one is as wanted, and returns it.
pub(crate) async fn event(events: &mut Events, is_wanted: impl Fn(&Event) -> bool) -> Event {
    soon(async {
        loop {
            let event = events.next().await.expect("the node runs").event;
            if is_wanted(&event) {
                return event;
            }
        }
    })
    .await
}

/// The address that a text says.
pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// Waits for what must come soon.
pub(crate) async fn soon<T>(future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it comes within the limit")
}

/// Far more than anything here takes, even on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
