//! What one direction of a link carries, as a bystander reads it.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::channel::{Config, Side};
use crate::codec::{Encoding, Form, Payload, decompress};
use crate::frame::{Body, Dialect, FrameDecoder, Kind};
use crate::limits;
use crate::outcome::Stop;

/// Reads the bytes that one end writes.
#[derive(Debug)]
pub(super) struct Tap {
    decoder: FrameDecoder,
    dialect: Dialect,
    last_request: Option<u64>,
    last_number: Option<u64>,
    /// How often each id was asked here.
    asked: BTreeMap<u64, u32>,
    /// How often each id was answered here.
    answered: BTreeMap<u64, u32>,
    /// What items of each id have cost here.
    items: BTreeMap<u64, u64>,
    /// What was granted here under each id.
    granted: BTreeMap<u64, u64>,
    /// What events of each subscription have cost here, and what was granted for them.
    events: BTreeMap<u64, u64>,
    events_granted: BTreeMap<u64, u64>,
    /// A frame could not be read; the rest says nothing.
    is_lost: bool,
    /// The form of the frames of an honest end, from its first one on.
    form: Option<Form>,
    /// The last thing an honest end said about forms that wants an answer: its proposal, or its mark.
    pub(super) talk: Option<Talk>,
}

/// What an end has said about the form of frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum Talk {
    /// It proposes.
    Proposed { id: u64, form: Form },
    /// It has agreed, and waits for the mark of the other end.
    Agreed { id: u64, form: Form },
}

/// A frame that went by.
#[derive(Debug)]
pub(super) enum Seen {
    /// A request, with the number of the call if it is one of ours.
    Request { id: u64, number: Option<u64> },
    /// The word that its caller has given up.
    Cancel { id: u64 },
    /// A final answer to a request.
    Answer { id: u64 },
    /// Credit for who sends items under this id.
    Credit { id: u64 },
    /// Events of this subscription.
    Events { number: u64 },
    /// Credit for who sends them.
    Grant { number: u64 },
    /// Anything else.
    Other,
}

impl Tap {
    pub(super) fn new(config: &Config) -> Tap {
        Tap {
            decoder: FrameDecoder::new(config.frame_bytes.max(limits::FRAME_BYTES_MIN)),
            dialect: config.dialect,
            last_request: None,
            last_number: None,
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            items: BTreeMap::new(),
            granted: BTreeMap::new(),
            events: BTreeMap::new(),
            events_granted: BTreeMap::new(),
            is_lost: false,
            form: None,
            talk: None,
        }
    }

