//! Agreeing on another form of frames while the link is in use (PROTOCOL §10.6).
//!
//! Each direction changes at a point of its own in its stream of frames, and the point is marked by a frame:
//!
//! ```text
//!   one end                                      other end
//!     ── propose n, form ──────────────────────▶
//!     ◀────────────────────────── agree n, form ──   the last frame in the old form in this direction
//!     ── agree n, form ────────────────────────▶     the last one in the other
//! ```
//!
//! Frames before a mark are read in the old form, those behind it in the new one, so none is lost and none is read
//! wrongly, however many are under way. Calls that are queued when their end agrees leave in the old form, in front of
//! the mark. An end that is not willing declines.
//!
//! Two proposals may cross. Then the dialler's stands: the dialler pays no heed to the acceptor's, and the acceptor
//! answers the dialler's as if it had made none.

use crate::codec::{Compression, Form};
use crate::frame::Side;

/// The talk of one end about the form of frames.
#[derive(Clone, Debug)]
pub(super) struct Forms {
    side: Side,
    /// Whether compressed forms may be agreed on.
    compression: bool,
    state: State,
    /// The peer declined to leave compression alone.
    is_stuck: bool,
    /// What to propose once the present talk is over.
    wish: Option<Form>,
    /// Number of our next proposal.
    next: u64,
}

/// How far the talk has come.
///
/// ```text
///   Quiet ──we propose──▶ Proposed ──they agree (and so do we)──▶ Quiet
///     │                      ├──they decline──────────────────────▶ Quiet
///     │                      └──acceptor only: they propose──┐
///     └──they propose, we agree──────────────────────────────┴──▶ Agreed ──they mark──▶ Quiet
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Quiet,
    /// We have proposed and wait for a word.
    Proposed(u64, Form),
    /// We write in the new form and wait for the mark behind which the peer does.
    Agreed(u64, Form),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Send a proposal.
    Propose(u64, Form),
    /// Mark our direction and write in this form behind the mark.
    Mark(u64, Form),
    /// Decline.
    Decline(u64),
    /// Read in this form behind the frame just read.
    Read(Form),
    /// The talk has ended with this form in force in both directions.
    Done(Form),
    /// The peer stays with the form there is.
    Declined,
}

/// The peer said something that does not follow from what was said before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OutOfTurn;

impl Forms {
    pub(super) fn new(side: Side, compression: bool) -> Forms {
        let next = if side == Side::Dialler { 0 } else { 1 };
        Forms { side, compression, state: State::Quiet, is_stuck: false, wish: None, next }
    }

    /// This end wants another form than `present`, now or after the present talk.
    pub(super) fn propose(&mut self, present: Form, form: Form) -> Option<Step> {
        if self.state != State::Quiet {
            self.wish = Some(form);
            return None;
        }
        if present == form {
            return Some(Step::Done(form));
        }
        if !self.accepts(form) {
            return Some(Step::Declined);
        }
        let id = self.next;
        self.next = self.next.saturating_add(2);
        self.state = State::Proposed(id, form);
        Some(Step::Propose(id, form))
    }

    /// What this end wants now that no talk goes on: what it wanted during the last one, or no compression any more.
    pub(super) fn propose_wish(&mut self, present: Form) -> Option<Step> {
        if self.state != State::Quiet {
            return None;
        }
        let fallback = !self.compression && !self.is_stuck && present.compression() == Compression::Lz4;
        let wish = self.wish.take().or_else(|| fallback.then(|| present.uncompressed()))?;
        self.propose(present, wish)
    }

    /// From now on no compressed form is agreed on, and one that is in use is to be left.
    pub(super) fn refuse_compression(&mut self) {
        self.compression = false;
    }

