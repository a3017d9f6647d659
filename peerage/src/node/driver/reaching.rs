//! Dialling a member at the addresses in its record, one after the other, because somebody wants to call it.

use std::collections::VecDeque;

use peerage_proto::address::Address;
use peerage_proto::id::NodeId;
use peerage_proto::node::{ConnectId, Input, Keep};
use tokio::sync::oneshot;

use super::Driver;

/// A member that is being dialled, and where it has not been tried yet.
pub(super) struct Reaching {
    peer: NodeId,
    left: VecDeque<Address>,
    reply: oneshot::Sender<bool>,
}

impl Driver {
    /// Dials a member wherever its record says it is. Who asked is told whether there is a link in the end.
    pub(super) fn reach(&mut self, peer: NodeId, reply: oneshot::Sender<bool>) {
        let (here, machine) = (self.parts.machine.here(), self.shared().facts.machine);
        let member = self.parts.machine.member(&peer);
        let is_here = member.is_some_and(|member| member.record.machine == machine);
        let addresses = member.iter().flat_map(|member| &member.record.addresses);
        let left = addresses.filter(|address| here.may_dial(address, is_here)).cloned().collect();
        self.reach_next(Reaching { peer, left, reply });
    }

    /// A dial for somebody who wants to call has come to something.
    pub(super) fn reached_or_not(&mut self, connect: ConnectId, is_linked: bool) {
        let Some(reaching) = self.reaching.remove(&connect) else { return };
        if is_linked {
            // Who asked may have gone.
            let _ = reaching.reply.send(true);
        } else {
            self.reach_next(reaching);
        }
    }

    fn reach_next(&mut self, mut reaching: Reaching) {
        let Some(address) = reaching.left.pop_front().filter(|_| !reaching.reply.is_closed()) else {
            let is_linked = self.shared().directory.find(&reaching.peer).is_ok();
            // Who asked may have gone.
            let _ = reaching.reply.send(is_linked);
            return;
        };
        let connect = ConnectId(self.next_connect);
        self.next_connect += 1;
        let expected = Some(reaching.peer);
        self.reaching.insert(connect, reaching);
        self.feed(Input::Connect { connect: Some(connect), address, expected, keep: Keep::Once });
    }
}
