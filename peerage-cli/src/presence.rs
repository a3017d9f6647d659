//! Is somebody there? Present, absent or not yet known: three answers, because a node that has just started knows little.

use std::path::Path;
use std::time::Duration;

use peerage::address::NodeId;
use peerage::node::snapshot::{PeerEntry, PeerState, Peers};
use tokio::time::{Instant, timeout_at};

use crate::actor::Actor;
use crate::control::Control;
use crate::exit::{Abort, Exit};
use crate::output;
use crate::running;

/// What is known of whoever was asked for.
#[derive(Debug)]
pub(crate) enum Presence {
    /// Live nodes that are called so: one, or several that share a name.
    Present(Vec<PeerEntry>),
    /// All is known, and nobody is called so; with what else is known about that.
    Absent(String),
    /// What is missing before that can be said.
    NotYetKnown(Vec<String>),
}

impl Presence {
    /// The one node that is meant.
    ///
    /// # Errors
    ///
    /// A usage error with the ids if several are called so, [`Exit::Absent`] if nobody is, [`Exit::NotYetKnown`] if too little
    /// is known.
    pub(crate) fn only(self, who: &str) -> Result<PeerEntry, Abort> {
        let shown = output::shown(who);
        match self {
            Presence::Present(mut nodes) if nodes.len() == 1 => Ok(nodes.remove(0)),
            Presence::Present(nodes) => Err(several(&nodes, who)),
            Presence::Absent(why) => Err(Abort::Ended(Exit::Absent, why)),
            Presence::NotYetKnown(missing) if missing.is_empty() => {
                Err(Abort::Ended(Exit::NotYetKnown, format!("{shown} is not yet known: no other node was met")))
            }
            Presence::NotYetKnown(missing) => {
                let missing: Vec<String> = missing.iter().map(|missing| output::shown(missing)).collect();
                Err(Abort::Ended(Exit::NotYetKnown, format!("{shown} is not yet known: {}", missing.join("; "))))
            }
        }
    }
}

/// Several nodes are called so.
pub(crate) fn several(nodes: &[PeerEntry], who: &str) -> Abort {
    let ids: Vec<String> = nodes.iter().map(|entry| format!("  {}", output::shown(&entry.id))).collect();
    Abort::Usage(format!("several nodes are called {}; say the id of one:\n{}", output::shown(who), ids.join("\n")))
}

/// Finds the one live node that is meant by an id or a name, waiting for it for so long.
///
/// # Errors
///
/// As [`Presence::only`].
pub(crate) async fn find(actor: &mut Actor, run: &Path, who: &str, patience: Duration) -> Result<PeerEntry, Abort> {
    seek(actor, run, who, patience).await?.only(who)
}

/// Looks for the live nodes that are meant by an id or a name, for so long as it is not yet known.
///
/// A node of this user that runs on this machine is never absent: whoever acts is about to be linked with it.
pub(crate) async fn seek(actor: &mut Actor, run: &Path, who: &str, patience: Duration) -> Result<Presence, Abort> {
    let until = Instant::now() + patience;
    let network = actor.network();
    let mut peers = actor.control().watch().await?;
    loop {
        let missing = match known(&peers, who) {
            Presence::NotYetKnown(missing) => missing,
            absent @ Presence::Absent(_) => {
                if is_own(&peers, who) || !running::is_there(run, &network, who).await? {
                    return Ok(absent);
                }
                vec!["it runs on this machine, but there is no link with it".to_owned()]
            }
            present => return Ok(present),
        };
        if Instant::now() >= until {
            return Ok(Presence::NotYetKnown(missing));
        }
        peers = change(actor.control(), until).await?;
    }
}

/// Waits until all there is to know is known, or for so long.
pub(crate) async fn settled(control: &mut Control, patience: Duration) -> Result<Peers, Abort> {
    let until = Instant::now() + patience;
    let mut peers = control.watch().await?;
    while !peers.complete && Instant::now() < until {
        peers = change(control, until).await?;
    }
    Ok(peers)
}

/// Whom the node knows after the next event. What is missing may change without one, so it is asked now and then anyway.
async fn change(control: &mut Control, until: Instant) -> Result<Peers, Abort> {
    let look_again = until.min(Instant::now() + LOOK_AGAIN);
    match timeout_at(look_again, control.next_event()).await {
        Ok(None) => Err(Abort::Ended(Exit::ConnectionLost, "the node has gone".to_owned())),
        Ok(Some(_)) | Err(_) => control.peers().await,
    }
}

/// Whether an entry is the one that is called so.
pub(crate) fn is_called(entry: &PeerEntry, who: &str) -> bool {
    entry.id == who || entry.name == who
}

/// What a view says about whoever is called so.
fn known(peers: &Peers, who: &str) -> Presence {
    let (live, gone): (Vec<&PeerEntry>, Vec<&PeerEntry>) =
        peers.peers.iter().filter(|entry| is_called(entry, who)).partition(|entry| is_live(entry));
    let shown = output::shown(who);
    if !live.is_empty() {
        return Presence::Present(live.into_iter().cloned().collect());
    }
    if is_own(peers, who) {
        return Presence::Absent(format!("{shown} is the node that was to ask, not another one"));
    }
    if !peers.complete {
        return Presence::NotYetKnown(peers.missing.clone());
    }
    let what = if who.parse::<NodeId>().is_ok() { "id" } else { "name" };
    Presence::Absent(match gone[..] {
        [] => format!("no node has the {what} {shown}; `peerage peers` lists those there are"),
        [first, ..] => {
            let how = if first.state == PeerState::Left { "has left" } else { "is lost" };
            format!("{shown} {how}; `peerage peers --state all --wide` shows since when")
        }
    })
}

/// Whether a node takes part.
pub(crate) fn is_live(entry: &PeerEntry) -> bool {
    matches!(entry.state, PeerState::Up | PeerState::Suspect)
}

/// Whether the node that is to ask is itself the one that is called so.
fn is_own(peers: &Peers, who: &str) -> bool {
    peers.own.id == who || peers.own.name == who
}

/// How long the state of a view is taken for granted while nothing happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
