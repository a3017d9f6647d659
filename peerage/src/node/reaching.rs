//! The link for a call: the one there is, or one that is made now.
//!
//! In a full mesh everybody is linked with everybody, so mostly there is one. Where there is none, the node is dialled at the
//! addresses in its record, inside the deadline of the call; calls that wait for the same node share the dials. And who is
//! not known at all may become known: a node that has just started waits until it knows all there is to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, NotSent};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use super::driver::Command;
use super::presence::LOOK_AGAIN;
use super::shared::{Phase, Shared};
use super::snapshot::PeerState;
use crate::link::Link;

/// The nodes that are being dialled for calls. What a dial comes to is told when it is over: whether there may be a link now.
#[derive(Default)]
pub(crate) struct Dialled(Mutex<BTreeMap<NodeId, watch::Receiver<Option<bool>>>>);

/// Where a node is, as far as is known.
enum Whereabouts {
    /// It is a member, and may be dialled.
    There,
    /// It was one.
    Gone,
    Absent {
        as_of: u64,
    },
    NotYetKnown {
        missing: Vec<String>,
    },
}

impl Shared {
    /// The link with a node, made if there is none.
    pub(super) async fn reach(self: &Arc<Self>, peer: &NodeId, due: Option<Instant>) -> Result<Link, CallError> {
        match self.link_with(peer) {
            Ok(link) => Ok(link),
            Err(NotSent::NoRoute) => match due {
                None => self.link_soon(peer).await,
                Some(due) => match timeout_at(due, self.link_soon(peer)).await {
                    Ok(link) => link,
                    Err(_) => Err(self.not_reached(peer)),
                },
            },
            Err(why) => Err(CallError::NotSent { why }),
        }
    }

    async fn link_soon(self: &Arc<Self>, peer: &NodeId) -> Result<Link, CallError> {
        let mut view = self.watch_view();
        loop {
            view.mark_unchanged();
            match self.link_with(peer) {
                Ok(link) => return Ok(link),
                Err(NotSent::NoRoute) if self.phase() == Phase::Running => {}
                Err(NotSent::NoRoute) => return Err(CallError::NotSent { why: NotSent::ShuttingDown }),
                Err(why) => return Err(CallError::NotSent { why }),
            }
            match self.whereabouts(peer) {
                Whereabouts::There if !self.dial(*peer).await => {
                    return self.link_with(peer).map_err(|why| CallError::NotSent { why });
                }
                Whereabouts::There => {}
                Whereabouts::Gone => return Err(CallError::NotSent { why: NotSent::NoRoute }),
                Whereabouts::Absent { as_of } => return Err(CallError::Absent { what: peer.to_string(), as_of }),
                Whereabouts::NotYetKnown { .. } => {}
            }
            if self.link_with(peer).is_err() {
                // A link that has just been admitted shows before the view does, so it is looked at again soon.
                _ = timeout(LOOK_AGAIN, view.changed()).await;
            }
        }
    }

    /// Why the deadline passed without a link.
    fn not_reached(&self, peer: &NodeId) -> CallError {
        match self.whereabouts(peer) {
            Whereabouts::NotYetKnown { missing } => CallError::NotYetKnown { what: peer.to_string(), missing },
            Whereabouts::Absent { as_of } => CallError::Absent { what: peer.to_string(), as_of },
            Whereabouts::There | Whereabouts::Gone => CallError::NotSent { why: NotSent::NoRoute },
        }
    }

    fn whereabouts(&self, peer: &NodeId) -> Whereabouts {
        let (view, missing) = self.known();
        let member = view.members.iter().find(|member| member.id == *peer);
        match member.map(|member| member.entry.state) {
            Some(PeerState::Up | PeerState::Suspect) => Whereabouts::There,
            Some(PeerState::Left | PeerState::Lost) => Whereabouts::Gone,
            None if missing.is_empty() => Whereabouts::Absent { as_of: view.version },
            None => Whereabouts::NotYetKnown { missing },
        }
    }

    /// Dials a node, or waits for who does so already. Whether there may be a link now.
    async fn dial(self: &Arc<Self>, peer: NodeId) -> bool {
        let mut told = {
            let mut dialled = self.dialled.0.lock().unwrap_or_else(PoisonError::into_inner);
            dialled.entry(peer).or_insert_with(|| self.begin_dial(peer)).clone()
        };
        // An error means that the node has stopped in the middle of it.
        let told = told.wait_for(Option::is_some).await.map(|told| *told);
        matches!(told, Ok(Some(true)))
    }

    fn begin_dial(self: &Arc<Self>, peer: NodeId) -> watch::Receiver<Option<bool>> {
        let (tell, told) = watch::channel(None);
        let node = self.clone();
        let dialling = async move {
            let (reply, reached) = oneshot::channel();
            let is_asked = node.commands.send(Command::Reach { peer, reply }).await.is_ok();
            let is_linked = is_asked && reached.await.unwrap_or(false);
            node.dialled.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
            tell.send_replace(Some(is_linked));
        };
        tokio::spawn(dialling.instrument(self.span.clone()));
        told
    }
}
