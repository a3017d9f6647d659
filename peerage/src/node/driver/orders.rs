//! Carrying out what the machine orders.

use std::time::Duration;

use peerage_proto::codec::Form;
use peerage_proto::id::{LinkId, NodeId};
use peerage_proto::node::{self, Control, DialId, WhyClosed};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::Driver;
use crate::channel::Server;
use crate::link::Order;
use crate::node::admission::{Decision, Dial};
use crate::node::error::{ConnectError, NotConnected};
use crate::shown::shown;

impl Driver {
    /// Carries out one order. Nothing here waits.
    pub(super) fn carry_out(&mut self, order: node::Order) {
        tracing::debug!(order = %shown(&order.to_string()), "order");
        match order {
            node::Order::Dial { dial, address, expected, dial_seq } => {
                self.dial(self.redial.at_its_time(Dial::new(dial, address, expected, dial_seq)));
            }
            node::Order::Abandon { dial } => self.abandon(dial),
            node::Order::Admit { link } => self.decide(link, Decision::Admit),
            node::Order::Refuse { link, why } => self.decide(link, Decision::Refuse(why)),
            node::Order::Activate { link, .. } => self.activate(link),
            node::Order::Retire { link } => self.order(link, Order::Retire),
            node::Order::Restore { link } => self.order(link, Order::Restore),
            node::Order::Drain { link } => self.order(link, Order::Drain),
            node::Order::WhenIdle { link, ask } => self.order(link, Order::WhenIdle(ask)),
            node::Order::Probe { link } => self.order(link, Order::Probe),
            node::Order::Send { link, control } => {
                let (kind, content) = control.encode();
                self.order(link, Order::Say(kind, &content));
            }
            node::Order::Close { link, why } => self.close(link, &why),
            node::Order::Answer { connect, result } => {
                self.reached_or_not(connect, result.is_ok());
                if let Some(reply) = self.connects.remove(&connect) {
                    // Who asked may have gone.
                    let _ = reply.send(result.map_err(ConnectError::from));
                }
            }
            node::Order::Renew { epoch } => {
                tracing::info!(%epoch, "a newer run of this node was known: went on as a newer one");
                self.shared().renew(epoch);
                let identity = self.parts.reception.identity.clone();
                // Stores the counter, so that the next start is newer too. It may touch the disk.
                tokio::task::spawn_blocking(move || {
                    if let Err(why) = identity.begin_epoch(epoch.start().saturating_sub(1)) {
                        tracing::warn!(%why, "the start counter was not stored");
                    }
                });
            }
            node::Order::StopListening => self.parts.doors.close(),
            node::Order::Stopped => self.is_over = true,
        }
    }

    pub(super) fn dial(&mut self, dial: Dial) {
        let cancel = self.tasks.child_token();
        self.dials.insert(dial.dial, (dial.address.clone(), cancel.clone()));
        let span = tracing::debug_span!("dial", address = %dial.address);
        tokio::spawn(self.parts.reception.clone().dial(dial, cancel).instrument(span));
    }

    fn abandon(&mut self, dial: DialId) {
        if let Some((address, cancel)) = self.dials.remove(&dial) {
            cancel.cancel();
            self.dial_failed(&address, &"given up: no answer in time");
        }
    }

    fn decide(&mut self, link: LinkId, decision: Decision) {
        if let Some(decide) = self.undecided.remove(&link) {
            // Its time may be over; then its end is reported.
            let _ = decide.send(decision);
        }
    }

    fn activate(&mut self, id: LinkId) {
        if let Some(held) = self.shared().links.find(id) {
            let peer = held.established.peer;
            self.shared().directory.activate(peer, held.link.clone());
            self.shared().is_linked(&peer, &held.link);
            self.is_stale = true;
        }
    }

    pub(super) fn order(&self, id: LinkId, order: Order<'_>) {
        if let Some(held) = self.shared().links.find(id) {
            held.link.order(order);
        }
    }

    /// Asks a peer to write in this form. Of two who ask at once on one link the later one gets the answer.
    pub(super) fn propose(&mut self, peer: NodeId, form: Form, reply: oneshot::Sender<Result<Form, NotConnected>>) {
        let active = self.shared().directory.find(&peer).ok();
        let all = self.shared().links.with_ids();
        let found = all.into_iter().find(|(_, held)| active.as_ref().is_some_and(|link| link.is_same(&held.link)));
        match found {
            Some((id, held)) => {
                self.proposed.insert(id, reply);
                held.link.order(Order::Propose(form));
            }
            // Who asked may have gone.
            None => drop(reply.send(Err(NotConnected { peer }))),
        }
    }

    fn close(&mut self, id: LinkId, why: &WhyClosed) {
        match self.shared().links.find(id) {
            Some(held) => {
                let reason = match why {
                    WhyClosed::Goodbye { reason } => Some(reason.clone()),
                    WhyClosed::Stopped => Some("stopped".to_owned()),
                    _ => None,
                };
                if let Some(reason) = reason.filter(|_| self.unnamed.contains_key(&id)) {
                    // The link does not stand here yet, so the machine says nothing on it. At the other end it may.
                    let (kind, content) = Control::Disconnect { reason }.encode();
                    held.link.order(Order::Say(kind, &content));
                }
                self.shared().directory.forget(&held.established.peer, &held.link);
                held.link.close();
            }
            None => {
                // It has not come to stand here yet.
                self.undecided.remove(&id);
                self.stillborn.push(id);
            }
        }
    }

    /// Plain connections finish what they have; what they ask from now on is not answered any more.
    pub(super) fn drain_plain(&mut self, within: Duration) {
        let draining: Vec<Server> = self.parts.plain.drain(..).collect();
        let (done, is_done) = oneshot::channel();
        tokio::spawn(async move {
            for server in draining {
                server.drain(within).await;
            }
            // The driver may be gone.
            let _ = done.send(());
        });
        self.plain_drained.push(is_done);
    }
}
