//! What is not allowed, each kind once: the connection ends, and before a proof it ends without a word.

use super::ends::{
    ADA, BOB, End, answered, dialled, frame, id, insider_says, opened, proved, says_otherwise, tls, without_exporter,
};
use crate::codec::{BadTriple, Encoding, Payload, Value};
use crate::hello::proof::Bound;
use crate::hello::wire::{Greeting, Hello};
use crate::hello::{Binding, Config, HelloError, Input, Misbehaved};
use crate::limits;

fn misbehaved(why: Misbehaved) -> HelloError {
    HelloError::Misbehaved(why)
}

#[test]
fn bytes_of_other_protocols_get_silence() {
    let request = b"GET / HTTP/1.1\r\nHost: node\r\n\r\n";
    let client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for bytes in [&request[..], client_hello, b"SSH-2.0-OpenSSH_9.9\r\n", &[0xff; 16]] {
        for mut end in [End::begin(tls().1), dialled(tls()).0] {
            end.receives(bytes);
            assert_eq!(end.refused_in_silence(), &HelloError::TooMuch, "{bytes:?}");
        }
    }
    let mut bob = End::begin(tls().1);
    bob.receives(b"\x00\x00\x00\x0e[0, 0, \"ohai\"]");
    let other = BadTriple::OtherCodec { expected: Encoding::MsgPack, found: Encoding::Json };
    assert_eq!(bob.refused_in_silence(), &misbehaved(Misbehaved::BadFrame(other)));
    let mut bob = End::begin(tls().1);
    bob.receives(&[0; 4]);
    assert_eq!(bob.refused_in_silence(), &misbehaved(Misbehaved::BadFrame(BadTriple::Empty)));
}

#[test]
fn a_frame_that_does_not_fit_is_refused_when_its_length_is_known() {
    let most = limits::ADMISSION_BYTES_MAX - 4;
    for mut end in [End::begin(tls().1), dialled(tls()).0] {
        end.receives(&(most + 1).to_be_bytes());
        assert_eq!(end.refused_in_silence(), &HelloError::TooMuch);
    }
    let mut bob = End::begin(tls().1);
    bob.receives(&most.to_be_bytes());
    assert_eq!(bob.failed, None, "this much may come");
    bob.receives(&vec![0x93; most as usize]);
    assert!(matches!(bob.refused_in_silence(), HelloError::Misbehaved(Misbehaved::BadFrame(_))));
}

#[test]
fn all_frames_before_the_proof_share_one_allowance() {
    let (ada, bob) = without_exporter(Binding::Local);
    let preamble = End::begin(bob).takes();
    let left = limits::ADMISSION_BYTES_MAX - u32::try_from(preamble.len()).unwrap() - 4;
    for (length, failed) in [(left, None), (left + 1, Some(HelloError::TooMuch))] {
        let mut ada = End::begin(ada.clone());
        ada.receives(&[&preamble[..], &length.to_be_bytes()].concat());
        assert_eq!(ada.failed, failed);
    }
}

#[test]
fn a_member_has_an_allowance_too() {
    let (_, mut bob) = proved(tls());
    bob.receives(&limits::ADMISSION_BYTES_MAX.to_be_bytes());
    assert_eq!(bob.failed, Some(HelloError::TooMuch));
}

#[test]
fn the_id_of_a_frame_of_the_handshake_is_0() {
    let (_, mut bob, _) = dialled(tls());
    bob.receives(&frame(9, 1, b"\xc0"));
    assert_eq!(bob.refused_in_silence(), &misbehaved(Misbehaved::BadId(1)));
}

