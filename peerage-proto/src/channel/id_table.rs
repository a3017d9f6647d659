//! A small map from rising numbers to slots.
//!
//! Request ids of one direction count up, so the low bits of an id are already a perfect spread: an open table indexed
//! by them finds nearly every id at its first look. Only ids that this end chose are kept here, so nobody can choose
//! colliding ones. Iteration is not offered, so order never matters.

/// Maps ids to slots.
#[derive(Debug, Default)]
pub(super) struct IdTable {
    /// A power of two, at most half full.
    places: Vec<Option<(u64, u32)>>,
    used: usize,
}

impl IdTable {
    /// Puts `id` in. It must not be there yet.
    pub(super) fn insert(&mut self, id: u64, slot: u32) {
        if self.places.len() < (self.used + 1) * 2 {
            self.grow();
        }
        let mut at = self.home(id);
        while self.places[at].is_some() {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = Some((id, slot));
        self.used += 1;
    }

    /// The slot of `id`.
    pub(super) fn find(&self, id: u64) -> Option<u32> {
        self.place_of(id).and_then(|at| self.places[at]).map(|(_, slot)| slot)
    }

    /// Takes `id` out and returns its slot.
    pub(super) fn remove(&mut self, id: u64) -> Option<u32> {
        let mut hole = self.place_of(id)?;
        let (_, slot) = self.places[hole].take()?;
        self.used -= 1;
        // Whoever was pushed past the hole moves back into it, so that a search may stop at the first empty place.
        let mask = self.places.len() - 1;
        let mut at = (hole + 1) & mask;
        while let Some((other, _)) = self.places[at] {
            let distance = |from: usize| at.wrapping_sub(from) & mask;
            if distance(self.home(other)) >= distance(hole) {
                self.places[hole] = self.places[at].take();
                hole = at;
            }
            at = (at + 1) & mask;
        }
        if self.used == 0 && self.places.len() > KEEP_PLACES {
            self.places = Vec::new();
        }
        Some(slot)
    }

    fn place_of(&self, id: u64) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(id);
        loop {
            match self.places[at] {
                Some((other, _)) if other == id => return Some(at),
                Some(_) => at = (at + 1) & (self.places.len() - 1),
                None => return None,
            }
        }
    }

    fn home(&self, id: u64) -> usize {
        id as usize & (self.places.len() - 1)
    }

    fn grow(&mut self) {
        let larger = (self.places.len() * 2).max(8);
        let old = std::mem::replace(&mut self.places, vec![None; larger]);
        self.used = 0;
        for (id, slot) in old.into_iter().flatten() {
            self.insert(id, slot);
        }
    }
}

/// Places that an emptied table keeps: enough for a busy link of a few dozen callers, little for an idle one.
const KEEP_PLACES: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_an_ordinary_map(steps in prop::collection::vec((any::<bool>(), 0_u64..64), 0..400)) {
            let mut table = IdTable::default();
            let mut model = BTreeMap::new();
            for (slot, (insert, id)) in steps.into_iter().enumerate() {
                // Ids far apart share their low bits, so that places collide.
                let id = (id % 8) + (id / 8) * 1024;
                if insert && !model.contains_key(&id) {
                    table.insert(id, slot as u32);
                    model.insert(id, slot as u32);
                } else {
                    prop_assert_eq!(table.remove(id), model.remove(&id));
                }
                for (id, slot) in &model {
                    prop_assert_eq!(table.find(*id), Some(*slot));
                }
                prop_assert_eq!(table.used, model.len());
            }
        }
    }
}
