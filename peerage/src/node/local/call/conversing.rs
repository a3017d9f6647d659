//! A call that is opened as a conversation: a file goes out as a stream of bytes, what the callee says comes back item by item.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use peerage_proto::codec::Value;
use peerage_proto::outcome::CallError;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Asked, Ended, bad_request, ended, was_asked};
use crate::channel::{Caller, Failure};
use crate::node::shared::Shared;
use crate::stream::{Conversation, Incoming, Outgoing};

/// Opens the call at one node and sees it to its end. The failure is ours: the file cannot be read.
pub(super) async fn converse(node: &Arc<Shared>, asked: &Asked, caller: &Caller) -> Result<Ended, Failure> {
    let began = Instant::now();
    let file = match &asked.wanted.file {
        Some(path) => Some(open(path).await.map_err(|why| unread(path, &why))?),
        None => None,
    };
    let chosen = match asked.chosen(node).await {
        Ok(chosen) => chosen,
        Err(why) => return Ok(ended(node, &asked.tag, Err(why), None, 0, began)),
    };
    let outcome = match asked.at(node, chosen.peer()).open::<Bytes, Value>().await {
        Ok(Conversation { outgoing, incoming }) => {
            let (sent, outcome) = tokio::join!(say(outgoing, file), hear(incoming, asked.wanted.stream, caller));
            if let (Err(why), Some(path)) = (sent, &asked.wanted.file) {
                return Err(unread(path, &why));
            }
            outcome
        }
        Err(why) => Err(why),
    };
    let peer = was_asked(&outcome).then(|| chosen.peer());
    Ok(ended(node, &asked.tag, outcome, peer, 1, began))
}

/// Sends the file, if there is one. That the call is over before all is said is no error: its outcome tells more.
async fn say(mut outgoing: Outgoing<Bytes>, file: Option<File>) -> io::Result<()> {
    let Some(file) = file else {
        outgoing.finish();
        return Ok(());
    };
    let (found, mut finds) = mpsc::channel(BLOCKS_AHEAD);
    let reading = spawn_blocking(move || read(file, &found));
    while let Some(block) = finds.recv().await {
        if outgoing.send_bytes(&block).await.is_err() {
            return Ok(());
        }
    }
    let read = reading.await.map_err(io::Error::other).and_then(|read| read);
    match &read {
        Ok(()) => outgoing.finish(),
        Err(why) => outgoing.abort(&Failure::new(format!("the file cannot be read any further: {why}"))),
    }
    read
}

/// Reads a file in blocks until nobody wants more.
fn read(mut file: File, found: &mpsc::Sender<Bytes>) -> io::Result<()> {
    loop {
        let mut block = vec![0; Outgoing::<Bytes>::PIECE_BYTES];
        let count = file.read(&mut block)?;
        block.truncate(count);
        if count == 0 || found.blocking_send(block.into()).is_err() {
            return Ok(());
        }
    }
}

/// Tells each item when the last one is answered, so whoever reads slowly is waited for; or waits for the answer alone.
async fn hear(mut incoming: Incoming<Value>, number: Option<u64>, caller: &Caller) -> Result<Value, CallError> {
    #[derive(Serialize)]
    struct Item {
        call: u64,
        n: u64,
        item: Value,
    }
    if let Some(call) = number {
        let mut n = 0;
        while let Some(item) = incoming.next().await {
            n += 1;
            let word = ("item", [Item { call, n, item: item? }], Value::Map(Vec::new()));
            // Whoever does not answer any more has gone, and the call with it.
            let _ = caller.request::<Value>(&word).without_deadline().await;
        }
    }
    incoming.outcome::<Value>().await
}

async fn open(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    let open = move || {
        let file = File::open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no ordinary file")),
        }
    };
    spawn_blocking(open).await.map_err(io::Error::other)?
}

fn unread(path: &Path, why: &io::Error) -> Failure {
    bad_request(format!("the file {} cannot be read: {why}", path.display()))
}

/// Blocks read before they are sent.
const BLOCKS_AHEAD: usize = 4;
