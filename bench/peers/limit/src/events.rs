//! Events over raw sockets: frames of [`connection`](crate::connection) in batches, one write a batch and a subscriber.
//!
//! The publisher gathers a batch once and writes the same bytes to every subscriber; it begins the next one when all have
//! taken this one, so it waits for the slowest. A subscriber handles all whole frames of one read where they lie. Contents of
//! more than a page are not copied: they are gathered by the write.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use harness::{Events, Receiver, Source, announce};
use tokio::{
    io::AsyncWrite as _,
    net::{TcpListener, TcpStream},
};

use crate::connection::{Frame, HEADER_BYTES};

/// The peer without an API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitEvents;

impl Events for LimitEvents {
    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self),
            other => Err(io::Error::other(format!("limit has no mode {other:?}"))),
        }
    }

    async fn publish(self, mut source: Source) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        let mut subscribers = Vec::new();
        while subscribers.len() < source.subscribers() {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            subscribers.push(Outgoing { stream, taken: 0 });
        }
        let mut batch = Batch::for_events_of(source.payload_bytes());
        loop {
            batch.refill(&mut source);
            let pieces = batch.pieces();
            subscribers.iter_mut().for_each(|subscriber| subscriber.taken = 0);
            let written = poll_fn(|cx| {
                let mut is_everywhere = true;
                for subscriber in &mut subscribers {
                    is_everywhere &= subscriber.poll_write(cx, &pieces, batch.bytes())?.is_ready();
                }
                if is_everywhere { Poll::Ready(io::Result::Ok(())) } else { Poll::Pending }
            });
            if written.await.is_err() {
                // Who has measured leaves.
                return Ok(());
            }
        }
    }

    async fn subscribe(&self, address: &str, mut receiver: Receiver) -> io::Result<()> {
        let stream = TcpStream::connect(address).await?;
        tokio::spawn(async move {
            let outcome = hear(&stream, &mut receiver).await;
            receiver.fail(outcome.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        });
        Ok(())
    }
}

/// Gives every event of a connection to the receiver.
async fn hear(stream: &TcpStream, receiver: &mut Receiver) -> io::Result<()> {
    let longest = HEADER_BYTES + receiver.payload_bytes();
    let mut buffer = vec![0; READ_BYTES + longest].into_boxed_slice();
    let (mut from, mut to) = (0, 0);
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer[to..]) {
            Ok(0) => return Ok(()),
            Ok(read) => to += read,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
            Err(why) => return Err(why),
        }
        let mut rest = &buffer[from..to];
        while let Some(frame) = Frame::split_off(&mut rest, longest)? {
            receiver.hear(frame.content)?;
        }
        from = to - rest.len();
        // The beginning of a frame moves to the front once its end would find no room.
        if from == to {
            (from, to) = (0, 0);
        } else if buffer.len() - from < longest || buffer.len() - to < READ_BYTES / 4 {
            buffer.copy_within(from..to, 0);
            (from, to) = (0, to - from);
        }
    }
}

/// One subscriber, and how much of the batch it has taken.
#[derive(Debug)]
struct Outgoing {
    stream: TcpStream,
    taken: usize,
}

impl Outgoing {
    /// Ready once the whole batch is written.
    fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>], all: usize) -> Poll<io::Result<()>> {
        while self.taken < all {
            let written = match rest_of(pieces, self.taken) {
                Rest::One(bytes) => Pin::new(&mut self.stream).poll_write(cx, bytes),
                Rest::Many(pieces) => Pin::new(&mut self.stream).poll_write_vectored(cx, &pieces),
            };
            match written {
                Poll::Ready(written) => self.taken += written?,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What remains of a batch.
enum Rest<'a> {
    One(&'a [u8]),
    Many(Vec<IoSlice<'a>>),
}

fn rest_of<'a>(pieces: &'a [IoSlice<'a>], taken: usize) -> Rest<'a> {
    if let [one] = pieces {
        return Rest::One(&one[taken..]);
    }
    let mut rest: Vec<IoSlice<'a>> = pieces.to_vec();
    let mut remaining = rest.as_mut_slice();
    IoSlice::advance_slices(&mut remaining, taken);
    Rest::Many(remaining.to_vec())
}

/// Frames that leave together.
#[derive(Debug)]
struct Batch {
    next_id: u64,
    events: usize,
    /// Whole frames of small events; only the headers of large ones.
    frames: Vec<u8>,
    /// Contents of large events.
    contents: Vec<Bytes>,
    is_gathered: bool,
    payload_bytes: usize,
}

impl Batch {
    fn for_events_of(payload_bytes: usize) -> Self {
        let is_gathered = payload_bytes > COPIED_BYTES_MAX;
        let most = if is_gathered { GATHERED_BYTES } else { BATCH_BYTES };
        let events = most / (HEADER_BYTES + payload_bytes);
        Self { next_id: 0, events, frames: Vec::new(), contents: Vec::new(), is_gathered, payload_bytes }
    }

    fn refill(&mut self, source: &mut Source) {
        self.frames.clear();
        self.contents.clear();
        for _ in 0..self.events {
            let id = self.next_id;
            self.next_id += 1;
            if self.is_gathered {
                let content = source.next_bytes();
                self.frames.extend_from_slice(&Frame { id, content: &content }.header());
                self.contents.push(content);
            } else {
                Frame { id, content: source.next_slice() }.append_to(&mut self.frames);
            }
        }
    }

    fn pieces(&self) -> Vec<IoSlice<'_>> {
        if !self.is_gathered {
            return vec![IoSlice::new(&self.frames)];
        }
        let headers = self.frames.chunks(HEADER_BYTES);
        headers
            .zip(&self.contents)
            .flat_map(|(header, content)| [IoSlice::new(header), IoSlice::new(content)])
            .collect()
    }

    fn bytes(&self) -> usize {
        self.events * (HEADER_BYTES + self.payload_bytes)
    }
}

/// Small events of one write, in bytes. Less costs a system call more often, more leaves the second level of the caches.
const BATCH_BYTES: usize = 512 * 1024;
/// Large events of one write, in bytes: eight of 64 KiB with what comes before each.
const GATHERED_BYTES: usize = 520 * 1024;
/// Longest content that is copied into the batch, in bytes.
const COPIED_BYTES_MAX: usize = 4096;
/// Most bytes that a read takes, beside the beginning of a frame.
const READ_BYTES: usize = 256 * 1024;
