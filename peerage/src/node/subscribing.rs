//! Subscriptions of a node: how they are made, and to whom each of them goes.
//!
//! A subscription goes to every node that there is a link with and that its filter admits: to those that are there when it is
//! made, to each that comes later, and to each that comes to be meant because its groups have changed.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use peerage_proto::events::{Policy, Wish};
use peerage_proto::id::{Group, InvalidName, NodeId, Pattern};

use super::oneself::Oneself;
use super::shared::{Phase, Shared};
use super::view::View;
use super::{Filter, Node};
use crate::event::{Event, Handling, Inbox, PublishError, Publisher, Subscription};
use crate::link::Link;

/// All subscriptions of a node.
#[derive(Default)]
pub(crate) struct Inboxes(Mutex<Vec<(Weak<Inbox>, Filter)>>);

/// A subscription that is about to be made; [`Node::subscribe`] begins one.
#[derive(Clone, Debug)]
#[must_use = "nothing is heard before it is started"]
pub struct Subscribing<'a> {
    node: &'a Node,
    pattern: &'a str,
    policy: Policy,
    history: u32,
    recover: bool,
    shared: Option<String>,
    filter: Filter,
    include_self: bool,
}

/// Why a subscription could not be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It is no pattern of names.
    #[error(
        "`{0}` is no name or pattern of events: 1 to 255 letters and digits of ASCII and . _ / - with * for any part of a segment and ** for any segments"
    )]
    NoPattern(String),
    /// It is no name of a group of subscribers.
    #[error("`{name}` is no name for a shared subscription: {why}")]
    NoName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: InvalidName,
    },
    /// The node has stopped.
    #[error("this node has stopped")]
    ShuttingDown,
}

impl Node {
    /// Hears of events: those of one name, or of all names that fit a pattern (`*`: any part of one segment, `**`: any number of
    /// segments), at every node that there is or will be. Say what else is wanted, then [`start`](Subscribing::start).
    ///
    /// ```
    /// # use peerage::{Node, event::{Heard, Policy}};
    /// # async fn listen(node: Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut readings = node.subscribe("sensor/*/temperature").policy(Policy::Latest).start()?;
    /// while let Some(heard) = readings.next().await {
    ///     if let Heard::Event(event) = heard {
    ///         println!("{} at {}", event.value::<f64>()?, event.name());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe<'a>(&'a self, pattern: &'a str) -> Subscribing<'a> {
        Subscribing {
            node: self,
            pattern,
            policy: Policy::default(),
            history: 0,
            recover: false,
            shared: None,
            filter: Filter::new(),
            include_self: false,
        }
    }
}

impl Node {
    /// Runs a function for each event of a name, or of all names that fit a pattern, at every node that there is or will be. More
    /// can be said with [`subscribe`](Self::subscribe) and [`handle`](Subscribing::handle).
    ///
    /// ```
    /// # async fn listen(node: peerage::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let handling = node.on_event("build/done", async |event| {
    ///     println!("{} has built {}", event.from(), event.value::<String>()?);
    ///     Ok::<(), peerage::codec::DecodeError>(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Subscribing::start`].
    pub fn on_event<F, Fut, E>(&self, pattern: &str, handler: F) -> Result<Handling, SubscribeError>
    where
        F: FnMut(Event) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        self.subscribe(pattern).handle(handler)
    }

    /// A name under which this node publishes.
    ///
    /// ```
    /// # async fn tell(node: peerage::Node) -> Result<(), peerage::event::PublishError> {
    /// let done = node.event("build/done")?;
    /// let receipt = done.publish(&"linux").await?;
    /// println!("{} wait for it", receipt.queued);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`]: it is no name, or the node publishes as many as one may, or it has stopped.
    pub fn event(&self, name: &str) -> Result<Publisher, PublishError> {
        Publisher::new(self.shared().board.clone(), name, None)
    }

    /// As [`event`](Self::event), for a name that only these nodes may subscribe to. All others are told so, and no pattern of
    /// theirs fits it. To be said when the name is first used; all publishers of the name are bound by it.
    ///
    /// # Errors
    /// [`PublishError::BoundOtherwise`] if the name is in use already with other nodes, or with all; else as for
    /// [`event`](Self::event).
    pub fn event_for(&self, name: &str, nodes: impl IntoIterator<Item = NodeId>) -> Result<Publisher, PublishError> {
        Publisher::new(self.shared().board.clone(), name, Some(nodes.into_iter().collect()))
    }
}

