//! Events between nodes: what is published arrives in order, or its loss is told; what a publisher learns; who gets what.

use std::collections::BTreeMap;
use std::time::Duration;

use peerage::event::{Event, FeedEnd, Gap, Heard, Policy, PublishError, Publisher, Subscription, Why};
use peerage::node::{Change, SubscribeError};
use peerage::outcome::{Class, Outcome};
use peerage::{Node, limits};
use tokio::sync::mpsc;

use crate::place::{Place, memory, pair, soon, until};

/// What comes next.
pub(crate) async fn next(subscription: &mut Subscription) -> Heard {
    soon(subscription.next()).await.expect("the node runs")
}

/// The next event or gap.
pub(crate) async fn next_of_sequence(subscription: &mut Subscription) -> Result<Event, Gap> {
    loop {
        match next(subscription).await {
            Heard::Event(event) => return Ok(event),
            Heard::Gap(gap) => return Err(gap),
            _ => {}
        }
    }
}

pub(crate) async fn next_event(subscription: &mut Subscription) -> Event {
    next_of_sequence(subscription).await.expect("nothing is missing")
}

/// A subscription that holds.
pub(crate) async fn attached(mut subscription: Subscription) -> Subscription {
    assert!(matches!(next(&mut subscription).await, Heard::Attached { .. }));
    subscription
}

/// A publisher at one node and a subscription to it at another, which holds.
pub(crate) async fn listened(to: &Node, by: &Node, name: &str, policy: Policy) -> (Publisher, Subscription) {
    let publisher = to.event(name).unwrap();
    let subscription = attached(by.subscribe(name).policy(policy).start().unwrap()).await;
    (publisher, subscription)
}

/// The numbers of events and gaps up to and including this one, all of them said once and in order.
pub(crate) async fn account(subscription: &mut Subscription, last: u64) -> (Vec<u64>, Vec<(u64, u64, Why)>) {
    let (mut seqs, mut gaps, mut at) = (Vec::new(), Vec::new(), 0);
    while at < last {
        match next_of_sequence(subscription).await {
            Ok(event) => {
                assert_eq!(event.seq(), at + 1, "neither a hole nor a duplicate");
                at = event.seq();
                seqs.push(at);
            }
            Err(gap) => {
                assert_eq!(gap.first, at + 1, "neither a hole nor a duplicate");
                at = gap.last.expect("no publisher has ended");
                gaps.push((gap.first, at, gap.why));
            }
        }
    }
    (seqs, gaps)
}

#[tokio::test]
async fn events_arrive_in_order_with_their_numbers_at_all_whose_pattern_fits() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("build/done").unwrap();
    let begun = b.event("build/begun").unwrap();
    let mut all = attached(a.subscribe("build/*").start().unwrap()).await;
    let mut only_done = attached(a.subscribe("build/done").start().unwrap()).await;
    let mut other = attached(a.subscribe("test/**").start().unwrap()).await;
    assert_eq!((done.matching(), begun.matching()), (2, 2 - 1));

    for n in 0..10 {
        let receipt = soon(done.publish(&n)).await.unwrap();
        assert_eq!((receipt.first, receipt.last, receipt.matched, receipt.queued), (n + 1, n + 1, 2, 2));
        soon(begun.publish(&format!("b{n}"))).await.unwrap();
    }

    for n in 0..10_u64 {
        let event = next_event(&mut only_done).await;
        assert_eq!((event.name(), event.seq(), event.from(), event.epoch()), ("build/done", n + 1, b.id(), b.epoch()));
        assert_eq!(event.value::<u64>().unwrap(), n);
    }
    let mut numbers = BTreeMap::new();
    for _ in 0..20 {
        let event = next_event(&mut all).await;
        let last = numbers.insert(event.name().to_owned(), event.seq());
        assert_eq!(last.unwrap_or(0) + 1, event.seq());
    }
    assert_eq!(numbers, BTreeMap::from([("build/begun".to_owned(), 10), ("build/done".to_owned(), 10)]));
    soon(b.event("test/a/b").unwrap().publish(&1)).await.unwrap();
    assert_eq!(next_event(&mut other).await.name(), "test/a/b");
}

#[tokio::test]
async fn the_count_goes_on_when_nobody_listens_and_whoever_comes_later_begins_there() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("done").unwrap();
    let receipt = soon(done.publish_all(0..5)).await.unwrap();
    assert_eq!((receipt.first, receipt.last, receipt.matched, receipt.queued), (1, 5, 0, 0));

    let mut late = attached(a.subscribe("done").start().unwrap()).await;
    soon(b.event("done").unwrap().publish(&5)).await.unwrap();
    let event = next_event(&mut late).await;
    assert_eq!((event.seq(), event.value::<u64>().unwrap()), (6, 5));
}

