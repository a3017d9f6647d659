//! Two machines on one link, whatever the pieces in which bytes arrive and whatever form they change to in the middle.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::codec::Form;

const FORMS: [Form; 3] = [Form::plain(Encoding::Json), Form::plain(Encoding::MsgPack), Form::COMPRESSED];

/// One thing that happens to one of both ends.
#[derive(Clone, Debug)]
enum Step {
    Call {
        size: usize,
        encoding: Encoding,
    },
    Cancel(usize),
    /// Answer the n-th request in service, with a content in any encoding.
    Answer {
        nth: usize,
        size: usize,
        encoding: Encoding,
    },
    Stop(usize),
    Propose(usize),
    /// The node says something.
    Say,
    /// The driver takes what waits.
    Take,
    Write(usize),
    GiveBack,
    Read(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![4 => 0_usize..60, 2 => 900_usize..3_000, 1 => 20_000_usize..40_000];
    let encoding = || prop_oneof![Just(Encoding::Json), Just(Encoding::MsgPack)];
    let count = || prop_oneof![0_usize..12, 0_usize..3_000, Just(usize::MAX)];
    prop_oneof![
        6 => (size(), encoding()).prop_map(|(size, encoding)| Step::Call { size, encoding }),
        1 => (0_usize..20).prop_map(Step::Cancel),
        4 => (0_usize..20, size(), encoding()).prop_map(|(nth, size, encoding)| Step::Answer { nth, size, encoding }),
        1 => (0_usize..20).prop_map(Step::Stop),
        2 => (0_usize..3).prop_map(Step::Propose),
        1 => Just(Step::Say),
        3 => Just(Step::Take),
        5 => count().prop_map(Step::Write),
        3 => Just(Step::GiveBack),
        7 => count().prop_map(Step::Read),
        1 => (0_u64..1_500).prop_map(Step::Pass),
    ]
}

/// What a call of this number asks, and what it is answered.
fn content(number: u32, size: usize, encoding: Encoding) -> Payload {
    // Compressible, and yet each is different.
    let text: String = (0..size).map(|n| char::from(b'a' + ((n / 40 + number as usize) % 26) as u8)).collect();
    Payload::encode(&(number, size, text), encoding).expect("plain data")
}

struct End {
    channel: Channel,
    transmit: Option<Transmit>,
    calls: BTreeMap<u32, Option<usize>>,
    cancelled: Vec<u32>,
    next: u32,
    serving: Vec<(Served, u32)>,
    stopping: Vec<Served>,
    /// Numbers of the peer's calls, in the order in which they came.
    heard: Vec<u32>,
    words: u32,
    told: u32,
    agreed: u32,
    outcomes: BTreeMap<Outcome, u32>,
}

struct World {
    ends: [End; 2],
    /// `pipes[i]` carries what `ends[i]` writes.
    pipes: [VecDeque<u8>; 2],
    now: Instant,
}

impl World {
    fn new(liveness: Option<crate::liveness::Profile>) -> World {
        let end = |side| End {
            channel: Channel::new(Config { compression: true, liveness, ..Config::for_node(side) }),
            transmit: None,
            calls: BTreeMap::new(),
            cancelled: Vec::new(),
            next: 0,
            serving: Vec::new(),
            stopping: Vec::new(),
            heard: Vec::new(),
            words: 0,
            told: 0,
            agreed: 0,
            outcomes: BTreeMap::new(),
        };
        World { ends: [end(Side::Dialler), end(Side::Acceptor)], pipes: Default::default(), now: epoch() }
    }

