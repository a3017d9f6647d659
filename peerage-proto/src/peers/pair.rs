//! The rule for duplicate links: all links between this node and one peer, and which of them carries calls.
//!
//! Two nodes may dial each other at the same moment, and several times. Each must end up with one link, the same one, and
//! on the way there must be no moment without a usable link and no call that is lost to tidying up. So the survivor is the
//! greatest link in an order that both ends compute alike ([`LinkOrder`]), and the others are not cut but given up in
//! steps that both ends confirm (`docs/guarantees.md`, Duplicate links):
//!
//! ```text
//!   Pending ──up──▶ Active ──a greater one is up: say Superseded(it)──▶ Retired ◀──────────────┐
//!                      ▲                                                │    │                 │
//!                      └──the winner died: say "I keep it"──────────────┘    │                 │
//!                                            the winner that the peer named  │                 │ the peer says
//!                                            is up here too: say OK to it    ▼                 │ "I keep it"
//!                                       closed ◀──OK heard, nothing open── GivenUp ────────────┤
//!                                                                            │                 │
//!                                                     no greater one is left ▼                 │
//!                                                       say "I keep it"    Asking ─────────────┤
//!                                                                         ▲  │ a greater one   │
//!                                                          that one died  │  ▼ is up           │
//!                                                                         Forgone ─────────────┘
//! ```
//!
//! *Given up* is the point of no return: the peer may close at any moment, because it knows that nothing new comes from
//! here. So who has given a link up writes no new call to it, not even when the winner dies right then. It asks for the
//! link back; the peer says that it keeps it too, or has closed it already. Up to that point the death of the winner brings
//! the loser back at once.
//!
//! "I keep it" is a `Superseded` that names the link it travels on. It makes void whatever either end has said on that link
//! before. Three things are easily done wrong, and a search through all interleavings finds each of them
//! (`tests/model`):
//!
//! * an OK is for the very winner it names, and given only while that one is up at both ends: a greater one that is up here
//!   may be dead or unknown there;
//! * a winner that is to be confirmed must not itself be given up before it is;
//! * every `Superseded` is answered by an OK of its own, and an OK that has crossed a word of keeping is void. The same
//!   winner may be named again later, so words of keeping are counted and an OK repeats the count.

use std::collections::VecDeque;

use super::{Control, Order, WhyClosed};
use crate::id::{LinkId, LinkOrder, NodeId};
use crate::planted::{self, Bug};

/// The links to one peer in one epoch of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Pair {
    peer: NodeId,
    /// In their order, least first; a handful.
    links: Vec<Held>,
    /// The link on which new calls go, as the driver was told.
    active: Option<LinkId>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Held {
    link: LinkId,
    order: LinkOrder,
    standing: Standing,
    said: Said,
    /// How often we have kept it.
    round: u32,
    /// The winner that the peer has named, with its round, as long as we have not confirmed it.
    owed: Option<(LinkOrder, u32)>,
    /// The peer has said OK to the winner that we named last.
    confirmed: bool,
    /// How often we asked to be told of idleness.
    asks: u32,
    /// Nothing is open on it, and nothing can be opened any more.
    idle: bool,
}

/// Where a link stands at this end. The drawing is at the head of the file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Standing {
    /// This end has admitted it; the peer's word is awaited.
    Pending,
    /// New calls go here.
    Active,
    /// Nothing new is opened here; it comes back if the winner dies.
    Retired,
    /// The same, and the peer may close it at any moment.
    GivenUp,
    /// Given up, and wanted back.
    Asking,
    /// Wanted back no longer, because a greater one came. The peer may still have closed it, so that it is no way back.
    Forgone,
}

/// Our last word on a link.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Said {
    /// That we keep it; or none, which means the same.
    Keep,
    /// That this one takes its place.
    Winner(LinkOrder),
    /// The same, but the one that was named has died since, or the peer has said that it keeps this link.
    Void,
}

/// The peer named a winner that is no winner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NoWinner;

impl Pair {
    pub(super) fn with(peer: NodeId) -> Pair {
        Pair { peer, links: Vec::new(), active: None }
    }

    /// This end takes the link. Whether the peer does too is not known yet.
    pub(super) fn admit(&mut self, link: LinkId, order: LinkOrder) {
        let at =
            if planted::is(Bug::TieBreakByArrival) { 0 } else { self.links.partition_point(|held| held.order < order) };
        let held = Held {
            link,
            order,
            standing: Standing::Pending,
            said: Said::Keep,
            round: 0,
            owed: None,
            confirmed: false,
            asks: 0,
            idle: false,
        };
        self.links.insert(at, held);
    }

