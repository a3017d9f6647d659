//! Streams within this process, for tests and for parts of one program.
//!
//! A listener enters its name into one registry for the whole process; dialling looks the name up and leaves the other
//! end of a new pipe in the listener's queue. Names are free again when the listener is dropped.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peerage_proto::address::Address;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::{BindError, Connection, DialError};

pub(super) async fn dial(address: &Address) -> Result<Connection, DialError> {
    let refused = || DialError::Refused { address: address.clone() };
    let queue = listeners().get(name(address)).cloned().ok_or_else(refused)?;
    // Room first, so that a dialler who waits holds no pipe. Fails if the listener goes while we wait.
    let room = queue.reserve().await.map_err(|_| refused())?;
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    room.send(theirs);
    Ok(connection(ours, &address.bare()))
}

pub(super) fn listen(address: &Address) -> Result<Acceptor, BindError> {
    let mut listeners = listeners();
    if listeners.contains_key(name(address)) {
        return Err(BindError::AddressInUse { address: address.clone() });
    }
    let (sender, queue) = mpsc::channel(QUEUE);
    listeners.insert(name(address).to_owned(), sender);
    Ok(Acceptor { place: address.bare(), queue })
}

/// Both ends of a pipe that no registry knows.
pub(crate) fn pipe(place: &Address) -> (Connection, Connection) {
    let (one, other) = tokio::io::duplex(PIPE_BYTES);
    (connection(one, place), connection(other, place))
}

/// Owner of a name in the registry.
pub(super) struct Acceptor {
    place: Address,
    queue: mpsc::Receiver<DuplexStream>,
}

impl Acceptor {
    pub(super) async fn accept(&mut self) -> Connection {
        let stream = self.queue.recv().await.expect("the registry holds a sender until we are dropped");
        connection(stream, &self.place)
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        listeners().remove(name(&self.place));
    }
}

fn connection(stream: DuplexStream, place: &Address) -> Connection {
    Connection::new(Box::new(stream), place.clone(), place.clone())
}

fn name(address: &Address) -> &str {
    address.name().expect("called for memory addresses only, which have a name")
}

type Listeners = BTreeMap<String, mpsc::Sender<DuplexStream>>;

fn listeners() -> MutexGuard<'static, Listeners> {
    static LISTENERS: Mutex<Listeners> = Mutex::new(BTreeMap::new());
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pipes that may wait to be accepted; who dials then waits in turn. With their buffers they take up to 16 MiB.
pub(super) const QUEUE: usize = 128;

/// Bytes on their way in each direction before the writer has to wait.
const PIPE_BYTES: usize = 64 << 10;
