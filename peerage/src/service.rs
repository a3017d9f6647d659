//! Named functions that others call: a table of tags, and the way from a request to its handler.
//!
//! A request holds `[tag, args, kwargs]` (PROTOCOL §7). The tag is looked up, the arguments go to the handler unopened.
//! There are two kinds of handlers. A *direct* one answers on the spot, on the task that read the request: no future, no
//! allocation. Any other is a future, takes its first step on the spot, and moves to a task of its own if it waits.
//!
//! ```text
//!   content ──Invocation::of──▶ tag ──table──▶ direct: a value, at once
//!                                        └───▶ task: a future, with the request to answer
//! ```
//!
//! Where a request came from decides what it finds: a plain listener offers less than a link between nodes, the control
//! socket offers more.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use peerage_proto::channel::{Content, Served};
use peerage_proto::codec::{Invocation, NotAnInvocation, Payload};
use peerage_proto::id::NodeId;
use peerage_proto::outcome::{Code, Refused};

use crate::channel::{Failure, Request};
use crate::link::{InPlace, Link, Serve};
use crate::metrics::Metrics;
use crate::shown::shown;

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// From a node, over its link.
    Link(NodeId),
    /// From whoever connected to a plain listener.
    Plain,
    /// From a program of this user at the control socket, with its process where the system tells it.
    Control(Option<i32>),
}

/// Which origins find a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// Nodes, plain listeners and the control socket.
    Everybody,
    /// Nodes and the control socket.
    Members,
    /// The control socket alone.
    Local,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Link(peer) => write!(f, "{peer}"),
            Origin::Plain => f.write_str("a plain connection"),
            Origin::Control(Some(pid)) => write!(f, "process {pid}"),
            Origin::Control(None) => f.write_str("a local process"),
        }
    }
}

impl Reach {
    fn includes(self, origin: &Origin) -> bool {
        match origin {
            Origin::Control(_) => true,
            Origin::Link(_) => self != Reach::Local,
            Origin::Plain => self == Reach::Everybody,
        }
    }
}

/// A request as a direct handler sees it.
pub(crate) struct Asked<'a> {
    /// Where it came from.
    pub(crate) origin: &'a Origin,
    /// All of it.
    pub(crate) content: &'a Payload,
    /// Its parts.
    pub(crate) invocation: &'a Invocation<'a>,
}

impl Asked<'_> {
    /// The positional arguments, unopened.
    pub(crate) fn args(&self) -> Payload {
        self.invocation.args_of(self.content)
    }

    /// The named arguments, unopened.
    pub(crate) fn kwargs(&self) -> Payload {
        self.invocation.kwargs_of(self.content)
    }
}

/// A request as a handler holds it that may wait.
pub(crate) struct Called {
    /// To be answered.
    pub(crate) request: Request,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// The positional arguments, unopened.
    pub(crate) args: Payload,
    /// The named arguments, unopened.
    pub(crate) kwargs: Payload,
}

/// What a handler that may wait becomes.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Handler {
    Direct(Box<Direct>),
    Waiting(Box<Waiting>),
}

