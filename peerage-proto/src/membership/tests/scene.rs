//! A machine, a clock, and nodes that do what they are told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::hello::NetworkKey;
use crate::id::{Epoch, NodeId};
use crate::limits;
use crate::liveness::Profile;
use crate::membership::{
    About, Change, ChangedTo, Digest, Evidence, Handed, Incarnation, Keys, LinkEnd, Membership, Record, ServiceList,
    SignedRecord, State, Transition, Wish, Word,
};
use crate::sim::{Judge, Seal};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn lab() -> NetworkKey {
    NetworkKey::new("lab", &[7; 32]).unwrap()
}

pub(super) fn keys_of(id: NodeId) -> Keys {
    Keys { signer: Arc::new(Seal::of(id)), verifier: Arc::new(Judge), network: lab() }
}

pub(super) fn about(name: &str) -> About {
    About {
        name: name.to_owned(),
        machine: [3; 16],
        groups: BTreeSet::new(),
        hub: false,
        ephemeral: false,
        addresses: vec![format!("memory://{name}").parse().unwrap()],
        services: ServiceList::default(),
        sealing_key: None,
    }
}

pub(super) fn epoch_at(start: u64) -> Epoch {
    Epoch::new(start, [9; 16])
}

/// A node that exists as far as a test says.
#[derive(Clone, Debug)]
pub(super) struct Puppet {
    pub(super) id: NodeId,
    pub(super) epoch: Epoch,
    pub(super) about: About,
}

impl Puppet {
    pub(super) fn of(number: u8) -> Puppet {
        let id = NodeId::from_bytes([number; 32]);
        Puppet { id, epoch: epoch_at(100), about: about(&format!("p{number}")) }
    }

    /// The same node, started again.
    pub(super) fn restarted(&self) -> Puppet {
        Puppet { epoch: epoch_at(self.epoch.start() + 1), ..self.clone() }
    }

    /// The same node, which has moved.
    pub(super) fn moved(&self, to: &str) -> Puppet {
        Puppet { about: About { addresses: vec![to.parse().unwrap()], ..self.about.clone() }, ..self.clone() }
    }

    /// The same node without any address.
    pub(super) fn hidden(&self) -> Puppet {
        Puppet { about: About { addresses: Vec::new(), ..self.about.clone() }, ..self.clone() }
    }

    /// The same node, which offers these.
    pub(super) fn offering(&self, tags: &[&str]) -> Puppet {
        self.offering_all(&ServiceList::of(tags.iter().copied()).unwrap())
    }

    pub(super) fn offering_all(&self, services: &ServiceList) -> Puppet {
        Puppet { about: About { services: services.clone(), ..self.about.clone() }, ..self.clone() }
    }

    fn record(&self, sequence: u64) -> Record {
        let about = self.about.clone();
        Record {
            id: self.id,
            incarnation: Incarnation { epoch: self.epoch, sequence },
            name: about.name,
            machine: about.machine,
            groups: about.groups,
            hub: about.hub,
            ephemeral: about.ephemeral,
            addresses: about.addresses,
            services: about.services.digest(),
            sealing_key: about.sealing_key,
            left: None,
            lease: limits::RECORD_LEASE,
        }
    }

    pub(super) fn signed(&self, sequence: u64) -> SignedRecord {
        SignedRecord::sign(&self.record(sequence), &lab(), &Seal::of(self.id)).unwrap()
    }

    /// Its record, as it is handed on right after it was signed.
    pub(super) fn handed(&self, sequence: u64) -> Handed {
        Handed { record: self.signed(sequence).encode(), remaining: limits::RECORD_LEASE }
    }

    pub(super) fn farewell(&self, sequence: u64) -> Handed {
        let record = Record { left: Some("lunch".to_owned()), ..self.record(sequence) };
        let signed = SignedRecord::sign(&record, &lab(), &Seal::of(self.id)).unwrap();
        Handed { record: signed.encode(), remaining: limits::RECORD_LEASE }
    }

    /// What somebody hands on as its record who has not its key.
    pub(super) fn forged(&self, sequence: u64) -> Handed {
        let seal = Seal::of(self.id).forged();
        let signed = SignedRecord::sign(&self.record(sequence), &lab(), &seal).unwrap();
        Handed { record: signed.encode(), remaining: limits::RECORD_LEASE }
    }
}

pub(super) fn discovered(records: impl IntoIterator<Item = Handed>) -> Word {
    Word::Discovered { records: records.into_iter().collect(), at: None }
}

/// One machine, `ada`, and what it has wished and told.
pub(super) struct Scene {
    pub(super) ada: Membership,
    pub(super) now: Instant,
    said: Vec<(NodeId, Word)>,
    others: Vec<Wish>,
    changes: Vec<Change>,
}

