//! `peerage bench`: what a link between two nodes carries, measured through the library that programs use.
//!
//! The calling node is one of this command's own, a guest in the network. So what is measured is a call between two
//! processes, without the way through a control socket.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peerage::address::NodeId;
use peerage::node::snapshot::{PeerEntry, PeerState};
use peerage::outcome::Outcome;
use peerage::{Node, Value};
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
use crate::output;
use crate::presence;
use crate::running;
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: &args::Bench) -> Result<Exit, Abort> {
    let args::Bench::Call(typed) = typed;
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_all_processors(time.bound(async {
        let (mut interrupts, run) = (Interrupts::listen()?, home.run_folder());
        time.seeking();
        // A node that is named only says which network is meant.
        let network = match running::find(&run, &typed.acting).await {
            Ok(running) => running.map(|running| running.network),
            Err(_) if typed.acting.node.is_none() => None,
            Err(why) => return Err(why),
        };
        let network = network.or_else(|| typed.acting.network.clone());
        let guest = Guest::join(&home, network.as_ref(), &[]).await?;
        let node = guest.node().clone();
        let mut actor = Actor::Guest(guest);
        let peer = tokio::select! {
            peer = chosen(&mut actor, &run, typed.peer.as_deref()) => peer,
            () = interrupts.next() => Ok(None),
        };
        let done = match peer {
            Ok(Some(peer)) => {
                time.asking();
                measured(node, peer, typed, &mut interrupts).await
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

/// Calls for as long as was said, and prints what came of it.
async fn measured(
    node: Node,
    peer: PeerEntry,
    typed: &args::BenchCall,
    interrupts: &mut Interrupts,
) -> Result<Exit, Abort> {
    let id: NodeId = peer.id.parse().map_err(|_| Abort::Failed(format!("{} is no node id", peer.id)))?;
    let content = Arc::new(Value::Bytes(vec![0xa5; typed.size as usize]));
    let pace = typed.pause().map(|pause| Arc::new(Mutex::new(ticking(pause))));
    let began = Instant::now();
    let until = began + Duration::from_secs(typed.seconds.into());
    let mut callers = JoinSet::new();
    for _ in 0..typed.inflight {
        callers.spawn(call_until(node.clone(), id, content.clone(), pace.clone(), until));
    }
    let mut sum = Tally::default();
    let mut interrupted = false;
    loop {
        tokio::select! {
            tally = callers.join_next() => match tally {
                Some(tally) => sum.merge(tally.map_err(|why| Abort::Failed(why.to_string()))?),
                None => break,
            },
            () = interrupts.next() => {
                interrupted = true;
                break;
            }
        }
    }
    // Where there was no link before, the calls have made one.
    let now = node.peers().peers.into_iter().find(|entry| entry.id == peer.id);
    let figures = Figures::of(&sum, now.as_ref().unwrap_or(&peer), typed, began.elapsed());
    match typed.json {
        true => output::object(&figures)?,
        false => output::line(&figures.text(&peer.name))?,
    }
    Ok(match Exit::of_all(sum.failed.keys().copied()) {
        Exit::Ok if interrupted => Exit::Failed,
        exit => exit,
    })
}

fn ticking(pause: Duration) -> Interval {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// Makes one call after the other.
async fn call_until(
    node: Node,
    peer: NodeId,
    content: Arc<Value>,
    pace: Option<Arc<Mutex<Interval>>>,
    until: Instant,
) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        if let Some(pace) = &pace {
            pace.lock().await.tick().await;
        }
        let began = Instant::now();
        let answer = node.call("peerage/pass_through").peer::<Value>(peer).arg(&*content).await;
        match answer {
            Ok(_) => tally.times.add(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)),
            Err(error) => *tally.failed.entry(error.outcome()).or_default() += 1,
        }
    }
    tally
}

#[derive(Default)]
struct Tally {
    times: Latencies,
    failed: BTreeMap<Outcome, u64>,
}

impl Tally {
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
    fn of<'p>(sum: &Tally, peer: &'p PeerEntry, typed: &args::BenchCall, elapsed: Duration) -> Figures<'p> {
        let ops = sum.times.count();
        let ops_per_s = (ops as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0;
        Figures {
            workload: "call",
            peer: &peer.id,
            path: peer.path.as_deref(),
            size: typed.size,
            inflight: typed.inflight,
            ops,
            ops_per_s,
            bytes_per_s: (ops_per_s * f64::from(typed.size)) as u64,
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
            "{} over {path}: {:.0} calls a second of {} bytes, {} in flight{times}; {} failed",
            output::shown(name),
            self.ops_per_s,
            self.size,
            self.inflight,
            self.failed
        )
    }
}
