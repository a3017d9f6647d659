//! Listening: an address that others connect to.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peerage_proto::codec::Encoding;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Channel, Handler, Request, Settings};
use crate::address::Address;
use crate::link::{InPlace, Link, Serve, WeakLink};
use crate::transport::tally::Tally;
use crate::transport::{self, BindError, Connection, Listening, Tls};

/// An address that others connect to.
///
/// Dropping it frees the address; connections already accepted live on.
#[derive(Debug)]
pub struct Listener {
    listening: Listening,
    settings: Settings,
    handlers: Option<usize>,
    connections: Arc<Semaphore>,
    turned_away: Arc<AtomicU64>,
}

/// A listener at work with a handler. Dropping it stops listening and closes its connections.
#[derive(Debug)]
pub struct Server {
    local: Address,
    end: watch::Sender<End>,
    task: Option<JoinHandle<()>>,
    figures: ServerFigures,
}

/// When a server ends.
#[derive(Clone, Copy, Debug)]
enum End {
    NotYet,
    /// When no request is open any more, at this time at the latest.
    AtRest(Instant),
    Now,
}

/// Figures of a server, to be read from anywhere.
#[derive(Clone, Debug)]
pub(crate) struct ServerFigures {
    connections: Arc<Semaphore>,
    connections_max: usize,
    turned_away: Arc<AtomicU64>,
    silent: Arc<AtomicU64>,
    tally: Tally,
}

impl ServerFigures {
    /// What happened while accepting.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        (self.connections_max - self.connections.available_permits().min(self.connections_max)) as u64
    }

    /// Connections that were closed at once.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Connections that were closed because they said nothing.
    pub(crate) fn silent(&self) -> u64 {
        self.silent.load(Ordering::Relaxed)
    }

    /// Connections that may be open at once.
    pub(crate) fn connections_max(&self) -> u64 {
        self.connections_max as u64
    }
}

/// A listener to be bound. Await it.
#[derive(Clone, Debug)]
#[must_use = "nobody listens until it is awaited"]
pub struct Bind {
    address: Address,
    tls: Option<Tls>,
}

/// A listener being bound.
pub type Binding = Pin<Box<dyn Future<Output = Result<Listener, BindError>> + Send>>;

impl Bind {
    /// How connections at `tls://` or `quic://` are secured: an [`Identity`](crate::Identity) for raw keys on both ends, or
    /// [`X509`](crate::transport::X509) for certificates. There is no default: a listener must show something.
    pub fn tls(mut self, tls: impl Into<Tls>) -> Bind {
        self.tls = Some(tls.into());
        self
    }
}

impl IntoFuture for Bind {
    type Output = Result<Listener, BindError>;
    type IntoFuture = Binding;

    fn into_future(self) -> Binding {
        Box::pin(async move {
            let settings = Settings { encoding: self.address.codec(), ..Settings::default() };
            Ok(Listener {
                listening: transport::listen(&self.address, self.tls.as_ref()).await?,
                settings,
                handlers: None,
                connections: Arc::new(Semaphore::new(connections_default())),
                turned_away: Arc::default(),
            })
        })
    }
}

impl Listener {
    /// Listens at an address. Await it, or first say more: [`Bind::tls`].
    ///
    /// Port 0 picks a free one; `?next=N` moves on to the next free one, at most N further. The encoding is the address's
    /// `?codec=`, else that of each connection's first frame.
    ///
    /// # Errors
    /// [`BindError`], which names the address and the remedy.
    pub fn bind(address: &Address) -> Bind {
        Bind { address: address.clone(), tls: None }
    }

    /// The encoding of all connections, in place of the one that each first frame shows.
    pub fn encoding(mut self, encoding: Encoding) -> Listener {
        self.settings.encoding = Some(encoding);
        self
    }

    /// Largest frame accepted and sent, in bytes. Default 16 MiB, at most 64 MiB.
    pub fn max_frame(mut self, bytes: u32) -> Listener {
        self.settings.frame_bytes = bytes;
        self
    }

    /// Requests served at once over all connections of [`serve`](Self::serve). Above it requests wait, and a connection
    /// that has as many waiting is not read any more. Default: 1,024 for each connection.
    pub fn concurrency(mut self, requests: usize) -> Listener {
        let requests = requests.clamp(1, Semaphore::MAX_PERMITS);
        self.handlers = Some(requests);
        self.settings.served_at_once = self.settings.served_at_once.min(u32::try_from(requests).unwrap_or(u32::MAX));
        self
    }

