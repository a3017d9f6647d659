//! NATS: Debian's `nats-server` between the two, and the client `async-nats`.
//!
//! The server closes the connection of a subscriber that is too slow, and the client drops what its subscription has no room
//! for. So the publisher keeps a [`Window`], whose progress comes back on a subject of its own.

use std::{io, process::ExitCode};

use async_nats::{Client, ConnectOptions, Subject, Subscriber};
use futures::StreamExt as _;
use harness::{Events, Progress, Receiver, Source, Window, announce};

use crate::broker::Broker;

mod broker;

fn main() -> ExitCode {
    harness::run_events::<Nats>()
}

/// The peer.
#[derive(Clone, Copy, Debug)]
struct Nats;

impl Events for Nats {
    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self),
            other => Err(io::Error::other(format!("nats has no mode {other:?}"))),
        }
    }

    async fn publish(self, mut source: Source) -> io::Result<()> {
        let broker = Broker::start().await?;
        let client = connect(broker.address()).await?;
        let mut progress = client.subscribe(HEARD).await.map_err(io::Error::other)?;
        // The subscription is at the server before any subscriber can speak.
        client.flush().await.map_err(io::Error::other)?;
        announce(broker.address())?;

        let mut window = Window::new(&source);
        let subject = Subject::from_static(EVENTS);
        loop {
            while !window.is_open() {
                let told = progress.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
                window.hear(&told.payload)?;
            }
            client.publish(subject.clone(), source.next_bytes()).await.map_err(io::Error::other)?;
            window.send();
        }
    }

    async fn subscribe(&self, address: &str, mut receiver: Receiver) -> io::Result<()> {
        let client = connect(address).await?;
        let events = client.subscribe(EVENTS).await.map_err(io::Error::other)?;
        client.flush().await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(why) = hear(&client, events, &mut receiver).await {
                receiver.fail(why);
            }
        });
        Ok(())
    }
}

/// Hears every event, and tells the publisher how far it is.
async fn hear(client: &Client, mut events: Subscriber, receiver: &mut Receiver) -> io::Result<()> {
    let mut progress = Progress::of(receiver);
    loop {
        if let Some(told) = progress.told() {
            client.publish(HEARD, told.to_vec().into()).await.map_err(io::Error::other)?;
        }
        let event = events.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        receiver.hear(&event.payload)?;
        progress.hear();
    }
}

async fn connect(address: &str) -> io::Result<Client> {
    // Both capacities hold more than a window, so neither makes anyone wait or drop.
    let options = ConnectOptions::new().client_capacity(CAPACITY).subscription_capacity(CAPACITY);
    options.skip_subject_validation(true).connect(address).await.map_err(io::Error::other)
}

const EVENTS: &str = "bench.events";
const HEARD: &str = "bench.heard";
/// The client's own default for subscriptions.
const CAPACITY: usize = 65_536;