#[test]
fn each_kind_has_its_turn() {
    let out_of_turn = |mut end: End, kind: u64, bytes: &[u8]| {
        end.receives(bytes);
        assert_eq!(end.failed, Some(misbehaved(Misbehaved::OutOfTurn(kind))), "kind {kind}");
    };
    let (_, _, hello) = dialled(tls());
    let (_, _, reply) = answered(tls());
    let preamble = End::begin(without_exporter(Binding::Local).1).takes();
    let admitted = Greeting::Admitted.frame();
    let local = || End::begin(without_exporter(Binding::Local).0);

    out_of_turn(local(), 9, &hello);
    out_of_turn(local(), 10, &admitted);
    out_of_turn(End::begin(tls().1), 8, &preamble);
    out_of_turn(End::begin(tls().1), 10, &admitted);
    out_of_turn(dialled(tls()).0, 8, &preamble);
    out_of_turn(dialled(tls()).0, 10, &admitted);
    let (ada, bob) = proved(tls());
    out_of_turn(bob, 9, &hello);
    out_of_turn(ada, 9, &reply);
    out_of_turn(proved(tls()).1, 8, &preamble);
    // Frames of a link, of newer versions, of nothing: none has a turn before admission.
    for kind in [0, 1, 6, 7, 12, 14, 32, 200] {
        out_of_turn(End::begin(tls().1), kind.into(), &frame(kind, 0, b"\xc0"));
        out_of_turn(proved(tls()).0, kind.into(), &frame(kind, 0, b"\xc0"));
    }
}

#[test]
fn the_second_of_two_hellos_is_out_of_turn() {
    let (_, mut bob, hello) = dialled(tls());
    bob.receives(&[hello.clone(), hello].concat());
    assert_eq!(bob.failed, Some(misbehaved(Misbehaved::OutOfTurn(9))));
    assert_eq!(bob.admitted, None);
}

#[test]
fn content_has_the_shape_of_its_kind() {
    for content in [&b"\xc0"[..], b"\x93\xc4\x00\xc4\x00\xc0", b"\x92\xc4\x00\xc4\x00", b"\x93\xa0\xa0\xc0"] {
        let mut bob = End::begin(tls().1);
        bob.receives(&frame(9, 0, content));
        assert_eq!(bob.refused_in_silence(), &misbehaved(Misbehaved::BadContent("hello")), "{content:x?}");
    }
    let short = [&b"\x92\xc4\x20"[..], &[7; 32], b"\xc4\x1f", &[7; 31]].concat();
    for content in [&b"\xc0"[..], &short, b"\x93\xc0\xc0\xc0"] {
        let mut ada = End::begin(without_exporter(Binding::Local).0);
        ada.receives(&frame(8, 0, content));
        assert_eq!(ada.refused_in_silence(), &misbehaved(Misbehaved::BadContent("preamble")), "{content:x?}");
    }
}

