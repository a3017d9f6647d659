//! `peerage peers`: whom a node knows.

use std::collections::BTreeSet;
use std::time::Duration;

use peerage::node::snapshot::{Direction, PeerEntry, PeerState, Peers};
use peerage::node::{Event, Filter};

use crate::actor::Actor;
use crate::args;
use crate::control::{self, Control};
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
    let peers = tokio::select! {
        peers = known(actor, typed) => peers?,
        () = interrupts.next() => return Ok(Exit::Failed),
    };
    let control = actor.control();
    let machine = peers.own.machine.clone();
    let peers = peers.matching(&typed.filter());
    show(&peers, typed)?;
    if !typed.watch {
        return Ok(Exit::Ok);
    }
    let known = peers.peers.into_iter().map(|entry| entry.id).collect();
    tokio::select! {
        done = watch(control, typed, &machine, known) => done,
        () = interrupts.next() => Ok(Exit::Ok),
    }
}

/// Whom the node knows, once it has asked or met others as far as that was wanted.
async fn known(actor: &mut Actor, typed: &args::Peers) -> Result<Peers, Abort> {
    let is_guest = actor.is_guest();
    let control = actor.control();
    if is_guest {
        return presence::settled(control, presence::GUEST_PATIENCE).await;
    }
    if typed.watch {
        let peers = control.watch().await?;
        if !typed.refresh {
            return Ok(peers);
        }
    }
    match typed.refresh {
        true => control.refresh(typed.patience()).await,
        false => control.peers().await,
    }
}

/// Tells what happens to the nodes that were asked for, until the node that tells has gone.
async fn watch(
    control: &mut Control,
    typed: &args::Peers,
    machine: &str,
    mut known: BTreeSet<String>,
) -> Result<Exit, Abort> {
    // A node that was asked for in one state is told of in each.
    let filter = typed.filter().any_state();
    let everybody = filter == Filter::new().any_state();
    while let Some(record) = control.next_event().await {
        if let Some(id) = events::subject(&record.event)
            && !everybody
            && !known.contains(id)
        {
            // Whether a node belongs here stands in its entry, which an event does not hold.
            let peers = control.peers().await?;
            known.extend(peers.peers.into_iter().filter(|entry| filter.admits(entry, machine)).map(|entry| entry.id));
            if !known.contains(id) {
                continue;
            }
        }
        events::print(&record, typed.jsonl)?;
        if record.event == Event::Stopped {
            return Ok(Exit::Ok);
        }
    }
    Err(control::gone())
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

/// The word for a state.
pub(super) fn state(state: PeerState) -> &'static str {
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
