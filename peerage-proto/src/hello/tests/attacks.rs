//! Whoever has no proof of its own, a thousand times each: refused, and without a word.

use super::ends::{
    ADA, EVE, End, TRANSPORTS, answered, by_chance, dialled, id, insider_says, key, network, opened, says_otherwise,
    settle, some_bytes, tampered, tls, without_exporter,
};
use crate::frame::Side;
use crate::hello::wire::{Greeting, Hello};
use crate::hello::{Binding, Config, HelloError, Input, Misbehaved, Versions};
use crate::sim::Dice;

/// Tries of each attack.
const TRIES: u64 = 1_000;

/// Runs an attack with other bytes each time, on every kind of transport.
fn on_every_transport(attack: impl Fn(&mut Dice, fn() -> (Config, Config))) {
    for transport in TRANSPORTS {
        tries(|dice| attack(dice, transport));
    }
}

fn tries(attack: impl Fn(&mut Dice)) {
    for seed in 0..TRIES {
        attack(&mut Dice::seeded(seed));
    }
}

/// The acceptor hears this from an outsider.
fn hears(mut acceptor: End, bytes: &[u8]) -> HelloError {
    acceptor.receives(bytes);
    acceptor.refused_in_silence().clone()
}

#[test]
fn a_wrong_secret_gets_silence_and_both_sides_know_why() {
    on_every_transport(|dice, transport| {
        let (ada, bob) = by_chance(dice, transport);
        let outsider = Config { network: network("lab", some_bytes(dice)), ..ada };
        let (mut outsider, bob, hello) = dialled((outsider, bob));
        assert_eq!(hears(bob, &hello), HelloError::WrongNetwork);
        outsider.feed(Input::PeerClosed);
        assert_eq!(outsider.refused_in_silence(), &HelloError::WrongNetwork);
    });
}

#[test]
fn a_secret_that_is_nearly_right_is_wrong() {
    let (ada, bob) = tls();
    for bit in 0..256 {
        let mut secret = [0x5e; 32];
        secret[bit / 8] ^= 1 << (bit % 8);
        let outsider = Config { network: network("lab", secret), ..ada.clone() };
        let (_, bob, hello) = dialled((outsider, bob.clone()));
        assert_eq!(hears(bob, &hello), HelloError::WrongNetwork);
    }
}

#[test]
fn the_right_secret_under_the_name_of_another_network_is_wrong() {
    for name in ["Lab", "la", "labs", "b"] {
        let (ada, bob) = tls();
        let outsider = Config { network: network(name, [0x5e; 32]), ..ada };
        let (_, bob, hello) = dialled((outsider, bob));
        assert_eq!(hears(bob, &hello), HelloError::WrongNetwork);
    }
}

#[test]
fn a_dialler_says_no_more_to_an_acceptor_that_has_no_proof() {
    on_every_transport(|dice, transport| {
        let (ada, bob) = by_chance(dice, transport);
        let (mut ada, _, reply) = answered((ada, bob));
        ada.receives(&tampered(&reply, |_, proof, _| *proof = some_bytes(dice)));
        assert_eq!(ada.refused_in_silence(), &HelloError::WrongNetwork);
    });
}

#[test]
fn a_proof_heard_on_one_connection_is_worth_nothing_on_another() {
    on_every_transport(|dice, transport| {
        let (ada, bob) = by_chance(dice, transport);
        let (_, _, recorded) = dialled((ada.clone(), bob.clone()));
        // The same node is dialled again: the same secret and ids, but another connection.
        let mut again = Config { nonce: some_bytes(dice), ..bob };
        if let Binding::Exporter { value, .. } = &mut again.binding {
            *value = some_bytes(dice);
        }
        let mut again = End::begin(again);
        again.takes();
        assert_eq!(hears(again, &recorded), HelloError::WrongNetwork);
    });
}

#[test]
fn an_acceptors_proof_heard_on_one_connection_is_worth_nothing_on_another() {
    on_every_transport(|dice, transport| {
        let (ada, bob) = by_chance(dice, transport);
        let (_, _, recorded) = answered((ada.clone(), bob.clone()));
        let mut again = Config { nonce: some_bytes(dice), ..ada };
        if let Binding::Exporter { value, .. } = &mut again.binding {
            *value = some_bytes(dice);
        }
        // Even if the one in between repeats the recorded Preamble as well.
        let (mut again, _, _) = dialled((again, bob));
        again.receives(&recorded);
        assert_eq!(again.refused_in_silence(), &HelloError::WrongNetwork);
    });
}