    /// Both ends have taken the link.
    pub(super) fn up(&mut self, link: LinkId, orders: &mut VecDeque<Order>) {
        if let Some(held) = self.held(link).filter(|held| held.standing == Standing::Pending) {
            held.standing = Standing::Active;
            self.settle(orders);
        }
    }

    /// The link is gone, for another reason than this rule.
    pub(super) fn down(&mut self, link: LinkId, orders: &mut VecDeque<Order>) {
        let Some(at) = self.links.iter().position(|held| held.link == link) else { return };
        let dead = self.links.remove(at).order;
        // What was given up for it is given up for another one from now on, and the peer is to confirm that one.
        for held in self.links.iter_mut().filter(|held| held.said == Said::Winner(dead)) {
            held.said = Said::Void;
        }
        self.settle(orders);
    }

    /// The peer named the link that stays.
    ///
    /// # Errors
    /// [`NoWinner`] if that one is less than the link it was said on: no peer that computes the order says so.
    pub(super) fn superseded(
        &mut self,
        link: LinkId,
        (winner, round): (LinkOrder, u32),
        orders: &mut VecDeque<Order>,
    ) -> Result<(), NoWinner> {
        let Some(held) = self.held(link) else { return Ok(()) };
        if winner < held.order {
            return Err(NoWinner);
        }
        if winner > held.order {
            held.owed = Some((winner, round));
        } else {
            // The peer keeps it: whatever was said on the link before, by either end, is void.
            held.begin_anew();
            if matches!(held.standing, Standing::GivenUp | Standing::Asking | Standing::Forgone) {
                held.standing = Standing::Retired;
            }
            if held.said != Said::Keep {
                held.said = Said::Void;
            }
        }
        self.settle(orders);
        Ok(())
    }

    /// The peer has given the link up for the one we named.
    pub(super) fn superseded_ok(
        &mut self,
        link: LinkId,
        (winner, round): (LinkOrder, u32),
        orders: &mut VecDeque<Order>,
    ) {
        // An OK for a winner that has died since says nothing about its successor, and one that crossed our word of keeping
        // has become void by it.
        let is_meant = |held: &&mut Held| held.said == Said::Winner(winner) && held.round == round;
        if let Some(held) = self.held(link).filter(is_meant) {
            held.confirmed = true;
            self.settle(orders);
        }
    }

    /// No call is open on the link, says the answer to this ask.
    pub(super) fn idle(&mut self, link: LinkId, ask: u32, orders: &mut VecDeque<Order>) {
        let asked = |held: &&mut Held| held.standing == Standing::GivenUp && held.asks == ask;
        if let Some(held) = self.held(link).filter(asked) {
            held.idle = true;
            self.settle(orders);
        }
    }

    /// The link on which new calls go.
    pub(super) fn active(&self) -> Option<LinkId> {
        self.active
    }

    /// All links, with where they stand.
    pub(super) fn links(&self) -> impl Iterator<Item = (LinkId, LinkOrder, Standing)> {
        self.links.iter().map(|held| (held.link, held.order, held.standing))
    }

    /// Whether the link is among them.
    pub(super) fn has(&self, link: LinkId) -> bool {
        self.links.iter().any(|held| held.link == link)
    }

