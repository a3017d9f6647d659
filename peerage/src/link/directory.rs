//! Which link carries calls to which peer: written by the node's driver, read by every caller.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use peerage_proto::id::NodeId;
use peerage_proto::outcome::NotSent;

use super::Link;

/// The links that carry new calls, by peer.
///
/// A reader holds the lock for one look-up, the driver for one change, so nobody waits for anybody at work.
#[derive(Default)]
pub(crate) struct Directory {
    active: RwLock<BTreeMap<NodeId, Link>>,
    closed: AtomicBool,
}

impl Directory {
    /// The link that carries new calls to this peer.
    #[inline]
    pub(crate) fn find(&self, peer: &NodeId) -> Result<Link, NotSent> {
        if self.closed.load(Ordering::Acquire) {
            return Err(NotSent::ShuttingDown);
        }
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.get(peer).cloned().ok_or(NotSent::NoRoute)
    }

    /// As [`find`](Self::find), but another one than this, which takes no calls any more.
    pub(crate) fn find_other(&self, peer: &NodeId, than: &Link) -> Option<Link> {
        self.find(peer).ok().filter(|link| !link.is_same(than))
    }

    /// All of them, by peer.
    pub(crate) fn all(&self) -> Vec<(NodeId, Link)> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.iter().map(|(peer, link)| (*peer, link.clone())).collect()
    }

    /// New calls to this peer go over this link.
    pub(crate) fn activate(&self, peer: NodeId, link: Link) {
        self.active.write().unwrap_or_else(PoisonError::into_inner).insert(peer, link);
    }

    /// No new calls go over this link; another one to the same peer stays.
    pub(crate) fn forget(&self, peer: &NodeId, link: &Link) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if active.get(peer).is_some_and(|known| known.is_same(link)) {
            active.remove(peer);
        }
    }

    /// No calls at all from now on: the node leaves.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Forgets every link.
    pub(crate) fn clear(&self) {
        self.active.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
