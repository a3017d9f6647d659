//! What a handler may want to know of the call it answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use peerage_proto::codec::DecodeError;
use peerage_proto::id::NodeId;
use serde::de::DeserializeOwned;

use crate::dispatch::CallFacts;
use crate::node::{Node, WeakNode};
use crate::stream::{Incoming, NoStream, Outgoing};
use crate::trace::Trace;

/// A call as its handler sees it, beside the arguments. A first parameter of this type gets it.
#[derive(Clone)]
pub struct Context {
    node: WeakNode,
    facts: Arc<CallFacts>,
}

impl Context {
    pub(super) fn new(node: WeakNode, facts: Arc<CallFacts>) -> Context {
        Context { node, facts }
    }

    /// The node that asks; `None` for a program at a plain listener or at the control socket of this node.
    pub fn caller(&self) -> Option<NodeId> {
        self.facts.origin.node()
    }

    /// The name under which the function was called.
    pub fn tag(&self) -> &str {
        self.facts.tag()
    }

    /// How much time there is left, by the caller's deadline; `None` if it has none, or did not say.
    ///
    /// Calls that the handler makes end with it by themselves: they inherit what is left, as they inherit the trace, as long as
    /// they are made in the task of the handler.
    pub fn left(&self) -> Option<Duration> {
        self.facts.left()
    }

    /// Whether nobody waits for the answer any more. For handlers that block their thread and look from time to time; a
    /// future is dropped then, unless its service is detached.
    pub fn is_cancelled(&self) -> bool {
        self.facts.cancel.is_cancelled()
    }

    /// Waits until nobody waits for the answer any more. For what a handler has started in tasks of its own.
    pub async fn cancelled(&self) {
        self.facts.cancel.cancelled().await;
    }

    /// The span of this call: in the caller's trace, or the first of a new one.
    pub fn trace(&self) -> Trace {
        self.facts.trace
    }

    /// What the caller's application says of the call, as a value of this type; `None` if it says nothing.
    ///
    /// # Errors
    /// [`DecodeError`] if it says something of another form.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<Option<T>, DecodeError> {
        self.facts.metadata.as_ref().map(|metadata| metadata.payload().decode()).transpose()
    }

    /// What the caller sends, item by item, if it opened a conversation. Can be taken once.
    ///
    /// # Errors
    /// [`NoStream`] if it did not, or if this was taken before.
    pub fn incoming<T>(&self) -> Result<Incoming<T>, NoStream> {
        self.facts.streams.as_ref().ok_or(NoStream::NotOpened)?.incoming()
    }

    /// Where items for the caller go, if it opened a conversation. Can be taken once. The answer comes behind them.
    ///
    /// # Errors
    /// [`NoStream`] if it did not, or if this was taken before.
    pub fn outgoing<T>(&self) -> Result<Outgoing<T>, NoStream> {
        self.facts.streams.as_ref().ok_or(NoStream::NotOpened)?.outgoing()
    }

    /// The node that serves. A handler should take it from here: one that holds the node itself keeps it from stopping when
    /// its last other handle is dropped. `None` once the node has stopped.
    pub fn node(&self) -> Option<Node> {
        self.node.upgrade()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("tag", &self.tag())
            .field("caller", &self.caller())
            .field("left", &self.left())
            .field("trace", &self.trace())
            .finish_non_exhaustive()
    }
}
