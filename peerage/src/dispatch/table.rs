//! The services of one node by their names. The table is replaced whole, so whoever looks a name up waits for nobody, and
//! whoever wants to know of changes is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use peerage_proto::codec::Payload;
use peerage_proto::outcome::Outcome;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::entry::{BUILT_IN, Entry, Handler, Options};
use super::once::Once;
use super::{Asked, Called, Origin, Reach, Task};
use crate::channel::Failure;
use crate::hook::Hook;

/// The services of one node at one moment.
#[derive(Default)]
pub(crate) struct Table {
    by_tag: BTreeMap<Arc<str>, Arc<Entry>>,
}

impl Table {
    /// The service of this name, if there is one for whoever asks from there.
    pub(super) fn find(&self, tag: &str, origin: &Origin) -> Option<&Arc<Entry>> {
        self.by_tag.get(tag).filter(|entry| entry.options.reach.includes(entry, origin))
    }

    /// All services that nodes find, those included that every node offers.
    pub(crate) fn offered(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_tag.values().filter(|entry| entry.options.reach != Reach::Local)
    }

    /// The services of the application that whoever asks from there finds.
    pub(crate) fn own(&self, origin: &Origin) -> impl Iterator<Item = &Arc<Entry>> {
        let finds = |entry: &&Arc<Entry>| !entry.is_built_in() && entry.options.reach.includes(entry, origin);
        self.by_tag.values().filter(finds)
    }

    /// The names that this node offers and others do not by themselves, in order.
    pub(crate) fn own_tags(&self) -> impl Iterator<Item = &Arc<str>> {
        self.offered().filter(|entry| !entry.is_built_in()).map(|entry| &entry.tag)
    }
}

/// The services of one node, for as long as it lives.
pub(crate) struct Services {
    table: watch::Sender<Arc<Table>>,
    hook: Option<Arc<dyn Hook>>,
    /// Calls of the application's services that are worked on, and as many as may be.
    at_work: Arc<Semaphore>,
    places: usize,
    /// Those that may be asked again.
    once: Arc<Once>,
}

/// A name that somebody serves already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Taken;

impl Services {
    /// Services of a node that has this hook around its calls and works on so many at once.
    pub(crate) fn new(hook: Option<Arc<dyn Hook>>, at_once: usize) -> Services {
        let places = at_once.min(Semaphore::MAX_PERMITS);
        let at_work = Arc::new(Semaphore::new(places));
        Services { table: watch::Sender::default(), hook, at_work, places, once: Arc::default() }
    }

    pub(crate) fn hook(&self) -> Option<&Arc<dyn Hook>> {
        self.hook.as_ref()
    }

    /// What is remembered of calls that may be asked again.
    pub(super) fn once(&self) -> &Arc<Once> {
        &self.once
    }

    /// A place among the calls that the node works on; `None` if there is none now.
    pub(super) fn take_place(&self) -> Option<OwnedSemaphorePermit> {
        self.at_work.clone().try_acquire_owned().ok()
    }

    /// How many calls the node works on.
    pub(super) fn load(&self) -> u32 {
        u32::try_from(self.places.saturating_sub(self.at_work.available_permits())).unwrap_or(u32::MAX)
    }

    /// Adds one of the node's own services, which answers on the spot.
    pub(crate) fn direct(
        &self,
        tag: &'static str,
        reach: Reach,
        answer: impl Fn(&Asked<'_>) -> Result<Payload, Failure> + Send + Sync + 'static,
    ) {
        let added = self.add_direct(tag, Options::of(reach), answer);
        assert!(added.is_ok(), "each tag stands in the table once: {tag}");
    }

    /// Adds one of the node's own services, which may wait.
    pub(crate) fn waiting<Fut>(
        &self,
        tag: &'static str,
        reach: Reach,
        work: impl Fn(Called) -> Fut + Send + Sync + 'static,
    ) where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let work = move |called: Called| -> Task {
            // These answer in many ways, and what kind of answer it was concerns nobody.
            called.facts.ended(Outcome::Ok);
            Box::pin(work(called))
        };
        let added = self.add_waiting(tag, Options::of(reach), work);
        assert!(added.is_ok(), "each tag stands in the table once: {tag}");
    }

    /// Adds a service that answers on the spot.
    pub(crate) fn add_direct(
        &self,
        tag: &str,
        options: Options,
        answer: impl Fn(&Asked<'_>) -> Result<Payload, Failure> + Send + Sync + 'static,
    ) -> Result<Arc<Entry>, Taken> {
        self.insert(Entry::new(tag.into(), options, Handler::Direct(Box::new(answer))))
    }

    /// Adds a service that may wait.
    pub(crate) fn add_waiting(
        &self,
        tag: &str,
        options: Options,
        work: impl Fn(Called) -> Task + Send + Sync + 'static,
    ) -> Result<Arc<Entry>, Taken> {
        self.insert(Entry::new(tag.into(), options, Handler::Waiting(Box::new(work))))
    }

    fn insert(&self, entry: Entry) -> Result<Arc<Entry>, Taken> {
        let entry = Arc::new(entry);
        let mut added = Err(Taken);
        self.table.send_if_modified(|table| {
            if !table.by_tag.contains_key(&entry.tag) {
                let mut by_tag = table.by_tag.clone();
                by_tag.insert(entry.tag.clone(), entry.clone());
                *table = Arc::new(Table { by_tag });
                added = Ok(entry.clone());
            }
            added.is_ok()
        });
        added
    }

    /// Takes a service out of the table; what is at work on its calls goes on. False if it is not in it any more.
    pub(crate) fn remove(&self, entry: &Arc<Entry>) -> bool {
        self.table.send_if_modified(|table| {
            let is_there = table.by_tag.get(&entry.tag).is_some_and(|there| Arc::ptr_eq(there, entry));
            if is_there {
                let mut by_tag = table.by_tag.clone();
                by_tag.remove(&entry.tag);
                *table = Arc::new(Table { by_tag });
            }
            is_there
        })
    }

    /// The service of this name that this node offers beside those that every node does.
    pub(crate) fn own(&self, tag: &str) -> Option<Arc<Entry>> {
        let table = self.table.borrow();
        table.by_tag.get(tag).filter(|entry| !entry.is_built_in()).cloned()
    }

    /// The table as it is, and word of each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.table.subscribe()
    }
}

/// Whether a name belongs to nodes themselves.
pub(crate) fn is_reserved(tag: &str) -> bool {
    tag.starts_with(BUILT_IN)
}
