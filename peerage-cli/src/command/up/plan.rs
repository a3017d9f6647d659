//! What is meant by `up`: from settings to a node that can be started.
//!
//! Nothing needs to be said. The first node of a user makes the network `local` and a key; any number of them may do that
//! at once and agree on one network, because a file is made whole by one of them or not at all.

use std::path::Path;

use peerage::address::{Address, Dialect};
use peerage::name::Name;
use peerage::network::Secret;
use peerage::node::Builder;
use peerage::private_file::{PrivateFileError, private_folder};
use peerage::{Identity, Network, Node};

use super::Plan;
use crate::args::Up;
use crate::exit::Abort;
use crate::home::{self, Home};
use crate::local;
use crate::logs::Logs;
use crate::ready::ReadyFd;

impl Plan {
    /// Reads and makes what the node needs: its network, its key, the directory of its sockets.
    pub(super) fn of(typed: &Up, home: &Home, logs: &Logs) -> Result<Plan, Abort> {
        let ready_fd = typed.ready_fd.map(ReadyFd::take_over).transpose()?;
        let network = network(typed, home)?;
        if typed.require_seed && network.seeds().is_empty() && typed.seed.is_empty() {
            let text = "--require-seed without a seed: say --seed ADDR, or join with a ticket that holds one";
            return Err(Abort::Usage(text.to_owned()));
        }
        let (name, identity) = identity(home, typed.name.as_ref())?;
        let run = home.run_folder().join(network.name().as_str());
        private_folder(&run).map_err(failed)?;
        let mut builder = Node::builder(identity.clone()).name(name.clone()).hub(typed.hub).log_filter(logs.clone());
        builder = builder.control(run.join(format!("{name}.sock")));
        builder = listen(builder, typed, network.name(), &run.join(format!("{name}.link")))?.network(network);
        if !typed.no_local {
            let own = run.join(format!("{name}.link"));
            builder = local::neighbours(&run, Some(&own)).into_iter().fold(builder, Builder::seed);
        }
        builder = typed.advertise.iter().fold(builder, |builder, place| builder.advertise(place.0.clone()));
        builder = typed.seed.iter().fold(builder, |builder, place| builder.seed(place.0.clone()));
        builder = typed.group.iter().fold(builder, |builder, group| builder.group(group.clone()));
        if typed.dangerously_plaintext {
            builder = builder.dangerously_plaintext();
        }
        Ok(Plan {
            _identity: identity,
            builder,
            require_seed: typed.require_seed,
            jsonl: typed.jsonl,
            ready_fd,
            detached: typed.detached.then(|| run.join(format!("{name}.log"))),
        })
    }
}

/// Where the node listens: for nodes of this user, and where it was told to or what is usual in such a network.
fn listen(mut builder: Builder, typed: &Up, network: &Name, link: &Path) -> Result<Builder, Abort> {
    if !typed.no_local {
        let why = |why| format!("{}: {why}; choose a shorter PEERAGE_HOME", link.display());
        builder = builder.listen(Address::unix(link).map_err(|error| Abort::Failed(why(error)))?);
    }
    // A listener for programs says nothing about where nodes are to be met.
    let for_nodes = typed.listen.iter().any(|place| place.0.dialect() != Some(Dialect::Plain));
    if !for_nodes && network.as_str() != LOCAL {
        for usual in USUAL {
            builder = builder.listen(usual.parse().expect("a test has parsed it"));
        }
    }
    Ok(typed.listen.iter().fold(builder, |builder, place| builder.listen(place.0.clone())))
}

/// The network that was named; without a name `local`, or the only other one there is.
fn network(typed: &Up, home: &Home) -> Result<Network, Abort> {
    if let Some(file) = &typed.network_file {
        return Network::open(file).map_err(failed);
    }
    let known = home.networks()?;
    let name = match (&typed.network, &known[..]) {
        (Some(name), _) => name.as_str(),
        (None, []) => LOCAL,
        (None, [only]) => only.as_str(),
        (None, several) => {
            let list = home::listed(several);
            return Err(Abort::Usage(format!("there are several networks; say which one with --network: {list}")));
        }
    };
    let file = home.network(name);
    if name == LOCAL {
        let fresh = || Network::new(LOCAL, Secret::generate()).expect("letters are a name");
        return Network::open_or_create(&file, fresh).map_err(failed);
    }
    Network::open(&file).map_err(|why| match why {
        PrivateFileError::NotFound { .. } => Abort::Failed(format!(
            "there is no network called {name}; `peerage network new {name}` makes one, `peerage network join` takes part \
             in one"
        )),
        why => failed(why),
    })
}

/// Name and key of the node, the key locked for this process.
fn identity(home: &Home, name: Option<&Name>) -> Result<(Name, Identity), Abort> {
    if let Some(name) = name {
        return match Identity::open_or_create(&home.key(name)) {
            Ok(identity) => Ok((name.clone(), identity)),
            Err(why @ PrivateFileError::InUse { .. }) => Err(Abort::Usage(why.to_string())),
            Err(why) => Err(failed(why)),
        };
    }
    let host = host_name();
    for n in 1..=NAMES_TRIED {
        let name = if n == 1 { host.clone() } else { format!("{host}-{n}") };
        let name: Name = name.parse().map_err(|why| Abort::Usage(format!("--name: {why}")))?;
        match Identity::open_or_create(&home.key(&name)) {
            Ok(identity) => return Ok((name, identity)),
            Err(PrivateFileError::InUse { .. }) => {}
            Err(why) => return Err(failed(why)),
        }
    }
    Err(Abort::Usage(format!("{host} and {host}-2 to -{NAMES_TRIED} run already: say --name")))
}

/// The short name of this host, as far as it can be a name.
fn host_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = host.split('.').next().unwrap_or_default();
    let allowed = short.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let short: String = allowed.skip_while(|c| *c == '-').take(HOST_CHARACTERS).collect();
    if short.is_empty() { "node".to_owned() } else { short }
}

fn failed(why: PrivateFileError) -> Abort {
    Abort::Failed(why.to_string())
}

/// The network of a user who has said nothing.
const LOCAL: &str = "local";

/// Where nodes listen in any other network.
const USUAL: [&str; 2] = ["tls://[::]:5000?next=999", "quic://[::]:5000?next=999"];

/// Nodes without a name that may run at once.
const NAMES_TRIED: u32 = 1_000;

/// Longest part of the host's name that is used, which leaves room for a number.
const HOST_CHARACTERS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_addresses_are_addresses() {
        for usual in USUAL {
            let address: Address = usual.parse().unwrap();
            assert_eq!(address.next(), Some(999));
        }
    }

    #[test]
    fn the_host_has_a_name_that_a_node_can_have() {
        let name = host_name();
        assert!(format!("{name}-{NAMES_TRIED}").parse::<Name>().is_ok(), "{name}");
    }
}
