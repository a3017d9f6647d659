//! Sending a file: reading ahead in a thread that may wait for the disk, and the conversation with the receiver.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use peerage_proto::id::NodeId;
use peerage_proto::outcome::CallError;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{BLOCK_BYTES, BLOCKS_BETWEEN, Have, Progress, SendFileError, Sent, hex};
use crate::node::Node;
use crate::stream::{Conversation, Outgoing, SendError};

/// What the reading thread finds.
enum Found {
    /// The file begins as the receiver says, so far; 0 if not.
    Begins(u64),
    Block(Bytes),
    /// The hash of all of it.
    End(String),
}

pub(super) async fn send(
    node: &Node,
    peer: NodeId,
    tag: &str,
    path: &Path,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Sent, SendFileError> {
    let read = |why| SendFileError::Read { path: path.to_owned(), why };
    let opening = path.to_owned();
    let file = spawn_blocking(move || File::open(opening)).await.map_err(|why| read(io::Error::other(why)))?;
    let file = file.map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    let name = path.file_name().filter(|_| metadata.is_file()).and_then(|name| name.to_str());
    let name = name.ok_or_else(|| SendFileError::NoFile(path.to_owned()))?;
    let size = metadata.len();

    let call = node.call(tag).peer::<()>(peer).args(&(name, size)).without_deadline();
    let Conversation { mut outgoing, mut incoming } = call.open::<Bytes, Have>().await?;
    let have = match incoming.next().await {
        Some(have) => have?,
        None => return Err(incoming.outcome::<String>().await.err().unwrap_or_else(no_sink).into()),
    };
    let (found, finds) = mpsc::channel(BLOCKS_BETWEEN);
    let reading = spawn_blocking(move || read_all(file, size, &have, &found));
    let said = pump(&mut outgoing, finds, size, &mut progress).await;
    // What the receiver says of it comes first: it may be why nothing could be sent.
    let (resumed_from, sha256) = match said {
        Ok(said) => said,
        Err(Unsaid::Over) => return Err(incoming.outcome::<String>().await.err().unwrap_or_else(no_sink).into()),
        Err(Unsaid::Unread) => {
            let why = reading.await.map_err(io::Error::other).and_then(|result| result);
            return Err(why.err().map_or_else(|| SendFileError::Changed(path.to_owned()), read));
        }
    };
    outgoing.finish();
    Ok(Sent { name: incoming.outcome().await?, size, resumed_from, sha256 })
}

/// Why not all was said.
enum Unsaid {
    /// The call is over.
    Over,
    /// The file could not be read, or has changed.
    Unread,
}

impl From<SendError> for Unsaid {
    fn from(_: SendError) -> Unsaid {
        Unsaid::Over
    }
}

/// Sends what the reading thread finds. Returns where it began, and the hash of all.
async fn pump(
    outgoing: &mut Outgoing<Bytes>,
    mut finds: mpsc::Receiver<Found>,
    size: u64,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(u64, String), Unsaid> {
    let (mut sent, mut resumed_from) = (0, 0);
    loop {
        match finds.recv().await.ok_or(Unsaid::Unread)? {
            Found::Begins(at) => {
                outgoing.send_of(&at).await?;
                (sent, resumed_from) = (at, at);
            }
            Found::Block(block) => {
                for piece in block.chunks(Outgoing::<Bytes>::PIECE_BYTES) {
                    outgoing.send_bytes(piece).await?;
                }
                sent += block.len() as u64;
            }
            Found::End(sha256) => {
                outgoing.send_of(&sha256).await?;
                return Ok((resumed_from, sha256));
            }
        }
        progress(Progress { sent, size, resumed_from });
    }
}

/// Reads the file, from its beginning if the receiver has something else there than it has.
fn read_all(mut file: File, size: u64, have: &Have, found: &mpsc::Sender<Found>) -> io::Result<()> {
    let mut hash = Sha256::new();
    let mut begins = 0;
    if (1..=size).contains(&have.bytes) {
        let mut left = have.bytes;
        let mut block = vec![0; BLOCK_BYTES];
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            let count = file.read(&mut block[..room])?;
            if count == 0 {
                return Ok(());
            }
            hash.update(&block[..count]);
            left -= count as u64;
        }
        begins = have.bytes;
        if hex(&hash.clone().finalize()) != have.sha256 {
            io::Seek::rewind(&mut file)?;
            (hash, begins) = (Sha256::new(), 0);
        }
    }
    let mut left = size - begins;
    let mut next = Found::Begins(begins);
    while found.blocking_send(next).is_ok() {
        if left == 0 {
            // One that has grown is not what was announced.
            if file.read(&mut [0])? == 0 {
                let _ = found.blocking_send(Found::End(hex(&hash.finalize())));
            }
            return Ok(());
        }
        let mut block = vec![0; usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)];
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(());
        }
        block.truncate(count);
        hash.update(&block);
        left -= count as u64;
        next = Found::Block(block.into());
    }
    Ok(())
}

fn no_sink() -> CallError {
    CallError::Protocol { why: "what answers there does not take files".to_owned() }
}
