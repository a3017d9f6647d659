//! From a request to the handler of its function, and back to an answer.
//!
//! A request holds `[tag, args, kwargs]` (PROTOCOL §7). The tag is looked up, the arguments go to the handler unopened.
//! There are two kinds of handlers. A *direct* one answers on the spot, on the task that read the request: no future, no
//! allocation. Any other is a future, takes its first step on the spot, and moves to a task of its own if it waits.
//!
//! ```text
//!   content ──Invocation::of──▶ tag ──table──▶ may it? is there room? in time? ──┬──▶ direct: a value, at once
//!                                              └── no: refused, nothing has run  └──▶ work: a future, with the request
//! ```
//!
//! Where a request came from decides what it finds: a plain listener offers less than a link between nodes, the control
//! socket offers more. The parts: `table` holds the services, `entry` is one of them with its rules and figures, `facts` is
//! what is known of a call beside its arguments, `work` runs a handler and ends it when nobody waits for it any more.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use peerage_proto::channel::{Content, Served};
use peerage_proto::codec::{Invocation, NotAnInvocation, Payload};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::idempotent::RequestKey;
use peerage_proto::outcome::{Busy, Code, Outcome, Refused};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::channel::{Failure, Request};
use crate::hook::{CallInfo, Denial, Side};
use crate::link::{Link, Serve};
use crate::metrics::Metrics;
use crate::shown::shown;
use crate::stream::Offered;

mod entry;
mod facts;
mod figures;
mod offer;
mod once;
mod table;
mod work;

use entry::Handler;
use once::Keyed;

pub(crate) use entry::{Entry, OnStop, Options};
pub(crate) use facts::{CallFacts, current};
pub(crate) use offer::Offer;
pub(crate) use table::{Services, Table, Taken, is_reserved};

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// From a node, over its link.
    Link(NodeId),
    /// From whoever connected to a plain listener, which offers services of these names.
    Plain(Arc<Offer>),
    /// From a program of this user at the control socket, with its process where the system tells it.
    Control(Option<i32>),
}

impl Origin {
    /// The node it came from, if a node asked.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match self {
            Origin::Link(peer) => Some(*peer),
            Origin::Plain(_) | Origin::Control(_) => None,
        }
    }

    /// Whether it came in the plain dialect, which knows one way to fail.
    fn is_plain(&self) -> bool {
        !matches!(self, Origin::Link(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Link(peer) => write!(f, "{peer}"),
            Origin::Plain(_) => f.write_str("a plain connection"),
            Origin::Control(Some(pid)) => write!(f, "process {pid}"),
            Origin::Control(None) => f.write_str("a local process"),
        }
    }
}

/// Which origins find a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// Nodes, plain listeners and the control socket.
    Everybody,
    /// Nodes and the control socket.
    Members,
    /// Nodes and the control socket, and plain listeners that offer its name.
    Offered,
    /// The control socket alone.
    Local,
}

