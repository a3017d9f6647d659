//! How many dials others can cause by naming addresses.
//!
//! Whoever is in the network can name any number of addresses that look like those of nodes. Each is worth at most a few
//! packets, and these numbers keep a crowd of nodes from becoming a weapon against whoever is named, and a liar from keeping
//! this one busy:
//!
//! ```text
//!   an address that was heard of ──▶ 4 at once ──▶ this target, once in 30 s ──▶ this informant: 64, then 10 a minute
//!                                                                                        └──▶ all: 200, then 30 a minute
//! ```
//!
//! What an informant or all may cause comes in a burst and then drop by drop. The drops begin a minute after the burst did, so
//! that the first minute has the burst and no more. Seeds, and members that there was a link with, are not counted here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::{Address, Host, Scheme};
use crate::id::NodeId;
use crate::limits;

/// Counts the dials that others cause.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct GossipDials {
    under_way: usize,
    all: Bucket,
    /// Those who caused a dial not long ago. Whoever has the whole burst again is as good as unknown.
    informants: BTreeMap<NodeId, Bucket>,
    /// Until when they are not dialled again.
    targets: BTreeMap<Target, Instant>,
}

/// Why a dial is not made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Withheld {
    /// Enough of them are under way. To be asked again when one has [ended](GossipDials::end).
    AtOnce,
    /// It would be one too many for this target, this informant or all of them. Not before this time.
    Until(Instant),
}

impl GossipDials {
    /// Begins a dial to `address`, of which `informant` has told; or says why not, and then nothing was counted.
    pub(crate) fn begin(&mut self, now: Instant, informant: NodeId, address: &Address) -> Result<(), Withheld> {
        self.forget_what_is_over(now);
        if self.under_way >= limits::GOSSIP_DIALS_AT_ONCE_MAX {
            return Err(Withheld::AtOnce);
        }
        let target = Target::of(address);
        if let Some(until) = self.targets.get(&target) {
            return Err(Withheld::Until(*until));
        }
        let told = self.informants.get(&informant).cloned().unwrap_or_default();
        let (told, all) = match (told.take(now, INFORMANT), self.all.take(now, ALL)) {
            (Ok(told), Ok(all)) => (told, all),
            (Err(one), Err(other)) => return Err(Withheld::Until(one.max(other))),
            (Err(until), Ok(_)) | (Ok(_), Err(until)) => return Err(Withheld::Until(until)),
        };
        self.all = all;
        self.informants.insert(informant, told);
        self.targets.insert(target, now + limits::GOSSIP_DIAL_PAUSE);
        self.under_way = self.under_way.saturating_add(1);
        Ok(())
    }

    /// A dial that was begun has ended, however.
    pub(crate) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn forget_what_is_over(&mut self, now: Instant) {
        self.targets.retain(|_, until| *until > now);
        self.informants.retain(|_, bucket| bucket.spent_at(now, INFORMANT) > 0);
    }
}

/// What is dialled, as far as it can be harmed: whatever is said there, a port is one target.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Target {
    Tcp(IpAddr, u16),
    Udp(IpAddr, u16),
    Other(Address),
}

impl Target {
    fn of(address: &Address) -> Target {
        match (address.scheme(), address.host().and_then(Host::ip), address.port()) {
            (Scheme::Tcp | Scheme::Tls, Some(ip), Some(port)) => Target::Tcp(ip.to_canonical(), port),
            (Scheme::Quic, Some(ip), Some(port)) => Target::Udp(ip.to_canonical(), port),
            _ => Target::Other(address.bare()),
        }
    }
}

/// So many at once, then so many a minute.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    per_minute: u32,
}

const INFORMANT: Rate =
    Rate { burst: limits::GOSSIP_DIALS_INFORMANT_BURST, per_minute: limits::GOSSIP_DIALS_INFORMANT_PER_MINUTE };
const ALL: Rate = Rate { burst: limits::GOSSIP_DIALS_BURST, per_minute: limits::GOSSIP_DIALS_PER_MINUTE };

impl Rate {
    /// The time of one drop.
    fn drop_time(self) -> Duration {
        MINUTE.checked_div(self.per_minute).unwrap_or(MINUTE)
    }
}

/// What has been spent, and from when on it comes back.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Bucket {
    spent: u32,
    /// Nothing comes back before; from then on a drop at a time.
    since: Option<Instant>,
}

impl Bucket {
    /// What is left of it after one more; or from when on there will be one.
    fn take(&self, now: Instant, rate: Rate) -> Result<Bucket, Instant> {
        let drops = self.drops(now, rate);
        let spent = self.spent.saturating_sub(drops);
        let since = match self.since {
            Some(since) if spent > 0 => since + rate.drop_time().saturating_mul(drops),
            _ => now + MINUTE,
        };
        if spent >= rate.burst {
            return Err(since + rate.drop_time());
        }
        Ok(Bucket { spent: spent.saturating_add(1), since: Some(since) })
    }

    fn spent_at(&self, now: Instant, rate: Rate) -> u32 {
        self.spent.saturating_sub(self.drops(now, rate))
    }

