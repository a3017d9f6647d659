//! Events that the node publishes for this program, and those that it hears for it.

use std::collections::BTreeMap;

use peerage::{Request, Value};
use serde::{Deserialize, Serialize};

use super::{Control, ended};
use crate::called::{noted, there};
use crate::exit::Abort;

/// How events are to be published.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Publish {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<&'static str>,
    /// So many subscriptions are waited for first.
    pub(crate) wait_matching: u32,
    /// All values so many times over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeat: Option<u32>,
    /// How long the word of the subscribers is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirm_ms: Option<u64>,
}

/// What became of published events.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Published {
    pub(crate) event: String,
    pub(crate) published: u64,
    pub(crate) matched: u64,
    /// Events, each counted for each subscription that it was for.
    #[serde(skip)]
    meant: u64,
    /// Without the word of the subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) queued: Option<u64>,
    /// With it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivered: Option<u64>,
    pub(crate) dropped: Vec<Row>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unknown: Option<Vec<Row>>,
}

/// Events that one subscriber did not get, or may not have got.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) peer: String,
    pub(crate) count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl Published {
    /// Both together, with one row for each subscriber and reason.
    pub(crate) fn add(&mut self, more: Published) {
        fn rows(into: &mut Vec<Row>, more: Vec<Row>) {
            let mut all = BTreeMap::new();
            for row in into.drain(..).chain(more) {
                *all.entry((row.peer, row.why)).or_insert(0) += row.count;
            }
            into.extend(all.into_iter().map(|((peer, why), count)| Row { peer, count, why }));
        }
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
        self.published += more.published;
        self.matched = self.matched.max(more.matched);
        self.meant += more.matched * more.published;
        let is_queued = self.queued.is_some() || more.queued.is_some();
        self.due = sum(self.due, more.due);
        self.delivered = sum(self.delivered, more.delivered);
        rows(&mut self.dropped, more.dropped);
        // What was queued before may be among those that were dropped since.
        let dropped = self.dropped.iter().map(|row| row.count).sum();
        self.queued = is_queued.then(|| self.meant.saturating_sub(dropped));
        if let Some(unknown) = more.unknown {
            rows(self.unknown.get_or_insert_default(), unknown);
        }
    }
}

/// What is to be heard.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Subscribe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    pub(crate) history: u32,
    pub(crate) recover: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shared: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
    pub(crate) hubs_only: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) peers: Vec<String>,
    pub(crate) on_host: bool,
    /// Events of the node that hears.
    pub(crate) include_self: bool,
}

/// A record of a subscription: an event if it has a sequence, a gap if it has one, else a word on the stream itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Told {
    /// Of which subscription of this connection.
    #[serde(default, skip_serializing)]
    subscription: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<Missing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// What the node is called that published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u64>,
    /// Present and maybe null in an event.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there", serialize_with = "noted")]
    pub(crate) value: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) matching: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// Events that did not come.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Missing {
    pub(crate) event: String,
    pub(crate) from: String,
    pub(crate) epoch: String,
    pub(crate) first: u64,
    /// `None`: nobody knows how far that run of the publisher came.
    pub(crate) last: Option<u64>,
    pub(crate) why: String,
}

impl Control {
    /// Publishes; without values only what is to be kept and whom to wait for counts.
    pub(crate) async fn publish(&self, event: &str, values: &[Value], how: &Publish) -> Result<Published, Abort> {
        let args: Vec<Value> = std::iter::once(Value::from(event)).chain(values.iter().cloned()).collect();
        // It takes as long as subscribers are waited for.
        let call = self.channel.request::<Published>(&("peerage/local/publish", args, how)).without_deadline();
        call.await.map_err(ended)
    }

    /// Hears of events from now on, which come with [`next_told`](Self::next_told).
    pub(crate) async fn subscribe(&self, pattern: &str, wanted: &Subscribe) -> Result<(), Abort> {
        #[derive(Serialize)]
        struct Numbered<'w> {
            id: u64,
            #[serde(flatten)]
            wanted: &'w Subscribe,
        }
        let wanted = Numbered { id: SUBSCRIPTION, wanted };
        self.channel.request(&("peerage/local/subscribe", (pattern,), wanted)).await.map_err(ended)
    }

    /// What comes next, with the request that is to be answered with null once more can be taken; `None` when the node has gone. Only
    /// after [`subscribe`](Self::subscribe).
    ///
    /// Cancel-safe: dropping the future loses no record.
    pub(crate) async fn next_told(&mut self) -> Option<(Request, Told)> {
        loop {
            let request = self.channel.next_request().await?;
            match request.content::<(String, (Told,), Value)>() {
                Ok((_, (told,), _)) if told.subscription == Some(SUBSCRIPTION) => return Some((request, told)),
                // What happens to the node itself, if that is watched on the same connection.
                Ok(_) => {}
                // A newer node tells things that this program has no word for.
                Err(why) => tracing::debug!(%why, "skipped a record of the node"),
            }
            request.reply(&Value::Null);
        }
    }
}

/// The number of the one subscription of a connection.
const SUBSCRIPTION: u64 = 1;
