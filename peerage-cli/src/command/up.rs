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

use peerage::node::{Event, Events};
use peerage::{Identity, Node, limits};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};

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
    /// Whether to end unless a seed takes this node in.
    require_seed: bool,
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
            require_seed: settings.require_seed.value,
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
    let node = plan.builder.start().await.map_err(|why| Abort::Failed(why.to_string()))?;
    let events = node.events();
    let mut voice = Voice { jsonl: plan.jsonl, is_heard: true };
    let mut watch = Watch { node: &node, events, interrupts: &mut interrupts };
    if plan.require_seed
        && let Some(end) = watch.until_linked(&mut voice).await?
    {
        node.stop().await;
        return end;
    }
    ready::say(&Ready::of(&node).line(plan.jsonl)?, plan.ready_fd)?;
    if let Some(log) = &plan.detached {
        detach::let_go(log)?;
        voice.is_heard = false;
    }
    watch.until_stopped(&mut voice).await
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
    /// Waits for the first link. How to end instead, if there will be none.
    async fn until_linked(&mut self, voice: &mut Voice) -> Result<Option<Result<Exit, Abort>>, Abort> {
        let until = Instant::now() + SEED_WITHIN;
        loop {
            tokio::select! {
                record = self.events.next() => {
                    let Some(record) = record else { return Ok(Some(Ok(Exit::Failed))) };
                    voice.tell(&record)?;
                    match record.event {
                        Event::Connected => return Ok(None),
                        Event::Fault { fault, detail, remedy } => {
                            if let Some(exit) = exit_of(&fault) {
                                let text = format!("{fault}: {}; {}", output::shown(&detail), output::shown(&remedy));
                                return Ok(Some(Err(Abort::Ended(exit, text))));
                            }
                        }
                        _ => {}
                    }
                }
                () = self.interrupts.next() => return Ok(Some(Ok(Exit::Failed))),
                () = sleep_until(until) => {
                    let text = format!("no seed has answered within {SEED_WITHIN:?}; does one run, and is its address right?");
                    return Ok(Some(Err(Abort::Ended(Exit::NotYetKnown, text))));
                }
            }
        }
    }

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

/// The exit code of a fault that no waiting will cure; `None` for any other.
fn exit_of(fault: &str) -> Option<Exit> {
    match fault {
        "wrong-network" | "identity-mismatch" | "identity-conflict" => Some(Exit::Refused),
        "incompatible" => Some(Exit::Incompatible),
        _ => None,
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

/// How long links may take to close after a second signal.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);
