//! `peerage ping`: asks a peer for a sign of life, over the link that calls take.

use std::path::Path;
use std::time::Duration;

use peerage::node::snapshot::PeerEntry;
use peerage::outcome::Outcome;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::actor::Actor;
use crate::args;
use crate::control::Answer;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: &args::Ping) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        let done = ask(&mut actor, &home.run_folder(), typed, &time).await;
        actor.leave().await;
        done
    }))
}

async fn ask(actor: &mut Actor, run: &Path, typed: &args::Ping, time: &Time) -> Result<Exit, Abort> {
    let mut interrupts = Interrupts::listen()?;
    time.seeking();
    let peer = tokio::select! {
        peer = presence::find(actor, run, &typed.peer, typed.deadline) => peer?,
        () = interrupts.next() => return Ok(Exit::Failed),
    };
    time.asking();
    let mut tally = Tally::default();
    let mut ticks = interval(typed.interval.max(SHORTEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    for n in 1..=typed.count {
        let answer = async {
            ticks.tick().await;
            actor.control().ping(&peer.id, typed.deadline).await
        };
        let answer = tokio::select! {
            answer = answer => answer?,
            () = interrupts.next() => {
                tally.interrupted = true;
                break;
            }
        };
        tally.count(&answer);
        tell(n, &answer, &peer, typed)?;
    }
    tally.close(&peer, began.elapsed(), typed)
}

fn tell(n: u32, answer: &Answer, peer: &PeerEntry, typed: &args::Ping) -> Result<(), Abort> {
    #[derive(Serialize)]
    struct Record {
        n: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        rtt_us: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<&'static str>,
    }
    match (answer, typed.json, typed.jsonl) {
        (_, true, _) => Ok(()),
        (Answer::Came { rtt_us }, _, true) => output::record(&Record { n, rtt_us: Some(*rtt_us), outcome: None }),
        (Answer::Failed { outcome, .. }, _, true) => {
            output::record(&Record { n, rtt_us: None, outcome: Some(outcome.name()) })
        }
        (Answer::Came { rtt_us }, ..) => output::line(&format!("{n}  {}  {rtt_us} µs", output::shown(&peer.name))),
        (Answer::Failed { outcome, message }, ..) => {
            output::complain(&format!("{n}: {outcome}: {}", output::shown(message)));
            Ok(())
        }
    }
}

#[derive(Default)]
struct Tally {
    outcomes: Vec<Outcome>,
    times_us: Vec<u64>,
    interrupted: bool,
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        match answer {
            Answer::Came { rtt_us } => {
                self.times_us.push(*rtt_us);
                self.outcomes.push(Outcome::Ok);
            }
            Answer::Failed { outcome, .. } => self.outcomes.push(*outcome),
        }
    }

    fn close(mut self, peer: &PeerEntry, elapsed: Duration, typed: &args::Ping) -> Result<Exit, Abort> {
        self.times_us.sort_unstable();
        let closing = Closing {
            end: typed.jsonl.then_some(true),
            peer: &peer.id,
            sent: self.outcomes.len(),
            received: self.times_us.len(),
            min_us: self.times_us.first().copied(),
            p50_us: self.percentile(50),
            p99_us: self.percentile(99),
            path: peer.path.as_deref(),
        };
        match (typed.json, typed.jsonl) {
            (_, true) => output::record(&closing)?,
            (true, false) => output::object(&closing)?,
            (false, false) => output::line(&closing.text(peer, elapsed))?,
        }
        Ok(match Exit::of_all(self.outcomes) {
            Exit::Ok if self.interrupted => Exit::Failed,
            exit => exit,
        })
    }

    /// The time within which so many per cent of the answers came. The times are sorted.
    fn percentile(&self, per_cent: usize) -> Option<u64> {
        let rank = (self.times_us.len() * per_cent).div_ceil(100);
        self.times_us.get(rank.saturating_sub(1)).copied()
    }
}

/// The sum of all.
#[derive(Serialize)]
struct Closing<'p> {
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<bool>,
    peer: &'p str,
    sent: usize,
    received: usize,
    min_us: Option<u64>,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    path: Option<&'p str>,
}

impl Closing<'_> {
    fn text(&self, peer: &PeerEntry, elapsed: Duration) -> String {
        let times = match (self.min_us, self.p50_us, self.p99_us) {
            (Some(min), Some(p50), Some(p99)) => {
                format!("; fastest {min} µs, half within {p50} µs, 99 of 100 within {p99} µs")
            }
            _ => String::new(),
        };
        let path = output::shown(self.path.unwrap_or("no direct link"));
        let (name, seconds) = (output::shown(&peer.name), elapsed.as_secs_f64());
        format!("{name} over {path}: {} of {} answered in {seconds:.1} s{times}", self.received, self.sent)
    }
}

/// Pings follow each other without a pause when none is asked for.
const SHORTEST: Duration = Duration::from_micros(1);
