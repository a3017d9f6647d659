//! Keys inside values, for `latest-by`.

use sha2::{Digest, Sha256};

use super::super::Pointer;
use crate::limits;

/// What stands at the pointer's place of a value, as it is encoded. Two values with the same key are versions of one thing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Key {
    /// Nothing stands there.
    None,
    Short(Box<[u8]>),
    /// A hash of it: nobody can make a feed remember much by long keys.
    Long([u8; 32]),
}

impl Key {
    pub(super) fn of(pointer: &Pointer, value: &[u8]) -> Key {
        match pointer.find(value) {
            None => Key::None,
            Some(key) if key.len() <= limits::EVENT_KEY_BYTES_MAX => Key::Short(key.into()),
            Some(key) => Key::Long(Sha256::digest(key).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Encoding, Payload};

    #[test]
    fn equal_values_have_equal_keys_however_long_they_are() {
        let pointer: Pointer = "/0".parse().unwrap();
        let key = |text: &str, rest: u8| {
            Key::of(&pointer, Payload::encode(&(text, rest), Encoding::MsgPack).unwrap().bytes())
        };
        for len in [0, 1, limits::EVENT_KEY_BYTES_MAX, 1_000] {
            let text = "x".repeat(len);
            assert_eq!(key(&text, 1), key(&text, 2));
            assert_ne!(key(&text, 1), key(&format!("{text}y"), 1));
        }
        assert_eq!(Key::of(&pointer, &[0x90]), Key::None);
    }
}
