//! The loop of a node: one closed list of reasons to wake, and what is done about each.
//!
//! It translates: what happened becomes an input of the machine ([`peerage_proto::node`]), what the machine orders is
//! carried out. It never waits for a link, a subscriber or an application: whatever it hands over goes into a bounded
//! queue or a place that is read later, and what takes time is a task of its own.
//!
//! ```text
//!   commands ──┐                                    ┌──▶ dials, admissions (tasks)
//!   arrivals ──┼──▶ Wake ──▶ machine ──▶ outputs ───┼──▶ links (a lock for an instant)
//!   reports ───┤                                    ├──▶ directory, view, events
//!   findings ──┤                                    └──▶ answers to commands
//!   timers ────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use peerage_proto::codec::Form;
use peerage_proto::hello::Introduction;
use peerage_proto::id::{LinkId, NodeId};
use peerage_proto::membership::{About, Missing};
use peerage_proto::node::{self, ConnectId, DialId, Input, Keep, Output, Trouble};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Drained;
use super::admission::{Arrival, Decision, Reception};
use super::error::{ConnectError, NotConnected};
use super::event::Event;
use super::listening::Doors;
use super::mistake::Mistake;
use super::pulse::Pulse;
use super::search::Search;
use super::setting::Change;
use super::shared::{Phase, Shared};
use super::snapshot::TransitionRecord;
use super::view;
use crate::address::Address;
use crate::channel::Server;
use crate::discovery::Finding;
use crate::dispatch::{Services, Table};
use crate::link::{Order, Report};

mod announcing;
mod finding;
mod links;
mod orders;
mod reaching;
mod redial;
mod telling;

use announcing::Offering;
use reaching::Reaching;
use redial::Redial;
pub(crate) use redial::Redialled;

/// A wish of the application.
pub(crate) enum Command {
    /// A link with whoever is at the address.
    Connect { address: Address, reply: oneshot::Sender<Result<NodeId, ConnectError>> },
    /// No link with this peer.
    Disconnect { peer: NodeId, reason: String, reply: oneshot::Sender<Result<(), NotConnected>> },
    /// Ask this peer to write in this form.
    Propose { peer: NodeId, form: Form, reply: oneshot::Sender<Result<Form, NotConnected>> },
    /// A link with this member, because somebody wants to call it. Answered with whether there is one in the end.
    Reach { peer: NodeId, reply: oneshot::Sender<bool> },
    /// Leave in good order.
    Drain { within: Duration, reply: oneshot::Sender<Drained> },
    /// Drop all links, and at this time dial all known addresses.
    Redial { at: SystemTime, reply: oneshot::Sender<Redialled> },
    /// Say something new of this node.
    Announce { change: Change, reply: oneshot::Sender<Result<(), Mistake>> },
    /// Ask the neighbours now what they know; answered when they have been asked.
    Refresh { reply: oneshot::Sender<()> },
    /// Why this member counts as what it does.
    Why { id: NodeId, reply: oneshot::Sender<Vec<TransitionRecord>> },
}

/// Why the loop woke.
enum Wake {
    Command(Command),
    Arrival(Arrival),
    Report(Report),
    Found(Finding),
    /// What this node offers has changed.
    Offered,
    Timeout,
    Stop,
}

/// What a driver is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) machine: node::Node,
    pub(super) reception: Arc<Reception>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) arrivals: mpsc::Receiver<Arrival>,
    pub(super) services: Arc<Services>,
    /// What this node says of itself to every peer.
    pub(super) introduction: Introduction,
    /// What it says of itself to all others.
    pub(super) about: About,
    /// Whether contents may travel compressed.
    pub(super) compression: bool,
    pub(super) doors: Doors,
    pub(super) plain: Vec<Server>,
    pub(super) control: Option<Server>,
    pub(super) search: Search,
    /// What others are told of where this node is, in place of what its interfaces say.
    pub(super) advertise: Vec<Address>,
}

