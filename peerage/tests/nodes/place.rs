//! Networks, folders and nodes made for one test.

use std::path::PathBuf;
use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::node::Builder;
use peerage::{Address, Identity, Node};
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

/// The address that a text says.
pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// Waits for what must come soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it comes within the limit")
}

/// Far more than anything here takes, even on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
