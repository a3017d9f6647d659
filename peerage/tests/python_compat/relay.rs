//! A relay that misbehaves on request, between an honest client and an honest server.
//!
//! Two operations of the table break the protocol: `raw` writes any bytes and `twice` answers twice. Peerage's API rightly
//! can do neither, so a server under test answers them like an echo and this relay, which sees the requests pass, adds
//! the mischief on the way back. Everything else passes as it is, frame by frame.
//!
//! ```text
//!   client ──frames──────────────────────────▶ server
//!      ▲                │ raw: these bytes       │
//!      │                ▼ twice: this id         │
//!      └───writer◀───queue◀──────────frames──────┘
//! ```

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use peerage::outcome::{LinkLost, PeerMisbehaved};
use peerage::{Address, Channel, Encoding, Listener, Value};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::checks::{Checks, within};
use crate::operations::operation;
use crate::place::{Place, Transport};
use crate::wire::{Stream, dial, from_hex, open, read_frame, to_hex, triple};

/// A relay at work until it is dropped.
pub(crate) struct Relay {
    address: Address,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens at `front` and relays each connection to one of its own to `server`.
    pub(crate) async fn start(front: &Address, server: &Address, encoding: Encoding) -> Relay {
        let (front, address) = Front::bind(front).await.unwrap();
        let server = server.clone();
        let task = tokio::spawn(async move {
            while let Ok(client) = front.accept().await {
                if let Ok(server) = dial(&server).await {
                    tokio::spawn(relay(client, server, encoding));
                }
            }
        });
        Relay { address, task }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A listening socket of either kind.
enum Front {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Front {
    async fn bind(address: &Address) -> io::Result<(Front, Address)> {
        if let Some(path) = address.path() {
            return Ok((Front::Unix(UnixListener::bind(path)?), address.clone()));
        }
        let listener = TcpListener::bind((address.host().unwrap().to_string(), address.port().unwrap())).await?;
        let address = Address::tcp(listener.local_addr()?);
        Ok((Front::Tcp(listener), address))
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Front::Tcp(listener) => Box::new(listener.accept().await?.0),
            Front::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// What goes to the client.
enum Back {
    Bytes(Vec<u8>),
    /// The server has closed.
    End,
}

/// Ids of the requests that want two answers.
type Twice = Arc<Mutex<BTreeSet<u64>>>;

async fn relay(client: Box<dyn Stream>, server: Box<dyn Stream>, encoding: Encoding) {
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    let (queue, back) = channel(FRAMES_AHEAD);
    let twice = Twice::default();
    tokio::join!(
        forth(from_client, to_server, queue.clone(), twice.clone(), encoding),
        answers(from_server, queue, twice, encoding),
        write(to_client, back),
    );
}

/// Client to server, with an eye on requests for mischief.
async fn forth(
    mut from: ReadHalf<Box<dyn Stream>>,
    mut to: WriteHalf<Box<dyn Stream>>,
    queue: Sender<Back>,
    twice: Twice,
    encoding: Encoding,
) {
    while let Some(frame) = read_frame(&mut from).await {
        let (kind, id, content) = open(encoding, &frame);
        // Anything but a pair of a name and an argument is of no interest here.
        let wanted = content.decode::<(String, Value)>().ok().filter(|_| kind == 0);
        match wanted {
            Some((name, Value::Text(digits))) if name == "raw" => {
                // It is in the queue before the server can answer.
                let _ = queue.send(Back::Bytes(from_hex(&digits))).await;
            }
            Some((name, _)) if name == "twice" => {
                twice.lock().unwrap().insert(id);
            }
            _ => {}
        }
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Server to client, some answers twice.
async fn answers(mut from: ReadHalf<Box<dyn Stream>>, queue: Sender<Back>, twice: Twice, encoding: Encoding) {
    while let Some(frame) = read_frame(&mut from).await {
        let (kind, id, _) = open(encoding, &frame);
        let again = kind != 0 && twice.lock().unwrap().remove(&id);
        let copies = if again { 2 } else { 1 };
        for _ in 0..copies {
            if queue.send(Back::Bytes(frame.clone())).await.is_err() {
                return;
            }
        }
    }
    let _ = queue.send(Back::End).await;
}

async fn write(mut to: WriteHalf<Box<dyn Stream>>, mut back: Receiver<Back>) {
    while let Some(Back::Bytes(bytes)) = back.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Frames that may wait for a client that does not read.
const FRAMES_AHEAD: usize = 16;

#[tokio::test]
async fn through_the_relay_a_server_of_ours_answers_twice_and_writes_raw_bytes() {
    let place = Place::new(Transport::Unix);
    for encoding in Encoding::ALL {
        let mut checks = Checks::of(format!("the relay itself, {encoding}"));
        let front = place.free(&format!("relay-{encoding}"));
        let listener = Listener::bind(&place.free("server")).await.unwrap();
        let server = listener.serve(operation);
        let relay = Relay::start(&front, server.local_address(), encoding).await;
        let channel = Channel::connect(relay.address()).encoding(encoding).await.unwrap();

        let answer: String = within("twice", channel.request(&("twice", "X"))).await.unwrap();
        checks.equal("the first reply", answer, "X");
        let alive: String = within("after twice", channel.request("alive")).await.unwrap();
        checks.equal("the channel after the second", alive, "alive");
        checks.equal("the second is counted", channel.counters().late_replies, 1);

        let bytes = to_hex(&triple(encoding, 7, 0, &Value::Null));
        let raw = within("raw", channel.request::<Value>(&("raw", bytes))).await;
        checks.holds("no answer comes behind bad bytes", raw.is_err());
        let why = within("the end", channel.ended()).await;
        checks.equal("the bytes came through", why, LinkLost::Misbehaved(PeerMisbehaved::UnknownKind(7)));
        server.close().await;
        checks.report();
    }
}
