//! Whom a call goes to: who offers a function is known, chosen, waited for.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use peerage::node::{Filter, Limits, Presence};
use peerage::outcome::Refused;
use peerage::{CallError, Failure, Identity, Node};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::place::{Place, memory, pair, soon, until};

/// Names the node that answers.
fn serve_name(node: &Node, tag: &str) {
    let name = node.name().to_string();
    node.serve(tag, move || ready(Ok::<_, Failure>(name.clone()))).unwrap();
}

/// A node that is linked with these.
async fn caller(place: &Place, others: &[&Node]) -> Node {
    let caller = place.node("caller").start().await.unwrap();
    for other in others {
        soon(caller.connect(&other.addresses()[0])).await.unwrap();
    }
    until(|| caller.peers().complete).await;
    caller
}

async fn listening(place: &Place, name: &str) -> Node {
    place.node(name).listen(memory()).start().await.unwrap()
}

fn offers(node: &Node, tag: &str) -> usize {
    match node.providers(tag, &Filter::new()) {
        Presence::Present { nodes } => nodes.len(),
        _ => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn others_know_within_200_ms_what_a_node_offers_and_what_it_offers_no_more() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    until(|| a.peers().complete).await;
    assert!(matches!(a.providers("sum", &Filter::new()), Presence::Absent { .. }));
    for round in 0..5 {
        let begun = Instant::now();
        let services: Vec<_> =
            (0..20).map(|n| b.serve(&format!("s{n}"), move || ready(Ok::<u32, Failure>(n))).unwrap()).collect();
        until(|| offers(&a, "s0") == 1 && offers(&a, "s19") == 1).await;
        assert!(begun.elapsed() <= Duration::from_millis(200), "round {round}: {:?}", begun.elapsed());
        let entry = a.peers().peers.into_iter().next().unwrap();
        assert_eq!(entry.services.len(), 20);
        let begun = Instant::now();
        services.iter().for_each(|service| assert!(service.stop()));
        until(|| offers(&a, "s0") == 0 && offers(&a, "s19") == 0).await;
        assert!(begun.elapsed() <= Duration::from_millis(200), "round {round}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn whoever_offers_a_function_answers_and_the_caller_learns_who_it_was() {
    let place = Place::new();
    let (b, c) = (listening(&place, "b").await, listening(&place, "c").await);
    serve_name(&b, "who");
    serve_name(&c, "who");
    let a = caller(&place, &[&b, &c]).await;
    let mut answered = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let settled = soon(a.call("who").any::<String>().settled()).await;
        let name = settled.outcome.unwrap();
        let peer = if name == "b" { b.id() } else { c.id() };
        assert_eq!((settled.peer, settled.attempts), (Some(peer), 1));
        *answered.entry(name).or_insert(0) += 1;
    }
    assert!(answered.len() == 2, "{answered:?}");
    let name: String = soon(a.call("who").peers(["c"]).any()).await.unwrap();
    assert_eq!(name, "c");
    assert_eq!(a.status().counters["peerage_calls_ok_total"], 201);
}

#[tokio::test]
async fn a_call_moves_on_where_it_certainly_did_not_run() {
    let place = Place::new();
    let (b, c) = (listening(&place, "b").await, listening(&place, "c").await);
    let (runs, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, closed) = (runs.clone(), gate.clone());
    let wait = move || {
        let (runs, gate) = (counted.clone(), closed.clone());
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            let _permit = gate.acquire().await;
            Ok::<_, Failure>("b")
        }
    };
    b.service("one").concurrency(1).serve(wait).unwrap();
    let a = caller(&place, &[&b, &c]).await;
    let (first, peer) = (a.clone(), b.id());
    let first = tokio::spawn(async move { first.call("one").peer::<String>(peer).await });
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    let busy = soon(a.call("one").any::<String>().settled()).await;
    assert!(matches!(busy.outcome, Err(CallError::Busy { .. })), "{busy:?}");
    assert_eq!((busy.peer, busy.attempts), (Some(b.id()), 1));
    c.serve("one", async || Ok("c")).unwrap();
    until(|| offers(&a, "one") == 2).await;
    for _ in 0..50 {
        assert_eq!(soon(a.call("one").any::<String>()).await.unwrap(), "c");
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    gate.add_permits(1);
    assert_eq!(soon(first).await.unwrap().unwrap(), "b");
}

#[tokio::test]
async fn a_service_that_is_taken_away_costs_no_call_where_another_node_offers_it() {
    let place = Place::new();
    let (b, c) = (listening(&place, "b").await, listening(&place, "c").await);
    serve_name(&b, "who");
    serve_name(&c, "who");
    let a = caller(&place, &[&b, &c]).await;
    for _ in 0..20 {
        assert!(b.unserve("who"));
        let mut attempts = 0;
        // Until the caller has heard of it, its records are stale.
        while offers(&a, "who") == 2 {
            let settled = soon(a.call("who").any::<String>().settled()).await;
            assert_eq!(settled.outcome.unwrap(), "c");
            attempts = attempts.max(settled.attempts);
        }
        assert!(attempts <= 2, "{attempts}");
        serve_name(&b, "who");
        until(|| offers(&a, "who") == 2).await;
    }
    assert!(b.unserve("who") && c.unserve("who"));
    let nobody = soon(a.call("who").any::<String>()).await.unwrap_err();
    let stale = CallError::Refused { why: Refused::NoSuchService("who".into()) };
    assert!(nobody == stale || matches!(nobody, CallError::Absent { .. }), "{nobody}");
}

#[tokio::test(start_paused = true)]
async fn absent_not_yet_known_and_refused_are_told_apart() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    until(|| a.peers().complete).await;
    let begun = Instant::now();
    let absent = a.call("sum").any::<u32>().await.unwrap_err();
    assert!(matches!(&absent, CallError::Absent { what, .. } if what == "sum"), "{absent}");
    let absent = a.call("sum").all::<u32>().await.unwrap_err();
    assert!(matches!(absent, CallError::Absent { .. }) && !absent.may_have_run(), "{absent}");
    let nobody = Identity::generate().id();
    let absent = a.call("sum").peer::<u32>(nobody).await.unwrap_err();
    assert!(matches!(&absent, CallError::Absent { what, .. } if *what == nobody.to_string()), "{absent}");
    let refused = a.call("sum").peer::<u32>(b.id()).await.unwrap_err();
    assert_eq!(refused, CallError::Refused { why: Refused::NoSuchService("sum".into()) });
    assert!(begun.elapsed() < Duration::from_millis(100), "nothing of it is waited for");
    let alone = place.node("alone").start().await.unwrap();
    let (begun, second) = (Instant::now(), Duration::from_secs(1));
    for unknown in [
        alone.call("sum").any::<u32>().deadline(second).await.unwrap_err(),
        alone.call("sum").peer::<u32>(nobody).deadline(second).await.unwrap_err(),
        alone.call("sum").all::<u32>().deadline(second).await.unwrap_err(),
    ] {
        let CallError::NotYetKnown { missing, .. } = &unknown else { panic!("{unknown}") };
        assert_eq!(missing[..], ["no link with any node"]);
        assert!(!unknown.may_have_run());
    }
    assert_eq!(begun.elapsed().as_millis() / 10, 300);
    assert_eq!(alone.status().counters["peerage_calls_not_yet_known_total"], 3);
    assert_eq!(a.status().counters["peerage_calls_absent_total"], 3);
    for bad in [a.call("no tag").any::<u32>().await, a.call("sum").any().args(&5).await] {
        assert!(matches!(bad, Err(CallError::Refused { why: Refused::BadRequest(_) })), "{bad:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_as_many_as_it_asks_for() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let early = a.clone();
    let early = tokio::spawn(async move { early.call("who").wait_matching(1).any::<String>().await });
    let both = a.clone();
    let both = tokio::spawn(async move {
        let answers = both.call("who").wait_matching(2).all::<String>().await.unwrap();
        answers.collect().await.1
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!early.is_finished() && !both.is_finished());
    serve_name(&b, "who");
    assert_eq!(early.await.unwrap().unwrap(), "b");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!both.is_finished());
    let c = listening(&place, "c").await;
    serve_name(&c, "who");
    c.connect(&b.addresses()[0]).await.unwrap();
    let end = both.await.unwrap();
    assert_eq!((end.asked, end.ok), (2, 2));
    let late = a.call("who").wait_matching(3).any::<String>().deadline(Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(late, CallError::Absent { .. } | CallError::NotYetKnown { .. }), "{late}");
}

#[tokio::test]
async fn the_caller_answers_itself_only_where_it_says_so() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    until(|| a.peers().complete).await;
    serve_name(&a, "who");
    assert!(matches!(soon(a.call("who").any::<String>()).await, Err(CallError::Absent { .. })));
    assert_eq!(soon(a.call("who").include_self().any::<String>()).await.unwrap(), "a");
    assert_eq!(offers(&a, "who"), 1);
    serve_name(&b, "who");
    until(|| offers(&a, "who") == 2).await;
    let (answers, end) =
        soon(async { a.call("who").include_self().all::<String>().await.unwrap().collect().await }).await;
    let mut names: Vec<String> = answers.into_iter().map(|answer| answer.outcome.unwrap()).collect();
    names.sort();
    assert_eq!((names, end.asked, end.ok), (vec!["a".to_owned(), "b".to_owned()], 2, 2));
}

#[tokio::test]
async fn all_who_offer_it_answer_once_each_and_the_end_says_how() {
    let place = Place::new();
    let (b, c, d) = (listening(&place, "b").await, listening(&place, "c").await, listening(&place, "d").await);
    serve_name(&b, "who");
    c.serve("who", async || Err::<String, _>(Failure::new("ill"))).unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let stuck = move || {
        let gate = closed.clone();
        async move {
            let _permit = gate.acquire().await;
            Ok::<_, Failure>("d".to_owned())
        }
    };
    d.service("who").concurrency(1).serve(stuck).unwrap();
    let a = caller(&place, &[&b, &c, &d]).await;
    let mut answers = soon(a.call("who").all::<String>()).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let answer = soon(answers.next()).await.unwrap();
        seen.push(answer.peer);
        let is_right = match answer.outcome {
            Ok(name) => name == "b" && answer.peer == b.id(),
            Err(why) => matches!(why, CallError::Remote { .. }) && answer.peer == c.id(),
        };
        assert!(is_right);
    }
    let (busy, end) = soon(async { a.call("who").all::<String>().await.unwrap().collect().await }).await;
    assert_eq!((end.asked, end.ok, end.failed, end.unknown, end.did_not_run), (3, 1, 1, 0, 1));
    assert_eq!(busy.len(), 3);
    gate.add_permits(1);
    assert_eq!(soon(answers.next()).await.unwrap().outcome.unwrap(), "d");
    assert!(soon(answers.next()).await.is_none());
    assert_eq!(answers.end().ok, 2);
}

#[tokio::test]
async fn once_enough_have_answered_the_others_are_cancelled() {
    let place = Place::new();
    let (b, c) = (listening(&place, "b").await, listening(&place, "c").await);
    serve_name(&b, "who");
    struct Gone(Arc<AtomicU32>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let gone = Arc::new(AtomicU32::new(0));
    let counted = gone.clone();
    let for_ever = move || {
        let gone = Gone(counted.clone());
        async move {
            let _gone = gone;
            std::future::pending::<Result<String, Failure>>().await
        }
    };
    c.serve("who", for_ever).unwrap();
    let a = caller(&place, &[&b, &c]).await;
    let answers = soon(a.call("who").all::<String>().quorum(1)).await.unwrap();
    let (answers, end) = soon(answers.collect()).await;
    assert_eq!((end.asked, end.ok, end.unknown), (2, 1, 1));
    assert!(matches!(answers[1].outcome, Err(CallError::Cancelled { .. })), "{answers:?}");
    until(|| gone.load(Ordering::Relaxed) == 1).await;
}

/// How long calls take at four workers that each work on four at once for 20 ms, one of them for 200 ms, when 480 are made in a
/// second for so many seconds.
async fn latencies<Fut>(seconds: u32, call: impl Fn(u64) -> Fut) -> (Vec<Duration>, usize)
where
    Fut: Future<Output = Result<(), CallError>> + Send + 'static,
{
    let (begin, mut calls) = (Instant::now(), tokio::task::JoinSet::new());
    for n in 0..480 * seconds {
        tokio::time::sleep_until(begin + Duration::from_secs(1) * n / 480).await;
        let (call, at) = (call(u64::from(n)), Instant::now());
        calls.spawn(async move { call.await.map(|()| at.elapsed()) });
    }
    let ended = calls.join_all().await;
    let mut took: Vec<Duration> = ended.iter().filter_map(|took| took.as_ref().ok().copied()).collect();
    took.sort();
    (took, ended.iter().filter(|took| took.is_err()).count())
}

/// Calls at four workers, one of them slow, chosen by chance and by `any`.
struct Compared {
    chance: Duration,
    any: Duration,
    refused_by_chance: usize,
    refused: usize,
}

#[tokio::test(start_paused = true)]
async fn a_slow_worker_among_four_costs_any_a_third_at_most_of_what_it_costs_chance() {
    let Compared { chance, any, refused_by_chance, refused } = compared(30).await;
    assert!(any * 3 <= chance, "{any:?} against {chance:?}");
    assert!(refused <= refused_by_chance && refused * 1_000 <= 14_400, "{refused} of 14,400 refused");
}

/// `PEERAGE_FOUR_WORKERS=30` is the long form, with the figure of the promise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_worker_among_four_costs_any_no_more_than_chance_by_the_clock_on_the_wall() {
    let seconds = std::env::var("PEERAGE_FOUR_WORKERS").ok().and_then(|seconds| seconds.parse().ok());
    let Compared { chance, any, refused_by_chance, refused } = compared(seconds.unwrap_or(2)).await;
    match seconds {
        Some(_) => {
            assert!(any * 3 <= chance, "{any:?} against {chance:?}");
            assert!(refused <= refused_by_chance, "{refused} refused, by chance {refused_by_chance}");
        }
        // Beside other tests, on a busy machine, times mean less.
        None => assert!(any <= chance + Duration::from_millis(250), "{any:?} against {chance:?}"),
    }
}

async fn compared(seconds: u32) -> Compared {
    let place = Place::new();
    let mut workers = Vec::new();
    for n in 0..4 {
        let worker = listening(&place, &format!("w{n}")).await;
        let time = Duration::from_millis(if n == 0 { 200 } else { 20 });
        let work = move || async move {
            tokio::time::sleep(time).await;
            Ok::<_, Failure>(())
        };
        worker.service("work").concurrency(4).serve(work).unwrap();
        workers.push(worker);
    }
    let a = caller(&place, &workers.iter().collect::<Vec<_>>()).await;
    let ids: Vec<_> = workers.iter().map(Node::id).collect();
    let p99 = |took: &[Duration]| took[took.len() * 99 / 100];
    let by_chance = |n: u64| {
        let (a, ids) = (a.clone(), ids.clone());
        async move {
            // What is refused there is tried at two others, as `any` does.
            let mut dice = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let mut outcome = Ok(());
            for _ in 0..3 {
                outcome = a.call("work").peer(ids[(dice % 4) as usize]).await;
                dice /= 4;
                if !matches!(outcome, Err(CallError::Busy { .. })) {
                    break;
                }
            }
            outcome
        }
    };
    let (chance, refused_by_chance) = latencies(seconds, by_chance).await;
    let by_any = |_| {
        let a = a.clone();
        async move { a.call("work").any().await }
    };
    let (any, refused) = latencies(seconds, by_any).await;
    let (chance, any, calls) = (p99(&chance), p99(&any), 480 * seconds);
    println!(
        "p99 by chance {chance:?} with {refused_by_chance} refused, any {any:?} with {refused} refused, of {calls} each"
    );
    Compared { chance, any, refused_by_chance, refused }
}

#[tokio::test]
async fn a_member_without_a_link_is_dialled_inside_the_deadline_of_the_first_call() {
    let place = Place::new();
    let b = listening(&place, "b").await;
    let alone = |name: &str| place.node(name).limits(Limits { full_mesh: 1, ..Limits::default() });
    let c = alone("c").listen(memory()).start().await.unwrap();
    serve_name(&c, "who");
    let a = alone("a").start().await.unwrap();
    soon(c.connect(&b.addresses()[0])).await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    until(|| offers(&a, "who") == 1).await;
    assert_eq!(a.status().links.len(), 1, "it is not linked with c");
    let calls = (0..50).map(|_| {
        let (a, peer) = (a.clone(), c.id());
        tokio::spawn(async move { a.call("who").peer::<String>(peer).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(soon(call).await.unwrap().unwrap(), "c");
    }
    assert_eq!(a.status().links.len(), 2, "one link for all of them");
}
