//! One service: its rules, its handler, its figures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use peerage_proto::codec::Payload;
use peerage_proto::id::NodeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::figures::Figures;
use super::work::Slot;
use super::{Asked, Called, Reach, Task};
use crate::channel::Failure;

/// What a handler does when its caller no longer waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum OnStop {
    /// Its future is dropped.
    #[default]
    Drop,
    /// It is told, and ends when it can: its place stays taken until then.
    Tell,
    /// It goes on to its end, and the caller is told so.
    Detach,
}

/// The rules of one service.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Who finds it.
    pub(crate) reach: Reach,
    /// What it does, for people.
    pub(crate) description: Option<String>,
    /// The nodes it serves; `None`: all.
    pub(crate) allow: Option<BTreeSet<NodeId>>,
    /// How many calls it works on at once; `None`: as many as come.
    pub(crate) concurrency: Option<usize>,
    pub(crate) on_stop: OnStop,
}

impl Options {
    /// For a service without rules.
    pub(crate) fn of(reach: Reach) -> Options {
        Options { reach, description: None, allow: None, concurrency: None, on_stop: OnStop::Drop }
    }
}

pub(super) type Direct = dyn Fn(&Asked<'_>) -> Result<Payload, Failure> + Send + Sync;
pub(super) type Waiting = dyn Fn(Called) -> Task + Send + Sync;

/// How a service answers.
pub(super) enum Handler {
    Direct(Box<Direct>),
    Waiting(Box<Waiting>),
}

/// One service.
pub(crate) struct Entry {
    pub(super) tag: Arc<str>,
    pub(super) options: Options,
    pub(super) handler: Handler,
    pub(crate) figures: Figures,
    slots: Option<Arc<Semaphore>>,
}

impl Entry {
    pub(super) fn new(tag: Arc<str>, options: Options, handler: Handler) -> Entry {
        let slots = options.concurrency.map(|slots| Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))));
        Entry { tag, options, handler, figures: Figures::default(), slots }
    }

    /// Its name.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Its rules.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Whether every node offers it.
    pub(super) fn is_built_in(&self) -> bool {
        self.tag.starts_with(BUILT_IN)
    }

    /// A place among the calls that are worked on; `None` if there is none now.
    pub(super) fn take_slot(&self) -> Option<Slot> {
        match &self.slots {
            None => Some(Slot::Unbounded),
            Some(slots) => slots.clone().try_acquire_owned().ok().map(|_permit| Slot::Taken { _permit }),
        }
    }

    /// A place among the calls that are worked on, once there is one.
    pub(super) async fn wait_for_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone()?.acquire_owned().await.ok()
    }

    /// When a place is likely to be free: with `n` at work, each taking as long as the latest did, after an n-th of that.
    pub(super) fn retry_after(&self) -> Duration {
        let at_once = self.options.concurrency.unwrap_or(1).clamp(1, u32::MAX as usize) as u32;
        (self.figures.usual_time() / at_once).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }
}

/// The first part of names that belong to nodes themselves.
pub(super) const BUILT_IN: &str = "peerage/";

/// The shortest wait that a caller is asked for who finds no place.
pub(super) const RETRY_AFTER_MIN: Duration = Duration::from_millis(5);

/// The longest one.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
