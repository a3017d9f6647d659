//! Saying something new of this node to all others.

use std::net::IpAddr;
use std::time::Duration;

use peerage_proto::address::Address;
use peerage_proto::id::NodeId;
use peerage_proto::membership::{About, ServiceList};
use peerage_proto::node::Input;
use tokio::time::Instant;

use super::Driver;
use crate::node::mistake::Mistake;
use crate::node::reach;
use crate::node::setting::Change;

/// When others are told what this node offers.
#[derive(Debug, Default)]
pub(super) struct Offering {
    /// When they were told last.
    told: Option<Instant>,
    due: Option<Instant>,
}

impl Offering {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Driver {
    /// What this node offers has changed: others are told at once, or with what changes in a moment.
    pub(super) fn offered(&mut self) {
        let (now, Offering { told, due }) = (Instant::now(), &mut self.offering);
        let at = told.map_or(now, |told| now.max(told + OFFER_PAUSE));
        if *due.get_or_insert(at) <= now {
            self.announce_offers(now);
        }
    }

    /// Says what this node offers, if that is news.
    pub(super) fn announce_offers(&mut self, now: Instant) {
        self.offering = Offering { told: Some(now), due: None };
        let table = self.offers.borrow_and_update().clone();
        match ServiceList::of(table.own_tags().map(|tag| tag.to_string())) {
            Ok(services) if services != self.parts.about.services => {
                let about = About { services, ..self.parts.about.clone() };
                self.say(about);
                self.is_stale = true;
            }
            Ok(_) => {}
            Err(why) => tracing::warn!(%why, "others are not told of the last change of services"),
        }
    }

    /// Says something new of this node to all others.
    pub(super) fn announce(&mut self, change: Change) -> Result<(), Mistake> {
        if let Some(address) = change.advertise.iter().flatten().find(|address| address.dialect().is_some()) {
            return Err(Mistake::Advertise { address: address.clone(), why: "it is for plain programs" });
        }
        let mut about = self.parts.about.clone();
        about.groups.retain(|group| !change.leave.contains(group));
        about.groups.extend(change.join);
        about.hub = change.hub.unwrap_or(about.hub);
        let advertised = change.advertise.unwrap_or_else(|| self.parts.advertise.clone());
        about.addresses = self.place(&advertised);
        self.parts.machine.check(&about).map_err(Mistake::Record)?;
        self.parts.advertise = advertised;
        self.say(about);
        Ok(())
    }

    /// Says where this node is, if that is news.
    pub(super) fn announce_place(&mut self) {
        let addresses = self.place(&self.parts.advertise);
        if addresses != self.parts.about.addresses {
            let about = About { addresses, ..self.parts.about.clone() };
            self.say(about);
        }
    }

    /// A peer says from where it sees this node come; or it is gone, and says nothing any more.
    pub(super) fn observed(&mut self, peer: NodeId, ip: Option<IpAddr>) {
        match ip {
            Some(ip) => _ = self.observed.insert(peer, ip),
            None if self.observed.remove(&peer).is_none() => return,
            None => {}
        }
        self.announce_place();
    }

    /// Where others are told to come.
    fn place(&self, advertised: &[Address]) -> Vec<Address> {
        let here = self.parts.machine.here();
        let mut addresses = reach::reachable(advertised, &here.listening, &here.interfaces);
        let said = self.observed.values();
        addresses.extend(reach::observed(said, advertised, &here.listening, &here.interfaces));
        addresses
    }

    fn say(&mut self, about: About) {
        self.shared().moved(&about.addresses);
        self.parts.about = about.clone();
        self.feed(Input::Announce(about));
    }
}

/// Between two words on what this node offers: whoever registers many services in a row is told of in few records, and what
/// is taken away is gone from the record within 200 ms.
const OFFER_PAUSE: Duration = Duration::from_millis(150);
