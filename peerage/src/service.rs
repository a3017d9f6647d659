//! Serving: functions that other nodes, programs of this user and plain peers call by a name.
//!
//! ```
//! use peerage::network::{Network, Secret};
//! use peerage::service::{Context, Named};
//! use peerage::{Failure, Identity, Node};
//! use serde::Deserialize;
//!
//! async fn add(a: i64, b: i64) -> Result<i64, Failure> {
//!     Ok(a + b)
//! }
//!
//! #[derive(Deserialize)]
//! struct Size {
//!     width: u32,
//! }
//!
//! async fn scale(context: Context, image: String, size: Named<Size>) -> Result<String, Failure> {
//!     Ok(format!("{image} at {} for {:?}", size.width, context.caller()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let network = Network::new("lab", Secret::generate())?;
//! # let node = Node::builder(Identity::generate()).network(network).start().await?;
//! node.serve("math/add", add)?;
//! node.service("img.scale").concurrency(4).describe("scales an image").serve(scale)?;
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Arguments are those of the function, by position; a last parameter [`Named`] takes the named ones, a first parameter
//! [`Context`] tells about the call. A handler that waits does not hold up the link. When its caller gives up, goes away, or
//! when the deadline passes, its future is dropped, and with it the calls it waits for; [`Serving::detached`] lets it go on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use peerage_proto::codec;
use peerage_proto::id::NodeId;
use peerage_proto::limits;
use serde::Serialize;

use crate::channel::Failure;
use crate::dispatch::{Entry, OnStop, Options, Reach, Services, Taken, is_reserved};
use crate::flag::Flag;
use crate::node::Node;

mod context;
mod handler;

pub use context::Context;
#[doc(hidden)]
pub use handler::form;
pub use handler::{Function, Handler, Named};

/// A service that is about to be registered; [`Node::service`] begins one.
#[must_use = "nothing is served until a handler is given"]
#[derive(Clone)]
pub struct Serving<'a> {
    node: &'a Node,
    tag: &'a str,
    options: Options,
}

/// A registered service. Dropping the handle changes nothing; the service is there until it is stopped, or the node is.
#[derive(Clone)]
pub struct Service {
    services: Arc<Services>,
    entry: Arc<Entry>,
}

/// Why a service could not be registered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// This node serves the name already: stop that service first, or choose another name.
    #[error("`{0}` is served by this node already: stop that service first, or choose another name")]
    Taken(String),
    /// It is no name.
    #[error("`{0}` is no name of a service: 1 to 255 letters and digits of ASCII and . _ / -")]
    NoName(String),
    /// The name belongs to what every node offers.
    #[error("`{0}` begins with `peerage/`, which is kept for what every node offers: choose another name")]
    Reserved(String),
    /// The node offers as many services as one may.
    #[error("this node offers {} services, and none may offer more", limits::SERVICES_MAX)]
    TooMany,
    /// A service for no calls at all.
    #[error("a service that works on no call at a time: give a concurrency of 1 or more")]
    NoConcurrency,
}

impl Node {
    /// Serves a function under a name, for all nodes of the network and for programs of this user.
    ///
    /// # Errors
    /// [`ServeError`] says what is wrong with the name, or who has it.
    pub fn serve<Form>(&self, tag: &str, handler: impl Handler<Form>) -> Result<Service, ServeError> {
        self.service(tag).serve(handler)
    }

    /// A service with rules: say them, then give its handler.
    pub fn service<'a>(&'a self, tag: &'a str) -> Serving<'a> {
        Serving { node: self, tag, options: Options::of(Reach::Offered) }
    }

    /// Takes a service away. Calls that it works on are finished, new ones are refused as
    /// [`NoSuchService`](peerage_proto::outcome::Refused::NoSuchService). False if this node does not serve the name.
    pub fn unserve(&self, tag: &str) -> bool {
        let services = self.services();
        services.own(tag).is_some_and(|entry| services.remove(&entry))
    }

    /// Adds a service whose name and rules have been checked.
    pub(crate) fn add_service<Form>(
        &self,
        tag: &str,
        options: Options,
        handler: impl Handler<Form>,
    ) -> Result<Arc<Entry>, Taken> {
        let (node, handler) = (self.weak(), Arc::new(handler));
        self.services().add_waiting(tag, options, move |called| {
            let (handler, context) = (handler.clone(), Context::new(node.clone(), called.facts.clone()));
            Box::pin(async move {
                let answer = handler.answer(context, &called.args, &called.kwargs).await;
                called.answer(answer);
            })
        })
    }

    /// Says what it means when a call of this node is answered with a flag: the handler gets the name of the function and the
    /// node that answered, and gives the call its value or its failure. It takes the place of an earlier one.
    pub fn on_flag<R: Serialize>(
        &self,
        flag: Flag,
        handler: impl Fn(&str, NodeId) -> Result<R, Failure> + Send + Sync + 'static,
    ) {
        self.flags().on(flag, handler);
    }
}

