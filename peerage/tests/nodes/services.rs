//! Services of an application: how functions are registered, called, refused, stopped and taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use peerage::node::snapshot::Services;
use peerage::node::{Info, Limits};
use peerage::outcome::{Busy, Code, Outcome, Refused};
use peerage::service::{Context, Named, ServeError};
use peerage::{CallError, Channel, Failure, Flag, Identity, Value};
use serde::Deserialize;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::place::{Place, add, address, call, memory, pair, soon, until};

#[derive(Deserialize)]
struct Size {
    width: u32,
}

/// Fires when it is dropped.
struct Guard(mpsc::Sender<&'static str>, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.try_send(self.1).expect("there is room");
    }
}

fn bad_request(why: &str) -> CallError {
    CallError::Remote { code: Code::BAD_REQUEST, message: why.into(), data: None }
}

#[tokio::test]
async fn functions_of_every_form_are_called_by_their_names() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    b.serve("add", add).unwrap();
    b.serve("nothing", async || Ok(())).unwrap();
    b.serve("scale", |image: String, size: Named<Size>| async move { Ok(format!("{image}@{}", size.width)) }).unwrap();
    let who = |context: Context, n: u8| async move { Ok((context.caller().map(|id| id.to_string()), n)) };
    b.serve("who", who).unwrap();
    let all = |context: Context, n: u8, size: Named<Size>| async move { Ok((context.tag().len(), n, size.width)) };
    b.serve("all", all).unwrap();
    b.service("direct").serve_direct(|a: u8| Ok(a + 1)).unwrap();
    b.service("blocks").serve_blocking(|context: Context, a: u8| Ok((context.is_cancelled(), a))).unwrap();

    assert_eq!(call(&a, &b, "add", &(2, 3)).await, Ok(5));
    assert_eq!(call(&a, &b, "nothing", &()).await, Ok(()));
    assert_eq!(call(&a, &b, "who", &[7]).await, Ok((Some(a.id().to_string()), 7)));
    assert_eq!(call(&a, &b, "direct", &[7]).await, Ok(8));
    assert_eq!(call(&a, &b, "blocks", &[7]).await, Ok((false, 7)));
    let width = Value::Map(vec![("width".into(), 9_u64.into())]);
    let scaled = a.call("scale").peer(b.id()).arg("cat").kwargs(&width);
    assert_eq!(soon(scaled).await, Ok("cat@9".to_owned()));
    assert_eq!(soon(a.call("all").peer(b.id()).arg(&1).kwargs(&width)).await, Ok((3, 1, 9)));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_the_callers_mistake_and_say_which() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    b.serve("add", add).unwrap();
    b.serve("nothing", async || Ok(())).unwrap();
    let refused = async |tag: &str, args: &Value| call::<Value>(&a, &b, tag, args).await.unwrap_err();
    let list = |items: &[&str]| Value::List(items.iter().map(|item| (*item).into()).collect());
    assert_eq!(refused("add", &list(&["x"])).await, bad_request("takes 2 positional arguments, and was given 1"));
    assert_eq!(refused("nothing", &list(&["x"])).await, bad_request("takes 0 positional arguments, and was given 1"));
    let CallError::Remote { code, message, .. } = refused("add", &list(&["x", "y"])).await else { panic!("a failure") };
    assert!(code == Code::BAD_REQUEST && message.starts_with("the arguments: "), "{message}");
    let named = Value::Map(vec![("c".into(), 1_u64.into())]);
    let named = soon(a.call("add").peer::<i64>(b.id()).args(&(1, 2)).kwargs(&named)).await;
    assert_eq!(named, Err(bad_request("takes no named arguments, and was given `c`")));
}

#[tokio::test]
async fn a_name_is_served_once_and_what_is_no_name_not_at_all() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let service = b.serve("add", add).unwrap();
    assert_eq!(b.serve("add", add).unwrap_err(), ServeError::Taken("add".into()));
    assert_eq!(b.serve("a b", add).unwrap_err(), ServeError::NoName("a b".into()));
    assert_eq!(b.serve("", add).unwrap_err(), ServeError::NoName(String::new()));
    assert_eq!(b.serve("peerage/x", add).unwrap_err(), ServeError::Reserved("peerage/x".into()));
    assert_eq!(b.service("x").concurrency(0).serve(add).unwrap_err(), ServeError::NoConcurrency);

    let gone = Err(CallError::Refused { why: Refused::NoSuchService("add".into()) });
    assert!(service.stop() && !service.stop());
    assert_eq!(call::<i64>(&a, &b, "add", &(1, 2)).await, gone);
    let again = b.serve("add", async |a: i64, b: i64| Ok(a * b)).unwrap();
    assert!(!service.stop(), "the name is another service's now");
    assert_eq!(call(&a, &b, "add", &(3, 4)).await, Ok(12));
    assert!(b.unserve("add") && !b.unserve("add") && !again.stop());
    assert_eq!(call::<i64>(&a, &b, "add", &(1, 2)).await, gone);
}

