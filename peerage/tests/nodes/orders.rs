//! Nodes that start in any order: nobody is called absent who is there, and nobody sleeps to let the others come.
//!
//! Real nodes over memory links, on a clock that stands still while anything is to do. In every round a few nodes start at
//! random times within three seconds, each with random seeds among them; right after its start each looks for all others.
//! What is answered is held against what every other node had been told by then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use peerage::node::{Builder, Event, FindError};
use peerage::{Address, CallError, Failure, Node};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::place::{Place, memory};

/// Rounds of an ordinary run; `PEERAGE_ORDERS` asks for more.
const ROUNDS: u64 = 150;

/// What one node had to say to the others must have reached them after so long: the pause between two digests, the wait for
/// the question that answers one, and the way there and back.
const TOLD: Duration = Duration::from_secs(1);

/// Numbers from a seed (SplitMix64; Steele, Lea, Flood, 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What one node went through.
struct Story {
    node: Node,
    /// When it was told of each other one, and the number of its view then.
    knew: BTreeMap<String, (Instant, u64)>,
    /// Whom it looked for, when it had an answer, and which.
    answers: Vec<(String, Instant, Result<(), FindError>)>,
}

/// A node that starts after a while, looks for all others at once, and writes down what it was told.
async fn live(start: Instant, after: Duration, builder: peerage::node::Builder, others: Vec<String>) -> Story {
    tokio::time::sleep_until(start + after).await;
    let (node, mut events) = builder.start_with_events().await.unwrap();
    let mut looking = JoinSet::new();
    for other in others {
        let node = node.clone();
        looking.spawn(async move {
            let found = node.find(&other).within(Duration::from_secs(20)).await;
            (other, Instant::now(), found.map(drop))
        });
    }
    let (mut knew, mut answers) = (BTreeMap::new(), Vec::new());
    let end = start + Duration::from_secs(30);
    loop {
        tokio::select! {
            Some(answer) = looking.join_next() => answers.push(answer.unwrap()),
            Some(record) = events.next() => {
                if let Event::Joined { name, .. } = record.event {
                    knew.entry(name).or_insert_with(|| (Instant::now(), record.version));
                }
            }
            () = tokio::time::sleep_until(end) => break,
        }
    }
    Story { node, knew, answers }
}

async fn round(seed: u64) {
    let (place, mut dice) = (Place::new(), Dice(seed));
    let count = 2 + dice.below(4) as usize;
    let places: Vec<Address> = (0..count).map(|_| memory()).collect();
    let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
    let start = Instant::now();
    let mut lives = JoinSet::new();
    for n in 0..count {
        // A chain keeps the mesh in one piece; more seeds are chance.
        let next = (n + 1) % count;
        let seeds = (0..count).filter(|to| *to == next || *to != n && dice.below(3) == 0);
        let builder =
            seeds.fold(place.node(&names[n]).listen(places[n].clone()), |builder, to| builder.seed(places[to].clone()));
        let others = names.iter().filter(|name| **name != names[n]).cloned().collect();
        lives.spawn(live(start, Duration::from_millis(dice.below(3_000)), builder, others));
    }
    let stories = lives.join_all().await;
    for story in &stories {
        let name = story.node.name().to_string();
        assert_eq!(story.answers.len(), count - 1, "seed {seed}: each question has one answer");
        for (other, at, answer) in &story.answers {
            match answer {
                Ok(()) => {}
                Err(FindError::Absent { as_of, .. }) => {
                    // Right, unless somebody with whom it was linked had known better for a while.
                    for teller in stories.iter().filter(|teller| teller.node.id() != story.node.id()) {
                        let linked = story.knew.get(teller.node.name().as_str());
                        let linked = linked.is_some_and(|(_, version)| version <= as_of);
                        let knew = teller.knew.get(other).is_some_and(|(knew, _)| *knew + TOLD < *at);
                        let case = format!("seed {seed}: {name} called {other} absent, {} knew", teller.node.name());
                        assert!(!(linked && knew), "{case}: {}", told(&stories, start));
                    }
                }
                Err(why) => panic!("seed {seed}: {name} looked for {other} among nodes that all run: {why}"),
            }
        }
        let peers = story.node.peers();
        assert!(peers.complete && peers.peers.len() == count - 1, "seed {seed}: {name} {:?}", peers.missing);
    }
    for story in stories {
        story.node.stop().await;
    }
}

/// What everybody went through, in milliseconds.
fn told(stories: &[Story], start: Instant) -> String {
    let ms = |at: &Instant| at.duration_since(start).as_millis();
    let story = |story: &Story| {
        let knew: Vec<_> =
            story.knew.iter().map(|(name, (at, version))| format!("{name} at {} ({version})", ms(at))).collect();
        let answers = story.answers.iter();
        let answers: Vec<_> = answers.map(|(name, at, answer)| format!("{name} at {}: {answer:?}", ms(at))).collect();
        format!("\n{} knew {knew:?}, was told {answers:?}", story.node.name())
    };
    stories.iter().map(story).collect()
}

