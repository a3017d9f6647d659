//! The control socket, by frames written by hand.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerage::node::{Event, LogFilter, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::place::{Place, memory, soon};

/// One program at the socket.
struct Client(UnixStream);

impl Client {
    async fn connect(path: &Path) -> Client {
        Client(UnixStream::connect(path).await.unwrap())
    }

    async fn say(&mut self, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let frame = [&(body.len() as u32).to_be_bytes()[..], body].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        let length = soon(self.0.read_u32()).await.unwrap();
        let mut body = vec![0; length as usize];
        soon(self.0.read_exact(&mut body)).await.unwrap();
        body
    }

    async fn hear_json(&mut self) -> serde_json::Value {
        serde_json::from_slice(&self.hear().await).unwrap()
    }

    /// Asks in JSON and gives the third element of the answer, which must be of this kind.
    async fn ask(&mut self, content: &str, kind: u64) -> serde_json::Value {
        self.say(format!("[0, 7, {content}]")).await;
        let answer = self.hear_json().await;
        assert_eq!((&answer[0], &answer[1]), (&kind.into(), &7.into()), "{answer}");
        answer[2].clone()
    }
}

#[tokio::test]
async fn it_is_this_users_alone() {
    let place = Place::new();
    let path = place.control("a");
    let _node = place.node("a").control(&path).start().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn the_codec_is_that_of_the_first_frame() {
    let place = Place::new();
    let path = place.control("a");
    let node = place.node("a").control(&path).start().await.unwrap();
    let mut json = Client::connect(&path).await;
    let info = json.ask(r#"["peerage/info", [], {}]"#, 1).await;
    assert_eq!(info["id"], node.id().to_string());
    assert!(info["executable"].is_string() && info["user"].is_string());
    let mut msgpack = Client::connect(&path).await;
    msgpack.say(b"\x93\x00\x05\x93\xacpeerage/ping\x90\x80").await;
    assert_eq!(msgpack.hear().await, [0x93, 1, 5, 0xc0]);
}

#[tokio::test]
async fn status_and_metrics_can_be_read_there() {
    let place = Place::new();
    let path = place.control("a");
    let node = place.node("a").control(&path).start().await.unwrap();
    let mut client = Client::connect(&path).await;
    let status: Status = serde_json::from_value(client.ask(r#"["peerage/stats", [], {}]"#, 1).await).unwrap();
    assert_eq!((status.id, status.nominal, status.faults), (node.id().to_string(), true, vec![]));
    assert_eq!(status.control, Some(format!("unix://{}", path.display())));
    let metrics = client.ask(r#"["peerage/stats", ["openmetrics"], {}]"#, 1).await;
    let text = metrics.as_str().unwrap();
    assert!(text.contains("\npeerage_control_clients 1\n") && text.ends_with("# EOF\n"), "{text}");
    for name in status.counters.keys() {
        assert!(text.contains(&format!("\n{name} ")), "{name} is in the text too");
    }
    let refused = client.ask(r#"["peerage/stats", ["xml"], {}]"#, 2).await;
    assert!(refused.as_str().unwrap().starts_with("[bad-request]"), "{refused}");
}

#[tokio::test]
async fn a_reader_of_events_gets_them_as_requests_and_64_at_most_are_unanswered() {
    let place = Place::new();
    let path = place.control("a");
    let node = place.node("a").control(&path).start().await.unwrap();
    let mut watcher = Client::connect(&path).await;
    let peers = watcher.ask(r#"["peerage/local/watch", [], {}]"#, 1).await;
    assert_eq!((&peers["self"]["name"], &peers["version"]), (&"a".into(), &0.into()));
    let draining = tokio::spawn({
        let node = node.clone();
        async move { node.drain(Duration::from_secs(5)).await }
    });
    let request = watcher.hear_json().await;
    assert_eq!(request[0], 0);
    assert_eq!((&request[2][0], &request[2][2]), (&"event".into(), &serde_json::json!({})));
    let record: peerage::node::snapshot::EventRecord = serde_json::from_value(request[2][1][0].clone()).unwrap();
    assert_eq!(record.event, Event::Draining);
    watcher.say(format!("[1, {}, null]", request[1])).await;
    let last = watcher.hear_json().await;
    assert_eq!(last[2][1][0]["event"], "stopped");
    watcher.say(format!("[1, {}, null]", last[1])).await;
    soon(draining).await.unwrap();
}

#[tokio::test]
async fn drain_through_the_socket_answers_when_it_is_done() {
    let place = Place::new();
    let path = place.control("a");
    let node = place.node("a").control(&path).start().await.unwrap();
    let mut client = Client::connect(&path).await;
    let drained = client.ask(r#"["peerage/local/drain", [], {"within_ms": 1000}]"#, 1).await;
    assert_eq!(drained, serde_json::json!({"abandoned": 0}));
    soon(node.stopped()).await;
    assert!(!path.exists());
}

/// A log that remembers its filter.
#[derive(Clone, Debug)]
struct Remembered(Arc<Mutex<String>>);

impl LogFilter for Remembered {
    fn filter(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, filter: &str) -> Result<(), String> {
        if filter.contains('!') {
            return Err(format!("`{filter}` is no filter"));
        }
        *self.0.lock().unwrap() = filter.to_owned();
        Ok(())
    }
}

#[tokio::test]
async fn the_log_filter_is_shown_and_changed_there() {
    let place = Place::new();
    let (path, other) = (place.control("a"), place.control("b"));
    let filter = Remembered(Arc::new(Mutex::new("info".into())));
    let _node = place.node("a").control(&path).log_filter(filter.clone()).start().await.unwrap();
    let mut client = Client::connect(&path).await;
    assert_eq!(client.ask(r#"["peerage/local/log", [], {}]"#, 1).await, serde_json::json!({"filter": "info"}));
    let changed = client.ask(r#"["peerage/local/log", ["debug"], {}]"#, 1).await;
    assert_eq!(changed, serde_json::json!({"filter": "debug"}));
    let refused = client.ask(r#"["peerage/local/log", ["!"], {}]"#, 2).await;
    assert_eq!(refused, "[bad-request] `!` is no filter");
    let refused = client.ask(r#"["peerage/local/log", ["a", "b"], {}]"#, 2).await;
    assert_eq!(refused, "[bad-request] one filter at most");
    assert_eq!(filter.filter(), "debug");

    let _node = place.node("b").control(&other).start().await.unwrap();
    let refused = Client::connect(&other).await.ask(r#"["peerage/local/log", [], {}]"#, 2).await;
    assert!(refused.as_str().unwrap().starts_with("[unsupported]"), "{refused}");
}

#[tokio::test]
async fn a_program_that_says_nothing_is_closed_after_five_seconds() {
    let place = Place::new();
    let path = place.control("a");
    let node = place.node("a").control(&path).start().await.unwrap();
    let started = std::time::Instant::now();
    let mut silent = Client::connect(&path).await;
    silent.0.write_all(&[0, 0]).await.unwrap();
    let mut talks = Client::connect(&path).await;
    talks.ask(r#"["peerage/ping", [], {}]"#, 1).await;
    let ended = soon(silent.0.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
    let after = started.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&after), "{after:?}");
    talks.ask(r#"["peerage/ping", [], {}]"#, 1).await;
    assert_eq!(node.status().counters["peerage_control_silent_total"], 1);
}

#[tokio::test]
async fn there_are_at_most_256_programs() {
    let place = Place::new();
    let path = place.control("a");
    let node = place.node("a").control(&path).start().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..256 {
        let mut client = Client::connect(&path).await;
        client.ask(r#"["peerage/ping", [], {}]"#, 1).await;
        clients.push(client);
    }
    let mut one_more = Client::connect(&path).await;
    assert!(matches!(soon(one_more.0.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    assert_eq!(node.status().counters["peerage_control_turned_away_total"], 1);
    assert_eq!(node.status().counters["peerage_control_clients"], 256);
}

#[tokio::test]
async fn a_program_has_its_node_call_another_one_and_is_told_how_that_ended() {
    let place = Place::new();
    let path = place.control("a");
    let a = place.node("a").control(&path).start().await.unwrap();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let mut client = Client::connect(&path).await;
    let mut call = async |tag: &str, args: &str, peer: &str, kind| {
        let content =
            format!(r#"["peerage/local/call", ["{tag}", {args}, {{}}], {{"peer": "{peer}", "deadline_ms": 5000}}]"#);
        client.ask(&content, kind).await
    };
    let id = b.id().to_string();
    let ended = call("peerage/pass_through", r#"["x"]"#, &id, 1).await;
    assert_eq!((&ended["outcome"], &ended["class"], &ended["value"]), (&"ok".into(), &"ok".into(), &"x".into()));
    assert_eq!((&ended["peer"], &ended["attempts"]), (&id.as_str().into(), &1.into()));
    assert!(ended["elapsed_us"].is_u64() && ended.get("may_have_run").is_none(), "{ended}");

    let ended = call("no/such", "[]", &id, 1).await;
    assert_eq!((&ended["outcome"], &ended["why"]), (&"refused".into(), &"no-such-service".into()));
    assert_eq!((&ended["class"], &ended["may_have_run"]), (&"did-not-run".into(), &false.into()));

    let stranger = peerage::Identity::generate().id().to_string();
    let ended = call("peerage/ping", "[]", &stranger, 1).await;
    assert_eq!((&ended["outcome"], &ended["class"]), (&"absent".into(), &"did-not-run".into()));

    let ended = call("peerage/stats", r#"["nonsense"]"#, &id, 1).await;
    assert_eq!((&ended["outcome"], &ended["may_have_run"]), (&"remote".into(), &true.into()));
    assert_eq!((&ended["code"], &ended["class"]), (&"bad-request".into(), &"failed".into()));

    let refused = call("peerage/ping", "[]", "nobody", 2).await;
    assert_eq!(refused, "[bad-request] peer is no node id");
    let refused = client.ask(r#"["peerage/local/call", ["peerage/ping"], {}]"#, 2).await;
    assert!(refused.as_str().is_some_and(|why| why.starts_with("[bad-request]")), "{refused}");
}

#[tokio::test]
async fn what_a_program_asked_for_ends_with_the_program_but_not_with_its_sending_direction() {
    let place = Place::new();
    let path = place.control("a");
    let a = place.node("a").control(&path).start().await.unwrap();
    let (began, mut begins) = tokio::sync::mpsc::channel(4);
    let (go, goes) = tokio::sync::watch::channel(false);
    let wait = move || {
        let (began, mut goes) = (began.clone(), goes.clone());
        async move {
            // Its other half shows when this work is over, one way or the other.
            let (guard, over) = tokio::sync::oneshot::channel::<()>();
            began.send(over).await?;
            goes.wait_for(|go| *go).await?;
            drop(guard);
            Ok(7)
        }
    };
    a.serve("wait", wait).unwrap();
    let ask = r#"[0, 7, ["peerage/local/call", ["wait", [], {}], {"include_self": true}]]"#;

    let mut gone = Client::connect(&path).await;
    gone.say(ask).await;
    let over = soon(begins.recv()).await.unwrap();
    drop(gone);
    soon(over).await.unwrap_err();

    let mut waits = Client::connect(&path).await;
    waits.say(ask).await;
    let mut over = soon(begins.recv()).await.unwrap();
    waits.0.shutdown().await.unwrap();
    let mut other = Client::connect(&path).await;
    for _ in 0..20 {
        other.ask(r#"["peerage/ping", [], {}]"#, 1).await;
    }
    assert!(over.try_recv().is_err_and(|why| why == tokio::sync::oneshot::error::TryRecvError::Empty));
    go.send_replace(true);
    let answer = waits.hear_json().await;
    assert_eq!((&answer[0], &answer[2]["value"]), (&1.into(), &7.into()), "{answer}");
}
