//! What stands around calls, and calls that want no answer.

use std::future::IntoFuture as _;
use std::time::Duration;

use peerage::hook::{CallInfo, Denial, Hook, Side};
use peerage::node::snapshot::Services;
use peerage::outcome::{Outcome, Refused};
use peerage::service::Context;
use peerage::{CallError, Failure};
use tokio::sync::mpsc;

use crate::place::{Place, add, call, memory, pair, soon, until};

/// Denies one function, and remembers what it saw.
struct Guarding(mpsc::Sender<(Side, String, Option<String>, Outcome)>);

impl Hook for Guarding {
    fn before(&self, call: &CallInfo<'_>) -> Result<(), Denial> {
        match call.tag {
            "secret" => Err(Denial::new("not for you")),
            _ => Ok(()),
        }
    }

    fn after(&self, call: &CallInfo<'_>, outcome: Outcome, _elapsed: Duration) {
        let peer = call.peer.map(|peer| peer.to_string());
        self.0.try_send((call.side, call.tag.to_owned(), peer, outcome)).expect("there is room");
    }
}

#[tokio::test]
async fn one_hook_sees_every_call_that_is_served_and_may_turn_it_away() {
    let place = Place::new();
    let (saw, mut seen) = mpsc::channel(16);
    let b = place.node("b").listen(memory()).hook(Guarding(saw)).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    b.serve("add", add).unwrap();
    b.serve("secret", add).unwrap();
    b.service("direct").serve_direct(|| -> Result<(), Failure> { Err(Failure::new("no")) }).unwrap();
    let denied = call::<i64>(&a, &b, "secret", &(1, 2)).await;
    assert_eq!(denied, Err(CallError::Refused { why: Refused::Denied("not for you".into()) }));
    assert_eq!(call(&a, &b, "add", &(1, 2)).await, Ok(3));
    assert!(call::<()>(&a, &b, "direct", &()).await.is_err());
    let from = Some(a.id().to_string());
    assert_eq!(soon(seen.recv()).await.unwrap(), (Side::Callee, "add".into(), from.clone(), Outcome::Ok));
    assert_eq!(soon(seen.recv()).await.unwrap(), (Side::Callee, "direct".into(), from, Outcome::Remote));
}

#[tokio::test]
async fn the_hook_of_a_caller_sees_every_call_that_it_makes_and_may_keep_it_back() {
    let place = Place::new();
    let (saw, mut seen) = mpsc::channel(16);
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").hook(Guarding(saw)).start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    b.serve("add", add).unwrap();
    b.serve("secret", add).unwrap();
    b.serve("endless", std::future::pending::<Result<(), Failure>>).unwrap();
    let denied = Err(CallError::Refused { why: Refused::Denied("not for you".into()) });
    assert_eq!(call::<i64>(&a, &b, "secret", &(1, 2)).await, denied);
    assert_eq!(soon(a.call("secret").wait_matching(1).any::<i64>().args(&(1, 2)).into_future()).await, denied);
    assert_eq!(call(&a, &b, "add", &(1, 2)).await, Ok(3));
    assert_eq!(soon(a.call("add").wait_matching(1).any::<i64>().args(&(1, 2)).into_future()).await, Ok(3));
    assert!(call::<()>(&a, &b, "add", &()).await.is_err());
    drop(tokio::time::timeout(Duration::from_millis(20), a.call("endless").peer::<()>(b.id())).await);
    let to = Some(b.id().to_string());
    let mut next = async || soon(seen.recv()).await.unwrap();
    assert_eq!(next().await, (Side::Caller, "add".into(), to.clone(), Outcome::Ok));
    assert_eq!(next().await, (Side::Caller, "add".into(), to.clone(), Outcome::Ok));
    assert_eq!(next().await, (Side::Caller, "add".into(), to.clone(), Outcome::Remote));
    assert_eq!(next().await, (Side::Caller, "endless".into(), to, Outcome::Cancelled));
    let told: Services = soon(b.call("peerage/services").peer(b.id())).await.unwrap();
    assert!(told.services.iter().all(|service| service.tag != "secret" || service.ok == 0), "none of it ran");
}

#[tokio::test]
async fn a_notification_runs_its_handler_in_turn_and_waits_for_nothing() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (told, mut heard) = mpsc::channel(64);
    b.service("note").serve_direct(move |n: u32| Ok(told.try_send(n)?)).unwrap();
    for n in 0..50_u32 {
        soon(a.call("note").peer::<()>(b.id()).arg(&n).notify()).await.unwrap();
    }
    for n in 0..50 {
        assert_eq!(soon(heard.recv()).await, Some(n));
    }
    // What cannot be sent is told; what becomes of the rest is not.
    soon(a.call("nobody/offers.this").peer::<()>(b.id()).notify()).await.unwrap();
    let refused = soon(a.call("no name").peer::<()>(b.id()).notify()).await.unwrap_err();
    assert_eq!(refused.outcome(), Outcome::Refused);
    a.stop().await;
    let late = soon(a.call("note").peer::<()>(b.id()).arg(&1).notify()).await.unwrap_err();
    assert_eq!(late.outcome(), Outcome::NotSent);
}

#[tokio::test]
async fn the_hook_of_a_caller_and_its_counters_see_how_a_conversation_ended_and_not_that_it_began() {
    let place = Place::new();
    let (saw, mut seen) = mpsc::channel(16);
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").hook(Guarding(saw)).start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let echo = async |context: Context| {
        let (mut incoming, mut outgoing) = (context.incoming::<u64>()?, context.outgoing::<u64>()?);
        while let Some(item) = incoming.next().await {
            let item = item?;
            if item == 13 {
                return Err(Failure::new("thirteen is too many"));
            }
            outgoing.send(&item).await?;
        }
        Ok(())
    };
    b.serve("echo", echo).unwrap();
    for (item, outcome) in [(1, Outcome::Ok), (13, Outcome::Remote), (2, Outcome::Cancelled)] {
        let mut talk = soon(a.call("echo").peer::<()>(b.id()).open::<u64, u64>()).await.unwrap();
        soon(talk.outgoing.send(&item)).await.unwrap();
        if item != 13 {
            assert_eq!(soon(talk.incoming.next()).await, Some(Ok(item)));
        }
        assert!(seen.try_recv().is_err(), "it is under way");
        match outcome {
            Outcome::Cancelled => drop(talk),
            _ => assert_eq!(soon(talk.result::<()>()).await.is_ok(), outcome == Outcome::Ok),
        }
        let to = Some(b.id().to_string());
        assert_eq!(soon(seen.recv()).await.unwrap(), (Side::Caller, "echo".into(), to, outcome));
        assert!(seen.try_recv().is_err(), "once");
        let counted = format!("peerage_calls_{}_total", outcome.name());
        until(|| a.status().counters[counted.as_str()] == 1).await;
    }
    soon(a.call("echo").peer::<()>(b.id()).notify()).await.unwrap();
    assert_eq!(soon(seen.recv()).await.unwrap().3, Outcome::Ok, "accepted for sending");
}
