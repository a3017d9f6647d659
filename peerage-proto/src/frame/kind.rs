//! What frames are for, and the numbers that say so.

use super::Dialect;

/// What a frame is for: the first element of the triple (PROTOCOL §4).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Asks for something.
    Request,
    /// The answer to a request.
    Result,
    /// The failure of a request.
    Exception,
    /// The caller no longer waits. Full dialect only.
    Cancel,
    /// The callee's word on cancelled work. Full dialect only.
    Stopped,
    /// Refused for now, before the handler started. Full dialect only.
    Busy,
    /// Refused for good, before a handler saw the request. Full dialect only.
    Rejected,
    /// A request that wants no answer. Full dialect only, as all that follow.
    Notification,
    /// Are you there?
    Ping,
    /// I am: the answer to a ping.
    Pong,
    /// Who this end is: the first frame of a node's link.
    Introduction,
    /// This end is about to end the link, and why.
    Disconnect,
    /// The answer to a disconnect.
    Disconnected,
    /// Another link of the same two nodes takes the place of this one.
    Superseded,
    /// The answer to that, once the other link is in use.
    SupersededOk,
    /// This end takes no new requests and leaves soon.
    Draining,
    /// Asks to write frames in another form.
    Propose,
    /// From the next frame on this end writes in the form that was proposed.
    Agree,
    /// This end stays with the form it has.
    Decline,
    /// Records of nodes, signed by them.
    Discovered,
    /// What all the records make that this end holds.
    Digest,
    /// Which records these are.
    Summary,
    /// Asks whether this end reaches a node.
    Check,
    /// The answer to that.
    Checked,
    /// Somebody doubts that the reader is there.
    Suspected,
    /// Asks for lists of services.
    Wanted,
    /// Such lists.
    Services,
    /// How many requests the sender's node has in service.
    Load,
    /// A request whose two directions are streams.
    Open,
    /// An item of a stream, or the end of a large one.
    Item,
    /// The end of one direction of a stream.
    End,
    /// Grants bytes to whoever sends on a stream.
    Credit,
    /// A part of a large value.
    Part,
    /// Asks for events from now on.
    Subscribe,
    /// Events, and what is to be known about their order.
    Events,
    /// The subscriber wants no more events.
    Unsubscribe,
    /// No more events come, and why.
    Over,
    /// Grants bytes to whoever sends events.
    Grant,
    /// A part of a large event.
    EventsPart,
    /// What came before a mark lies with the subscriber.
    Confirmed,
}

impl Kind {
    /// Kinds from here on may be skipped by a peer that does not know them; an unknown one below ends the link.
    pub const SKIPPABLE_FROM: u64 = 64;

    /// What is added to the number of a request, result or exception whose content is compressed (PROTOCOL §10.7).
    pub const COMPRESSED: u8 = 128;

