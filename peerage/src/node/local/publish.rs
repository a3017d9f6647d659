//! `peerage/local/publish`: the node publishes for a program of its user.
//!
//! `["peerage/local/publish", [NAME, VALUE…], {…}]` is answered with what became of the events, as `peerage pub` prints it. Without a
//! value nothing is published: then the answer comes when as many subscriptions match as are waited for, and the name keeps what it is
//! told to keep.

use std::sync::Arc;
use std::time::Duration;

use peerage_proto::codec::Value;
use peerage_proto::limits;
use peerage_proto::outcome::Code;
use serde::{Deserialize, Serialize};

use super::serve::Offers;
use super::{bad_request, open, shutting_down};
use crate::channel::Failure;
use crate::dispatch::Called;
use crate::event::{Confirmation, Dropped, Priority, PublishError, Publisher, Receipt, Unknown};

/// How to publish.
#[derive(Deserialize)]
struct Wanted {
    /// The name keeps so many events for those who come later.
    #[serde(default)]
    keep: Option<u32>,
    #[serde(default)]
    priority: Option<String>,
    /// So many subscriptions are waited for first.
    #[serde(default)]
    wait_matching: usize,
    /// All values so many times over.
    #[serde(default)]
    repeat: Option<u32>,
    /// How long the word of the subscribers is waited for; without it nobody waits.
    #[serde(default)]
    confirm_ms: Option<u64>,
}

/// What became of the events.
#[derive(Default, Serialize)]
struct Published {
    event: String,
    published: u64,
    matched: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u64>,
    dropped: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<Vec<Row>>,
}

/// Events that a subscriber does not get, or may not have got.
#[derive(Serialize)]
struct Row {
    peer: String,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Publishes; a program that goes away is not told what became of it.
pub(super) async fn publish(offers: Arc<Offers>, called: Called) {
    let caller = called.request.caller();
    let done = tokio::select! {
        done = published(&offers, &called) => done,
        _ = caller.ended() => return,
    };
    match done {
        Ok(published) => called.request.reply(&published),
        Err(failure) => called.request.fail_with(failure),
    }
}

async fn published(offers: &Offers, called: &Called) -> Result<Published, Failure> {
    let mut values: Vec<Value> = open(&called.args)?;
    let wanted: Wanted = open(&called.kwargs)?;
    let name = match values.is_empty() {
        false => values.remove(0),
        true => Value::Null,
    };
    let Value::Text(name) = name else {
        return Err(bad_request("the first argument is the name of an event, all others are values".to_owned()));
    };
    let publisher = {
        // Whoever waits for subscribers must not keep the node from stopping.
        let node = offers.node().ok_or_else(shutting_down)?;
        wanted.publisher(node.event(&name).map_err(refused)?)?
    };
    let matching = match wanted.wait_matching {
        0 => publisher.matching(),
        count => publisher.wait_matching(count).await.map_err(refused)?,
    };
    if values.is_empty() {
        return Ok(Published { event: name, matched: matching as u64, ..Published::default() });
    }
    let repeat = wanted.repeat.unwrap_or(1);
    if !(1..=REPEAT_MAX).contains(&repeat) {
        return Err(bad_request(format!("repeat is 1 to {REPEAT_MAX}")));
    }
    let all = std::iter::repeat_n(&values, repeat as usize).flatten();
    let count = values.len() as u64 * u64::from(repeat);
    let published = Published { event: name, published: count, ..Published::default() };
    match wanted.confirm_ms.map(Duration::from_millis) {
        None => Ok(published.with(publisher.publish_all(all).await.map_err(refused)?)),
        Some(within) => {
            let within = within.min(limits::WIRE_TIME_MAX);
            Ok(published.confirmed(publisher.publish_all(all).confirmed(within).await.map_err(refused)?))
        }
    }
}

impl Wanted {
    fn publisher(&self, publisher: Publisher) -> Result<Publisher, Failure> {
        let publisher = match self.keep {
            Some(events) => publisher.keep(events).map_err(refused)?,
            None => publisher,
        };
        let Some(wanted) = &self.priority else { return Ok(publisher) };
        let priority = Priority::ALL.into_iter().find(|priority| priority.to_string() == *wanted);
        let priority = priority.ok_or_else(|| bad_request("priority is control, normal or bulk".to_owned()))?;
        Ok(publisher.priority(priority))
    }
}

impl Published {
    fn with(self, receipt: Receipt) -> Published {
        let Receipt { first, last, matched, queued, dropped } = receipt;
        let dropped = dropped.into_iter().map(Row::dropped).collect();
        Published { first: Some(first), last: Some(last), matched, queued: Some(queued), dropped, ..self }
    }

    fn confirmed(self, confirmation: Confirmation) -> Published {
        let Confirmation { first, last, matched, due, delivered, dropped, unknown } = confirmation;
        Published {
            first: Some(first),
            last: Some(last),
            matched,
            due: Some(due),
            delivered: Some(delivered),
            dropped: dropped.into_iter().map(Row::dropped).collect(),
            unknown: Some(unknown.into_iter().map(Row::unknown).collect()),
            ..self
        }
    }
}

impl Row {
    fn dropped(dropped: Dropped) -> Row {
        Row { peer: dropped.peer.to_string(), count: dropped.count, why: Some(dropped.why.to_string()) }
    }

    fn unknown(unknown: Unknown) -> Row {
        Row { peer: unknown.peer.to_string(), count: unknown.count, why: None }
    }
}

fn refused(why: PublishError) -> Failure {
    let code = match why {
        PublishError::TooManyNames => Code::new("limit-reached"),
        PublishError::ShuttingDown => return shutting_down(),
        _ => Code::BAD_REQUEST,
    };
    Failure::new(why.to_string()).code(code)
}

/// Most times that a program can have a value published in one go.
const REPEAT_MAX: u32 = 65_536;
