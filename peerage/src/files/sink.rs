//! Taking files into a folder.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use peerage_proto::outcome::Code;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::part::Part;
use super::{BLOCKS_BETWEEN, Have, Received, name};
use crate::channel::Failure;
use crate::service::Context;
use crate::shown::shown;
use crate::stream::Incoming;

/// A folder that takes files.
///
/// A file is called as its sender calls it, without any path. Names with control characters or a dot at the beginning are
/// refused; nothing is ever overwritten; what has not arrived yet lies under a dot name, from where a later try goes on.
#[derive(Clone)]
pub struct Sink {
    folder: PathBuf,
    on_received: Arc<dyn Fn(&Received) + Send + Sync>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Sink {
    /// Takes files into this folder, which must be there.
    pub fn new(folder: impl Into<PathBuf>) -> Sink {
        Sink { folder: folder.into(), on_received: Arc::new(|_| {}) }
    }

    /// Hears of each file once it has its name.
    pub fn on_received(mut self, hears: impl Fn(&Received) + Send + Sync + 'static) -> Sink {
        self.on_received = Arc::new(hears);
        self
    }

    /// What [`Node::service`](crate::Node::service) is given to serve.
    pub fn handler(self) -> impl Fn(Context, String, u64) -> Taking + Clone + Send + Sync + 'static {
        move |context, name, size| {
            let sink = self.clone();
            Box::pin(async move { sink.take(context, &name, size).await })
        }
    }

    /// Takes one file, and returns the name that it got.
    async fn take(self, context: Context, name: &str, size: u64) -> Result<String, Failure> {
        let name = name::clean(name).map_err(|why| Failure::new(why.to_string()).code(Code::new(BAD_NAME)))?.to_owned();
        let (mut bytes, mut words) = (context.incoming::<Bytes>()?, context.outgoing::<Have>()?);
        let sender = context.caller().map_or_else(String::new, |caller| caller.to_string());
        let opening = (self.folder.clone(), name.clone());
        let opened = spawn_blocking(move || Part::open(&opening.0, &sender, &opening.1, size));
        let part = opened.await.map_err(ended)?.map_err(|why| disk(&self.folder, &why))?;
        words.send(&Have { bytes: part.bytes, sha256: part.sha256() }).await?;

        let (part, sha256) = receive(part, &mut bytes, size).await.map_err(|why| why.shown_for(&self.folder))?;
        if part.bytes != size || part.sha256() != sha256 {
            spawn_blocking(move || part.discard()).await.map_err(ended)?.map_err(|why| disk(&self.folder, &why))?;
            return Err(
                Failure::new("what arrived is not what was sent: the next try begins anew").code(Code::new(CHECKSUM))
            );
        }
        let finished = spawn_blocking(move || part.finish(&name)).await.map_err(ended)?;
        let path = finished.map_err(|why| disk(&self.folder, &why))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tracing::info!(name = %shown(&name), size, from = ?context.caller(), "a file has arrived");
        (self.on_received)(&Received { from: context.caller(), path, size, sha256 });
        Ok(name)
    }
}

/// The work on one file; it gives the name that the file got.
pub type Taking = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;

/// Why a file did not arrive.
enum Broken {
    Disk(io::Error),
    Other(Failure),
}

impl Broken {
    fn shown_for(self, folder: &Path) -> Failure {
        match self {
            Broken::Disk(why) => disk(folder, &why),
            Broken::Other(failure) => failure,
        }
    }
}

impl<E: Into<Failure>> From<E> for Broken {
    fn from(why: E) -> Broken {
        Broken::Other(why.into())
    }
}

/// Takes what comes into a part, and at the end the hash of all.
async fn receive(mut part: Part, bytes: &mut Incoming<Bytes>, size: u64) -> Result<(Part, String), Broken> {
    let begins: u64 = bytes.next_of().await?;
    if begins == 0 && part.bytes > 0 {
        part.start_over().map_err(Broken::Disk)?;
    } else if begins != part.bytes {
        return Err(Failure::new("the file begins somewhere else than where the part ends").into());
    }
    let (writer, mut left) = (Writer::start(part), size - begins);
    while left > 0 {
        let Some(piece) = bytes.next_bytes().await else { break };
        let piece = piece?;
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| Failure::new("more comes than was announced"))?;
        if writer.pieces.send(piece).await.is_err() {
            break;
        }
    }
    let part = writer.end().await?;
    let sha256 = bytes.next_of().await?;
    Ok((part, sha256))
}

/// Writes in a thread that may wait for the disk.
struct Writer {
    pieces: mpsc::Sender<Bytes>,
    thread: JoinHandle<io::Result<Part>>,
}

impl Writer {
    fn start(mut part: Part) -> Writer {
        let (pieces, mut comes) = mpsc::channel::<Bytes>(BLOCKS_BETWEEN);
        let thread = spawn_blocking(move || {
            while let Some(piece) = comes.blocking_recv() {
                part.append(&piece)?;
            }
            Ok(part)
        });
        Writer { pieces, thread }
    }

    /// The part as it is when all is written.
    async fn end(self) -> Result<Part, Broken> {
        drop(self.pieces);
        self.thread.await.map_err(ended)?.map_err(Broken::Disk)
    }
}

/// A failure of this end's disk, without its paths: they are nobody else's business.
fn disk(folder: &Path, why: &io::Error) -> Failure {
    tracing::warn!(folder = %folder.display(), %why, "a file could not be taken");
    let code = if why.kind() == io::ErrorKind::WouldBlock { BUSY } else { DISK };
    Failure::new(format!("the receiver cannot store it: {why}")).code(Code::new(code))
}

fn ended(_: JoinError) -> Failure {
    Failure::new("the receiver is ending").code(Code::new(DISK))
}

/// Codes of failures that a sender is told.
const BAD_NAME: &str = "bad-name";
const CHECKSUM: &str = "checksum";
const DISK: &str = "disk";
const BUSY: &str = "busy";
