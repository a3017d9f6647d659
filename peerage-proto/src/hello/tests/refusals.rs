//! What members say to each other when they decline.

use std::time::Duration;

use super::ends::{End, TRANSPORTS, answered, dialled, epoch_of, frame, proved, tls};
use crate::hello::wire::Greeting;
use crate::hello::{Config, HelloError, Input, Misbehaved, Refusal, Versions};
use crate::id::Epoch;

const REFUSALS: [fn() -> Refusal; 6] = [
    || Refusal::Incompatible,
    || Refusal::Busy { retry_after: Duration::from_millis(1_500) },
    || Refusal::IdentityConflict,
    || Refusal::StaleEpoch { newest: epoch_of(9) },
    || Refusal::Draining,
    || Refusal::Other(77),
];

#[test]
fn every_reason_reaches_the_other_end_as_it_was_said() {
    for transport in TRANSPORTS {
        for refusal in REFUSALS {
            let (mut ada, mut bob) = proved(transport());
            bob.feed(Input::Refuse(refusal()));
            assert_eq!(bob.failed, Some(HelloError::RefusedHere(refusal())));
            ada.receives(&bob.takes());
            assert_eq!((ada.failed, ada.written), (Some(HelloError::Refused(refusal())), Vec::new()));

            let (mut ada, mut bob) = proved(transport());
            ada.feed(Input::Refuse(refusal()));
            bob.receives(&ada.takes());
            assert_eq!(bob.failed, Some(HelloError::Refused(refusal())));
        }
    }
}

#[test]
fn the_proof_comes_before_the_refusal_so_that_the_dialler_knows_who_declines() {
    let (mut ada, mut bob, hello) = dialled(tls());
    bob.receives(&hello);
    bob.feed(Input::Refuse(Refusal::Draining));
    ada.receives(&bob.takes());
    assert!(ada.proved.is_some());
    assert_eq!(ada.failed, Some(HelloError::Refused(Refusal::Draining)));
}

#[test]
fn a_refusal_crosses_an_admission_and_wins() {
    let (mut ada, mut bob) = proved(tls());
    ada.feed(Input::Admit);
    bob.feed(Input::Refuse(Refusal::Draining));
    bob.receives(&ada.takes());
    ada.receives(&bob.takes());
    assert_eq!(ada.failed, Some(HelloError::Refused(Refusal::Draining)));
    assert_eq!(bob.admitted, None);
}

#[test]
fn an_end_that_has_admitted_and_thinks_better_of_it_closes_without_a_word() {
    // The peer may have begun the link, in which there is no such word.
    let (mut ada, mut bob) = proved(tls());
    bob.feed(Input::Admit);
    ada.receives(&bob.takes());
    bob.feed(Input::Refuse(Refusal::Draining));
    assert_eq!((bob.takes(), bob.failed), (Vec::new(), Some(HelloError::RefusedHere(Refusal::Draining))));
}

#[test]
fn versions_without_a_common_one_are_told_to_both_sides() {
    for transport in TRANSPORTS {
        let (ada, bob) = transport();
        let newer = Versions::new(5, 6).expect("in order");
        let (mut ada, mut bob, hello) = dialled((ada, Config { versions: newer, ..bob }));
        bob.receives(&hello);
        assert_eq!(bob.failed, Some(HelloError::Incompatible { ours: newer, theirs: Versions::SPOKEN }));
        ada.receives(&bob.takes());
        let why = HelloError::Incompatible { ours: Versions::SPOKEN, theirs: newer };
        assert_eq!(ada.failed, Some(why.clone()));
        assert_eq!(
            why.to_string(),
            "this node speaks version 1 of the protocol, the peer 5 to 6: update the older one"
        );
        assert_eq!((ada.proved, bob.proved), (None, None), "nobody is asked");
    }
}

#[test]
fn a_peer_that_finds_no_common_version_where_we_do_is_heard() {
    let (ada, bob) = tls();
    let newer = Versions::new(5, 6).expect("in order");
    let (mut ada, mut bob, reply) = answered((Config { versions: newer, ..ada }, Config { versions: newer, ..bob }));
    ada.receives(&reply);
    assert!(ada.proved.is_some());
    bob.receives(&Greeting::Refused(Refusal::Incompatible).frame());
    assert_eq!(bob.failed, Some(HelloError::Refused(Refusal::Incompatible)));
}

#[test]
fn a_wait_is_an_hour_at_most() {
    let (mut ada, mut bob) = proved(tls());
    bob.feed(Input::Refuse(Refusal::Busy { retry_after: Duration::MAX }));
    ada.receives(&bob.takes());
    let hour = Duration::from_secs(3_600);
    assert_eq!(ada.failed, Some(HelloError::Refused(Refusal::Busy { retry_after: hour })));

    let says = |content: &[u8]| {
        let (mut ada, _) = proved(tls());
        ada.receives(&frame(11, 0, content));
        ada.failed.expect("refused")
    };
    let longest = says(&[0x92, 1, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(longest, HelloError::Refused(Refusal::Busy { retry_after: hour }));
}

#[test]
fn a_reason_of_a_newer_version_is_taken_for_what_it_is() {
    for detail in [&b"\xc0"[..], b"\xa5hello", b"\x81\x01\x92\xc0\xc3"] {
        let (mut ada, _) = proved(tls());
        ada.receives(&frame(11, 0, &[b"\x92\xcc\xc8", detail].concat()));
        assert_eq!(ada.failed, Some(HelloError::Refused(Refusal::Other(200))));
    }
}

#[test]
fn a_refusal_of_another_shape_is_misbehaviour() {
    for content in
        [&b"\xc0"[..], b"\x91\x01", b"\x92\xc0\xc0", b"\x92\x01\xc0", b"\x92\x03\x01", b"\x92\x03\x92\x01\xa0"]
    {
        let (mut ada, _) = proved(tls());
        ada.receives(&frame(11, 0, content));
        assert_eq!(ada.failed, Some(HelloError::Misbehaved(Misbehaved::BadContent("refused"))), "{content:x?}");
    }
}

#[test]
fn nobody_is_refused_by_who_has_proved_nothing() {
    for refusal in REFUSALS {
        let (mut ada, _, _) = dialled(tls());
        ada.receives(&Greeting::Refused(refusal()).frame());
        assert_eq!(ada.refused_in_silence(), &HelloError::Misbehaved(Misbehaved::OutOfTurn(11)));
    }
    let mut bob = End::begin(tls().1);
    bob.receives(&Greeting::Refused(Refusal::Draining).frame());
    assert_eq!(bob.refused_in_silence(), &HelloError::Misbehaved(Misbehaved::OutOfTurn(11)));
}

#[test]
fn the_document_shows_the_bytes_of_refusals() {
    let document = include_str!("../../../../PROTOCOL.md");
    let newest = Epoch::new(1_763_712_000, std::array::from_fn(|at| 0x11 * at as u8));
    for refusal in [
        Refusal::Incompatible,
        Refusal::Busy { retry_after: Duration::from_millis(1_500) },
        Refusal::StaleEpoch { newest },
    ] {
        let frame = Greeting::Refused(refusal).frame();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("msgpack  {} {}  ", hex(&frame[..4]), hex(&frame[4..]));
        assert!(document.contains(&line), "PROTOCOL §9.5 has no {line}");
    }
}
