//! The end that tells: handles on names, and what is published through them.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use peerage_proto::codec::{Encoding, encode_into};
use peerage_proto::events::{Keep, Priority};
use peerage_proto::id::NodeId;
use peerage_proto::limits;
use serde::Serialize;
use tokio::time::{Instant, Sleep};

use super::board::{Board, Going};
use super::receipt::{Confirmation, PublishError, Receipt};
use super::settling::Settling;

/// A name under which a node publishes. A handle: clones publish into the same sequence, and so do all publishers of the name.
///
/// Dropping it forgets nothing: the sequence of a name goes on as long as the node runs.
#[derive(Clone)]
pub struct Publisher {
    board: Arc<Board>,
    name: Arc<str>,
    topic: u32,
    priority: Priority,
}

/// A [`Publisher`] for values of the application that are put into the form in which they travel first.
pub struct Shaped<T: ?Sized, V> {
    publisher: Publisher,
    shape: Arc<dyn Fn(&T) -> V + Send + Sync>,
}

impl Publisher {
    pub(crate) fn new(
        board: Arc<Board>,
        name: &str,
        allowed: Option<BTreeSet<NodeId>>,
    ) -> Result<Publisher, PublishError> {
        let topic = board.declare(name, Keep::default(), allowed)?;
        Ok(Publisher { board, name: name.into(), topic, priority: Priority::default() })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps so many of the last events for those who subscribe later and want them, or come back and have missed them: at most
    /// [`limits::EVENTS_KEPT_MAX`], and [`limits::EVENTS_KEPT_BYTES`] of values. It holds for the name from now on; of several
    /// wishes the greatest counts.
    ///
    /// # Errors
    /// [`PublishError::ShuttingDown`].
    pub fn keep(self, events: u32) -> Result<Publisher, PublishError> {
        self.board.declare(&self.name, Keep { events, time: None }, None)?;
        Ok(self)
    }

    /// What is published through this handle goes before events of other names that wait for the same subscriber, or behind them.
    /// Events of one name keep their order.
    pub fn priority(self, priority: Priority) -> Publisher {
        Publisher { priority, ..self }
    }

    /// Puts values of the application into the form in which they travel, so that the places that publish need not know it.
    ///
    /// ```
    /// # struct Build { target: String, log: Vec<u8> }
    /// # fn publisher(node: peerage::Node) -> Result<(), peerage::event::PublishError> {
    /// let done = node.event("build/done")?.shaped(|build: &Build| build.target.clone());
    /// # Ok(())
    /// # }
    /// ```
    pub fn shaped<T: ?Sized, V: Serialize>(self, shape: impl Fn(&T) -> V + Send + Sync + 'static) -> Shaped<T, V> {
        Shaped { publisher: self, shape: Arc::new(shape) }
    }

    /// Publishes a value: await it for a [`Receipt`], at once unless a subscriber has asked publishers to wait for room. Say
    /// [`confirmed`](Publishing::confirmed) to wait for the word of the subscribers.
    ///
    /// Nothing happens before it is awaited. Values that a program publishes one after the other are numbered in that order.
    pub fn publish<T: Serialize + ?Sized>(&self, value: &T) -> Publishing<'_> {
        Publishing::new(self, encoded(value).map(Values::One))
    }

    /// Publishes values one behind the other, which costs less than one at a time.
    ///
    /// # Errors
    /// As for one. If any of them cannot be published, none is.
    pub fn publish_all<T: Serialize>(&self, values: impl IntoIterator<Item = T>) -> Publishing<'_> {
        let values: Result<Vec<Bytes>, PublishError> = values.into_iter().map(|value| encoded(&value)).collect();
        Publishing::new(self, values.map(Values::Many))
    }

    /// How many subscriptions match the name now.
    pub fn matching(&self) -> usize {
        self.board.matching(self.topic)
    }

    /// Waits until so many subscriptions match the name, and tells how many do.
    ///
    /// # Errors
    /// [`PublishError::ShuttingDown`] if the node stops first.
    pub async fn wait_matching(&self, count: usize) -> Result<usize, PublishError> {
        self.until(|matching| matching >= count).await
    }

    /// Waits until another number of subscriptions matches the name than this, and tells how many do: called again and again with
    /// what it told, it tells when somebody begins to listen, and when nobody does any more.
    ///
    /// # Errors
    /// [`PublishError::ShuttingDown`] if the node stops first.
    pub async fn matching_changed(&self, from: usize) -> Result<usize, PublishError> {
        self.until(|matching| matching != from).await
    }

    async fn until(&self, is_so: impl Fn(usize) -> bool) -> Result<usize, PublishError> {
        let mut changes = self.board.watch();
        loop {
            let matching = self.matching();
            if self.board.is_closed() {
                return Err(PublishError::ShuttingDown);
            }
            if is_so(matching) {
                return Ok(matching);
            }
            // The board is there as long as this handle is.
            let _ = changes.changed().await;
        }
    }
}

