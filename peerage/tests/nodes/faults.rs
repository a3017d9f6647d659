//! Faults: each is provoked by what causes it in earnest, is shown with what to do about it, and is gone once it is cured.
//!
//! Those that take a process of their own (a wrong network, no descriptors left …) are provoked from the command line.

use std::sync::Arc;
use std::time::Duration;

use peerage::node::{Event, Events, Status};
use peerage::{Address, Identity, Node};
use peerage_proto::codec::Encoding;
use peerage_proto::frame::{Kind, Side};
use peerage_proto::hello::{Binding, Config, Introduction, Versions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::place::{Place, memory, soon, until};
use crate::rogue::{Rogue, Secured, shake};

/// The next event like this, however long it takes.
async fn next(events: &mut Events, is_wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("the node runs").event;
        if is_wanted(&event) {
            return event;
        }
    }
}

/// Waits for what takes minutes of a time that nobody waits for.
async fn within_minutes<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), future).await.expect("it comes within minutes")
}

/// Waits for the fault of this name and looks at how it is shown.
async fn shown(node: &Node, events: &mut Events, name: &str) -> Status {
    let told = next(events, |event| matches!(event, Event::Fault { fault, .. } if fault == name)).await;
    let Event::Fault { remedy, detail, .. } = told else { unreachable!("that was waited for") };
    let status = node.status();
    assert!(!status.nominal);
    let record = status.faults.iter().find(|record| record.fault == name).unwrap();
    assert_eq!((&record.remedy, &record.detail), (&remedy, &detail));
    assert!(remedy.len() > 20 && status.counters["peerage_faults"] >= 1);
    status
}

/// Waits until it is gone, and nothing else is wrong.
async fn gone(node: &Node, events: &mut Events, name: &str) {
    next(events, |event| matches!(event, Event::Cleared { fault, .. } if fault == name)).await;
    until(|| node.status().nominal && node.status().faults.is_empty()).await;
}

