//! tonic as a publishing service: a streaming call for each subscriber, fed by a bounded channel.
//!
//! The publisher sends each event into the channel of every subscriber and waits where one is full; behind the channel the
//! stream and HTTP/2 carry it on, with their flow control. The content is `bytes`, which is shared until it is encoded.

use std::{io, net::Ipv4Addr, process::ExitCode};

use bytes::Bytes;
use harness::{Events, Receiver, Source, announce};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status,
    transport::{Endpoint, Server, server::TcpIncoming},
};

use crate::generated::{
    feed_client::FeedClient,
    feed_server::{Feed, FeedServer},
};

// What the generator writes has no docs and more names than are used.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/bench.Feed.rs"));
}

fn main() -> ExitCode {
    harness::run_events::<Tonic>()
}

/// Asks for events.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Subscribe {
    /// Content of each event, in bytes.
    #[prost(uint64, tag = "1")]
    pub(crate) payload_bytes: u64,
}

/// One event.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    /// What it says.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) content: Bytes,
}

/// The peer.
#[derive(Clone, Copy, Debug)]
struct Tonic;

impl Events for Tonic {
    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self),
            other => Err(io::Error::other(format!("tonic has no mode {other:?}"))),
        }
    }

    async fn publish(self, mut source: Source) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        let (subscribed, mut subscriptions) = mpsc::channel(source.subscribers());
        let service = FeedServer::new(Publisher { subscribed });
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let mut server = Server::builder()
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES);
        tokio::spawn(server.add_service(service).serve_with_incoming(incoming));

        let mut subscribers: Vec<mpsc::Sender<Result<Event, Status>>> = Vec::new();
        while subscribers.len() < source.subscribers() {
            subscribers.push(subscriptions.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        // Sends until a channel is full. Left to itself, tokio has a task pause after 128 sends: with eight subscribers that would be
        // a write for every 16 events.
        tokio::task::coop::unconstrained(async {
            loop {
                let content = source.next_bytes();
                for subscriber in &subscribers {
                    if subscriber.send(Ok(Event { content: content.clone() })).await.is_err() {
                        // Who has measured leaves.
                        return Ok(());
                    }
                }
            }
        })
        .await
    }

    async fn subscribe(&self, address: &str, mut receiver: Receiver) -> io::Result<()> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(io::Error::other)?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let mut client = FeedClient::new(endpoint.connect().await.map_err(io::Error::other)?);
        let wish = Subscribe { payload_bytes: receiver.payload_bytes() as u64 };
        let mut events = client.events(wish).await.map_err(io::Error::other)?.into_inner();
        tokio::spawn(async move {
            loop {
                let heard = match events.message().await {
                    Ok(Some(event)) => receiver.hear(&event.content),
                    Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(why) => Err(io::Error::other(why)),
                };
                if let Err(why) = heard {
                    return receiver.fail(why);
                }
            }
        });
        Ok(())
    }
}

/// The service: every call is a subscriber.
#[derive(Debug)]
struct Publisher {
    subscribed: mpsc::Sender<mpsc::Sender<Result<Event, Status>>>,
}

#[tonic::async_trait]
impl Feed for Publisher {
    type EventsStream = ReceiverStream<Result<Event, Status>>;

    async fn events(&self, request: Request<Subscribe>) -> Result<Response<Self::EventsStream>, Status> {
        let payload_bytes = usize::try_from(request.into_inner().payload_bytes).unwrap_or(usize::MAX).max(1);
        let (send, receive) = mpsc::channel((CHANNEL_BYTES / payload_bytes).clamp(1, CHANNEL_EVENTS_MAX));
        self.subscribed.send(send).await.map_err(|_| Status::unavailable("the publisher has ended"))?;
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

/// Room of a subscriber's channel, in events.
const CHANNEL_EVENTS_MAX: usize = 1024;
/// … and no more than this many bytes of large events.
const CHANNEL_BYTES: usize = 4 << 20;
/// What HTTP/2 may have under way: several times what one read takes.
const WINDOW_BYTES: u32 = 4 << 20;
/// The longest frame of HTTP/2.
const FRAME_BYTES: u32 = 256 << 10;
