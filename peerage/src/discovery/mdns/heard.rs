//! What was heard on the local network, and what of it is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use peerage_proto::address::Address;
use peerage_proto::hello::NetworkKey;

/// What members have announced. A record that no member made changes nothing here.
pub(super) struct Heard {
    key: NetworkKey,
    /// Names under which this node announces itself.
    own: BTreeSet<String>,
    by_instance: BTreeMap<String, BTreeSet<Address>>,
    /// New addresses since a point in time.
    fresh: Option<(Instant, usize)>,
}

/// One service, as it was heard.
pub(super) struct Record<'a> {
    pub(super) instance: &'a str,
    pub(super) version: Option<&'a [u8]>,
    pub(super) tag: Option<&'a [u8]>,
    pub(super) ips: Vec<IpAddr>,
    pub(super) port: u16,
}

impl Heard {
    pub(super) fn new(key: NetworkKey) -> Heard {
        Heard { key, own: BTreeSet::new(), by_instance: BTreeMap::new(), fresh: None }
    }

    /// Listening begins, under these names of our own.
    pub(super) fn begin(&mut self, own: BTreeSet<String>) {
        self.own = own;
    }

    /// Takes a record. Whether it changes what is found.
    pub(super) fn take(&mut self, record: &Record<'_>, now: Instant) -> bool {
        if !self.is_of_a_member(record) || self.own.contains(record.instance) {
            return false;
        }
        let addresses: BTreeSet<Address> = record.addresses().collect();
        let known = self.by_instance.get(record.instance);
        if known == Some(&addresses) || known.is_none() && self.by_instance.len() >= INSTANCES_MAX {
            return false;
        }
        let new = addresses.iter().filter(|address| known.is_none_or(|known| !known.contains(*address))).count();
        if !self.may_come(new, now) {
            return false;
        }
        self.by_instance.insert(record.instance.to_owned(), addresses);
        true
    }

    /// A record is gone. Whether that changes what is found.
    pub(super) fn remove(&mut self, instance: &str) -> bool {
        self.by_instance.remove(instance).is_some()
    }

    /// All addresses that members announce.
    pub(super) fn found(&self) -> BTreeSet<Address> {
        self.by_instance.values().flatten().cloned().collect()
    }

    fn is_of_a_member(&self, record: &Record<'_>) -> bool {
        let tag = record.tag.and_then(bytes_of);
        record.version == Some(super::VERSION.as_bytes())
            && tag.is_some_and(|tag| self.key.is_mdns_tag(record.instance, &tag))
    }

    /// Whether so many new addresses are not too many.
    fn may_come(&mut self, new: usize, now: Instant) -> bool {
        let (since, count) = match self.fresh {
            Some((since, count)) if now.saturating_duration_since(since) < MINUTE => (since, count),
            _ => (now, 0),
        };
        let count = count + new;
        if count > NEW_PER_MINUTE {
            return false;
        }
        self.fresh = Some((since, count));
        true
    }
}

impl Record<'_> {
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let at = if self.instance.starts_with('q') { Address::quic } else { Address::tls };
        let mut ips = self.ips.clone();
        ips.sort();
        let port = self.port;
        let is_usable = |ip: &IpAddr| peerage_proto::node::Here::may_tell(*ip);
        ips.into_iter().filter(is_usable).take(ADDRESSES_MAX).map(move |ip| at(SocketAddr::new(ip, port)))
    }
}

/// The bytes that a tag's 32 hexadecimal digits stand for.
fn bytes_of(tag: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(tag).ok().filter(|text| text.len() == 32)?;
    // A sign would be read as well.
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    Some(number.to_be_bytes())
}

/// Nodes of the network that are looked after here.
const INSTANCES_MAX: usize = 512;

/// Addresses of one of them.
const ADDRESSES_MAX: usize = 8;

