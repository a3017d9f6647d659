//! More work than a service can do: what is too much is put off at once, what is accepted is done as before.
//!
//! `PEERAGE_OVERLOAD=1` is the long form, with the figures of the promise: 32 calls at once of 10 ms each.

use std::time::{Duration, Instant};

use peerage::Node;
use peerage::outcome::Outcome;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::place::{Place, memory, soon};

/// What came of a load.
#[derive(Debug, Default)]
struct Figures {
    ok: Vec<Duration>,
    busy: Vec<Duration>,
    other: Vec<Outcome>,
    took: Duration,
}

impl Figures {
    /// Calls done in a second.
    fn goodput(&self) -> f64 {
        self.ok.len() as f64 / self.took.as_secs_f64()
    }
}

fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// Offers so many calls a second for this long, evenly, whatever becomes of those before.
async fn load(from: &Node, to: &Node, per_second: f64, time: Duration) -> Figures {
    let mut calls = JoinSet::new();
    let mut tick = interval(Duration::from_millis(5));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut offered = 0;
    while began.elapsed() < time {
        tick.tick().await;
        let due = (began.elapsed().as_secs_f64() * per_second) as usize;
        for _ in offered..due {
            let (from, peer) = (from.clone(), to.id());
            calls.spawn(async move {
                let began = Instant::now();
                let outcome = from.call("work").peer::<()>(peer).await;
                (outcome.map_or_else(|why| why.outcome(), |()| Outcome::Ok), began.elapsed())
            });
        }
        offered = due.max(offered);
    }
    let mut figures = Figures::default();
    while let Some(call) = soon(calls.join_next()).await {
        match call.unwrap() {
            (Outcome::Ok, took) => figures.ok.push(took),
            (Outcome::Busy, took) => figures.busy.push(took),
            (other, _) => figures.other.push(other),
        }
    }
    figures.took = began.elapsed();
    figures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_five_times_its_capacity_a_service_does_as_much_as_at_its_best() {
    let strict = std::env::var("PEERAGE_OVERLOAD").is_ok();
    let (at_once, work, time) = match strict {
        true => (32, Duration::from_millis(10), Duration::from_secs(10)),
        false => (8, Duration::from_millis(40), Duration::from_secs(1)),
    };
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let handler = move || async move {
        tokio::time::sleep(work).await;
        Ok(())
    };
    b.service("work").concurrency(at_once).serve(handler).unwrap();
    let capacity = at_once as f64 / work.as_secs_f64();
    let below = load(&a, &b, capacity * 0.8, time).await;
    let full = load(&a, &b, capacity, time).await;
    let over = load(&a, &b, capacity * 5.0, time).await;
    let after = load(&a, &b, capacity * 0.8, time).await;
    let peak = full.goodput().max(below.goodput());
    println!(
        "overload: capacity {capacity:.0}/s; done at 0.8× {:.0}/s, at 1× {:.0}/s, at 5× {:.0}/s ({:.0} % of the peak); put off at 5× \
         within {:.2?} (p99), accepted p99 {:.1?} at 0.8×, {:.1?} at 5×, {:.1?} after",
        below.goodput(),
        full.goodput(),
        over.goodput(),
        100.0 * over.goodput() / peak,
        p99(&over.busy),
        p99(&below.ok),
        p99(&over.ok),
        p99(&after.ok),
    );
    for figures in [&below, &full, &over, &after] {
        assert_eq!(figures.other, [], "nothing but done and put off");
    }
    assert!(!over.busy.is_empty(), "five times as much is too much");
    // Beside other tests, on a busy machine, times mean less.
    let (share, refusal, accepted) = if strict { (0.9, 5, 3) } else { (0.7, 250, 20) };
    assert!(over.goodput() >= share * peak, "{:.0}/s of {peak:.0}/s", over.goodput());
    assert!(p99(&over.busy) <= Duration::from_millis(refusal), "{:?}", p99(&over.busy));
    assert!(p99(&over.ok) <= p99(&below.ok) * accepted, "{:?} and {:?}", p99(&over.ok), p99(&below.ok));
    assert!(after.goodput() >= share * below.goodput(), "calm again: {:.0}/s", after.goodput());
}