    /// Connections at once; one more is closed as soon as it is accepted, and counted. Default 16,384, or half the limit
    /// of open files if that is less.
    pub fn max_connections(mut self, connections: usize) -> Listener {
        self.connections = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// The address that was bound, with the port that was picked.
    pub fn local_address(&self) -> &Address {
        self.listening.local_address()
    }

    /// Connections that were closed at once because there were too many.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Errors of accepting that were survived: connections that broke before they were accepted, and times in which the
    /// process was out of descriptors.
    pub fn accept_errors(&self) -> u64 {
        self.listening.tally().errors()
    }

    /// Connections that could not be secured: strangers who speak no TLS, or show nothing that is believed here.
    pub fn failed_handshakes(&self) -> u64 {
        self.listening.tally().failed_handshakes()
    }

    /// The next connection. Never fails: errors of single connections, and a shortage of descriptors, are waited out.
    ///
    /// Cancel-safe: dropping the future loses no connection.
    pub async fn accept(&mut self) -> Channel {
        let (connection, permit) = self.admit().await;
        let config = self.settings.config(self.listening.local_address(), None);
        Channel::from_link(Link::start(connection, config, None, Some(permit)))
    }

    /// Answers the requests of all connections with this handler, in the background, until the [`Server`] is closed or
    /// dropped.
    ///
    /// A handler takes its first step on the task that reads the connection, so a quick one costs no task; one that
    /// waits goes on as a task of its own. It must not block the thread.
    pub fn serve<Form: 'static>(self, handler: impl Handler<Form>) -> Server {
        let handlers = self.handlers.map(|handlers| Arc::new(Semaphore::new(handlers)));
        let handler = Arc::new(handler);
        self.serve_each(None, move |_| Some(in_place(handler.clone(), handlers.clone())))
    }

    /// Serves each connection with what `open` makes for it, or turns it away where that is nothing. A connection that
    /// has sent no frame after `first_frame_within` is closed.
    pub(crate) fn serve_each(
        self,
        first_frame_within: Option<Duration>,
        open: impl FnMut(&Connection) -> Option<Box<dyn Serve>> + Send + 'static,
    ) -> Server {
        let (end, told) = watch::channel(End::NotYet);
        let figures = ServerFigures {
            connections: self.connections.clone(),
            connections_max: self.connections.available_permits(),
            turned_away: self.turned_away.clone(),
            silent: Arc::default(),
            tally: self.listening.tally().clone(),
        };
        let local = self.local_address().clone();
        let waiting = Waiting { within: first_frame_within, silent: figures.silent.clone(), links: VecDeque::new() };
        let task = tokio::spawn(self.accept_and_serve(open, waiting, told));
        Server { local, end, task: Some(task), figures }
    }

    /// Stops listening and frees the address. Connections already accepted live on.
    pub fn close(self) {}

    async fn accept_and_serve(
        mut self,
        mut open: impl FnMut(&Connection) -> Option<Box<dyn Serve>>,
        mut waiting: Waiting,
        mut told: watch::Receiver<End>,
    ) {
        // Dropped with this task, however it ends: that closes the links.
        let mut links = Links::default();
        loop {
            let (connection, permit) = tokio::select! {
                accepted = self.admit() => accepted,
                () = waiting.close_silent() => continue,
                _ = told.changed() => break,
            };
            let Some(server) = open(&connection) else {
                self.turned_away.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let config = self.settings.config(self.listening.local_address(), None);
            let link = Link::start(connection, config, Some(server), Some(permit));
            waiting.push(&link);
            links.push(&link);
        }
        drop(self);
        links.rest(&mut told).await;
        links.close().await;
    }

    async fn admit(&mut self) -> (Connection, OwnedSemaphorePermit) {
        loop {
            let connection = self.listening.accept().await;
            match self.connections.clone().try_acquire_owned() {
                Ok(permit) => return (connection, permit),
                Err(_) => {
                    self.turned_away.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(local = %self.listening.local_address(), "connection limit reached, one turned away");
                }
            }
        }
    }
}

impl Server {
    /// The address that was bound, with the port that was picked.
    pub fn local_address(&self) -> &Address {
        &self.local
    }

