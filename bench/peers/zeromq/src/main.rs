//! ZeroMQ: `XPUB` and `SUB`, or `--mode push`: a `PUSH` socket for each subscriber, and `PULL`.
//!
//! A publishing socket drops what a subscriber's queue has no room for. (`ZMQ_XPUB_NODROP` has it wait instead, but the crate has
//! no way to set it.) So its queues have no limit and the publisher keeps a [`Window`], whose progress comes back through a pair
//! of `PUSH` and `PULL`. `PUSH` waits by itself: its queues have a high-water mark.

use std::{io, process::ExitCode, thread};

use harness::{Events, Progress, Receiver, Source, Window, announce};
use zmq::{Context, Message, Socket};

fn main() -> ExitCode {
    harness::run_events::<ZeroMq>()
}

/// The peer, and its pair of sockets.
#[derive(Clone, Copy, Debug)]
enum ZeroMq {
    Topics,
    Push,
}

impl Events for ZeroMq {
    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self::Topics),
            "push" => Ok(Self::Push),
            other => Err(io::Error::other(format!("zeromq has no mode {other:?}"))),
        }
    }

    async fn publish(self, source: Source) -> io::Result<()> {
        // The calls of a socket block.
        let publish = tokio::task::spawn_blocking(move || match self {
            Self::Topics => publish_to_topics(source),
            Self::Push => push(source),
        });
        publish.await?
    }

    async fn subscribe(&self, address: &str, mut receiver: Receiver) -> io::Result<()> {
        let addresses: Vec<String> = address.split(',').map(str::to_owned).collect();
        let peer = *self;
        thread::spawn(move || {
            let heard = match peer {
                Self::Topics => hear_topics(&addresses, &mut receiver),
                Self::Push => pull(&addresses, &mut receiver),
            };
            if let Err(why) = heard {
                receiver.fail(why);
            }
        });
        Ok(())
    }
}

fn publish_to_topics(mut source: Source) -> io::Result<()> {
    let context = Context::new();
    let (events, progress) = (context.socket(zmq::XPUB)?, context.socket(zmq::PULL)?);
    events.set_sndhwm(NO_LIMIT)?;
    // Otherwise only the first subscription to a topic is told.
    events.set_xpub_verbose(true)?;
    announce(format!("{},{}", bind(&events)?, bind(&progress)?))?;
    for _ in 0..source.subscribers() {
        events.recv_msg(0)?;
    }
    let mut window = Window::new(&source);
    loop {
        while !window.is_open() {
            window.hear(&progress.recv_msg(0)?)?;
        }
        events.send(source.next_slice(), 0)?;
        window.send();
    }
}

fn hear_topics(addresses: &[String], receiver: &mut Receiver) -> io::Result<()> {
    let [events_at, progress_at] = addresses else {
        return Err(io::Error::other("the publisher has announced something else than two addresses"));
    };
    let context = Context::new();
    let (events, back) = (context.socket(zmq::SUB)?, context.socket(zmq::PUSH)?);
    events.set_rcvhwm(NO_LIMIT)?;
    events.connect(events_at)?;
    events.set_subscribe(b"")?;
    back.connect(progress_at)?;
    let mut progress = Progress::of(receiver);
    let mut message = Message::new();
    loop {
        if let Some(told) = progress.told() {
            back.send(told.as_slice(), 0)?;
        }
        events.recv(&mut message, 0)?;
        receiver.hear(&message)?;
        progress.hear();
    }
}

fn push(mut source: Source) -> io::Result<()> {
    let context = Context::new();
    let mut sockets = Vec::new();
    for _ in 0..source.subscribers() {
        let socket = context.socket(zmq::PUSH)?;
        socket.set_sndhwm(high_water_mark(source.payload_bytes()))?;
        sockets.push(socket);
    }
    announce(sockets.iter().map(bind).collect::<io::Result<Vec<_>>>()?.join(","))?;
    loop {
        let content = source.next_slice();
        sockets.iter().try_for_each(|socket| socket.send(content, 0))?;
    }
}

fn pull(addresses: &[String], receiver: &mut Receiver) -> io::Result<()> {
    let address =
        addresses.get(receiver.index()).ok_or_else(|| io::Error::other("fewer addresses than subscribers"))?;
    let socket = Context::new().socket(zmq::PULL)?;
    socket.set_rcvhwm(high_water_mark(receiver.payload_bytes()))?;
    socket.connect(address)?;
    let mut message = Message::new();
    loop {
        socket.recv(&mut message, 0)?;
        receiver.hear(&message)?;
    }
}

fn bind(socket: &Socket) -> io::Result<String> {
    socket.bind("tcp://127.0.0.1:*")?;
    socket.get_last_endpoint()?.map_err(|_| io::Error::other("the address is no text"))
}

fn high_water_mark(payload_bytes: usize) -> i32 {
    i32::try_from(QUEUED_BYTES_MAX / payload_bytes).map_or(QUEUED_EVENTS_MAX, |events| events.min(QUEUED_EVENTS_MAX))
}

const NO_LIMIT: i32 = 0;
/// High-water mark of each side, in events; more of them gain nothing.
const QUEUED_EVENTS_MAX: i32 = 10_000;
/// … and no more than this many bytes of large events.
const QUEUED_BYTES_MAX: usize = 16 << 20;