    /// Takes a link out without a word and without a consequence: all of them are about to go.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.links.retain(|held| held.link != link);
        self.active.take_if(|active| *active == link);
    }

    fn held(&mut self, link: LinkId) -> Option<&mut Held> {
        self.links.iter_mut().find(|held| held.link == link)
    }

    /// Applies the rule to what is known now.
    fn settle(&mut self, orders: &mut VecDeque<Order>) {
        let best = self.links.iter().rev().find(|held| held.is_usable()).map(|held| (held.order, held.link));
        for at in 0..self.links.len() {
            let winner = self.winner_to_confirm(at);
            let held = &mut self.links[at];
            match best {
                Some((best, _)) if held.order == best => held.take_up(orders),
                Some((best, _)) if held.order < best => held.give_way(best, winner, orders),
                _ => held.ask_back(orders),
            }
        }
        let active = best.map(|(_, link)| link);
        if let Some(link) = active.filter(|_| active != self.active) {
            orders.push_back(Order::Activate { link, peer: self.peer });
        }
        self.active = active;
        self.close_what_is_done(orders);
    }

    /// What the peer has named in place of this link, if it may be confirmed: it is up here as well, and no lesser link
    /// still waits for the peer to confirm this one. So a link that is to be confirmed is there at both ends until it is.
    fn winner_to_confirm(&self, at: usize) -> Option<(LinkOrder, u32)> {
        let held = &self.links[at];
        let waits = |other: &Held| other.said == Said::Winner(held.order) && !other.confirmed;
        let is_up =
            |(winner, _): &(LinkOrder, u32)| self.links.iter().any(|other| other.order == *winner && other.is_up());
        held.owed.filter(is_up).filter(|_| !self.links.iter().any(waits))
    }

    fn close_what_is_done(&mut self, orders: &mut VecDeque<Order>) {
        for done in self.links.extract_if(.., |held| held.is_done()) {
            // The promise that tidying up never costs the last link, checked where links are closed and nowhere else.
            assert!(
                self.active.is_some_and(|active| active != done.link),
                "a tie-break is about to close the last usable link, {}",
                done.link
            );
            orders.push_back(Order::Close { link: done.link, why: WhyClosed::Superseded });
        }
    }
}

impl Held {
    /// Both ends have taken it.
    fn is_up(&self) -> bool {
        self.standing != Standing::Pending
    }

    /// New calls may go here.
    fn is_usable(&self) -> bool {
        matches!(self.standing, Standing::Active | Standing::Retired)
    }

    /// Both ends have given it up, and nothing is open on it.
    fn is_done(&self) -> bool {
        self.standing == Standing::GivenUp && self.idle && (self.confirmed || planted::is(Bug::LoserClosedUnconfirmed))
    }

    /// This is the greatest link: new calls go here.
    fn take_up(&mut self, orders: &mut VecDeque<Order>) {
        if self.standing == Standing::Retired && !planted::is(Bug::LoserNotRestored) {
            self.standing = Standing::Active;
            orders.push_back(Order::Restore { link: self.link });
            if self.said != Said::Keep {
                self.keep(orders);
            }
        }
    }

    /// A greater link is up: new calls go there. `winner`: what is to be confirmed to the peer.
    fn give_way(&mut self, best: LinkOrder, winner: Option<(LinkOrder, u32)>, orders: &mut VecDeque<Order>) {
        match self.standing {
            Standing::Pending => return,
            Standing::Active => {
                orders.push_back(Order::Retire { link: self.link });
                self.standing = Standing::Retired;
            }
            Standing::Asking => self.standing = Standing::Forgone,
            Standing::Retired | Standing::GivenUp | Standing::Forgone => {}
        }
        if !matches!(self.said, Said::Winner(_)) {
            self.name(best, orders);
        }
        self.answer(winner.filter(|(winner, _)| *winner <= best), orders);
    }

    /// Whatever this link was given up for has died.
    fn ask_back(&mut self, orders: &mut VecDeque<Order>) {
        if matches!(self.standing, Standing::GivenUp | Standing::Forgone) {
            self.standing = Standing::Asking;
            self.keep(orders);
        }
    }

    fn name(&mut self, winner: LinkOrder, orders: &mut VecDeque<Order>) {
        self.said = Said::Winner(winner);
        self.confirmed = false;
        self.say(winner, orders);
    }

    fn say(&self, winner: LinkOrder, orders: &mut VecDeque<Order>) {
        let control = Control::Superseded { winner, round: self.round };
        orders.push_back(Order::Send { link: self.link, control });
    }

    fn begin_anew(&mut self) {
        (self.owed, self.confirmed, self.idle) = (None, false, false);
    }

    /// Says that this end uses the link again, which takes back whatever it has said before.
    fn keep(&mut self, orders: &mut VecDeque<Order>) {
        self.begin_anew();
        self.said = Said::Keep;
        self.round = self.round.saturating_add(1);
        self.say(self.order, orders);
    }

    /// Confirms what the peer has named. What is active here is that link or a greater one.
    fn answer(&mut self, winner: Option<(LinkOrder, u32)>, orders: &mut VecDeque<Order>) {
        let Some((winner, round)) = winner else { return };
        self.owed = None;
        orders.push_back(Order::Send { link: self.link, control: Control::SupersededOk { winner, round } });
        if matches!(self.standing, Standing::Retired | Standing::Forgone) {
            self.standing = Standing::GivenUp;
            self.asks = self.asks.saturating_add(1);
            orders.push_back(Order::WhenIdle { link: self.link, ask: self.asks });
        }
    }
}
