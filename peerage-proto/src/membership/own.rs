//! The record that this node signs about itself, and when it signs the next one.

use std::time::{Duration, Instant};

use super::record::MARK_BYTES;
use super::{About, Handed, Incarnation, InvalidRecord, Keys, Record, ServiceList, SignedRecord};
use crate::id::{Epoch, NodeId};
use crate::jitter::Jitter;
use crate::limits;

/// This node in its own words, always signed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Own {
    keys: Keys,
    about: About,
    signed: SignedRecord,
    mark: [u8; MARK_BYTES],
    signed_at: Instant,
    renew_at: Instant,
}

impl Own {
    /// Signs the first record of the epoch.
    pub(super) fn new(
        keys: Keys,
        about: About,
        epoch: Epoch,
        now: Instant,
        jitter: &mut Jitter,
    ) -> Result<Own, InvalidRecord> {
        let about = fitted(&keys, about)?;
        let signed = sign(&keys, &about, Incarnation { epoch, sequence: 1 }, None);
        let mark = signed.mark();
        Ok(Own { keys, about, signed, mark, signed_at: now, renew_at: now + renewal(jitter) })
    }

    /// Whether it could say this.
    pub(super) fn check(&self, about: &About) -> Result<(), InvalidRecord> {
        fitted(&self.keys, about.clone()).map(drop)
    }

    /// From the next record on it says this.
    pub(super) fn announce(&mut self, about: About) -> Result<(), InvalidRecord> {
        self.about = fitted(&self.keys, about)?;
        Ok(())
    }

    /// Signs the next record.
    pub(super) fn sign(&mut self, now: Instant, jitter: &mut Jitter) {
        let Incarnation { epoch, sequence } = self.incarnation();
        self.sign_as(now, Incarnation { epoch, sequence: sequence.saturating_add(1) }, jitter);
    }

    /// Signs the first record of a new epoch.
    pub(super) fn sign_in(&mut self, now: Instant, epoch: Epoch, jitter: &mut Jitter) {
        self.sign_as(now, Incarnation { epoch, sequence: 1 }, jitter);
    }

    /// Signs a record that counts for more than number `other`, which somebody has of us.
    pub(super) fn rise_above(&mut self, now: Instant, other: u64, jitter: &mut Jitter) {
        let Incarnation { epoch, sequence } = self.incarnation();
        let sequence = sequence.max(other).saturating_add(1);
        self.sign_as(now, Incarnation { epoch, sequence }, jitter);
    }

    /// Signs the farewell. Nobody needs addresses any more, so that there is room for the reason.
    pub(super) fn leave(&mut self, now: Instant, reason: &str) {
        let Incarnation { epoch, sequence } = self.incarnation();
        let incarnation = Incarnation { epoch, sequence: sequence.saturating_add(1) };
        let about = About { addresses: Vec::new(), ..self.about.clone() };
        let signed = try_sign(&self.keys, &about, incarnation, Some(reason))
            .unwrap_or_else(|_| sign(&self.keys, &about, incarnation, Some("")));
        self.take(now, signed);
    }

    /// Somebody doubts that this node lives: the next record is due now, or as soon as it may be.
    pub(super) fn doubted(&mut self, now: Instant) {
        let soon = now.max(self.signed_at + limits::REFUTATION_PAUSE);
        self.renew_at = self.renew_at.min(soon);
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn id(&self) -> NodeId {
        self.signed.record().id
    }

    /// What it offers.
    pub(super) fn services(&self) -> &ServiceList {
        &self.about.services
    }

    pub(super) fn signed(&self) -> &SignedRecord {
        &self.signed
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.signed.record().incarnation
    }

    pub(super) fn mark(&self) -> &[u8; MARK_BYTES] {
        &self.mark
    }

    pub(super) fn has_left(&self) -> bool {
        self.signed.record().left.is_some()
    }

    /// When the next record is due; `None` after the farewell.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.has_left()).then_some(self.renew_at)
    }

    /// The record as it is handed on now.
    pub(super) fn handed(&self, now: Instant) -> Handed {
        let age = now.saturating_duration_since(self.signed_at);
        Handed { record: self.signed.encode(), remaining: self.signed.record().lease.saturating_sub(age) }
    }

    fn sign_as(&mut self, now: Instant, incarnation: Incarnation, jitter: &mut Jitter) {
        let signed = sign(&self.keys, &self.about, incarnation, None);
        self.take(now, signed);
        self.renew_at = now + renewal(jitter);
    }

    fn take(&mut self, now: Instant, signed: SignedRecord) {
        self.mark = signed.mark();
        (self.signed, self.signed_at) = (signed, now);
    }
}

/// What is said, with as many addresses as fit beside the rest in every record to come.
fn fitted(keys: &Keys, mut about: About) -> Result<About, InvalidRecord> {
    about.addresses.truncate(limits::INTRODUCED_ADDRESSES_MAX);
    let longest = Incarnation { epoch: Epoch::new(u64::MAX, [0; 16]), sequence: u64::MAX };
    loop {
        match try_sign(keys, &about, longest, Some("")) {
            Ok(_) => return Ok(about),
            Err(InvalidRecord::TooLarge { .. }) if about.addresses.pop().is_some() => {}
            Err(why) => return Err(why),
        }
    }
}

fn sign(keys: &Keys, about: &About, incarnation: Incarnation, left: Option<&str>) -> SignedRecord {
    try_sign(keys, about, incarnation, left).expect("the longest record with these words has been signed before")
}

fn try_sign(
    keys: &Keys,
    about: &About,
    incarnation: Incarnation,
    left: Option<&str>,
) -> Result<SignedRecord, InvalidRecord> {
    let record = Record {
        id: keys.signer.id(),
        incarnation,
        name: about.name.clone(),
        machine: about.machine,
        groups: about.groups.clone(),
        hub: about.hub,
        ephemeral: about.ephemeral,
        addresses: about.addresses.clone(),
        services: about.services.digest(),
        sealing_key: about.sealing_key,
        left: left.map(str::to_owned),
        lease: limits::RECORD_LEASE,
    };
    SignedRecord::sign(&record, &keys.network, keys.signer.as_ref())
}

/// Between nine tenths of the renewal time and the whole of it.
fn renewal(jitter: &mut Jitter) -> Duration {
    let tenth = limits::RECORD_RENEWAL / 10;
    let part = tenth.saturating_mul(jitter.next() >> 16) / (1 << 16);
    limits::RECORD_RENEWAL.saturating_sub(part)
}
