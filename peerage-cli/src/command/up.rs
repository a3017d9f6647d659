//! `peerage up`: a node, until somebody ends it.
//!
//! ```text
//!   start ──▶ ready line ──▶ events, one a line ──first signal, or `peerage drain`──▶ draining ──▶ stopped: exit 0
//!                                                        └──second signal──▶ exit 1, with the number of abandoned calls
//! ```
//!
//! stdout is for those who read along. When they have gone the node stays, because it is there for others too.

use std::path::PathBuf;
use std::time::Duration;

use peerage::node::{ConnectError, Event, Events};
use peerage::{Address, Identity, Node, limits};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::args;
use crate::events;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::logs::{self, Logs};
use crate::output;
use crate::ready::{self, ReadyFd};
use crate::runtime::{self, Interrupts};
use crate::settings::Settings;

mod detach;

/// What is needed beyond the node itself.
struct Plan {
    /// Kept, because the key is locked as long as somebody holds it.
    _identity: Identity,
    /// The node, ready to be started.
    builder: peerage::node::Builder,
    /// The seeds of which one must take this node in, if one must.
    required: Option<Vec<Address>>,
    /// Whether stdout is JSON.
    jsonl: bool,
    /// Where the ready line goes too.
    ready_fd: Option<ReadyFd>,
    /// For a node that runs in the background: the file that gets its log.
    detached: Option<PathBuf>,
}

pub(super) fn run(typed: &args::Up, logging: &args::Logging) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let settings = Settings::of(typed, logging, std::env::vars_os(), &home)?;
    if typed.print_config {
        settings.print(typed.json)?;
        return Ok(Exit::Ok);
    }
    if settings.detach.value && !typed.detached {
        return detach::start();
    }
    if typed.detached {
        detach::leave_session();
    }
    let logs = logs::start(&settings.log.value, settings.log_format.value)?;
    let plan = Plan::of(&settings, typed.detached, logs)?;
    runtime::on_all_processors(carry_out(plan))
}

impl Plan {
    /// Chooses and makes what the node needs.
    fn of(settings: &Settings, detached: bool, logs: Logs) -> Result<Plan, Abort> {
        let ready_fd = settings.ready_fd.as_ref().map(|number| ReadyFd::take_over(number.value)).transpose()?;
        let prepared = settings.prepare()?;
        Ok(Plan {
            builder: settings.builder(&prepared).log_filter(logs),
            required: settings.require_seed.value.then_some(prepared.seeds),
            jsonl: settings.jsonl.value,
            ready_fd,
            detached: detached.then(|| prepared.control.with_extension("log")),
            _identity: prepared.identity,
        })
    }
}

/// Runs a node to its end.
async fn carry_out(plan: Plan) -> Result<Exit, Abort> {
    // Signals count from the first moment: what was bound is unbound in order.
    let mut interrupts = Interrupts::listen()?;
    let started = plan.builder.start_with_events().await;
    let (node, events) = started.map_err(|why| Abort::Failed(why.to_string()))?;
    let mut voice = Voice { jsonl: plan.jsonl, is_heard: true };
    if let Some(seeds) = plan.required {
        let taken_in = tokio::select! {
            taken_in = taken_in(&node, &seeds) => taken_in,
            () = interrupts.next() => Err(Abort::Ended(Exit::Failed, "ended before a seed took this node in".to_owned())),
        };
        if let Err(why) = taken_in {
            node.stop().await;
            return Err(why);
        }
    }
    let mut watch = Watch { node: &node, events, interrupts: &mut interrupts };
    ready::say(&Ready::of(&node).line(plan.jsonl)?, plan.ready_fd)?;
    if let Some(log) = &plan.detached {
        detach::let_go(log)?;
        voice.is_heard = false;
    }
    watch.until_stopped(&mut voice).await
}

/// Waits until a seed has taken the node in.
///
/// # Errors
///
/// What every seed says that no waiting will cure; or that none has answered in time.
async fn taken_in(node: &Node, seeds: &[Address]) -> Result<(), Abort> {
    let until = Instant::now() + SEED_WITHIN;
    loop {
        let mut last = None;
        for seed in seeds {
            match timeout_at(until, node.connect(seed)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(why)) => last = later_of(last, why),
                Err(_) => break,
            }
        }
        let why = last.as_ref().map_or_else(|| "no answer".to_owned(), ToString::to_string);
        let exit = last.map_or(Exit::NotYetKnown, |why| Exit::of(why.outcome()));
        if matches!(exit, Exit::Refused | Exit::Incompatible) {
            return Err(Abort::Ended(exit, format!("no seed takes this node in: {}", output::shown(&why))));
        }
        if Instant::now() + SEED_PAUSE > until {
            let text = format!("no seed has taken this node in within {SEED_WITHIN:?}: {}", output::shown(&why));
            return Err(Abort::Ended(Exit::NotYetKnown, text));
        }
        sleep(SEED_PAUSE).await;
    }
}

