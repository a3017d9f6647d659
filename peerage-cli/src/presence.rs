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

/// Finds the one live node that is meant by an id or a name, waiting for it for so long.
///
/// A node of this user that runs on this machine is never absent: whoever acts is about to be linked with it.
///
/// # Errors
///
/// A usage error with the ids if a name fits several, [`Exit::Absent`] if all is known and it is not there,
/// [`Exit::NotYetKnown`] if time passed before.
pub(crate) async fn find(actor: &mut Actor, run: &Path, who: &str, patience: Duration) -> Result<PeerEntry, Abort> {
    let until = Instant::now() + patience;
    let network = actor.network();
    let mut peers = actor.control().watch().await?;
    loop {
        let runs_here = match meant(&peers, who) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => false,
            Err(absent @ Abort::Ended(..)) => {
                if is_own(&peers, who) || !running::is_there(run, &network, who).await? {
                    return Err(absent);
                }
                true
            }
            Err(several) => return Err(several),
        };
        if Instant::now() >= until {
            return Err(not_yet_known(&peers, who, runs_here));
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

/// The live node that is meant; `None` if it is not yet known.
fn meant(peers: &Peers, who: &str) -> Result<Option<PeerEntry>, Abort> {
    let live = |entry: &&PeerEntry| matches!(entry.state, PeerState::Up | PeerState::Suspect);
    let fitting: Vec<&PeerEntry> = peers.peers.iter().filter(live).filter(|entry| is_called(entry, who)).collect();
    let shown = output::shown(who);
    match fitting[..] {
        [one] => Ok(Some(one.clone())),
        [] if is_own(peers, who) => {
            Err(Abort::Ended(Exit::Absent, format!("{shown} is the node that was to ask, not another one")))
        }
        [] if peers.complete => {
            let what = if who.parse::<NodeId>().is_ok() { "id" } else { "name" };
            Err(Abort::Ended(
                Exit::Absent,
                format!("no node has the {what} {shown}; `peerage peers` lists those there are"),
            ))
        }
        [] => Ok(None),
        _ => {
            let ids: Vec<String> = fitting.iter().map(|entry| format!("  {}", output::shown(&entry.id))).collect();
            Err(Abort::Usage(format!("several nodes are called {shown}; say the id of one:\n{}", ids.join("\n"))))
        }
    }
}

/// Whether the node that is to ask is itself the one that is called so.
fn is_own(peers: &Peers, who: &str) -> bool {
    peers.own.id == who || peers.own.name == who
}

fn not_yet_known(peers: &Peers, who: &str, runs_here: bool) -> Abort {
    let missing = match peers.missing[..] {
        _ if runs_here => "it runs on this machine, but there is no link with it".to_owned(),
        [] => "no other node was met".to_owned(),
        _ => peers.missing.iter().map(|missing| output::shown(missing)).collect::<Vec<_>>().join("; "),
    };
    Abort::Ended(Exit::NotYetKnown, format!("{} is not yet known: {missing}", output::shown(who)))
}

/// How long the state of a view is taken for granted while nothing happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
