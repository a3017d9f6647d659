//! The data path that was measured and not taken (`docs/decisions/002-data-path.md`): link threads.
//!
//! Each connection belongs to a thread of its own kind: a current-thread runtime that reads, runs the machine and the
//! handlers, and writes, without ever handing a message to another thread on the server's side. The application lives on
//! its own runtime. What it asks is gathered in a queue that the link thread empties at once, and what was answered goes
//! back as a batch: one wake of a thread for many messages, in either direction.
//!
//! ```text
//!   application's runtime                          link thread
//!   callers ──push──▶ asked ──one wake a batch──▶ machine ──one write──▶ socket
//!   callers ◀──wake── dispatcher ◀──one wake a batch── answered ◀── machine ◀──one read── socket
//! ```
//!
//! The machine is the shipped one, so deadlines, limits and outcomes cost here what they cost there.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::Ipv4Addr,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use harness::{PAYLOAD, Peer, Tally, announce};
use peerage_proto::{
    channel::{Channel, Config, Content, Input, Output, Token},
    codec::{Encoding, Payload},
};
use serde_bytes::ByteArray;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};

fn main() -> ExitCode {
    harness::run::<DesignA>()
}

#[derive(Clone, Copy, Debug)]
struct DesignA;

/// The application's end of a connection.
#[derive(Clone)]
struct Handle(Arc<Shared>);

struct Shared {
    asked: Mutex<Vec<(Vec<u8>, Slot)>>,
    /// Wakes the link thread.
    ask: Notify,
    answered: Mutex<Vec<(Slot, io::Result<Payload>)>>,
    /// Wakes the dispatcher on the application's runtime.
    answer: Notify,
}

/// Where one caller waits.
type Slot = Arc<Mutex<Waiting>>;

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    outcome: Option<io::Result<Payload>>,
}

impl Peer for DesignA {
    type Connection = Handle;

    fn with_mode(_: &str) -> io::Result<Self> {
        Ok(Self)
    }

    async fn serve(self) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        let threads = LinkThreads::start()?;
        loop {
            let (stream, _) = listener.accept().await?;
            threads.take(stream, None).await?;
        }
    }

    async fn connect(&self, address: &str) -> io::Result<Handle> {
        let stream = TcpStream::connect(address).await?;
        let handle = Handle(Arc::new(Shared {
            asked: Mutex::default(),
            ask: Notify::new(),
            answered: Mutex::default(),
            answer: Notify::new(),
        }));
        tokio::spawn(dispatch(handle.clone()));
        link_threads()?.take(stream, Some(handle.clone())).await?;
        Ok(handle)
    }

    async fn echo(&self, handle: &mut Handle) -> io::Result<()> {
        call(handle, &Slot::default()).await
    }

    fn flood(&self, handle: Handle, callers: usize, tally: &Tally) {
        for _ in 0..callers {
            let handle = handle.clone();
            let mut counter = tally.counter();
            tokio::spawn(async move {
                let slot = Slot::default();
                loop {
                    match call(&handle, &slot).await {
                        Ok(()) => counter.add(1),
                        Err(why) => return counter.fail(why),
                    }
                }
            });
        }
    }
}

