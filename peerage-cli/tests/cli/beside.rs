//! A node in this process, with services of its own, beside those that are processes.

use peerage::{Address, Identity, Network, Node};
use tokio::runtime::{Builder, Runtime};

use crate::home::Home;
use crate::node::Up;

/// A node called b that is linked with a, a process. Dropping it ends it without a word.
pub(crate) struct Beside {
    pub(crate) node: Node,
    _runtime: Runtime,
}

/// A node a on the loopback interface, and b beside it with what it serves.
pub(crate) fn beside(home: &Home, serve: impl FnOnce(&Node)) -> (Up, Beside) {
    home.done(&["network", "new", "lab"]);
    let mut a = home.up_at_loopback("a", "lab", &[]);
    let network = Network::open(&home.path("networks/lab.network")).expect("a network file");
    let seed: Address = a.address("tls://").parse().expect("an address");
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("there is a runtime");
    let node = runtime.block_on(async {
        let builder = Node::builder(Identity::generate()).network(network).name("b".parse().expect("a name"));
        let node = builder.start().await.expect("a node");
        serve(&node);
        node.connect(&seed).await.expect("a link");
        node
    });
    a.event_of("joined", "b");
    (a, Beside { node, _runtime: runtime })
}