    /// Connections that were closed at once because there were too many.
    pub fn turned_away(&self) -> u64 {
        self.figures.turned_away()
    }

    /// Figures that can be read after the server has gone elsewhere.
    pub(crate) fn figures(&self) -> ServerFigures {
        self.figures.clone()
    }

    /// Stops listening and closes all connections; answers already given are still written. Closing twice is harmless.
    pub async fn close(mut self) {
        self.end.send_replace(End::Now);
        if let Some(task) = self.task.take() {
            // It only ends early when its runtime does.
            let _ = task.await;
        }
    }

    /// Stops listening, lets connections finish the requests they have for at most `within`, then closes them.
    pub(crate) async fn drain(mut self, within: Duration) {
        self.end.send_replace(End::AtRest(Instant::now() + within));
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }

    /// Waits for ever, or until the runtime ends: for programs whose only business is to serve.
    pub async fn forever(mut self) {
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.send_replace(End::Now);
    }
}

/// The connections of a server, as far as they still live.
#[derive(Default)]
struct Links {
    links: Vec<WeakLink>,
    /// Length at which the ended ones are dropped from the list.
    tidy_at: usize,
}

impl Links {
    fn push(&mut self, link: &Link) {
        if self.links.len() >= self.tidy_at {
            self.links.retain(WeakLink::is_alive);
            self.tidy_at = (self.links.len() * 2).max(64);
        }
        self.links.push(link.downgrade());
    }

    /// Waits until no request is open, if that is wanted.
    async fn rest(&self, told: &mut watch::Receiver<End>) {
        loop {
            let End::AtRest(until) = *told.borrow_and_update() else { return };
            let is_open = |link: Link| link.figures().requests_in_service > 0;
            if Instant::now() >= until || !self.links.iter().filter_map(WeakLink::upgrade).any(is_open) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(REST_LOOK) => {}
                _ = told.changed() => {}
            }
        }
    }

    async fn close(mut self) {
        let links: Vec<Link> = self.links.drain(..).filter_map(|link| link.upgrade()).collect();
        links.iter().for_each(Link::close);
        for link in links {
            link.ended().await;
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in self.links.iter().filter_map(WeakLink::upgrade) {
            link.close();
        }
    }
}

/// Connections that have sent no frame yet, oldest first.
struct Waiting {
    within: Option<Duration>,
    silent: Arc<AtomicU64>,
    links: VecDeque<(Instant, WeakLink)>,
}

impl Waiting {
    fn push(&mut self, link: &Link) {
        if let Some(within) = self.within {
            self.links.push_back((Instant::now() + within, link.downgrade()));
        }
    }

    /// Waits for the oldest to be due and closes it if it has still said nothing. For ever if there is none.
    async fn close_silent(&mut self) {
        let Some((due, _)) = self.links.front() else { return std::future::pending().await };
        tokio::time::sleep_until(*due).await;
        let link = self.links.pop_front().and_then(|(_, link)| link.upgrade());
        if let Some(link) = link.filter(|link| link.counters().requests == 0 && link.why_ended().is_none()) {
            self.silent.fetch_add(1, Ordering::Relaxed);
            tracing::info!(local = %link.facts().local, "closed a connection that said nothing");
            link.close();
        }
    }
}

/// Runs a handler for each request; with `permits` at most as many at once as there are.
fn in_place<Form: 'static>(handler: Arc<impl Handler<Form>>, permits: Option<Arc<Semaphore>>) -> Box<dyn Serve> {
    let Some(permits) = permits else {
        return Box::new(InPlace::new(move |request: Request| handler.handle(request)));
    };
    Box::new(InPlace::new(move |request: Request| {
        let (handler, permits) = (handler.clone(), permits.clone());
        async move {
            // Nobody closes it.
            let Ok(_permit) = permits.acquire().await else { return };
            handler.handle(request).await;
        }
    }))
}

/// 16,384, or half the limit of open files if that is less.
fn connections_default() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX));
    CONNECTIONS_DEFAULT.min(half)
}

/// How often a server that is to end looks whether requests are open.
const REST_LOOK: Duration = Duration::from_millis(5);

/// Connections of a listener unless configured otherwise or descriptors are fewer.
const CONNECTIONS_DEFAULT: usize = 16_384;

#[cfg(test)]
mod tests;
