//! What is looked at from outside, with the knowledge of both ends that no node has.

use std::fmt;
use std::time::Duration;

use peerage_proto::limits;

use super::storm::Storm;
use super::wire::State;

/// The promises that are watched, as docs/guarantees.md numbers them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Oracle {
    /// P1: at rest both ends hold the same single link.
    Agreement,
    /// P2: there is always a usable link, once there was one, unless a fault took it.
    Continuity,
    /// P3: nothing is sent to an end that has closed the link by the rule, and no call is lost to that.
    NoLoss,
    /// P4: a pair comes to rest soon after its last dial.
    Termination,
    /// No node is without a link at the end.
    Isolation,
    /// No node takes another one's words for a breach of the protocol, or more links than it should.
    Manners,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) oracle: Oracle,
    pub(crate) at: Duration,
    pub(crate) what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken at {:?}: {}", self.oracle, self.at, self.what)
    }
}

/// What is known about two nodes.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    /// Their wires of which at least one end is open.
    pub(crate) wires: Vec<usize>,
    /// At least one of them dials the other.
    pub(crate) wanted: bool,
    /// There was a usable link, and no fault has taken it since.
    calm: bool,
    /// A fault has taken a link that was in use since they were last at rest.
    disturbed: bool,
    /// A fault has taken any link since then, be it a loser: words about links may cross the closing of one.
    pub(crate) shaken: bool,
    /// Counts what may keep the pair busy.
    pub(crate) stirs: u64,
}

impl Pair {
    /// A fault has taken a link that was in use.
    pub(crate) fn disturb(&mut self) {
        (self.calm, self.disturbed, self.shaken) = (false, true, true);
    }
}

impl Storm {
    /// After every step, for the pairs that it concerned.
    pub(crate) fn check(&mut self, (a, b): (usize, usize)) {
        let wires = &self.wires;
        let pair = &mut self.pairs[a * self.hosts.len() + b];
        pair.wires.retain(|wire| !wires[*wire].is_over());
        let usable = pair.wires.iter().any(|wire| wires[*wire].is_usable());
        let is_settled = usable && pair.wires.len() == 1 && wires[pair.wires[0]].is_at_rest();
        if !pair.calm {
            pair.calm = usable && (!pair.disturbed || is_settled);
        }
        if is_settled {
            (pair.disturbed, pair.shaken) = (false, false);
        }
        let (calm, disturbed) = (pair.calm, pair.disturbed);
        let up = |host| {
            pair.wires.iter().map(|wire| &wires[*wire]).filter(move |wire| wire.ends[wire.end_of(host)] == State::Up)
        };
        let most = up(a).count().max(up(b).count());
        self.tally.most_links = self.tally.most_links.max(most);
        if most > limits::LINKS_PER_PEER_MAX {
            self.broken(Oracle::Manners, format!("{most} links between n{a} and n{b}"));
        }
        if calm && !usable {
            self.broken(Oracle::Continuity, format!("n{a} and n{b} had a link, and have none"));
        } else if calm && !disturbed && !(self.reaches(a, b) && self.reaches(b, a)) {
            self.broken(Oracle::Continuity, format!("a call between n{a} and n{b} has no link to go over"));
        }
    }

    /// Whether what one host would send to the other now would be read there, unless the network takes it.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let Some((wire, end)) = self.active_end(from, to) else { return false };
        let it = &self.wires[wire];
        it.cut || !matches!(it.ends[1 - end], State::Closed { .. } | State::Gone)
    }

    /// Some time after the last dial: at rest, or something explains why not.
    pub(crate) fn check_rest(&mut self, (a, b): (usize, usize), stirs: u64) {
        let pair = &self.pairs[a * self.hosts.len() + b];
        let wires = || pair.wires.iter().map(|wire| &self.wires[*wire]);
        // A break that nobody has noticed yet, or a call that is open on a loser, stirs the pair again when it ends.
        let waits = wires().any(|wire| wire.cut || wire.retired != [false; 2] && wire.has_calls());
        if pair.stirs == stirs && !waits && (pair.wires.len() > 1 || wires().any(|wire| !wire.is_at_rest())) {
            self.broken(Oracle::Termination, format!("n{a} and n{b} do not come to rest: {:?}", pair.wires));
        }
    }

    /// Long after the last trouble.
    pub(crate) fn check_end(&mut self) {
        let count = self.hosts.len();
        for a in 0..count {
            let with = |b: &usize| self.pairs[a.min(*b) * count + a.max(*b)].wanted;
            let wanted = (0..count).filter(|b| *b != a).filter(with).count();
            let Some(process) = &self.hosts[a].process else { continue };
            let (linked, links) = (process.node.connected(), process.node.links().count());
            if linked == 0 {
                self.broken(Oracle::Isolation, format!("n{a} has no link at all"));
            } else if linked != wanted || links != wanted {
                let what = format!(
                    "n{a} has {links} links with {linked} nodes, where it should have one with each of {wanted}"
                );
                self.broken(Oracle::Agreement, what);
            }
        }
        for (a, b) in (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))) {
            let pair = &self.pairs[a * count + b];
            let [mine, theirs] = [self.active_end(a, b), self.active_end(b, a)].map(|end| end.map(|(wire, _)| wire));
            let is_one = mine == theirs && mine.is_some() && pair.wires.len() == 1;
            if pair.wanted && !is_one {
                let what = format!("n{a} uses {mine:?}, n{b} uses {theirs:?} of {:?}", pair.wires);
                self.broken(Oracle::Agreement, what);
            }
        }
    }
}
