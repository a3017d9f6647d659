//! Which peer that has proved itself gets a link: its run must be the newest that is known, and there must be room.
//!
//! A newer epoch of a node ends every link of the older one: the process was started again, and whatever the old links
//! still carry goes nowhere. An older epoch is refused, and told the newest, so that a node which lost its counter can raise
//! it and come back.
//!
//! Two processes with a copy of one key would push each other out like that for ever. So when a living link is to be
//! replaced for the third time within a minute, the peer at its other end is asked for a sign of life first. Where it
//! answers, there are two of it: the newcomer is refused as an identity conflict, and an operator should look.

use std::time::{Duration, Instant};

use super::order::Fact;
use super::{Link, Order, Peer, Peers, Phase, Proved, State, WhyClosed};
use crate::hello::{Refusal, Trust};
use crate::id::{Epoch, LinkId, NodeId};
use crate::limits;
use crate::peers::DialId;
use crate::planted::{self, Bug};

/// What speaks for a second process with the same key.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Suspicion {
    /// When a living link was, or was to be, replaced by one of a newer epoch: the last few times.
    replaced: Vec<Instant>,
    /// A newcomer that waits for the established peer's sign of life.
    trial: Option<Trial>,
    /// When the last conflict counts as over.
    conflict: Option<Instant>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Trial {
    /// The newcomer.
    link: LinkId,
    proved: Proved,
    /// The link whose peer was asked.
    established: LinkId,
    until: Instant,
}

enum Verdict {
    Admit,
    Try { established: LinkId },
    Refuse(Refusal),
}

impl Suspicion {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        [self.trial.as_ref().map(|trial| trial.until), self.conflict].into_iter().flatten().min()
    }

    fn note(&mut self, now: Instant) {
        self.replaced.retain(|at| now.saturating_duration_since(*at) < limits::CLONE_WINDOW);
        if self.replaced.len() < limits::CLONE_CHANGES {
            self.replaced.push(now);
        }
    }

    fn is_strong(&self, now: Instant) -> bool {
        let recent = self.replaced.iter().filter(|at| now.saturating_duration_since(**at) < limits::CLONE_WINDOW);
        self.conflict.is_some() || recent.count().saturating_add(1) >= limits::CLONE_CHANGES
    }
}

impl Peers {
    /// A peer has proved itself: admits or refuses it. `newest`: the newest run of it that it has signed a record in, as far as
    /// is known.
    pub(crate) fn proved(
        &mut self,
        now: Instant,
        id: LinkId,
        proved: Proved,
        dialled: Option<DialId>,
        newest: Option<Epoch>,
    ) {
        if self.links.contains_key(&id) {
            return; // an id given out twice by the driver: the first one holds
        }
        if let Some(dial) = dialled {
            self.contacts.proved(dial);
        }
        let verdict = match newest.filter(|newest| proved.epoch < *newest && !planted::is(Bug::OlderEpochAccepted)) {
            Some(newest) if self.phase == Phase::Running => Verdict::Refuse(Refusal::StaleEpoch { newest }),
            _ => self.judge(now, &proved),
        };
        match verdict {
            Verdict::Admit => self.admit(now, id, proved, dialled),
            Verdict::Refuse(why) => self.refuse(now, id, dialled, why),
            Verdict::Try { established } => {
                let peer = self.peers.get_mut(&proved.peer).expect("only a known peer is put on trial");
                let until = now + limits::CLONE_ANSWER;
                peer.suspicion.trial = Some(Trial { link: id, proved, established, until });
                self.links.insert(id, Link { peer: proved.peer, dialled, state: State::Trial });
                self.orders.push_back(Order::Probe { link: established });
            }
        }
    }

    fn judge(&self, now: Instant, proved: &Proved) -> Verdict {
        if self.phase != Phase::Running {
            return Verdict::Refuse(Refusal::Draining);
        }
        if proved.peer == self.own {
            return Verdict::Refuse(Refusal::IdentityConflict);
        }
        if self.links.len() >= self.links_max as usize {
            return Verdict::Refuse(Refusal::Busy { retry_after: RETRY_AFTER });
        }
        let Some(known) = self.peers.get(&proved.peer) else { return Verdict::Admit };
        let busy = Verdict::Refuse(Refusal::Busy { retry_after: RETRY_AFTER });
        let of_peer = || self.links.values().filter(|link| link.peer == proved.peer);
        if of_peer().any(|link| matches!(link.state, State::Parting { .. } | State::Trial)) {
            return busy;
        }
        match (known.trust, proved.trust) {
            // An id that anybody can claim says nothing against one that was proved.
            (Trust::Proven, Trust::Claimed) => return Verdict::Refuse(Refusal::IdentityConflict),
            (Trust::Claimed, Trust::Proven) => return Verdict::Admit,
            _ => {}
        }
        if proved.epoch < known.epoch && !planted::is(Bug::OlderEpochAccepted) {
            return Verdict::Refuse(Refusal::StaleEpoch { newest: known.epoch });
        }
        if proved.epoch > known.epoch {
            return match known.pair.active().filter(|_| known.suspicion.is_strong(now)) {
                Some(established) => Verdict::Try { established },
                None => Verdict::Admit,
            };
        }
        let count = of_peer().filter(|link| link.state == State::Paired).count();
        let same_order = known.pair.links().any(|(_, order, _)| order == proved.order);
        if count >= limits::LINKS_PER_PEER_MAX || same_order { busy } else { Verdict::Admit }
    }

