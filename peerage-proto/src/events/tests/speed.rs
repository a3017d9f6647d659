//! What events cost. `.ci/long events` prints the figures of a release build; here only what must hold in any build is
//! asserted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::{node, start, value};
use crate::codec::Encoding;
use crate::events::{Feed, Heard, Keep, Positions, Priority, Record, Records, Topics, Wish};
use crate::id::Epoch;
use crate::limits;

/// The shortest of several times that this took for each of `count`.
fn each(count: u32, mut run: impl FnMut()) -> Duration {
    (0..15).map(|_| once(count, &mut run)).min().unwrap()
}

/// How long it takes to publish under a name that nobody wants, beside so many subscriptions of 64 nodes.
fn publish_to_nobody(subscriptions: u32) -> Duration {
    let mut topics = Topics::new();
    let topic = topics.declare("nobody/wants/this", Keep::default(), None).unwrap();
    for number in 0..100 {
        topics.declare(&format!("sensor/{number}/value"), Keep::default(), None).unwrap();
    }
    for number in 0..subscriptions {
        let pattern = match number % 4 {
            0 => format!("sensor/{}/value", number % 100),
            1 => "sensor/**".to_owned(),
            2 => format!("*/{}/value", number % 100),
            _ => format!("later/{number}/**"),
        };
        let peer = node((number % 64) as u8);
        topics.subscribe(start(), number, peer, &Wish::new(pattern.parse().unwrap())).unwrap();
    }
    let value = value([7_u8; 16]);
    each(10_000, || {
        for _ in 0..10_000 {
            let published = topics.publish(start(), topic, &value, Priority::Normal).unwrap();
            assert!(black_box(published).targets.is_empty());
        }
    })
}

#[test]
fn a_publish_that_nobody_wants_costs_the_same_beside_ten_thousand_subscriptions() {
    let (one, many) = (publish_to_nobody(1), publish_to_nobody(10_000));
    println!("publish without a match: {one:?} beside 1 subscription, {many:?} beside 10,000");
    assert!(many < one + Duration::from_micros(2), "{one:?}, {many:?}");
}

#[test]
fn small_events_are_queued_written_and_read_in_well_under_a_microsecond() {
    const EVENTS: u32 = 1_000;
    let mut topics = Topics::new();
    let topic = topics.declare("sensor/value", Keep::default(), None).unwrap();
    let wish = Wish { policy: "ring:4096".parse().unwrap(), ..Wish::new("**".parse().unwrap()) };
    let attachment = topics.subscribe(start(), 1, node(1), &wish).unwrap();
    let mut feed = Feed::new(start(), wish.policy, attachment);
    let mut positions = Positions::new();
    positions.attach(Epoch::new(1, [0; 16])).unwrap();
    let value = value("x".repeat(62));
    assert_eq!(value.len(), 64);
    let mut contents: Vec<Vec<u8>> = Vec::new();
    let [mut offers, mut fills, mut reads] = [Duration::MAX; 3];
    for _ in 0..15 {
        let offer = || {
            for _ in 0..EVENTS {
                let published = topics.publish(start(), topic, &value, Priority::Normal).unwrap();
                black_box(feed.offer(start(), &published.event));
            }
        };
        offers = offers.min(once(EVENTS, offer));
        let mut free = std::mem::take(&mut contents).into_iter();
        let fill = || {
            while !feed.is_empty() {
                let mut content = free.next().unwrap_or_default();
                content.clear();
                feed.fill(start(), Encoding::MsgPack, limits::EVENTS_BYTES_MAX, &mut content);
                contents.push(content);
            }
        };
        fills = fills.min(once(EVENTS, fill));
        let mut read = 0;
        reads = reads.min(once(EVENTS, || contents.iter().for_each(|content| read += hear(&mut positions, content))));
        assert_eq!(read, EVENTS);
    }
    println!("64 bytes: {offers:?} to publish and offer, {fills:?} to write, {reads:?} to read");
    assert!(offers + fills + reads < Duration::from_micros(1));
}

fn once(count: u32, run: impl FnOnce()) -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a measurement of time, and nothing else depends on it")]
    let begin = Instant::now();
    run();
    begin.elapsed() / count
}

/// How many events of a content are delivered.
fn hear(positions: &mut Positions, content: &[u8]) -> u32 {
    let mut records = Records::new(Encoding::MsgPack, content).unwrap();
    let mut count = 0;
    while let Some(record) = records.next_record().unwrap() {
        let heard = positions.hear(&record).unwrap();
        if let (Record::Events { .. }, Heard::Events { known: 0, .. }) = (record, heard) {
            while let Some(value) = records.next_value().unwrap() {
                black_box(value);
                count += 1;
            }
        }
    }
    count
}