/// One request and its answer.
async fn call(handle: &Handle, slot: &Slot) -> io::Result<()> {
    let content = Payload::encode(&ByteArray::new(PAYLOAD), Encoding::MsgPack).map_err(io::Error::other)?;
    lock(slot).outcome = None;
    let first = {
        let mut asked = lock(&handle.0.asked);
        asked.push((content.into_bytes().into(), slot.clone()));
        asked.len() == 1
    };
    if first {
        handle.0.ask.notify_one();
    }
    let answer = std::future::poll_fn(|cx| {
        let mut waiting = lock(slot);
        match waiting.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await?;
    let answer: ByteArray<64> = answer.decode().map_err(io::Error::other)?;
    if answer.len() == PAYLOAD.len() { Ok(()) } else { Err(io::Error::other("the answer is not the payload")) }
}

/// Hands a batch of answers to its callers, on their own runtime.
async fn dispatch(handle: Handle) {
    loop {
        handle.0.answer.notified().await;
        for (slot, outcome) in std::mem::take(&mut *lock(&handle.0.answered)) {
            let mut waiting = lock(&slot);
            waiting.outcome = Some(outcome);
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The threads that own connections.
struct LinkThreads(Vec<mpsc::Sender<(std::net::TcpStream, Option<Handle>)>>, std::sync::atomic::AtomicUsize);

impl LinkThreads {
    /// One for each CPU this process may use.
    fn start() -> io::Result<Self> {
        let count = thread::available_parallelism()?.get();
        let start = |_| {
            let (sender, mut receiver) = mpsc::channel::<(std::net::TcpStream, Option<Handle>)>(64);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name("link".to_owned()).spawn(move || {
                runtime.block_on(async {
                    while let Some((stream, handle)) = receiver.recv().await {
                        if let Ok(stream) = TcpStream::from_std(stream) {
                            tokio::spawn(Link::new(stream, handle).run());
                        }
                    }
                });
            })?;
            Ok(sender)
        };
        Ok(Self((0..count).map(start).collect::<io::Result<_>>()?, Default::default()))
    }

    async fn take(&self, stream: TcpStream, handle: Option<Handle>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let next = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % self.0.len();
        self.0[next].send((stream.into_std()?, handle)).await.map_err(io::Error::other)
    }
}

/// The client's threads, started with its first connection.
fn link_threads() -> io::Result<&'static LinkThreads> {
    static THREADS: std::sync::OnceLock<LinkThreads> = std::sync::OnceLock::new();
    if THREADS.get().is_none() {
        let _ = THREADS.set(LinkThreads::start()?);
    }
    THREADS.get().ok_or_else(|| io::Error::other("no link threads"))
}

/// One connection on its thread.
struct Link {
    stream: TcpStream,
    handle: Option<Handle>,
    machine: Channel,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    answers: Vec<(Slot, io::Result<Payload>)>,
    requests: VecDeque<(peerage_proto::channel::Served, Payload)>,
}

impl Link {
    fn new(stream: TcpStream, handle: Option<Handle>) -> Self {
        let config = Config { encoding: Some(Encoding::MsgPack), ..Config::default() };
        Self {
            stream,
            handle,
            machine: Channel::new(config),
            slots: Vec::new(),
            free: Vec::new(),
            answers: Vec::new(),
            requests: VecDeque::new(),
        }
    }

    /// Reads, works and writes until the connection ends.
    async fn run(mut self) {
        let mut scratch = vec![0; 256 << 10];
        let mut timer = Box::pin(tokio::time::sleep(Duration::from_secs(30)));
        while !self.machine.is_ended() {
            let handle = self.handle.clone();
            let asked = async {
                match &handle {
                    Some(handle) => handle.0.ask.notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = self.stream.readable() => {
                    let input = match ready.and_then(|()| self.stream.try_read(&mut scratch)) {
                        Ok(0) => Input::PeerClosed,
                        Ok(count) => Input::Received(&scratch[..count]),
                        Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(why) => Input::Broken(why.to_string()),
                    };
                    self.feed(input);
                }
                () = asked => self.ask(),
                () = &mut timer => {
                    self.feed(Input::Timeout);
                    timer.as_mut().reset(tokio::time::Instant::now() + Duration::from_secs(30));
                }
            }
            self.serve();
            self.write().await;
            self.hand_over();
        }
    }

    /// Sends everything that the application has asked since the last look.
    fn ask(&mut self) {
        let Some(handle) = self.handle.clone() else { return };
        let deadline = Some(Instant::now() + Duration::from_secs(30));
        for (content, slot) in std::mem::take(&mut *lock(&handle.0.asked)) {
            let token = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            });
            self.slots[token as usize] = Some(slot);
            self.feed(Input::Call {
                token: Token(token),
                content: Content::Copied(Encoding::MsgPack, &content),
                deadline,
            });
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        let mut settled = Vec::new();
        for output in self.machine.handle(Instant::now(), input) {
            match output {
                Output::Request { request, content } => self.requests.push_back((request, content)),
                Output::Settled(token) => settled.push(token),
                _ => {}
            }
        }
        for token in settled {
            let mut buffer = Vec::new();
            let outcome = self.machine.collect(token, &mut buffer).map(|outcome| match outcome {
                Ok(answer) => Ok(answer.into_payload(&buffer)),
                Err(why) => Err(io::Error::other(why)),
            });
            self.answers.extend(self.slots[token.0 as usize].take().zip(outcome));
            self.free.push(token.0);
        }
    }

    /// Echoes, in place.
    fn serve(&mut self) {
        while let Some((request, content)) = self.requests.pop_front() {
            let Ok(value) = content.decode::<ByteArray<64>>() else { continue };
            let Ok(answer) = Payload::encode(&value, Encoding::MsgPack) else { continue };
            self.feed(Input::Reply { request, content: Content::Shared(&answer) });
        }
    }

    async fn write(&mut self) {
        while let Some(mut transmit) = self.machine.transmit() {
            let mut slices = [IoSlice::new(&[]); 32];
            let filled = transmit.slices(&mut slices);
            let result = self.stream.try_write_vectored(&slices[..filled]);
            let failed = match result {
                Ok(count) => {
                    transmit.advance(count);
                    None
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await.err(),
                Err(why) => Some(why),
            };
            self.feed(Input::Written(transmit));
            if let Some(why) = failed {
                self.feed(Input::Broken(why.to_string()));
            }
        }
    }

    /// Gives the batch of answers to the application's runtime.
    fn hand_over(&mut self) {
        let Some(handle) = &self.handle else { return };
        if !self.answers.is_empty() {
            lock(&handle.0.answered).append(&mut self.answers);
            handle.0.answer.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
