//! What nodes log: which of them it is about, and what others have chosen in a form that harms no terminal and no log.

use std::io;
use std::sync::{Arc, Mutex};

use peerage::node::Event;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::place::{Place, event, memory, pair, soon, until};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

impl Log {
    /// What this thread logs from now on goes here, as JSON, as far as it passes the filter.
    fn start(filter: &str) -> (Log, reload::Handle<EnvFilter, Registry>, DefaultGuard) {
        let log = Log::default();
        let (filter, handle) = reload::Layer::new(filter.parse::<EnvFilter>().unwrap());
        let lines = tracing_subscriber::fmt::layer().json().with_writer(log.clone());
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(filter).with(lines));
        (log, handle, guard)
    }

    /// Its lines so far.
    fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
    }
}

#[tokio::test]
async fn each_line_says_of_which_node_it_is_and_of_which_link() {
    let (log, _, _guard) = Log::start("peerage=debug");
    let place = Place::new();
    let (a, b) = pair(&place).await;
    soon(a.stop()).await;
    until(|| b.status().links.is_empty()).await;
    let lines = log.lines();
    for (node, other) in [(&a, &b), (&b, &a)] {
        let is_of_it = |line: &&serde_json::Value| line["spans"][0]["id"] == node.id().to_string();
        let said = |message: &str| {
            let line = lines.iter().filter(is_of_it).find(|line| line["fields"]["message"] == message);
            line.unwrap_or_else(|| panic!("{message}: {lines:?}"))
        };
        assert_eq!(said("node started")["spans"][0]["node"], node.name().to_string());
        assert_eq!(said("linked")["fields"]["peer"], other.id().to_string());
        // The link's own task speaks inside the span of the link.
        let by_link = |line: &&serde_json::Value| line["target"] == "peerage::link::driver";
        let ended = &lines.iter().filter(is_of_it).find(by_link).unwrap()["spans"];
        assert_eq!((&ended[0]["name"], &ended[1]["name"]), (&"node".into(), &"link".into()), "{ended}");
        assert_eq!((&ended[1]["peer"], &ended[1]["path"]), (&other.id().to_string().into(), &"memory".into()));
    }
    let of_nodes =
        lines.iter().filter(|line| line["target"].as_str().is_some_and(|of| of.starts_with("peerage::node")));
    assert!(of_nodes.clone().count() > 4);
    for line in of_nodes {
        assert_eq!(line["spans"][0]["name"], "node", "{line}");
    }
}

#[tokio::test]
async fn a_filter_that_is_changed_counts_from_then_on() {
    let (log, filter, _guard) = Log::start("error");
    let place = Place::new();
    let node = place.node("a").start().await.unwrap();
    assert_eq!(log.lines(), Vec::<serde_json::Value>::new());
    filter.reload("peerage=info".parse::<EnvFilter>().unwrap()).unwrap();
    node.stop().await;
    let lines = log.lines();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "node stopped"), "{lines:?}");
}

#[tokio::test]
async fn a_reason_that_a_peer_has_chosen_is_escaped_and_cut_in_every_line() {
    let (log, _, _guard) = Log::start("trace");
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    until(|| !b.peers().peers.is_empty()).await;
    let mut events = b.events();
    let reason = format!("bye\n\u{1b}]0;title\u{7}\u{202e}{}", "x".repeat(100_000));
    soon(a.disconnect(b.id(), &reason)).await.unwrap();
    event(&mut events, |event| matches!(event, Event::Left { .. })).await;
    until(|| b.status().links.is_empty()).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("bye"), "it is logged at all");
    let harms = |character: char| peerage::shown::is_unsafe(character) && character != '\n';
    let harmful: Vec<&str> = text.lines().filter(|line| line.contains(harms)).collect();
    assert!(harmful.is_empty(), "{harmful:#?}");
    for line in log.lines() {
        // As one line of text as it is shown without JSON around it.
        let fields = line["fields"].as_object().unwrap();
        for value in fields.values().filter_map(serde_json::Value::as_str).filter(|value| value.contains("bye")) {
            assert!(!value.contains(peerage::shown::is_unsafe), "{value:?}");
            assert!(value.len() < 4_000, "{} bytes", value.len());
        }
    }
}