impl Reach {
    fn includes(self, entry: &Entry, origin: &Origin) -> bool {
        match (self, origin) {
            (_, Origin::Control(_)) | (Reach::Everybody, _) => true,
            (Reach::Members | Reach::Offered, Origin::Link(_)) => true,
            // Whoever is at a plain listener has no id that could stand on a list.
            (Reach::Offered, Origin::Plain(offer)) => entry.options.allow.is_none() && offer.includes(&entry.tag),
            (Reach::Members, Origin::Plain(_)) | (Reach::Local, _) => false,
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
    /// What else is known of the call.
    pub(crate) facts: Arc<CallFacts>,
    /// It runs once, and may be asked again.
    keyed: Option<Keyed>,
}

impl Called {
    /// Answers with a value that is encoded, or with a failure.
    pub(crate) fn answer(self, answer: Result<Payload, Failure>) {
        if let Some(keyed) = self.keyed {
            keyed.finish(&answer);
        }
        match answer {
            Ok(value) => {
                self.facts.ended(Outcome::Ok);
                self.request.reply_payload(&value);
            }
            Err(failure) => {
                self.facts.ended(Outcome::Remote);
                self.request.fail_with(as_sent(failure, &self.origin));
            }
        }
    }
}

/// A failure as its caller is to get it: a plain one gets the name of a flag at the beginning of the text.
fn as_sent(failure: Failure, origin: &Origin) -> Failure {
    if failure.code != Code::FLAG || !origin.is_plain() {
        return failure;
    }
    let Failure { message: name, data, .. } = failure;
    Failure { code: Code::PLAIN, message: format!("{name}: the answer is this flag, and no value"), data }
}

/// What a handler that may wait becomes.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Brings the requests of one link to their services.
pub(crate) struct Dispatch {
    services: Arc<Services>,
    table: Arc<Table>,
    changes: watch::Receiver<Arc<Table>>,
    origin: Origin,
    /// Which run of it asks, where that is known.
    run: Option<Epoch>,
    metrics: Arc<Metrics>,
}

impl Dispatch {
    /// For the requests of a link to whoever `origin` says.
    pub(crate) fn new(services: Arc<Services>, origin: Origin, metrics: Arc<Metrics>) -> Dispatch {
        let mut changes = services.watch();
        let table = changes.borrow_and_update().clone();
        Dispatch { services, table, changes, origin, run: None, metrics }
    }

    /// Whoever asks is in this run.
    pub(crate) fn of_run(self, run: Epoch) -> Dispatch {
        Dispatch { run: Some(run), ..self }
    }

    /// The key of a request that is to run once; none where nobody could ask it again.
    fn key(&self, sequence: Option<u64>) -> Option<RequestKey> {
        Some(RequestKey { caller: self.origin.node()?, epoch: self.run?, sequence: sequence? })
    }

    /// What stands in the way of a call before its handler is even looked at.
    fn check(&self, entry: &Entry, invocation: &Invocation<'_>, content: &Payload) -> Result<(), Refused> {
        if let Some(allowed) = &entry.options.allow
            && let Some(peer) = self.origin.node()
            && !allowed.contains(&peer)
        {
            return Err(Refused::Denied("this node is not on the list of the service".to_owned()));
        }
        let Some(hook) = self.services.hook() else { return Ok(()) };
        let trace = facts::trace_of(invocation, content);
        let call = CallInfo::new(Side::Callee, &entry.tag, self.origin.node(), trace);
        hook.before(&call).map_err(|Denial(why)| Refused::Denied(why))
    }

    /// Has a direct handler answer.
    fn direct(&self, asked: &Asked<'_>, entry: &Entry, direct: &entry::Direct) -> Result<Payload, Failure> {
        let began = (!entry.is_built_in()).then(Instant::now);
        let answer = catch_unwind(AssertUnwindSafe(|| direct(asked)));
        let panicked = || Failure::new("the handler panicked").code(Code::INTERNAL);
        let answer = answer.unwrap_or_else(|_| Err(panicked()));
        let outcome = if answer.is_ok() { Outcome::Ok } else { Outcome::Remote };
        entry.figures.ended(outcome, began.map(|began| began.elapsed()));
        if let Some(hook) = self.services.hook() {
            let trace = facts::trace_of(asked.invocation, asked.content);
            let call = CallInfo::new(Side::Callee, &entry.tag, self.origin.node(), trace);
            hook.after(&call, outcome, began.map(|began| began.elapsed()).unwrap_or_default());
        }
        answer
    }

    /// Starts the work of a handler that may wait.
    fn waiting(
        &self,
        cx: &mut Context<'_>,
        link: &Link,
        served: Served,
        content: Payload,
        entry: &Arc<Entry>,
        (args, kwargs, mut facts): (Payload, Payload, CallFacts),
    ) {
        if facts.is_over() {
            entry.figures.put_off();
            return link.put_off(served, Busy::Expired, entry::RETRY_AFTER_MIN);
        }
        let mut request = Request::new(link.clone(), served, content);
        let mut keyed = None;
        if let Some(key) = facts.key {
            // Before anything else: what runs already needs no place of its own.
            let Some(begun) = self.services.once().begin(key, request) else { return };
            (request, keyed) = (begun.0, Some(begun.1));
        }
        let put_off = |request: Request, keyed: Option<Keyed>, why| {
            entry.figures.put_off();
            if let Some(keyed) = keyed {
                keyed.undo();
            }
            request.put_off(why, entry.retry_after());
        };
        let slot = match entry.take_slot() {
            Some(slot) => slot,
            // A plain peer cannot be put off. What waits of it is bounded by what is served of one link at once.
            None if self.origin.is_plain() => work::Slot::ToCome,
            None => return put_off(request, keyed, Busy::Overloaded),
        };
        let place = if entry.is_built_in() { None } else { self.services.take_place() };
        if place.is_none() && !entry.is_built_in() {
            return put_off(request, keyed, Busy::LimitReached);
        }
        let Handler::Waiting(begin) = &entry.handler else { return };
        facts.streams = Offered::of(link, served);
        let facts = Arc::new(facts);
        let called = Called { request, origin: self.origin.clone(), args, kwargs, facts: facts.clone(), keyed };
        work::start(cx, link, served, facts, (slot, place), || begin(called));
    }
}

impl Serve for Dispatch {
    fn load(&self) -> Option<u32> {
        self.origin.node().map(|_| self.services.load())
    }

    fn serve(&mut self, cx: &mut Context<'_>, link: &Link, served: Served, content: Payload) {
        if self.changes.has_changed().unwrap_or(false) {
            self.table = self.changes.borrow_and_update().clone();
        }
        let opened = Invocation::of(&content).and_then(|invocation| match (&self.origin, &invocation.metadata) {
            // PROTOCOL §5: aiomas sends three elements and knows no fourth.
            (Origin::Plain(_) | Origin::Control(_), Some(_)) => Err(NotAnInvocation::Shape),
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
        let Some(entry) = self.table.find(&invocation.tag, &self.origin) else {
            self.metrics.requests_without_service.add(1);
            tracing::debug!(from = %self.origin, tag = %shown(&invocation.tag), "no such service");
            return link.refuse(served, &Refused::NoSuchService(invocation.tag.into_owned()));
        };
        if let Err(why) = self.check(entry, &invocation, &content) {
            entry.figures.refused();
            return link.refuse(served, &why);
        }
        match &entry.handler {
            Handler::Direct(direct) => {
                let asked = Asked { origin: &self.origin, content: &content, invocation: &invocation };
                let is_keyed = self.run.is_some() && !entry.is_built_in();
                let sequence = if is_keyed { facts::key_of(&invocation, &content) } else { None };
                if let Some(key) = self.key(sequence) {
                    let request = Request::new(link.clone(), served, content.clone());
                    let Some((request, keyed)) = self.services.once().begin(key, request) else { return };
                    let answer = self.direct(&asked, entry, direct);
                    keyed.finish(&answer);
                    return match answer {
                        Ok(value) => request.reply_payload(&value),
                        Err(failure) => request.fail_with(failure),
                    };
                }
                match self.direct(&asked, entry, direct) {
                    Ok(value) => link.reply(served, Content::Shared(&value)),
                    Err(failure) => link.fail_with(served, as_sent(failure, &self.origin)),
                }
            }
            Handler::Waiting(_) => {
                let facts = match CallFacts::of(&self.services, entry, &self.origin, &invocation, &content) {
                    Ok((mut facts, sequence)) => {
                        facts.key = self.key(sequence);
                        facts
                    }
                    Err(why) => {
                        self.metrics.requests_malformed.add(1);
                        return link.refuse(served, &Refused::BadRequest(why.to_string()));
                    }
                };
                let parts = (invocation.args_of(&content), invocation.kwargs_of(&content), facts);
                drop(invocation);
                let entry = entry.clone();
                self.waiting(cx, link, served, content, &entry, parts);
            }
        }
    }
}
