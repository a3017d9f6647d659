//! The names that a node publishes, and who wants which of them.
//!
//! Who matches a name is worked out when a name or a subscription appears, not when something is published: publishing looks
//! up one list. So a publish without listeners costs the same whatever the number of subscriptions to other names.
//!
//! A name is never forgotten within an epoch, or its sequence would begin again.
//!
//! `T` names a feed for whoever carries events to it: a link and the number of the subscription there.

#![allow(clippy::arithmetic_side_effects, reason = "numbers counted one by one, and lengths of what lies in memory")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::cache::Cache;
use self::matching::Matching;
use super::attachment::{Kept, Standing};
use super::{Attachment, Event, Priority, Wish};
use crate::id::{InvalidName, NodeId, check_name};
use crate::limits;

mod cache;
mod matching;
#[cfg(test)]
mod tests;

/// All names of a node and all subscriptions at it.
#[derive(Debug)]
pub struct Topics<T> {
    by_name: BTreeMap<Arc<str>, u32>,
    topics: Vec<Topic<T>>,
    matching: Matching<T>,
}

/// One name of a node.
#[derive(Debug)]
pub struct Topic<T> {
    name: Arc<str>,
    seq: u64,
    cache: Cache,
    /// Who may subscribe. `None`: everybody.
    allowed: Option<BTreeSet<NodeId>>,
    targets: Vec<T>,
    /// Members of groups, of which one gets each event.
    groups: BTreeMap<Arc<str>, Vec<T>>,
}

/// What is kept of the past of a name, for those who come later or come back. By default nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Keep {
    /// So many events, [`EVENTS_KEPT_MAX`](limits::EVENTS_KEPT_MAX) at most; less if their values have more than
    /// [`EVENTS_KEPT_BYTES`](limits::EVENTS_KEPT_BYTES).
    pub events: u32,
    /// For so long. `None`: until newer ones take their place.
    pub time: Option<Duration>,
}

/// Why a name cannot be published under.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Undeclarable {
    /// There are as many as one node counts.
    #[error("this node publishes under {} names already, and forgets none while it runs", limits::EVENT_NAMES_MAX)]
    Limit,
    /// It is no name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// It is bound to other nodes already.
    #[error("the event is bound to other nodes than these already")]
    BoundOtherwise,
}

/// Why somebody cannot subscribe.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsubscribable {
    /// The peer has as many subscriptions here as one may have.
    #[error("the peer has {} subscriptions here already", limits::SUBSCRIPTIONS_PER_PEER_MAX)]
    PeerLimit,
    /// All peers together have.
    #[error("there are {} subscriptions here already", limits::SUBSCRIPTIONS_MAX)]
    Limit,
    /// The event is for others.
    #[error("the event is bound to other nodes")]
    Denied,
}

/// An event that has its number, and who gets it.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a, T> {
    /// The event.
    pub event: Event<'a>,
    /// Each of these gets it.
    pub targets: &'a [T],
    groups: &'a BTreeMap<Arc<str>, Vec<T>>,
}

impl<'a, T> Published<'a, T> {
    /// Of each group one member gets it, see [`one_of`](Self::one_of).
    pub fn groups(&self) -> impl Iterator<Item = &'a [T]> {
        self.groups.values().map(Vec::as_slice)
    }

    /// The member of a group that gets this event, see [`member_for`].
    pub fn one_of<'m>(&self, members: &'m [T], queue: impl Fn(&T) -> usize) -> Option<&'m T> {
        member_for(self.event.seq, members, queue)
    }

    /// How many feeds get it.
    pub fn matched(&self) -> usize {
        self.targets.len() + self.groups.len()
    }
}

/// The member of a group that gets the event with this number: the one with the shortest queue; of several of these another one
/// each time.
pub fn member_for<T>(seq: u64, members: &[T], queue: impl Fn(&T) -> usize) -> Option<&T> {
    let turn = (seq % members.len().max(1) as u64) as usize;
    let (before, from) = members.split_at_checked(turn)?;
    from.iter().chain(before).min_by_key(|member| queue(member))
}

impl<T: Clone + Ord> Default for Topics<T> {
    fn default() -> Self {
        Topics { by_name: BTreeMap::new(), topics: Vec::new(), matching: Matching::default() }
    }
}

impl<T: Clone + Ord> Topics<T> {
    /// Without names and subscriptions.
    pub fn new() -> Topics<T> {
        Topics::default()
    }

    /// The number of a name, which is a new one or one that is known. More is kept of it if this asks for more.
    ///
    /// `allowed`: who may subscribe to it; `None`: everybody, or those that were named before.
    ///
    /// # Errors
    /// [`Undeclarable`].
    pub fn declare(&mut self, name: &str, keep: Keep, allowed: Option<BTreeSet<NodeId>>) -> Result<u32, Undeclarable> {
        if let Some(&number) = self.by_name.get(name) {
            let topic = &mut self.topics[number as usize];
            if allowed.is_some() && allowed != topic.allowed {
                return Err(Undeclarable::BoundOtherwise);
            }
            topic.cache.keep(keep);
            return Ok(number);
        }
        check_name(name)?;
        if self.topics.len() >= limits::EVENT_NAMES_MAX {
            return Err(Undeclarable::Limit);
        }
        let number = self.topics.len() as u32;
        let name: Arc<str> = name.into();
        let (targets, groups) = (Vec::new(), BTreeMap::new());
        let mut topic = Topic { name: name.clone(), seq: 0, cache: Cache::new(keep), allowed, targets, groups };
        self.matching.name_appeared(number, &mut topic);
        self.by_name.insert(name, number);
        self.topics.push(topic);
        Ok(number)
    }

