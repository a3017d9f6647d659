//! Every counter and gauge of a node: one documented struct, and its text in the OpenMetrics format.
//!
//! What is counted stands here and nowhere else; the documentation of a field is also its HELP line, so `peerage status
//! --metrics` explains itself. Counting happens where orders are carried out, never inside a machine.
//!
//! Figures of a peer carry its id as a label. There may be as many label sets as [`limits::METRIC_LABELS_MAX`]; what is
//! beyond is left out and counted, so that no peer can make the text grow without end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use peerage_proto::limits;

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes over a count that is kept elsewhere.
    pub(crate) fn raise_to(&self, n: u64) {
        self.0.fetch_max(n, Ordering::Relaxed);
    }

    /// The count.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Its value.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a figure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sort {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// One figure: name without prefix and suffix, sort, explanation, value.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    name: &'static str,
    sort: Sort,
    help: &'static str,
    value: u64,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $name:ident: $sort:ident,)+) => {
        /// The counters and gauges of one node. All start at zero with the node.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $($(#[doc = $help])+ pub(crate) $name: $sort,)+
        }

        impl Metrics {
            /// Every figure, in the order in which they stand here.
            pub(crate) fn figures(&self) -> Vec<Figure> {
                vec![$(Figure {
                    name: stringify!($name),
                    sort: Sort::$sort,
                    help: concat!($($help),+).trim_ascii(),
                    value: self.$name.value(),
                },)+]
            }
        }
    };
}

metrics! {
    /// Connections accepted by listeners for nodes.
    connections_accepted: Counter,
    /// Connections closed at once because they came too fast.
    connections_over_rate: Counter,
    /// Connections closed before admission because too many others were waiting for it.
    connections_crowded_out: Counter,
    /// Errors of accepting that were survived.
    accept_errors: Counter,
    /// Connections that could not be secured.
    handshakes_failed: Counter,
    /// Connections that have not been admitted yet.
    half_open: Gauge,
    /// Attempts to reach an address.
    dials: Counter,
    /// Attempts that gave no admitted link.
    dials_failed: Counter,
    /// Addresses that are found now, seeds not counted.
    found: Gauge,
    /// Admissions, of both directions.
    admissions: Counter,
    /// Connections that ended before admission, of both directions.
    admissions_failed: Counter,
    /// Connections whose other end did not prove that it belongs to this network.
    admissions_of_strangers: Counter,
    /// Links that are up.
    links: Gauge,
    /// Links that are up and take no new calls.
    links_draining: Gauge,
    /// Links that ended because the peer said so, this node said so, or another link took their place.
    links_closed: Counter,
    /// Links that broke.
    links_lost: Counter,
    /// Links that ended because their peer was silent for too long.
    links_silent: Counter,
    /// Links that ended because their peer broke the protocol.
    links_misbehaved: Counter,
    /// Links closed because they reported faster than the node could take it.
    links_too_slow: Counter,
    /// Bytes received over links, after decryption.
    link_bytes_in: Counter,
    /// Bytes sent over links, before encryption.
    link_bytes_out: Counter,
    /// Calls sent over links.
    link_calls: Counter,
    /// Requests received over links.
    link_requests: Counter,
    /// Answers that came after their call had ended.
    link_late_replies: Counter,
    /// Requests refused as busy.
    link_refused_busy: Counter,
    /// Notifications that were dropped where a request would have been refused as busy.
    link_notifications_dropped: Counter,
    /// Frames of streams that came after their call had ended.
    link_late_items: Counter,
    /// Frames of a newer version that were skipped.
    link_skipped_frames: Counter,
    /// Frames of records and summaries beyond what a peer may send of them.
    link_gossip_dropped: Counter,
    /// Contents that did not decompress. Each ended its call, and compression on its link.
    link_bad_blocks: Counter,
    /// Cancels that waited so that the peer does not take offence.
    link_cancels_withheld: Counter,
    /// Cancels that were never sent for the same reason. The deadline at the peer ends that work.
    link_cancels_dropped: Counter,
    /// Pauses of this process that a link noticed: requests waited until the peer had been heard again.
    link_pauses: Counter,
    /// Requests whose content was no call of a function.
    requests_malformed: Counter,
    /// Requests for a service that is not offered to whoever asked.
    requests_without_service: Counter,
    /// Calls of this node's own that ended with a value.
    calls_ok: Counter,
    /// Calls of what nobody offers: nothing ran.
    calls_absent: Counter,
    /// Calls of what was not known yet when their time was over: nothing ran.
    calls_not_yet_known: Counter,
    /// Calls that were refused: nothing ran.
    calls_refused: Counter,
    /// Calls that were not sent: nothing ran.
    calls_not_sent: Counter,
    /// Calls whose peer was busy: nothing ran.
    calls_busy: Counter,
    /// Calls that ran and failed.
    calls_remote: Counter,
    /// Calls whose deadline passed: it is not known what ran.
    calls_deadline: Counter,
    /// Calls whose link ended first: it is not known what ran.
    calls_connection_lost: Counter,
    /// Calls that were given up: it is not known what ran.
    calls_cancelled: Counter,
    /// Calls whose answer could not be understood: it is not known what ran.
    calls_protocol: Counter,
    /// Connections to plain listeners.
    plain_connections: Gauge,
    /// Connections to plain listeners that were closed at once because there were too many.
    plain_turned_away: Counter,
    /// Programs at the control socket.
    control_clients: Gauge,
    /// Programs at the control socket that were closed at once because there were too many, or not of this user.
    control_turned_away: Counter,
    /// Programs at the control socket that said nothing for 5 s.
    control_silent: Counter,
    /// Records that a program at the control socket missed because it did not answer fast enough.
    control_records_skipped: Counter,
    /// Reports of links that wait for the node's own loop.
    reports_waiting: Gauge,
    /// Wishes of the application that wait for the node's own loop.
    commands_waiting: Gauge,
    /// Events that readers missed because they read too slowly.
    events_skipped: Counter,
    /// Times the node's own loop was woken.
    wakes: Counter,
    /// Timers that rang late by more than half a second.
    timers_late: Counter,
    /// Factor on waiting times because of late timers: 1 to 8.
    local_health: Gauge,
    /// Pauses of the whole process or machine that were noticed.
    pauses: Counter,
    /// Faults that are present.
    faults: Gauge,
    /// Figures of peers that are left out here because there are too many peers.
    labels_left_out: Gauge,
}