type Direct = dyn Fn(&Asked<'_>) -> Result<Payload, Failure> + Send + Sync;
type Waiting = dyn Fn(Called) -> Task + Send + Sync;

/// The table of services of one node.
#[derive(Default)]
pub(crate) struct Services {
    by_tag: BTreeMap<&'static str, (Reach, Handler)>,
}

impl Services {
    /// Adds a service that answers on the spot.
    pub(crate) fn direct(
        &mut self,
        tag: &'static str,
        reach: Reach,
        answer: impl Fn(&Asked<'_>) -> Result<Payload, Failure> + Send + Sync + 'static,
    ) {
        self.insert(tag, reach, Handler::Direct(Box::new(answer)));
    }

    /// Adds a service that may wait.
    pub(crate) fn waiting<Fut>(
        &mut self,
        tag: &'static str,
        reach: Reach,
        work: impl Fn(Called) -> Fut + Send + Sync + 'static,
    ) where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.insert(tag, reach, Handler::Waiting(Box::new(move |called| Box::pin(work(called)))));
    }

    fn insert(&mut self, tag: &'static str, reach: Reach, handler: Handler) {
        let before = self.by_tag.insert(tag, (reach, handler));
        assert!(before.is_none(), "each tag stands in the table once: {tag}");
    }

    fn find(&self, tag: &str, origin: &Origin) -> Option<&Handler> {
        self.by_tag.get(tag).filter(|(reach, _)| reach.includes(origin)).map(|(_, handler)| handler)
    }
}

/// Brings the requests of one link to their services.
pub(crate) struct Dispatch {
    services: Arc<Services>,
    origin: Origin,
    metrics: Arc<Metrics>,
    waiting: InPlace<Box<dyn FnMut(Request) -> Task + Send>, Task>,
}

impl Dispatch {
    /// For the requests of a link to whoever `origin` says.
    pub(crate) fn new(services: Arc<Services>, origin: Origin, metrics: Arc<Metrics>) -> Dispatch {
        let (table, from) = (services.clone(), origin.clone());
        let begin: Box<dyn FnMut(Request) -> Task + Send> = Box::new(move |request| begin(&table, &from, request));
        Dispatch { services, origin, metrics, waiting: InPlace::new(begin) }
    }

    fn answer(&self, link: &Link, served: Served, answer: Result<Payload, Failure>) {
        match answer {
            Ok(value) => link.reply(served, Content::Shared(&value)),
            Err(failure) => link.fail_with(served, failure),
        }
    }
}

impl Serve for Dispatch {
    fn serve(&mut self, cx: &mut Context<'_>, link: &Link, served: Served, content: Payload) {
        let opened = Invocation::of(&content).and_then(|invocation| match (&self.origin, &invocation.metadata) {
            // PROTOCOL §5: aiomas sends three elements and knows no fourth.
            (Origin::Plain | Origin::Control(_), Some(_)) => Err(NotAnInvocation::Shape),
            _ => Ok(invocation),
        });
        let invocation = match opened {
            Ok(invocation) => invocation,
            Err(why) => {
                self.metrics.requests_malformed.add(1);
                tracing::debug!(from = %self.origin, %why, "a request that is no call");
                return link.refuse(served, &Refused::BadRequest(why.to_string()));
            }
        };
        match self.services.find(&invocation.tag, &self.origin) {
            Some(Handler::Direct(direct)) => {
                let asked = Asked { origin: &self.origin, content: &content, invocation: &invocation };
                let answer = catch_unwind(AssertUnwindSafe(|| direct(&asked)));
                let panicked = || Failure::new("the handler panicked").code(Code::INTERNAL);
                self.answer(link, served, answer.unwrap_or_else(|_| Err(panicked())));
            }
            Some(Handler::Waiting(_)) => self.waiting.serve(cx, link, served, content),
            None => {
                self.metrics.requests_without_service.add(1);
                tracing::debug!(from = %self.origin, tag = %shown(&invocation.tag), "no such service");
                link.refuse(served, &Refused::NoSuchService(invocation.tag.into_owned()));
            }
        }
    }
}

/// Starts the work of a handler that may wait, on a request that [`Dispatch`] has looked at already.
fn begin(services: &Services, origin: &Origin, request: Request) -> Task {
    let content = request.payload().clone();
    let found = Invocation::of(&content).ok().and_then(|invocation| {
        let handler = services.find(&invocation.tag, origin)?;
        Some((handler, invocation.args_of(&content), invocation.kwargs_of(&content)))
    });
    match found {
        Some((Handler::Waiting(work), args, kwargs)) => work(Called { request, origin: origin.clone(), args, kwargs }),
        // Dropping the request says so to its caller.
        _ => Box::pin(async move { drop(request) }),
    }
}