/// Of two answers the one that leaves more hope: what may pass goes before what will not.
fn later_of(known: Option<ConnectError>, new: ConnectError) -> Option<ConnectError> {
    let is_final = |why: &ConnectError| matches!(Exit::of(why.outcome()), Exit::Refused | Exit::Incompatible);
    match known {
        Some(known) if is_final(&new) && !is_final(&known) => Some(known),
        _ => Some(new),
    }
}

/// Prints as long as somebody reads.
struct Voice {
    jsonl: bool,
    is_heard: bool,
}

impl Voice {
    fn tell(&mut self, record: &peerage::node::snapshot::EventRecord) -> Result<(), Abort> {
        if self.is_heard {
            match events::print(record, self.jsonl) {
                Err(Abort::PipeClosed) => self.is_heard = false,
                done => return done,
            }
        }
        Ok(())
    }
}

/// A running node, and what may happen to it.
struct Watch<'n> {
    node: &'n Node,
    events: Events,
    interrupts: &'n mut Interrupts,
}

impl Watch<'_> {
    /// Tells what happens until the node has stopped, whoever stopped it.
    async fn until_stopped(&mut self, voice: &mut Voice) -> Result<Exit, Abort> {
        let drained = self.node.clone();
        // Draining twice waits for the same end, so this also learns how a drain ended that somebody else began.
        let drain = async move { drained.drain(limits::DRAIN_TIME_DEFAULT).await };
        tokio::pin!(drain);
        let mut leaving = false;
        let mut abandoned = None;
        loop {
            tokio::select! {
                biased;
                record = self.events.next() => match record {
                    Some(record) => {
                        leaving |= record.event == Event::Draining;
                        voice.tell(&record)?;
                        if record.event == Event::Stopped {
                            break;
                        }
                    }
                    None => break,
                },
                () = self.interrupts.next() => {
                    if leaving {
                        return Ok(self.give_up().await);
                    }
                    leaving = true;
                }
                done = &mut drain, if leaving && abandoned.is_none() => abandoned = Some(done.abandoned),
            }
        }
        // The last event comes before the last socket is gone.
        let _ = timeout(GOODBYE_WITHIN, self.node.stopped()).await;
        let abandoned = match abandoned {
            Some(abandoned) => abandoned,
            None if leaving => drain.await.abandoned,
            None => 0,
        };
        Ok(ended(abandoned))
    }

    /// The second signal: what is under way is cut off.
    async fn give_up(&self) -> Exit {
        let links = self.node.status().links;
        let abandoned = links.iter().map(|link| u64::from(link.calls_in_flight) + u64::from(link.requests_in_service));
        let abandoned = abandoned.sum();
        // Goodbyes that take longer are not worth waiting for.
        let _ = timeout(GOODBYE_WITHIN, self.node.stop()).await;
        output::comment(&format!("ended by a second signal; {}", counted(abandoned)));
        Exit::Failed
    }
}

fn ended(abandoned: u64) -> Exit {
    match abandoned {
        0 => Exit::Ok,
        _ => {
            output::comment(&format!("not all work was finished in time; {}", counted(abandoned)));
            Exit::Failed
        }
    }
}

fn counted(abandoned: u64) -> String {
    match abandoned {
        1 => "1 call was abandoned".to_owned(),
        calls => format!("{calls} calls were abandoned"),
    }
}

/// Says that the node can be reached.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    id: String,
    name: String,
    network: String,
    epoch: String,
    addresses: Vec<String>,
    control: Option<String>,
    pid: u32,
}

impl Ready {
    fn of(node: &Node) -> Ready {
        Ready {
            event: "ready",
            id: node.id().to_string(),
            name: node.name().to_string(),
            network: node.network().to_string(),
            epoch: node.epoch().to_string(),
            addresses: node.addresses().iter().map(ToString::to_string).collect(),
            control: node.control().map(|path| format!("unix://{}", path.display())),
            pid: std::process::id(),
        }
    }

    fn line(&self, jsonl: bool) -> Result<String, Abort> {
        if jsonl {
            return output::record_line(self);
        }
        let addresses: String = self.addresses.iter().map(|address| format!("  {address}")).collect();
        let control = self.control.as_ref().map(|control| format!("  control {control}")).unwrap_or_default();
        Ok(format!("ready {} {}{addresses}{control}", self.name, self.id))
    }
}

/// How long `--require-seed` waits for a seed to answer.
const SEED_WITHIN: Duration = Duration::from_secs(30);

/// Time between two attempts to reach a seed that is required.
const SEED_PAUSE: Duration = Duration::from_millis(500);

/// How long links may take to close after a second signal.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);
