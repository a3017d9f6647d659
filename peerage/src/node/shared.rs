//! What the parts of one node hold in common: facts that never change, and places that each have one writer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use peerage_proto::id::{Epoch, NodeId};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::driver::Command;
use super::event::Event;
use super::snapshot::{EventRecord, FaultRecord, PeerEntry};
use super::wall::wall;
use crate::address::Address;
use crate::channel::ServerFigures;
use crate::metrics::Metrics;
use crate::name::Name;

/// What the parts of one node hold in common.
pub(crate) struct Shared {
    pub(crate) facts: Facts,
    pub(crate) metrics: Arc<Metrics>,
    /// Wishes of the application, to the driver.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Ends everything when cancelled.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the driver when all has ended.
    pub(crate) stopped: CancellationToken,
    /// Figures of the servers for programs, once they run.
    pub(crate) servers: OnceLock<Servers>,
    phase: AtomicU8,
    events: broadcast::Sender<EventRecord>,
    /// Written by the driver alone.
    view: RwLock<Arc<View>>,
}

/// What is settled when a node starts.
pub(crate) struct Facts {
    pub(crate) id: NodeId,
    pub(crate) name: Name,
    pub(crate) network: Name,
    pub(crate) epoch: Epoch,
    pub(crate) groups: Vec<String>,
    pub(crate) hub: bool,
    pub(crate) ephemeral: bool,
    /// Where the node can be reached, plain listeners included.
    pub(crate) addresses: Vec<Address>,
    pub(crate) control: Option<PathBuf>,
    pub(crate) started: Instant,
    pub(crate) started_wall: SystemTime,
}

/// Figures of the servers for programs.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) plain: Vec<ServerFigures>,
    pub(crate) control: Option<ServerFigures>,
}

/// What the driver knows, for everybody to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Rises with each change of the peers.
    pub(crate) version: u64,
    pub(crate) peers: Vec<PeerEntry>,
    pub(crate) faults: Vec<FaultRecord>,
    pub(crate) missing: Vec<String>,
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
    pub(crate) fn new(facts: Facts, metrics: Arc<Metrics>, commands: mpsc::Sender<Command>) -> Shared {
        let stop = CancellationToken::new();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        Shared {
            facts,
            metrics,
            commands,
            stop,
            stopped: CancellationToken::new(),
            servers: OnceLock::new(),
            phase: AtomicU8::new(Phase::Running as u8),
            events,
            view: RwLock::default(),
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

    /// What the driver last published.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes what the driver knows.
    #[expect(dead_code, reason = "links are the next step")]
    pub(crate) fn publish(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Tells everybody who listens.
    pub(crate) fn tell(&self, event: Event) {
        let version = self.view().version;
        // An error means that nobody listens.
        let _ = self.events.send(EventRecord { event, wall: wall(SystemTime::now()), version });
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<EventRecord> {
        self.events.subscribe()
    }
}

/// Events that a slow reader may be behind.
const EVENTS_KEPT: usize = 1_024;