impl Subscribing<'_> {
    /// What becomes of events that come faster than they are taken. Default: the oldest of 1,024 are dropped, and told as gaps.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// So many of the last events of each name, as far as its publisher keeps them, come first. Default 0.
    pub fn history(mut self, events: u32) -> Self {
        self.history = events;
        self
    }

    /// What was lost with a link is asked for again, as far as its publisher keeps it. The rest is told as gaps.
    pub fn recover(mut self) -> Self {
        self.recover = true;
        self
    }

    /// Of all that subscribe under this name, one gets each event.
    pub fn shared(mut self, name: &str) -> Self {
        self.shared = Some(name.to_owned());
        self
    }

    /// Only at members of this group. Said several times: of any of them.
    pub fn group(mut self, group: Group) -> Self {
        self.filter = self.filter.group(group);
        self
    }

    /// Only at members of any of these groups.
    pub fn groups(mut self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.filter = self.filter.groups(groups);
        self
    }

    /// Only at hubs.
    pub fn hubs_only(mut self) -> Self {
        self.filter = self.filter.hubs_only();
        self
    }

    /// Only at the nodes with one of these ids or names.
    pub fn peers<S: Into<String>>(mut self, who: impl IntoIterator<Item = S>) -> Self {
        self.filter = self.filter.peers(who);
        self
    }

    /// Only at nodes on this machine.
    pub fn on_host(mut self) -> Self {
        self.filter = self.filter.on_host();
        self
    }

    /// Only at the nodes that this filter admits, in place of all that was said before.
    pub fn matching(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// At this node too, if the filter admits it.
    pub fn include_self(mut self) -> Self {
        self.include_self = true;
        self
    }

    /// Runs a function for each event: in order, one at a time. When it fails or panics, that is logged and counted here, and the
    /// next event comes; nobody else hears of it. Gaps are logged and counted too.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn handle<F, Fut, E>(self, handler: F) -> Result<Handling, SubscribeError>
    where
        F: FnMut(Event) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let node = self.node.shared().clone();
        let subscription = self.start()?;
        let _inside = node.oneself.get().map(Oneself::enter);
        Ok(Handling::start(subscription, handler))
    }

    /// Subscribes. The first that comes is [`Heard::Attached`](crate::event::Heard::Attached), once every node that there is a
    /// link with now has answered.
    ///
    /// # Errors
    /// [`SubscribeError`] says what is wrong with a name, or that the node has stopped.
    pub fn start(self) -> Result<Subscription, SubscribeError> {
        let no_pattern = |_| SubscribeError::NoPattern(self.pattern.to_owned());
        let pattern: Pattern = self.pattern.parse().map_err(no_pattern)?;
        let shared = self.shared.map(|name| match peerage_proto::id::check_name(&name) {
            Ok(()) => Ok(Arc::from(name)),
            Err(why) => Err(SubscribeError::NoName { name, why }),
        });
        let wish = Wish {
            policy: self.policy,
            history: self.history,
            recover: self.recover,
            shared: shared.transpose()?,
            ..Wish::new(pattern)
        };
        let node = self.node.shared();
        if node.phase() == Phase::Stopped {
            return Err(SubscribeError::ShuttingDown);
        }
        let inbox = Arc::new(Inbox::new(wish));
        let awaited = node.subscribe(&inbox, self.filter, self.include_self);
        let again = {
            let (node, inbox) = (node.clone(), Arc::downgrade(&inbox));
            move |peer: &NodeId| {
                if let (Some(inbox), Ok(link)) = (inbox.upgrade(), node.directory.find(peer)) {
                    inbox.attach(&link);
                }
            }
        };
        Ok(Subscription::new(inbox, Box::new(again), awaited))
    }
}

impl Shared {
    /// Adds a subscription and sends it to whom it concerns by now. Returns whose answers are to be awaited.
    fn subscribe(&self, inbox: &Arc<Inbox>, filter: Filter, include_self: bool) -> BTreeSet<NodeId> {
        // From here on links that come up are its own business; those that are up are found below, or in both ways.
        self.inboxes.lock().push((Arc::downgrade(inbox), filter.clone()));
        if self.phase() == Phase::Stopped {
            inbox.close();
        }
        let view = self.view();
        let own = self.facts.id;
        let mut links = self.directory.all();
        links.retain(|(peer, _)| *peer != own);
        links.extend(self.link_with(&own).ok().filter(|_| include_self).map(|link| (own, link)));
        links.retain(|(peer, _)| self.is_meant(&filter, peer, &view));
        for (_, link) in &links {
            inbox.attach(link);
        }
        links.into_iter().map(|(peer, _)| peer).collect()
    }

    /// A link carries what is new between this node and a peer.
    pub(super) fn is_linked(&self, peer: &NodeId, link: &Link) {
        let all = self.inboxes.all();
        if all.is_empty() {
            return;
        }
        let view = self.view();
        for (inbox, _) in all.iter().filter(|(_, filter)| self.is_meant(filter, peer, &view)) {
            inbox.attach(link);
        }
    }

    /// What is known of the members has changed: others may be meant now.
    pub(super) fn members_changed(&self) {
        let all: Vec<_> = self.inboxes.all().into_iter().filter(|(_, filter)| *filter != Filter::new()).collect();
        if all.is_empty() {
            return;
        }
        let (view, links) = (self.view(), self.directory.all());
        for (inbox, filter) in all {
            let sources = inbox.sources();
            for (peer, link) in links.iter().filter(|(peer, _)| *peer != self.facts.id) {
                match (self.is_meant(&filter, peer, &view), sources.contains(peer)) {
                    (true, false) => inbox.attach(link),
                    (false, true) => inbox.detach(peer),
                    _ => {}
                }
            }
        }
    }

    /// Whether a filter admits a node. Who is not known among the members yet is looked at again when it is.
    fn is_meant(&self, filter: &Filter, peer: &NodeId, view: &View) -> bool {
        if *filter == Filter::new() {
            return true;
        }
        let machine = self.machine();
        if *peer == self.facts.id {
            return filter.admits(&self.own_entry(), &machine);
        }
        let at = view.members.binary_search_by_key(peer, |member| member.id);
        at.ok().and_then(|at| view.members.get(at)).is_some_and(|member| filter.admits(&member.entry, &machine))
    }
}

impl Inboxes {
    /// Nothing comes any more.
    pub(super) fn close(&self) {
        for (inbox, _) in self.all() {
            inbox.close();
        }
    }

    fn all(&self) -> Vec<(Arc<Inbox>, Filter)> {
        let mut all = self.lock();
        all.retain(|(inbox, _)| inbox.strong_count() > 0);
        all.iter().filter_map(|(inbox, filter)| Some((inbox.upgrade()?, filter.clone()))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Weak<Inbox>, Filter)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
