//! The subscription of `PROTOCOL.md` §17.5, byte for byte: two machines write what the document shows.

use std::io::IoSlice;

use peerage_proto::channel::{Channel, Config, FeedId, Input, Listened, Output};
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::events::{Keep, Mark, Priority, Tally, Topics, Wish};
use peerage_proto::frame::Side;
use peerage_proto::id::NodeId;
use peerage_proto::outcome::FeedEnd;
use peerage_proto::sim;

use crate::vectors::Vectors;

#[test]
fn two_machines_write_the_subscription_of_the_document() {
    let now = sim::epoch();
    let (mut ada, mut bob) = (End::new(Side::Dialler), End::new(Side::Acceptor));
    let mut topics: Topics<FeedId> = Topics::new();
    let topic = topics.declare("build/done", Keep { events: 1, time: None }, None).expect("a name");
    for word in ["a", "b", "c", "d", "ok"] {
        topics.publish(now, topic, &text(word).into_bytes(), Priority::Normal).expect("a topic");
    }

    let mut wish = Wish::new("build/*".parse().expect("a pattern"));
    (wish.policy, wish.history) = ("ring:2".parse().expect("a policy"), 1);
    assert_eq!(ada.machine.next_subscription(), 0);
    ada.feed(Input::Subscribe { number: 0, wish: &wish.encode(Encoding::MsgPack) });
    bob.reads(&ada.writes("s subscribe"));
    let Some(Output::Subscribed { feed, wish }) = bob.orders.pop() else { panic!("Bob is asked") };
    let wish = Wish::read(&wish).expect("what the document says");
    let attachment = topics.subscribe(now, feed, NodeId::from_bytes([7; 32]), &wish).expect("there is room");
    bob.feed(Input::Attach { feed, policy: wish.policy, attachment });
    ada.reads(&bob.writes("p attached"));

    let mut publish = |bob: &mut End, word: &str| {
        let value = text(word).into_bytes();
        let published = topics.publish(now, topic, &value, Priority::Normal).expect("a topic");
        assert_eq!(published.targets, [feed]);
        let offered = bob.machine.offer(now, feed, &published.event);
        assert!(offered.queued);
        offered.dropped
    };
    assert_eq!(publish(&mut bob, "ok"), 0);
    assert!(bob.machine.mark(now, feed, Mark { number: 1, topic, first: 7, last: 8, events: 2 }));
    assert_eq!((publish(&mut bob, "failed"), publish(&mut bob, "ok")), (0, 1));
    ada.reads(&bob.writes("p events"));
    ada.reads(&bob.writes("p mark"));
    bob.reads(&ada.writes("s confirmed"));
    let Some(Output::Confirmed { mark: 1, tally, .. }) = bob.orders.pop() else { panic!("Bob is answered") };
    assert_eq!(tally, Tally { left: 2, dropped: 0, waiting: 0 });

    publish(&mut bob, "ok");
    ada.feed(Input::Unsubscribe { number: 0, finish: true });
    bob.reads(&ada.writes("s unsubscribe"));
    ada.reads(&bob.writes("p rest"));
    ada.reads(&bob.writes("p over"));
    assert!(matches!(bob.orders.pop(), Some(Output::FeedOver { queued: 0, .. })));

    let mut contents = 0;
    let why = loop {
        match ada.machine.take_events(0) {
            Listened::Records(_) => contents += 1,
            Listened::Over(why) => break why,
            Listened::Nothing => panic!("there is an end"),
        }
    };
    assert_eq!((contents, why), (4, FeedEnd::Unsubscribed));
}

/// One end, and what it wrote that nobody has looked at.
struct End {
    machine: Channel,
    orders: Vec<Output>,
    written: Vec<u8>,
}

impl End {
    fn new(side: Side) -> End {
        let config = Config { liveness: None, ..Config::for_node(side) };
        End { machine: Channel::new(config), orders: Vec::new(), written: Vec::new() }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.orders.extend(self.machine.handle(sim::epoch(), input));
    }

    fn reads(&mut self, frame: &[u8]) {
        self.feed(Input::Received(frame));
    }

    /// The next frame is the one of the document.
    fn writes(&mut self, name: &str) -> Vec<u8> {
        while let Some(mut transmit) = self.machine.transmit() {
            while !transmit.is_empty() {
                let mut slices = [IoSlice::new(&[])];
                transmit.slices(&mut slices);
                self.written.extend_from_slice(&slices[0]);
                let count = slices[0].len();
                transmit.advance(count);
            }
            self.machine.handle(sim::epoch(), Input::Written(transmit)).for_each(|order| self.orders.push(order));
        }
        let (length, _) =
            self.written.split_first_chunk::<4>().unwrap_or_else(|| panic!("{name}: nothing was written"));
        let frame: Vec<u8> = self.written.drain(..4 + u32::from_be_bytes(*length) as usize).collect();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&frame), hex(&Vectors::read().bytes(name)), "{name}");
        frame
    }
}

fn text(text: &str) -> Payload {
    Payload::encode(text, Encoding::MsgPack).expect("a text")
}
