//! The rule for duplicate links: all links between this node and one peer, and which of them carries calls.
//!
//! Two nodes may dial each other at the same moment, and several times. Each must end up with one link, the same one, and
//! on the way there must be no moment without a usable link and no call that is lost to tidying up. So the survivor is the
//! greatest link in an order that both ends compute alike ([`LinkOrder`]), and the others are not cut but given up in
//! steps that both ends confirm (PROTOCOL §9):
//!
//! ```text
//!                 ┌──────── greatest of those not given up ────────┐
//!                 ▼                                                │
//!   Pending ──▶ Active ──a greater one is up──▶ Retired ◀──"I keep it", heard──┐
//!      (up)               say Superseded(it)       │                           │
//!                                                  │ the peer has named one as well, and ours is at least
//!                                                  ▼ as great: say SupersededOk
//!                          closed ◀────────── GivenUp ──no greater one is left──▶ Asking
//!                    OK heard, no call open              say "I keep it"       (no calls before the peer
//!                                                                              has said the same)
//! ```
//!
//! *Given up* is the point of no return: from here on the peer may close at any moment, because it knows that nothing new
//! comes from here. So who has given a link up writes no new call to it, not even when the winner dies right then; it asks
//! for the link back first, and the peer either says yes or has closed it already. Up to that point the death of the winner
//! brings the loser back at once, and the peer is told, so that it does not go on giving it up.
//!
//! "I keep it" is a `Superseded` that names the link it travels on.

use std::collections::VecDeque;

use super::{Control, Order, WhyClosed};
use crate::id::{LinkId, LinkOrder, NodeId};

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
    /// The winner that we named last; `None` if our last word was that we keep it, or if we said none.
    named: Option<LinkOrder>,
    /// The winner that the peer named last; `None` as above.
    heard: Option<LinkOrder>,
    /// The winner for which we have said OK since.
    answered: Option<LinkOrder>,
    /// The peer has said OK to `named`.
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
        let at = self.links.partition_point(|held| held.order < order);
        let held = Held {
            link,
            order,
            standing: Standing::Pending,
            named: None,
            heard: None,
            answered: None,
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

    /// The link is gone, whatever the reason.
    pub(super) fn down(&mut self, link: LinkId, orders: &mut VecDeque<Order>) {
        self.links.retain(|held| held.link != link);
        self.settle(orders);
    }

    /// The peer named the link that stays.
    ///
    /// # Errors
    /// [`NoWinner`] if that one is less than the link it was said on: no peer that computes the order says so.
    pub(super) fn superseded(
        &mut self,
        link: LinkId,
        winner: LinkOrder,
        orders: &mut VecDeque<Order>,
    ) -> Result<(), NoWinner> {
        let Some(held) = self.held(link) else { return Ok(()) };
        if winner < held.order {
            return Err(NoWinner);
        }
        if winner > held.order {
            held.heard = Some(winner);
        } else {
            // The peer keeps it: whatever it had named or confirmed before is void, and so is our giving it up.
            (held.heard, held.answered, held.confirmed, held.idle) = (None, None, false, false);
            if matches!(held.standing, Standing::GivenUp | Standing::Asking) {
                held.standing = Standing::Retired;
            }
        }
        self.settle(orders);
        Ok(())
    }

    /// The peer has given the link up for the one we named.
    pub(super) fn superseded_ok(&mut self, link: LinkId, winner: LinkOrder, orders: &mut VecDeque<Order>) {
        // An OK for a winner that has died since says nothing about its successor.
        if let Some(held) = self.held(link).filter(|held| held.named == Some(winner)) {
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
        let usable = |held: &&Held| matches!(held.standing, Standing::Active | Standing::Retired);
        let best = self.links.iter().rev().find(usable).map(|held| (held.order, held.link));
        for held in &mut self.links {
            match best {
                Some((best, _)) if held.order == best => held.take_up(orders),
                Some((best, _)) if held.order < best => held.give_way(best, orders),
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

    fn close_what_is_done(&mut self, orders: &mut VecDeque<Order>) {
        let done = |held: &Held| held.standing == Standing::GivenUp && held.confirmed && held.idle;
        for held in self.links.iter().filter(|held| done(held)) {
            // The promise that tidying up never costs the last link, checked where links are closed and nowhere else.
            assert!(
                self.active.is_some_and(|active| active != held.link),
                "a tie-break is about to close the last usable link, {}",
                held.link
            );
            orders.push_back(Order::Close { link: held.link, why: WhyClosed::Superseded });
        }
        self.links.retain(|held| !done(held));
    }
}

impl Held {
    /// This is the greatest link: new calls go here.
    fn take_up(&mut self, orders: &mut VecDeque<Order>) {
        if self.standing == Standing::Retired {
            self.standing = Standing::Active;
            orders.push_back(Order::Restore { link: self.link });
            if self.named.is_some() {
                self.keep(orders);
            }
        }
    }

    /// A greater link is up: new calls go there.
    fn give_way(&mut self, best: LinkOrder, orders: &mut VecDeque<Order>) {
        match self.standing {
            Standing::Pending => return,
            Standing::Active => {
                orders.push_back(Order::Retire { link: self.link });
                self.standing = Standing::Retired;
            }
            Standing::Asking => self.standing = Standing::Retired,
            Standing::Retired | Standing::GivenUp => {}
        }
        // A name that is greater than the best is that of a winner which has died: the peer cannot confirm it.
        if self.named.is_none_or(|named| named > best) {
            self.name(best, orders);
        }
        self.answer(best, orders);
    }

    /// Whatever this link was given up for has died.
    fn ask_back(&mut self, orders: &mut VecDeque<Order>) {
        if self.standing == Standing::GivenUp {
            self.standing = Standing::Asking;
            self.keep(orders);
        }
    }

    fn name(&mut self, winner: LinkOrder, orders: &mut VecDeque<Order>) {
        self.named = Some(winner);
        self.confirmed = false;
        orders.push_back(Order::Send { link: self.link, control: Control::Superseded { winner } });
    }

    /// Says that this end uses the link again, which takes back whatever it has said before.
    fn keep(&mut self, orders: &mut VecDeque<Order>) {
        let winner = self.order;
        (self.named, self.answered, self.confirmed, self.idle) = (None, None, false, false);
        orders.push_back(Order::Send { link: self.link, control: Control::Superseded { winner } });
    }

    /// Confirms what the peer has named, if what is active here is at least as great.
    fn answer(&mut self, best: LinkOrder, orders: &mut VecDeque<Order>) {
        let Some(winner) = self.heard.filter(|heard| *heard <= best && self.answered != Some(*heard)) else { return };
        self.answered = Some(winner);
        orders.push_back(Order::Send { link: self.link, control: Control::SupersededOk { winner } });
        if self.standing == Standing::Retired {
            self.standing = Standing::GivenUp;
            self.asks = self.asks.saturating_add(1);
            orders.push_back(Order::WhenIdle { link: self.link, ask: self.asks });
        }
    }
}
