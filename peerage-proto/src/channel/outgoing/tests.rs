//! Which bytes leave in which order, and which can still be taken out.

use proptest::prelude::*;

use super::*;

fn queue(parts: &[&'static [u8]]) -> Outgoing {
    let mut out = Outgoing::default();
    for part in parts {
        out.begin(|buffer| buffer.extend_from_slice(part));
    }
    out
}

fn write(out: &mut Outgoing, count: usize) -> Vec<u8> {
    let Some(mut transmit) = out.take() else {
        return Vec::new();
    };
    let mut slices = [IoSlice::new(&[]); 8];
    let filled = transmit.slices(&mut slices);
    let bytes: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).take(count).collect();
    transmit.advance(bytes.len());
    out.give_back(transmit);
    bytes
}

#[test]
fn what_could_not_be_written_comes_first_next_time() {
    let mut out = queue(&[b"hello ", b"world"]);
    assert_eq!(write(&mut out, 3), b"hel");
    out.gather(|b| b.extend_from_slice(b"!"));
    assert_eq!(write(&mut out, 100), b"lo world!");
    assert_eq!((out.len(), out.end()), (0, 12));
}

#[test]
fn a_frame_may_be_written_from_its_first_byte_on_and_while_the_driver_holds_it() {
    let mut out = queue(&[b"aaaa", b"bbbb"]);
    assert!(!out.may_be_written(0));
    let mut transmit = out.take().expect("something waits");
    assert!(out.may_be_written(0) && out.may_be_written(4), "both are in the driver's hands");
    transmit.advance(5);
    out.give_back(transmit);
    assert!(out.may_be_written(0) && out.may_be_written(4));
    let mut out = queue(&[b"aaaa", b"bbbb"]);
    assert_eq!(write(&mut out, 4), b"aaaa");
    assert!(out.may_be_written(0) && !out.may_be_written(4));
}

#[test]
fn a_frame_that_is_not_written_can_be_taken_out_again_from_any_segment() {
    for shared in [false, true] {
        let large = Bytes::from(vec![b'x'; SHARE_FROM_BYTES]);
        let mut out = queue(&[b"first", b"second"]);
        let place = out.end();
        out.gather(|b| b.extend_from_slice(b"head"));
        out.content(if shared { Part::Shared(&large) } else { Part::Copied(&large) });
        out.gather(|b| b.extend_from_slice(b"tail"));
        let len = (out.end() - place) as usize;
        out.gather(|b| b.extend_from_slice(b"last"));
        out.remove(place, len);
        out.remove(5, 6);
        assert_eq!(write(&mut out, usize::MAX), b"firstlast");
    }
}

#[test]
fn large_contents_are_shared_and_small_ones_are_copied() {
    let mut out = Outgoing::default();
    let small = Bytes::from_static(b"small");
    let large = Bytes::from(vec![1; SHARE_FROM_BYTES]);
    out.content(Part::Shared(&small));
    out.content(Part::Shared(&large));
    assert!(matches!(out.segments.make_contiguous(), [Segment::Gathered(..), Segment::Shared(_)]));
}

/// Queues a control frame; whether it went ahead.
fn urge(out: &mut Outgoing, frame: &'static [u8]) -> bool {
    out.control(|buffer| buffer.extend_from_slice(frame)).is_some()
}

#[test]
fn a_control_frame_leaves_ahead_of_what_was_never_handed_out() {
    let mut out = queue(&[b"bulk "]);
    assert!(urge(&mut out, b"ping ") && urge(&mut out, b"pong "));
    assert_eq!((out.len(), out.control_len(), out.end()), (15, 10, 5));
    assert_eq!(write(&mut out, usize::MAX), b"ping pong bulk ");
    assert_eq!((out.len(), out.control_len(), out.end()), (0, 0, 5));
}

#[test]
fn a_control_frame_stays_behind_what_was_handed_out_even_if_it_came_back() {
    let mut out = queue(&[b"request "]);
    let transmit = out.take().expect("something waits");
    assert!(urge(&mut out, b"cancel "));
    out.begin(|b| b.extend_from_slice(b"later "));
    out.give_back(transmit);
    assert!(!out.may_be_written(0), "nothing of it was written");
    assert_eq!(write(&mut out, usize::MAX), b"request cancel later ");
}

#[test]
fn a_control_frame_that_is_cut_goes_on_before_anything_else() {
    let mut out = queue(&[b"bulk "]);
    assert!(urge(&mut out, b"ping "));
    assert_eq!(write(&mut out, 2), b"pi");
    assert_eq!((out.len(), out.control_len()), (8, 3));
    assert!(urge(&mut out, b"pong "));
    assert_eq!(write(&mut out, usize::MAX), b"ng bulk pong ");
}

