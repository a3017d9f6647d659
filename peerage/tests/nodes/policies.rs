//! Subscribers that are slower than their publishers: what each has asked for happens, to it and to nobody else.

use std::collections::BTreeMap;
use std::time::Duration;

use peerage::event::{FeedEnd, Heard, Policy, Why};

use crate::events::{account, attached, listened, next, next_event, next_of_sequence};
use crate::place::{Place, pair, soon};

#[tokio::test]
async fn a_slow_subscriber_gets_an_exact_gap_and_costs_the_other_nothing() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (done, mut slow) = listened(&b, &a, "done", Policy::Ring(16)).await;
    let mut fast = attached(a.subscribe("done").start().unwrap()).await;
    let blob = "x".repeat(8 << 10);

    let (mut queued, mut dropped) = (0, 0);
    for n in 1..=500 {
        let receipt = soon(done.publish(&blob)).await.unwrap();
        queued += receipt.queued;
        dropped += receipt.dropped.iter().map(|row| row.count).sum::<u64>();
        assert!(receipt.dropped.iter().all(|row| (row.peer, row.why) == (a.id(), Why::QueueFull)));
        assert_eq!(next_event(&mut fast).await.seq(), n);
    }
    assert_eq!(queued, 1_000);

    let (seqs, gaps) = account(&mut slow, 500).await;
    let missing: u64 = gaps.iter().map(|(first, last, _)| last - first + 1).sum();
    assert_eq!((missing, seqs.len() as u64 + missing), (dropped, 500));
    assert!(missing > 300 && gaps.iter().all(|(.., why)| *why == Why::QueueFull), "{gaps:?}");
}

#[tokio::test]
async fn the_latest_of_each_key_is_what_comes_when_one_falls_behind() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let policy = "latest-by:/key".parse().unwrap();
    let (done, mut slow) = listened(&b, &a, "done", policy).await;
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Value {
        key: u64,
        n: u64,
        blob: String,
    }
    let blob = "x".repeat(8 << 10);
    soon(done.publish_all((1..=400).map(|n| Value { key: n % 3, n, blob: blob.clone() }))).await.unwrap();

    let (mut at, mut newest) = (0, BTreeMap::new());
    while at < 400 {
        at = match next_of_sequence(&mut slow).await {
            Ok(event) => {
                let value: Value = event.value().unwrap();
                newest.insert(value.key, value.n);
                event.seq()
            }
            Err(gap) => {
                assert_eq!(gap.why, Why::Policy);
                gap.last.unwrap()
            }
        };
    }
    assert_eq!(newest, BTreeMap::from([(0, 399), (1, 400), (2, 398)]));
}

#[tokio::test]
async fn a_publisher_waits_for_a_subscriber_that_asked_for_it_and_cuts_it_when_that_takes_too_long() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (done, mut slow) = listened(&b, &a, "done", Policy::Block(Duration::from_millis(200))).await;
    let publishing = tokio::spawn({
        let done = done.clone();
        async move { done.publish_all(1..=20_000).await }
    });
    assert_eq!(account(&mut slow, 20_000).await, ((1..=20_000).collect(), vec![]));
    assert_eq!(publishing.await.unwrap().unwrap().queued, 20_000);

    // Nobody reads any more: what fits on the way is taken, then the publisher waits its time and goes on.
    let blob = "x".repeat(64 << 10);
    let receipt = soon(done.publish_all(std::iter::repeat_n(&blob, 400))).await.unwrap();
    assert_eq!(receipt.last, 20_400);
    let mut seqs = 20_000;
    let why = loop {
        match next(&mut slow).await {
            Heard::Event(event) => seqs = event.seq(),
            Heard::SourceLost { from, why } => break (from, why),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(why, (from, FeedEnd::Overflow(_)) if from == b.id()), "{why:?}");
    // It has caught up, so it is taken in again, and hears what it missed.
    let gap = next_of_sequence(&mut slow).await.unwrap_err();
    assert_eq!((gap.first, gap.last, gap.why), (seqs + 1, Some(20_400), Why::LinkLost));
    soon(done.publish(&1)).await.unwrap();
    assert_eq!(next_event(&mut slow).await.seq(), 20_401);
}

#[tokio::test]
async fn whoever_wants_to_be_cut_at_the_first_overflow_is_cut_and_stays_so() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (done, mut slow) = listened(&b, &a, "done", Policy::Close).await;
    let blob = "x".repeat(64 << 10);
    soon(done.publish_all(std::iter::repeat_n(&blob, 400))).await.unwrap();
    let why = loop {
        match next(&mut slow).await {
            Heard::Event(_) | Heard::Gap(_) => {}
            Heard::SourceLost { why, .. } => break why,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(why, FeedEnd::Overflow(_)), "{why:?}");
    assert_eq!(done.matching(), 0);
    drop(slow);
}