/// What came of the first calls of a node, which it made as soon as it had started.
struct Called {
    node: Node,
    /// Of the call that waits until somebody offers the function.
    patient: Result<u32, CallError>,
    /// Of the one that does not, and when.
    hasty: (Result<u32, CallError>, Instant),
    /// When it was told of the callee, and the number of its view then.
    knew: Option<(Instant, u64)>,
}

/// A node that starts after a while and serves after another.
async fn serve_late(at: [Instant; 2], builder: Builder, runs: Arc<AtomicU32>) -> Node {
    tokio::time::sleep_until(at[0]).await;
    let node = builder.start().await.unwrap();
    tokio::time::sleep_until(at[1]).await;
    let count = move || std::future::ready(Ok::<_, Failure>(runs.fetch_add(1, Ordering::Relaxed)));
    node.serve("count", count).unwrap();
    node
}

/// A node that starts after a while and calls at once, without a look at who is there.
async fn call_at_once(at: Instant, builder: Builder, callee: String) -> Called {
    tokio::time::sleep_until(at).await;
    let (node, mut events) = builder.start_with_events().await.unwrap();
    let (patient, hasty) = (node.clone(), node.clone());
    let patient = tokio::spawn(async move { patient.call("count").wait_matching(1).any().await });
    let hasty = tokio::spawn(async move { (hasty.call("count").any().await, Instant::now()) });
    let knew = async {
        loop {
            let record = events.next().await?;
            if matches!(&record.event, Event::Joined { name, .. } if *name == callee) {
                return Some((Instant::now(), record.version));
            }
        }
    };
    let knew = tokio::time::timeout(Duration::from_secs(20), knew).await.unwrap_or_default();
    Called { node, patient: patient.await.unwrap(), hasty: hasty.await.unwrap(), knew }
}

/// Caller, callee, perhaps others between them, and the moment of registration, in a random order.
async fn round_of_calls(seed: u64) {
    let (place, mut dice) = (Place::new(), Dice(seed));
    let count = 2 + dice.below(3) as usize;
    let (callee, caller) = (0, 1 + dice.below(count as u64 - 1) as usize);
    let places: Vec<Address> = (0..count).map(|_| memory()).collect();
    let (start, runs) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let (mut servers, mut called) = (JoinSet::new(), JoinSet::new());
    let mut registered = start;
    for n in 0..count {
        // A chain keeps the mesh in one piece; which way each of its links is dialled is chance, and more seeds are.
        let forward = |n: usize| (seed >> n) & 1 == 0;
        let seeds = (0..count).filter(|to| {
            let is_chained = (*to == n + 1 && forward(n)) || (*to + 1 == n && !forward(*to));
            *to != n && (is_chained || dice.below(4) == 0)
        });
        let builder = place.node(&format!("n{n}")).listen(places[n].clone());
        let builder = seeds.fold(builder, |builder, to| builder.seed(places[to].clone()));
        let at = start + Duration::from_millis(dice.below(3_000));
        let then = at + Duration::from_millis(dice.below(3_000));
        if n == caller {
            called.spawn(call_at_once(at, builder, format!("n{callee}")));
        } else if n == callee {
            registered = then;
            servers.spawn(serve_late([at, then], builder, runs.clone()));
        } else {
            let bystander = async move {
                tokio::time::sleep_until(at).await;
                builder.start().await.unwrap()
            };
            servers.spawn(bystander);
        }
    }
    let Called { node, patient, hasty: (hasty, at), knew } = called.join_next().await.unwrap().unwrap();
    assert!(patient.is_ok(), "seed {seed}: the first call is lost: {patient:?}");
    match &hasty {
        Ok(_) => {}
        Err(CallError::Absent { as_of, .. }) => {
            let knew = knew.filter(|(_, version)| version <= as_of).map(|(knew, _)| knew.max(registered) + TOLD);
            assert!(knew.is_none_or(|told| told >= at), "seed {seed}: absent, and registered for long");
        }
        Err(why) => panic!("seed {seed}: a call of what is there, or is not: {why}"),
    }
    let ran = runs.load(Ordering::Relaxed);
    assert_eq!(ran, 1 + u32::from(hasty.is_ok()), "seed {seed}: each call runs once");
    let others = servers.join_all().await;
    for node in others.into_iter().chain([node]) {
        node.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_call_is_answered_in_whatever_order_caller_callee_and_registration_come() {
    let rounds = rounds();
    for seed in 0..rounds {
        round_of_calls(seed).await;
    }
    println!("{rounds} orders of starting, registering and calling");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_absent_who_is_there_in_whatever_order_nodes_start() {
    let rounds = rounds();
    for seed in 0..rounds {
        round(seed).await;
    }
    println!("{rounds} orders of starting");
}

fn rounds() -> u64 {
    let asked = std::env::var("PEERAGE_ORDERS").ok();
    asked.map_or(ROUNDS, |rounds| rounds.parse().expect("PEERAGE_ORDERS is a number"))
}