#[tokio::test]
async fn a_publisher_that_waits_for_its_subscriber_loses_no_first_event_whoever_comes_first() {
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").seed(b.addresses()[0].clone()).start().await.unwrap();
    // Before there is a link, and before there is the name.
    let mut early = a.subscribe("done").start().unwrap();
    let done = b.event("done").unwrap();
    soon(done.wait_matching(1)).await.unwrap();
    soon(done.publish(&"first")).await.unwrap();
    assert_eq!(next_event(&mut early).await.seq(), 1);

    drop(early);
    assert_eq!(soon(done.matching_changed(1)).await, Ok(0));
}

#[tokio::test]
async fn a_confirmation_counts_what_every_subscriber_has() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (done, mut first) = listened(&b, &a, "done", Policy::default()).await;
    let second = attached(a.subscribe("**").policy(Policy::Latest).start().unwrap()).await;

    let confirmed = soon(done.publish_all(0..3).confirmed(Duration::from_secs(5))).await.unwrap();
    assert_eq!((confirmed.first, confirmed.last, confirmed.matched, confirmed.due), (1, 3, 2, 6));
    let dropped: u64 = confirmed.dropped.iter().map(|row| row.count).sum();
    assert_eq!((confirmed.delivered + dropped, confirmed.unknown.len()), (6, 0));
    assert!(confirmed.dropped.iter().all(|row| row.peer == a.id() && row.why == Why::Policy), "{confirmed:?}");
    assert_eq!(account(&mut first, 3).await, (vec![1, 2, 3], vec![]));

    drop((first, second));
    until(|| done.matching() == 0).await;
    let confirmed = soon(done.publish(&9).confirmed(Duration::from_secs(5))).await.unwrap();
    assert_eq!((confirmed.matched, confirmed.due, confirmed.delivered), (0, 0, 0));
}

#[tokio::test]
async fn what_was_published_while_a_link_was_away_is_an_exact_gap() {
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let (done, mut heard) = listened(&b, &a, "done", Policy::default()).await;
    soon(done.publish_all(1..=3).confirmed(Duration::from_secs(5))).await.unwrap();
    assert_eq!(account(&mut heard, 3).await.0, [1, 2, 3]);

    soon(a.disconnect(b.id(), "for a while")).await.unwrap();
    assert!(matches!(next(&mut heard).await, Heard::SourceLost { from, .. } if from == b.id()));
    until(|| done.matching() == 0).await;
    soon(done.publish_all(4..=9)).await.unwrap();
    let born = b.event("done/too").unwrap();
    soon(born.publish(&1)).await.unwrap();

    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let gap = next_of_sequence(&mut heard).await.unwrap_err();
    assert_eq!((gap.first, gap.last, gap.why, gap.count()), (4, Some(9), Why::LinkLost, Some(6)));
    assert_eq!(next(&mut heard).await, Heard::Resumed { from: b.id(), missed: 6 });
    soon(done.publish(&10)).await.unwrap();
    assert_eq!(next_event(&mut heard).await.seq(), 10);
}

#[tokio::test]
async fn what_was_kept_is_recovered_and_the_rest_is_a_gap() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("done").unwrap().keep(4).unwrap();
    let mut heard = attached(a.subscribe("done").recover().start().unwrap()).await;
    soon(done.publish(&1)).await.unwrap();
    assert_eq!(next_event(&mut heard).await.seq(), 1);
    soon(a.disconnect(b.id(), "for a while")).await.unwrap();
    until(|| done.matching() == 0).await;
    soon(done.publish_all(2..=9)).await.unwrap();

    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let (seqs, gaps) = {
        let gap = next_of_sequence(&mut heard).await.unwrap_err();
        let mut seqs = Vec::new();
        for _ in 0..4 {
            seqs.push(next_event(&mut heard).await.seq());
        }
        (seqs, (gap.first, gap.last))
    };
    assert_eq!((seqs, gaps), (vec![6, 7, 8, 9], (2, Some(5))));
}

#[tokio::test]
async fn whoever_comes_later_gets_exactly_the_history_it_asks_for_and_then_what_follows() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("done").unwrap().keep(100).unwrap();
    soon(done.publish_all(1..=50)).await.unwrap();
    let mut last = attached(a.subscribe("done").history(1).start().unwrap()).await;
    let mut ten = attached(a.subscribe("done").history(10).start().unwrap()).await;
    let mut more = attached(a.subscribe("done").history(1_000).start().unwrap()).await;
    let mut none = attached(a.subscribe("done").start().unwrap()).await;
    soon(done.publish_all(51..=52)).await.unwrap();
    for (subscription, first) in [(&mut last, 50), (&mut ten, 41), (&mut more, 1), (&mut none, 51)] {
        for seq in first..=52 {
            let event = next_event(subscription).await;
            assert_eq!((event.seq(), event.value::<u64>().unwrap()), (seq, seq));
        }
    }
}

