//! From a checked configuration to a running node: everything is bound before anything runs, so a failure leaves nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use peerage_proto::address::Address;
use peerage_proto::frame::Dialect;
use peerage_proto::id::{Epoch, NodeId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::builder::Builder;
use super::driver::Driver;
use super::mistake::{Mistake, StartError};
use super::shared::{Facts, Servers, Shared};
use super::{Node, builtin, local};
use crate::channel::{Listener, Server};
use crate::control;
use crate::metrics::Metrics;
use crate::name::Name;
use crate::service::{Dispatch, Origin, Services};

pub(super) async fn start(builder: Builder) -> Result<Node, StartError> {
    let network = builder.network.clone().ok_or(Mistake::NoNetwork)?;
    let id = builder.identity.id();
    let control = match &builder.control {
        Some(path) => Some(control::listen(path).await?),
        None => None,
    };
    let mut plain = Vec::new();
    for address in builder.listen.iter().filter(|address| address.dialect() == Some(Dialect::Plain)) {
        plain.push(Listener::bind(address).await?);
    }

    let metrics = Arc::new(Metrics::default());
    metrics.local_health.set(1);
    let (commands, received) = mpsc::channel(COMMANDS_WAITING);
    let facts = Facts {
        id,
        name: builder.name.clone().unwrap_or_else(|| name_of(id)),
        network: network.name().clone(),
        epoch: new_epoch(id, builder.start_counter),
        groups: builder.groups.clone(),
        hub: builder.hub,
        ephemeral: builder.ephemeral,
        addresses: addresses(&builder, &plain),
        control: builder.control.clone(),
        started: Instant::now(),
        started_wall: SystemTime::now(),
    };
    let shared = Arc::new(Shared::new(facts, metrics.clone(), commands));
    let mut services = Services::default();
    builtin::add_to(&mut services, &shared);
    local::add_to(&mut services, &shared, builder.log_filter.clone());
    let services = Arc::new(services);

    let plain: Vec<Server> = plain.into_iter().map(|listener| serve_plain(listener, &services, &metrics)).collect();
    let control = control.map(|listener| control::serve(listener, services.clone(), metrics.clone()));
    let figures =
        Servers { plain: plain.iter().map(Server::figures).collect(), control: control.as_ref().map(Server::figures) };
    shared.servers.get_or_init(|| figures);
    tokio::spawn(Driver::new(shared.clone(), received, plain, control).run());
    tracing::info!(id = %shared.facts.id, name = %shared.facts.name, "node started");
    Ok(Node::new(shared))
}

fn serve_plain(listener: Listener, services: &Arc<Services>, metrics: &Arc<Metrics>) -> Server {
    let (services, metrics) = (services.clone(), metrics.clone());
    listener.serve_each(None, move |_| Some(Box::new(Dispatch::new(services.clone(), Origin::Plain, metrics.clone()))))
}

fn addresses(builder: &Builder, plain: &[Listener]) -> Vec<Address> {
    let mut addresses = builder.advertise.clone();
    addresses.extend(plain.iter().map(|listener| listener.local_address().clone()));
    addresses
}

/// The name of a node that was given none: the first characters of its id.
fn name_of(id: NodeId) -> Name {
    id.to_string()[..NAME_CHARACTERS].parse().expect("letters and digits are a name")
}

/// A run that is newer than all earlier ones of this node, as far as this process and the clock know.
fn new_epoch(id: NodeId, at_least: u64) -> Epoch {
    static LAST: Mutex<BTreeMap<NodeId, u64>> = Mutex::new(BTreeMap::new());
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let after_last = last.get(&id).map_or(0, |last| last.saturating_add(1));
    let start = seconds.max(at_least).max(after_last);
    // A run that began in an earlier second is older by the clock already.
    last.retain(|_, last| *last >= seconds);
    last.insert(id, start);
    let mut random = [0; 16];
    // The library ends the process by itself when the system has no random numbers to give.
    aws_lc_rs::rand::fill(&mut random).expect("random numbers are drawn or the process has ended");
    Epoch::new(start, random)
}

/// Characters of an id that make the name of a node without one.
const NAME_CHARACTERS: usize = 8;

/// Wishes that may wait for the driver; who has one more waits.
const COMMANDS_WAITING: usize = 64;
