//! The accounting equation on random histories: whatever befalls publisher, subscribers and links, *delivered + reported
//! missing = published* for every epoch, name and subscription, in order and without duplicates; no queue holds more than its
//! policy declares; and every receipt counts what really left.
//!
//! `PEERAGE_SEEDS` and `PEERAGE_FIRST_SEED` choose which histories; a failure prints its seed.

use super::oracle::Seen;
use super::world::World;
use crate::events::Why;
use crate::planted::{Bug, plant};

const STEPS: usize = 120;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn whatever_happens_every_event_is_delivered_or_reported_missing() {
    let first = number("PEERAGE_FIRST_SEED", 1);
    let count = number("PEERAGE_SEEDS", 4_000);
    let mut seen = Seen::default();
    for seed in first..first + count {
        let mut world = World::new(seed);
        if let Err(why) = world.run(STEPS) {
            panic!("{why}\nreplay with PEERAGE_FIRST_SEED={seed} PEERAGE_SEEDS=1");
        }
        seen.add(&world.seen());
    }
    println!("{count} histories from seed {first} on, {STEPS} steps each, all accounts close: {seen:?}");
    if count >= 100 {
        let Seen { delivered, known, gaps, confirmed } = seen;
        assert!(delivered > 0 && known > 0 && confirmed > 0, "what is not tried is not tested: {seen:?}");
        for why in [Why::QueueFull, Why::Policy, Why::Expired, Why::Unencodable, Why::LinkLost, Why::SourceRestarted] {
            assert!(gaps[why as usize] > 0, "{why} never happened");
        }
    }
}

#[test]
fn planted_bugs_break_the_accounts() {
    for bug in Bug::OF_EVENTS {
        plant(Some(bug));
        let found = (1..=2_000).find_map(|seed| World::new(seed).run(STEPS).err().map(|why| (seed, why)));
        plant(None);
        let (seed, why) = found.unwrap_or_else(|| panic!("{bug:?} was not noticed"));
        println!("{bug:?}: seed {seed}: {why}");
        assert_eq!(World::new(seed).run(STEPS), Ok(()), "{bug:?}: seed {seed} fails without it as well");
    }
}
