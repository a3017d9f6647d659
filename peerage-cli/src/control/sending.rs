//! Files that the node sends for this program.

use std::path::Path;

use peerage::Value;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Control;
use crate::called::Called;

/// How far a file is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) sent: u64,
    pub(crate) size: u64,
    pub(crate) resumed_from: u64,
}

impl Control {
    /// Lets the node send a file; `far` hears now and then how far it is.
    pub(crate) async fn send(&mut self, peer: &str, tag: &str, path: &Path, mut far: impl FnMut(Progress)) -> Called {
        #[derive(Serialize)]
        struct Wanted<'w> {
            peer: &'w str,
            tag: &'w str,
            path: &'w Path,
        }
        let began = Instant::now();
        let caller = self.channel.caller();
        let content = ("peerage/local/send", [(); 0], Wanted { peer, tag, path });
        // It takes as long as the link lives.
        let call = caller.request::<Called>(&content).without_deadline();
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                Some(request) = self.channel.next_request() => {
                    if let Ok((_, (progress,), _)) = request.content::<(String, (Progress,), Value)>() {
                        far(progress);
                    }
                    request.reply(&Value::Null);
                }
                called = &mut call => return called.unwrap_or_else(|error| Called::untold(error, began.elapsed())),
            }
        }
    }
}
