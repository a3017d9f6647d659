//! Ten thousand calls, of which some are given up, some have little time, and all lose their peer.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::{Duration, Instant, SystemTime};

use peerage::outcome::{Class, Outcome};
use peerage::{Caller, Channel, limits};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::peer::{Deed, Peer, Task};
use crate::stall::Ticker;
use crate::{ALONE, report};

/// Replay with `SEED=… cargo test -p peerage --test live ten_thousand`.
#[test]
fn ten_thousand_live_calls_end_in_exactly_one_outcome_each() {
    let _alone = ALONE.lock();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = env::var("SEED").map_or(now.as_micros() as u64, |seed| seed.parse().unwrap());
    report(&format!("live calls: SEED={seed}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async {
        let mut random = Random(seed);
        let ticker = Ticker::start();
        let mut ends = Vec::new();
        for round in 0..ROUNDS {
            let numbers = round * CALLS_A_ROUND..(round + 1) * CALLS_A_ROUND;
            ends.extend(timeout(LIMIT, one_round(&mut random, numbers)).await.unwrap());
        }
        let stall = ticker.longest();
        check(&ends, stall);
    }));
}

/// How one call ended.
struct End {
    number: u64,
    /// `None`: the caller gave up.
    outcome: Option<Outcome>,
    took: Duration,
    /// `None`: as long as the connection lives.
    deadline: Option<Duration>,
    /// From the death of the peer to the end of the call; zero if it ended before.
    after_death: Duration,
    /// Whether the peer wrote down that it had begun.
    started: bool,
}

/// What one call does.
struct Plan {
    begins_after: Duration,
    task: Task,
    deadline: Option<Duration>,
    gives_up_after: Option<Duration>,
}

/// One life of the peer: calls begin, it is killed, more calls begin.
async fn one_round(random: &mut Random, numbers: std::ops::Range<u64>) -> Vec<End> {
    let mut peer = Peer::start();
    let mut channels = Vec::new();
    for n in 0..CHANNELS {
        let address = if n % 2 == 0 { &peer.tcp } else { &peer.unix };
        // Few enough in flight that some must wait for room.
        let connect = Channel::connect(address).calls_in_flight(40);
        channels.push(connect.await.unwrap());
    }
    let mut calls = Vec::new();
    for number in numbers {
        let caller = channels[random.below(CHANNELS as u64) as usize].caller();
        calls.push(tokio::spawn(one_call(caller, plan(random, number))));
    }
    sleep(random.milliseconds(KILLED_AFTER..KILLED_AFTER * 2)).await;
    peer.kill();
    let killed = Instant::now();
    let mut ends = Vec::new();
    for call in calls {
        let (mut end, at) = call.await.unwrap();
        end.after_death = at.saturating_duration_since(killed);
        ends.push(end);
    }
    let diary = peer.started();
    let started: BTreeSet<u64> = diary.iter().copied().collect();
    assert_eq!(started.len(), diary.len(), "a call was started twice");
    for end in &mut ends {
        end.started = started.contains(&end.number);
    }
    ends
}

fn plan(random: &mut Random, number: u64) -> Plan {
    let deed = match random.below(10) {
        0 => Deed::Fail,
        1 => Deed::Forget,
        2 => Deed::Keep,
        _ => Deed::Answer,
    };
    let after = if random.below(2) == 0 { 0 } else { random.below(300) };
    let carried = if random.below(20) == 0 { random.below(50_000) } else { random.below(200) };
    Plan {
        begins_after: random.milliseconds(0..KILLED_AFTER * 2),
        task: (number, deed, after, "x".repeat(carried as usize)),
        deadline: (random.below(10) > 0).then(|| random.milliseconds(1..400)),
        gives_up_after: (random.below(5) == 0).then(|| random.milliseconds(0..200)),
    }
}

async fn one_call(caller: Caller, plan: Plan) -> (End, Instant) {
    sleep(plan.begins_after).await;
    let call = caller.request::<(u64, String)>(&plan.task);
    let call = match plan.deadline {
        Some(deadline) => call.deadline(deadline),
        None => call.without_deadline(),
    };
    let (number, begun) = (plan.task.0, Instant::now());
    let result = match plan.gives_up_after {
        Some(after) => timeout(after, call).await.ok(),
        None => Some(call.await),
    };
    let ended = Instant::now();
    let end = End {
        number,
        outcome: result.map(|result| match result {
            Ok(answer) => {
                assert_eq!(answer, (number, plan.task.3), "the answer of another call");
                Outcome::Ok
            }
            Err(error) => error.outcome(),
        }),
        took: ended - begun,
        deadline: plan.deadline,
        after_death: Duration::ZERO,
        started: false,
    };
    (end, ended)
}

fn check(ends: &[End], stall: Duration) {
    let numbers: BTreeSet<u64> = ends.iter().map(|end| end.number).collect();
    assert_eq!((numbers.len(), ends.len()), (10_000, 10_000));
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut latest, mut last_after_death) = (Duration::ZERO, Duration::ZERO);
    for end in ends {
        *tally.entry(end.outcome.map_or("given up", Outcome::name)).or_default() += 1;
        let Some(outcome) = end.outcome else { continue };
        let number = end.number;
        match outcome.class() {
            Class::DidNotRun => assert!(!end.started, "call {number}: {outcome}, and the peer began it"),
            Class::Ok | Class::Failed => assert!(end.started, "call {number}: {outcome}, and the peer never began it"),
            Class::Unknown => {}
        }
        if let Some(deadline) = end.deadline {
            latest = latest.max(end.took.saturating_sub(deadline));
        }
        last_after_death = last_after_death.max(end.after_death.min(end.took));
    }
    report(&format!(
        "live calls: {tally:?}; latest {latest:?} after its deadline; longest wait for a dead peer {last_after_death:?}; \
         longest stall of this process {stall:?}"
    ));
    let grace = limits::OUTCOME_GRACE;
    assert!(latest <= grace + stall, "{latest:?} after the deadline");
    assert!(last_after_death <= Duration::from_secs(1) + stall, "{last_after_death:?}");
    for outcome in ["ok", "remote", "deadline", "connection-lost", "not-sent", "given up"] {
        assert!(tally.get(outcome) >= Some(&50), "too few of {outcome} to mean anything: {tally:?}");
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn milliseconds(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }
}

const ROUNDS: u64 = 4;
const CALLS_A_ROUND: u64 = 2_500;
const CHANNELS: usize = 8;

/// Earliest death of a peer, in milliseconds; calls begin until twice as long.
const KILLED_AFTER: u64 = 400;

/// A call that never ends must fail the test, not hang it.
const LIMIT: Duration = Duration::from_secs(20);