/// Addresses in a minute that were not there before: that of a large network which starts at once.
const NEW_PER_MINUTE: usize = 1_024;

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;

    fn key(secret: u8) -> NetworkKey {
        NetworkKey::new("lab", &[secret; 32]).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A record of this instance with the tag that this secret gives, at this address.
    fn hear(heard: &mut Heard, secret: u8, instance: &str, at: &str) -> bool {
        let tag = hex(&key(secret).mdns_tag(instance));
        let record = Record { instance, version: Some(b"1"), tag: Some(tag.as_bytes()), ips: vec![ip(at)], port: 5000 };
        heard.take(&record, Instant::now())
    }

    fn found(heard: &Heard) -> Vec<String> {
        heard.found().iter().map(Address::to_string).collect()
    }

    #[test]
    fn records_of_members_are_found_by_their_transport_and_until_they_are_gone() {
        let mut heard = Heard::new(key(1));
        assert!(hear(&mut heard, 1, "tab", "10.0.0.1") && hear(&mut heard, 1, "qcd", "fd00::1"));
        assert!(!hear(&mut heard, 1, "tab", "10.0.0.1"), "that is known");
        assert_eq!(found(&heard), ["tls://10.0.0.1:5000", "quic://[fd00::1]:5000"]);
        assert!(hear(&mut heard, 1, "tab", "10.0.0.2"), "it has moved");
        assert_eq!(found(&heard), ["tls://10.0.0.2:5000", "quic://[fd00::1]:5000"]);
        assert!(heard.remove("tab") && !heard.remove("tab"));
        assert_eq!(found(&heard), ["quic://[fd00::1]:5000"]);
    }

    #[test]
    fn ten_thousand_records_that_no_member_made_lead_nowhere() {
        let mut heard = Heard::new(key(1));
        for number in 0..10_000 {
            assert!(!hear(&mut heard, 2, &format!("t{number:032x}"), "10.0.0.1"));
        }
        assert!(found(&heard).is_empty());
    }

    #[test]
    fn a_record_needs_its_version_and_the_tag_of_its_own_name() {
        let mut heard = Heard::new(key(1));
        let (tag, another) = (hex(&key(1).mdns_tag("tab")), hex(&key(1).mdns_tag("tcd")));
        let mut take = |version: Option<&[u8]>, tag: Option<&[u8]>| {
            let record = Record { instance: "tab", version, tag, ips: vec![ip("10.0.0.1")], port: 5000 };
            heard.take(&record, Instant::now())
        };
        let cut = &tag.as_bytes()[..31];
        let signed = format!("+{}", &tag[1..]);
        for wrong in [None, Some(another.as_bytes()), Some(cut), Some(signed.as_bytes()), Some(&b"\xff"[..])] {
            assert!(!take(Some(b"1"), wrong), "{wrong:?}");
        }
        assert!(!take(None, Some(tag.as_bytes())) && !take(Some(b"2"), Some(tag.as_bytes())));
        assert!(take(Some(b"1"), Some(tag.as_bytes())));
    }

    #[test]
    fn what_this_node_announces_itself_is_not_found() {
        let mut heard = Heard::new(key(1));
        heard.begin(["tab".to_owned()].into());
        assert!(!hear(&mut heard, 1, "tab", "10.0.0.1"));
        assert!(found(&heard).is_empty());
    }

    #[test]
    fn loopback_and_link_local_addresses_are_left_out() {
        let mut heard = Heard::new(key(1));
        for (number, at) in ["127.0.0.1", "::1", "169.254.169.254", "fe80::1"].iter().enumerate() {
            hear(&mut heard, 1, &format!("t{number}"), at);
        }
        assert!(found(&heard).is_empty());
    }

    #[test]
    fn a_member_whose_record_is_repeated_with_ever_new_addresses_causes_a_bounded_number() {
        let mut heard = Heard::new(key(1));
        let mut seen = BTreeSet::new();
        for number in 0..5_000 {
            hear(&mut heard, 1, "tab", &format!("10.1.{}.{}", number / 250, number % 250));
            seen.extend(heard.found());
        }
        assert_eq!(seen.len(), NEW_PER_MINUTE);
        let mut heard = Heard::new(key(1));
        for number in 0..INSTANCES_MAX + 100 {
            hear(&mut heard, 1, &format!("t{number}"), &format!("10.1.{}.{}", number / 250, number % 250));
        }
        assert_eq!(heard.found().len(), INSTANCES_MAX);
    }
}
