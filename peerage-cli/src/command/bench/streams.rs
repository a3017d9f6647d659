//! Items in one direction. They count once the reader has taken them all.

use bytes::Bytes;
use peerage::outcome::Outcome;
use peerage::{CallError, Flag, Value};
use tokio::time::Instant;

use super::{Tally, Work};

/// Opens a stream and fills it until the time is over.
pub(super) async fn fill(work: Work) -> Tally {
    let mut tally = Tally::default();
    if let Err(error) = fill_one(&work, &mut tally).await {
        // What was not read for certain counts for nothing.
        tally = Tally::default();
        tally.failed(error.outcome());
    }
    tally
}

async fn fill_one(work: &Work, tally: &mut Tally) -> Result<(), CallError> {
    let call = work.node.call("peerage/null").peer::<Value>(work.peer).without_deadline();
    let mut talk = call.open::<Bytes, ()>().await?;
    while work.goes_on().await {
        let began = Instant::now();
        if talk.outgoing.send_bytes(&work.content).await.is_err() {
            // The outcome tells why.
            break;
        }
        tally.done(began.elapsed());
    }
    match talk.result::<Value>().await {
        Err(error) if error.outcome() == Outcome::Remote && Flag::of(&error) == Some(Flag::NULL) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}
