//! A guest: a node that is in the network for one command only.
//!
//! It is marked ephemeral, so nobody relies on it, and listens nowhere. It reaches the nodes of this user through their
//! link sockets and all others through the seeds of the network. The command asks it as it would ask any other node, over
//! a control socket; that one lies in a directory of its own, where nobody takes the guest for a node that stays.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use peerage::name::Name;
use peerage::node::Group;
use peerage::{Identity, Network, Node};
use tempfile::TempDir;

use crate::control::Control;
use crate::exit::{Abort, Exit};
use crate::home::{self, Home};

/// A node of our own for the time being.
pub(crate) struct Guest {
    node: Node,
    control: Control,
    /// Removed with the socket in it.
    _folder: TempDir,
}

impl Guest {
    /// Joins the network of this name, as a member of these groups; without a name, the network that `up` would take.
    pub(crate) async fn join(home: &Home, network: Option<&Name>, groups: &[Group]) -> Result<Guest, Abort> {
        let network = joinable(home, network)?;
        let run = home.run_folder().join(network.name().as_str());
        peerage::private_file::private_folder(&run).map_err(|why| Abort::Failed(why.to_string()))?;
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(".guest-").permissions(private).tempdir_in(&run);
        let folder =
            folder.map_err(|why| Abort::Failed(format!("cannot make a directory in {}: {why}", run.display())))?;
        let socket = folder.path().join("sock");
        // Another command may hold the key at this moment. Whoever holds the secret is a member under any key.
        let identity = Identity::open_or_create(&home.key(NAME)).unwrap_or_else(|why| {
            tracing::info!(%why, "joining with a key made for this command");
            Identity::generate()
        });
        let name = NAME.parse().expect("letters are a name");
        let mut builder =
            Node::builder(identity).network(network).name(name).ephemeral(true).control(&socket).localhost(&run);
        for group in groups {
            builder = builder.group(group.clone());
        }
        let node = builder.start().await.map_err(|why| Abort::Failed(why.to_string()))?;
        let control = Control::connect(&socket).await;
        let control = control.ok_or_else(|| Abort::Failed("the node of this command cannot be reached".to_owned()))?;
        Ok(Guest { node, control, _folder: folder })
    }

    pub(crate) fn network(&self) -> &Name {
        self.node.network()
    }

    /// The node itself.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Leaves in good order.
    pub(crate) async fn leave(self) {
        self.node.drain(peerage::limits::DRAIN_TIME_DEFAULT).await;
    }
}

/// The network of this name; without one, the only one there is.
fn joinable(home: &Home, name: Option<&Name>) -> Result<Network, Abort> {
    let names = home.networks()?;
    let name = match (name, &names[..]) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, []) => {
            let text = "no node of yours runs, and there is no network to join: start a node with `peerage up`";
            return Err(Abort::Ended(Exit::DidNotRun, text.to_owned()));
        }
        (None, several) => {
            let list = several.iter().map(|name| format!("  {name}")).collect::<Vec<_>>().join("\n");
            return Err(Abort::Usage(format!(
                "no node of yours runs; say which network to join with --network:\n{list}"
            )));
        }
    };
    Network::open(&home.network(name)).map_err(|why| Abort::Failed(why.to_string()))
}

/// Name of the key of guests, and what they are called.
const NAME: &str = home::CLI;
