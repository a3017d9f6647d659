use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use proptest::prelude::*;

use super::*;
use crate::id::InvalidNodeId;

fn key(seed: u8) -> (SigningKey, NodeId) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let id = NodeId::from_bytes(key.verifying_key().to_bytes());
    (key, id)
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N, "{hex}");
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
}

/// The points whose order divides eight, each in its canonical encoding.
const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// What a y-coordinate is counted modulo: 2^255 − 19, little-endian.
const FIELD: &str = "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";

/// What S is counted modulo: the order of the group, little-endian.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// The sum of two little-endian numbers that fits.
fn sum(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    let digits = std::array::from_fn(|at| {
        let digit = u16::from(a[at]) + u16::from(b[at]) + carry;
        carry = digit >> 8;
        digit as u8
    });
    assert_eq!(carry, 0, "it fits");
    digits
}

#[test]
fn a_signature_fits_its_signer_and_its_message_and_no_other() {
    let ((ada, ada_id), (_, bob_id)) = (key(1), key(2));
    let signature = ada.sign(b"a message").to_bytes();
    assert!(Ed25519.verify(&ada_id, b"a message", &signature));
    assert!(!Ed25519.verify(&ada_id, b"another message", &signature));
    assert!(!Ed25519.verify(&bob_id, b"a message", &signature), "a record of Ada's that Bob signed, and the reverse");
}

#[test]
fn a_signature_with_any_of_its_64_bytes_changed_to_any_other_is_refused() {
    let (ada, id) = key(1);
    let signature = ada.sign(b"a message").to_bytes();
    for at in 0..SIGNATURE_BYTES {
        for flips in 1..=u8::MAX {
            let mut changed = signature;
            changed[at] ^= flips;
            assert!(!Ed25519.verify(&id, b"a message", &changed), "byte {at}, bits {flips:08b}");
        }
    }
}

#[test]
fn a_second_form_of_the_number_s_is_refused() {
    let (ada, id) = key(1);
    let mut signature = ada.sign(b"a message").to_bytes();
    let s: [u8; 32] = signature[32..].try_into().unwrap();
    signature[32..].copy_from_slice(&sum(s, bytes(ORDER)));
    assert!(!Ed25519.verify(&id, b"a message", &signature), "S + the order of the group");
}

#[test]
fn a_key_of_small_order_is_none_though_signatures_for_it_fit_every_message() {
    // R = 1 × B and S = 1: right for every message under a key that vanishes when it is multiplied.
    let mut signature = [0; SIGNATURE_BYTES];
    signature[..32].copy_from_slice(&bytes::<32>("5866666666666666666666666666666666666666666666666666666666666666"));
    signature[32] = 1;
    let lax = ed25519_dalek::VerifyingKey::from_bytes(&bytes(SMALL_ORDER[0])).unwrap();
    assert!(lax.verify(b"anything", &ed25519_dalek::Signature::from_bytes(&signature)).is_ok(), "lax rules take it");
    for point in SMALL_ORDER {
        let id = NodeId::from_bytes(bytes(point));
        assert!(!is_sound(&id), "{point}");
        assert!(!Ed25519.verify(&id, b"anything", &signature), "{point}");
        assert_eq!(id.to_string().parse::<NodeId>(), Err(InvalidNodeId::NoKey), "{point}");
    }
}

#[test]
fn a_second_encoding_of_a_point_is_no_key() {
    let mut points = 0;
    for above in 0..19 {
        for sign in [0, 0x80] {
            let mut encoding = sum(bytes(FIELD), std::array::from_fn(|at| if at == 0 { above } else { 0 }));
            encoding[31] |= sign;
            points += usize::from(ed25519_dalek::VerifyingKey::from_bytes(&encoding).is_ok());
            let id = NodeId::from_bytes(encoding);
            assert!(!is_sound(&id), "2^255 - 19 + {above}, sign {sign}");
            assert_eq!(id.to_string().parse::<NodeId>(), Err(InvalidNodeId::NoKey));
        }
    }
    assert!(points >= 20, "lax rules take {points} of them for keys");
    // And a sign where there is none to have: x = 0.
    for point in [SMALL_ORDER[0], SMALL_ORDER[1]] {
        let mut encoding: [u8; 32] = bytes(point);
        encoding[31] |= 0x80;
        assert!(!is_sound(&NodeId::from_bytes(encoding)));
    }
}

#[test]
fn the_key_of_a_node_is_sound_and_bytes_that_are_no_point_are_not() {
    assert!(is_sound(&key(1).1));
    let no_point =
        (2..=u8::MAX).map(|first| NodeId::from_bytes(std::array::from_fn(|at| if at == 0 { first } else { 0 })));
    let refused: Vec<_> = no_point.filter(|id| !is_sound(id)).collect();
    assert!(refused.len() > 100, "about every second y has no x, here {}", refused.len());
    assert!(refused.iter().all(|id| !Ed25519.verify(id, b"", &[0; SIGNATURE_BYTES])));
}

proptest! {
    #[test]
    fn nobody_signs_by_guessing(signer: [u8; 32], message: Vec<u8>, half: [u8; 32], other: [u8; 32]) {
        let mut signature = [0; SIGNATURE_BYTES];
        signature[..32].copy_from_slice(&half);
        signature[32..].copy_from_slice(&other);
        prop_assert!(!Ed25519.verify(&NodeId::from_bytes(signer), &message, &signature));
    }
}
