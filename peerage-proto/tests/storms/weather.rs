//! What happens to a network in a storm, and when: drawn from the seed before it begins.

use std::time::Duration;

use peerage_proto::sim::Dice;

/// The plan of a storm. Each kind of trouble is there in some storms only, so that each is met alone and with others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Weather {
    pub(crate) nodes: usize,
    /// Addresses of each node: each is dialled on its own.
    pub(crate) addresses: usize,
    /// Of 100 pairs of nodes so many dial each other; in the others one dials.
    pub(crate) both_dial: u64,
    /// Whether dials say whom they expect.
    pub(crate) expects: bool,
    /// Whether nodes tell each other their addresses.
    pub(crate) introduces: bool,
    /// Within this time all nodes are started.
    pub(crate) start: Duration,
    /// When all nodes drop all links and dial all addresses.
    pub(crate) redials: Vec<Duration>,
    /// When a connection breaks.
    pub(crate) kills: Vec<Duration>,
    /// Of 100 breaks so many are noticed late.
    pub(crate) silent: u64,
    /// When a process crashes, and how long it is gone.
    pub(crate) crashes: Vec<(Duration, Duration)>,
    /// Whether it is always the same one.
    pub(crate) flaps: bool,
    /// A frame needs at most so long.
    pub(crate) delay: Duration,
    /// Of 100 dials so many lead nowhere.
    pub(crate) lost_dials: u64,
    /// How often each node calls another.
    pub(crate) calls: u64,
    /// When the last trouble is over.
    pub(crate) end: Duration,
}

impl Weather {
    pub(crate) fn of(seed: u64, dice: &mut Dice) -> Weather {
        let is_large = seed % 100 == 99;
        let nodes = if is_large { dice.between(17, 64) } else { dice.between(2, 16) } as usize;
        let rounds = if is_large { 1 } else { dice.below(4) };
        let start = [Duration::ZERO, millis(10), millis(3_000)][dice.below(3) as usize];
        let mut at = start + millis(500);
        let mut redials = Vec::new();
        for _ in 0..rounds {
            redials.push(at);
            at += millis(200) + dice.time(millis(4_000));
        }
        let end = at + millis(1_000);
        let some = |dice: &mut Dice, most: u64| if dice.chance(50) { dice.below(most + 1) } else { 0 };
        let kills = (0..some(dice, 3 * nodes as u64)).map(|_| moment(dice, &redials, end)).collect();
        let gone = [Duration::ZERO, millis(2_000)][dice.below(2) as usize];
        let crashes = (0..some(dice, 4)).map(|_| (moment(dice, &redials, end), dice.time(gone))).collect();
        Weather {
            nodes,
            addresses: if is_large { 1 } else { dice.between(1, 2) as usize },
            both_dial: [100, 100, 50][dice.below(3) as usize],
            expects: dice.chance(50),
            introduces: dice.chance(50),
            start,
            redials,
            kills,
            silent: if dice.chance(30) { 50 } else { 0 },
            crashes,
            flaps: dice.chance(50),
            delay: [millis(1), millis(10), millis(50), millis(100), millis(1_000)][dice.below(5) as usize],
            lost_dials: some(dice, 30),
            calls: if is_large { 2 } else { dice.below(30) },
            end,
        }
    }

    /// Within this time after the last trouble everything has been dialled again: the longest wait between dials, a dial,
    /// and a broken connection that is noticed late.
    pub(crate) fn settling(&self) -> Duration {
        Duration::from_secs(25) + self.quiet()
    }

    /// How long a pair of nodes may need to come to rest after the last dial (P4). The figure of docs/guarantees.md is for
    /// networks in which a dozen frames need less.
    pub(crate) fn quiet(&self) -> Duration {
        Duration::from_secs(2).max(12 * self.delay)
    }
}

/// Some time before the end; every other time right after all have dialled all.
fn moment(dice: &mut Dice, redials: &[Duration], end: Duration) -> Duration {
    if redials.is_empty() || dice.chance(50) {
        return dice.time(end);
    }
    let at = redials[dice.below(redials.len() as u64) as usize];
    at + dice.time(millis(400))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
