//! `peerage channel call`: one plain request, or many on one connection.
//!
//! Each call has its own deadline, which counts from its start and includes connecting. Several calls share one
//! connection; when it is lost, the next call makes a new one, so that a run goes on through a restart of the server.
//!
//! ```text
//!   workers (--concurrency) ──call──▶ Line: one connection, made by whoever needs it first
//!         └── how each ended ──▶ print and count ──▶ closing record
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use peerage::address::Address;
use peerage::codec::{BadTriple, NotationError};
use peerage::outcome::{Class, LinkLost, NotSent, Outcome, PeerMisbehaved};
use peerage::{CallError, Channel, DialError, Encoding, Payload, Value};
use serde::Serialize;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::args::{ChannelCall, written_duration};
use crate::content;
use crate::exit::{Abort, Exit};
use crate::outcome::{Asked, Ended, Fault, Peer, micros};
use crate::output;
use crate::runtime::{self, Interrupts};

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

/// How results are printed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Text,
    Json,
    Jsonl,
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
        let form = match (typed.json, typed.jsonl) {
            (_, true) => Form::Jsonl,
            (true, false) => Form::Json,
            (false, false) => Form::Text,
        };
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
            (Form::Json | Form::Jsonl, _) => output::object(&ended.record(None))?,
        }
        Ok(Exit::of(ended.outcome()))
    }

    async fn many(self, times: u32) -> Result<Exit, Abort> {
        let began = Instant::now();
        let mut interrupts = Interrupts::listen()?;
        let (stop, stopped) = watch::channel(false);
        let mut ends = self.start_workers(times, &stopped);
        let mut tally = Tally::default();
        loop {
            tokio::select! {
                end = ends.recv() => match end {
                    Some((n, ended)) => self.tell(n, &ended, &mut tally)?,
                    None => break,
                },
                () = interrupts.next() => {
                    tally.interrupted = true;
                    stop.send_replace(true);
                }
            }
        }
        let closing = tally.closing(began.elapsed());
        match self.form {
            Form::Text => output::line(&closing.text())?,
            Form::Json => output::object(&closing)?,
            Form::Jsonl => output::record(&closing)?,
        }
        Ok(tally.exit())
    }

    fn start_workers(&self, times: u32, stopped: &watch::Receiver<bool>) -> mpsc::Receiver<(u64, Ended)> {
        let workers = times.min(u32::from(self.at_once));
        let (tell, ends) = mpsc::channel(usize::from(self.at_once));
        let taken = Arc::new(AtomicU64::new(0));
        for _ in 0..workers {
            let (line, stopped, tell, taken) = (self.line.clone(), stopped.clone(), tell.clone(), taken.clone());
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    let n = taken.fetch_add(1, Ordering::Relaxed) + 1;
                    if n > u64::from(times) || tell.send((n, line.call(stopped.clone()).await)).await.is_err() {
                        break;
                    }
                }
            });
        }
        ends
    }

    fn tell(&self, n: u64, ended: &Ended, tally: &mut Tally) -> Result<(), Abort> {
        let is_new = tally.count(ended);
        match self.form {
            Form::Jsonl => output::record(&ended.record(Some(n)))?,
            // One line for each kind of failure: the next thousand say nothing new.
            Form::Text if is_new => ended.complaint().iter().for_each(|text| output::complain(text)),
            Form::Text | Form::Json => {}
        }
        Ok(())
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

/// What several calls came to.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<Outcome, u64>,
    /// Microseconds of the calls that were answered.
    ok_us: Vec<u32>,
    interrupted: bool,
}

impl Tally {
    /// Counts a call; whether it is the first with this outcome.
    fn count(&mut self, ended: &Ended) -> bool {
        let outcome = ended.outcome();
        if outcome == Outcome::Ok {
            self.ok_us.push(u32::try_from(ended.elapsed.as_micros()).unwrap_or(u32::MAX));
        }
        let count = self.outcomes.entry(outcome).or_default();
        *count += 1;
        *count == 1
    }

    fn closing(&mut self, elapsed: Duration) -> Closing {
        self.ok_us.sort_unstable();
        let of = |class| self.outcomes.iter().filter(|(outcome, _)| outcome.class() == class).map(|(_, n)| n).sum();
        Closing {
            end: true,
            asked: self.outcomes.values().sum(),
            ok: of(Class::Ok),
            failed: of(Class::Failed),
            unknown: of(Class::Unknown),
            did_not_run: of(Class::DidNotRun),
            outcomes: self.outcomes.iter().map(|(outcome, count)| (outcome.name(), *count)).collect(),
            p50_us: self.percentile(50),
            p99_us: self.percentile(99),
            elapsed_us: micros(elapsed),
        }
    }

    fn exit(&self) -> Exit {
        match Exit::of_all(self.outcomes.keys().copied()) {
            Exit::Ok if self.interrupted => Exit::Failed,
            exit => exit,
        }
    }

    /// The time within which so many per cent of the answers came. The times are sorted.
    fn percentile(&self, per_cent: usize) -> Option<u32> {
        let rank = (self.ok_us.len() * per_cent).div_ceil(100);
        self.ok_us.get(rank.saturating_sub(1)).copied()
    }
}

/// The record that closes a run of several calls.
#[derive(Serialize)]
struct Closing {
    end: bool,
    asked: u64,
    ok: u64,
    failed: u64,
    unknown: u64,
    did_not_run: u64,
    outcomes: BTreeMap<&'static str, u64>,
    p50_us: Option<u32>,
    p99_us: Option<u32>,
    elapsed_us: u64,
}

impl Closing {
    fn text(&self) -> String {
        let outcomes: Vec<String> = self.outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let times = match (self.p50_us, self.p99_us) {
            (Some(p50), Some(p99)) => format!("; half within {p50} µs, 99 of 100 within {p99} µs"),
            _ => String::new(),
        };
        let seconds = Duration::from_micros(self.elapsed_us).as_secs_f64();
        format!("{} calls: {}{times}; {seconds:.3} s in all", self.asked, outcomes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let tally = |times: &[u32]| Tally { ok_us: times.to_vec(), ..Tally::default() };
        assert_eq!(tally(&[]).percentile(50), None);
        assert_eq!(tally(&[7]).percentile(99), Some(7));
        assert_eq!(tally(&[1, 2, 3, 4]).percentile(50), Some(2));
        assert_eq!(tally(&(1..=200).collect::<Vec<_>>()).percentile(99), Some(198));
    }
}
