//! Wishes about members that the driver answers: why, refresh, set.

use std::time::Duration;

use peerage_proto::id::NodeId;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::driver::Command;
use super::filter::Filter;
use super::mistake::SetError;
use super::presence::FindError;
use super::reading::Reading as _;
use super::setting::Change;
use super::shared::Shared;
use super::snapshot::{PeerEntry, PeerState, Peers, Why};

impl Shared {
    /// Asks the neighbours, and waits for their answers or for so long.
    pub(super) async fn refresh(&self, within: Duration) -> Peers {
        let (due, mut view) = (Instant::now() + within, self.watch_view());
        let (reply, asked) = oneshot::channel();
        let answered = async {
            if self.commands.send(Command::Refresh { reply }).await.is_ok() && asked.await.is_ok() {
                // An error means that the node has gone.
                let _ = view.wait_for(|view| !view.is_asking).await;
            }
        };
        // Whoever does not answer in time is not waited for.
        let _ = timeout_at(due, answered).await;
        self.peers()
    }

    /// Why a node counts as what it does.
    pub(super) async fn why(&self, who: &str) -> Result<Why, FindError> {
        let peers = self.peers();
        let (complete, version, missing) = (peers.complete, peers.version, peers.missing.clone());
        let fitting = peers.matching(&Filter::new().peer(who).any_state()).peers;
        let who = who.to_owned();
        let entry = match one_of(fitting) {
            Ok(Some(entry)) => entry,
            Ok(None) if complete => return Err(FindError::Absent { who, as_of: version }),
            Ok(None) => return Err(FindError::NotYetKnown { who, missing }),
            Err(ids) => return Err(FindError::Ambiguous { who, ids }),
        };
        let id: NodeId = entry.id.parse().expect("ids in a view are printed ids");
        let (reply, told) = oneshot::channel();
        if self.commands.send(Command::Why { id, reply }).await.is_err() {
            return Err(FindError::ShuttingDown);
        }
        let transitions = told.await.map_err(|_| FindError::ShuttingDown)?;
        Ok(Why { id: entry.id, name: entry.name, state: entry.state, transitions })
    }

    /// Says something new of this node.
    pub(super) async fn set(&self, change: Change) -> Result<(), SetError> {
        let (reply, told) = oneshot::channel();
        if self.commands.send(Command::Announce { change, reply }).await.is_err() {
            return Err(SetError::ShuttingDown);
        }
        Ok(told.await.map_err(|_| SetError::ShuttingDown)??)
    }
}

/// The one that is meant, of all that fit: who is there goes before who is gone.
fn one_of(fitting: Vec<PeerEntry>) -> Result<Option<PeerEntry>, Vec<String>> {
    let is_live = |entry: &PeerEntry| matches!(entry.state, PeerState::Up | PeerState::Suspect);
    let (mut live, mut gone): (Vec<_>, Vec<_>) = fitting.into_iter().partition(is_live);
    match (live.len(), gone.len()) {
        (1, _) => Ok(live.pop()),
        (0, 0 | 1) => Ok(gone.pop()),
        _ => Err(live.into_iter().chain(gone).map(|entry| entry.id).collect()),
    }
}
