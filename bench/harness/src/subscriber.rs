//! Measuring what arrives, the same way for every peer.

use std::{io, time::Duration};

use tokio::time::sleep;

use crate::{
    arguments::ClientArguments,
    events::{Events, Receiver},
    measurement::{Figure, Measurement},
    period::Period,
    tally::Tally,
};

/// Subscribes as often as the workload says and counts for one period.
///
/// # Errors
/// When the peer fails, a subscriber connection hears nothing, or the workload has no events.
pub(crate) async fn drive<E: Events>(peer: &E, arguments: &ClientArguments) -> io::Result<Measurement> {
    let workload = arguments.workload;
    if workload.subscribers() == 0 {
        return Err(io::Error::other(format!("{workload} is asked of a client, not of a subscriber")));
    }
    let lost = Tally::default();
    let mut heard = Vec::new();
    for index in 0..workload.subscribers() {
        let tally = Tally::default();
        let receiver = Receiver::new(index, workload.payload_bytes(), tally.counter(), lost.counter());
        peer.subscribe(&arguments.address, receiver).await?;
        heard.push(tally);
    }
    sleep(Duration::from_secs_f64(arguments.warm_up)).await;

    let period = Period::start(arguments)?;
    let before: Vec<u64> = heard.iter().map(Tally::total).collect();
    sleep(Duration::from_secs_f64(arguments.seconds)).await;
    let each: Vec<u64> = heard.iter().zip(before).map(|(tally, before)| tally.total() - before).collect();
    let messages: u64 = each.iter().sum();
    let measurement = period.end(|seconds| Figure::Delivery {
        messages_per_second: messages as f64 / seconds,
        megabytes_per_second: messages as f64 * workload.payload_bytes() as f64 / seconds / 1e6,
        messages,
        lost: lost.total(),
    })?;
    heard.iter().try_for_each(Tally::check)?;
    if let Some(deaf) = each.iter().position(|&messages| messages == 0) {
        return Err(io::Error::other(format!("connection {deaf} of {} heard nothing", each.len())));
    }
    Ok(measurement)
}
