//! Driving a workload, the same way for every peer.

use std::{
    io, process,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Peer,
    arguments::ClientArguments,
    latencies::Latencies,
    measurement::{Figure, Measurement},
    tally::Tally,
    usage::{Usage, resident_bytes},
    workload::{CALLERS, CONNECTIONS_IDLE, CONNECTIONS_MANY, Workload},
};

/// Runs the workload that the arguments name.
///
/// # Errors
/// When the peer fails, or nothing was answered.
pub(crate) async fn drive<P: Peer>(peer: &P, arguments: &ClientArguments) -> io::Result<Measurement> {
    match arguments.workload {
        Workload::W1OneCpu | Workload::W1TwoCpus => ping_pong(peer, arguments).await,
        Workload::W2 => flood(peer, arguments, 1).await,
        Workload::W2x8 => flood(peer, arguments, CONNECTIONS_MANY).await,
        Workload::W6 => stay_idle(peer, arguments).await,
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
    let mut requests = 0;
    let mut sent_at = period.started_at;
    while sent_at - period.started_at < length {
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

/// The measured period: what both processes had used when it began.
struct Period {
    workload: Workload,
    server_pid: u32,
    client: Usage,
    server: Usage,
    started_at: Instant,
}

impl Period {
    fn start(arguments: &ClientArguments) -> io::Result<Self> {
        Ok(Self {
            workload: arguments.workload,
            server_pid: arguments.server_pid,
            client: Usage::of(process::id())?,
            server: Usage::of(arguments.server_pid)?,
            started_at: Instant::now(),
        })
    }

    /// Ends the period at once; `figure` gets its length in seconds and may then take its time.
    fn end(self, figure: impl FnOnce(f64) -> Figure) -> io::Result<Measurement> {
        let seconds = self.started_at.elapsed().as_secs_f64();
        let client = Usage::of(process::id())? - self.client;
        let server = Usage::of(self.server_pid)? - self.server;
        Ok(Measurement { workload: self.workload, figure: figure(seconds), seconds, client, server })
    }
}

/// What a server may need to give memory back after the last request.
const SETTLE: Duration = Duration::from_millis(200);