#[tokio::test]
async fn a_publisher_that_was_restarted_is_told_from_one_that_was_away() {
    let place = Place::new();
    let (identity, address) = (peerage::Identity::generate(), memory());
    let start = || {
        let builder = Node::builder(identity.clone()).network(place.network.clone()).listen(address.clone());
        builder.name("b".parse().unwrap()).start()
    };
    let b = start().await.unwrap();
    let a = place.node("a").seed(address.clone()).start().await.unwrap();
    let mut heard = a.subscribe("done").start().unwrap();
    let done = b.event("done").unwrap();
    soon(done.wait_matching(1)).await.unwrap();
    soon(done.publish_all(1..=7)).await.unwrap();
    assert_eq!(account(&mut heard, 7).await.0.len(), 7);
    let before = b.epoch();
    soon(b.stop()).await;

    let b = start().await.unwrap();
    let done = b.event("done").unwrap();
    soon(done.wait_matching(1)).await.unwrap();
    soon(done.publish(&"again")).await.unwrap();
    let gap = next_of_sequence(&mut heard).await.unwrap_err();
    assert_eq!((gap.epoch, gap.first, gap.last, gap.why), (before, 8, None, Why::SourceRestarted));
    assert_eq!(gap.count(), None);
    let event = next_event(&mut heard).await;
    assert_eq!((event.epoch(), event.seq()), (b.epoch(), 1));
}

#[tokio::test]
async fn of_a_shared_subscription_one_member_gets_each_event() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let work = b.event("work").unwrap();
    let member = async || attached(a.subscribe("work").shared("workers").start().unwrap()).await;
    let mut members = [member().await, member().await, member().await];
    let mut audit = attached(a.subscribe("work").start().unwrap()).await;
    let receipt = soon(work.publish(&0)).await.unwrap();
    assert_eq!((receipt.matched, receipt.queued), (2, 2));
    soon(work.publish_all(1..30).confirmed(Duration::from_secs(5))).await.unwrap();

    let mut got = BTreeMap::new();
    for (n, member) in members.iter_mut().enumerate() {
        let mut batch = Vec::new();
        while batch.len() < 10 {
            assert!(soon(member.next_batch(&mut batch)).await);
        }
        for heard in batch {
            let Heard::Event(event) = heard else { panic!("{heard:?}") };
            assert_eq!(got.insert(event.seq(), n), None, "each comes once");
        }
    }
    assert_eq!(got.len(), 30);
    assert_eq!(account(&mut audit, 30).await.0.len(), 30);
}

#[tokio::test]
async fn a_handler_runs_in_order_and_its_failures_are_its_own() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("done").unwrap();
    let (told, mut ran) = mpsc::channel(16);
    let handler = move |event: Event| {
        let told = told.clone();
        async move {
            let n: u64 = event.value().map_err(|why| why.to_string())?;
            told.send(n).await.unwrap();
            match n {
                2 => Err("no".to_owned()),
                3 => panic!("worse"),
                _ => Ok(()),
            }
        }
    };
    let handling = a.on_event("done", handler).unwrap();
    soon(done.wait_matching(1)).await.unwrap();
    for n in 1..=4 {
        soon(done.publish(&n)).await.unwrap();
    }
    soon(done.publish(&"no number")).await.unwrap();
    soon(done.publish(&5)).await.unwrap();
    for n in 1..=5 {
        assert_eq!(soon(ran.recv()).await, Some(n));
    }
    until(|| handling.handled() == 3).await;
    assert_eq!((handling.failed(), handling.missed()), (3, 0));
    drop(handling);
    assert_eq!(soon(done.matching_changed(1)).await, Ok(0));
}

#[tokio::test]
async fn values_of_the_application_are_shaped_where_they_are_published() {
    struct Build {
        target: &'static str,
        log: Vec<String>,
    }
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("build/done").unwrap().shaped(|build: &Build| (build.target, build.log.len()));
    let mut heard = attached(a.subscribe("build/done").start().unwrap()).await;
    soon(done.publish(&Build { target: "linux", log: vec![String::new(); 3] })).await.unwrap();
    assert_eq!(next_event(&mut heard).await.value::<(String, usize)>().unwrap(), ("linux".to_owned(), 3));
    assert_eq!(done.publisher().name(), "build/done");
}

