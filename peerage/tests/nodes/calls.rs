//! Calls between nodes: what arrives, and how those end that do not.

use peerage::node::{Form, Info};
use peerage::outcome::{NotSent, Refused};
use peerage::{CallError, Encoding, Identity, Payload, Value};

use crate::place::{Place, memory, pair, soon, until};

#[tokio::test]
async fn arguments_arrive_as_they_were_given_and_the_answer_comes_back() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let call = |tag| a.call(tag);
    let one: String = soon(call("peerage/pass_through").peer(b.id()).arg("x")).await.unwrap();
    assert_eq!(one, "x");
    let several: Value = soon(call("peerage/pass_through").peer(b.id()).args(&(1, "zwei", [3]))).await.unwrap();
    assert_eq!(several.to_string(), r#"[[1,"zwei",[3]],{}]"#);
    let named = Value::Map(vec![("width".into(), 7_u64.into()), ("bytes".into(), Value::Bytes(vec![0, 255]))]);
    let with_names: Value = soon(call("peerage/pass_through").peer(b.id()).kwargs(&named).arg(&1)).await.unwrap();
    assert_eq!(with_names.to_string(), r#"[[1],{"width":7,"bytes":{"$bin":"00ff"}}]"#);
    let nothing: Value = soon(call("peerage/pass_through").peer(b.id())).await.unwrap();
    assert_eq!(nothing.to_string(), "[[],{}]");
    let unopened: Payload = soon(call("peerage/pass_through").peer::<()>(b.id()).arg(&5).unopened()).await.unwrap();
    assert_eq!((unopened.encoding(), &unopened.bytes()[..]), (Encoding::MsgPack, &[5][..]));
    assert_eq!(a.status().counters["peerage_calls_ok_total"], 5);
}

#[tokio::test]
async fn a_service_that_is_not_there_certainly_did_not_run() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    for tag in ["nobody/offers.this", "peerage/local/drain"] {
        let refused = soon(a.call(tag).peer::<()>(b.id())).await.unwrap_err();
        assert_eq!(refused, CallError::Refused { why: Refused::NoSuchService(tag.into()) });
        assert!(!refused.may_have_run());
    }
    assert_eq!(a.status().counters["peerage_calls_refused_total"], 2);
    assert_eq!(b.status().counters["peerage_requests_without_service_total"], 2);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_before_anything_is_sent() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    for call in [
        a.call("no tag").peer::<()>(b.id()),
        a.call("").peer(b.id()),
        a.call("peerage/ping").peer(b.id()).args(&5),
        a.call("peerage/ping").peer(b.id()).arg(&(u128::MAX)),
        a.call("peerage/ping").peer(b.id()).kwargs(&[1]),
    ] {
        let refused = soon(call).await.unwrap_err();
        assert!(matches!(refused, CallError::Refused { why: Refused::BadRequest(_) }), "{refused:?}");
    }
    let large = soon(a.call("peerage/ping").peer::<()>(b.id()).arg(&"x".repeat(1 << 20))).await.unwrap_err();
    assert!(matches!(large, CallError::Refused { why: Refused::TooLarge { .. } }), "{large:?}");
    assert_eq!(b.status().counters["peerage_requests_malformed_total"], 0);
}

#[tokio::test]
async fn a_node_that_is_not_linked_or_has_stopped_is_told_apart() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let not_sent = |why| Err(CallError::NotSent { why });
    let nobody = Identity::generate().id();
    until(|| a.peers().complete).await;
    let absent = soon(a.call("peerage/ping").peer::<()>(nobody)).await;
    assert!(matches!(absent, Err(CallError::Absent { .. })), "{absent:?}");
    a.stop().await;
    assert_eq!(soon(a.call("peerage/ping").peer::<()>(b.id())).await, not_sent(NotSent::ShuttingDown));
    assert_eq!(a.connect(&b.addresses()[0]).await, Err(peerage::node::ConnectError::ShuttingDown));
    assert!(a.disconnect(b.id(), "").await.is_err());
    until(|| b.status().links.is_empty()).await;
    assert_eq!(soon(b.call("peerage/ping").peer::<()>(a.id())).await, not_sent(NotSent::NoRoute));
}

#[tokio::test]
async fn an_answer_of_another_type_is_a_protocol_error_and_the_link_stays() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let wrong = soon(a.call("peerage/ping").peer::<u32>(b.id())).await.unwrap_err();
    assert!(matches!(wrong, CallError::Protocol { .. }), "{wrong:?}");
    soon(a.call("peerage/info").peer::<Info>(b.id())).await.unwrap();
}

#[tokio::test]
async fn the_form_of_frames_changes_while_calls_go_on_and_none_is_lost() {
    let place = Place::new();
    let b = place.node("b").compression(true).listen(memory()).start().await.unwrap();
    let a = place.node("a").compression(true).start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    until(|| a.status().links[0].compression.is_some()).await;
    let callers: Vec<_> = (0..16)
        .map(|n| {
            let (a, peer) = (a.clone(), b.id());
            tokio::spawn(async move {
                let content = "abc".repeat(1_000 * (n % 4) + 5);
                for _ in 0..100 {
                    let back: String = a.call("peerage/pass_through").peer(peer).arg(&content).await.unwrap();
                    assert_eq!(back, content);
                }
            })
        })
        .collect();
    let forms = [Form::plain(Encoding::Json), Form::plain(Encoding::MsgPack), Form::COMPRESSED];
    for form in forms {
        assert_eq!(soon(a.propose(b.id(), form)).await, Ok(form));
    }
    for caller in callers {
        soon(caller).await.unwrap();
    }
    assert_eq!(a.status().links[0].compression.as_deref(), Some("lz4"));
    until(|| b.status().links[0].compression.as_deref() == Some("lz4")).await;
    let nobody = Identity::generate().id();
    assert!(soon(a.propose(nobody, Form::COMPRESSED)).await.is_err());
}

#[tokio::test]
async fn an_end_that_was_not_told_to_compress_stays_with_the_form_there_is() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    assert_eq!(soon(a.propose(b.id(), Form::COMPRESSED)).await, Ok(Form::plain(Encoding::MsgPack)));
    soon(a.call("peerage/ping").peer::<()>(b.id())).await.unwrap();
}

#[tokio::test]
async fn a_call_that_nobody_awaits_any_more_is_given_up_and_counted() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let mut call = Box::pin(a.call("peerage/ping").peer::<()>(b.id()));
    tokio::select! {
        biased;
        outcome = &mut call => panic!("it cannot be answered yet: {outcome:?}"),
        () = std::future::ready(()) => {}
    }
    drop(call);
    assert_eq!(a.status().counters["peerage_calls_cancelled_total"], 1);
    soon(a.call("peerage/ping").peer::<()>(b.id())).await.unwrap();
}