#[test]
fn a_proof_thrown_back_at_its_maker_is_none() {
    on_every_transport(|dice, transport| {
        let (mut ada, _, hello) = dialled(by_chance(dice, transport));
        // The nonce does not matter: what the dialler said is what it hears.
        ada.receives(&hello);
        assert_eq!(ada.refused_in_silence(), &HelloError::WrongNetwork);
    });
}

#[test]
fn a_proof_made_in_one_role_is_none_in_the_other() {
    tries(|dice| {
        // Ada dials Eve, who passes what she hears to Ada's own listener, on a connection with the same ids.
        let (ada, bob) = by_chance(dice, tls);
        let (_, _, hello) = dialled((ada.clone(), bob));
        let listener = End::begin(Config { side: Side::Acceptor, ..ada });
        assert_eq!(hears(listener, &hello), HelloError::WrongNetwork);
    });
}

#[test]
fn a_man_in_the_middle_with_a_key_of_his_own_can_carry_nothing() {
    tries(|dice| {
        // Eve ends both TLS connections; each end sees her key and an exporter of its own.
        let (ada, bob) = by_chance(dice, tls);
        let to_eve = |dice: &mut Dice| Binding::Exporter { value: some_bytes(dice), peer: id(EVE) };
        let (mut ada, mut bob) =
            (End::begin(Config { binding: to_eve(dice), ..ada }), End::begin(Config { binding: to_eve(dice), ..bob }));
        bob.receives(&ada.takes());
        assert_eq!(bob.refused_in_silence(), &HelloError::WrongNetwork);
        ada.feed(Input::PeerClosed);
        assert_eq!(ada.refused_in_silence(), &HelloError::WrongNetwork);
    });
}

#[test]
fn two_connections_joined_in_the_middle_are_not_one_even_under_the_right_keys() {
    tries(|dice| {
        let (ada, bob) = by_chance(dice, tls);
        let Binding::Exporter { peer, .. } = bob.binding else { panic!("over TLS") };
        let binding = Binding::Exporter { value: some_bytes(dice), peer };
        let (_, bob, hello) = dialled((ada, Config { binding, ..bob }));
        assert_eq!(hears(bob, &hello), HelloError::WrongNetwork);
    });
}

#[test]
fn a_member_cannot_take_the_id_of_another_whose_key_it_does_not_hold() {
    for binding in [Binding::Local, Binding::Plaintext] {
        tries(|dice| {
            // Eve belongs to the network and says that she is Ada.
            let (ada, bob) = by_chance(dice, || without_exporter(Binding::Local));
            let (ada, bob) = (Config { binding, ..ada }, Config { binding, ..bob });
            let eve = Config { signer: key(EVE), ..ada.clone() };
            let (_, at_bob, hello) = dialled((ada, bob.clone()));
            let Greeting::Hello { hello, .. } = opened(&hello) else { panic!("a Hello") };
            let refused = hears(at_bob, &insider_says(&eve, &bob, &hello, id(ADA)));
            assert_eq!(refused, HelloError::Misbehaved(Misbehaved::BadSignature));
        });
    }
}

#[test]
fn a_member_that_takes_anothers_id_over_tls_has_a_proof_for_the_wrong_id() {
    tries(|dice| {
        // TLS has proved Eve's key to Bob; her proof is made in Ada's name.
        let (ada, bob) = by_chance(dice, tls);
        let Binding::Exporter { value, .. } = bob.binding else { panic!("over TLS") };
        let bob = Config { binding: Binding::Exporter { value, peer: id(EVE) }, ..bob };
        let (_, bob, hello) = dialled((ada, bob));
        assert_eq!(hears(bob, &hello), HelloError::WrongNetwork);
    });
}