impl Serving<'_> {
    /// Works on so many calls at once; one more is refused as busy, its handler not started. Default: as many as come, within
    /// what a link and a node may serve. Choose what the work can bear: threads, memory, whatever it calls itself.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.options.concurrency = Some(calls);
        self
    }

    /// Says what it does, for people; `peerage describe` prints it. At most [`limits::SERVICE_DESCRIPTION_BYTES`], the rest is cut.
    pub fn describe(mut self, text: &str) -> Self {
        let end = text.floor_char_boundary(limits::SERVICE_DESCRIPTION_BYTES);
        self.options.description = Some(text[..end].to_owned());
        self
    }

    /// Serves these nodes only, and programs of this user; others are refused as
    /// [`Denied`](peerage_proto::outcome::Refused::Denied). Plain listeners do not offer it.
    pub fn allow(mut self, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        self.options.allow.get_or_insert_with(BTreeSet::new).extend(nodes);
        self
    }

    /// The work goes on to its end when nobody waits for it any more; the caller is told so. Default: it is stopped.
    pub fn detached(mut self) -> Self {
        self.options.on_stop = OnStop::Detach;
        self
    }

    /// Serves with an async function or closure.
    ///
    /// # Errors
    /// [`ServeError`] says what is wrong with the name or a rule.
    pub fn serve<Form>(self, handler: impl Handler<Form>) -> Result<Service, ServeError> {
        let services = self.check()?;
        let entry = self.node.add_service(self.tag, self.options, handler);
        registered(self.tag, services, entry)
    }

    /// Serves with a function that answers at once, without waiting for anything: it runs on the task that reads from the
    /// link, without a task or future of its own, and holds up that link for as long as it takes.
    ///
    /// # Errors
    /// [`ServeError`] says what is wrong with the name or a rule.
    pub fn serve_direct<Form>(self, function: impl Function<Form>) -> Result<Service, ServeError> {
        let services = self.check()?;
        let entry = services
            .add_direct(self.tag, self.options, move |asked| function.answer(None, &asked.args(), &asked.kwargs()));
        registered(self.tag, services, entry)
    }

    /// Serves with a function that blocks its thread: it runs on threads kept for that, as many at once as
    /// [`concurrency`](Self::concurrency) says, or [`limits::BLOCKING_AT_ONCE_DEFAULT`]. It cannot be stopped from outside, so
    /// a caller that gives up is told what became of it when it has ended; [`Context::is_cancelled`] tells the function.
    ///
    /// # Errors
    /// [`ServeError`] says what is wrong with the name or a rule.
    pub fn serve_blocking<Form>(mut self, function: impl Function<Form>) -> Result<Service, ServeError> {
        self.options.concurrency.get_or_insert(limits::BLOCKING_AT_ONCE_DEFAULT);
        if self.options.on_stop == OnStop::Drop {
            self.options.on_stop = OnStop::Tell;
        }
        let services = self.check()?;
        let node = self.node.weak();
        let function = Arc::new(function);
        let entry = services.add_waiting(self.tag, self.options, move |called| {
            let (function, context) = (function.clone(), Context::new(node.clone(), called.facts.clone()));
            let (args, kwargs) = (called.args.clone(), called.kwargs.clone());
            Box::pin(async move {
                let work = tokio::task::spawn_blocking(move || function.answer(Some(context), &args, &kwargs));
                called.answer(work.await.unwrap_or_else(|_| Err(handler::panicked())));
            })
        });
        registered(self.tag, services, entry)
    }

    fn check(&self) -> Result<Arc<Services>, ServeError> {
        let services = self.node.services().clone();
        let tag = self.tag;
        if !codec::is_tag(tag) {
            return Err(ServeError::NoName(crate::shown::shown(tag).to_string()));
        }
        if is_reserved(tag) {
            return Err(ServeError::Reserved(tag.to_owned()));
        }
        if self.options.concurrency == Some(0) {
            return Err(ServeError::NoConcurrency);
        }
        if services.watch().borrow().own_tags().count() >= limits::SERVICES_MAX {
            return Err(ServeError::TooMany);
        }
        Ok(services)
    }
}

fn registered(tag: &str, services: Arc<Services>, entry: Result<Arc<Entry>, Taken>) -> Result<Service, ServeError> {
    let entry = entry.map_err(|_| ServeError::Taken(tag.to_owned()))?;
    tracing::info!(tag, "serves");
    Ok(Service { services, entry })
}

impl Service {
    /// Its name.
    pub fn tag(&self) -> &str {
        self.entry.tag()
    }

    /// Takes it away. Calls that it works on are finished, new ones are refused. False if that has been done already.
    pub fn stop(&self) -> bool {
        self.services.remove(&self.entry)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("tag", &self.tag()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Serving<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("tag", &self.tag).field("options", &self.options).finish_non_exhaustive()
    }
}
