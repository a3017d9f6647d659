//! Saying something new of this node to all others.

use peerage_proto::address::Address;
use peerage_proto::membership::About;
use peerage_proto::node::Input;

use super::Driver;
use crate::node::mistake::Mistake;
use crate::node::reach;
use crate::node::setting::Change;

impl Driver {
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
        let here = self.parts.machine.here();
        about.addresses = reach::reachable(&advertised, &here.listening, &here.interfaces);
        self.parts.machine.check(&about).map_err(Mistake::Record)?;
        self.parts.advertise = advertised;
        self.say(about);
        Ok(())
    }

    /// This node is elsewhere.
    pub(super) fn announce_place(&mut self, addresses: Vec<Address>) {
        let about = About { addresses, ..self.parts.about.clone() };
        self.say(about);
    }

    fn say(&mut self, about: About) {
        self.shared().moved(&about.addresses);
        self.parts.about = about.clone();
        self.feed(Input::Announce(about));
    }
}
