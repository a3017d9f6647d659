//! Groups, of which one member gets each event: nobody gets one twice, and whose event is lost is told of it.

use std::collections::{BTreeMap, VecDeque};

use super::oracle::ensure;
use super::world::Chance;
use super::{node, start, value};
use crate::codec::Encoding;
use crate::events::{Feed, Heard, Keep, Positions, Priority, Record, Records, Topics, Why, Wish};
use crate::id::Epoch;

const MEMBERS: usize = 3;

#[derive(Default)]
struct Group {
    topics: Topics<usize>,
    members: Vec<Member>,
    /// To whom each event went, by its number, and whether it has been delivered or reported missing.
    events: BTreeMap<u64, (usize, Option<&'static str>)>,
}

#[derive(Default)]
struct Member {
    positions: Positions,
    feed: Option<Feed>,
    wire: VecDeque<Vec<u8>>,
}

impl Group {
    fn new() -> Group {
        let mut group = Group::default();
        group.topics.declare("work", Keep::default(), None).unwrap();
        for member in 0..MEMBERS {
            group.members.push(Member { positions: Positions::shared(), ..Member::default() });
            group.attach(member, "ring:2");
        }
        group
    }

    fn attach(&mut self, member: usize, policy: &str) {
        let mut wish = Wish::new("work".parse().unwrap());
        (wish.shared, wish.policy) = (Some("workers".into()), policy.parse().unwrap());
        let attachment = self.topics.subscribe(start(), member, node(1), &wish).unwrap();
        let Member { positions, feed, wire } = &mut self.members[member];
        if !positions.has_begun() {
            // What went to it before it knew that it belongs to the group was never promised to it.
            self.events.retain(|_, (of, _)| *of != member);
        }
        positions.attach(Epoch::new(1, [0; 16])).unwrap();
        *feed = Some(Feed::new(start(), wish.policy, attachment));
        wire.clear();
    }

    /// The link of a member breaks; with `arriving` of its contents still coming.
    fn cut(&mut self, member: usize, arriving: usize) -> Result<(), String> {
        self.topics.unsubscribe(&member);
        self.members[member].feed = None;
        self.members[member].wire.truncate(arriving);
        while !self.members[member].wire.is_empty() {
            self.deliver(member)?;
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), String> {
        let value = value(1);
        let published = self.topics.publish(start(), 0, &value, Priority::Normal).ok_or("no topic")?;
        ensure!(published.targets.is_empty(), "an event for everybody");
        let queue = |member: &usize| self.members[*member].feed.as_ref().map_or(0, |feed| feed.waiting().events);
        let chosen: Vec<usize> =
            published.groups().filter_map(|group| published.one_of(group, queue)).copied().collect();
        for member in chosen {
            ensure!(self.events.insert(published.event.seq, (member, None)).is_none(), "two got it");
            if let Some(feed) = &mut self.members[member].feed {
                let offered = feed.offer(start(), &published.event);
                ensure!(offered.queued, "{offered:?}");
            }
        }
        Ok(())
    }

    fn fill(&mut self, member: usize, room: usize) {
        let Member { feed: Some(feed), wire, .. } = &mut self.members[member] else { return };
        let mut content = Vec::new();
        if feed.fill(start(), Encoding::MsgPack, room, &mut content).bytes > 0 {
            wire.push_back(content);
        }
    }

    fn deliver(&mut self, member: usize) -> Result<(), String> {
        let Some(content) = self.members[member].wire.pop_front() else { return Ok(()) };
        let mut records = Records::new(Encoding::MsgPack, &content).map_err(|why| why.to_string())?;
        while let Some(record) = records.next_record().map_err(|why| why.to_string())? {
            let heard = self.members[member].positions.hear(&record).map_err(|why| why.to_string())?;
            match (heard, record) {
                (Heard::Events { first, known: 0, missing: None, .. }, Record::Events { count, .. }) => {
                    for seq in first..first + count {
                        self.account(member, seq, "delivered")?;
                    }
                }
                (Heard::Gap(missing), _) => {
                    let mine = |(seq, (of, _)): &(&u64, &(usize, Option<_>))| {
                        (missing.first..=missing.last.unwrap_or(0)).contains(seq) && *of == member
                    };
                    let lost: Vec<u64> = self.events.iter().filter(mine).map(|(seq, _)| *seq).collect();
                    ensure!(missing.why == Why::LinkLost || !lost.is_empty(), "{missing:?} of nothing");
                    for seq in lost {
                        // A link takes with it what it had; before it broke, some of that had come.
                        if self.events[&seq].1.is_none() || missing.why != Why::LinkLost {
                            self.account(member, seq, "missing")?;
                        }
                    }
                }
                (Heard::Attached { .. } | Heard::Nothing, _) => {}
                (heard, _) => return Err(format!("{heard:?}")),
            }
        }
        Ok(())
    }

    fn account(&mut self, member: usize, seq: u64, how: &'static str) -> Result<(), String> {
        let (of, state) = self.events.get_mut(&seq).ok_or("nobody's event")?;
        ensure!(*of == member && state.is_none(), "{seq} of {of} is {state:?}, and {how} at {member}");
        *state = Some(how);
        Ok(())
    }

    fn run(&mut self, chance: &mut Chance) -> Result<(), String> {
        for _ in 0..150 {
            let member = chance.below(MEMBERS);
            match chance.below(20) {
                0..=9 => self.publish()?,
                10..=13 => self.fill(member, chance.of(&[100, 200, 5_000])),
                14..=17 => self.deliver(member)?,
                18 => self.cut(member, chance.below(3))?,
                _ if self.members[member].feed.is_none() => self.attach(member, chance.of(&["ring:2", "ring:9"])),
                _ => {}
            }
        }
        for member in 0..MEMBERS {
            if self.members[member].feed.is_none() {
                self.attach(member, "ring:9");
            }
            for _ in 0..100 {
                self.fill(member, 5_000);
                self.deliver(member)?;
            }
        }
        let forgotten = self.events.iter().find(|(_, (_, state))| state.is_none());
        ensure!(forgotten.is_none(), "{forgotten:?}");
        Ok(())
    }
}

#[test]
fn each_event_of_a_group_is_delivered_once_or_told_as_missing_to_the_member_it_went_to() {
    for seed in 1..=1_000 {
        let ran = Group::new().run(&mut Chance::new(seed));
        assert_eq!(ran, Ok(()), "seed {seed}");
    }
}