    fn perform(&mut self, side: usize, step: &Step) {
        let now = self.now;
        match *step {
            Step::Call { size, encoding } => self.call(side, size, encoding),
            Step::Cancel(nth) => {
                let end = &mut self.ends[side];
                let waiting: Vec<u32> = end.calls.keys().copied().collect();
                if let Some(token) = waiting.get(nth % waiting.len().max(1)).copied() {
                    end.cancelled.push(token);
                    self.feed(side, Input::Cancel(Token(token)));
                }
            }
            Step::Answer { nth, size, encoding } => {
                let end = &mut self.ends[side];
                if !end.serving.is_empty() {
                    let (request, number) = end.serving.remove(nth % end.serving.len());
                    end.stopping.retain(|stopping| *stopping != request);
                    let content = content(number, size, encoding);
                    self.feed(side, Input::Reply { request, content: Content::Shared(&content) });
                }
            }
            Step::Stop(nth) => {
                let end = &mut self.ends[side];
                if !end.stopping.is_empty() {
                    let request = end.stopping.remove(nth % end.stopping.len());
                    end.serving.retain(|(serving, _)| *serving != request);
                    self.feed(side, Input::Stopped { request, stop: Stop::Stopped });
                }
            }
            Step::Propose(form) => self.feed(side, Input::Propose(FORMS[form])),
            Step::Say => {
                self.ends[side].words += 1;
                let word = Payload::encode("a word", Encoding::MsgPack).expect("a text");
                self.feed(side, Input::Control { kind: Kind::Draining, content: &word });
            }
            Step::Take => {
                let end = &mut self.ends[side];
                end.transmit = end.transmit.take().or_else(|| end.channel.transmit());
            }
            Step::Write(count) => self.write(side, count),
            Step::GiveBack => {
                if let Some(transmit) = self.ends[side].transmit.take() {
                    self.feed(side, Input::Written(transmit));
                }
            }
            Step::Read(count) => self.read(side, count),
            Step::Pass(millis) => {
                // A byte now and then, so that no end stands still in the middle of a frame.
                for side in [0, 1] {
                    [Step::Take, Step::Write(1)].iter().for_each(|step| self.perform(side, step));
                    self.read(1 - side, 1);
                }
                self.pass(now + ms(millis));
            }
        }
    }

    fn call(&mut self, side: usize, size: usize, encoding: Encoding) {
        let end = &mut self.ends[side];
        if end.channel.room() != Room::Yes {
            return;
        }
        let number = end.next;
        end.next += 1;
        end.calls.insert(number, None);
        let content = content(number, size, encoding);
        self.feed(side, Input::Call { token: Token(number), content: Content::Shared(&content), deadline: None });
    }

