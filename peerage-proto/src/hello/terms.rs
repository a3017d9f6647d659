//! What two ends agree on: version, features, who they are to each other.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::id::{Epoch, LinkOrder, NodeId};
use crate::limits::{FEATURE_BYTES_MAX, FEATURES_MAX};

/// What is known once the peer has proved that it belongs to the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Established {
    /// The node at the other end.
    pub peer: NodeId,
    /// Whether it is certain that it is that node.
    pub trust: Trust,
    /// Which run of it.
    pub epoch: Epoch,
    /// The place of this link among all links between the two: the same value at both ends.
    pub order: LinkOrder,
    /// The version of the protocol that both ends speak: the highest common one.
    pub version: u32,
    /// What both ends offered. The same at both ends.
    pub features: Features,
}

/// How far the peer's id can be relied upon.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Trust {
    /// The peer says so. Whoever can write into the connection could say it too.
    Claimed,
    /// The peer holds the key, and nobody else can speak on this connection.
    Proven,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trust::Claimed => "claimed",
            Trust::Proven => "proven",
        })
    }
}

/// Versions of the protocol that a node speaks, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Versions {
    min: u32,
    max: u32,
}

impl Versions {
    /// The versions that this code speaks.
    pub const SPOKEN: Versions = Versions { min: 1, max: 1 };

    /// The versions from `min` to `max`; `None` if there is none.
    pub const fn new(min: u32, max: u32) -> Option<Versions> {
        if min <= max { Some(Versions { min, max }) } else { None }
    }

    /// The oldest.
    pub const fn min(self) -> u32 {
        self.min
    }

    /// The newest.
    pub const fn max(self) -> u32 {
        self.max
    }

    /// The newest that both speak.
    pub fn agree(self, other: Versions) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// `1`, or `1 to 3`.
impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{} to {}", self.min, self.max) }
    }
}

/// What a node can do beyond the version it speaks, by name. A name that the other end does not know means nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Features(BTreeSet<Cow<'static, str>>);

impl Features {
    /// Nothing beyond the version.
    pub const fn none() -> Features {
        Features(BTreeSet::new())
    }

    /// A node that offers these.
    ///
    /// # Errors
    /// [`TooManyFeatures`] if they are more or longer than fit into a Hello: [`FEATURES_MAX`], [`FEATURE_BYTES_MAX`].
    pub fn offer<N: Into<Cow<'static, str>>>(names: impl IntoIterator<Item = N>) -> Result<Features, TooManyFeatures> {
        let names: BTreeSet<_> = names.into_iter().map(Into::into).collect();
        if names.len() > FEATURES_MAX || names.iter().any(|name| name.len() > FEATURE_BYTES_MAX) {
            return Err(TooManyFeatures);
        }
        Ok(Features(names))
    }

    /// Whether this one is among them.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Their names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Those of ours that the other end offers as well.
    pub(super) fn common(&self, theirs: &BTreeSet<String>) -> Features {
        Features(self.0.iter().filter(|name| theirs.contains(name.as_ref())).cloned().collect())
    }
}

/// More features than fit into a Hello.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a node offers at most {FEATURES_MAX} features with names of at most {FEATURE_BYTES_MAX} bytes")]
pub struct TooManyFeatures;

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(min: u32, max: u32) -> Versions {
        Versions::new(min, max).expect("in order")
    }

    #[test]
    fn two_nodes_speak_the_newest_version_that_both_know() {
        assert_eq!(versions(1, 3).agree(versions(2, 5)), Some(3));
        assert_eq!(versions(2, 5).agree(versions(1, 3)), Some(3));
        assert_eq!(versions(1, 1).agree(versions(1, 9)), Some(1));
        assert_eq!(versions(1, 2).agree(versions(3, 4)), None);
        assert_eq!(Versions::new(2, 1), None);
    }

    #[test]
    fn features_in_common_are_those_that_both_offer() {
        let ours = Features::offer(["streams", "lz4"]).unwrap();
        let theirs = ["lz4", "time-travel"].map(str::to_owned).into();
        assert_eq!(ours.common(&theirs), Features::offer(["lz4"]).unwrap());
        assert!(ours.has("streams") && !ours.has("time-travel"));
        assert_eq!(ours.names().collect::<Vec<_>>(), ["lz4", "streams"]);
    }

    #[test]
    fn more_features_than_fit_into_a_hello_cannot_be_offered() {
        assert!(Features::offer((0..FEATURES_MAX).map(|n| n.to_string())).is_ok());
        assert_eq!(Features::offer((0..=FEATURES_MAX).map(|n| n.to_string())), Err(TooManyFeatures));
        assert!(Features::offer(["x".repeat(FEATURE_BYTES_MAX)]).is_ok());
        assert_eq!(Features::offer(["x".repeat(FEATURE_BYTES_MAX + 1)]), Err(TooManyFeatures));
    }
}
