//! Calls that bring something and get it back.

use peerage::Value;
use tokio::time::Instant;

use super::{Tally, Work};

/// Makes one call after the other.
pub(super) async fn make(work: Work) -> Tally {
    let mut tally = Tally::default();
    let content = Value::Bytes(work.content.to_vec());
    while work.goes_on().await {
        let began = Instant::now();
        match work.node.call("peerage/pass_through").peer::<Value>(work.peer).arg(&content).await {
            Ok(_) => tally.done(began.elapsed()),
            Err(error) => tally.failed(error.outcome()),
        }
    }
    tally
}
