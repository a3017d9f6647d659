//! `peerage/local/send`: the node sends a file to another one for a program of its user.
//!
//! The node itself reads the file, as the same user. How far it is is told as a request of the node,
//! `["progress", [{"call": n, "sent", "size", "resumed_from"}], {}]`, the next one when the last is answered. How it ended is the
//! value, as with a call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use peerage_proto::codec::Value;
use peerage_proto::id::NodeId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::call::{Ended, was_asked};
use super::serve::Offers;
use super::{bad_request, open, shutting_down};
use crate::channel::Caller;
use crate::dispatch::Called;
use crate::files::{Progress, SendFileError, Sent};

/// What is to be sent, and where.
#[derive(Deserialize)]
struct Wanted {
    peer: String,
    tag: String,
    /// Absolute, because the node has a folder of its own.
    path: PathBuf,
    /// The number under which progress is told.
    #[serde(default)]
    call: u64,
}

/// Sends the file; a program that goes away gives it up.
pub(super) async fn send(offers: Arc<Offers>, called: Called) {
    let wanted: Wanted = match open(&called.kwargs) {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let Ok(peer) = wanted.peer.parse::<NodeId>() else {
        return called.request.fail_with(bad_request("peer is no node id".to_owned()));
    };
    if !wanted.path.is_absolute() {
        return called.request.fail_with(bad_request("path is absolute: the node has a folder of its own".to_owned()));
    }
    let Some(node) = offers.node() else { return called.request.fail_with(shutting_down()) };
    let began = Instant::now();
    let (far, tells) = watch::channel(None);
    let caller = called.request.caller();
    let sent = tokio::select! {
        sent = node.send_file(peer, &wanted.tag, &wanted.path, |progress| _ = far.send_replace(Some(progress))) => sent,
        () = tell(&caller, wanted.call, tells) => return,
    };
    let outcome = match sent {
        Ok(Sent { name, size, resumed_from, sha256 }) => {
            let entries = [
                ("name", name.into()),
                ("size", size.into()),
                ("resumed_from", resumed_from.into()),
                ("sha256", sha256.into()),
            ];
            Ok(Value::Map(entries.map(|(key, value): (&str, Value)| (key.into(), value)).into()))
        }
        Err(SendFileError::Call(why)) => Err(why),
        Err(why) => return called.request.fail_with(bad_request(why.to_string())),
    };
    let peer = was_asked(&outcome).then_some(peer);
    called.request.reply(&Ended::of(outcome).of_peer(peer, 1, began));
}

/// Tells how far it is, for as long as the program is there.
async fn tell(caller: &Caller, call: u64, mut tells: watch::Receiver<Option<Progress>>) {
    #[derive(Serialize)]
    struct Told {
        call: u64,
        sent: u64,
        size: u64,
        resumed_from: u64,
    }
    loop {
        tokio::select! {
            changed = tells.changed() => if changed.is_err() { std::future::pending().await },
            _ = caller.ended() => return,
        }
        let progress = *tells.borrow_and_update();
        let Some(Progress { sent, size, resumed_from, .. }) = progress else { continue };
        let word = ("progress", [Told { call, sent, size, resumed_from }], Value::Map(Vec::new()));
        // Whoever does not answer any more has gone.
        if caller.request::<Value>(&word).without_deadline().await.is_err() {
            return;
        }
    }
}
