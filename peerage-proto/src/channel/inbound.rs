//! What arrives: frames of the peer, and our answers to its requests.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::in_flight::Ending;
use super::pieces::Pieces;
use super::serving::Sort;
use super::{Channel, Output, Phase, StreamId, count};
use crate::codec::{Encoding, Form, Payload, Value};
use crate::frame::{Body, Dialect, Kind};
use crate::id::RequestId;
use crate::limits;
use crate::outcome::{Busy, CallError, Code, LinkLost, PeerMisbehaved, Refused, Stop};
use crate::planted::{self, Bug};

impl Channel {
    pub(super) fn received(&mut self, now: Instant, bytes: &[u8]) {
        if self.phase != Phase::Open {
            return;
        }
        count(&mut self.counters.bytes_in, bytes.len() as u64);
        self.heard(now);
        if self.held.is_empty() {
            let rest = self.frames(now, bytes);
            self.held = Bytes::copy_from_slice(rest);
        } else {
            self.held = Bytes::from([&self.held, bytes].concat());
        }
    }

    /// Goes on with bytes that had to wait for room, and with the end of the peer's direction behind them.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.held.is_empty() || !self.has_room() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let left = self.frames(now, &held).len();
        if self.phase == Phase::Open {
            self.held = held.slice(held.len().saturating_sub(left)..);
            if left == 0 && self.peer_is_closed {
                self.peer_closed();
            }
        }
    }

    /// Takes in whole frames while there is room for what they ask. Returns what must wait.
    ///
    /// One read may bring thousands of requests; without this check they would all be admitted at once.
    fn frames<'a>(&mut self, now: Instant, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        let mut pieces = Pieces::of(bytes);
        while self.has_room() {
            let misbehaved = match self.decoder.next(&mut rest) {
                Ok(Some(body)) => self.frame(now, &body, &mut pieces, rest).err(),
                Ok(None) => break,
                Err(misbehaved) => Some(misbehaved),
            };
            if let Some(misbehaved) = misbehaved {
                self.end(LinkLost::Misbehaved(misbehaved));
                return &[];
            }
        }
        self.progress = self.decoder.is_partial().then_some(now);
        rest
    }

    /// Whether another frame of the peer could be taken in.
    pub(super) fn has_room(&self) -> bool {
        let crowded =
            self.config.dialect == Dialect::Plain && self.serving.len() >= self.config.served_at_once as usize;
        // Behind a pause reading goes on in any case: what ends the waiting is behind the requests that wait.
        !crowded && (self.serving.unread() < limits::UNREAD_REQUEST_BYTES || self.watch.is_gated())
    }

    /// Whether work on a request may start: not while the peer leaves too many answers unread, nor behind a pause.
    ///
    /// Reading goes on all the same. The answers that we wait for stand behind those requests, and two ends of which each
    /// read no more before the other has read would wait for ever.
    fn starts_work(&self) -> bool {
        self.outgoing.len() < limits::UNSENT_REPLY_BYTES && !self.watch.is_gated()
    }

    /// Hands over the requests that had to wait for answers to be written.
    pub(super) fn release_withheld(&mut self) {
        while self.starts_work()
            && let Some((request, content)) = self.serving.next_withheld()
        {
            self.orders.push_back(Output::Request { request, content });
        }
    }

    /// Takes in one frame, which ends where `rest` of the bytes begins.
    fn frame(
        &mut self,
        now: Instant,
        body: &Body<'_>,
        pieces: &mut Pieces<'_>,
        rest: &[u8],
    ) -> Result<(), PeerMisbehaved> {
        let encoding = self.form_of(body.bytes())?.encoding();
        let triple = encoding.split(body.bytes()).map_err(PeerMisbehaved::BadFrame)?;
        let Some(kind) = Kind::from_number(triple.kind, self.config.dialect) else {
            if let Some(kind) = Kind::from_compressed(triple.kind, self.config.dialect) {
                return self.compressed(now, kind, triple.id, &body.bytes()[triple.content]);
            }
            if self.config.dialect == Dialect::Full && triple.kind >= Kind::SKIPPABLE_FROM {
                count(&mut self.counters.skipped_frames, 1);
                return Ok(());
            }
            return Err(PeerMisbehaved::UnknownKind(triple.kind));
        };
        let mut content = || Payload::from_parts(encoding, pieces.part(body, triple.content.clone(), rest));
        let id = triple.id;
        match kind {
            Kind::Request => self.request(Sort::Request, id, content)?,
            Kind::Result => {
                let awaited = self.answered(id, || match body {
                    Body::InPlace(bytes) => Ending::Value(encoding, &bytes[triple.content.clone()]),
                    Body::Assembled(_) => Ending::Owned(content()),
                });
                if awaited {
                    self.thrift.completed();
                }
            }
            Kind::Exception => self.answer(kind, id, content),
            Kind::Notification => self.request(Sort::Notification, id, content)?,
            Kind::Open => self.request(Sort::Conversation, id, content)?,
            Kind::Item | Kind::Part | Kind::End | Kind::Credit => {
                let content = content();
                self.hear_stream(now, kind, id, content)?;
            }
            Kind::Events | Kind::EventsPart | Kind::Over => {
                let content = content();
                self.hear_events(kind, id, content)?;
            }
            Kind::Subscribe | Kind::Unsubscribe | Kind::Grant | Kind::Confirmed => {
                let content = Payload::from_parts(encoding, Pieces::alone(body, triple.content));
                self.hear_subscriber(now, kind, id, content)?;
            }
            // A word may wait for the node, and must not hold what came beside it for so long.
            kind => self.word(now, kind, id, Payload::from_parts(encoding, Pieces::alone(body, triple.content)))?,
        }
        Ok(())
    }

    /// Takes in an answer whose content has memory of its own.
    pub(super) fn answer(&mut self, kind: Kind, id: u64, content: impl FnOnce() -> Payload) {
        let dialect = self.config.dialect;
        let awaited = self.answered(id, || match kind {
            Kind::Exception => Ending::Failed(Box::new(failure(&content(), dialect))),
            _ => Ending::Owned(content()),
        });
        if awaited {
            self.thrift.completed();
        }
    }

    /// Takes in a word about a request or about the link.
    fn word(&mut self, now: Instant, kind: Kind, id: u64, content: Payload) -> Result<(), PeerMisbehaved> {
        match kind {
            Kind::Stopped => {
                let number: u64 = content.decode().map_err(|_| PeerMisbehaved::BadContent("stopped"))?;
                self.thrift.stopped(id);
                self.stop_confirmed(id, Stop::from_number(number).unwrap_or(Stop::Unconfirmed));
            }
            Kind::Busy => {
                let (why, wait): (u64, u64) = content.decode().map_err(|_| PeerMisbehaved::BadContent("busy"))?;
                let why = Busy::from_number(why).unwrap_or(Busy::Overloaded);
                let retry_after = Duration::from_millis(wait).min(limits::RETRY_AFTER_MAX);
                self.answered(id, || Ending::Failed(Box::new(CallError::Busy { why, retry_after })));
            }
            Kind::Rejected => {
                let (why, detail): (u64, String) =
                    content.decode().map_err(|_| PeerMisbehaved::BadContent("rejected"))?;
                let why = Refused::from_peer(why, detail);
                self.answered(id, || Ending::Failed(Box::new(CallError::Refused { why })));
            }
            Kind::Cancel => {
                self.allowance.spend_cancel(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
                self.cancelled_by_peer(id);
            }
            Kind::Load => self.hear_load(now, &content)?,
            kind => {
                self.allowance.spend(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
                self.word_about_the_link(now, kind, id, content)?;
            }
        }
        Ok(())
    }

    fn word_about_the_link(
        &mut self,
        now: Instant,
        kind: Kind,
        id: u64,
        content: Payload,
    ) -> Result<(), PeerMisbehaved> {
        match kind {
            Kind::Ping => self.put_pong(now, id),
            Kind::Pong => {
                self.pong(now, id)?;
                self.hear_load_of_pong(&content);
            }
            Kind::Propose | Kind::Agree | Kind::Decline => self.heard_of_forms(now, kind, id, &content)?,
            kind => self.hear_node(now, kind, content)?,
        }
        Ok(())
    }

    /// The form of what is read, recognised from the first byte of the first body where it was left open.
    fn form_of(&mut self, body: &[u8]) -> Result<Form, PeerMisbehaved> {
        if let Some(form) = self.reading {
            return Ok(form);
        }
        let first = *body.first().ok_or(PeerMisbehaved::BadFrame(crate::codec::BadTriple::Empty))?;
        let encoding = Encoding::recognise(first).ok_or(PeerMisbehaved::UnknownCodec(first))?;
        self.encoding = Some(encoding);
        Ok(*self.reading.insert(Form::plain(encoding)))
    }

    /// A request arrived, whatever becomes of it.
    pub(super) fn count_request(&mut self, id: u64) -> Result<(), PeerMisbehaved> {
        count(&mut self.counters.requests, 1);
        if self.config.dialect == Dialect::Full { self.check_peer_id(id) } else { Ok(()) }
    }

    pub(super) fn request(
        &mut self,
        sort: Sort,
        id: u64,
        content: impl FnOnce() -> Payload,
    ) -> Result<(), PeerMisbehaved> {
        self.count_request(id)?;
        let full = self.config.dialect == Dialect::Full;
        if full {
            if self.standing.draining {
                self.turn_away(sort, id, Busy::Draining, RETRY_AFTER_DRAIN);
                return Ok(());
            }
            let more = usize::from(planted::is(Bug::WindowOffByOne));
            if self.serving.len() >= (self.config.served_at_once as usize).saturating_add(more) {
                self.turn_away(sort, id, Busy::LimitReached, RETRY_AFTER);
                return Ok(());
            }
            if self.watch.is_gated() && self.serving.unread() >= limits::UNREAD_REQUEST_BYTES {
                self.turn_away(sort, id, Busy::Overloaded, limits::RETRY_AFTER_PAUSE);
                return Ok(());
            }
        }
        let content = content();
        let indexed = full && sort != Sort::Notification;
        let request = self.serving.open(sort, RequestId(id), content.len(), indexed);
        if sort == Sort::Conversation {
            self.streams.open(StreamId { is_peers: true, id });
        }
        if self.starts_work() && !self.serving.is_withholding() {
            self.orders.push_back(Output::Request { request, content });
        } else {
            self.serving.withhold(request, content);
        }
        Ok(())
    }

    /// In the full dialect ids of one end have one parity and rise, so an id names one request for ever.
    fn check_peer_id(&mut self, id: u64) -> Result<(), PeerMisbehaved> {
        let ours = self.next_id % 2;
        if id % 2 == ours || self.peer_id.is_some_and(|last| id <= last) {
            return Err(PeerMisbehaved::BadRequestId(id));
        }
        self.peer_id = Some(id);
        Ok(())
    }
}

/// The failure that an exception frame reports: a text in the plain dialect, code, message and data in the full one.
pub(super) fn failure(content: &Payload, dialect: Dialect) -> CallError {
    if dialect == Dialect::Full
        && let Ok((code, message, data)) = content.decode::<(String, String, Option<Value>)>()
    {
        let data = data.and_then(|data| Payload::encode(&data, content.encoding()).ok());
        let code = Code::new(code);
        let lost = [(Code::HANDLER_LOST, LinkLost::HandlerEnded), (Code::ANSWER_LOST, LinkLost::AnswerForgotten)];
        return match lost.into_iter().find(|(word, _)| *word == code) {
            Some((_, why)) => CallError::ConnectionLost { why },
            None => CallError::Remote { code, message, data },
        };
    }
    match content.decode::<String>() {
        Ok(message) => CallError::Remote { code: Code::PLAIN, message, data: None },
        Err(_) => CallError::Remote {
            code: Code::PLAIN,
            message: "the peer's failure is not a text".to_owned(),
            data: Some(content.clone()),
        },
    }
}

/// The shortest wait a busy peer is asked for.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The wait a peer is asked for by an end that leaves: about as long as a process takes to start anew.
const RETRY_AFTER_DRAIN: Duration = Duration::from_secs(1);
