//! A node that belongs to the network and lies about its members.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::seal::Seal;
use super::{Network, Oracle};
use crate::address::Address;
use crate::channel::Input as LinkInput;
use crate::id::{LinkId, NodeId};
use crate::limits;
use crate::membership::{Answer, Digest, Handed, Incarnation, Record, SignedRecord, Word};

/// The host that lies, if one does.
pub(super) const LIAR: usize = 0;

/// What the liar has collected, and what it cost the others.
#[derive(Debug, Default)]
pub(super) struct Lies {
    /// Records that were good once.
    archive: Vec<Handed>,
    invented: u64,
    /// Dials of each host to addresses where nobody is.
    lured: BTreeMap<usize, Vec<Instant>>,
}

impl Network {
    /// The liar says something on each of its links.
    pub(super) fn lie(&mut self, host: usize) {
        let records: Vec<SignedRecord> =
            self.hosts.iter().filter_map(|host| host.process.as_ref()?.node.record().cloned()).collect();
        let fresh = records.iter().map(|signed| Handed { record: signed.encode(), remaining: limits::RECORD_LEASE });
        self.lies.archive.extend(fresh);
        let here = &self.hosts[host];
        let Some(process) = here.process.as_ref().filter(|_| here.paused_until.is_none()) else { return };
        let links: Vec<LinkId> = process.directory.values().copied().collect();
        for link in links {
            for _ in 0..self.dice.between(1, 4) {
                let word = self.lie_of(&records);
                let (kind, content) = word.encode();
                self.order_of(host, link, LinkInput::Control { kind, content: &content });
            }
        }
    }

    /// The liar tells each neighbour of so many nodes that do not exist.
    pub(super) fn lure_all(&mut self, records: usize) {
        let Some(process) = &self.hosts[LIAR].process else { return };
        let links: Vec<LinkId> = process.directory.values().copied().collect();
        for link in links {
            let (kind, content) = self.invented(records).encode();
            self.order_of(LIAR, link, LinkInput::Control { kind, content: &content });
        }
    }

    fn lie_of(&mut self, records: &[SignedRecord]) -> Word {
        let victim = records[self.dice.below(records.len() as u64) as usize].record().clone();
        let ask = self.dice.below(64) as u32;
        match self.dice.below(8) {
            0 => self.forged(Record { left: Some("a lie".to_owned()), ..next(&victim, 1) }),
            1 => self.forged(next(&victim, u64::MAX / 2)),
            2 | 3 => {
                let old = self.lies.archive[self.dice.below(self.lies.archive.len() as u64) as usize].clone();
                Word::Discovered { records: vec![old], at: Some(Digest::default()).filter(|_| self.dice.chance(30)) }
            }
            4 | 5 => Word::Check { ask, node: victim.id },
            6 => Word::Checked { ask, answer: Answer::Unreachable },
            _ => Word::Suspected,
        }
    }

    fn forged(&mut self, record: Record) -> Word {
        let seal = Seal::of(record.id).forged();
        let signed = SignedRecord::sign(&record, &self.key, &seal).expect("it has the form of one");
        Word::Discovered {
            records: vec![Handed { record: signed.encode(), remaining: limits::RECORD_LEASE }],
            at: None,
        }
    }

    /// Records of nodes that do not exist, at addresses where others might be harmed.
    fn invented(&mut self, count: usize) -> Word {
        let records = (0..count).map(|_| {
            self.lies.invented += 1;
            let mut bytes = [0xee; 32];
            bytes[..8].copy_from_slice(&self.lies.invented.to_be_bytes());
            let id = NodeId::from_bytes(bytes);
            let addresses = (0..10).map(|_| self.lure()).collect();
            let about = self.about(LIAR);
            let record = Record {
                id,
                incarnation: Incarnation { epoch: crate::id::Epoch::new(1, [1; 16]), sequence: 1 },
                name: "nobody".to_owned(),
                machine: about.machine,
                groups: about.groups,
                hub: false,
                ephemeral: false,
                addresses,
                services: None,
                sealing_key: None,
                left: None,
                lease: limits::RECORD_LEASE,
            };
            let signed = SignedRecord::sign(&record, &self.key, &Seal::of(id)).expect("it is a record");
            Handed { record: signed.encode(), remaining: limits::RECORD_LEASE }
        });
        Word::Discovered { records: records.collect(), at: None }
    }

    /// An address at which nobody may be dialled, or at least nobody is.
    fn lure(&mut self) -> Address {
        let [a, b] = [0, 1].map(|_| self.dice.below(256) as u8);
        let ip: [u8; 4] = match self.dice.below(8) {
            0 => [127, 0, a, b],
            1 => [169, 254, 169, 254],
            2 => [224, 0, a, b],
            3 => [255, 255, 255, 255],
            4 => [0, 0, 0, 0],
            5 => [192, 0, 2, b],
            6 => [10, 77, a, b],
            _ => [93, 184, a, b],
        };
        Address::tls((ip, limits::PORT_DEFAULT).into())
    }

    /// A host dials an address that no host has: only where it may, and not too often.
    pub(super) fn lured(&mut self, host: usize, address: &Address) {
        let ip = address.host().and_then(|host| host.ip());
        if ip.is_none_or(is_denied) {
            self.violated(Oracle::O10, &[host], format!("{address} is dialled, because a liar says so"));
        }
        let now = self.now;
        let lured = self.lies.lured.entry(host).or_default();
        lured.retain(|at| now.saturating_duration_since(*at) < Duration::from_secs(60));
        lured.push(now);
        let count = lured.len();
        if count > DIALS_A_MINUTE {
            self.violated(Oracle::O8, &[host], format!("{count} dials within a minute because of one liar"));
        }
    }
}

/// A later record of the same run, as nobody has signed it.
fn next(record: &Record, more: u64) -> Record {
    let Incarnation { epoch, sequence } = record.incarnation;
    Record { incarnation: Incarnation { epoch, sequence: sequence.saturating_add(more) }, ..record.clone() }
}

/// Addresses that no node of a private network is dialled at because another says so, written down once more.
fn is_denied(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip else { return true };
    let [a, b, c, _] = ip.octets();
    a == 0 || a == 127 || a >= 224 || (a, b) == (169, 254) || (a, b, c) == (192, 0, 2)
}

/// Dials that all who tell of others may cause at a node within a minute, and a tenth more, because clocks differ. What a
/// liar has signed, honest nodes hand on.
const DIALS_A_MINUTE: usize = 230 + 23;