#[tokio::test]
async fn filters_say_at_which_nodes_and_groups_may_change() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let done = b.event("done").unwrap();
    let mut gpu = attached(a.subscribe("done").group("gpu".parse().unwrap()).start().unwrap()).await;
    let mut named = attached(a.subscribe("done").peers(["b"]).on_host().start().unwrap()).await;
    let hubs = attached(a.subscribe("done").hubs_only().start().unwrap()).await;
    assert_eq!(done.matching(), 1);
    soon(done.publish(&1)).await.unwrap();
    assert_eq!(next_event(&mut named).await.seq(), 1);

    soon(b.set(Change::new().join("gpu".parse().unwrap()))).await.unwrap();
    assert_eq!(soon(done.matching_changed(1)).await, Ok(2));
    soon(done.publish(&2)).await.unwrap();
    assert_eq!(next_event(&mut gpu).await.seq(), 2);

    soon(b.set(Change::new().leave("gpu".parse().unwrap()))).await.unwrap();
    assert_eq!(soon(done.matching_changed(2)).await, Ok(1));
    drop(hubs);
}

#[tokio::test]
async fn a_node_hears_itself_if_it_wants_to() {
    let place = Place::new();
    let a = place.node("a").start().await.unwrap();
    let mut own = attached(a.subscribe("**").include_self().start().unwrap()).await;
    let others = attached(a.subscribe("**").start().unwrap()).await;
    let done = a.event("done").unwrap();
    assert_eq!(soon(done.publish(&1)).await.unwrap().matched, 1);
    assert_eq!(next_event(&mut own).await.from(), a.id());
    drop(others);
    soon(a.stop()).await;
    let end = soon(async { while own.next().await.is_some() {} }).await;
    assert_eq!(end, ());
}

#[tokio::test]
async fn an_event_can_be_for_some_nodes_only() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let secret = b.event_for("secret", [b.id()]).unwrap();
    let mut heard = a.subscribe("secret").start().unwrap();
    assert_eq!(next(&mut heard).await, Heard::Attached { matching: 0 });
    let lost = next(&mut heard).await;
    assert!(matches!(&lost, Heard::SourceLost { from, why: FeedEnd::Refused(_) } if *from == b.id()), "{lost:?}");
    let mut all = attached(a.subscribe("**").start().unwrap()).await;
    assert_eq!(soon(secret.publish(&1)).await.unwrap().matched, 0);
    soon(b.event("open").unwrap().publish(&2)).await.unwrap();
    assert_eq!(next_event(&mut all).await.name(), "open");
    let mine = attached(b.subscribe("secret").include_self().start().unwrap()).await;
    assert_eq!(secret.matching(), 1);
    assert_eq!(b.event_for("secret", [a.id()]).unwrap_err(), PublishError::BoundOtherwise);
    drop(mine);
}

#[tokio::test]
async fn what_cannot_be_published_or_subscribed_to_says_why() {
    let place = Place::new();
    let a = place.node("a").start().await.unwrap();
    assert_eq!(a.event("no name").unwrap_err(), PublishError::NoName("no name".to_owned()));
    let done = a.event("done").unwrap();
    let large = soon(done.publish(&"x".repeat(limits::EVENT_BYTES_MAX))).await.unwrap_err();
    assert!(matches!(large, PublishError::TooLarge { size } if size > limits::EVENT_BYTES_MAX), "{large}");
    assert_eq!((large.outcome(), large.class(), large.may_have_run()), (Outcome::Refused, Class::DidNotRun, false));
    assert_eq!(large.why(), "too-large");
    assert_eq!(soon(done.publish(&1)).await.unwrap().first, 1, "nothing was counted");

    let subscribe = |pattern: &str| a.subscribe(pattern).start().map(drop);
    assert_eq!(subscribe("no pattern"), Err(SubscribeError::NoPattern("no pattern".to_owned())));
    let shared = a.subscribe("done").shared("a b").start().map(drop).unwrap_err();
    assert!(matches!(&shared, SubscribeError::NoName { name, .. } if name == "a b"), "{shared}");
    soon(a.stop()).await;
    assert_eq!(soon(done.publish(&1)).await, Err(PublishError::ShuttingDown));
    assert_eq!(a.event("other").unwrap_err(), PublishError::ShuttingDown);
    assert_eq!(subscribe("done"), Err(SubscribeError::ShuttingDown));
    assert_eq!(soon(done.wait_matching(1)).await, Err(PublishError::ShuttingDown));
}
