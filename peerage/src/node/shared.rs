//! What the parts of one node hold in common: facts that never change, and places that each have one writer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::SystemTime;

use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::liveness::Profile;
use peerage_proto::routing::Routes;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::driver::Command;
use super::event::Event;
use super::held::Links;
use super::oneself::Oneself;
use super::reaching::Dialled;
use super::snapshot::EventRecord;
use super::subscribing::Inboxes;
use super::view::View;
use super::wall::wall;
use crate::address::Address;
use crate::channel::ServerFigures;
use crate::event::Board;
use crate::flag::Flags;
use crate::hook::Hook;
use crate::link::Directory;
use crate::metrics::Metrics;
use crate::name::Name;
use crate::transport::gate::Gate;
use crate::transport::tally::Tally;

/// What the parts of one node hold in common.
pub(crate) struct Shared {
    pub(crate) facts: Facts,
    /// What log lines of this node stand in: there may be several nodes in a process.
    pub(crate) span: tracing::Span,
    pub(crate) metrics: Arc<Metrics>,
    /// The way to call its own functions, once it runs.
    pub(crate) oneself: OnceLock<Oneself>,
    /// What calls of this node make of flags.
    pub(crate) flags: Flags,
    /// What it publishes.
    pub(crate) board: Arc<Board>,
    /// What it subscribes to.
    pub(crate) inboxes: Inboxes,
    /// Which link carries calls to whom.
    pub(crate) directory: Directory,
    /// Who is dialled for calls.
    pub(crate) dialled: Dialled,
    /// What was learnt of those who were called.
    pub(crate) routes: Mutex<Routes>,
    /// The number of the next call that may be asked again.
    pub(crate) keys: AtomicU64,
    /// All links.
    pub(crate) links: Links,
    /// How patient links are.
    pub(crate) profile: Profile,
    /// From when the pings of all links are counted.
    pub(crate) grid: std::time::Instant,
    /// Who is not admitted yet.
    pub(crate) gate: Gate,
    /// Wishes of the application, to the driver.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Ends everything when cancelled.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the driver when all has ended.
    pub(crate) stopped: CancellationToken,
    /// Figures of the servers for programs, once they run.
    pub(crate) servers: OnceLock<Servers>,
    phase: AtomicU8,
    /// Each reader of events at the control socket holds a clone until it has everything.
    readers: Mutex<Option<mpsc::Sender<()>>>,
    all_read: Mutex<mpsc::Receiver<()>>,
    epoch: Mutex<Epoch>,
    /// Where the node can be reached, plain listeners included.
    addresses: RwLock<Arc<[Address]>>,
    events: broadcast::Sender<EventRecord>,
    /// Written by the driver alone.
    view: watch::Sender<Arc<View>>,
}

/// What is settled when a node starts.
pub(crate) struct Facts {
    pub(crate) id: NodeId,
    pub(crate) name: Name,
    pub(crate) network: Name,
    pub(crate) ephemeral: bool,
    /// Whether it tells admitted nodes the path of its program and the name of its user.
    pub(crate) says_who_runs_it: bool,
    /// What stands around its calls.
    pub(crate) hook: Option<Arc<dyn Hook>>,
    /// Where plain programs can reach it.
    pub(crate) plain: Vec<Address>,
    pub(crate) control: Option<PathBuf>,
    /// The same for all nodes of this machine.
    pub(crate) machine: [u8; 16],
    pub(crate) started: Instant,
    pub(crate) started_wall: SystemTime,
}

/// Figures of all listeners.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Of the listeners for nodes.
    pub(crate) doors: Vec<Tally>,
    pub(crate) plain: Vec<ServerFigures>,
    pub(crate) control: Option<ServerFigures>,
}

impl Servers {
    /// What happened at each listener.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let for_programs = self.plain.iter().chain(&self.control).map(ServerFigures::tally);
        self.doors.iter().chain(for_programs)
    }
}

/// How far the life of a node has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Phase {
    Running,
    Draining,
    Stopped,
}

impl Shared {
    pub(crate) fn new(
        facts: Facts,
        reachable: &[Address],
        epoch: Epoch,
        profile: Profile,
        gate: Gate,
        metrics: Arc<Metrics>,
        commands: mpsc::Sender<Command>,
    ) -> Shared {
        let stop = CancellationToken::new();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (readers, all_read) = mpsc::channel(1);
        let span = tracing::info_span!("node", node = %facts.name, id = %facts.id);
        let addresses = reachable.iter().chain(&facts.plain).cloned().collect();
        Shared {
            facts,
            span,
            metrics,
            oneself: OnceLock::new(),
            flags: Flags::default(),
            board: Arc::new(Board::new()),
            inboxes: Inboxes::default(),
            directory: Directory::default(),
            dialled: Dialled::default(),
            routes: Mutex::default(),
            keys: AtomicU64::new(1),
            links: Links::default(),
            profile,
            grid: std::time::Instant::now(),
            gate,
            commands,
            stop,
            stopped: CancellationToken::new(),
            servers: OnceLock::new(),
            phase: AtomicU8::new(Phase::Running as u8),
            readers: Mutex::new(Some(readers)),
            all_read: Mutex::new(all_read),
            epoch: Mutex::new(epoch),
            addresses: RwLock::new(addresses),
            events,
            view: watch::Sender::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Goes on to a later phase. Returns whether that is news.
    pub(crate) fn enter(&self, phase: Phase) -> bool {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8
    }

    /// This run, as handshakes are to say now.
    pub(crate) fn epoch(&self) -> Epoch {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on as a newer run.
    pub(crate) fn renew(&self, epoch: Epoch) {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
    }

    /// Where the node can be reached now, plain listeners included.
    pub(crate) fn addresses(&self) -> Arc<[Address]> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The node can be reached elsewhere.
    pub(crate) fn moved(&self, reachable: &[Address]) {
        let addresses = reachable.iter().chain(&self.facts.plain).cloned().collect();
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// What the driver last published.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// To wait for what it publishes next.
    pub(crate) fn watch_view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Publishes what the driver knows.
    pub(crate) fn publish(&self, view: View) {
        self.view.send_replace(Arc::new(view));
    }

    /// Tells everybody who listens.
    pub(crate) fn tell(&self, event: Event) {
        let version = self.view().version;
        // An error means that nobody listens.
        let _ = self.events.send(EventRecord { event, wall: wall(SystemTime::now()), version });
    }

    /// For a reader to hold until it has the last event; `None` once the node has stopped.
    pub(crate) fn reader(&self) -> Option<mpsc::Sender<()>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `Ready` when no reader is left. No new ones are taken from now on.
    pub(crate) fn poll_all_read(&self, cx: &mut Context<'_>) -> Poll<()> {
        drop(self.readers.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut all_read = self.all_read.lock().unwrap_or_else(PoisonError::into_inner);
        all_read.poll_recv(cx).map(|_| ())
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<EventRecord> {
        self.events.subscribe()
    }
}

/// Events that a slow reader may be behind.
const EVENTS_KEPT: usize = 1_024;
