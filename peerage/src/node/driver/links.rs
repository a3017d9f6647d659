//! What comes from connections and links, and what it means for the machine.

use std::net::IpAddr;
use std::sync::Arc;

use peerage_proto::address::{Address, Host};
use peerage_proto::channel::Config;
use peerage_proto::codec::{Encoding, Form, Payload};
use peerage_proto::frame::{Kind, Side};
use peerage_proto::hello::Introduction;
use peerage_proto::id::LinkId;
use peerage_proto::limits;
use peerage_proto::liveness::Profile;
use peerage_proto::membership::Word as MemberWord;
use peerage_proto::node::{Control, Input, Proved, WhyDown};
use peerage_proto::outcome::LinkLost;
use tokio::time::Instant;

use super::Driver;
use crate::dispatch::{Dispatch, Origin};
use crate::link::{Link, Order, Report, Reporter, Standing, Word};
use crate::node::admission::{Admitted, Arrival};
use crate::node::error::NotConnected;
use crate::node::held::Held;
use crate::node::snapshot::Direction;
use crate::node::start::LZ4;
use crate::shown::shown;

impl Driver {
    /// A connection has come to something.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Proved { link, established, dialled, decide } => {
                if let Some((address, _)) = dialled.and_then(|dial| self.dials.remove(&dial)) {
                    self.reached([&address]);
                }
                self.undecided.insert(link, decide);
                let proved = Proved {
                    peer: established.peer,
                    trust: established.trust,
                    epoch: established.epoch,
                    order: established.order,
                };
                self.feed(Input::Proved { link, proved, dialled });
            }
            Arrival::Admitted(admitted) => self.admitted(*admitted),
            Arrival::DialFailed { dial, why } => {
                let Some((address, _)) = self.dials.remove(&dial) else { return };
                self.dial_failed(&address, &why);
                self.feed(Input::DialFailed { dial, why });
            }
            Arrival::Failed { link, why } => {
                self.undecided.remove(&link);
                self.stillborn.retain(|closed| *closed != link);
                self.feed(Input::Down { link, why: WhyDown::Hello(why) });
            }
        }
    }

    /// Both ends take the link: it begins, and says who we are.
    fn admitted(&mut self, admitted: Admitted) {
        let Admitted { link: id, connection, established, behind, side } = admitted;
        let is_closed = self.stillborn.iter().position(|closed| *closed == id).map(|at| self.stillborn.swap_remove(at));
        if is_closed.is_some() {
            return self.feed(Input::Down { link: id, why: WhyDown::Lost(LinkLost::ClosedHere) });
        }
        let Some(reporter) = Reporter::reserve(id, &self.reporting) else {
            return self.feed(Input::Down { link: id, why: WhyDown::TooSlow });
        };
        let shared = self.shared().clone();
        let config = Config {
            liveness: Some(shared.profile),
            grid: Some(shared.grid),
            compression: self.parts.compression,
            ..Config::for_node(side)
        };
        let origin = Origin::Link(established.peer);
        let server = Dispatch::new(self.parts.services.clone(), origin, shared.metrics.clone());
        let server = server.of_run(established.epoch);
        let record = self.parts.machine.record().expect("a node keeps members").encode();
        let said = Introduction { record, sees_us_at: seen_at(&connection.remote), ..self.parts.introduction.clone() };
        let said = said.encode().expect("names and builds are checked where they are made");
        let span =
            tracing::info_span!("link", link = %id, peer = %established.peer, path = %connection.remote.scheme());
        let (peer, epoch, feeder) = (established.peer, established.epoch, shared.board.clone());
        let standing = Standing { peer, epoch, feeder, span };
        let link = Link::start_of_node(connection, &said, &behind, config, Box::new(server), reporter, standing);
        let direction = if side == Side::Dialler { Direction::Out } else { Direction::In };
        let now = Instant::now();
        shared.links.insert(id, Arc::new(Held::new(link, established, direction, now)));
        self.unnamed.insert(id, now + limits::HANDSHAKE_TIME_DEFAULT);
    }

    /// A link tells something.
    pub(super) fn reported(&mut self, report: Report) {
        let Report { link, word } = report;
        match word {
            Word::Control { kind, content } => self.said(link, kind, &content),
            Word::Idle(ask) => self.feed(Input::Idle { link, ask }),
            Word::Answered => self.feed(Input::Answered { link }),
            Word::Quiet => self.feed(Input::Quiet { link }),
            Word::Heard => self.feed(Input::Audible { link }),
            Word::Agreed(form) => {
                if let Some(held) = self.shared().links.find(link) {
                    held.agreed(form);
                }
                self.form_is(link, form);
            }
            Word::Declined(form) => self.form_is(link, form),
            Word::Ended(LinkLost::TooSlow) => self.ended(link, WhyDown::TooSlow),
            Word::Ended(why) => self.ended(link, WhyDown::Lost(why)),
            Word::TooSlow => self.ended(link, WhyDown::TooSlow),
        }
    }

    /// The peer's node says something.
    fn said(&mut self, id: LinkId, kind: Kind, content: &Payload) {
        if kind == Kind::Introduction {
            return match Introduction::decode(content) {
                Ok(said) => self.introduced(id, said),
                Err(why) => self.cut(id, &why.to_string()),
            };
        }
        if self.unnamed.contains_key(&id) {
            return self.cut(id, "it speaks of links before it has introduced itself");
        }
        match Control::decode(kind, content) {
            Ok(Some(control)) => self.feed(Input::Heard { link: id, control }),
            Ok(None) => self.told(id, kind, content),
            Err(why) => self.cut(id, &why.to_string()),
        }
    }

    /// The peer's node says something about who exists.
    fn told(&mut self, id: LinkId, kind: Kind, content: &Payload) {
        match MemberWord::decode(kind, content) {
            Ok(Some(word)) => self.feed(Input::Told { link: id, word }),
            Ok(None) => {}
            Err(why) => self.cut(id, &why.to_string()),
        }
    }

    /// The peer has said who it is: from now on the link stands.
    fn introduced(&mut self, id: LinkId, said: Introduction) {
        let Some(held) = self.shared().links.find(id) else { return };
        if self.unnamed.remove(&id).is_none() {
            return self.cut(id, "it introduced itself twice");
        }
        held.link.order(Order::PeerProfile(Profile::every(said.ping_interval)));
        // One of both ends asks, or they would ask each other.
        if self.parts.compression && said.compression.contains(LZ4) && held.direction == Direction::Out {
            held.link.order(Order::Propose(Form::COMPRESSED));
        }
        let (record, sees_us_at) = (said.record.clone(), said.sees_us_at);
        // It is kept among the members, as long as it is the newest.
        held.introduction.get_or_init(|| Introduction { record: Payload::null(Encoding::MsgPack), ..said });
        self.feed(Input::Introduced { link: id, record, path: held.path.clone() });
        let peer = held.established.peer;
        let machine = self.parts.machine.member(&peer).map(|member| member.record.machine);
        if let Some(ip) = sees_us_at.filter(|_| machine.is_some_and(|machine| machine != self.shared().facts.machine)) {
            self.observed(peer, Some(ip));
        }
    }

    /// A link has ended.
    fn ended(&mut self, id: LinkId, why: WhyDown) {
        let Some(held) = self.shared().links.remove(id) else { return };
        let (peer, metrics) = (held.established.peer, &self.shared().metrics);
        match &why {
            WhyDown::TooSlow => metrics.links_too_slow.add(1),
            WhyDown::Lost(LinkLost::ClosedHere | LinkLost::PeerClosed) => metrics.links_closed.add(1),
            WhyDown::Lost(LinkLost::Silent) => metrics.links_silent.add(1),
            WhyDown::Lost(LinkLost::Misbehaved(_)) => metrics.links_misbehaved.add(1),
            _ => metrics.links_lost.add(1),
        }
        tracing::info!(link = %id, %peer, path = %held.path, why = %shown(&why.to_string()), "link ended");
        self.unnamed.remove(&id);
        if let Some(reply) = self.proposed.remove(&id) {
            let _ = reply.send(Err(NotConnected { peer }));
        }
        self.shared().directory.forget(&peer, &held.link);
        self.feed(Input::Down { link: id, why });
        self.parted(peer);
    }

    /// The peer's word on a form that was proposed, or it proposed one itself.
    fn form_is(&mut self, id: LinkId, form: Form) {
        tracing::debug!(link = %id, %form, "form of frames");
        if let Some(reply) = self.proposed.remove(&id) {
            // Who asked may have gone.
            let _ = reply.send(Ok(form));
        }
    }

    /// Ends a link whose peer does not keep to the protocol.
    pub(super) fn cut(&mut self, id: LinkId, why: &str) {
        self.unnamed.remove(&id);
        if let Some(held) = self.shared().links.find(id) {
            let peer = held.established.peer;
            tracing::warn!(link = %id, %peer, why = %shown(why), "cut: the peer misbehaves");
            self.shared().directory.forget(&peer, &held.link);
            held.link.close();
        }
    }
}

/// Where the other end of a connection is, as far as its transport has such things.
fn seen_at(remote: &Address) -> Option<IpAddr> {
    remote.host().and_then(Host::ip)
}
