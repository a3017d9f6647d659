//! `peerage bench`: what a link between two nodes carries, measured through the library that programs use.
//!
//! One end is a node of this command's own, a guest in the network. So what is measured lies between two processes, without
//! the way through a control socket.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peerage::Node;
use peerage::address::NodeId;
use peerage::node::snapshot::{PeerEntry, PeerState};
use peerage::outcome::Outcome;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::actor::Actor;
use crate::args;
use crate::exit::{Abort, Exit};
use crate::guest::Guest;
use crate::home::Home;
use crate::latencies::Latencies;
use crate::outcome::micros;
use crate::output;
use crate::presence;
use crate::running;
use crate::runtime::{self, Interrupts};
use crate::time::Time;

mod calls;
mod events;
mod streams;

/// What is to be measured.
struct Plan<'a> {
    workload: Workload,
    peer: Option<&'a str>,
    acting: &'a args::Acting,
    size: u32,
    /// Calls or streams at a time.
    inflight: u16,
    seconds: u32,
    /// At most so many operations a second.
    rate: Option<u32>,
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Workload {
    Call,
    Stream,
    Pub,
}

impl Workload {
    fn name(self) -> &'static str {
        match self {
            Workload::Call => "call",
            Workload::Stream => "stream",
            Workload::Pub => "pub",
        }
    }
}

