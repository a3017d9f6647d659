//! Two nodes of one network.

use super::ends::{
    ADA, BOB, End, TRANSPORTS, by_chance, epoch_of, features, id, insider_says, proved, says_otherwise, settle, tls,
};
use crate::codec::{Encoding, Payload, Value};
use crate::hello::wire::Greeting;
use crate::hello::{Binding, Config, HelloError, Input, Trust, Versions};
use crate::sim::Dice;

#[test]
fn two_nodes_of_a_network_admit_each_other_on_every_kind_of_transport() {
    for transport in TRANSPORTS {
        let (ada, bob) = transport();
        let trust = if ada.binding == Binding::Plaintext { Trust::Claimed } else { Trust::Proven };
        let (mut ada, mut bob) = (End::begin(ada), End::begin(bob));
        settle(&mut ada, &mut bob);
        let (at_ada, at_bob) = (ada.admitted.expect("admitted").0, bob.admitted.expect("admitted").0);
        assert_eq!((at_ada.peer, at_ada.epoch, at_ada.trust), (id(BOB), epoch_of(BOB), trust));
        assert_eq!((at_bob.peer, at_bob.epoch, at_bob.trust), (id(ADA), epoch_of(ADA), trust));
        assert_eq!((at_ada.order.dialer, at_ada.order.dial_seq), (id(ADA), 7));
        assert_eq!((at_ada.order, at_ada.version), (at_bob.order, at_bob.version));
        assert_eq!((Some(at_ada), Some(at_bob)), (ada.proved, bob.proved), "what was proved is what was asked about");
    }
}

#[test]
fn the_link_begins_when_both_have_admitted_whoever_is_first() {
    let (mut ada, mut bob) = proved(tls());
    ada.feed(Input::Admit);
    let word = ada.takes();
    assert_eq!((word.as_slice(), &ada.admitted), (&*Greeting::Admitted.frame(), &None), "her word alone is no link");
    bob.receives(&word);
    assert_eq!(bob.admitted, None, "Bob's node has not decided");
    bob.feed(Input::Admit);
    assert!(bob.admitted.is_some());
    ada.receives(&bob.takes());
    assert!(ada.admitted.is_some());

    let (mut ada, mut bob) = proved(tls());
    bob.feed(Input::Admit);
    bob.feed(Input::Admit);
    ada.receives(&bob.takes());
    assert_eq!(ada.admitted, None, "Ada's node has not decided");
    ada.feed(Input::Admit);
    assert!(ada.admitted.is_some());
    bob.receives(&ada.takes());
    assert!(bob.admitted.is_some());
}

#[test]
fn what_comes_behind_the_last_word_belongs_to_the_link() {
    let (_, mut bob) = proved(tls());
    bob.feed(Input::Admit);
    bob.receives(&[&Greeting::Admitted.frame()[..], b"first bytes of a link"].concat());
    let (_, behind) = bob.admitted.expect("admitted");
    assert_eq!(behind, &b"first bytes of a link"[..]);
}

#[test]
fn hellos_and_words_that_arrive_together_are_taken_one_after_the_other() {
    let (mut ada, mut bob, reply) = super::ends::answered(tls());
    bob.feed(Input::Admit);
    ada.receives(&[reply, bob.takes()].concat());
    assert!(ada.proved.is_some() && ada.admitted.is_none());
    ada.feed(Input::Admit);
    assert!(ada.admitted.is_some());
}

#[test]
fn both_speak_the_newest_common_version_and_use_the_features_that_both_offer() {
    let (ada, bob) = tls();
    let versions = |min, max| Versions::new(min, max).expect("in order");
    let ada = Config { versions: versions(1, 4), features: features(&["lz4", "streams"]), ..ada };
    let bob = Config { versions: versions(2, 3), features: features(&["lz4", "time-travel"]), ..bob };
    let (ada, bob) = proved((ada, bob));
    for established in [ada.proved, bob.proved] {
        let established = established.expect("proved");
        assert_eq!((established.version, established.features), (3, features(&["lz4"])));
    }
}

#[test]
fn fields_of_a_newer_version_are_skipped() {
    for transport in TRANSPORTS {
        let (ada, bob) = transport();
        let (_, mut at_bob, hello) = super::ends::dialled((ada.clone(), bob.clone()));
        let Greeting::Hello { hello, .. } = super::ends::opened(&hello) else { panic!("a Hello") };
        let content = Payload::from_parts(Encoding::MsgPack, hello.into());
        let Value::Map(mut entries) = content.decode().expect("a value") else { panic!("a map") };
        let news = Value::List(vec![Value::Null, Value::Bytes(vec![1, 2]), Value::Map(Vec::new())]);
        entries.insert(1, (Value::Text("mood".into()), news));
        let newer = Payload::encode(&Value::Map(entries), Encoding::MsgPack).expect("encodes");
        at_bob.receives(&insider_says(&ada, &bob, newer.bytes(), id(ADA)));
        assert_eq!(at_bob.failed, None);
        assert_eq!(at_bob.proved.expect("served").peer, id(ADA));
    }
}