impl<T: ?Sized, V: Serialize> Shaped<T, V> {
    /// As [`Publisher::publish`].
    pub fn publish(&self, value: &T) -> Publishing<'_> {
        self.publisher.publish(&(self.shape)(value))
    }

    /// The publisher of what travels.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }
}

impl<T: ?Sized, V> Clone for Shaped<T, V> {
    fn clone(&self) -> Shaped<T, V> {
        Shaped { publisher: self.publisher.clone(), shape: self.shape.clone() }
    }
}

/// The value as it travels.
fn encoded<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, PublishError> {
    let mut bytes = Vec::with_capacity(FIRST_BYTES);
    encode_into(value, Encoding::MsgPack, &mut bytes)?;
    if bytes.len() > limits::EVENT_BYTES_MAX {
        return Err(PublishError::TooLarge { size: bytes.len() });
    }
    Ok(bytes.into())
}

/// Room for most small values, in bytes, so that their buffer need not grow.
const FIRST_BYTES: usize = 96;

/// Values that are about to be published; await it.
#[must_use = "nothing is published before it is awaited"]
pub struct Publishing<'a> {
    publisher: &'a Publisher,
    values: Result<Values, Option<PublishError>>,
    /// So many have been published.
    done: usize,
    receipt: Receipt,
    /// Since when somebody's queue has been full, and the time at which to go on without.
    stuck: Option<(Instant, Pin<Box<Sleep>>)>,
}

enum Values {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Values {
    fn all(&self) -> &[Bytes] {
        match self {
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(values) => values,
        }
    }
}

impl<'a> Publishing<'a> {
    fn new(publisher: &'a Publisher, values: Result<Values, PublishError>) -> Publishing<'a> {
        Publishing { publisher, values: values.map_err(Some), done: 0, receipt: Receipt::default(), stuck: None }
    }

    /// Waits until every subscriber that it was for has said what became of it, for so long at most: those that have not said so
    /// by then are unknown. [`limits::RECEIPT_TIME`], 5 s, is a good choice.
    pub fn confirmed(self, within: Duration) -> Confirming<'a> {
        Confirming { publishing: self, within }
    }

    fn poll_publish(
        &mut self,
        cx: &mut Context<'_>,
        confirm: Option<&Arc<Settling>>,
    ) -> Poll<Result<Receipt, PublishError>> {
        let values = match &mut self.values {
            Ok(values) => values.all(),
            Err(why) => return Poll::Ready(Err(why.take().unwrap_or(PublishError::ShuttingDown))),
        };
        let Publisher { board, topic, priority, .. } = self.publisher;
        while self.done < values.len() {
            let going = Going { topic: *topic, priority: *priority, values: &values[self.done..] };
            let full = match board.poll_publish(cx, &going, confirm, &mut self.receipt)? {
                Ok(count) => {
                    self.done += count;
                    self.stuck = None;
                    continue;
                }
                Err(full) => full,
            };
            let now = Instant::now();
            let (since, _) = self.stuck.get_or_insert_with(|| (now, Box::pin(tokio::time::sleep_until(now))));
            let since = *since;
            let due = |time: Duration| since.checked_add(time).unwrap_or(now);
            full.iter().filter(|full| due(full.time) <= now).for_each(|full| board.cut(full));
            let next = full.iter().map(|full| due(full.time)).filter(|due| *due > now).min();
            if let (Some(next), Some((_, sleep))) = (next, &mut self.stuck) {
                sleep.as_mut().reset(next);
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(std::mem::take(&mut self.receipt)))
    }
}

impl Future for Publishing<'_> {
    type Output = Result<Receipt, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_publish(cx, None)
    }
}

/// Values that are about to be published, with the word of the subscribers awaited; await it.
#[must_use = "nothing is published before it is awaited"]
pub struct Confirming<'a> {
    publishing: Publishing<'a>,
    within: Duration,
}

impl<'a> IntoFuture for Confirming<'a> {
    type Output = Result<Confirmation, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Confirming { mut publishing, within } = self;
        Box::pin(async move {
            let settling = Arc::new(Settling::default());
            let due = Instant::now().checked_add(within);
            let receipt = std::future::poll_fn(|cx| publishing.poll_publish(cx, Some(&settling))).await?;
            match due {
                // Whoever has not answered by then is unknown.
                Some(due) => drop(tokio::time::timeout_at(due, settling.all()).await),
                None => settling.all().await,
            }
            let (confirmation, open) = settling.end(receipt);
            publishing.publisher.board.forget_marks(open.into_iter());
            Ok(confirmation)
        })
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("name", &self.name).field("priority", &self.priority).finish_non_exhaustive()
    }
}

impl<T: ?Sized, V> fmt::Debug for Shaped<T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shaped").field("publisher", &self.publisher).finish_non_exhaustive()
    }
}

impl fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing")
            .field("publisher", &self.publisher)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Confirming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirming").field("publishing", &self.publishing).finish_non_exhaustive()
    }
}
