//! The hook of a node around the calls that it makes: it lets them out or not, and hears how each one ended.

use std::sync::Arc;

use peerage_proto::codec::Trace;
use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, Outcome, Refused};
use tokio::time::Instant;

use crate::hook::{CallInfo, Denial, Hook, Side};
use crate::node::shared::Shared;

/// A call that the hook has let out and not heard the end of. Dropping it is giving up the call.
pub(super) struct LetOut {
    hook: Arc<dyn Hook>,
    tag: Box<str>,
    peer: NodeId,
    trace: Trace,
    began: Instant,
    is_over: bool,
}

impl Shared {
    /// Asks the hook, if there is one, whether a call may go out.
    #[inline]
    pub(super) fn let_out(&self, tag: &str, peer: NodeId, trace: Trace) -> Result<Option<Box<LetOut>>, CallError> {
        tracing::debug!(tag, %peer, %trace, "call");
        match &self.facts.hook {
            None => Ok(None),
            Some(hook) => ask(hook, tag, peer, trace).map(Some),
        }
    }
}

#[cold]
fn ask(hook: &Arc<dyn Hook>, tag: &str, peer: NodeId, trace: Trace) -> Result<Box<LetOut>, CallError> {
    let call = CallInfo::new(Side::Caller, tag, Some(peer), Some(trace));
    if let Err(Denial(why)) = hook.before(&call) {
        return Err(CallError::Refused { why: Refused::Denied(why) });
    }
    let (hook, tag) = (hook.clone(), tag.into());
    Ok(Box::new(LetOut { hook, tag, peer, trace, began: Instant::now(), is_over: false }))
}

impl LetOut {
    /// It has ended like this.
    pub(super) fn ended(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        self.is_over = true;
        let call = CallInfo::new(Side::Caller, &self.tag, Some(self.peer), Some(self.trace));
        self.hook.after(&call, outcome, self.began.elapsed());
    }
}

impl Drop for LetOut {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Outcome::Cancelled);
        }
    }
}
