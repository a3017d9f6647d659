//! From a checked configuration to a running node: everything is bound before anything runs, so a failure leaves nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use peerage_proto::address::Address;
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::frame::Dialect;
use peerage_proto::hello::{Introduction, NetworkKey};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::keys::Ed25519;
use peerage_proto::limits;
use peerage_proto::membership::{About, Keys, ServiceList};
use peerage_proto::node::{self, KeepsMembers};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::admission::Reception;
use super::builder::{Builder, Limits};
use super::driver::{Driver, Parts};
use super::listening::Doors;
use super::mistake::{Mistake, StartError};
use super::oneself::Oneself;
use super::reach;
use super::search::Search;
use super::shared::{Facts, Servers, Shared};
use super::snapshot::Build;
use super::{Events, Node, builtin, local};
use crate::channel::{Listener, Server};
use crate::control;
use crate::dispatch::{Dispatch, Offer, Origin, Services};
use crate::metrics::Metrics;
use crate::name::Name;
use crate::transport::gate::{Gate, GateLimits, Pace};
use crate::transport::{self, Listening};

/// Everything that is bound.
struct Bound {
    control: Option<Listener>,
    plain: Vec<Listener>,
    doors: Vec<Listening>,
}

/// Starts a node; with its events from the first one on.
pub(super) async fn start(builder: Builder) -> Result<(Node, Events), StartError> {
    let network = builder.network.clone().ok_or(Mistake::NoNetwork)?;
    let gate = Gate::new(gate_limits(&builder.limits));
    let bound = bind(&builder, &gate).await?;
    let epoch = builder.identity.begin_epoch(0)?;

    let metrics = Arc::new(Metrics::default());
    metrics.local_health.set(1);
    let (commands, received) = mpsc::channel(COMMANDS_WAITING);
    let here = here(&builder, &bound.doors);
    let facts = facts(&builder, &network, &bound.plain);
    let key = NetworkKey::new(network.name(), network.secret().as_bytes())
        .expect("names and secrets of networks keep the same rules");
    let search = Search::new(&builder, &network, &key, &here);
    let about = about(&facts, &builder, here.own.clone());
    let shared = Shared::new(facts, &here.own, epoch, builder.profile, gate, metrics.clone(), commands);
    let machine = machine(&builder, epoch, here, key.clone(), about.clone())?;
    let shared = Arc::new(shared);
    let events = Events::new(&shared);

    let services = Arc::new(Services::new(builder.hook.clone(), builder.limits.served));
    shared.oneself.get_or_init(|| Oneself::new(Arc::downgrade(&services)));
    builtin::add_to(&services, &shared);
    let offers = local::add_to(&services, &shared, builder.log_filter.clone());
    let plain: Vec<Server> =
        bound.plain.into_iter().map(|listener| serve_plain(listener, &services, &metrics)).collect();
    let control = bound.control.map(|listener| control::serve(listener, services.clone(), metrics.clone()));
    let figures = Servers {
        doors: bound.doors.iter().map(|listening| listening.tally().clone()).collect(),
        plain: plain.iter().map(Server::figures).collect(),
        control: control.as_ref().map(Server::figures),
    };
    shared.servers.get_or_init(|| figures);

    let (arrivals, arrived) = mpsc::channel(ARRIVALS_WAITING);
    let reception = Arc::new(Reception {
        shared: shared.clone(),
        identity: builder.identity.clone(),
        signer: Arc::new(builder.identity.clone()),
        key,
        arrivals,
        next_link: AtomicU64::new(1),
        tasks: CancellationToken::new(),
    });
    let parts = Parts {
        shared: shared.clone(),
        machine,
        doors: Doors::open(bound.doors, &reception),
        reception,
        commands: received,
        arrivals: arrived,
        services: services.clone(),
        introduction: introduction(&builder),
        about,
        compression: builder.compression,
        plain,
        control,
        search,
        advertise: builder.advertise.clone(),
    };
    shared.span.in_scope(|| tracing::info!(%epoch, "node started"));
    tokio::spawn(Driver::new(parts).run().instrument(shared.span.clone()));
    let node = Node::new(shared, services);
    offers.begin(node.weak());
    Ok((node, events))
}

async fn bind(builder: &Builder, gate: &Gate) -> Result<Bound, StartError> {
    let control = match &builder.control {
        Some(path) => Some(control::listen(path).await?),
        None => None,
    };
    let (mut plain, mut doors) = (Vec::new(), Vec::new());
    for address in &builder.listen {
        if address.dialect() == Some(Dialect::Plain) {
            plain.push(Listener::bind(address).await?);
        } else {
            doors.push(transport::listen_node(address, &builder.identity, gate).await?);
        }
    }
    Ok(Bound { control, plain, doors })
}