impl<'a> Plan<'a> {
    fn of(typed: &'a args::Bench) -> Plan<'a> {
        macro_rules! plan {
            ($workload:ident, $typed:ident) => {
                Plan {
                    workload: Workload::$workload,
                    peer: $typed.peer.as_deref(),
                    acting: &$typed.acting,
                    size: $typed.size,
                    inflight: $typed.inflight,
                    seconds: $typed.seconds,
                    rate: $typed.rate,
                    json: $typed.json,
                }
            };
        }
        match typed {
            args::Bench::Call(typed) => plan!(Call, typed),
            args::Bench::Stream(typed) => plan!(Stream, typed),
            args::Bench::Pub(typed) => plan!(Pub, typed),
        }
    }
}

pub(super) fn run(typed: &args::Bench) -> Result<Exit, Abort> {
    let plan = Plan::of(typed);
    let home = Home::of_environment()?;
    let time = Time::of(plan.acting);
    runtime::on_all_processors(time.bound(async {
        let (mut interrupts, run) = (Interrupts::listen()?, home.run_folder());
        time.seeking();
        // A node that is named only says which network is meant.
        let network = match running::find(&run, plan.acting).await {
            Ok(running) => running.map(|running| running.network),
            Err(_) if plan.acting.node.is_none() => None,
            Err(why) => return Err(why),
        };
        let network = network.or_else(|| plan.acting.network.clone());
        let guest = Guest::join(&home, network.as_ref(), &[]).await?;
        let node = guest.node().clone();
        let mut actor = Actor::Guest(guest);
        let peer = tokio::select! {
            peer = chosen(&mut actor, &run, plan.peer) => peer,
            () = interrupts.next() => Ok(None),
        };
        let done = match peer {
            Ok(Some(peer)) => {
                time.asking();
                measured(node, &run, peer, &plan, &mut interrupts).await
            }
            Ok(None) => Ok(Exit::Failed),
            Err(why) => Err(why),
        };
        actor.leave().await;
        done
    }))
}

/// Whom to call: who was named, else the only one there is.
async fn chosen(actor: &mut Actor, run: &Path, who: Option<&str>) -> Result<Option<PeerEntry>, Abort> {
    if let Some(who) = who {
        return presence::find(actor, run, who, peerage::limits::CALL_DEADLINE_DEFAULT).await.map(Some);
    }
    let peers = presence::settled(actor.control(), presence::GUEST_PATIENCE).await?;
    let mut there: Vec<PeerEntry> = peers.peers.into_iter().filter(|entry| entry.state == PeerState::Up).collect();
    match there.len() {
        1 => Ok(there.pop()),
        0 => Err(Abort::Ended(Exit::NotYetKnown, "no other node was met: start one with `peerage up`".to_owned())),
        _ => {
            let names: Vec<String> = there.iter().map(|entry| format!("  {}", output::shown(&entry.name))).collect();
            Err(Abort::Usage(format!("there are several nodes; say which one to call:\n{}", names.join("\n"))))
        }
    }
}

/// Works for as long as was said, and prints what came of it.
async fn measured(
    node: Node,
    run: &Path,
    peer: PeerEntry,
    plan: &Plan<'_>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Abort> {
    let id: NodeId = peer.id.parse().map_err(|_| Abort::Failed(format!("{} is no node id", peer.id)))?;
    let began = Instant::now();
    let work = Work {
        node: node.clone(),
        peer: id,
        content: vec![0xa5; plan.size as usize].into(),
        pace: plan.rate.map(|rate| Arc::new(Mutex::new(ticking(Duration::from_secs(1) / rate)))),
        until: began + Duration::from_secs(plan.seconds.into()),
    };
    let mut workers = JoinSet::new();
    if plan.workload == Workload::Pub {
        let publisher = events::publisher(run, plan.acting, &peer).await?;
        workers.spawn(events::hear(work.clone(), publisher, plan.inflight));
    }
    for _ in 0..plan.inflight {
        match plan.workload {
            Workload::Call => workers.spawn(calls::make(work.clone())),
            Workload::Stream => workers.spawn(streams::fill(work.clone())),
            // One hears all.
            Workload::Pub => break,
        };
    }
    let mut sum = Tally::default();
    let mut interrupted = false;
    loop {
        tokio::select! {
            tally = workers.join_next() => match tally {
                Some(tally) => sum.merge(tally.map_err(|why| Abort::Failed(why.to_string()))?),
                None => break,
            },
            () = interrupts.next() => {
                interrupted = true;
                break;
            }
        }
    }
    // Where there was no link before, the work has made one.
    let now = node.peers().peers.into_iter().find(|entry| entry.id == peer.id);
    let figures = Figures::of(&sum, now.as_ref().unwrap_or(&peer), plan, began.elapsed());
    match plan.json {
        true => output::object(&figures)?,
        false => output::line(&figures.text(&peer.name))?,
    }
    Ok(match Exit::of_all(sum.failed.keys().copied()) {
        Exit::Ok if interrupted => Exit::Failed,
        exit => exit,
    })
}

/// What each worker does its work with.
#[derive(Clone)]
struct Work {
    node: Node,
    peer: NodeId,
    content: Arc<[u8]>,
    pace: Option<Arc<Mutex<Interval>>>,
    until: Instant,
}

impl Work {
    /// Waits for its turn, where there is a pace; false when the time is over.
    async fn goes_on(&self) -> bool {
        if let Some(pace) = &self.pace {
            pace.lock().await.tick().await;
        }
        Instant::now() < self.until
    }
}

fn ticking(pause: Duration) -> Interval {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

#[derive(Default)]
struct Tally {
    times: Latencies,
    failed: BTreeMap<Outcome, u64>,
}

impl Tally {
    fn done(&mut self, took: Duration) {
        self.times.add(micros(took));
    }

    fn failed(&mut self, outcome: Outcome) {
        *self.failed.entry(outcome).or_default() += 1;
    }

    fn merge(&mut self, other: Tally) {
        self.times.merge(&other.times);
        for (outcome, count) in other.failed {
            *self.failed.entry(outcome).or_default() += count;
        }
    }
}

/// What was measured.
#[derive(Serialize)]
struct Figures<'p> {
    workload: &'static str,
    peer: &'p str,
    path: Option<&'p str>,
    size: u32,
    inflight: u16,
    ops: u64,
    ops_per_s: f64,
    bytes_per_s: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    max_us: Option<u64>,
    failed: u64,
}

impl Figures<'_> {
    fn of<'p>(sum: &Tally, peer: &'p PeerEntry, plan: &Plan<'_>, elapsed: Duration) -> Figures<'p> {
        let ops = sum.times.count();
        let ops_per_s = (ops as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0;
        Figures {
            workload: plan.workload.name(),
            peer: &peer.id,
            path: peer.path.as_deref(),
            size: plan.size,
            inflight: plan.inflight,
            ops,
            ops_per_s,
            bytes_per_s: (ops_per_s * f64::from(plan.size)) as u64,
            p50_us: sum.times.percentile(50),
            p99_us: sum.times.percentile(99),
            max_us: sum.times.max(),
            failed: sum.failed.values().sum(),
        }
    }

    fn text(&self, name: &str) -> String {
        let times = match (self.p50_us, self.p99_us, self.max_us) {
            (Some(p50), Some(p99), Some(max)) => {
                format!("; half within {p50} µs, 99 of 100 within {p99} µs, the slowest {max} µs")
            }
            _ => String::new(),
        };
        let path = output::shown(self.path.unwrap_or("no direct link"));
        format!(
            "{} over {path}: {:.0} {} a second of {} bytes, {:.1} MB/s, {} at a time{times}; {} failed",
            output::shown(name),
            self.ops_per_s,
            match self.workload {
                "call" => "calls",
                "stream" => "items",
                _ => "events",
            },
            self.size,
            self.bytes_per_s as f64 / 1e6,
            self.inflight,
            self.failed
        )
    }
}
