//! The list of services of a node, in the one form that has one digest (PROTOCOL §14).
//!
//! A record has no room for a list, so it carries the digest of one. Whoever knows the digest can take the list from
//! anybody, and sees whether it is the one that the node has signed.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::codec::{Encoding, Payload, is_tag};
use crate::limits;

/// The tags that a node offers beside those that every node does: sorted, each once. Cheap to clone.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ServiceList {
    tags: Arc<[String]>,
    /// `None` for the list without a tag.
    digest: Option<[u8; 32]>,
    bytes: usize,
}

impl ServiceList {
    /// The list of these tags, in whatever order they come. What every node offers (tags that begin with
    /// [`EVERYBODYS`]) is left out.
    ///
    /// # Errors
    /// [`InvalidServices`] if a tag is none, or there are more than fit.
    pub fn of<S: Into<String>>(tags: impl IntoIterator<Item = S>) -> Result<ServiceList, InvalidServices> {
        let mut tags: Vec<String> =
            tags.into_iter().map(Into::into).filter(|tag| !tag.starts_with(EVERYBODYS)).collect();
        tags.sort_unstable();
        tags.dedup();
        ServiceList::sorted(tags)
    }

    /// The list as somebody hands it on. Only the one form that has the digest will do.
    pub(super) fn read(tags: Vec<String>) -> Option<ServiceList> {
        let is_sorted = tags.is_sorted_by(|one, next| one < next);
        let is_plain = !tags.iter().any(|tag| tag.starts_with(EVERYBODYS));
        if is_sorted && is_plain { ServiceList::sorted(tags).ok() } else { None }
    }

    fn sorted(tags: Vec<String>) -> Result<ServiceList, InvalidServices> {
        if tags.len() > limits::SERVICES_MAX {
            return Err(InvalidServices::TooMany { count: tags.len() });
        }
        if let Some(tag) = tags.iter().find(|tag| !is_tag(tag)) {
            return Err(InvalidServices::Tag { tag: tag.clone() });
        }
        if tags.is_empty() {
            return Ok(ServiceList::default());
        }
        let content = Payload::encode(&tags, Encoding::MsgPack).expect("a list of texts");
        let bytes = content.len();
        if bytes > limits::SERVICES_BYTES_MAX {
            return Err(InvalidServices::TooLarge { bytes });
        }
        let digest = Some(Sha256::digest(content.bytes()).into());
        Ok(ServiceList { tags: tags.into(), digest, bytes })
    }

    /// What a record says of it: SHA-256 over the array of its tags in MessagePack. `None`: there is no tag in it.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Whether this tag is in it.
    pub fn offers(&self, tag: &str) -> bool {
        self.tags.binary_search_by(|known| known.as_str().cmp(tag)).is_ok()
    }

    /// Its tags, in order.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Its size in bytes, encoded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Why tags make no list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidServices {
    /// One of them is no tag.
    #[error("`{tag}` is no name of a service: 1 to {} characters out of A–Z a–z 0–9 . _ / -", limits::TAG_BYTES_MAX)]
    Tag {
        /// What was given instead.
        tag: String,
    },
    /// There are too many.
    #[error("{count} services at one node, at most {} are told to others", limits::SERVICES_MAX)]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Their names are too long in all.
    #[error("the names of the services have {bytes} bytes, at most {} are told to others", limits::SERVICES_BYTES_MAX)]
    TooLarge {
        /// Bytes of the encoded list.
        bytes: usize,
    },
}

/// How the tags begin that every node offers, and that therefore stand in no list.
pub const EVERYBODYS: &str = "peerage/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_form_and_one_digest_in_whatever_order_its_tags_come() {
        let one = ServiceList::of(["sum", "img.resize", "sum", "peerage/info"]).unwrap();
        let other = ServiceList::of(["img.resize", "sum"]).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.tags(), ["img.resize", "sum"]);
        assert!(one.offers("sum") && one.offers("img.resize") && !one.offers("su") && !one.offers("peerage/info"));
        let told = ["img.resize", "sum"].map(str::to_owned).to_vec();
        assert_eq!(ServiceList::read(told), Some(one));
    }

    #[test]
    fn who_offers_nothing_has_no_digest() {
        let none = ServiceList::of(["peerage/info"]).unwrap();
        assert_eq!((none.digest(), none.tags().len(), none), (None, 0, ServiceList::default()));
    }

    #[test]
    fn the_digest_is_that_of_the_encoded_array() {
        let list = ServiceList::of(["a", "b"]).unwrap();
        let expected: [u8; 32] = Sha256::digest([0x92, 0xa1, b'a', 0xa1, b'b']).into();
        assert_eq!((list.digest(), list.bytes()), (Some(expected), 5));
    }

    #[test]
    fn tags_of_another_form_or_too_many_of_them_make_no_list() {
        assert_eq!(ServiceList::of(["a b"]), Err(InvalidServices::Tag { tag: "a b".into() }));
        let many = (0..=limits::SERVICES_MAX).map(|n| format!("s{n}"));
        assert_eq!(ServiceList::of(many), Err(InvalidServices::TooMany { count: limits::SERVICES_MAX + 1 }));
        let long = (0..300).map(|n| format!("{n:0>255}"));
        let Err(InvalidServices::TooLarge { bytes }) = ServiceList::of(long) else { panic!("too large") };
        assert!(bytes > limits::SERVICES_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn a_list_that_is_handed_on_in_another_form_is_refused() {
        for tags in [&["b", "a"][..], &["a", "a"], &["a b"], &["peerage/info"]] {
            assert_eq!(ServiceList::read(tags.iter().map(ToString::to_string).collect()), None, "{tags:?}");
        }
        assert_eq!(ServiceList::read(Vec::new()), Some(ServiceList::default()));
    }
}