    /// How many have come back.
    fn drops(&self, now: Instant, rate: Rate) -> u32 {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let drops = passed.as_nanos().checked_div(rate.drop_time().as_nanos()).unwrap_or(0);
        u32::try_from(drops).unwrap_or(u32::MAX).min(self.spent)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test needs one real instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn liar(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn victim(number: u32) -> Address {
        let [_, a, b, c] = number.to_be_bytes();
        format!("tls://9.{a}.{b}.{c}:5000").parse().unwrap()
    }

    /// Names a new address every 100 ms for so long; when each dial was made. Every dial ends at once.
    fn flood(dials: &mut GossipDials, start: Instant, time: Duration, liars: u8) -> Vec<Duration> {
        let mut made = Vec::new();
        for step in 0..u32::try_from(time.as_millis() / 100).unwrap() {
            let passed = Duration::from_millis(100) * step;
            for number in 0..liars {
                let address = victim(step * u32::from(liars) + u32::from(number));
                if dials.begin(start + passed, liar(number), &address).is_ok() {
                    made.push(passed);
                    dials.end();
                }
            }
        }
        made
    }

    /// Most of them within any time of that length.
    fn most_within(made: &[Duration], window: Duration) -> usize {
        (0..made.len())
            .map(|from| made[from..].iter().take_while(|at| **at < made[from] + window).count())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn one_informant_causes_64_dials_in_the_first_minute_and_10_in_each_one_after() {
        let mut dials = GossipDials::default();
        let made = flood(&mut dials, start(), seconds(600), 1);
        assert_eq!(made.iter().filter(|at| **at < seconds(60)).count(), 64);
        let later: Vec<Duration> = made.into_iter().filter(|at| *at >= seconds(60)).collect();
        assert_eq!(later.len(), 89, "one each six seconds from the 66th on");
        assert_eq!(most_within(&later, seconds(60)), 10);
    }

    #[test]
    fn all_informants_together_cause_200_dials_and_then_30_a_minute() {
        let mut dials = GossipDials::default();
        let made = flood(&mut dials, start(), seconds(300), 100);
        assert_eq!(made.iter().filter(|at| **at < seconds(60)).count(), 200);
        let later: Vec<Duration> = made.into_iter().filter(|at| *at >= seconds(60)).collect();
        assert_eq!(most_within(&later, seconds(60)), 30);
    }

    #[test]
    fn one_informant_does_not_use_up_what_another_may() {
        let (mut dials, now) = (GossipDials::default(), start());
        assert_eq!(flood(&mut dials, now, seconds(20), 1).len(), 64);
        assert_eq!(dials.begin(now + seconds(20), liar(1), &victim(9_999)), Ok(()));
    }

    #[test]
    fn the_burst_is_whole_again_after_a_quiet_time_and_then_nothing_is_remembered() {
        let (mut dials, now) = (GossipDials::default(), start());
        flood(&mut dials, now, seconds(60), 1);
        let quiet = now + seconds(60 + 64 * 6);
        assert_eq!(flood(&mut dials, quiet, seconds(60), 1).len(), 64);
        dials.forget_what_is_over(quiet + seconds(60 + 64 * 6));
        assert!(dials.informants.is_empty() && dials.targets.is_empty(), "{dials:?}");
    }

    #[test]
    fn one_target_is_dialled_once_in_30_seconds_however_it_is_written() {
        let (mut dials, now) = (GossipDials::default(), start());
        let same = [
            "tls://9.9.9.9:5000",
            "tcp://9.9.9.9:5000",
            "tls://[::ffff:9.9.9.9]:5000",
            "tls://9.9.9.9:5000?codec=json",
        ];
        assert_eq!(dials.begin(now, liar(0), &same[0].parse().unwrap()), Ok(()));
        dials.end();
        for (number, text) in same.iter().enumerate() {
            let address = text.parse().unwrap();
            let by = liar(u8::try_from(number).unwrap());
            assert_eq!(dials.begin(now + seconds(29), by, &address), Err(Withheld::Until(now + seconds(30))), "{text}");
        }
        let others = ["tls://9.9.9.9:5001", "quic://9.9.9.9:5000", "unix:///run/a.sock"];
        for text in others {
            assert_eq!(dials.begin(now, liar(0), &text.parse().unwrap()), Ok(()), "{text}");
            assert!(dials.begin(now, liar(0), &text.parse().unwrap()).is_err(), "{text}");
        }
        assert_eq!(dials.begin(now + seconds(30), liar(0), &same[0].parse().unwrap()), Ok(()));
    }

    #[test]
    fn four_are_under_way_at_once_and_one_more_waits_without_being_counted() {
        let (mut dials, now) = (GossipDials::default(), start());
        for number in 0..4 {
            assert_eq!(dials.begin(now, liar(0), &victim(number)), Ok(()));
        }
        let before = dials.clone();
        assert_eq!(dials.begin(now, liar(0), &victim(4)), Err(Withheld::AtOnce));
        assert_eq!(dials, before);
        dials.end();
        assert_eq!(dials.begin(now, liar(0), &victim(4)), Ok(()));
    }

    #[test]
    fn what_is_withheld_is_told_until_when_and_may_be_dialled_then() {
        let (mut dials, now) = (GossipDials::default(), start());
        assert_eq!(flood(&mut dials, now, seconds(60), 1).len(), 64);
        let Err(Withheld::Until(until)) = dials.begin(now + seconds(60), liar(0), &victim(9_999)) else {
            panic!("65 in the first minute");
        };
        assert_eq!(until, now + seconds(66));
        assert!(dials.begin(until - seconds(1), liar(0), &victim(9_999)).is_err());
        assert_eq!(dials.begin(until, liar(0), &victim(9_999)), Ok(()));
    }

    #[test]
    fn what_is_remembered_of_a_flood_is_bounded_by_the_dials_that_were_made() {
        let (mut dials, now) = (GossipDials::default(), start());
        flood(&mut dials, now, seconds(60), 250);
        assert!(dials.informants.len() <= 200 && dials.targets.len() <= 200);
    }
}