    /// The peer proposes; `None` is a form that does not exist here.
    pub(super) fn proposed(&mut self, id: u64, form: Option<Form>) -> Result<[Option<Step>; 2], OutOfTurn> {
        let crossed = match self.state {
            State::Agreed(..) => return Err(OutOfTurn),
            // They will see ours and answer it.
            State::Proposed(..) if self.side == Side::Dialler => return Ok([None, None]),
            State::Proposed(..) => true,
            State::Quiet => false,
        };
        match form.filter(|form| self.accepts(*form)) {
            Some(form) => {
                self.state = State::Agreed(id, form);
                Ok([Some(Step::Mark(id, form)), None])
            }
            None => {
                self.state = State::Quiet;
                // Ours came to nothing as well.
                Ok([Some(Step::Decline(id)), crossed.then_some(Step::Declined)])
            }
        }
    }

    /// The peer marks its direction: an answer to our proposal, or the end of its own.
    pub(super) fn agreed(&mut self, id: u64, form: Form) -> Result<[Option<Step>; 3], OutOfTurn> {
        let state = std::mem::replace(&mut self.state, State::Quiet);
        if state == State::Proposed(id, form) {
            Ok([Some(Step::Read(form)), Some(Step::Mark(id, form)), Some(Step::Done(form))])
        } else if state == State::Agreed(id, form) {
            Ok([Some(Step::Read(form)), Some(Step::Done(form)), None])
        } else {
            Err(OutOfTurn)
        }
    }

    /// The peer declines our proposal.
    pub(super) fn declined(&mut self, id: u64) -> Result<Step, OutOfTurn> {
        match self.state {
            State::Proposed(ours, form) if ours == id => {
                self.state = State::Quiet;
                // A peer that does not leave compression alone is not asked for ever.
                self.is_stuck |= form.compression() == Compression::None && !self.compression;
                Ok(Step::Declined)
            }
            _ => Err(OutOfTurn),
        }
    }