#[test]
fn nobody_can_take_versions_or_features_out_of_a_hello() {
    let rich = |(ada, bob): (Config, Config)| {
        let rich = |config: Config| Config {
            versions: Versions::new(1, 9).expect("in order"),
            features: super::ends::features(&["lz4", "sealed", "streams"]),
            ..config
        };
        (rich(ada), rich(bob))
    };
    let changes: [fn(&mut Hello); 6] = [
        |hello| hello.features.clear(),
        |hello| assert!(hello.features.remove("sealed")),
        |hello| assert!(hello.features.insert("weak".into())),
        |hello| hello.versions = Versions::new(1, 1).expect("in order"),
        |hello| hello.epoch = crate::id::Epoch::new(u64::MAX, [0; 16]),
        |hello| hello.dial_seq = hello.dial_seq.map(|n| n + 1),
    ];
    for transport in TRANSPORTS {
        for (nth, change) in changes.into_iter().enumerate() {
            let (_, bob, hello) = dialled(rich(transport()));
            assert_eq!(hears(bob, &says_otherwise(&hello, change)), HelloError::WrongNetwork, "change {nth}");
            if nth == 5 {
                continue; // an acceptor's Hello has no such field
            }
            let (mut ada, _, reply) = answered(rich(transport()));
            ada.receives(&says_otherwise(&reply, change));
            assert_eq!(ada.refused_in_silence(), &HelloError::WrongNetwork, "change {nth}");
        }
    }
}

#[test]
fn what_was_done_to_the_diallers_hello_shows_in_the_acceptors_proof_too() {
    // Even an acceptor that does not look at the dialler's proof cannot hide that the Hello was changed on the way.
    let (mut ada, _, _) = dialled(tls());
    let (other, bob) = tls();
    let (_, _, reply) = answered((Config { features: super::ends::features(&["weak"]), ..other }, bob));
    ada.receives(&reply);
    assert_eq!(ada.refused_in_silence(), &HelloError::WrongNetwork);
}

#[test]
fn no_flipped_bit_of_a_hello_is_overlooked() {
    for transport in TRANSPORTS {
        let preamble = End::begin(transport().1).takes();
        let (_, _, hello) = dialled(transport());
        let (_, _, reply) = answered(transport());
        for bit in 0..hello.len() * 8 {
            let mut bob = End::begin(transport().1);
            bob.takes();
            bob.receives(&flipped(&hello, bit));
            assert_eq!((bob.takes(), bob.proved), (Vec::new(), None), "bit {bit} of the dialler's Hello");
        }
        for bit in 0..reply.len() * 8 {
            let mut ada = End::begin(transport().0);
            ada.receives(&preamble);
            ada.takes();
            ada.receives(&flipped(&reply, bit));
            assert_eq!((ada.takes(), ada.proved), (Vec::new(), None), "bit {bit} of the acceptor's Hello");
        }
    }
}

#[test]
fn a_preamble_with_a_flipped_bit_leads_nowhere() {
    for binding in [Binding::Local, Binding::Plaintext] {
        let preamble = End::begin(without_exporter(binding).1).takes();
        for bit in 0..preamble.len() * 8 {
            let (ada, bob) = without_exporter(binding);
            let (mut ada, mut bob) = (End::begin(ada), End::begin(bob));
            bob.takes();
            ada.receives(&flipped(&preamble, bit));
            settle(&mut ada, &mut bob);
            assert_eq!((ada.proved, bob.proved), (None, None), "bit {bit}");
        }
    }
}

#[test]
fn a_hello_cut_off_anywhere_is_none() {
    for transport in TRANSPORTS {
        let (_, _, hello) = dialled(transport());
        for length in 0..hello.len() {
            let (_, mut bob, _) = dialled(transport());
            bob.receives(&hello[..length]);
            assert_eq!(bob.failed, None, "the rest may come");
            bob.feed(Input::PeerClosed);
            assert_eq!(bob.refused_in_silence(), &HelloError::Closed, "{length} bytes");
        }
        let (_, _, reply) = answered(transport());
        for length in 0..reply.len() {
            let (mut ada, _, _) = answered(transport());
            ada.receives(&reply[..length]);
            ada.feed(Input::PeerClosed);
            assert_eq!(ada.refused_in_silence(), &HelloError::WrongNetwork, "{length} bytes");
        }
    }
}

#[test]
fn random_bytes_get_silence() {
    on_every_transport(|dice, transport| {
        let mut bytes: Vec<u8> = (0..dice.size(5_000)).map(|_| dice.below(256) as u8).collect();
        if dice.chance(80) && bytes.len() > 4 {
            // A length that fits, so that the body is looked at.
            let length = u32::try_from(bytes.len() - 4).expect("short").to_be_bytes();
            bytes[..4].copy_from_slice(&length);
        }
        let (ada, bob, _) = dialled(transport());
        for mut end in [ada, bob] {
            end.receives(&bytes);
            assert_eq!((end.takes(), end.proved), (Vec::new(), None));
        }
    });
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}
