//! A service that this program offers through a node: the node hands each call over as a request, and is answered with
//! the value.

use std::path::PathBuf;

use peerage::{Request, Value};
use serde::{Deserialize, Serialize};

use super::{Control, ended};
use crate::exit::Abort;

/// How a service is to be offered.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Offer {
    /// Calls at once; one more is told to come again later.
    pub(crate) concurrency: u16,
    /// Ids of those who may call it; none: everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// The node takes files into this folder, by its absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_sink: Option<PathBuf>,
}

/// A call that the node hands over.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    /// Its number, by which it is cancelled.
    pub(crate) call: u64,
    pub(crate) tag: String,
    pub(crate) args: Value,
    pub(crate) kwargs: Value,
    /// Who called, if that is a node.
    pub(crate) peer: Option<String>,
    /// How long the caller still waits.
    pub(crate) deadline_ms: Option<u64>,
}

impl Given {
    /// One argument alone as it is, otherwise all of them.
    pub(crate) fn echoed(self) -> Value {
        match (self.args, self.kwargs) {
            (Value::List(mut args), Value::Map(kwargs)) if args.len() == 1 && kwargs.is_empty() => args.remove(0),
            (args, kwargs) => Value::List(vec![args, kwargs]),
        }
    }

    /// As a command is told of it.
    pub(crate) fn into_request(self) -> Value {
        let entries = [
            ("tag", self.tag.into()),
            ("args", self.args),
            ("kwargs", self.kwargs),
            ("peer", self.peer.map_or(Value::Null, Value::from)),
            ("deadline_ms", self.deadline_ms.map_or(Value::Null, Value::from)),
        ];
        Value::Map(entries.map(|(key, value)| (key.into(), value)).into())
    }
}

/// A file that has arrived, as the node tells of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Received {
    /// Id of the node that sent it.
    pub(crate) from: Option<String>,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// What the node wants of a program that serves. Each request is to be answered.
pub(crate) enum Word {
    /// Do this; the answer is the value.
    Call(Request, Given),
    /// Nobody waits for the call with this number any more; the answer is null, when the work has really ended.
    Cancel(Request, u64),
    /// The node has taken a file. This is answered already.
    Received(Received),
}

impl Control {
    /// Offers a service, from now on until the connection ends or [`withdraw`](Self::withdraw).
    pub(crate) async fn serve(&self, tag: &str, offer: &Offer) -> Result<(), Abort> {
        self.channel.request(&("peerage/local/serve", (tag,), offer)).await.map_err(ended)
    }

    /// Offers it no longer. Calls that were handed over go on.
    pub(crate) async fn withdraw(&self, tag: &str) -> Result<(), Abort> {
        #[derive(Serialize)]
        struct End {
            end: bool,
        }
        self.channel.request(&("peerage/local/serve", (tag,), End { end: true })).await.map_err(ended)
    }

    /// What the node wants next; `None` when it has gone. Only after [`serve`](Self::serve).
    ///
    /// Cancel-safe: dropping the future loses no word.
    pub(crate) async fn next_word(&mut self) -> Option<Word> {
        loop {
            let request = self.channel.next_request().await?;
            if let Ok((kind, (given,), _)) = request.content::<(String, (Given,), Value)>()
                && kind == "call"
            {
                return Some(Word::Call(request, given));
            }
            if let Ok((kind, (Number { call },), _)) = request.content::<(String, (Number,), Value)>()
                && kind == "cancel"
            {
                return Some(Word::Cancel(request, call));
            }
            if let Ok((kind, (file,), _)) = request.content::<(String, (Received,), Value)>()
                && kind == "received"
            {
                request.reply(&Value::Null);
                return Some(Word::Received(file));
            }
            // A newer node tells things that this program has no word for.
            tracing::debug!("skipped a word of the node");
            request.reply(&Value::Null);
        }
    }
}

#[derive(Deserialize)]
struct Number {
    call: u64,
}