#[tokio::test]
async fn no_node_offers_services_without_end() {
    let place = Place::new();
    let node = place.node("a").start().await.unwrap();
    for n in 0..peerage::limits::SERVICES_MAX {
        node.serve(&format!("service-{n}"), add).unwrap();
    }
    assert_eq!(node.serve("one-more", add).unwrap_err(), ServeError::TooMany);
    assert!(node.unserve("service-0"));
    node.serve("one-more", add).unwrap();
}

#[tokio::test]
async fn above_its_concurrency_a_service_puts_callers_off_and_no_handler_starts() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (open, started) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = (open.clone(), started.clone());
    let held = move || {
        let (open, started) = gate.clone();
        async move {
            started.fetch_add(1, Ordering::SeqCst);
            open.acquire().await?.forget();
            Ok(())
        }
    };
    b.service("held").concurrency(2).serve(held).unwrap();
    let two: Vec<_> = (0..2)
        .map(|_| {
            let (a, peer) = (a.clone(), b.id());
            tokio::spawn(async move { a.call("held").peer::<()>(peer).await })
        })
        .collect();
    until(|| started.load(Ordering::SeqCst) == 2).await;
    let CallError::Busy { why, retry_after } = call::<()>(&a, &b, "held", &()).await.unwrap_err() else {
        panic!("put off")
    };
    assert_eq!(why, Busy::Overloaded);
    assert!(retry_after >= Duration::from_millis(1), "{retry_after:?}");
    assert_eq!(started.load(Ordering::SeqCst), 2);
    open.add_permits(3);
    for call in two {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!(call(&a, &b, "held", &()).await, Ok(()));
}

#[tokio::test]
async fn above_what_a_node_may_work_on_its_services_put_callers_off() {
    let place = Place::new();
    let limits = Limits { served: 2, ..Limits::default() };
    let b = place.node("b").limits(limits).listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    for tag in ["one", "two"] {
        b.serve(tag, std::future::pending::<Result<(), Failure>>).unwrap();
    }
    b.service("direct").serve_direct(|| Ok(())).unwrap();
    let held: Vec<_> = ["one", "two"]
        .map(|tag| {
            let (a, peer) = (a.clone(), b.id());
            tokio::spawn(async move { a.call(tag).peer::<()>(peer).await })
        })
        .into();
    let at_work = async || {
        let services: Services = soon(a.call("peerage/services").peer(b.id())).await.unwrap();
        services.services.iter().map(|service| service.at_work).sum::<u64>()
    };
    soon(async { while at_work().await < 2 {} }).await;
    let busy = call::<()>(&a, &b, "one", &()).await.unwrap_err();
    assert!(matches!(busy, CallError::Busy { why: Busy::LimitReached, .. }), "{busy:?}");
    // What answers at once takes no place.
    assert_eq!(call(&a, &b, "direct", &()).await, Ok(()));
    held.into_iter().for_each(|call| call.abort());
    soon(async { while at_work().await > 0 {} }).await;
}

#[tokio::test]
async fn services_tell_what_happened_to_their_calls() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    b.service("add").describe("adds two numbers").concurrency(3).serve(add).unwrap();
    b.service("mine").allow([b.id()]).serve(add).unwrap();
    assert_eq!(call(&a, &b, "add", &(2, 3)).await, Ok(5));
    assert!(call::<i64>(&a, &b, "add", &[2]).await.is_err());
    assert!(call::<i64>(&a, &b, "mine", &(2, 3)).await.is_err());
    let told: Services = soon(a.call("peerage/services").peer(b.id())).await.unwrap();
    let [add, mine] = &told.services[..] else { panic!("{told:?}") };
    assert_eq!((&*add.tag, add.description.as_deref(), add.concurrency), ("add", Some("adds two numbers"), Some(3)));
    assert_eq!((add.ok, add.failed, add.refused, add.at_work, add.restricted), (1, 1, 0, 0, false));
    assert!(add.p50_us.is_some() && add.p99_us >= add.p50_us);
    assert_eq!((&*mine.tag, mine.ok, mine.refused, mine.restricted, mine.p50_us), ("mine", 0, 1, true, None));
}

