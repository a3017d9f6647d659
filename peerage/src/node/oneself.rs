//! A node's link with itself, over memory: so that its own functions are called in the same way as those of others, with the
//! same deadlines, streams and ends. It is made when it is first needed.

use std::sync::{Mutex, PoisonError, Weak};

use peerage_proto::channel::{Config, Side};
use peerage_proto::id::NodeId;
use peerage_proto::outcome::NotSent;
use tokio::runtime::{EnterGuard, Handle};

use super::shared::{Phase, Shared};
use crate::address::Address;
use crate::dispatch::{Dispatch, Origin, Services, is_reserved};
use crate::link::{Link, Standing};
use crate::transport::memory;

/// What a node needs to link with itself.
pub(crate) struct Oneself {
    services: Weak<Services>,
    /// Where the node runs, whoever calls.
    runtime: Handle,
    /// Both ends, the calling one first.
    ends: Mutex<Option<(Link, Link)>>,
}

impl Oneself {
    /// For a node that runs on the present runtime and offers these services.
    pub(super) fn new(services: Weak<Services>) -> Oneself {
        Oneself { services, runtime: Handle::current(), ends: Mutex::new(None) }
    }

    /// The link, made if there is none.
    fn link(&self, node: &Shared) -> Result<Link, NotSent> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((calling, _)) = &*ends {
            return Ok(calling.clone());
        }
        let services = self.services.upgrade().filter(|_| node.phase() != Phase::Stopped);
        let services = services.ok_or(NotSent::ShuttingDown)?;
        let _inside = self.runtime.enter();
        let place = Address::memory(&node.facts.id.to_string()).expect("an id is letters and digits");
        let (ours, theirs) = memory::pipe(&place);
        let serving = || Box::new(Dispatch::new(services.clone(), Origin::Link(node.facts.id), node.metrics.clone()));
        let (peer, epoch, span) = (node.facts.id, node.epoch(), tracing::Span::none());
        let standing = || Standing { peer, epoch, feeder: node.board.clone(), span: span.clone() };
        let calling = Link::start_with_oneself(ours, Config::for_node(Side::Dialler), serving(), standing());
        let called = Link::start_with_oneself(theirs, Config::for_node(Side::Acceptor), serving(), standing());
        *ends = Some((calling.clone(), called));
        node.directory.activate(node.facts.id, calling.clone());
        Ok(calling)
    }

    /// From here on tasks belong to the runtime of the node.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Whether this node offers this, as it stands now: others may be about to be told.
    pub(super) fn offers(&self, tag: &str) -> bool {
        is_reserved(tag) || self.services.upgrade().is_some_and(|services| services.own(tag).is_some())
    }

    /// Ends the link; there will be no other one.
    pub(super) async fn close(&self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((calling, called)) = ends {
            calling.close();
            called.close();
            // Bounded by what closing a link may take.
            calling.ended().await;
            called.ended().await;
        }
    }
}

impl Shared {
    /// The link that carries new calls to a node, itself included.
    #[inline]
    pub(super) fn link_with(&self, peer: &NodeId) -> Result<Link, NotSent> {
        match self.directory.find(peer) {
            Err(NotSent::NoRoute) if *peer == self.facts.id => self.oneself.get().ok_or(NotSent::NoRoute)?.link(self),
            found => found,
        }
    }
}
