//! Is somebody there? Present, absent or not yet known: three answers, because a node that has just started knows little.

use std::path::Path;
use std::time::Duration;

use peerage::address::NodeId;
use peerage::node::Presence;
use peerage::node::snapshot::{PeerEntry, PeerState, Peers};
use tokio::time::{Instant, sleep, timeout_at};

use crate::actor::Actor;
use crate::control::{self, Control};
use crate::exit::{Abort, Exit};
use crate::output;
use crate::running;

/// Finds the one other live node that is meant by an id or a name, waiting for it for so long.
///
/// # Errors
///
/// As [`only`], and [`Exit::Absent`] if it is the node that is to ask.
pub(crate) async fn find(actor: &mut Actor, run: &Path, who: &str, patience: Duration) -> Result<PeerEntry, Abort> {
    let presence = seek(actor, run, who, patience).await?;
    let found = only(actor, presence, who).await?;
    if actor.control().peers().await?.own.id == found.id {
        let shown = output::shown(who);
        return Err(Abort::Ended(Exit::Absent, format!("{shown} is the node that was to ask, not another one")));
    }
    Ok(found)
}

/// Looks for the live nodes that are meant by an id or a name, for so long as it is not yet known.
///
/// A node of this user that runs on this machine is never absent: whoever acts is about to be linked with it.
pub(crate) async fn seek(actor: &mut Actor, run: &Path, who: &str, patience: Duration) -> Result<Presence, Abort> {
    let until = Instant::now() + patience;
    let network = actor.network();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut presence = actor.control().find(who, left).await?;
        if let Presence::Absent { .. } = presence
            && running::is_there(run, &network, who).await?
        {
            presence = Presence::NotYetKnown { missing: vec![NOT_LINKED.to_owned()] };
            sleep(LOOK_AGAIN.min(left)).await;
        }
        match presence {
            // A node waits no longer than a call may take.
            Presence::NotYetKnown { .. } if Instant::now() < until => {}
            presence => return Ok(presence),
        }
    }
}

/// The one node that is meant.
///
/// # Errors
///
/// A usage error with the ids if a name fits several, [`Exit::Absent`] if all is known and it is not there,
/// [`Exit::NotYetKnown`] if too little is known.
pub(crate) async fn only(actor: &mut Actor, presence: Presence, who: &str) -> Result<PeerEntry, Abort> {
    let shown = output::shown(who);
    let missing = match presence {
        Presence::Present { mut nodes } if nodes.len() == 1 => return Ok(nodes.remove(0)),
        Presence::Present { nodes } => {
            let ids: Vec<String> = nodes.iter().map(|entry| format!("  {}", output::shown(&entry.id))).collect();
            return Err(Abort::Usage(format!(
                "several nodes are called {shown}; say the id of one:\n{}",
                ids.join("\n")
            )));
        }
        Presence::Absent { .. } => {
            let peers = actor.control().peers().await?;
            return Err(Abort::Ended(Exit::Absent, absent(&peers, who)));
        }
        Presence::NotYetKnown { missing } => missing,
        other => vec![format!("{other:?}")],
    };
    let missing: Vec<String> = missing.iter().map(|missing| output::shown(missing)).collect();
    let missing = if missing.is_empty() { "no other node was met".to_owned() } else { missing.join("; ") };
    Err(Abort::Ended(Exit::NotYetKnown, format!("{shown} is not yet known: {missing}")))
}

/// What to say about a node that is not there.
fn absent(peers: &Peers, who: &str) -> String {
    let shown = output::shown(who);
    let what = if who.parse::<NodeId>().is_ok() { "id" } else { "name" };
    match peers.peers.iter().find(|entry| entry.id == who || entry.name == who).map(|entry| entry.state) {
        Some(PeerState::Left) => format!("{shown} has left; `peerage why {shown}` tells what was observed"),
        Some(PeerState::Lost) => format!("{shown} is lost; `peerage why {shown}` tells what was observed"),
        _ => format!("no node has the {what} {shown}; `peerage peers` lists those there are"),
    }
}

/// Waits until all there is to know is known, or for so long.
pub(crate) async fn settled(control: &mut Control, patience: Duration) -> Result<Peers, Abort> {
    let until = Instant::now() + patience;
    let mut peers = control.watch().await?;
    while !peers.complete && Instant::now() < until {
        // What is missing may change without an event, so it is asked now and then anyway.
        let look_again = until.min(Instant::now() + LOOK_AGAIN);
        peers = match timeout_at(look_again, control.next_event()).await {
            Ok(None) => return Err(control::gone()),
            Ok(Some(_)) | Err(_) => control.peers().await?,
        };
    }
    Ok(peers)
}

const NOT_LINKED: &str = "it runs on this machine, but there is no link with it";

/// How long a guest waits to meet everybody. One attempt to dial takes no longer.
pub(crate) const GUEST_PATIENCE: Duration = Duration::from_secs(3);

/// How long the state of a view is taken for granted while nothing happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