/// Figures of one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerFigures {
    /// Its id.
    pub(crate) peer: String,
    /// What it calls itself.
    pub(crate) name: String,
    /// What carries its link.
    pub(crate) path: String,
    /// Bytes received from it.
    pub(crate) bytes_in: u64,
    /// Bytes sent to it.
    pub(crate) bytes_out: u64,
    /// Calls to it without an outcome.
    pub(crate) calls_in_flight: u64,
    /// Requests of it without an answer.
    pub(crate) requests_in_service: u64,
    /// Bytes that wait to be sent to it.
    pub(crate) unsent_bytes: u64,
    /// The last round trip that was measured, in microseconds.
    pub(crate) rtt_us: Option<u64>,
}

impl Metrics {
    /// Every figure by its name in the text, without those of peers.
    pub(crate) fn by_name(&self) -> BTreeMap<String, u64> {
        self.figures().into_iter().map(|figure| (figure.sample(), figure.value)).collect()
    }

    /// All of it in the OpenMetrics text format, version 1.0.
    pub(crate) fn open_metrics(&self, peers: &[PeerFigures]) -> String {
        let shown = &peers[..peers.len().min(limits::METRIC_LABELS_MAX)];
        self.labels_left_out.set((peers.len() - shown.len()) as u64);
        let mut text = String::new();
        for figure in self.figures() {
            figure.head(&mut text);
            line(&mut text, &figure.sample(), "", figure.value);
        }
        for (name, sort, help, value) in PEER_FIGURES {
            let head = Figure { name, sort: *sort, help, value: 0 };
            head.head(&mut text);
            for peer in shown {
                if let Some(value) = value(peer) {
                    let (id, path) = (label(&peer.peer), label(&peer.path));
                    let labels = format!("{{peer=\"{id}\",name=\"{}\",path=\"{path}\"}}", label(&peer.name));
                    line(&mut text, &head.sample(), &labels, value);
                }
            }
        }
        text.push_str("# EOF\n");
        text
    }
}

