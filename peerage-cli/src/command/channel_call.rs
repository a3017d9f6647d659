//! `peerage channel call`: one plain request, or many on one connection.
//!
//! Each call has its own deadline, which counts from its start and includes connecting. Several calls share one
//! connection; when it is lost, the next call makes a new one, so that a run goes on through a restart of the server.
//!
//! ```text
//!   one call, or several ──call──▶ Line: one connection, made by whoever needs it first
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peerage::address::Address;
use peerage::codec::{BadTriple, NotationError};
use peerage::outcome::{LinkLost, NotSent, PeerMisbehaved};
use peerage::{CallError, Channel, DialError, Encoding, Payload, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout_at};

use crate::args::{ChannelCall, written_duration};
use crate::content;
use crate::exit::{Abort, Exit};
use crate::outcome::{Asked, Ended, Fault, Peer};
use crate::output::{self, Form};
use crate::runtime::{self, Interrupts};
use crate::several::{Ends as _, Several};

pub(super) fn run(typed: ChannelCall) -> Result<Exit, Abort> {
    let plan = Plan::of(typed)?;
    runtime::on_one_thread(async {
        match plan.times {
            None => plan.one().await,
            Some(times) => plan.many(times).await,
        }
    })
}

/// What is meant.
struct Plan {
    line: Arc<Line>,
    /// `None`: one call and its outcome. Else so many, and their sum.
    times: Option<u32>,
    at_once: u16,
    form: Form,
}

impl Plan {
    fn of(typed: ChannelCall) -> Result<Plan, Abort> {
        let address = typed.place.0;
        let codec = codec(&address, typed.codec.map(Encoding::from))?.unwrap_or(Encoding::Json);
        let retry = typed.retry.filter(|retry| !retry.is_zero());
        if let Some(retry) = retry.filter(|retry| *retry > typed.timeout) {
            let (retry, timeout) = (written_duration(retry), written_duration(typed.timeout));
            return Err(Abort::Usage(format!(
                "--retry {retry} is longer than --timeout {timeout}, which bounds the whole call: say a longer --timeout too"
            )));
        }
        if typed.concurrency > 1 && typed.repeat.is_none() {
            return Err(Abort::Usage("--concurrency is for several calls: say --repeat N too".to_owned()));
        }
        let content = match content::parse(&content::text_of(&typed.content)?) {
            Ok(value) => Payload::encode(&value, codec).map_err(|why| why.to_string()),
            Err(NotationError::Json(why)) => Err(why.to_string()),
            Err(why) => return Err(Abort::Usage(format!("CONTENT: {why}"))),
        };
        let form = Form::of(typed.json, typed.jsonl);
        // A stream always has its closing record, even for one call.
        let times = typed.repeat.or((form == Form::Jsonl).then_some(1));
        let line = Line { address, codec, content, timeout: typed.timeout, retry, channel: Mutex::new(None) };
        Ok(Plan { line: Arc::new(line), times, at_once: typed.concurrency, form })
    }

    async fn one(self) -> Result<Exit, Abort> {
        let (stop, stopped) = watch::channel(false);
        let mut interrupts = Interrupts::listen()?;
        let call = self.line.call(stopped);
        tokio::pin!(call);
        let ended = tokio::select! {
            ended = &mut call => ended,
            () = interrupts.next() => {
                stop.send_replace(true);
                call.await
            }
        };
        match (self.form, &ended.result) {
            (Form::Text, Ok(value)) => output::line(&output::harmless(&value.to_string()))?,
            (Form::Text, Err(_)) => ended.complaint().iter().for_each(|text| output::complain(text)),
            (Form::Json | Form::Jsonl, _) => output::object(&ended.as_record(None))?,
        }
        Ok(Exit::of(ended.outcome()))
    }

    async fn many(self, times: u32) -> Result<Exit, Abort> {
        let mut interrupts = Interrupts::listen()?;
        let several = Several { times, at_once: self.at_once, form: self.form };
        let line = self.line;
        let call = move |stopped| {
            let line = line.clone();
            async move { line.call(stopped).await }
        };
        several.make(call, &mut interrupts).await
    }
}