#[test]
fn control_frames_alone_are_handed_out() {
    let mut out = Outgoing::default();
    assert!(urge(&mut out, b"ping "));
    assert!(out.is_ready());
    assert_eq!(write(&mut out, usize::MAX), b"ping ");
    assert!(!out.is_ready());
}

#[test]
fn no_control_frame_overtakes_a_frame_that_forbids_it_until_that_is_handed_out() {
    let mut out = queue(&[b"old "]);
    let place = out.end();
    out.begin(|b| b.extend_from_slice(b"marker "));
    out.let_none_overtake(place);
    assert!(!urge(&mut out, b"ping "), "it must be queued behind the marker");
    out.remove(0, 4);
    assert!(!urge(&mut out, b"ping "), "the marker has moved, and still waits");
    assert_eq!(write(&mut out, usize::MAX), b"marker ");
    assert!(urge(&mut out, b"ping "));
    assert_eq!(write(&mut out, usize::MAX), b"ping ");
}

#[test]
fn no_more_than_a_portion_of_whole_frames_is_handed_out_at_a_time() {
    for content in [100, 20_000, 600_000] {
        let bytes = Bytes::from(vec![7; content]);
        for tail in [false, true] {
            let mut out = Outgoing::default();
            let mut frames = 0;
            while out.len() < 3_000_000 {
                out.begin(|b| b.extend_from_slice(b"head"));
                out.content(Part::Shared(&bytes));
                if tail {
                    out.gather(|b| b.push(b']'));
                }
                frames += 1;
            }
            let frame = 4 + content + usize::from(tail);
            while let Some(mut transmit) = out.take() {
                let len: usize = transmit.segments.iter().map(Segment::len).sum();
                assert_eq!(len % frame, 0, "whole frames");
                assert!(len < PORTION_BYTES + RUN_BYTES + 2 * frame, "{len} bytes at a time");
                transmit.advance(len);
                out.give_back(transmit);
                frames -= len / frame;
            }
            assert_eq!(frames, 0, "all leave");
        }
    }
}

#[test]
fn what_is_thrown_away_is_counted_no_more() {
    let mut out = queue(&[b"bulk "]);
    assert!(urge(&mut out, b"ping "));
    assert_eq!(write(&mut out, 3), b"pin");
    out.clear();
    assert_eq!((out.len(), out.is_ready()), (0, false));
    let mut out = queue(&[b"bulk "]);
    assert!(urge(&mut out, b"ping "));
    let transmit = out.take().expect("something waits");
    assert!(urge(&mut out, b"pong "));
    out.clear();
    assert_eq!(out.len(), 10, "the driver has still got these");
    out.give_back(transmit);
    out.clear();
    assert_eq!((out.len(), out.is_ready()), (0, false));
}

/// What a run of random steps may do.
#[derive(Clone, Debug)]
enum Step {
    Bulk(usize),
    Control,
    Marker,
    Take,
    Write(usize),
    GiveBack,
    /// Takes the n-th frame out that certainly was not written.
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![1_usize..40, 15_000_usize..70_000];
    prop_oneof![
        4 => size.prop_map(Step::Bulk),
        2 => Just(Step::Control),
        1 => Just(Step::Marker),
        3 => Just(Step::Take),
        3 => prop_oneof![0_usize..30, 0_usize..200_000, Just(usize::MAX)].prop_map(Step::Write),
        3 => Just(Step::GiveBack),
        1 => (0_usize..20).prop_map(Step::Remove),
    ]
}

/// A frame of the model: `[length: u32][number: u32][kind: u8][padding]`.
fn frame(number: u32, kind: u8, padding: usize) -> Vec<u8> {
    let mut frame = (5 + padding as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&number.to_be_bytes());
    frame.push(kind);
    frame.extend(std::iter::repeat_n(kind, padding));
    frame
}