    /// Reads what an honest end wrote; it must be in order in every respect, and in the form that was agreed on.
    pub(super) fn hear_honest(&mut self, mut bytes: &[u8], side: Side) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(body) = self.decoder.next(&mut bytes).expect("an end keeps to its own frame limit") {
            let first = *body.bytes().first().expect("an end writes no empty frame");
            let form = *self.form.get_or_insert_with(|| Form::plain(Encoding::recognise(first).expect("a codec")));
            let triple = form.encoding().split(body.bytes()).expect("an end writes well-formed frames in its form");
            let content = part(&body, form.encoding(), triple.content);
            let (kind, content) = match Kind::from_compressed(triple.kind, self.dialect) {
                Some(kind) => {
                    assert_eq!(form, Form::COMPRESSED, "only what was agreed on is compressed");
                    (kind, decompress(content.bytes(), u32::MAX).expect("an end writes blocks that open"))
                }
                None => {
                    let kind = Kind::from_number(triple.kind, self.dialect);
                    (kind.expect("an end writes kinds of its dialect only"), content)
                }
            };
            assert!(content.decode::<IgnoredAny>().is_ok(), "an end writes content that can be opened");
            self.follow_talk(kind, triple.id, &content);
            seen.push(self.frame(kind, triple.id, &content));
            if kind == Kind::Cancel {
                assert!(self.asked.contains_key(&triple.id), "a cancel never overtakes its request");
            }
            if matches!(kind, Kind::Request | Kind::Open | Kind::Notification) {
                self.check_order(triple.id, seen.last(), side);
            }
        }
        seen
    }

    /// Frames behind a mark are in the new form.
    fn follow_talk(&mut self, kind: Kind, id: u64, content: &Payload) {
        if !matches!(kind, Kind::Propose | Kind::Agree) {
            return;
        }
        let (encoding, compression) = content.decode().expect("a form is two numbers");
        let form = Form::from_numbers(encoding, compression).expect("an end names forms that exist");
        if kind == Kind::Propose {
            self.talk = Some(Talk::Proposed { id, form });
        } else {
            self.form = Some(form);
            self.talk = Some(Talk::Agreed { id, form });
        }
    }

    /// Reads what a peer of unknown honesty wrote, as far as it can be read.
    pub(super) fn hear(&mut self, mut bytes: &[u8], encoding: Option<Encoding>) {
        while !self.is_lost && !bytes.is_empty() {
            let Ok(next) = self.decoder.next(&mut bytes) else {
                return self.is_lost = true;
            };
            let Some(body) = next else { return };
            // In the full dialect the encoding may change, and what was meant shows in the first byte.
            let known = encoding.filter(|_| self.dialect == Dialect::Plain);
            let recognised = known.or_else(|| Encoding::recognise(*body.bytes().first()?));
            let split = recognised.and_then(|encoding| Some((encoding, encoding.split(body.bytes()).ok()?)));
            let Some((encoding, triple)) = split else {
                return self.is_lost = true;
            };
            let compressed = Kind::from_compressed(triple.kind, self.dialect);
            if let Some(kind) = Kind::from_number(triple.kind, self.dialect).or(compressed) {
                self.frame(kind, triple.id, &part(&body, encoding, triple.content));
            }
        }
    }

    pub(super) fn times_asked(&self, id: u64) -> u32 {
        self.asked.get(&id).copied().unwrap_or(0)
    }

    /// What items of this id have cost here.
    pub(super) fn spent(&self, id: u64) -> u64 {
        self.items.get(&id).copied().unwrap_or(0)
    }

    /// What was granted here under this id.
    pub(super) fn granted(&self, id: u64) -> u64 {
        self.granted.get(&id).copied().unwrap_or(0)
    }

    /// What events of this subscription have cost here.
    pub(super) fn spent_events(&self, number: u64) -> u64 {
        self.events.get(&number).copied().unwrap_or(0)
    }

    /// What was granted for them here.
    pub(super) fn granted_events(&self, number: u64) -> u64 {
        self.events_granted.get(&number).copied().unwrap_or(0)
    }

    pub(super) fn times_answered(&self, id: u64) -> u32 {
        self.answered.get(&id).copied().unwrap_or(0)
    }

    fn frame(&mut self, kind: Kind, id: u64, content: &Payload) -> Seen {
        let is_answer = match kind {
            Kind::Request | Kind::Open => {
                *self.asked.entry(id).or_default() += 1;
                return Seen::Request {
                    id,
                    number: content.decode().ok().map(|(number, _): (u64, IgnoredAny)| number),
                };
            }
            Kind::Item | Kind::Part => {
                let cost = content.len().saturating_add(limits::ITEM_OVERHEAD_BYTES) as u64;
                let sum = self.items.entry(id).or_default();
                *sum = sum.saturating_add(cost);
                return Seen::Other;
            }
            Kind::Credit => {
                let sum = self.granted.entry(id).or_default();
                *sum = sum.saturating_add(content.decode().unwrap_or(0));
                return Seen::Credit { id };
            }
            Kind::Events | Kind::EventsPart => {
                let cost = content.len().saturating_add(limits::ITEM_OVERHEAD_BYTES) as u64;
                let sum = self.events.entry(id).or_default();
                *sum = sum.saturating_add(cost);
                return Seen::Events { number: id };
            }
            Kind::Grant => {
                let sum = self.events_granted.entry(id).or_default();
                *sum = sum.saturating_add(content.decode().unwrap_or(0));
                return Seen::Grant { number: id };
            }
            Kind::Cancel => return Seen::Cancel { id },
            Kind::Result | Kind::Exception | Kind::Busy | Kind::Rejected => true,
            // The word on work that was done already comes beside its answer.
            Kind::Stopped => content.decode().ok().and_then(Stop::from_number) != Some(Stop::Completed),
            _ => false,
        };
        if !is_answer {
            return Seen::Other;
        }
        *self.answered.entry(id).or_default() += 1;
        Seen::Answer { id }
    }

    /// Requests of one end rise, in its ids and in the order of its calls.
    fn check_order(&mut self, id: u64, seen: Option<&Seen>, side: Side) {
        assert!(self.last_request.is_none_or(|last| id > last), "request ids rise");
        if self.dialect == Dialect::Full {
            assert_eq!(id % 2, u64::from(side == Side::Acceptor), "request ids have the parity of their end");
        }
        self.last_request = Some(id);
        if let Some(Seen::Request { number: Some(number), .. }) = seen {
            assert!(
                self.last_number.is_none_or(|last| *number > last),
                "O3: requests leave in the order of their calls"
            );
            self.last_number = Some(*number);
        }
    }
}

fn part(body: &Body<'_>, encoding: Encoding, range: Range<usize>) -> Payload {
    Payload::from_parts(encoding, Bytes::copy_from_slice(&body.bytes()[range]))
}