    fn write(&mut self, side: usize, count: usize) {
        let Some(transmit) = &mut self.ends[side].transmit else { return };
        let mut left = count;
        while left > 0 && !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let filled = transmit.slices(&mut slices);
            let bytes = slices[..filled].iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..]);
            let taken = bytes.len().min(left);
            self.pipes[side].extend(&bytes[..taken]);
            transmit.advance(taken);
            left -= taken;
        }
    }

    fn read(&mut self, side: usize, count: usize) {
        let pipe = &mut self.pipes[1 - side];
        let bytes: Vec<u8> = pipe.drain(..count.min(pipe.len())).collect();
        if !bytes.is_empty() {
            assert!(self.ends[side].channel.wants_bytes(), "nothing here is large enough to stop reading");
            self.feed(side, Input::Received(&bytes));
        }
    }

    fn pass(&mut self, until: Instant) {
        for side in [0, 1] {
            while let Some(at) = self.ends[side].channel.next_timeout().filter(|at| *at <= until) {
                self.now = self.now.max(at);
                self.feed(side, Input::Timeout);
            }
        }
        self.now = until;
    }

    fn feed(&mut self, side: usize, input: Input<'_>) {
        let orders: Vec<Output> = self.ends[side].channel.handle(self.now, input).collect();
        let end = &mut self.ends[side];
        for order in orders {
            match order {
                Output::Subscribed { .. } | Output::FeedOver { .. } | Output::FeedWritable(_) => unreachable!(),
                Output::Confirmed { .. } | Output::Events(_) => unreachable!(),
                Output::Request { request, content: asked } => {
                    let (number, size, text): (u32, usize, String) = asked.decode().expect("what was sent");
                    assert_eq!(asked, content(number, size, asked.encoding()), "contents arrive as they left");
                    assert_eq!(text.len(), size);
                    assert!(end.heard.last().is_none_or(|last| *last < number), "in order, and once");
                    end.heard.push(number);
                    end.serving.push((request, number));
                    let follows = end.channel.handle(self.now, Input::Fetched(request)).count();
                    assert_eq!(follows, 0);
                }
                Output::Settled(token) => {
                    let mut buffer = Vec::new();
                    let outcome = end.channel.collect(token, &mut buffer).expect("announced");
                    assert!(end.calls.remove(&token.0).is_some(), "one outcome each");
                    let outcome = match outcome {
                        Ok(answer) => {
                            let answer = answer.into_payload(&buffer);
                            let (number, size, _): (u32, usize, String) = answer.decode().expect("what was sent");
                            assert_eq!(number, token.0, "an answer belongs to its call");
                            assert_eq!(answer, content(number, size, answer.encoding()), "and arrives as it left");
                            Outcome::Ok
                        }
                        Err(error) => {
                            assert!(end.cancelled.contains(&token.0), "call {} was not given up: {error}", token.0);
                            error.outcome()
                        }
                    };
                    *end.outcomes.entry(outcome).or_default() += 1;
                }
                Output::Stop(request) => end.stopping.push(request),
                Output::Control { kind, content } => {
                    assert_eq!((kind, content.decode::<String>()), (Kind::Draining, Ok("a word".to_owned())));
                    end.told += 1;
                }
                Output::Agreed(_) => end.agreed += 1,
                Output::Declined(_) | Output::Quiet | Output::Heard | Output::PeerLoad(_) => {}
                Output::Readable(_) | Output::Writable(_) => {}
                Output::Idle | Output::Answered | Output::Ended(_) => panic!("an honest link: {order:?}"),
            }
        }
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        for round in 0.. {
            assert!(round < 1_000, "the link stands still");
            for side in [0, 1] {
                for step in [Step::GiveBack, Step::Take, Step::Write(usize::MAX), Step::GiveBack] {
                    self.perform(side, &step);
                }
                while !self.ends[side].serving.is_empty() {
                    self.perform(side, &Step::Answer { nth: 0, size: 5, encoding: Encoding::Json });
                }
            }
            self.perform(0, &Step::Read(usize::MAX));
            self.perform(1, &Step::Read(usize::MAX));
            self.pass(self.now + ms(20));
            let quiet = |end: &End| end.calls.is_empty() && end.channel.unsent_bytes() == 0 && end.channel.is_idle();
            let nothing_under_way = self.pipes.iter().all(VecDeque::is_empty);
            if nothing_under_way && self.ends.iter().all(quiet) {
                break;
            }
        }
        let [ada, bob] = &self.ends;
        assert_eq!(ada.channel.form(), bob.channel.form(), "in the end both write in one form");
        for end in [ada, bob] {
            assert_eq!(end.channel.form(), end.channel.reading, "and read in it");
        }
        assert_eq!((ada.words, bob.words), (bob.told, ada.told), "every word arrives");
        for (caller, callee) in [(ada, bob), (bob, ada)] {
            let outcomes: u32 = caller.outcomes.values().sum();
            assert_eq!(outcomes, caller.next, "every call has one outcome");
            let unsent = caller.outcomes.get(&Outcome::NotSent).copied().unwrap_or(0);
            assert_eq!(callee.heard.len() as u32, caller.next - unsent, "whatever was sent was heard");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_call_has_one_outcome_and_its_own_content_whatever_form_the_link_changes_to(
        steps in prop::collection::vec((0_usize..2, step()), 1..400), watched: bool
    ) {
        let mut world = World::new(watched.then_some(crate::liveness::Profile::IDLE));
        for (side, step) in &steps {
            world.perform(*side, step);
        }
        world.finish();
    }
}

#[test]
fn under_full_load_the_form_changes_again_and_again_and_nothing_is_lost() {
    let mut world = World::new(None);
    for round in 0..600 {
        for side in [0, 1] {
            for n in 0..5 {
                let encoding = Encoding::ALL[(round + n) % 2];
                world.perform(side, &Step::Call { size: [3, 2_000, 30][n % 3], encoding });
            }
            if round % 7 == 3 * side {
                world.perform(side, &Step::Propose((round / 7 + side) % 3));
            }
            for step in [Step::Take, Step::Write(12_000), Step::GiveBack, Step::Read(11_000)] {
                world.perform(side, &step);
            }
            for nth in 0..5 {
                world.perform(side, &Step::Answer { nth, size: 1_500, encoding: Encoding::ALL[nth % 2] });
            }
        }
    }
    world.finish();
    for end in &world.ends {
        assert!(end.outcomes.len() == 1 && end.next > 400, "all are answered: {:?} of {}", end.outcomes, end.next);
        assert!(end.agreed > 20, "the form changes: {} times", end.agreed);
    }
}
