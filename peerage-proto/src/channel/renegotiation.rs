//! Changing the form of frames, and contents in a compressed form.

use std::time::Instant;

use super::content::Part;
use super::forms::{OutOfTurn, Step};
use super::in_flight::Ending;
use super::serving::Sort;
use super::{Channel, Output, Phase, count};
use crate::codec::{BadBlock, Compression, Form, Payload, decompress};
use crate::frame::{Dialect, Kind};
use crate::outcome::{CallError, PeerMisbehaved};

impl Channel {
    /// The application wants another form.
    pub(super) fn propose(&mut self, now: Instant, form: Form) {
        // An ended link has said its last word.
        let Some(present) = self.form().filter(|_| !self.is_ended()) else { return };
        if self.config.dialect != Dialect::Full || self.phase != Phase::Open {
            self.orders.push_back(Output::Declined(present));
            return;
        }
        let step = self.forms.propose(present, form);
        self.take_steps(now, step);
    }

    /// The peer says something about the form of frames.
    pub(super) fn heard_of_forms(
        &mut self,
        now: Instant,
        kind: Kind,
        id: u64,
        content: &Payload,
    ) -> Result<(), PeerMisbehaved> {
        let out_of_turn = |OutOfTurn| PeerMisbehaved::Unasked(kind.number().into());
        let form = |name| {
            let numbers: Result<(u64, u64), _> = content.decode();
            numbers.map(|(a, b)| Form::from_numbers(a, b)).map_err(|_| PeerMisbehaved::BadContent(name))
        };
        match kind {
            Kind::Propose => {
                let steps = self.forms.proposed(id, form("propose")?).map_err(out_of_turn)?;
                self.take_steps(now, steps.into_iter().flatten());
            }
            Kind::Agree => {
                let form = form("agree")?.ok_or(PeerMisbehaved::BadContent("agree"))?;
                let steps = self.forms.agreed(id, form).map_err(out_of_turn)?;
                self.take_steps(now, steps.into_iter().flatten());
            }
            _ => {
                let step = self.forms.declined(id).map_err(out_of_turn)?;
                self.take_steps(now, Some(step));
            }
        }
        Ok(())
    }

    fn take_steps(&mut self, now: Instant, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            match step {
                Step::Propose(id, form) => {
                    self.thrift.spend(now);
                    self.put_value(Kind::Propose, id, &form.numbers());
                }
                Step::Mark(id, form) => self.mark_direction(id, form),
                Step::Decline(id) => self.put_empty(Kind::Decline, id),
                Step::Read(form) => self.reading = Some(form),
                Step::Done(form) => self.orders.push_back(Output::Agreed(form)),
                Step::Declined => {
                    let present = self.form();
                    self.orders.extend(present.map(Output::Declined));
                }
            }
        }
        if let Some(present) = self.form()
            && let Some(step) = self.forms.propose_wish(present)
        {
            self.take_steps(now, Some(step));
        }
    }

    /// Ends the old form in our direction. Whatever is queued by now was written in it and leaves before the mark;
    /// whatever comes later is written in the new one and leaves behind it.
    fn mark_direction(&mut self, id: u64, form: Form) {
        let Some(old) = self.encoding else { return };
        let place = self.outgoing.end();
        if let Ok(content) = Payload::encode(&form.numbers(), old) {
            let fits = self.put_frame(Kind::Agree, id, Part::Shared(content.bytes()));
            debug_assert!(fits.is_ok(), "two numbers fit into the smallest frame");
        }
        self.outgoing.let_none_overtake(place);
        self.encoding = Some(form.encoding());
        self.compresses = form.compression() == Compression::Lz4;
        if form.encoding() != old {
            self.transcode_streams(form.encoding());
        }
    }

    /// A frame whose content is compressed.
    pub(super) fn compressed(
        &mut self,
        now: Instant,
        kind: Kind,
        id: u64,
        content: &[u8],
    ) -> Result<(), PeerMisbehaved> {
        if self.reading.is_none_or(|form| form.compression() == Compression::None) {
            let number = u64::from(kind.number()).saturating_add(Kind::COMPRESSED.into());
            return Err(PeerMisbehaved::NotAgreed(number));
        }
        match decompress(content, self.config.frame_bytes) {
            Ok(payload) if kind == Kind::Request => self.request(Sort::Request, id, || payload),
            Ok(payload) => {
                self.answer(kind, id, || payload);
                Ok(())
            }
            Err(why) => self.does_not_decompress(now, kind, id, &why),
        }
    }

    /// The call that the frame belongs to fails, and no other; the peer is asked to leave compression alone.
    fn does_not_decompress(&mut self, now: Instant, kind: Kind, id: u64, why: &BadBlock) -> Result<(), PeerMisbehaved> {
        count(&mut self.counters.bad_blocks, 1);
        let why = format!("the content does not decompress: {why}");
        if kind == Kind::Request {
            self.count_request(id)?;
            self.put_rejection_ahead(id, why);
        } else {
            self.answered(id, || Ending::Failed(Box::new(CallError::Protocol { why })));
        }
        self.forms.refuse_compression();
        self.take_steps(now, None);
        Ok(())
    }
}