impl Figure {
    /// The name of its sample.
    fn sample(&self) -> String {
        match self.sort {
            Sort::Counter => format!("{PREFIX}{}_total", self.name),
            Sort::Gauge => format!("{PREFIX}{}", self.name),
        }
    }

    fn head(&self, text: &mut String) {
        let sort = match self.sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# TYPE {PREFIX}{} {sort}\n# HELP {PREFIX}{} {}", self.name, self.name, self.help);
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(text, "{name}{labels} {value}");
}

/// A text of a peer as a label: one line, without control characters, cut, quotes and backslashes escaped.
fn label(text: &str) -> String {
    crate::shown::shown(text).replace('\\', "\\\\").replace('"', "\\\"")
}

type PeerFigure = (&'static str, Sort, &'static str, fn(&PeerFigures) -> Option<u64>);

/// The figures of each peer.
const PEER_FIGURES: &[PeerFigure] = &[
    ("peer_bytes_in", Sort::Counter, "Bytes received over the links to this peer that are up.", |p| Some(p.bytes_in)),
    ("peer_bytes_out", Sort::Counter, "Bytes sent over the links to this peer that are up.", |p| Some(p.bytes_out)),
    ("peer_calls_in_flight", Sort::Gauge, "Calls to this peer without an outcome.", |p| Some(p.calls_in_flight)),
    ("peer_requests_in_service", Sort::Gauge, "Requests of this peer without an answer.", |p| {
        Some(p.requests_in_service)
    }),
    ("peer_unsent_bytes", Sort::Gauge, "Bytes that wait to be sent to this peer.", |p| Some(p.unsent_bytes)),
    ("peer_rtt_microseconds", Sort::Gauge, "The last round trip to this peer that was measured.", |p| p.rtt_us),
];

/// What every name begins with.
const PREFIX: &str = "peerage_";

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> PeerFigures {
        PeerFigures { peer: format!("peer{n}"), path: "tls".into(), bytes_in: 7, ..PeerFigures::default() }
    }

    #[test]
    fn every_figure_has_a_type_a_help_line_and_a_value() {
        let metrics = Metrics::default();
        metrics.calls_ok.add(3);
        metrics.links.set(2);
        let text = metrics.open_metrics(&[]);
        for figure in metrics.figures() {
            assert!(figure.help.ends_with('.') && figure.help.len() > 10, "{} explains itself", figure.name);
            assert!(text.contains(&format!("# HELP peerage_{} {}\n", figure.name, figure.help)));
        }
        assert!(text.contains("# TYPE peerage_calls_ok counter\n"));
        assert!(text.contains("\npeerage_calls_ok_total 3\n"));
        assert!(text.contains("# TYPE peerage_links gauge\n"));
        assert!(text.contains("\npeerage_links 2\n"));
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(metrics.by_name()["peerage_calls_ok_total"], 3);
    }

    #[test]
    fn names_of_peers_cannot_break_out_of_their_label() {
        let name = "x\"} 1\n# EOF\nforged{a=\"\\ \u{202e}".to_owned();
        let text = Metrics::default().open_metrics(&[PeerFigures { name, rtt_us: Some(1), ..peer(1) }]);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("peerage_peer_rtt")).collect();
        assert_eq!(
            lines,
            [
                r#"peerage_peer_rtt_microseconds{peer="peer1",name="x\"} 1\\n# EOF\\nforged{a=\"\\ \\u{202e}",path="tls"} 1"#
            ]
        );
        assert!(!text.contains("\nforged"));
    }

    #[test]
    fn there_are_at_most_1024_label_sets_and_the_rest_is_counted() {
        let metrics = Metrics::default();
        let peers: Vec<PeerFigures> = (0..1030).map(peer).collect();
        let text = metrics.open_metrics(&peers);
        let sets = text.lines().filter(|line| line.starts_with("peerage_peer_bytes_in_total{")).count();
        assert_eq!((sets, metrics.labels_left_out.value()), (1024, 6));
    }
}