#[tokio::test]
async fn an_anonymous_node_tells_nobody_who_runs_it() {
    let place = Place::new();
    let b = place.node("b").anonymous().listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let told: Info = soon(a.call("peerage/info").peer(b.id())).await.unwrap();
    assert_eq!((told.executable, told.user), (None, None));
    let told: Info = soon(b.call("peerage/info").peer(a.id())).await.unwrap();
    assert!(told.executable.is_some() && told.user.is_some());
}

#[tokio::test]
async fn the_work_of_a_caller_that_gives_up_is_dropped_and_its_place_is_free() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (dropped, mut drops) = mpsc::channel(4);
    let begun = Arc::new(Notify::new());
    let notify = begun.clone();
    let endless = move |context: Context| {
        let (guard, notify) = (Guard(dropped.clone(), "handler"), notify.clone());
        let told = dropped.clone();
        tokio::spawn(async move {
            context.cancelled().await;
            told.send("told").await.expect("somebody listens");
        });
        async move {
            let _guard = guard;
            notify.notify_one();
            std::future::pending::<Result<(), Failure>>().await
        }
    };
    b.service("endless").concurrency(1).serve(endless).unwrap();
    let peer = b.id();
    let caller = a.clone();
    let call = tokio::spawn(async move { caller.call("endless").peer::<()>(peer).await });
    soon(begun.notified()).await;
    call.abort();
    let mut heard = [soon(drops.recv()).await.unwrap(), soon(drops.recv()).await.unwrap()];
    heard.sort_unstable();
    assert_eq!(heard, ["handler", "told"]);
    let caller = a.clone();
    let second = tokio::spawn(async move { caller.call("endless").peer::<()>(peer).await });
    soon(begun.notified()).await;
    // A link that goes takes the work of its callers with it.
    a.stop().await;
    assert!(soon(second).await.unwrap().is_err());
    soon(drops.recv()).await.unwrap();
}

#[tokio::test]
async fn detached_work_goes_on_without_its_caller_who_is_told_so() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (go_on.clone(), done.clone());
    let work = move || {
        let (go_on, done) = signals.clone();
        async move {
            go_on.notified().await;
            done.notify_one();
            Ok(())
        }
    };
    b.service("archive").detached().serve(work).unwrap();
    let ended = soon(a.call("archive").peer::<()>(b.id()).deadline(Duration::from_millis(50))).await;
    assert_eq!(ended, Err(CallError::Deadline { stop: peerage::outcome::Stop::Detached }));
    go_on.notify_one();
    soon(done.notified()).await;
}

#[tokio::test]
async fn a_function_that_blocks_is_told_and_its_place_is_taken_until_it_ends() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (ended, mut ends) = mpsc::channel(1);
    let (go_on, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let wait = std::sync::Mutex::new(wait);
    let blocks = move |context: Context| {
        wait.lock().unwrap().recv()?;
        ended.blocking_send(context.is_cancelled())?;
        Ok(())
    };
    b.service("blocks").concurrency(1).serve_blocking(blocks).unwrap();
    let unconfirmed = soon(a.call("blocks").peer::<()>(b.id()).deadline(Duration::from_millis(50))).await;
    assert_eq!(unconfirmed, Err(CallError::Deadline { stop: peerage::outcome::Stop::Unconfirmed }));
    let busy = call::<()>(&a, &b, "blocks", &()).await.unwrap_err();
    assert_eq!(busy.outcome(), Outcome::Busy);
    go_on.send(()).unwrap();
    assert!(soon(ends.recv()).await.unwrap(), "the function could see that nobody waits");
    go_on.send(()).unwrap();
    soon(async { while call::<()>(&a, &b, "blocks", &()).await.is_err_and(|why| why.outcome() == Outcome::Busy) {} })
        .await;
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_own_call_and_nothing_else() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    b.serve("at-once", async |n: u8| if n == 0 { panic!("at once") } else { Ok(n) }).unwrap();
    let later = |n: u8| async move {
        tokio::task::yield_now().await;
        if n == 0 { panic!("later") } else { Ok(n) }
    };
    b.serve("later", later).unwrap();
    b.service("direct").serve_direct(|n: u8| if n == 0 { panic!("in place") } else { Ok(n) }).unwrap();
    b.service("blocks").serve_blocking(|n: u8| if n == 0 { panic!("on its thread") } else { Ok(n) }).unwrap();
    for tag in ["at-once", "later", "direct", "blocks"] {
        let why = CallError::Remote { code: Code::INTERNAL, message: "the handler panicked".into(), data: None };
        assert_eq!(call::<u8>(&a, &b, tag, &[0]).await, Err(why), "{tag}");
        assert_eq!(call(&a, &b, tag, &[1]).await, Ok(1), "{tag}");
    }
}