    fn accepts(&self, form: Form) -> bool {
        form.compression() == Compression::None || self.compression
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use super::*;
    use crate::codec::Encoding;

    const JSON: Form = Form::plain(Encoding::Json);
    const MSGPACK: Form = Form::plain(Encoding::MsgPack);

    #[test]
    fn a_proposal_that_is_agreed_changes_both_directions() {
        let (mut ada, mut bob) = (Forms::new(Side::Dialler, false), Forms::new(Side::Acceptor, false));
        assert_eq!(ada.propose(MSGPACK, JSON), Some(Step::Propose(0, JSON)));
        assert_eq!(bob.proposed(0, Some(JSON)), Ok([Some(Step::Mark(0, JSON)), None]));
        let steps = ada.agreed(0, JSON).map(|steps| steps.map(|step| step.expect("three")));
        assert_eq!(steps, Ok([Step::Read(JSON), Step::Mark(0, JSON), Step::Done(JSON)]));
        assert_eq!(bob.agreed(0, JSON), Ok([Some(Step::Read(JSON)), Some(Step::Done(JSON)), None]));
        assert_eq!((ada.state, bob.state), (State::Quiet, State::Quiet));
    }

    #[test]
    fn what_an_end_does_not_accept_or_know_is_declined() {
        let mut bob = Forms::new(Side::Acceptor, false);
        assert_eq!(bob.proposed(4, Some(Form::COMPRESSED)), Ok([Some(Step::Decline(4)), None]));
        assert_eq!(bob.proposed(6, None), Ok([Some(Step::Decline(6)), None]));
        let mut ada = Forms::new(Side::Dialler, true);
        assert_eq!(ada.propose(MSGPACK, Form::COMPRESSED), Some(Step::Propose(0, Form::COMPRESSED)));
        assert_eq!(ada.declined(0), Ok(Step::Declined));
        assert_eq!(ada.propose(MSGPACK, JSON), Some(Step::Propose(2, JSON)), "numbers are not used twice");
    }

    #[test]
    fn an_end_proposes_nothing_that_it_would_decline_itself_nor_what_is_there_already() {
        let mut ada = Forms::new(Side::Dialler, false);
        assert_eq!(ada.propose(MSGPACK, Form::COMPRESSED), Some(Step::Declined));
        assert_eq!(ada.propose(MSGPACK, MSGPACK), Some(Step::Done(MSGPACK)));
        assert_eq!(ada.state, State::Quiet);
    }

    #[test]
    fn a_wish_during_a_talk_is_proposed_after_it() {
        let mut ada = Forms::new(Side::Dialler, true);
        assert_eq!(ada.propose(MSGPACK, JSON), Some(Step::Propose(0, JSON)));
        assert_eq!(ada.propose(MSGPACK, Form::COMPRESSED), None);
        assert_eq!(ada.propose_wish(MSGPACK), None, "not yet");
        assert_eq!(ada.declined(0), Ok(Step::Declined));
        assert_eq!(ada.propose_wish(MSGPACK), Some(Step::Propose(2, Form::COMPRESSED)));
        assert_eq!(ada.propose_wish(MSGPACK), None);
    }

    #[test]
    fn an_end_that_distrusts_compression_asks_once_to_leave_it_alone() {
        let mut ada = Forms::new(Side::Dialler, true);
        ada.refuse_compression();
        assert_eq!(ada.propose_wish(MSGPACK), None, "it is not in use");
        assert_eq!(ada.propose_wish(Form::COMPRESSED), Some(Step::Propose(0, MSGPACK)));
        assert_eq!(ada.propose_wish(Form::COMPRESSED), None, "asked already");
        assert_eq!(ada.declined(0), Ok(Step::Declined));
        assert_eq!(ada.propose_wish(Form::COMPRESSED), None, "a peer that declines this is not asked for ever");
        assert_eq!(ada.proposed(1, Some(Form::COMPRESSED)), Ok([Some(Step::Decline(1)), None]));
    }

    #[test]
    fn words_out_of_turn_are_errors() {
        let quiet = || Forms::new(Side::Dialler, true);
        assert_eq!(quiet().agreed(0, JSON), Err(OutOfTurn));
        assert_eq!(quiet().declined(0), Err(OutOfTurn));
        let proposed = || {
            let mut ada = quiet();
            ada.propose(MSGPACK, JSON);
            ada
        };
        assert_eq!(proposed().agreed(0, MSGPACK), Err(OutOfTurn), "another form");
        assert_eq!(proposed().agreed(2, JSON), Err(OutOfTurn), "another number");
        assert_eq!(proposed().declined(2), Err(OutOfTurn));
        let mut agreed = quiet();
        assert!(agreed.proposed(1, Some(JSON)).is_ok());
        assert_eq!(agreed.declined(1), Err(OutOfTurn));
        assert_eq!(agreed.proposed(3, Some(MSGPACK)), Err(OutOfTurn), "before the mark of the first");
        assert_eq!(agreed.agreed(1, MSGPACK), Err(OutOfTurn));
    }

    /// What travels between two ends in the model: words, each with the form in which its sender wrote then.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    enum Word {
        Propose(u64, Form),
        Agree(u64, Form),
        Decline(u64),
    }

    #[derive(Clone, Debug)]
    struct End {
        forms: Forms,
        reads: Form,
        writes: Form,
        wishes: Vec<Form>,
        wished: usize,
        told: usize,
        /// What was sent to this end and not read, each with the form it is written in.
        inbox: VecDeque<(Word, Form)>,
    }

