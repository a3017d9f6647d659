//! The links that a node holds, those that are being given up included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use peerage_proto::channel::Counters;
use peerage_proto::codec::{Compression, Form};
use peerage_proto::hello::{Established, Introduction, Trust};
use peerage_proto::id::{LinkId, NodeId};
use tokio::time::Instant;

use super::snapshot::{Direction, LinkStatus, QueueStatus};
use crate::link::{CALLERS_WAITING_MAX, Directory, Link};
use crate::metrics::{Metrics, PeerFigures};

/// One link that is held.
pub(crate) struct Held {
    pub(crate) link: Link,
    pub(crate) established: Established,
    pub(crate) direction: Direction,
    /// What carries it.
    pub(crate) path: String,
    pub(crate) since: Instant,
    /// What the peer said of itself. Until then the link is not up.
    pub(crate) introduction: OnceLock<Introduction>,
    /// The form that both ends agreed on since.
    form: Mutex<Option<Form>>,
}

impl Held {
    pub(crate) fn new(link: Link, established: Established, direction: Direction, since: Instant) -> Held {
        let path = link.facts().remote.scheme().to_string();
        Held { link, established, direction, path, since, introduction: OnceLock::new(), form: Mutex::new(None) }
    }

    /// Both ends write in this form now.
    pub(crate) fn agreed(&self, form: Form) {
        *self.form.lock().unwrap_or_else(PoisonError::into_inner) = Some(form);
    }

    fn status(&self, is_active: bool) -> LinkStatus {
        let figures = self.link.figures();
        let form = *self.form.lock().unwrap_or_else(PoisonError::into_inner);
        let compression = form.map_or(Compression::None, Form::compression);
        LinkStatus {
            peer: self.established.peer.to_string(),
            direction: self.direction,
            path: self.path.clone(),
            active: is_active,
            proven: self.established.trust == Trust::Proven,
            encoding: figures.encoding.to_string(),
            compression: (compression == Compression::Lz4).then(|| "lz4".to_owned()),
            remote: self.link.facts().remote.to_string(),
            bytes_in: figures.counters.bytes_in,
            bytes_out: figures.counters.bytes_out,
            rtt_us: figures.rtt.map(|rtt| rtt.as_micros() as u64),
            calls_in_flight: figures.calls_in_flight as u32,
            requests_in_service: figures.requests_in_service as u32,
            since_ms: self.since.elapsed().as_millis() as u64,
        }
    }

    fn figures(&self, name: String) -> PeerFigures {
        let figures = self.link.figures();
        PeerFigures {
            peer: self.established.peer.to_string(),
            name,
            path: self.path.clone(),
            bytes_in: figures.counters.bytes_in,
            bytes_out: figures.counters.bytes_out,
            calls_in_flight: figures.calls_in_flight as u64,
            requests_in_service: figures.requests_in_service as u64,
            unsent_bytes: figures.unsent_bytes as u64,
            rtt_us: figures.rtt.map(|rtt| rtt.as_micros() as u64),
        }
    }

    fn queues(&self) -> [QueueStatus; 4] {
        let figures = self.link.figures();
        let peer = self.established.peer.to_string();
        let row = |name: &str, depth: usize, cap: u64, dropped: u64| QueueStatus {
            name: name.to_owned(),
            peer: Some(peer.clone()),
            depth: depth as u64,
            cap,
            dropped,
        };
        [
            row("calls-in-flight", figures.calls_in_flight, figures.calls_in_flight_max.into(), 0),
            row("calls-waiting", figures.calls_waiting, CALLERS_WAITING_MAX as u64, 0),
            row(
                "requests-in-service",
                figures.requests_in_service,
                figures.served_at_once.into(),
                figures.counters.refused_busy,
            ),
            row("unsent-bytes", figures.unsent_bytes, peerage_proto::limits::UNSENT_REPLY_BYTES as u64, 0),
        ]
    }
}

