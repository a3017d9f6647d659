//! Plain listeners of a node: what programs that know nothing of nodes find there.

use std::collections::BTreeMap;

use peerage::node::Info;
use peerage::{CallError, Channel, Encoding, Node, Value};
use serde::Serialize;

use crate::place::{Place, address, soon};

async fn node_and_channel(place: &Place, codec: Encoding) -> (Node, Channel) {
    let listen = address(&format!("tcp://127.0.0.1:0?dialect=plain&codec={codec}"));
    let node = place.node("a").group("g".parse().unwrap()).hub(true).listen(listen).start().await.unwrap();
    let channel = Channel::connect(&node.addresses()[0]).await.unwrap();
    (node, channel)
}

async fn call<T: serde::de::DeserializeOwned>(
    channel: &Channel,
    tag: &str,
    args: impl Serialize,
    kwargs: impl Serialize,
) -> Result<T, CallError> {
    soon(channel.request(&(tag, args, kwargs))).await
}

fn none() -> BTreeMap<String, u8> {
    BTreeMap::new()
}

#[tokio::test]
async fn pass_through_gives_back_what_it_got_byte_for_byte() {
    let place = Place::new();
    for codec in Encoding::ALL {
        let (_node, channel) = node_and_channel(&place, codec).await;
        let one: Value = call(&channel, "peerage/pass_through", ["x"], none()).await.unwrap();
        assert_eq!(one, "x".into());
        let several: Value = call(&channel, "peerage/pass_through", (1, 2), BTreeMap::from([("k", 3)])).await.unwrap();
        assert_eq!(several.to_string(), r#"[[1,2],{"k":3}]"#);
        let nothing: Value = call(&channel, "peerage/pass_through", Vec::<u8>::new(), none()).await.unwrap();
        assert_eq!(nothing.to_string(), "[[],{}]");
    }
    // What no value of ours could hold comes back all the same, since nobody opens it.
    let (_node, channel) = node_and_channel(&place, Encoding::Json).await;
    let odd = r#"["peerage/pass_through", [{"big": 123456789012345678901234567890, "nan": NaN,  "é": [ ]}], {}]"#;
    let payload = peerage::Payload::from_parts(Encoding::Json, odd.as_bytes().into());
    let answer = soon(channel.request_payload(payload)).await.unwrap();
    assert_eq!(&answer.bytes()[..], &odd.as_bytes()[26..odd.len() - 6]);
}

#[tokio::test]
async fn a_plain_program_learns_who_the_node_is_but_not_who_runs_it() {
    let place = Place::new();
    let (node, channel) = node_and_channel(&place, Encoding::Json).await;
    let told: Info = call(&channel, "peerage/info", [(); 0], none()).await.unwrap();
    assert_eq!((told.id, told.name, told.hub), (node.id().to_string(), "a".into(), true));
    assert_eq!((told.groups, told.pid), (vec!["g".to_owned()], std::process::id()));
    assert_eq!((told.executable, told.user), (None, None));
    assert!(node.info().executable.is_some() && node.info().user.is_some());
    let raw: Value = call(&channel, "peerage/info", [(); 0], none()).await.unwrap();
    assert!(!raw.to_string().contains("executable"), "{raw}");
    call::<()>(&channel, "peerage/ping", [(); 0], none()).await.unwrap();
}

#[tokio::test]
async fn what_is_for_members_or_for_this_user_is_no_service_there() {
    let place = Place::new();
    let (_node, channel) = node_and_channel(&place, Encoding::MsgPack).await;
    for tag in ["peerage/peers", "peerage/stats", "peerage/local/drain", "peerage/local/watch", "nobody/offers", ""] {
        let error = call::<Value>(&channel, tag, [(); 0], none()).await.unwrap_err();
        let CallError::Remote { message, .. } = error else { panic!("{error:?}") };
        assert_eq!(message, format!("[no-such-service] no service `{tag}`"));
    }
}

#[tokio::test]
async fn content_that_is_no_call_fails_that_request_alone() {
    let place = Place::new();
    let (node, channel) = node_and_channel(&place, Encoding::Json).await;
    for content in ["1", "[]", r#"["t"]"#, r#"["peerage/ping", {}, {}]"#, r#"["peerage/ping", [], {}, {"ms": 1}]"#] {
        let payload = peerage::Payload::from_parts(Encoding::Json, content.as_bytes().into());
        let error = soon(channel.request_payload(payload)).await.unwrap_err();
        assert!(error.to_string().starts_with("[bad-request] "), "{content}: {error}");
    }
    call::<()>(&channel, "peerage/ping", [(); 0], none()).await.unwrap();
    assert_eq!(node.status().counters["peerage_requests_malformed_total"], 5);
}
