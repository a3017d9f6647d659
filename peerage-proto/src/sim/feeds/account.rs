//! What one subscription was told, and whether that is all there was.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::events::{Missing, Why};
use crate::id::{Epoch, Pattern};

/// The books of one subscription.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// How far each name of each epoch is accounted for; `None` where its tail will never be known.
    told: BTreeMap<(Epoch, Arc<str>), Option<u64>>,
    /// Where each name stood when it was first attached.
    begins: BTreeMap<(Epoch, Arc<str>), u64>,
    pub(super) delivered: u64,
}

impl Account {
    /// A name stands here, before anything else was told of it.
    pub(super) fn stands(&mut self, epoch: Epoch, name: &str, seq: u64) {
        let key = (epoch, Arc::from(name));
        if !self.told.contains_key(&key) {
            self.begins.insert(key.clone(), seq);
            self.told.insert(key, Some(seq));
        }
    }

    /// An event was delivered, with the epoch and number that stand in its value.
    pub(super) fn deliver(&mut self, epoch: Epoch, name: &str, seq: u64) {
        let at = self.told.entry((epoch, name.into())).or_insert(Some(0));
        assert_eq!(*at, Some(seq - 1), "O4: {name} {seq} comes behind {at:?}");
        *at = Some(seq);
        self.delivered += 1;
    }

    /// Events are missing.
    pub(super) fn miss(&mut self, missing: &Missing) {
        let at = self.told.entry((missing.epoch, missing.name.clone())).or_insert(Some(0));
        let (name, first) = (&missing.name, missing.first);
        assert_eq!(*at, Some(first - 1), "O4: the gap from {first} of {name} comes behind {at:?}");
        assert_eq!(missing.last.is_none(), missing.why == Why::SourceRestarted, "only a tail is not known");
        *at = missing.last;
    }

    /// Everything that was published of the present epoch has been accounted for, and of all others either that, or that the
    /// tail is not known.
    pub(super) fn check(&self, pattern: &Pattern, epoch: Epoch, published: &BTreeMap<Arc<str>, u64>) {
        for (name, seq) in published.iter().filter(|(name, _)| pattern.matches(name)) {
            let key = (epoch, name.clone());
            let (told, begin) = (self.told.get(&key).copied(), self.begins.get(&key));
            assert!(
                told == Some(Some(*seq)) || (told.is_none() && *seq == 0),
                "O4: of {name} {seq} were published, and {pattern:?} knows of {told:?} from {begin:?}"
            );
        }
        for (key, at) in self.told.iter().filter(|((other, _), _)| *other != epoch) {
            // Whoever heard nothing but where a name stood has no tail.
            let is_told = at.is_none() || self.begins.get(key) == at.as_ref();
            assert!(is_told, "O4: the end of {key:?} was not told: {at:?}");
        }
    }
}