/// Number and kind of each frame; the bytes must be whole frames.
fn read(mut bytes: &[u8]) -> Vec<(u32, u8)> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (body, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        let (number, padding) = body.split_first_chunk::<4>().expect("a number");
        assert!(padding.iter().all(|byte| byte == &padding[0]), "frames are not mixed");
        frames.push((u32::from_be_bytes(*number), padding[0]));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

const BULK: u8 = b'b';
const CONTROL: u8 = b'c';
const MARKER: u8 = b'm';

proptest! {
    #[test]
    fn frames_leave_whole_and_in_order_whatever_is_written_cut_and_taken_out(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut run = Run::default();
        for step in steps {
            run.perform(step);
        }
        run.finish();
    }
}

/// A run and what is known about it.
#[derive(Default)]
struct Run {
    out: Outgoing,
    number: u32,
    /// Frames with a place: number, place, length.
    placed: Vec<(u32, u64, usize)>,
    removed: Vec<u32>,
    transmit: Option<Transmit>,
    written: Vec<u8>,
    /// For each control frame that went ahead: the bulk frames it had to stay behind, and those it had to leave before.
    ahead: Vec<(u32, Vec<u32>, Vec<u32>)>,
    /// Frames with a place that have been handed out at least once.
    shown: Vec<u32>,
    /// Control frames that were put behind a marker, and markers, in order.
    ordered: Vec<u32>,
}

impl Run {
    fn put(&mut self, kind: u8, padding: usize) -> u32 {
        self.number += 1;
        let (place, frame) = (self.out.end(), frame(self.number, kind, padding));
        self.out.begin(|b| b.extend_from_slice(&frame[..9]));
        let content = Bytes::copy_from_slice(&frame[9..]);
        self.out.content(Part::Shared(&content));
        self.placed.push((self.number, place, frame.len()));
        self.number
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Bulk(padding) => {
                self.put(BULK, padding);
            }
            Step::Marker => {
                let place = self.out.end();
                let number = self.put(MARKER, 0);
                self.out.let_none_overtake(place);
                self.ordered.push(number);
            }
            Step::Control => self.control(),
            Step::Take => {
                if self.transmit.is_none() {
                    self.transmit = self.out.take();
                    let out = &self.out;
                    let shown = self.placed.iter().filter(|(_, place, _)| out.may_be_written(*place));
                    self.shown = shown.map(|(number, ..)| *number).chain(self.shown.drain(..)).collect();
                }
            }
            Step::Write(count) => self.write(count),
            Step::GiveBack => {
                if let Some(transmit) = self.transmit.take() {
                    self.out.give_back(transmit);
                }
            }
            Step::Remove(nth) => self.remove(nth),
        }
    }

    fn control(&mut self) {
        self.number += 1;
        let number = self.number;
        let bytes = frame(number, CONTROL, 0);
        if self.out.control(|b| b.extend_from_slice(&bytes)).is_some() {
            let (behind, before) = self.placed.iter().map(|(number, ..)| *number).partition(|n| self.shown.contains(n));
            self.ahead.push((number, behind, before));
        } else {
            let place = self.out.end();
            self.number -= 1;
            let number = self.put(CONTROL, 0);
            self.out.let_none_overtake(place);
            self.ordered.push(number);
            return;
        }
        self.ordered.push(number);
    }

    fn write(&mut self, count: usize) {
        let Some(transmit) = &mut self.transmit else { return };
        let mut left = count;
        while left > 0 && !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = transmit.slices(&mut slices);
            let bytes = slices[..filled].iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..]);
            let taken = bytes.len().min(left);
            self.written.extend_from_slice(&bytes[..taken]);
            transmit.advance(taken);
            left -= taken;
        }
    }

    fn remove(&mut self, nth: usize) {
        let out = &self.out;
        let free: Vec<usize> = (0..self.placed.len()).filter(|n| !out.may_be_written(self.placed[*n].1)).collect();
        let Some(index) = free.get(nth % free.len().max(1)).copied() else { return };
        let (number, place, len) = self.placed[index];
        // Markers and what stands behind them for good are never taken out.
        if self.ordered.contains(&number) {
            return;
        }
        self.out.remove(place, len);
        self.placed.remove(index);
        for (_, other, _) in &mut self.placed {
            if *other > place {
                *other -= len as u64;
            }
        }
        self.removed.push(number);
    }

    fn finish(mut self) {
        self.perform(Step::GiveBack);
        while self.out.is_ready() {
            self.perform(Step::Take);
            self.perform(Step::Write(usize::MAX));
            self.perform(Step::GiveBack);
        }
        assert_eq!((self.out.len(), self.out.control_len()), (0, 0));
        let frames = read(&self.written);
        let at = |number: u32| frames.iter().position(|(n, _)| *n == number);
        assert!(self.removed.iter().all(|number| at(*number).is_none()), "what was taken out is not written");
        let bulk: Vec<u32> = frames.iter().filter(|(_, kind)| *kind == BULK).map(|(number, _)| *number).collect();
        assert!(bulk.is_sorted(), "bulk keeps its order");
        let ordered: Vec<Option<usize>> = self.ordered.iter().map(|number| at(*number)).collect();
        assert!(ordered.iter().all(Option::is_some) && ordered.is_sorted(), "control frames and markers keep theirs");
        for (number, behind, before) in &self.ahead {
            let place = at(*number);
            assert!(behind.iter().filter_map(|n| at(*n)).all(|n| Some(n) < place), "nothing handed out is overtaken");
            assert!(before.iter().filter_map(|n| at(*n)).all(|n| Some(n) > place), "all the rest is");
        }
        let survivors = self.number as usize - self.removed.len();
        assert_eq!(frames.len(), survivors, "every frame leaves once");
    }
}
