//! What a node prints about itself stands in the documentation, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use peerage::node::Event;
use peerage_proto::node::FaultKind;

use crate::place::{Place, address, memory, soon, until};

/// A page below `docs/`.
fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// The cells of each row of its tables whose first cell is code.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[tokio::test]
async fn each_counter_and_gauge_and_queue_is_documented_in_the_words_that_a_node_prints() {
    let place = Place::new();
    let plain = address("tcp://127.0.0.1:0?dialect=plain&codec=json");
    let b = place.node("b").listen(memory()).listen(plain).control(place.control("b")).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    until(|| b.status().links.len() == 1 && b.peers().peers[0].rtt_us.is_some()).await;

    let text = b.open_metrics();
    let after = |prefix: &str| -> BTreeMap<String, String> {
        let found = text.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once(' '));
        found.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (kinds, helps) = (after("# TYPE "), after("# HELP "));
    let printed: BTreeSet<(String, &str, &str)> = kinds
        .iter()
        .map(|(name, kind)| {
            let sample = if kind == "counter" { format!("{name}_total") } else { name.clone() };
            let has_value = [' ', '{'].iter().any(|next| text.contains(&format!("\n{sample}{next}")));
            assert!(has_value, "{sample} has a value");
            (sample, kind.as_str(), helps[name].as_str())
        })
        .collect();
    let page = page("metrics.md");
    let (metrics, queues): (Vec<_>, Vec<_>) = rows(&page).into_iter().partition(|row| row[0].starts_with("peerage_"));
    let written: BTreeSet<(String, &str, &str)> =
        metrics.iter().map(|row| (row[0].to_owned(), row[1], row[2])).collect();
    assert_eq!(metrics.len(), written.len(), "each stands there once");
    let differences: Vec<_> = printed.symmetric_difference(&written).collect();
    assert!(differences.is_empty(), "docs/metrics.md differs from what is printed: {differences:#?}");
    let counters: BTreeSet<String> = b.status().counters.into_keys().collect();
    assert!(counters.iter().all(|name| written.iter().any(|row| row.0 == *name)));

    let shown = b.status().queues;
    assert!(shown.iter().all(|queue| queue.cap > 0 && queue.depth <= queue.cap), "{shown:?}");
    let shown: BTreeSet<&str> = shown.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(shown, queues.iter().map(|row| row[0]).collect());
}

#[test]
fn each_fault_and_each_event_is_documented() {
    let page = page("nodes.md");
    let first: BTreeSet<&str> =
        rows(&page).iter().flat_map(|row| row[0].split(", ")).map(|name| name.trim_matches('`')).collect();
    for fault in FaultKind::ALL {
        assert!(first.contains(fault.name()), "{} is in the table of faults", fault.name());
    }
    let text = String::new;
    let (id, name, epoch, why) = (text(), text(), text(), text());
    let of = |event: Event| serde_json::to_value(&event).unwrap()["event"].as_str().unwrap().to_owned();
    for event in [
        Event::Joined { id, name, epoch, why },
        Event::Up { id: text(), name: text(), epoch: text(), why: text() },
        Event::Suspect { id: text(), name: text(), epoch: text(), why: text() },
        Event::Left { id: text(), name: text(), epoch: text(), why: text() },
        Event::Lost { id: text(), name: text(), epoch: text(), why: text() },
        Event::Connected,
        Event::Isolated,
        Event::Fault { fault: text(), detail: text(), remedy: text() },
        Event::Cleared { fault: text(), detail: text() },
        Event::Draining,
        Event::Stopped,
        Event::Skipped { count: 1 },
    ] {
        assert!(first.contains(of(event.clone()).as_str()), "{event:?} is in the table of events");
    }
}

#[tokio::test]
async fn a_reader_of_events_that_is_too_slow_is_told_how_many_it_missed_and_that_is_counted() {
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    let mut slow = a.events();
    let mut missed = 0;
    for _ in 0..400 {
        soon(a.connect(&b.addresses()[0])).await.unwrap();
        soon(a.disconnect(b.id(), "again")).await.unwrap();
    }
    until(|| a.status().links.is_empty()).await;
    while let Ok(Some(record)) = tokio::time::timeout(std::time::Duration::from_millis(50), slow.next()).await {
        if let Event::Skipped { count } = record.event {
            missed += count;
        }
    }
    assert!(missed > 0);
    assert_eq!(a.status().counters["peerage_events_skipped_total"], missed);
}
