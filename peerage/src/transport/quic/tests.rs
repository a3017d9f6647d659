//! What only QUIC has: codes of closing, a socket shared by connections, streams that are not opened.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::identity::Identity;
use crate::transport::gate::{Gate, GateLimits};
use crate::transport::suite::{PATIENCE, quic};
use crate::transport::*;

/// A listening node and its counts of who is at the door.
async fn listener(limits: GateLimits) -> (Listening, Gate) {
    let gate = Gate::new(limits);
    (listen_node(&quic().address, &Identity::generate(), &gate).await.unwrap(), gate)
}

/// Both ends of one connection: the dialler's first.
async fn meet(listening: &mut Listening) -> (Connection, Connection) {
    let (address, dialler) = (listening.local_address().clone(), Identity::generate());
    let (near, far) = tokio::join!(dial_node(&address, &dialler, None, PATIENCE, None), listening.accept());
    (near.unwrap(), far)
}

#[tokio::test]
async fn the_end_that_is_refused_learns_that_it_was() {
    let (mut listening, _gate) = listener(GateLimits::for_node()).await;
    let (mut near, far) = meet(&mut listening).await;
    far.stream.refuse();
    let why = near.stream.read_u8().await.unwrap_err();
    assert_eq!(why.to_string(), "the other end refused the connection");
    let why = near.stream.write_all(b"more").await.unwrap_err();
    assert_eq!(why.to_string(), "the other end refused the connection");
}

#[tokio::test]
async fn the_accepting_end_may_speak_first() {
    let (mut listening, _gate) = listener(GateLimits::for_node()).await;
    let (mut near, mut far) = meet(&mut listening).await;
    far.stream.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    near.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn an_address_is_taken_over_while_connections_made_there_live_on() {
    let (mut first, _gate) = listener(GateLimits::for_node()).await;
    let address = first.local_address().clone();
    let (mut near, mut far) = meet(&mut first).await;
    drop(first);
    let why = dial_node(&address, &Identity::generate(), None, PATIENCE, None).await.unwrap_err();
    assert!(matches!(why, DialError::Refused { .. }), "{why}");

    let other = Identity::generate();
    let mut second = listen_node(&address, &other, &Gate::new(GateLimits::for_node())).await.unwrap();
    let (again, _far) = meet(&mut second).await;
    assert_eq!(again.binding.unwrap().peer, other.id(), "newcomers meet the new listener");

    near.stream.write_u8(7).await.unwrap();
    assert_eq!(far.stream.read_u8().await.unwrap(), 7);
}

#[tokio::test]
async fn packets_that_mean_nothing_disturb_nobody() {
    let (mut listening, gate) = listener(GateLimits::for_node()).await;
    let address = listening.local_address().clone();
    let to = (address.host().unwrap().ip().unwrap(), address.port().unwrap());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [0, 1, 20, 1_200] {
        socket.send_to(&vec![0xc3; length], to).await.unwrap();
    }
    let (_near, _far) = meet(&mut listening).await;
    assert_eq!(gate.half_open(), 1, "the one that was accepted just now");
}

#[tokio::test]
async fn a_dialler_that_opens_no_stream_is_gone_in_time() {
    let limits = GateLimits { time: Duration::from_millis(300), ..GateLimits::for_node() };
    let (mut listening, gate) = listener(limits).await;
    let address = listening.local_address().clone();
    let to = std::net::SocketAddr::new(address.host().unwrap().ip().unwrap(), address.port().unwrap());
    let terms = ClientTerms::for_node(&Identity::generate(), None);
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(terms.config).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let silent = endpoint.connect_with(config, to, "node.invalid").unwrap().await.unwrap();

    let nobody = timeout(Duration::from_millis(200), listening.accept()).await;
    assert!(nobody.is_err(), "who opens no stream is not handed out");
    timeout(PATIENCE, silent.closed()).await.unwrap();
    assert_eq!(gate.half_open(), 0);
    assert_eq!(listening.tally().failed_handshakes(), 1);
}

#[tokio::test]
async fn a_crowded_gate_lets_in_who_is_where_it_claims_to_be() {
    let limits = GateLimits { half_open: 4, ..GateLimits::for_node() };
    let (mut listening, gate) = listener(limits).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        let (near, far) = meet(&mut listening).await;
        kept.push((near, far));
    }
    assert!(gate.is_crowded());
    let (_near, _far) = meet(&mut listening).await;
}
