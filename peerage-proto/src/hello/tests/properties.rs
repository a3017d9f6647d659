//! What holds however the bytes are cut.

use proptest::prelude::*;

use super::ends::{End, TRANSPORTS, by_chance, settle};
use crate::hello::{Config, Established, Input};
use crate::sim::Dice;

/// Carries bytes in pieces of these sizes, in turn from either side, and admits as soon as it is asked.
fn in_pieces((ada, bob): (Config, Config), pieces: &[usize]) -> (Established, Established) {
    let mut ends = [End::begin(ada), End::begin(bob)];
    let mut on_the_way = [Vec::new(), Vec::new()];
    for nth in 0..100_000 {
        let (from, to) = (nth % 2, 1 - nth % 2);
        let written = ends[from].takes();
        on_the_way[from].extend_from_slice(&written);
        let piece = pieces[nth % pieces.len()].min(on_the_way[from].len());
        let bytes: Vec<u8> = on_the_way[from].drain(..piece).collect();
        ends[to].receives(&bytes);
        if ends[to].proved.is_some() && ends[to].admitted.is_none() {
            ends[to].feed(Input::Admit);
        }
        if ends.iter().all(|end| end.admitted.is_some()) {
            break;
        }
    }
    let [ada, bob] = ends.map(|end| end.admitted.expect("admitted").0);
    (ada, bob)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_the_bytes_are_cut_both_ends_come_to_the_same(
        seed: u64,
        transport in 0..3_usize,
        pieces in prop::collection::vec(1..400_usize, 1..20),
    ) {
        let configs = by_chance(&mut Dice::seeded(seed), TRANSPORTS[transport]);
        let (mut ada, mut bob) = (End::begin(configs.0.clone()), End::begin(configs.1.clone()));
        settle(&mut ada, &mut bob);
        let whole = (ada.admitted.expect("admitted").0, bob.admitted.expect("admitted").0);
        prop_assert_eq!(in_pieces(configs.clone(), &pieces), whole.clone());
        prop_assert_eq!(in_pieces(configs, &[1]), whole);
    }

    #[test]
    fn no_bytes_make_a_machine_panic_or_speak(bytes: Vec<u8>, kind in 8..12_u8, transport in 0..3_usize) {
        let (ada, bob) = TRANSPORTS[transport]();
        for config in [ada, bob] {
            for bytes in [bytes.clone(), super::ends::frame(kind, 0, &bytes)] {
                let mut end = End::begin(config.clone());
                end.takes();
                end.receives(&bytes);
                prop_assert_eq!(&end.proved, &None);
            }
        }
    }
}
