//! A thousand connections that announce more than they will ever send.

use std::time::{Duration, Instant};

use peerage::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::peer::{Deed, FILES, Peer, allow_files};
use crate::stall::Ticker;
use crate::{ALONE, report};

#[test]
fn a_thousand_impossible_lengths_are_each_refused_within_100_ms_and_64_mib_in_all() {
    measure(|peer, ticker| async move {
        let before = peer.memory();
        let mut slowest = Duration::ZERO;
        for _ in 0..CONNECTIONS / BATCH {
            let mut attempts = Vec::new();
            for _ in 0..BATCH {
                let stream = connect(&peer).await;
                attempts.push(tokio::task::spawn_local(refused_after(stream, u32::MAX)));
            }
            for attempt in attempts {
                slowest = slowest.max(attempt.await.unwrap());
            }
        }
        let (stall, rise) = (ticker.longest(), rise(before, peer.memory()));
        report(&format!(
            "impossible lengths: {CONNECTIONS} connections, slowest closed after {slowest:?} (longest stall of this \
             process {stall:?}), memory of the peer + {rise} KiB"
        ));
        assert!(slowest <= CLOSED_WITHIN + stall, "{slowest:?}");
        assert!(rise < MEMORY_KIB);
        peer
    });
}

#[test]
fn a_thousand_large_lengths_without_the_bytes_take_less_than_64_mib_in_all() {
    measure(|peer, _| async move {
        let before = peer.memory();
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = connect(&peer).await;
            // As much as is allowed, and the first bytes of it.
            let begun = [&(16_u32 << 20).to_be_bytes()[..], b"[0, 0, \""].concat();
            stream.write_all(&begun).await.unwrap();
            streams.push(stream);
        }
        // An answer on the last of many connections shows that the bytes before it have been read.
        served(&peer).await;
        let rise = rise(before, peer.memory());
        report(&format!("large lengths: {CONNECTIONS} connections, memory of the peer + {rise} KiB"));
        assert!(rise < MEMORY_KIB);
        drop(streams);
        peer
    });
}

/// Runs a measurement against a peer of its own, which serves before and after.
fn measure<W: Future<Output = Peer>>(work: impl FnOnce(Peer, Ticker) -> W) {
    let _alone = ALONE.lock();
    if !allow_files(FILES) {
        report("skipped: a thousand connections need more open files (raise the hard limit of `ulimit -n`)");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async {
        let peer = Peer::start();
        served(&peer).await;
        let peer = timeout(LIMIT, work(peer, Ticker::start())).await.unwrap();
        served(&peer).await;
    }));
}

/// Makes a call on a connection of its own.
async fn served(peer: &Peer) {
    let channel = Channel::connect(&peer.tcp).await.unwrap();
    let task = (1_u64, Deed::Answer, 0_u64, "still there");
    let answer: (u64, String) = timeout(LIMIT, channel.request(&task)).await.unwrap().unwrap();
    assert_eq!(answer.1, "still there");
    channel.close().await;
}

async fn connect(peer: &Peer) -> TcpStream {
    let ip = peer.tcp.host().and_then(|host| host.ip()).unwrap();
    TcpStream::connect((ip, peer.tcp.port().unwrap())).await.unwrap()
}

/// Sends a length and waits until the other end has closed the connection.
async fn refused_after(mut stream: TcpStream, length: u32) -> Duration {
    let sent = Instant::now();
    stream.write_all(&length.to_be_bytes()).await.unwrap();
    // An end in order and a reset are both an end.
    if let Ok(read) = stream.read(&mut [0]).await {
        assert_eq!(read, 0, "an answer to nothing");
    }
    sent.elapsed()
}

/// How far memory has risen at the most, in KiB; nothing where the system does not tell.
fn rise(before: Option<(u64, u64)>, after: Option<(u64, u64)>) -> u64 {
    match (before, after) {
        (Some((before, _)), Some((_, most))) => most.saturating_sub(before),
        _ => 0,
    }
}

const CONNECTIONS: usize = 1_000;

/// Connections at the same time.
const BATCH: usize = 50;

const CLOSED_WITHIN: Duration = Duration::from_millis(100);

/// 64 MiB.
const MEMORY_KIB: u64 = 64 << 10;

/// A connection that is never closed must fail the test, not hang it.
const LIMIT: Duration = Duration::from_secs(20);