#[tokio::test]
async fn whoever_is_not_on_the_list_of_a_service_is_denied_before_the_handler_starts() {
    let place = Place::new();
    let plain = address("tcp://127.0.0.1:0?dialect=plain&codec=json");
    let b = place.node("b").listen(memory()).listen(plain).start().await.unwrap();
    let (a, stranger) = (place.node("a").start().await.unwrap(), place.node("c").start().await.unwrap());
    for node in [&a, &stranger] {
        soon(node.connect(&b.addresses()[0])).await.unwrap();
    }
    b.service("add").allow([a.id(), Identity::generate().id()]).serve(add).unwrap();
    assert_eq!(call(&a, &b, "add", &(1, 2)).await, Ok(3));
    let denied = call::<i64>(&stranger, &b, "add", &(1, 2)).await.unwrap_err();
    assert!(matches!(&denied, CallError::Refused { why: Refused::Denied(_) }), "{denied:?}");
    assert!(!denied.may_have_run());
    let plain = b.addresses().iter().find(|at| at.to_string().contains("plain")).cloned().unwrap();
    let channel = Channel::connect(&plain).await.unwrap();
    let refused = soon(channel.request::<i64>(&("add", (1, 2), Value::Map(vec![])))).await.unwrap_err();
    assert!(refused.to_string().contains("no service `add`"), "{refused}");
}

#[tokio::test]
async fn plain_peers_find_the_services_that_their_listener_offers() {
    let place = Place::new();
    let listen = |options: &str| address(&format!("tcp://127.0.0.1:0?dialect=plain&codec=json{options}"));
    let node = place.node("a").listen(listen("")).listen(listen("&services=img.*")).start().await.unwrap();
    node.service("img.add").concurrency(1).serve(add).unwrap();
    node.serve("sum", add).unwrap();
    node.serve("flagged", async || -> Result<(), Failure> { Err(Flag::new("later").into()) }).unwrap();
    let call = async |channel: &Channel, tag: &str, args: Vec<i64>| {
        soon(channel.request::<Value>(&(tag, args, Value::Map(vec![])))).await
    };
    let (all, some) = (&node.addresses()[0], &node.addresses()[1]);
    let (all, some) = (Channel::connect(all).await.unwrap(), Channel::connect(some).await.unwrap());
    // Plain peers cannot be put off: above the concurrency they wait.
    let many: Vec<_> = (0..20).map(|n| call(&all, "img.add", vec![n, 1])).collect();
    for (n, sum) in many.into_iter().enumerate() {
        assert_eq!(sum.await, Ok((n as u64 + 1).into()));
    }
    assert_eq!(call(&some, "img.add", vec![1, 2]).await, Ok(3_u64.into()));
    assert_eq!(call(&all, "sum", vec![1, 2]).await, Ok(3_u64.into()));
    let refused = call(&some, "sum", vec![1, 2]).await.unwrap_err();
    assert!(refused.to_string().contains("no service `sum`"), "{refused}");
    let flagged = call(&all, "flagged", vec![]).await.unwrap_err();
    assert!(flagged.to_string().starts_with("later"), "{flagged}");
    let null = call(&all, "peerage/null", vec![]).await.unwrap_err();
    assert!(null.to_string().starts_with("null"), "{null}");
}

#[tokio::test]
async fn a_flag_travels_by_its_name() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    b.serve("flagged", async || -> Result<(), Failure> { Err(Flag::new("try-later").into()) }).unwrap();
    let flagged = call::<()>(&a, &b, "flagged", &()).await.unwrap_err();
    assert_eq!(Flag::of(&flagged), Some(Flag::new("try-later")));
    assert_eq!(Flag::of(&bad_request("no")), None);
}