#[test]
fn every_connection_has_its_own_place_in_the_order_and_both_ends_the_same() {
    let mut dice = Dice::seeded(1);
    let mut seen = Vec::new();
    for transport in TRANSPORTS {
        for _ in 0..20 {
            let (ada, bob) = proved(by_chance(&mut dice, transport));
            let order = ada.proved.expect("proved").order;
            assert_eq!(order, bob.proved.expect("proved").order);
            assert!(!seen.contains(&order));
            seen.push(order);
        }
    }
}

#[test]
fn neither_the_name_of_the_network_nor_its_secret_is_ever_sent() {
    for transport in TRANSPORTS {
        let (ada, bob) = transport();
        let network = super::ends::network("a-name-to-look-for", [0xc5; 32]);
        let configs = (Config { network: network.clone(), ..ada }, Config { network, ..bob });
        let (ada, bob, hello) = super::ends::dialled(configs.clone());
        let (_, _, reply) = super::ends::answered(configs);
        for bytes in [ada.written, bob.written, hello, reply] {
            assert!(!bytes.windows(18).any(|part| part == b"a-name-to-look-for"));
            assert!(!bytes.windows(16).any(|part| part == [0xc5; 16]));
        }
    }
}

#[test]
fn a_hello_takes_less_than_half_of_what_may_come_before_the_proof() {
    let names = (0..64).map(|n| format!("{n:0>32}"));
    let features = crate::hello::Features::offer(names).expect("at the limit");
    let (ada, bob) = super::ends::without_exporter(Binding::Local);
    let (_, _, hello) = super::ends::dialled((ada.clone(), bob.clone()));
    assert!(hello.len() < 400, "{} bytes", hello.len());
    let (_, _, hello) = super::ends::dialled((Config { features: features.clone(), ..ada.clone() }, bob.clone()));
    assert!(hello.len() < 3_000, "{} bytes with all features that can be offered", hello.len());
    let both = (Config { features: features.clone(), ..ada }, Config { features: features.clone(), ..bob });
    assert_eq!(proved(both).0.proved.expect("proved").features, features);
}

#[test]
fn what_is_said_before_the_machine_asked_has_no_effect() {
    let (mut ada, mut bob, hello) = super::ends::dialled(tls());
    for end in [&mut ada, &mut bob] {
        end.feed(Input::Admit);
        end.feed(Input::Refuse(crate::hello::Refusal::Draining));
        end.feed(Input::Start);
        end.feed(Input::Timeout);
        assert_eq!((end.takes(), &end.failed), (Vec::new(), &None));
    }
    bob.receives(&hello);
    assert!(bob.proved.is_some());
}

#[test]
fn after_the_end_nothing_has_any_effect() {
    let (mut ada, mut bob) = (End::begin(tls().0), End::begin(tls().1));
    settle(&mut ada, &mut bob);
    let mut broken = End::begin(tls().1);
    broken.feed(Input::Broken("cable cut".into()));
    assert_eq!(broken.refused_in_silence(), &HelloError::Broken("cable cut".into()));
    // `End` panics at anything that follows.
    for end in [&mut ada, &mut bob, &mut broken] {
        end.receives(&Greeting::Admitted.frame());
        end.feed(Input::PeerClosed);
        end.feed(Input::Broken(String::new()));
        end.feed(Input::Admit);
        end.feed(Input::Refuse(crate::hello::Refusal::Draining));
        end.now += std::time::Duration::from_secs(60);
        end.feed(Input::Timeout);
    }
}

#[test]
fn a_peer_that_leaves_in_between_is_told_from_one_that_does_not_know_the_secret() {
    // Before the dialler has said anything, and after both proofs, an end of stream is only that.
    let mut waiting = End::begin(super::ends::without_exporter(Binding::Local).0);
    waiting.feed(Input::PeerClosed);
    assert_eq!(waiting.refused_in_silence(), &HelloError::Closed);
    let mut undialled = End::begin(tls().1);
    undialled.feed(Input::PeerClosed);
    assert_eq!(undialled.refused_in_silence(), &HelloError::Closed);
    let (mut ada, mut bob) = proved(tls());
    for end in [&mut ada, &mut bob] {
        end.feed(Input::PeerClosed);
        assert_eq!(end.failed, Some(HelloError::Closed));
    }
    // In between it is all the answer that a wrong proof gets.
    let (mut ada, _, _) = super::ends::dialled(tls());
    ada.feed(Input::PeerClosed);
    assert_eq!(ada.failed, Some(HelloError::WrongNetwork));
}

#[test]
fn an_acceptors_dial_seq_counts_for_nothing() {
    let (ada, bob) = tls();
    let (mut ada, _, reply) = super::ends::answered((ada, Config { dial_seq: 99, ..bob }));
    ada.receives(&reply);
    assert_eq!(ada.proved.expect("proved").order.dial_seq, 7);
    // And it is not even sent: a Hello without it stays as it is when it is decoded and encoded again.
    assert_eq!(says_otherwise(&reply, |hello| assert_eq!(hello.dial_seq, None)), reply);
}