/// The codec that was named: by the option, by the address, or by both if they agree.
pub(super) fn codec(address: &Address, option: Option<Encoding>) -> Result<Option<Encoding>, Abort> {
    match (option, address.codec()) {
        (Some(option), Some(there)) if option != there => {
            Err(Abort::Usage(format!("--codec {option} and ?codec={there} of the address disagree: leave one out")))
        }
        (option, there) => Ok(option.or(there)),
    }
}

/// The connection that all calls share, and what each call sends.
struct Line {
    address: Address,
    codec: Encoding,
    content: Result<Payload, String>,
    timeout: Duration,
    retry: Option<Duration>,
    channel: Mutex<Option<Arc<Channel>>>,
}

impl Line {
    /// Makes one call, until it ends or is stopped.
    async fn call(&self, mut stopped: watch::Receiver<bool>) -> Ended {
        let began = Instant::now();
        let may_have_left = AtomicBool::new(false);
        let result = tokio::select! {
            result = self.ask(began + self.timeout, &may_have_left) => result,
            _ = stopped.wait_for(|stopped| *stopped) => {
                Err(Fault::interrupted(may_have_left.load(Ordering::Relaxed)))
            }
        };
        Ended { result, elapsed: began.elapsed() }
    }

    async fn ask(&self, deadline: Instant, may_have_left: &AtomicBool) -> Result<Value, Fault> {
        let content = self.content.clone().map_err(Fault::refused)?;
        loop {
            let (channel, is_new) = match timeout_at(deadline, self.channel(deadline)).await {
                Ok(Ok(found)) => found,
                Ok(Err(why)) => return Err(Fault::not_connected(&why, self.asked())),
                Err(_) => return Err(Fault::not_connected_in_time(self.asked())),
            };
            may_have_left.store(true, Ordering::Relaxed);
            let left = deadline.saturating_duration_since(Instant::now());
            match open(channel.request_payload(content.clone()).deadline(left).await) {
                Ok(value) => return Ok(value),
                // The connection of an earlier call had ended without our knowing. Nothing was written, so this is
                // still the first attempt.
                Err(CallError::NotSent { why: NotSent::NoRoute }) if !is_new && ended(&channel).await.is_some() => {}
                Err(error) => return Err(Fault::of_call(error, self.asked(), shown_by(&channel).await)),
            }
        }
    }

    /// The connection, made anew if there is none any more, and whether it was.
    async fn channel(&self, deadline: Instant) -> Result<(Arc<Channel>, bool), DialError> {
        let mut known = self.channel.lock().await;
        if let Some(channel) = &*known
            && ended(channel).await.is_none()
        {
            return Ok((channel.clone(), false));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = self.retry.map_or(left, |retry| retry.min(left));
        let connect = Channel::connect(&self.address).encoding(self.codec).timeout(timeout);
        let channel = Arc::new(connect.retry(self.retry.is_some()).await?);
        *known = Some(channel.clone());
        Ok((channel, true))
    }

    fn asked(&self) -> Asked<'_> {
        Asked { address: &self.address, codec: self.codec, timeout: self.timeout, retry: self.retry }
    }
}

/// The answer as a value of no type known in advance.
fn open(answer: Result<Payload, CallError>) -> Result<Value, CallError> {
    answer?.decode().map_err(|why| CallError::Protocol { why: format!("the answer cannot be opened: {why}") })
}

/// Why a connection has ended, if it has.
async fn ended(channel: &Channel) -> Option<LinkLost> {
    tokio::select! {
        biased;
        why = channel.ended() => Some(why),
        () = std::future::ready(()) => None,
    }
}

/// What a connection has shown of its peer.
async fn shown_by(channel: &Channel) -> Peer {
    match ended(channel).await {
        Some(LinkLost::Misbehaved(PeerMisbehaved::BadFrame(BadTriple::OtherCodec { found, .. }))) => {
            Peer::Speaks(found)
        }
        _ if channel.counters().bytes_in > 0 => Peer::Heard,
        _ => Peer::Silent,
    }
}
