//! Two nodes of one network.

use super::ends::{ADA, BOB, End, epoch_of, id, settle, tls, without_exporter};
use crate::hello::{Binding, Trust};

#[test]
fn two_nodes_of_a_network_admit_each_other_on_every_kind_of_transport() {
    for ((ada, bob), trust) in [
        (tls(), Trust::Proven),
        (without_exporter(Binding::Local), Trust::Proven),
        (without_exporter(Binding::Plaintext), Trust::Claimed),
    ] {
        let (mut ada, mut bob) = (End::begin(ada), End::begin(bob));
        settle(&mut ada, &mut bob);
        let (at_ada, at_bob) = (ada.admitted.expect("admitted").0, bob.admitted.expect("admitted").0);
        assert_eq!((at_ada.peer, at_ada.epoch, at_ada.trust), (id(BOB), epoch_of(BOB), trust));
        assert_eq!((at_bob.peer, at_bob.epoch, at_bob.trust), (id(ADA), epoch_of(ADA), trust));
        assert_eq!((at_ada.order.dialer, at_ada.order.dial_seq), (id(ADA), 7));
        assert_eq!((at_ada.order, at_ada.version), (at_bob.order, at_bob.version));
    }
}
