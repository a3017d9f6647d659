//! Which subscriptions want which names, found without trying all of them.
//!
//! A pattern without stars is looked up. Of the others only those are tried that begin with the same segment as the name, or
//! with a star; and of the names only those that begin as the pattern does before its first star.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::{Topic, Unsubscribable};
use crate::events::Wish;
use crate::id::{NodeId, Pattern};
use crate::limits;

#[derive(Debug)]
pub(super) struct Matching<T> {
    subscriptions: BTreeMap<T, Subscription>,
    /// By where names that could match are looked for, see [`Key`].
    by_key: BTreeMap<Key, BTreeSet<T>>,
    per_peer: BTreeMap<NodeId, usize>,
}

#[derive(Debug)]
struct Subscription {
    pattern: Pattern,
    peer: NodeId,
    shared: Option<Arc<str>>,
    topics: BTreeSet<u32>,
}

/// What is known in advance of the names that a pattern fits.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    /// The name.
    Name(Box<str>),
    /// Its first segment.
    Head(Box<str>),
    /// Nothing.
    Any,
}

impl Key {
    fn of(pattern: &Pattern) -> Key {
        let text = pattern.as_str();
        let head = head(text);
        match (text.contains('*'), head.contains('*')) {
            (false, _) => Key::Name(text.into()),
            (true, false) => Key::Head(head.into()),
            (true, true) => Key::Any,
        }
    }
}

fn head(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

impl<T> Default for Matching<T> {
    fn default() -> Self {
        Matching { subscriptions: BTreeMap::new(), by_key: BTreeMap::new(), per_peer: BTreeMap::new() }
    }
}

impl<T: Clone + Ord> Matching<T> {
    pub(super) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    pub(super) fn has(&self, target: &T) -> bool {
        self.subscriptions.contains_key(target)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &T> {
        self.subscriptions.keys()
    }

    /// The topics whose names fit a pattern, in the order of their names.
    pub(super) fn candidates(&self, names: &BTreeMap<Arc<str>, u32>, pattern: &Pattern) -> Vec<u32> {
        let text = pattern.as_str();
        let Some(star) = text.find('*') else {
            return names.get(text).copied().into_iter().collect();
        };
        // `a/**` fits `a` as well.
        let begin = text[..star].trim_end_matches('/');
        let from = names.range::<str, _>((Bound::Included(begin), Bound::Unbounded));
        let alike = from.take_while(|(name, _)| name.starts_with(begin));
        alike.filter(|(name, _)| pattern.matches(name)).map(|(_, number)| *number).collect()
    }

    pub(super) fn begin(
        &mut self,
        target: &T,
        peer: NodeId,
        wish: &Wish,
        topics: &[u32],
    ) -> Result<(), Unsubscribable> {
        if self.subscriptions.len() >= limits::SUBSCRIPTIONS_MAX {
            return Err(Unsubscribable::Limit);
        }
        let of_peer = self.per_peer.entry(peer).or_default();
        if *of_peer >= limits::SUBSCRIPTIONS_PER_PEER_MAX {
            return Err(Unsubscribable::PeerLimit);
        }
        *of_peer += 1;
        let (pattern, shared) = (wish.pattern.clone(), wish.shared.clone());
        self.by_key.entry(Key::of(&pattern)).or_default().insert(target.clone());
        let subscription = Subscription { pattern, peer, shared, topics: topics.iter().copied().collect() };
        self.subscriptions.insert(target.clone(), subscription);
        Ok(())
    }

    /// Ends a subscription: which topics it matched, and in which group.
    pub(super) fn end(&mut self, target: &T) -> Option<(BTreeSet<u32>, Option<Arc<str>>)> {
        let subscription = self.subscriptions.remove(target)?;
        let key = Key::of(&subscription.pattern);
        if let Some(alike) = self.by_key.get_mut(&key) {
            alike.remove(target);
            if alike.is_empty() {
                self.by_key.remove(&key);
            }
        }
        if let Some(of_peer) = self.per_peer.get_mut(&subscription.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                self.per_peer.remove(&subscription.peer);
            }
        }
        Some((subscription.topics, subscription.shared))
    }

    /// A new name: who wants it gets it.
    pub(super) fn name_appeared(&mut self, number: u32, topic: &mut Topic<T>) {
        let name = topic.name.clone();
        for key in [Key::Name((&*name).into()), Key::Head(head(&name).into()), Key::Any] {
            for target in self.by_key.get(&key).into_iter().flatten() {
                let Some(subscription) = self.subscriptions.get_mut(target) else { continue };
                if topic.is_for(&subscription.peer) && subscription.pattern.matches(&name) {
                    subscription.topics.insert(number);
                    topic.add(target.clone(), subscription.shared.as_ref());
                }
            }
        }
    }
}