/// Runs one node.
pub(super) struct Driver {
    parts: Parts,
    reports: mpsc::Receiver<Report>,
    /// For links to report through.
    reporting: mpsc::Sender<Report>,
    dials: BTreeMap<DialId, (Address, CancellationToken)>,
    /// Peers that have proved themselves and wait for the machine's decision.
    undecided: BTreeMap<LinkId, oneshot::Sender<Decision>>,
    /// Links that were closed before they had come to stand here.
    stillborn: Vec<LinkId>,
    /// Links whose peers have not introduced themselves yet, and until when they may.
    unnamed: BTreeMap<LinkId, Instant>,
    connects: BTreeMap<ConnectId, oneshot::Sender<Result<NodeId, ConnectError>>>,
    next_connect: u64,
    /// Members that are dialled for calls.
    reaching: BTreeMap<ConnectId, Reaching>,
    parting: Vec<(NodeId, oneshot::Sender<Result<(), NotConnected>>)>,
    /// Who waits for the peer's word on a form.
    proposed: BTreeMap<LinkId, oneshot::Sender<Result<Form, NotConnected>>>,
    redial: Redial,
    /// What is wrong with listeners.
    troubles: BTreeSet<Trouble>,
    pulse: Pulse,
    drained: Vec<oneshot::Sender<Drained>>,
    abandoned: u64,
    /// Plain listeners that finish what they have.
    plain_drained: Vec<oneshot::Receiver<()>>,
    /// Everything that takes time and ends with the node.
    tasks: CancellationToken,
    /// From where peers on other machines see this node come.
    observed: BTreeMap<NodeId, IpAddr>,
    /// What this node offers, as its services stand.
    offers: watch::Receiver<Arc<Table>>,
    offering: Offering,
    /// Something that is published has changed.
    is_stale: bool,
    /// What was missing for a complete view when it was published last.
    missing: Vec<Missing>,
    /// Whether answers of neighbours were awaited then.
    is_asking: bool,
    is_over: bool,
}

impl Driver {
    pub(super) fn new(parts: Parts) -> Driver {
        let (reporting, reports) = mpsc::channel(REPORTS_WAITING);
        let tasks = parts.reception.tasks.clone();
        let pulse = Pulse::new(Instant::now().into_std(), SystemTime::now());
        let offers = parts.services.watch();
        let mut driver = Driver {
            parts,
            reports,
            reporting,
            dials: BTreeMap::new(),
            undecided: BTreeMap::new(),
            stillborn: Vec::new(),
            unnamed: BTreeMap::new(),
            connects: BTreeMap::new(),
            next_connect: 0,
            reaching: BTreeMap::new(),
            parting: Vec::new(),
            proposed: BTreeMap::new(),
            redial: Redial::default(),
            troubles: BTreeSet::new(),
            pulse,
            drained: Vec::new(),
            abandoned: 0,
            plain_drained: Vec::new(),
            tasks,
            observed: BTreeMap::new(),
            offers,
            offering: Offering::default(),
            is_stale: true,
            missing: Vec::new(),
            is_asking: false,
            is_over: false,
        };
        // Whoever has the handle reads it before the driver has run.
        driver.publish();
        driver
    }

    pub(super) async fn run(mut self) {
        self.begin_search();
        let stop = self.shared().stop.clone();
        let mut told_to_stop = false;
        self.publish();
        while !self.is_over {
            let due = self.due();
            let wake = tokio::select! {
                Some(command) = self.parts.commands.recv() => Wake::Command(command),
                Some(report) = self.reports.recv() => Wake::Report(report),
                Some(arrival) = self.parts.arrivals.recv() => Wake::Arrival(arrival),
                Some(finding) = self.parts.search.next() => Wake::Found(finding),
                Ok(()) = self.offers.changed() => Wake::Offered,
                () = stop.cancelled(), if !told_to_stop => Wake::Stop,
                () = sleep_until(due) => Wake::Timeout,
            };
            self.shared().metrics.wakes.add(1);
            self.shared().metrics.reports_waiting.set(self.reports.len() as u64);
            match wake {
                Wake::Command(command) => self.command(command),
                Wake::Arrival(arrival) => self.arrived(arrival),
                Wake::Report(report) => self.reported(report),
                Wake::Found(finding) => self.found(finding),
                Wake::Offered => self.offered(),
                Wake::Timeout => self.timeout(),
                Wake::Stop => {
                    told_to_stop = true;
                    self.end_search();
                    self.feed(Input::Stop { reason: "stopped".to_owned() });
                }
            }
            self.publish();
        }
        self.finish().await;
    }

