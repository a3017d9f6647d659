//! Driving a workload, the same way for every peer.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Peer,
    arguments::ClientArguments,
    latencies::Latencies,
    measurement::{Figure, Measurement},
    period::Period,
    tally::Tally,
    usage::resident_bytes,
    workload::{CALLERS, CONNECTIONS_IDLE, CONNECTIONS_MANY, Workload},
};

/// Runs the workload that the arguments name.
///
/// # Errors
/// When the peer fails, nothing was answered, or the workload has no requests.
pub(crate) async fn drive<P: Peer>(peer: &P, arguments: &ClientArguments) -> io::Result<Measurement> {
    match arguments.workload {
        Workload::W1OneCpu | Workload::W1TwoCpus => ping_pong(peer, arguments).await,
        Workload::W2 => flood(peer, arguments, 1).await,
        Workload::W2x8 => flood(peer, arguments, CONNECTIONS_MANY).await,
        Workload::W6 => stay_idle(peer, arguments).await,
        events => Err(io::Error::other(format!("{events} is asked of a subscriber, not of a client"))),
    }
}

async fn ping_pong<P: Peer>(peer: &P, arguments: &ClientArguments) -> io::Result<Measurement> {
    let mut connection = peer.connect(&arguments.address).await?;
    let mut latencies = Latencies::with_room();
    let warm_at = Instant::now() + Duration::from_secs_f64(arguments.warm_up);
    while Instant::now() < warm_at {
        peer.echo(&mut connection).await?;
    }

    let period = Period::start(arguments)?;
    let length = Duration::from_secs_f64(arguments.seconds);
    let started_at = Instant::now();
    let mut requests = 0;
    let mut sent_at = started_at;
    while sent_at - started_at < length {
        peer.echo(&mut connection).await?;
        let answered_at = Instant::now();
        latencies.record(answered_at - sent_at);
        sent_at = answered_at;
        requests += 1;
    }
    period.end(|_| {
        let quantiles = latencies.into_quantiles();
        Figure::Latency {
            p50_us: quantiles.microseconds(0.5),
            p99_us: quantiles.microseconds(0.99),
            p999_us: quantiles.microseconds(0.999),
            requests,
        }
    })
}

async fn flood<P: Peer>(peer: &P, arguments: &ClientArguments, connections: usize) -> io::Result<Measurement> {
    let tally = Tally::default();
    for _ in 0..connections {
        let connection = peer.connect(&arguments.address).await?;
        peer.flood(connection, CALLERS, &tally);
    }
    sleep(Duration::from_secs_f64(arguments.warm_up)).await;

    let period = Period::start(arguments)?;
    let before = tally.total();
    sleep(Duration::from_secs_f64(arguments.seconds)).await;
    let requests = tally.total() - before;
    let measurement =
        period.end(|seconds| Figure::Rate { requests_per_second: requests as f64 / seconds, requests })?;
    tally.check()?;
    if requests == 0 {
        return Err(io::Error::other("not one request was answered"));
    }
    Ok(measurement)
}

async fn stay_idle<P: Peer>(peer: &P, arguments: &ClientArguments) -> io::Result<Measurement> {
    // The first connection pays for what is set up once and is not part of the figure.
    let mut connections = vec![peer.connect(&arguments.address).await?];
    peer.echo(&mut connections[0]).await?;
    sleep(SETTLE).await;
    let before = resident_bytes(arguments.server_pid)?;

    let period = Period::start(arguments)?;
    for _ in 0..CONNECTIONS_IDLE {
        let mut connection = peer.connect(&arguments.address).await?;
        peer.echo(&mut connection).await?;
        connections.push(connection);
    }
    sleep(SETTLE).await;
    let growth = resident_bytes(arguments.server_pid)?.saturating_sub(before);
    period.end(|_| Figure::Memory {
        kib_per_connection: growth as f64 / 1024.0 / CONNECTIONS_IDLE as f64,
        connections: CONNECTIONS_IDLE as u64,
    })
}

/// What a server may need to give memory back after the last request.
const SETTLE: Duration = Duration::from_millis(200);