    /// The number of a name that is known.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The name with this number.
    pub fn topic(&self, number: u32) -> Option<&Topic<T>> {
        self.topics.get(number as usize)
    }

    /// Gives an event the next number of its name and says who gets it. `None`: there is no such topic.
    #[inline]
    pub fn publish<'a>(
        &'a mut self,
        now: Instant,
        topic: u32,
        value: &'a Bytes,
        priority: Priority,
    ) -> Option<Published<'a, T>> {
        let Topic { name, seq, cache, targets, groups, .. } = self.topics.get_mut(topic as usize)?;
        *seq += 1;
        cache.push(now, *seq, value, priority);
        let event = Event { topic, name, seq: *seq, value, priority };
        Some(Published { event, targets, groups })
    }

    /// Begins a subscription of a peer: from now on `target` gets every event that matches, behind what is returned.
    ///
    /// # Errors
    /// [`Unsubscribable`]. A name that appears later and is not for the peer does not match, and nothing is said of it.
    pub fn subscribe(
        &mut self,
        now: Instant,
        target: T,
        peer: NodeId,
        wish: &Wish,
    ) -> Result<Attachment, Unsubscribable> {
        self.unsubscribe(&target);
        let numbers = self.matching.candidates(&self.by_name, &wish.pattern);
        let is_exact = !wish.pattern.as_str().contains('*');
        let is_denied = |number: &u32| !self.topics[*number as usize].is_for(&peer);
        if is_exact && numbers.iter().any(is_denied) {
            return Err(Unsubscribable::Denied);
        }
        let matched: Vec<u32> = numbers.into_iter().filter(|number| !is_denied(number)).collect();
        self.matching.begin(&target, peer, wish, &matched)?;
        let mut attachment = Attachment { is_shared: wish.shared.is_some(), ..Attachment::default() };
        let mut budget = limits::EVENT_QUEUE_BYTES_MAX;
        for number in matched {
            let topic = &mut self.topics[number as usize];
            topic.add(target.clone(), wish.shared.as_ref());
            topic.attach(now, number, wish, &mut attachment, &mut budget);
        }
        Ok(attachment)
    }

    /// Ends a subscription, and says which topics have lost a listener.
    pub fn unsubscribe(&mut self, target: &T) -> Vec<u32> {
        let Some((topics, shared)) = self.matching.end(target) else { return Vec::new() };
        for number in &topics {
            self.topics[*number as usize].remove(target, shared.as_ref());
        }
        topics.into_iter().collect()
    }

    /// Ends all subscriptions of these targets, as those of a link that has ended, and says which topics have lost listeners.
    pub fn unsubscribe_all(&mut self, is_one: impl Fn(&T) -> bool) -> BTreeSet<u32> {
        let targets: Vec<T> = self.matching.targets().filter(|target| is_one(target)).cloned().collect();
        targets.iter().flat_map(|target| self.unsubscribe(target)).collect()
    }

    /// Whether a target has a subscription.
    pub fn is_subscribed(&self, target: &T) -> bool {
        self.matching.has(target)
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.matching.len()
    }
}

impl<T: Clone + Ord> Topic<T> {
    /// The name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The number of the last event; 0 if there was none.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Those who get every event.
    pub fn targets(&self) -> &[T] {
        &self.targets
    }

    /// The members of each group of which one gets each event.
    pub fn groups(&self) -> impl Iterator<Item = &[T]> {
        self.groups.values().map(Vec::as_slice)
    }

    /// How many subscriptions match, every member of a group counted.
    pub fn matching(&self) -> usize {
        self.targets.len() + self.groups.values().map(Vec::len).sum::<usize>()
    }

    /// How many events are kept.
    pub fn kept(&self) -> usize {
        self.cache.len()
    }

    fn is_for(&self, peer: &NodeId) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(peer))
    }

    fn add(&mut self, target: T, group: Option<&Arc<str>>) {
        let list = match group {
            Some(group) => self.groups.entry(group.clone()).or_default(),
            None => &mut self.targets,
        };
        if let Err(at) = list.binary_search(&target) {
            list.insert(at, target);
        }
    }

    fn remove(&mut self, target: &T, group: Option<&Arc<str>>) {
        let Some(list) = (match group {
            Some(group) => self.groups.get_mut(group),
            None => Some(&mut self.targets),
        }) else {
            return;
        };
        if let Ok(at) = list.binary_search(target) {
            list.remove(at);
        }
        if let Some(group) = group
            && self.groups.get(group).is_some_and(Vec::is_empty)
        {
            self.groups.remove(group);
        }
    }

    /// Where it stands, and the events of the past that are asked for, as long as their bytes are within the budget.
    fn attach(&mut self, now: Instant, number: u32, wish: &Wish, to: &mut Attachment, budget: &mut usize) {
        let wanted = match &wish.positions {
            None => self.seq.saturating_sub(u64::from(wish.history)),
            Some(_) if !wish.recover => self.seq,
            Some(heard) => heard.get(&self.name).map_or(0, |heard| self.seq.min(*heard)),
        };
        let place = to.names.len();
        let mut begin = self.seq;
        let mut backlog: Vec<Kept> = Vec::new();
        for event in self.cache.newest_first(now).take_while(|event| event.seq > wanted) {
            if event.value.len() > *budget {
                break;
            }
            *budget -= event.value.len();
            begin = event.seq - 1;
            let (seq, value, priority) = (event.seq, event.value.clone(), event.priority);
            backlog.push(Kept { name: place, seq, value, priority });
        }
        to.backlog.extend(backlog.into_iter().rev());
        // Of the past as such there is what there is; of what somebody missed is told what is not there.
        let seq = if wish.positions.is_some() { wanted } else { begin };
        to.names.push(Standing { topic: number, name: self.name.clone(), seq, expired: begin });
    }
}