/// What Bob says to a dialler that holds the secret and whose Hello has these entries.
fn hears_hello(binding: Binding, change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Option<HelloError> {
    let (ada, bob) = if let Binding::Exporter { .. } = binding { tls() } else { without_exporter(binding) };
    let (_, mut at_bob, hello) = dialled((ada.clone(), bob.clone()));
    let Greeting::Hello { hello, .. } = opened(&hello) else { panic!("a Hello") };
    let content = Payload::from_parts(Encoding::MsgPack, hello.into());
    let Value::Map(mut entries) = content.decode().unwrap() else { panic!("a map") };
    change(&mut entries);
    let hello = Payload::encode(&Value::Map(entries), Encoding::MsgPack).unwrap();
    at_bob.receives(&insider_says(&ada, &bob, hello.bytes(), id(ADA)));
    if at_bob.failed.is_some() {
        at_bob.refused_in_silence();
    }
    at_bob.failed
}

fn set(entries: &mut Vec<(Value, Value)>, key: &str, value: Option<Value>) {
    let key = Value::Text(key.to_owned());
    entries.retain(|(k, _)| *k != key);
    entries.extend(value.map(|value| (key, value)));
}

#[test]
fn a_hello_holds_what_it_must_in_the_form_it_has() {
    let bad = Some(misbehaved(Misbehaved::BadContent("hello")));
    let (exporter, numbers) =
        (tls().1.binding, |list: &[i128]| Some(Value::List(list.iter().map(|n| Value::Int(*n)).collect())));
    assert_eq!(hears_hello(exporter, |_| {}), None);
    for key in ["versions", "features", "epoch", "dial_seq", "nonce"] {
        assert_eq!(hears_hello(exporter, |hello| set(hello, key, None)), bad, "without {key}");
    }
    assert_eq!(hears_hello(Binding::Local, |hello| set(hello, "id", None)), bad, "without id");
    let wrong = [
        ("versions", numbers(&[2, 1])),
        ("versions", numbers(&[1])),
        ("versions", numbers(&[1, 1 << 32])),
        ("versions", numbers(&[-1, 1])),
        ("features", Some(Value::Text("lz4".into()))),
        ("features", numbers(&[1])),
        ("epoch", numbers(&[1, 2])),
        ("dial_seq", Some(Value::Int(-1))),
        ("dial_seq", Some(Value::Text("1".into()))),
        ("nonce", Some(Value::Bytes(vec![7; 31]))),
        ("nonce", Some(Value::Bytes(vec![7; 33]))),
        ("nonce", Some(Value::Text("x".repeat(32)))),
        ("nonce", numbers(&[7; 32])),
    ];
    for (key, value) in wrong {
        assert_eq!(hears_hello(exporter, |hello| set(hello, key, value.clone())), bad, "{key}: {value:?}");
    }
    let twice = |hello: &mut Vec<(Value, Value)>| hello.push((Value::Text("dial_seq".into()), Value::Int(9)));
    assert_eq!(hears_hello(exporter, twice), bad, "a key that is there twice");
}

#[test]
fn a_hello_is_a_map_and_no_list_of_its_values() {
    let (ada, bob) = tls();
    let (_, mut at_bob, hello) = dialled((ada.clone(), bob.clone()));
    let Greeting::Hello { hello, .. } = opened(&hello) else { panic!("a Hello") };
    let Value::Map(entries) = Payload::from_parts(Encoding::MsgPack, hello.into()).decode().unwrap() else {
        panic!("a map")
    };
    let list = Value::List(entries.into_iter().map(|(_, value)| value).collect());
    let list = Payload::encode(&list, Encoding::MsgPack).unwrap();
    at_bob.receives(&insider_says(&ada, &bob, list.bytes(), id(ADA)));
    assert_eq!(at_bob.refused_in_silence(), &misbehaved(Misbehaved::BadContent("hello")));
}

#[test]
fn an_acceptor_stands_by_the_nonce_of_its_preamble() {
    let (ada, bob) = without_exporter(Binding::Local);
    let (mut at_ada, _, hello) = dialled((ada.clone(), bob.clone()));
    let Greeting::Hello { hello: adas, .. } = opened(&hello) else { panic!("a Hello") };
    let bound = Bound::by_nonces((id(ADA), &ada.nonce), (id(BOB), &bob.nonce));
    let bobs = Hello {
        versions: bob.versions,
        features: [].into(),
        epoch: bob.epoch,
        dial_seq: None,
        nonce: [0x0e; 32],
        id: None,
    };
    let hello = bobs.encode();
    use sha2::Digest;
    let hellos = sha2::Sha256::new().chain_update(adas).chain_update(&hello);
    let proof = bound.proof(crate::frame::Side::Acceptor, &bob.network, &hellos);
    let signature = Some(bob.signer.sign(&bound.signed_text(crate::frame::Side::Acceptor)));
    at_ada.receives(&Greeting::Hello { hello, proof, signature }.frame());
    assert_eq!(at_ada.refused_in_silence(), &misbehaved(Misbehaved::OtherNonce));
}

#[test]
fn nothing_may_follow_a_word_of_admission_that_was_not_returned() {
    let (mut ada, _) = proved(tls());
    ada.receives(&[&Greeting::Admitted.frame()[..], &[0]].concat());
    assert_eq!(ada.failed, Some(misbehaved(Misbehaved::TooEarly)));

    let (mut ada, _) = proved(tls());
    ada.receives(&Greeting::Admitted.frame());
    ada.receives(&[]);
    assert_eq!(ada.failed, None);
    ada.receives(&Greeting::Admitted.frame());
    assert_eq!(ada.failed, Some(misbehaved(Misbehaved::TooEarly)));
}

#[test]
fn a_member_that_breaks_off_or_misbehaves_is_not_spoken_to_either() {
    let (ada, bob) = tls();
    let (_, mut at_bob, hello) = dialled((ada, Config { ..bob }));
    at_bob.receives(&hello);
    at_bob.takes();
    at_bob.feed(Input::Broken("reset".into()));
    assert_eq!((at_bob.failed, at_bob.written), (Some(HelloError::Broken("reset".into())), Vec::new()));
    let (mut ada, _) = proved(tls());
    ada.receives(&says_otherwise(&answered(tls()).2, |_| {}));
    assert_eq!((ada.failed, ada.written), (Some(misbehaved(Misbehaved::OutOfTurn(9))), Vec::new()));
}
