//! `peerage peers`: whom a node knows.

use std::collections::BTreeSet;
use std::time::Duration;

use peerage::node::Event;
use peerage::node::snapshot::{Direction, PeerEntry, PeerState, Peers};

use crate::actor::Actor;
use crate::args;
use crate::control::Control;
use crate::events;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::table::Table;
use crate::time::Time;

pub(super) fn run(typed: &args::Peers) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        time.asking();
        let done = tell(&mut actor, typed).await;
        actor.leave().await;
        done
    }))
}

async fn tell(actor: &mut Actor, typed: &args::Peers) -> Result<Exit, Abort> {
    // Signals end a watch in order, a guest's goodbye included.
    let mut interrupts = Interrupts::listen()?;
    let is_guest = actor.is_guest();
    let control = actor.control();
    let peers = async {
        match (is_guest, typed.watch) {
            (true, _) => presence::settled(control, GUEST_PATIENCE).await,
            (false, true) => control.watch().await,
            (false, false) => control.peers().await,
        }
    };
    let mut peers = tokio::select! {
        peers = peers => peers?,
        () = interrupts.next() => return Ok(Exit::Failed),
    };
    let machine = if typed.on_host { control.info().await?.machine } else { String::new() };
    let filter = Filter { typed, machine };
    peers.peers.retain(|entry| filter.takes(entry));
    show(&peers, typed)?;
    if !typed.watch {
        return Ok(Exit::Ok);
    }
    let known = peers.peers.into_iter().map(|entry| entry.id).collect();
    tokio::select! {
        done = watch(control, &filter, known) => done,
        () = interrupts.next() => Ok(Exit::Ok),
    }
}

/// Tells what happens to the nodes that were asked for, until the node that tells has gone.
async fn watch(control: &mut Control, filter: &Filter<'_>, mut known: BTreeSet<String>) -> Result<Exit, Abort> {
    while let Some(record) = control.next_event().await {
        if let Some(id) = events::subject(&record.event) {
            // Whether a node belongs here stands in its entry, which an event does not hold.
            if !filter.is_open() && !known.contains(id) {
                let peers = control.peers().await?;
                known.extend(peers.peers.into_iter().filter(|entry| filter.belongs(entry)).map(|entry| entry.id));
            }
            if !filter.is_open() && !known.contains(id) {
                continue;
            }
        }
        events::print(&record, filter.typed.jsonl)?;
        if record.event == Event::Stopped {
            return Ok(Exit::Ok);
        }
    }
    Err(Abort::Ended(Exit::ConnectionLost, "the node has gone without a word".to_owned()))
}

/// What was asked for.
struct Filter<'t> {
    typed: &'t args::Peers,
    /// The machine of the node that tells.
    machine: String,
}

impl Filter<'_> {
    fn takes(&self, entry: &PeerEntry) -> bool {
        let state = match self.typed.state {
            Some(state) => state.includes(entry.state),
            None => matches!(entry.state, PeerState::Up | PeerState::Suspect),
        };
        state && self.belongs(entry)
    }

    /// Whether it would be taken in another state.
    fn belongs(&self, entry: &PeerEntry) -> bool {
        let args::Peers { group, hubs, peer, on_host, .. } = self.typed;
        let in_group = group.is_empty() || group.iter().any(|group| entry.groups.contains(group));
        let is_named = peer.is_empty() || peer.iter().any(|who| presence::is_called(entry, who));
        in_group && is_named && (!hubs || entry.hub) && (!on_host || entry.machine == self.machine)
    }

    /// Whether everybody belongs.
    fn is_open(&self) -> bool {
        let args::Peers { group, hubs, peer, on_host, .. } = self.typed;
        group.is_empty() && peer.is_empty() && !hubs && !on_host
    }
}

fn show(peers: &Peers, typed: &args::Peers) -> Result<(), Abort> {
    match (typed.json, typed.jsonl) {
        (_, true) => return output::record(peers),
        (true, _) => return output::object(peers),
        _ => {}
    }
    match typed.wide {
        true => wide(peers).print()?,
        false => narrow(&peers.peers).print()?,
    }
    if !peers.complete {
        let missing: Vec<String> = peers.missing.iter().map(|missing| output::shown(missing)).collect();
        let missing = if missing.is_empty() { "this node has no link".to_owned() } else { missing.join("; ") };
        output::comment(&format!("this may not be all: {missing}"));
    }
    Ok(())
}

/// What matters most of each.
pub(super) fn narrow(entries: &[PeerEntry]) -> Table<5> {
    let mut table = Table::new(["name", "state", "path", "rtt", "id"]);
    for entry in entries {
        table.row([&entry.name, state(entry.state), entry.path.as_deref().unwrap_or(""), &rtt(entry), &entry.id]);
    }
    table
}

fn wide(peers: &Peers) -> Table<13> {
    let mut table = Table::new([
        "name",
        "state",
        "path",
        "rtt",
        "id",
        "dialled",
        "since",
        "groups",
        "hub",
        "ephemeral",
        "build",
        "epoch",
        "addresses",
    ]);
    for entry in &peers.peers {
        let direction = match entry.direction {
            Some(Direction::In) => "in",
            Some(Direction::Out) => "out",
            None => "",
        };
        let yes = |is: bool| if is { "yes" } else { "no" };
        table.row([
            &entry.name,
            state(entry.state),
            entry.path.as_deref().unwrap_or(""),
            &rtt(entry),
            &entry.id,
            direction,
            &args::written_duration(Duration::from_millis(entry.since_ms)),
            &entry.groups.join(","),
            yes(entry.hub),
            yes(entry.ephemeral),
            &entry.build,
            &entry.epoch,
            &entry.addresses.join(" "),
        ]);
    }
    table
}

fn state(state: PeerState) -> &'static str {
    match state {
        PeerState::Up => "up",
        PeerState::Suspect => "suspect",
        PeerState::Left => "left",
        PeerState::Lost => "lost",
    }
}

fn rtt(entry: &PeerEntry) -> String {
    entry.rtt_us.map_or_else(String::new, |rtt| format!("{rtt} µs"))
}

/// How long a guest waits to meet everybody. One attempt to dial takes no longer.
const GUEST_PATIENCE: Duration = Duration::from_secs(3);