#[tokio::test]
async fn a_seed_of_another_version_is_incompatible_until_one_of_ours_takes_its_place() {
    let place = Place::new();
    let (rogue, network) = (Rogue::new(&Identity::generate()), place.network.clone());
    let newer = rogue.clone();
    let listens = rogue
        .listen(move |Secured { mut stream, binding }| {
            let versions = Versions::new(7, 9).unwrap();
            let config = Config { versions, ..newer.config(Side::Acceptor, &network, binding) };
            async move { assert!(shake(&mut stream, config).await.outcome.is_err()) }
        })
        .await;
    let seed = listens.address.clone();
    let (a, mut events) = place.node("a").seed(seed.clone()).start_with_events().await.unwrap();
    let status = soon(shown(&a, &mut events, "incompatible")).await;
    assert!(status.faults[0].detail.contains("7 to 9") && status.faults[0].remedy.contains("update"), "{status:?}");
    drop(listens);
    let start = || place.node("ours").listen(seed.clone()).start();
    // The port is free as soon as the task that held it has ended.
    let _ours = soon(async {
        loop {
            match start().await {
                Ok(ours) => break ours,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    })
    .await;
    soon(gone(&a, &mut events, "incompatible")).await;
}

#[tokio::test]
async fn a_unix_socket_whose_file_is_gone_is_made_anew_and_a_fault_while_something_is_in_its_way() {
    let place = Place::new();
    let path = place.path("a.link");
    let listen = Address::unix(&path).unwrap();
    let control = place.control("a");
    let a = place.node("a").listen(listen.clone()).control(&control).start().await.unwrap();
    let mut events = a.events();
    // New files are made at once, and nobody has to care.
    for file in [&path, &control] {
        std::fs::remove_file(file).unwrap();
        until(|| file.exists()).await;
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    soon(UnixStream::connect(&control)).await.unwrap();
    let b = place.node("b").start().await.unwrap();
    assert_eq!(soon(b.connect(&listen)).await, Ok(a.id()));
    // What is no socket is never touched.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "somebody's own").unwrap();
    let status = soon(shown(&a, &mut events, "listen")).await;
    assert!(status.faults[0].detail.contains(&listen.to_string()), "{status:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's own");
    std::fs::remove_file(&path).unwrap();
    soon(gone(&a, &mut events, "listen")).await;
    let c = place.node("c").start().await.unwrap();
    assert_eq!(soon(c.connect(&listen)).await, Ok(a.id()));
    a.stop().await;
    assert!(!path.exists());
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_one_key_at_a_time_are_a_conflict_until_one_of_them_is_alone() {
    let place = Place::new();
    let (seed, identity) = (memory(), Identity::generate());
    let (a, mut events) = place.node("a").listen(seed.clone()).start_with_events().await.unwrap();
    let run = || Node::builder(identity.clone()).network(place.network.clone()).seed(seed.clone()).start();
    let (one, two) = (run().await.unwrap(), run().await.unwrap());
    let status = within_minutes(shown(&a, &mut events, "identity-conflict")).await;
    assert!(status.faults[0].detail.contains(&one.id().to_string()), "{status:?}");
    assert!(status.faults[0].remedy.contains("peerage id new"), "{status:?}");
    two.stop().await;
    within_minutes(gone(&a, &mut events, "identity-conflict")).await;
    until(|| !a.status().links.is_empty()).await;
    soon(a.call("peerage/ping").peer::<()>(one.id())).await.unwrap();
    one.stop().await;
}

/// Lets this time pass for everything that waits for it, while sockets go on as ever.
async fn pass(time: Duration) {
    tokio::time::pause();
    let step = Duration::from_millis(100);
    for _ in 0..time.as_millis() / step.as_millis() {
        tokio::time::advance(step).await;
        // Nothing else moves the time on while this is waited for.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
    }
    tokio::time::resume();
}

/// A member that speaks, and reads nothing of what it is told.
async fn deaf(network: &peerage::Network, at: &std::path::Path, member: &Rogue) -> tokio::task::JoinHandle<()> {
    let mut stream = UnixStream::connect(at).await.unwrap();
    let config = member.config(Side::Dialler, network, Binding::Local);
    assert!(shake(&mut stream, config).await.outcome.is_ok());
    let frame = |kind: Kind, id: u64, content: &[u8]| {
        let mut body = Vec::new();
        Encoding::MsgPack.put_head(kind.number(), id, &mut body);
        body.extend_from_slice(content);
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    };
    let said = Introduction {
        record: member.record(network, "deaf"),
        process: 1,
        encodings: Encoding::ALL.into(),
        compression: Default::default(),
        build: "peerage 0".into(),
        ping_interval: Duration::from_secs(1),
        sees_us_at: None,
    };
    let first = frame(Kind::Introduction, 0, said.encode().unwrap().bytes());
    tokio::spawn(async move {
        stream.write_all(&first).await.unwrap();
        for n in 0.. {
            if stream.write_all(&frame(Kind::Ping, n, &[0xc0])).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        // What had come until then.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
}

#[tokio::test]
async fn a_peer_that_speaks_but_does_not_read_is_cut_and_a_fault_until_it_has_held_a_link_for_a_minute() {
    let place = Place::new();
    let (path, identity) = (place.path("a.link"), Identity::generate());
    let a = place.node("a").listen(Address::unix(&path).unwrap()).start().await.unwrap();
    let mut events = a.events();
    let member = deaf(&place.network, &path, &Rogue::new(&identity)).await;
    until(|| !a.peers().peers.is_empty()).await;
    let content = Arc::new("x".repeat(500_000));
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (a, peer, content) = (a.clone(), identity.id(), content.clone());
            tokio::spawn(async move { a.call("peerage/pass_through").peer::<String>(peer).arg(&*content).await })
        })
        .collect();
    until(|| a.status().links[0].bytes_out > 1_000).await;
    pass(Duration::from_secs(9)).await;
    assert!(a.status().nominal && a.status().links.len() == 1, "it is given its time, since it gives signs of life");
    pass(Duration::from_secs(2)).await;
    for call in calls {
        let ended = soon(call).await.unwrap().unwrap_err();
        assert!(ended.to_string().contains("does not read") || !ended.may_have_run(), "{ended:?}");
    }
    let status = soon(shown(&a, &mut events, "too-slow")).await;
    assert!(status.faults[0].detail.contains(&identity.id().to_string()), "{status:?}");
    assert_eq!(status.counters["peerage_links_too_slow_total"], 1);
    soon(member).await.unwrap();

    let well = Node::builder(identity).network(place.network.clone()).start().await.unwrap();
    soon(well.connect(&Address::unix(&path).unwrap())).await.unwrap();
    pass(Duration::from_secs(59)).await;
    assert!(!a.status().nominal);
    pass(Duration::from_secs(2)).await;
    soon(gone(&a, &mut events, "too-slow")).await;
}