    /// When something is due, at the latest.
    fn due(&self) -> Instant {
        let machine = self.parts.machine.next_timeout().map(Instant::from_std);
        let unnamed = self.unnamed.values().min().copied();
        let pulse = Instant::from_std(self.pulse.due());
        [machine, unnamed, self.redial.due(), self.offering.due()].into_iter().flatten().fold(pulse, Instant::min)
    }

    fn timeout(&mut self) {
        let now = Instant::now();
        self.beat(now);
        if self.redial.step(now) {
            self.feed(Input::Redial);
        }
        if self.offering.due().is_some_and(|due| due <= now) {
            self.announce_offers(now);
        }
        let late: Vec<LinkId> = self.unnamed.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.cut(id, "it did not introduce itself");
        }
        if self.parts.machine.next_timeout().is_some_and(|due| due <= now.into_std()) {
            self.feed(Input::Timeout);
        }
    }

    /// Looks at the clocks, and tells the links what that means for them; then at the listeners.
    fn beat(&mut self, now: Instant) {
        if self.pulse.due() > now.into_std() {
            return;
        }
        let beat = self.pulse.beat(now.into_std(), SystemTime::now());
        self.look_at_listeners();
        self.look_at_network(beat.jumped);
        self.keep_anchors(now);
        let metrics = &self.parts.shared.metrics;
        metrics.timers_late.add(beat.late.into());
        metrics.pauses.add(beat.jumped.into());
        if let Some(factor) = beat.factor {
            metrics.local_health.set(factor.into());
        }
        if let Some(factor) = beat.factor {
            self.feed(Input::LocalHealth(factor));
        }
        if beat.jumped {
            self.feed(Input::Jumped);
        }
        if beat.factor.is_none() && !beat.jumped {
            return;
        }
        for held in self.shared().links.all() {
            if let Some(factor) = beat.factor {
                held.link.order(Order::LocalHealth(factor));
            }
            if beat.jumped {
                held.link.order(Order::Jumped);
            }
        }
    }

    /// Tells the machine what is wrong with listeners, and what no longer is.
    fn look_at_listeners(&mut self) {
        let Some(servers) = self.shared().servers.get() else { return };
        let mut found = BTreeMap::new();
        for tally in servers.tallies() {
            let local = || tally.local().clone();
            found.extend(tally.cannot_listen().map(|why| (Trouble::Listen(local()), why)));
            found.extend(tally.cannot_accept().map(|why| (Trouble::Accept(local()), why)));
        }
        let before = std::mem::replace(&mut self.troubles, found.keys().cloned().collect());
        for trouble in before.into_iter().filter(|trouble| !found.contains_key(trouble)) {
            self.feed(Input::Cured { trouble });
        }
        for (trouble, detail) in found {
            self.feed(Input::Troubled { trouble, detail });
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect { address, reply } => {
                let connect = ConnectId(self.next_connect);
                self.next_connect += 1;
                self.connects.insert(connect, reply);
                self.feed(Input::Connect { connect: Some(connect), address, expected: None, keep: Keep::Once });
            }
            Command::Disconnect { peer, reason, reply } => {
                let is_linked = self.shared().links.all().iter().any(|held| held.established.peer == peer);
                if is_linked {
                    self.parting.push((peer, reply));
                } else {
                    // Who asked may have gone.
                    let _ = reply.send(Err(NotConnected { peer }));
                }
                self.feed(Input::Disconnect { peer, reason });
            }
            Command::Propose { peer, form, reply } => self.propose(peer, form, reply),
            Command::Reach { peer, reply } => self.reach(peer, reply),
            Command::Drain { within, reply } => {
                self.drained.push(reply);
                self.drain_plain(within);
                self.end_search();
                self.feed(Input::Drain { within, reason: "drained".to_owned() });
            }
            Command::Announce { change, reply } => {
                let told = self.announce(change);
                // Whoever has the answer reads what is published.
                self.is_stale = true;
                self.publish();
                // Who asked may have gone.
                let _ = reply.send(told);
            }
            Command::Refresh { reply } => {
                self.feed(Input::Refresh);
                self.publish();
                // Who asked may have gone.
                let _ = reply.send(());
            }
            Command::Why { id, reply } => {
                let own = self.shared().facts.id;
                let transitions = self.parts.machine.transitions(&id);
                // Who asked may have gone.
                let _ = reply.send(transitions.map(|one| view::transition(own, one)).collect());
            }
            Command::Redial { at, reply } => self.redial.tell(at, reply),
        }
    }

    /// Feeds the machine and carries out what it orders.
    fn feed(&mut self, input: Input) {
        tracing::trace!(?input, "node");
        let version = self.parts.machine.version();
        let outputs: Vec<Output> = self.parts.machine.handle(Instant::now().into_std(), input).collect();
        self.is_stale |= self.parts.machine.version() != version;
        for output in outputs {
            match output {
                Output::Order(order) => self.carry_out(order),
                Output::Tell { link, word } => {
                    let (kind, content) = word.encode();
                    self.order(link, Order::Say(kind, &content));
                }
                Output::Cut { link, why } => self.cut(link, &why),
                Output::Event(event) => self.happened(event),
            }
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.parts.shared
    }

    async fn finish(mut self) {
        let shared = self.shared().clone();
        shared.enter(Phase::Stopped);
        shared.directory.close();
        shared.board.close();
        self.parts.commands.close();
        self.parts.arrivals.close();
        self.tasks.cancel();
        self.parts.doors.close();
        self.parts.search.leave();
        let links = shared.links.all();
        for held in &links {
            held.link.close();
        }
        for is_done in self.plain_drained.drain(..) {
            // Bounded by the time for draining.
            let _ = is_done.await;
        }
        for server in self.parts.plain.drain(..) {
            server.close().await;
        }
        for held in &links {
            // Bounded by what closing a link may take.
            held.link.ended().await;
        }
        if let Some(oneself) = shared.oneself.get() {
            oneself.close().await;
        }
        shared.inboxes.close();
        self.parts.search.ended().await;
        self.close_anchors().await;
        shared.directory.clear();
        self.refuse_waiting();
        for reply in self.drained.drain(..) {
            // Who asked may have gone.
            let _ = reply.send(Drained { abandoned: self.abandoned });
        }
        shared.tell(Event::Stopped);
        // Readers at the control socket get the last event too, if they listen at all.
        let all_read = std::future::poll_fn(|cx| shared.poll_all_read(cx));
        let _ = tokio::time::timeout(LAST_EVENT, all_read).await;
        if let Some(control) = self.parts.control.take() {
            control.close().await;
        }
        shared.stopped.cancel();
        tracing::info!("node stopped");
    }

    /// Tells those who still wait that nothing comes any more.
    fn refuse_waiting(&mut self) {
        for reply in std::mem::take(&mut self.connects).into_values() {
            let _ = reply.send(Err(ConnectError::ShuttingDown));
        }
        for (_, reply) in self.parting.drain(..) {
            let _ = reply.send(Ok(()));
        }
        while let Ok(command) = self.parts.commands.try_recv() {
            match command {
                Command::Connect { reply, .. } => drop(reply.send(Err(ConnectError::ShuttingDown))),
                Command::Disconnect { reply, .. } => drop(reply.send(Ok(()))),
                Command::Propose { peer, reply, .. } => drop(reply.send(Err(NotConnected { peer }))),
                Command::Drain { reply, .. } => drop(reply.send(Drained { abandoned: self.abandoned })),
                // Nobody answers these: who waits finds the other end gone.
                Command::Announce { .. }
                | Command::Why { .. }
                | Command::Refresh { .. }
                | Command::Reach { .. }
                | Command::Redial { .. } => {}
            }
        }
    }
}

/// Reports of links that may wait, beside the last word of each.
pub(super) const REPORTS_WAITING: usize = 4_096;

/// How long readers of events may take for the last one.
const LAST_EVENT: Duration = Duration::from_secs(1);