impl Scene {
    pub(super) fn new() -> Scene {
        let now = crate::sim::epoch();
        let keys = keys_of(NodeId::from_bytes([200; 32]));
        let ada = Membership::new(keys, Profile::LAN, about("ada"), epoch_at(100), 7, now).unwrap();
        Scene { ada, now, said: Vec::new(), others: Vec::new(), changes: Vec::new() }
    }

    /// A scene with links to these puppets, whose digests are equal, and all of which has been read.
    pub(super) fn linked_with<const N: usize>(numbers: [u8; N]) -> (Scene, [Puppet; N]) {
        let mut scene = Scene::new();
        let puppets = numbers.map(Puppet::of);
        for puppet in &puppets {
            scene.link(puppet);
        }
        scene.agree(&puppets);
        (scene, puppets)
    }

    /// These neighbours say that they hold what ada holds. Everything so far is forgotten.
    pub(super) fn agree(&mut self, puppets: &[Puppet]) {
        self.wait(limits::DIGEST_PAUSE);
        let digest = self.digest();
        for puppet in puppets {
            self.told(puppet, Word::Digest(digest));
        }
        let _ = (self.said(), self.other_wishes(), self.changes());
    }

    pub(super) fn link(&mut self, puppet: &Puppet) {
        self.link_with(puppet, 1);
    }

    pub(super) fn link_with(&mut self, puppet: &Puppet, sequence: u64) {
        let path = format!("tls://{}", puppet.about.name);
        self.ada.linked(self.now, puppet.id, puppet.epoch, puppet.signed(sequence), &path);
        self.collect();
    }

    pub(super) fn unlink(&mut self, puppet: &Puppet, end: LinkEnd) {
        self.ada.unlinked(self.now, puppet.id, end, "so says the test");
        self.collect();
    }

    pub(super) fn told(&mut self, from: &Puppet, word: Word) {
        self.ada.told(self.now, from.id, word);
        self.collect();
    }

    /// Something is done to the machine.
    pub(super) fn act(&mut self, act: impl FnOnce(&mut Membership, Instant)) {
        act(&mut self.ada, self.now);
        self.collect();
    }

    /// Time passes; what is due is done when it is due.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut rings = 0;
        while let Some(due) = self.ada.next_timeout().filter(|due| *due <= until) {
            rings += 1;
            assert!(rings < 10_000, "a timer rings again and again");
            self.now = self.now.max(due);
            self.ada.timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    fn collect(&mut self) {
        for wish in self.ada.wishes.drain(..) {
            match wish {
                Wish::Say { peer, word } => self.said.push((peer, word)),
                other => self.others.push(other),
            }
        }
        self.changes.extend(self.ada.changes.drain(..));
    }

    /// What was said since this was asked last.
    pub(super) fn said(&mut self) -> Vec<(NodeId, Word)> {
        std::mem::take(&mut self.said)
    }

    /// What was said to one neighbour since anything was asked last.
    pub(super) fn said_to(&mut self, puppet: &Puppet) -> Vec<Word> {
        self.said().into_iter().filter(|(peer, _)| *peer == puppet.id).map(|(_, word)| word).collect()
    }

    /// Wishes that are not words.
    pub(super) fn other_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.others)
    }

    pub(super) fn changes(&mut self) -> Vec<(NodeId, ChangedTo)> {
        self.whole_changes().into_iter().map(|change| (change.id, change.to)).collect()
    }

    pub(super) fn whole_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn changes_of(&mut self, puppet: &Puppet) -> Vec<ChangedTo> {
        self.changes().into_iter().filter(|(id, _)| *id == puppet.id).map(|(_, to)| to).collect()
    }

    pub(super) fn state(&self, puppet: &Puppet) -> Option<State> {
        self.ada.member(&puppet.id).map(|member| member.state)
    }

    pub(super) fn last(&self, puppet: &Puppet) -> &Transition {
        self.ada.transitions(&puppet.id).next_back().expect("something has happened to it")
    }

    pub(super) fn evidence(&self, puppet: &Puppet) -> Vec<Evidence> {
        self.ada.transitions(&puppet.id).map(|transition| transition.evidence).collect()
    }

    pub(super) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        let live = self.ada.table.iter().filter(|(_, member)| member.state.is_live());
        live.for_each(|(_, member)| digest.toggle(&member.signed.mark()));
        digest.toggle(&self.ada.record().mark());
        digest
    }

    pub(super) fn sequence(&self) -> u64 {
        self.ada.record().record().incarnation.sequence
    }

    pub(super) fn id(&self) -> NodeId {
        keys_of(NodeId::from_bytes([200; 32])).signer.id()
    }
}
