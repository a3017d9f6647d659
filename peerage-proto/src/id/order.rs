//! Which of two links between the same two nodes stays: an order that both ends compute alike.

use std::fmt;

use super::NodeId;

/// The place of a link among all links between the same two nodes. The greatest stays.
///
/// Two nodes that dial each other get two links, and each must give up the same one without asking the other. So links are
/// compared by three values that both ends hold once the handshake is done: who dialled, the dialler's count of its dials,
/// and 32 bytes that only this connection has. Compared in this order, ids and hashes as big-endian numbers; no clock, no
/// order of arrival, no liking for a transport.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkOrder {
    /// The node that dialled.
    pub dialer: NodeId,
    /// The dialler's number for this dial; never used again by it in the same epoch.
    pub dial_seq: u64,
    /// What ties proofs to this connection, hashed: equal at both ends, different for every connection.
    pub binding: [u8; 32],
}

impl fmt::Debug for LinkOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.binding;
        write!(f, "LinkOrder({:?} dial {} {a:02x}{b:02x}…)", self.dialer, self.dial_seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(dialer: u8, dial_seq: u64, binding: u8) -> LinkOrder {
        LinkOrder { dialer: NodeId::from_bytes([dialer; 32]), dial_seq, binding: [binding; 32] }
    }

    #[test]
    fn the_dialler_decides_first_then_its_count_then_the_connection() {
        assert!(order(2, 0, 0) > order(1, u64::MAX, 255));
        assert!(order(1, 2, 0) > order(1, 1, 255));
        assert!(order(1, 1, 2) > order(1, 1, 1));
    }

    #[test]
    fn ids_and_hashes_are_compared_as_big_endian_numbers() {
        let with_first = |first: u8, last: u8| {
            let mut bytes = [0; 32];
            (bytes[0], bytes[31]) = (first, last);
            bytes
        };
        let [small, large] = [with_first(1, 255), with_first(2, 0)];
        let by_id = |bytes| LinkOrder { dialer: NodeId::from_bytes(bytes), ..order(0, 0, 0) };
        let by_binding = |binding| LinkOrder { binding, ..order(0, 0, 0) };
        assert!(by_id(large) > by_id(small));
        assert!(by_binding(large) > by_binding(small));
    }

    #[test]
    fn debug_output_is_short() {
        assert_eq!(format!("{:?}", order(7, 3, 0xab)), "LinkOrder(NodeId(US517G59…) dial 3 abab…)");
    }
}