    /// Every kind, in the order of their numbers.
    pub const ALL: [Kind; 40] = [
        Kind::Request,
        Kind::Result,
        Kind::Exception,
        Kind::Cancel,
        Kind::Stopped,
        Kind::Busy,
        Kind::Notification,
        Kind::Rejected,
        Kind::Ping,
        Kind::Pong,
        Kind::Introduction,
        Kind::Disconnect,
        Kind::Disconnected,
        Kind::Superseded,
        Kind::SupersededOk,
        Kind::Draining,
        Kind::Propose,
        Kind::Agree,
        Kind::Decline,
        Kind::Discovered,
        Kind::Digest,
        Kind::Summary,
        Kind::Check,
        Kind::Checked,
        Kind::Suspected,
        Kind::Wanted,
        Kind::Services,
        Kind::Load,
        Kind::Open,
        Kind::Item,
        Kind::End,
        Kind::Credit,
        Kind::Part,
        Kind::Subscribe,
        Kind::Events,
        Kind::Unsubscribe,
        Kind::Over,
        Kind::Grant,
        Kind::EventsPart,
        Kind::Confirmed,
    ];

    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Kind::Request => 0,
            Kind::Result => 1,
            Kind::Exception => 2,
            Kind::Cancel => 3,
            Kind::Stopped => 4,
            Kind::Busy => 5,
            Kind::Notification => 6,
            Kind::Rejected => 7,
            Kind::Ping => 12,
            Kind::Pong => 13,
            Kind::Introduction => 14,
            Kind::Disconnect => 15,
            Kind::Disconnected => 16,
            Kind::Superseded => 17,
            Kind::SupersededOk => 18,
            Kind::Draining => 19,
            Kind::Propose => 20,
            Kind::Agree => 21,
            Kind::Decline => 22,
            Kind::Discovered => 23,
            Kind::Digest => 24,
            Kind::Summary => 25,
            Kind::Check => 26,
            Kind::Checked => 27,
            Kind::Suspected => 28,
            Kind::Wanted => 29,
            Kind::Services => 30,
            Kind::Load => 31,
            Kind::Open => 32,
            Kind::Item => 33,
            Kind::End => 34,
            Kind::Credit => 35,
            Kind::Part => 36,
            Kind::Subscribe => 37,
            Kind::Events => 38,
            Kind::Unsubscribe => 39,
            Kind::Over => 40,
            Kind::Grant => 41,
            Kind::EventsPart => 42,
            Kind::Confirmed => 43,
        }
    }

    /// The kind with this number in a dialect; `None` if the dialect has no such kind.
    pub fn from_number(number: u64, dialect: Dialect) -> Option<Kind> {
        match number {
            0 => return Some(Kind::Request),
            1 => return Some(Kind::Result),
            2 => return Some(Kind::Exception),
            _ if dialect == Dialect::Plain => return None,
            _ => {}
        }
        match number {
            3 => Some(Kind::Cancel),
            4 => Some(Kind::Stopped),
            5 => Some(Kind::Busy),
            6 => Some(Kind::Notification),
            7 => Some(Kind::Rejected),
            12 => Some(Kind::Ping),
            13 => Some(Kind::Pong),
            14 => Some(Kind::Introduction),
            15 => Some(Kind::Disconnect),
            16 => Some(Kind::Disconnected),
            17 => Some(Kind::Superseded),
            18 => Some(Kind::SupersededOk),
            19 => Some(Kind::Draining),
            20 => Some(Kind::Propose),
            21 => Some(Kind::Agree),
            22 => Some(Kind::Decline),
            23 => Some(Kind::Discovered),
            24 => Some(Kind::Digest),
            25 => Some(Kind::Summary),
            26 => Some(Kind::Check),
            27 => Some(Kind::Checked),
            28 => Some(Kind::Suspected),
            29 => Some(Kind::Wanted),
            30 => Some(Kind::Services),
            31 => Some(Kind::Load),
            32 => Some(Kind::Open),
            33 => Some(Kind::Item),
            34 => Some(Kind::End),
            35 => Some(Kind::Credit),
            36 => Some(Kind::Part),
            37 => Some(Kind::Subscribe),
            38 => Some(Kind::Events),
            39 => Some(Kind::Unsubscribe),
            40 => Some(Kind::Over),
            41 => Some(Kind::Grant),
            42 => Some(Kind::EventsPart),
            43 => Some(Kind::Confirmed),
            _ => None,
        }
    }

    /// The kind whose content is compressed in frames with this number; `None` if it is no such number.
    pub fn from_compressed(number: u64, dialect: Dialect) -> Option<Kind> {
        let number = number.checked_sub(Kind::COMPRESSED.into())?;
        Kind::from_number(number, dialect).filter(|kind| dialect == Dialect::Full && kind.is_compressible())
    }

    /// Whether the content of such frames may be compressed: it is the application's.
    pub fn is_compressible(self) -> bool {
        matches!(self, Kind::Request | Kind::Result | Kind::Exception)
    }

    /// Whether frames of this kind belong to the nodes at both ends: a channel hands them through unopened.
    pub fn is_of_nodes(self) -> bool {
        matches!(
            self,
            Kind::Introduction
                | Kind::Disconnect
                | Kind::Disconnected
                | Kind::Superseded
                | Kind::SupersededOk
                | Kind::Draining
                | Kind::Discovered
                | Kind::Digest
                | Kind::Summary
                | Kind::Check
                | Kind::Checked
                | Kind::Suspected
                | Kind::Wanted
                | Kind::Services
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_dialect_knows_three_kinds_and_the_full_one_more() {
        let known = |dialect| (0..80).filter(|&n| Kind::from_number(n, dialect).is_some()).collect::<Vec<_>>();
        assert_eq!(known(Dialect::Plain), [0, 1, 2]);
        let full: Vec<u64> = (0..8).chain(12..44).collect();
        assert_eq!(known(Dialect::Full), full);
        let named: Vec<u64> = Kind::ALL.iter().map(|kind| u64::from(kind.number())).collect();
        assert_eq!(named, known(Dialect::Full));
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number().into(), Dialect::Full), Some(kind));
        }
    }

    #[test]
    fn only_contents_of_applications_are_compressed_and_only_in_the_full_dialect() {
        let known = |dialect| (0..300).filter_map(|n| Kind::from_compressed(n, dialect)).collect::<Vec<_>>();
        assert_eq!(known(Dialect::Full), [Kind::Request, Kind::Result, Kind::Exception]);
        assert_eq!(Kind::from_compressed(129, Dialect::Full), Some(Kind::Result));
        assert_eq!(known(Dialect::Plain), []);
    }
}
