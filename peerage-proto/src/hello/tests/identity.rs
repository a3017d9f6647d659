//! Who is at the other end, and who is not.

use super::ends::{
    ADA, BOB, EVE, End, answered, dialled, epoch_of, id, insider_says, key, network, opened, tampered, tls,
    without_exporter,
};
use crate::hello::wire::{Greeting, Hello};
use crate::hello::{Binding, Config, HelloError, InvalidNetworkKey, Misbehaved, NetworkKey};
use crate::id::{InvalidName, NodeId};

#[test]
fn a_connection_to_oneself_is_noticed_at_both_ends() {
    let (ada, _) = tls();
    let Binding::Exporter { value, .. } = ada.binding else { panic!("over TLS") };
    let to_ada = Binding::Exporter { value, peer: id(ADA) };
    let listener = Config { side: crate::frame::Side::Acceptor, binding: to_ada, nonce: [1; 32], ..ada.clone() };
    for end in [Config { binding: to_ada, ..ada }, listener] {
        assert_eq!(End::begin(end).refused_in_silence(), &HelloError::ToMyself);
    }
}

#[test]
fn a_connection_to_oneself_is_noticed_without_an_exporter_too() {
    for binding in [Binding::Local, Binding::Plaintext] {
        let (ada, bob) = without_exporter(binding);
        let listener = Config { signer: key(ADA), ..bob };
        let mut at_listener = End::begin(listener.clone());
        let mut dialler = End::begin(ada.clone());
        dialler.receives(&at_listener.takes());
        assert_eq!(dialler.refused_in_silence(), &HelloError::ToMyself);
        // Or by somebody who holds a copy of the key, and does not look.
        let (_, _, hello) = dialled((ada.clone(), Config { signer: key(BOB), ..listener.clone() }));
        let Greeting::Hello { hello, .. } = opened(&hello) else { panic!("a Hello") };
        at_listener.receives(&insider_says(&ada, &listener, &hello, id(ADA)));
        assert_eq!(at_listener.refused_in_silence(), &HelloError::ToMyself);
    }
}

#[test]
fn a_dialler_that_wants_one_node_says_nothing_to_another() {
    for binding in [tls().0.binding, Binding::Local, Binding::Plaintext] {
        let (ada, bob) = tls();
        let bobs = if matches!(binding, Binding::Exporter { .. }) { bob.binding } else { binding };
        let ada = Config { binding, expected: Some(id(EVE)), ..ada };
        let (mut ada, mut bob) = (End::begin(ada), End::begin(Config { binding: bobs, ..bob }));
        let preamble = bob.takes();
        ada.receives(&preamble);
        let mismatch = HelloError::IdentityMismatch { expected: id(EVE), found: id(BOB) };
        assert_eq!(ada.refused_in_silence(), &mismatch);
    }
}

#[test]
fn a_dialler_that_wants_the_node_that_is_there_goes_on() {
    for configs in [tls(), without_exporter(Binding::Local)] {
        let (ada, bob) = configs;
        let (mut ada, _, reply) = answered((Config { expected: Some(id(BOB)), ..ada }, bob));
        ada.receives(&reply);
        assert_eq!(ada.proved.expect("proved").peer, id(BOB));
    }
}

#[test]
fn an_acceptor_can_want_one_node_as_well() {
    for configs in [tls(), without_exporter(Binding::Local)] {
        let (ada, bob) = configs;
        let (mut ada, mut bob) = (End::begin(ada), End::begin(Config { expected: Some(id(EVE)), ..bob }));
        ada.receives(&bob.takes());
        bob.receives(&ada.takes());
        let mismatch = HelloError::IdentityMismatch { expected: id(EVE), found: id(ADA) };
        assert_eq!(bob.refused_in_silence(), &mismatch);
    }
}

#[test]
fn a_signature_belongs_where_there_is_no_exporter_and_nowhere_else() {
    let misbehaved = HelloError::Misbehaved(Misbehaved::BadSignature);
    let (_, mut bob, hello) = dialled(tls());
    bob.receives(&tampered(&hello, |_, _, signature| *signature = Some([7; 64])));
    assert_eq!(bob.refused_in_silence(), &misbehaved);
    let (mut ada, _, reply) = answered(tls());
    ada.receives(&tampered(&reply, |_, _, signature| *signature = Some([7; 64])));
    assert_eq!(ada.refused_in_silence(), &misbehaved);
    for binding in [Binding::Local, Binding::Plaintext] {
        let (_, mut bob, hello) = dialled(without_exporter(binding));
        bob.receives(&tampered(&hello, |_, _, signature| *signature = None));
        assert_eq!(bob.refused_in_silence(), &misbehaved);
        let (mut ada, _, reply) = answered(without_exporter(binding));
        ada.receives(&tampered(&reply, |_, _, signature| *signature = None));
        assert_eq!(ada.refused_in_silence(), &misbehaved);
    }
}

#[test]
fn an_id_of_small_order_cannot_be_claimed() {
    let (ada, bob) = without_exporter(Binding::Local);
    let weak = NodeId::from_bytes(std::array::from_fn(|at| u8::from(at == 0)));
    let hello = Hello {
        versions: ada.versions,
        features: [].into(),
        epoch: epoch_of(ADA),
        dial_seq: Some(1),
        nonce: ada.nonce,
        id: Some(weak),
    };
    let mut at_bob = End::begin(bob.clone());
    at_bob.takes();
    let frame = insider_says(&ada, &bob, &hello.encode(), weak);
    // R = 1 × B and S = 1 fit every message under this key by lax rules.
    at_bob.receives(&tampered(&frame, |_, _, signature| {
        let mut fits = [0x66; 64];
        fits[0] = 0x58;
        fits[32..].fill(0);
        fits[32] = 1;
        *signature = Some(fits);
    }));
    assert_eq!(at_bob.refused_in_silence(), &HelloError::Misbehaved(Misbehaved::BadSignature));
}

#[test]
fn debug_output_holds_neither_secret_nor_exporter() {
    let (ada, bob) = tls();
    let lab = network("lab", [0xc5; 32]);
    let mut configs = (Config { network: lab.clone(), ..ada }, Config { network: lab.clone(), ..bob });
    for config in [&mut configs.0, &mut configs.1] {
        if let Binding::Exporter { value, .. } = &mut config.binding {
            *value = [0xc6; 32];
        }
    }
    assert_eq!(format!("{lab:?}"), "NetworkKey(\"lab\", secret hidden)");
    let (ada, bob, _) = answered(configs.clone());
    for text in [format!("{:?}", configs.0), format!("{:?}", ada.machine), format!("{:#?}", bob.machine)] {
        let text: String = text.split_whitespace().collect();
        for byte in ["197,197", "198,198", "c5c5", "c6c6", "C5C5", "xcXF"] {
            assert!(!text.contains(byte), "{byte} in {text}");
        }
    }
}

#[test]
fn a_network_needs_a_name_and_a_secret_that_cannot_be_guessed() {
    assert!(NetworkKey::new("lab", &[7; 16]).is_ok());
    assert!(NetworkKey::new("lab", &[7; 64]).is_ok());
    for bytes in [0, 15, 65] {
        let refused = NetworkKey::new("lab", &vec![7; bytes]).err();
        assert_eq!(refused, Some(InvalidNetworkKey::SecretLength { bytes }));
    }
    let refused = NetworkKey::new("", &[7; 32]).err();
    assert_eq!(refused, Some(InvalidNetworkKey::Name(InvalidName::Length { bytes: 0 })));
}