    /// Every order in which two ends can propose and read, whatever they wish: both always read what the other wrote in the
    /// form in which it was written, and in the end both write and read the same form.
    #[test]
    fn all_interleavings_of_two_ends_end_in_one_form_without_a_frame_read_wrongly() {
        let forms = [JSON, MSGPACK, Form::COMPRESSED];
        let mut runs = 0;
        for compression in [(true, true), (true, false), (false, false)] {
            for a in forms {
                for b in forms {
                    for c in forms {
                        let end = |side, compression, wishes: &[Form]| End {
                            forms: Forms::new(side, compression),
                            reads: MSGPACK,
                            writes: MSGPACK,
                            wishes: wishes.to_vec(),
                            wished: wishes.len(),
                            told: 0,
                            inbox: VecDeque::new(),
                        };
                        let ends =
                            [end(Side::Dialler, compression.0, &[a, c]), end(Side::Acceptor, compression.1, &[b, a])];
                        runs += explore(ends);
                    }
                }
            }
        }
        assert!(runs > 1_000, "{runs} states");
    }

    fn explore(start: [End; 2]) -> usize {
        let mut seen = BTreeSet::new();
        let mut todo = vec![start];
        while let Some(ends) = todo.pop() {
            if !seen.insert(format!("{ends:?}")) {
                continue;
            }
            let mut is_last = true;
            for side in [0, 1] {
                for wish in [true, false] {
                    let mut next = ends.clone();
                    let moved = if wish { wants(&mut next, side) } else { reads(&mut next, side) };
                    if moved {
                        is_last = false;
                        todo.push(next);
                    }
                }
            }
            if is_last {
                let [ada, bob] = &ends;
                assert_eq!((ada.forms.state, bob.forms.state), (State::Quiet, State::Quiet), "every talk ends");
                assert_eq!((ada.writes, bob.writes), (bob.reads, ada.reads), "each reads what the other writes");
                assert_eq!(ada.writes, bob.writes, "in one form");
                // A later wish takes the place of one that still waits; the others are each told how they ended.
                assert!(ends.iter().all(|end| end.told > 0 && end.told + 1 >= end.wished), "{ends:?}");
            }
        }
        seen.len()
    }

    fn wants(ends: &mut [End; 2], side: usize) -> bool {
        let Some(wish) = ends[side].wishes.pop() else { return false };
        let present = ends[side].writes;
        let step = ends[side].forms.propose(present, wish);
        take(ends, side, step);
        take_wish(ends, side);
        true
    }

    fn reads(ends: &mut [End; 2], side: usize) -> bool {
        let end = &mut ends[side];
        let Some((word, written_in)) = end.inbox.pop_front() else { return false };
        assert_eq!(end.reads, written_in, "{word:?} is read in the form it was written in");
        let steps: Vec<Step> = match word {
            Word::Propose(id, form) => {
                end.forms.proposed(id, Some(form)).expect("in turn").into_iter().flatten().collect()
            }
            Word::Agree(id, form) => end.forms.agreed(id, form).expect("in turn").into_iter().flatten().collect(),
            Word::Decline(id) => vec![end.forms.declined(id).expect("in turn")],
        };
        for step in steps {
            take(ends, side, Some(step));
        }
        take_wish(ends, side);
        true
    }

    fn take(ends: &mut [End; 2], side: usize, step: Option<Step>) {
        let (written_in, end) = (ends[side].writes, &mut ends[side]);
        let word = match step {
            Some(Step::Propose(id, form)) => Some(Word::Propose(id, form)),
            Some(Step::Mark(id, form)) => {
                end.writes = form;
                Some(Word::Agree(id, form))
            }
            Some(Step::Decline(id)) => Some(Word::Decline(id)),
            Some(Step::Read(form)) => {
                end.reads = form;
                None
            }
            Some(Step::Done(form)) => {
                assert_eq!((end.reads, end.writes), (form, form), "what is told as agreed is in force");
                end.told += 1;
                None
            }
            Some(Step::Declined) => {
                end.told += 1;
                None
            }
            None => None,
        };
        ends[1 - side].inbox.extend(word.map(|word| (word, written_in)));
    }

    fn take_wish(ends: &mut [End; 2], side: usize) {
        let present = ends[side].writes;
        while let Some(step) = ends[side].forms.propose_wish(present) {
            take(ends, side, Some(step));
        }
    }
}