#[tokio::test]
async fn the_node_of_the_caller_says_what_a_flag_means() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let flagging = |name: &'static str| move || -> Result<(), Failure> { Err(Flag::new(name).into()) };
    for name in ["null", "invalid-connection", "cached", "broken", "unknown"] {
        b.service(name).serve_direct(flagging(name)).unwrap();
    }
    assert_eq!(call::<Option<u8>>(&a, &b, "null", &()).await, Ok(None));
    assert_eq!(call::<Option<u8>>(&a, &b, "peerage/null", &()).await, Ok(None));
    let no_such = |tag: &str| Err(CallError::Refused { why: Refused::NoSuchService(tag.into()) });
    assert_eq!(call::<()>(&a, &b, "invalid-connection", &()).await, no_such("invalid-connection"));
    a.on_flag(Flag::new("cached"), |tag, peer| Ok((tag.to_owned(), peer.to_string())));
    a.on_flag(Flag::new("broken"), |_, _| -> Result<(), Failure> { Err(Failure::new("no")) });
    let cached = call::<(String, String)>(&a, &b, "cached", &()).await;
    assert_eq!(cached, Ok(("cached".to_owned(), b.id().to_string())));
    let broken = CallError::Remote { code: Code::PLAIN, message: "no".into(), data: None };
    assert_eq!(call::<()>(&a, &b, "broken", &()).await, Err(broken));
    a.on_flag(Flag::NULL, |_, _| Ok(7));
    assert_eq!(call::<Option<u8>>(&a, &b, "null", &()).await, Ok(Some(7)));
    // What nobody has said anything about stays what it is.
    let unknown = call::<()>(&a, &b, "unknown", &()).await.unwrap_err();
    assert_eq!((Flag::of(&unknown), unknown.outcome()), (Some(Flag::new("unknown")), Outcome::Remote));
}

#[tokio::test]
async fn a_node_calls_its_own_functions_like_those_of_others() {
    let place = Place::new();
    let node = place.node("a").start().await.unwrap();
    node.serve("add", add).unwrap();
    let who = |context: Context| async move { Ok(context.caller().map(|id| id.to_string())) };
    node.serve("who", who).unwrap();
    assert_eq!(call(&node, &node, "add", &(2, 3)).await, Ok(5));
    assert_eq!(call(&node, &node, "who", &()).await, Ok(Some(node.id().to_string())));
    assert!(node.peers().peers.is_empty() && node.status().links.is_empty());
    node.serve("endless", std::future::pending::<Result<(), Failure>>).unwrap();
    let caller = node.clone();
    let endless = tokio::spawn(async move { caller.call("endless").peer::<()>(caller.id()).await });
    until(|| node.status().counters["peerage_calls_ok_total"] == 2).await;
    soon(node.stop()).await;
    assert!(soon(endless).await.unwrap().is_err());
    assert!(call::<i64>(&node, &node, "add", &(2, 3)).await.is_err());
}

#[tokio::test]
async fn calls_inside_a_handler_end_with_it_and_belong_to_its_trace() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (dropped, mut drops) = mpsc::channel(4);
    let inner = move |context: Context| {
        let guard = Guard(dropped.clone(), "inner");
        async move {
            let _guard = guard;
            let left = context.left().expect("it was inherited");
            assert!(left <= Duration::from_millis(200), "{left:?}");
            std::future::pending::<Result<(), Failure>>().await
        }
    };
    a.serve("inner", inner).unwrap();
    let peer = a.id();
    let outer = move |context: Context| async move {
        let node = context.node().expect("it runs");
        Ok(node.call("inner").peer::<()>(peer).await?)
    };
    b.serve("outer", outer).unwrap();
    let ended = soon(a.call("outer").peer::<()>(b.id()).deadline(Duration::from_millis(200))).await;
    // Both ends count the same time; whichever is first, the deadline is what ended it.
    let ended = ended.unwrap_err();
    assert!(ended.to_string().contains("deadline passed"), "{ended:?}");
    assert!(drops.try_recv().is_ok() || soon(drops.recv()).await.is_some());

    let traces = |context: Context| async move { Ok(context.trace().to_string()) };
    a.serve("trace", traces).unwrap();
    let both = move |context: Context| async move {
        let node = context.node().expect("it runs");
        let inner: String = node.call("trace").peer(peer).await?;
        Ok((context.trace().to_string(), inner))
    };
    b.serve("both", both).unwrap();
    let (outer, inner): (String, String) = call(&a, &b, "both", &()).await.unwrap();
    assert_eq!(outer[..36], inner[..36], "one trace");
    assert_ne!(outer, inner, "two spans");
}