    fn admit(&mut self, now: Instant, id: LinkId, proved: Proved, dialled: Option<DialId>) {
        let Proved { peer, trust, epoch, order } = proved;
        match self.peers.get(&peer).map(|known| (known.trust, known.epoch, known.pair.active().is_some())) {
            None => {
                self.make_room();
                self.peers.insert(peer, Peer::new(peer, epoch, trust));
            }
            Some((known, ..)) if known != trust => self.replace(now, peer, epoch, trust, &WhyClosed::Proven),
            Some((_, known, is_up)) if known < epoch => {
                if is_up {
                    self.peers.get_mut(&peer).expect("looked up above").suspicion.note(now);
                }
                self.replace(now, peer, epoch, trust, &WhyClosed::NewerEpoch(epoch));
            }
            Some(_) => {}
        }
        let known = self.peers.get_mut(&peer).expect("inserted above");
        known.gone = None;
        known.pair.admit(id, order);
        self.links.insert(id, Link { peer, dialled, state: State::Paired });
        self.orders.push_back(Order::Admit { link: id });
    }

    /// A later run of a peer has signed a record: what links there are with earlier ones end.
    pub(crate) fn outdated(&mut self, now: Instant, peer: NodeId, newest: Epoch) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        // Where two processes seem to have one key it is left to their links to show which of them lives.
        if known.epoch >= newest || known.suspicion.is_strong(now) {
            return;
        }
        if known.pair.active().is_some() {
            known.suspicion.note(now);
        }
        let trust = known.trust;
        self.replace(now, peer, newest, trust, &WhyClosed::NewerEpoch(newest));
    }

    fn refuse(&mut self, now: Instant, id: LinkId, dialled: Option<DialId>, why: Refusal) {
        self.orders.push_back(Order::Refuse { link: id, why: why.clone() });
        if let Some(dial) = dialled {
            self.dial_failed(now, dial, super::DialError::Hello(crate::hello::HelloError::RefusedHere(why)));
        }
    }

    /// Another run of the peer, or a proved one in place of a claimed one: its links so far end.
    fn replace(&mut self, now: Instant, peer: NodeId, epoch: Epoch, trust: Trust, why: &WhyClosed) {
        let old: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.peer == peer).map(|(id, _)| *id).collect();
        for id in old {
            self.close(now, id, why.clone());
        }
        let known = self.peers.get_mut(&peer).expect("the caller found it");
        (known.epoch, known.trust) = (epoch, trust);
    }

    /// The peer of a link has given the sign of life that it was asked for.
    pub(crate) fn answered(&mut self, now: Instant, id: LinkId) {
        let Some(peer) = self.links.get(&id).map(|link| link.peer) else { return };
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let Some(trial) = known.suspicion.trial.take_if(|trial| trial.established == id) else { return };
        known.suspicion.note(now);
        known.suspicion.conflict = Some(now + limits::CLONE_WINDOW);
        self.facts.push_back(Fact::Conflict { peer });
        let dialled = self.links.remove(&trial.link).and_then(|link| link.dialled);
        self.refuse(now, trial.link, dialled, Refusal::IdentityConflict);
    }

    /// A link has ended: that of a newcomer on trial, or the one its trial was about.
    pub(super) fn trial_lost(&mut self, now: Instant, peer: NodeId, id: LinkId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let concerns = |trial: &mut Trial| trial.link == id || trial.established == id;
        if let Some(trial) = known.suspicion.trial.take_if(concerns)
            && trial.established == id
        {
            self.acquit(now, trial);
        }
    }

    /// Ends trials whose time is over, and conflicts that nothing has been seen of any more.
    pub(super) fn end_trials(&mut self, now: Instant) {
        let ids: Vec<NodeId> = self.peers.keys().copied().collect();
        for id in ids {
            let known = self.peers.get_mut(&id).expect("listed above");
            if known.suspicion.conflict.take_if(|until| *until <= now).is_some() {
                self.facts.push_back(Fact::ConflictOver { peer: id });
            }
            if let Some(trial) = known.suspicion.trial.take_if(|trial| trial.until <= now) {
                self.acquit(now, trial);
            }
        }
    }

    /// The established peer gave no sign of life: the newcomer takes its place.
    fn acquit(&mut self, now: Instant, trial: Trial) {
        if let Some(link) = self.links.remove(&trial.link) {
            self.admit(now, trial.link, trial.proved, link.dialled);
        }
    }

    /// A peer's refusal may say something about this node: that a newer run of it is known.
    pub(super) fn heed(&mut self, refusal: &Refusal) {
        let Refusal::StaleEpoch { newest } = refusal else { return };
        let jump = newest.start().saturating_sub(self.epoch.start());
        if *newest > self.epoch && jump <= limits::EPOCH_JUMP_MAX {
            self.epoch = Epoch::new(newest.start().saturating_add(1), *self.epoch.random());
            self.orders.push_back(Order::Renew { epoch: self.epoch });
        }
    }

    /// Forgets the peers that have been without a link for longest, if too many are remembered.
    fn make_room(&mut self) {
        let gone = self.peers.iter().filter_map(|(id, peer)| peer.gone.map(|gone| (gone, *id)));
        let mut gone: Vec<(Instant, NodeId)> = gone.collect();
        // Room for one more: the newcomer may be gone soon as well.
        let too_many = gone.len().saturating_add(1).saturating_sub(limits::PEERS_REMEMBERED_MAX);
        if too_many > 0 {
            gone.sort_unstable();
            for (_, id) in gone.into_iter().take(too_many) {
                self.peers.remove(&id);
                self.facts.push_back(Fact::PeerForgotten { peer: id });
            }
        }
    }
}

/// How long a refused peer is asked to wait when there is no room for it.
const RETRY_AFTER: Duration = Duration::from_secs(1);
