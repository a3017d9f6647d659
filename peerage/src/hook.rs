//! One hook around every call, at the end that asks and at the end that is asked: to let it through, to log it, to measure
//! it, without a word in any handler.

use std::fmt;
use std::time::Duration;

use peerage_proto::id::NodeId;
use peerage_proto::outcome::Outcome;

use crate::trace::Trace;

/// Sees every call that a node makes and every call that it serves. Its functions run in place and must not block.
///
/// ```
/// use peerage::hook::{CallInfo, Denial, Hook, Side};
///
/// struct OnlyReaders;
///
/// impl Hook for OnlyReaders {
///     fn before(&self, call: &CallInfo<'_>) -> Result<(), Denial> {
///         match call.side {
///             Side::Callee if call.tag.starts_with("admin/") => Err(Denial::new("readers only")),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Hook: Send + Sync + 'static {
    /// A call is about to be sent, or about to be given to its handler. An error refuses it: no handler sees it.
    ///
    /// # Errors
    /// [`Denial`] says why; the caller's outcome is [`Refused::Denied`](peerage_proto::outcome::Refused::Denied) with that text.
    fn before(&self, call: &CallInfo<'_>) -> Result<(), Denial> {
        let _ = call;
        Ok(())
    }

    /// A call that was let through has ended, after this long. A conversation ends with its answer, or as cancelled when its caller
    /// lets go of it before. A notification ends at its caller when it is accepted for sending: what becomes of it nobody is told.
    fn after(&self, call: &CallInfo<'_>, outcome: Outcome, elapsed: Duration) {
        let _ = (call, outcome, elapsed);
    }
}

/// Which end of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The end that asks.
    Caller,
    /// The end that is asked.
    Callee,
}

/// A call as a [`Hook`] sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallInfo<'a> {
    /// Which end this is.
    pub side: Side,
    /// The function.
    pub tag: &'a str,
    /// The node at the other end; `None` for a program at a plain listener or at the control socket.
    pub peer: Option<NodeId>,
    /// Where in which trace it stands; `None` where it came without.
    pub trace: Option<Trace>,
}

impl<'a> CallInfo<'a> {
    pub(crate) fn new(side: Side, tag: &'a str, peer: Option<NodeId>, trace: Option<Trace>) -> CallInfo<'a> {
        CallInfo { side, tag, peer, trace }
    }
}

impl fmt::Debug for dyn Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Why a hook does not let a call through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial(pub(crate) String);

impl Denial {
    /// For people; the caller reads it.
    pub fn new(why: impl Into<String>) -> Denial {
        Denial(why.into())
    }
}