/// Where this node is, as far as its machine knows.
fn here(builder: &Builder, doors: &[Listening]) -> node::Here {
    let listening: Vec<Address> = doors.iter().map(|listening| listening.local_address().clone()).collect();
    let interfaces = reach::interfaces();
    let own = reach::reachable(&builder.advertise, &listening, &interfaces);
    node::Here { own, listening, interfaces, plaintext: builder.plaintext }
}

fn facts(builder: &Builder, network: &crate::Network, plain: &[Listener]) -> Facts {
    let id = builder.identity.id();
    Facts {
        id,
        name: builder.name.clone().unwrap_or_else(|| name_of(id)),
        network: network.name().clone(),
        ephemeral: builder.ephemeral,
        says_who_runs_it: builder.says_who_runs_it,
        hook: builder.hook.clone(),
        plain: plain.iter().map(|listener| listener.local_address().clone()).collect(),
        control: builder.control.clone(),
        machine: super::machine::machine_id(),
        started: Instant::now(),
        started_wall: SystemTime::now(),
    }
}

/// The machine of this node.
fn machine(
    builder: &Builder,
    epoch: Epoch,
    here: node::Here,
    network: NetworkKey,
    about: About,
) -> Result<node::Node, Mistake> {
    let mut config = node::Config::new(builder.identity.id(), epoch, random_bits());
    config.links_max = builder.limits.links;
    config.full_mesh = builder.limits.full_mesh;
    config.here = here;
    let keys = Keys { signer: Arc::new(builder.identity.clone()), verifier: Arc::new(Ed25519), network };
    let keeps = KeepsMembers { keys, profile: builder.profile, about };
    node::Node::with_members(Instant::now().into_std(), config, keeps).map_err(Mistake::Record)
}

/// What this node says of itself to all others.
fn about(facts: &Facts, builder: &Builder, addresses: Vec<Address>) -> About {
    About {
        name: facts.name.to_string(),
        machine: facts.machine,
        groups: builder.groups.clone(),
        hub: builder.hub,
        ephemeral: facts.ephemeral,
        addresses,
        services: ServiceList::default(),
        sealing_key: None,
    }
}

/// What every admitted peer is told beside the record, which is put in when it is said.
fn introduction(builder: &Builder) -> Introduction {
    Introduction {
        record: Payload::null(Encoding::MsgPack),
        process: std::process::id(),
        encodings: Encoding::ALL.into(),
        compression: builder.compression.then(|| LZ4.to_owned()).into_iter().collect(),
        build: format!("peerage {}", Build::this().version),
        ping_interval: builder.profile.interval(),
        sees_us_at: None,
    }
}

fn serve_plain(listener: Listener, services: &Arc<Services>, metrics: &Arc<Metrics>) -> Server {
    let (services, metrics) = (services.clone(), metrics.clone());
    let origin = Origin::Plain(Arc::new(Offer::at(listener.local_address())));
    listener.serve_each(None, move |_| Some(Box::new(Dispatch::new(services.clone(), origin.clone(), metrics.clone()))))
}

fn gate_limits(limits: &Limits) -> GateLimits {
    let pace = |per_second, burst: u32| Some(Pace { per_second, burst: burst.max(per_second) });
    GateLimits {
        half_open: limits.half_open,
        half_open_source: limits.half_open_from_one,
        accepts: pace(limits.accepts_per_second, limits::ACCEPTS_BURST_DEFAULT),
        accepts_source: pace(limits.accepts_per_second_from_one, limits::ACCEPTS_BURST_SOURCE_DEFAULT),
        ..GateLimits::for_node()
    }
}

/// The name of a node that was given none: the first characters of its id.
fn name_of(id: NodeId) -> Name {
    id.to_string()[..NAME_CHARACTERS].parse().expect("letters and digits are a name")
}

pub(super) fn random_bits() -> u64 {
    let mut bits = [0; 8];
    // The library ends the process by itself when the system has no random numbers to give.
    aws_lc_rs::rand::fill(&mut bits).expect("random numbers are drawn or the process has ended");
    u64::from_be_bytes(bits)
}

/// What the only compression is called.
pub(super) const LZ4: &str = "lz4";

/// Characters of an id that make the name of a node without one.
const NAME_CHARACTERS: usize = 8;

/// Wishes that may wait for the driver; who has one more waits.
const COMMANDS_WAITING: usize = 64;

/// Connections that may wait for the driver; admissions that come to something wait in turn.
const ARRIVALS_WAITING: usize = 256;
