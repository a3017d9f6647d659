//! Events of a node of this user, which is told through its control socket what to publish, and heard over a link.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peerage::Value;
use peerage::event::{Heard, Policy};
use peerage::limits;
use peerage::node::snapshot::PeerEntry;
use peerage::outcome::Outcome;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Tally, Work};
use crate::args::Acting;
use crate::control::{Control, Publish};
use crate::exit::{Abort, Exit};
use crate::output;
use crate::running;

/// The way to the node that is to publish.
pub(super) async fn publisher(run: &Path, acting: &Acting, peer: &PeerEntry) -> Result<Control, Abort> {
    let wanted = Acting { node: Some(peer.id.clone()), network: acting.network.clone(), timeout: None };
    match running::find(run, &wanted).await {
        Ok(Some(running)) => Ok(running.control),
        Ok(None) | Err(Abort::Ended(..)) => {
            let name = output::shown(&peer.name);
            let text = format!("{name} is no running node of yours: only such a one can be told what to publish");
            Err(Abort::Ended(Exit::DidNotRun, text))
        }
        Err(why) => Err(why),
    }
}

/// Has events published until the time is over, and hears them all.
pub(super) async fn hear(work: Work, publisher: Control, at_once: u16) -> Tally {
    let mut tally = Tally::default();
    let event = format!("peerage-bench/{}", work.node.id());
    let subscribing = work.node.subscribe(&event).policy(Policy::Block(limits::EVENT_BLOCK_MAX));
    let Ok(mut subscription) = subscribing.peers([work.peer.to_string()]).start() else {
        tally.failed(Outcome::NotSent);
        return tally;
    };
    let (publisher, mut publishing) = (Arc::new(publisher), JoinSet::new());
    for _ in 0..at_once {
        publishing.spawn(publish(work.clone(), publisher.clone(), event.clone()));
    }
    let (mut due, mut heard, mut batch) = (0, 0, Vec::new());
    while !publishing.is_empty() || heard < due {
        tokio::select! {
            is_open = subscription.next_batch(&mut batch) => match is_open {
                true => heard += batch.drain(..).map(|one| count(&mut tally, &one)).sum::<u64>(),
                false => break,
            },
            Some(published) = publishing.join_next() => match published {
                Ok(Ok(published)) => due += published,
                _ => {
                    tally.failed(Outcome::ConnectionLost);
                    break;
                }
            },
            () = sleep(SILENT_FOR), if publishing.is_empty() => {
                tally.failed(Outcome::ConnectionLost);
                break;
            }
        }
    }
    tally
}

/// How many events that stands for.
fn count(tally: &mut Tally, heard: &Heard) -> u64 {
    match heard {
        Heard::Event(event) => {
            // The rest of the value is ballast.
            let asked = event.value::<(u64, Value)>().map_or(0, |(asked, _)| asked);
            tally.done(Duration::from_micros(output::mono_us().saturating_sub(asked)));
            1
        }
        Heard::Gap(gap) => {
            let missing = gap.count().unwrap_or(0);
            (0..missing).for_each(|_| tally.failed(Outcome::NotSent));
            missing
        }
        _ => 0,
    }
}

/// Has one batch published after the other; how many events that were.
async fn publish(work: Work, publisher: Arc<Control>, event: String) -> Result<u64, Abort> {
    let repeat = if work.pace.is_some() { 1 } else { BATCH };
    let how = Publish { repeat: Some(repeat), wait_matching: 1, ..Publish::default() };
    let mut published = 0;
    while work.goes_on().await {
        let value = Value::List(vec![output::mono_us().into(), Value::Bytes(work.content.to_vec())]);
        published += publisher.publish(&event, &[value], &how).await?.published;
    }
    Ok(published)
}

/// How long nothing comes of what was published, until it is given up.
const SILENT_FOR: Duration = limits::EVENT_STALL;

/// Events that are published with one request.
const BATCH: u32 = 256;