/// All of them, for everybody to read. Written by the driver alone.
#[derive(Default)]
pub(crate) struct Links {
    held: RwLock<BTreeMap<LinkId, Arc<Held>>>,
    /// What happened on links that have ended.
    ended: Mutex<Counters>,
}

impl Links {
    pub(crate) fn insert(&self, id: LinkId, held: Arc<Held>) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).insert(id, held);
    }

    pub(crate) fn find(&self, id: LinkId) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Takes out a link that has ended; what happened on it still counts.
    pub(crate) fn remove(&self, id: LinkId) -> Option<Arc<Held>> {
        let held = self.held.write().unwrap_or_else(PoisonError::into_inner).remove(&id)?;
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = sum(*ended, held.link.counters());
        Some(held)
    }

    /// All links at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All links with their numbers.
    pub(crate) fn with_ids(&self) -> Vec<(LinkId, Arc<Held>)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(id, held)| (*id, held.clone())).collect()
    }

    pub(crate) fn status(&self, directory: &Directory) -> Vec<LinkStatus> {
        let is_active = |held: &Held| directory.find(&held.established.peer).is_ok_and(|link| link.is_same(&held.link));
        self.all().iter().map(|held| held.status(is_active(held))).collect()
    }

    pub(crate) fn queues(&self) -> Vec<QueueStatus> {
        self.all().iter().flat_map(|held| held.queues()).collect()
    }

    pub(crate) fn figures(&self, name_of: impl Fn(&NodeId) -> String) -> Vec<PeerFigures> {
        self.all().iter().map(|held| held.figures(name_of(&held.established.peer))).collect()
    }

    /// Sets the figures that are sums over all links.
    pub(crate) fn measure(&self, metrics: &Metrics, directory: &Directory) {
        let all = self.all();
        let counters = all.iter().map(|held| held.link.counters());
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let total = counters.fold(ended, sum);
        metrics.link_calls.raise_to(total.calls);
        metrics.link_requests.raise_to(total.requests);
        metrics.link_late_replies.raise_to(total.late_replies);
        metrics.link_refused_busy.raise_to(total.refused_busy);
        metrics.link_notifications_dropped.raise_to(total.notifications_dropped);
        metrics.link_late_items.raise_to(total.late_items);
        metrics.link_skipped_frames.raise_to(total.skipped_frames);
        metrics.link_gossip_dropped.raise_to(total.gossip_dropped);
        metrics.link_bad_blocks.raise_to(total.bad_blocks);
        metrics.link_cancels_withheld.raise_to(total.cancels_withheld);
        metrics.link_cancels_dropped.raise_to(total.cancels_dropped);
        metrics.link_pauses.raise_to(total.pauses);
        metrics.link_bytes_in.raise_to(total.bytes_in);
        metrics.link_bytes_out.raise_to(total.bytes_out);
        let active = self.status(directory).iter().filter(|link| link.active).count();
        metrics.links.set(all.len() as u64);
        metrics.links_draining.set((all.len() - active.min(all.len())) as u64);
    }
}

fn sum(a: Counters, b: Counters) -> Counters {
    Counters {
        calls: a.calls + b.calls,
        requests: a.requests + b.requests,
        late_replies: a.late_replies + b.late_replies,
        late_items: a.late_items + b.late_items,
        late_events: a.late_events + b.late_events,
        changes_withheld: a.changes_withheld + b.changes_withheld,
        refused_busy: a.refused_busy + b.refused_busy,
        notifications_dropped: a.notifications_dropped + b.notifications_dropped,
        skipped_frames: a.skipped_frames + b.skipped_frames,
        gossip_dropped: a.gossip_dropped + b.gossip_dropped,
        cancels_withheld: a.cancels_withheld + b.cancels_withheld,
        cancels_dropped: a.cancels_dropped + b.cancels_dropped,
        bad_blocks: a.bad_blocks + b.bad_blocks,
        pauses: a.pauses + b.pauses,
        bytes_in: a.bytes_in + b.bytes_in,
        bytes_out: a.bytes_out + b.bytes_out,
    }
}
