//! What the machine wants done.

use super::{FeedId, Served, StreamId, Token};
use crate::codec::{Form, Payload};
use crate::events::Tally;
use crate::frame::Kind;
use crate::outcome::{FeedEnd, LinkLost};

/// What the machine wants done.
#[derive(Debug)]
pub enum Output {
    /// The peer asks something, or tells it: then [`Served::is_notification`] and no answer is written.
    /// Or it opens a conversation: [`Served::is_conversation`].
    Request {
        /// Our key for it, to answer with.
        request: Served,
        /// What is asked.
        content: Payload,
    },
    /// This call has its outcome, which waits for [`collect`](super::Channel::collect); then the token is free.
    Settled(Token),
    /// There is something to be taken from this conversation, or its call is over. Comes when there was nothing before.
    Readable(StreamId),
    /// There is room again for items of this conversation, or its call is over.
    Writable(StreamId),
    /// The peer wants events: answer with [`Input::Attach`](super::Input::Attach) or
    /// [`Input::EndFeed`](super::Input::EndFeed). [`Output::FeedOver`] follows for each of them, once.
    Subscribed {
        /// Our name for what it gets.
        feed: FeedId,
        /// What it wants (PROTOCOL §17.1), unopened.
        wish: Payload,
    },
    /// There is room again for events of a subscription whose policy is to wait for it.
    FeedWritable(FeedId),
    /// The events of a mark are accounted for: what has left of them lies with the subscriber.
    Confirmed {
        /// In which feed.
        feed: FeedId,
        /// The number of the mark.
        mark: u64,
        /// What became of its events.
        tally: Tally,
    },
    /// A subscription of the peer has ended.
    FeedOver {
        /// Which; it can be forgotten.
        feed: FeedId,
        /// Why.
        why: FeedEnd,
        /// Events that waited to be sent and are dropped.
        queued: u64,
        /// Marks without an answer, and what is known of their events: whether what has left has arrived, is not.
        unconfirmed: Vec<(u64, Tally)>,
    },
    /// There is something to be taken from this subscription of ours, or it is over. Comes when there was nothing before.
    Events(u64),
    /// The caller no longer waits for this request: end the work and say what became of it with
    /// [`Input::Stopped`](super::Input::Stopped).
    Stop(Served),
    /// The node at the other end says something to ours.
    Control {
        /// What it is: a kind [of nodes](Kind::is_of_nodes).
        kind: Kind,
        /// What it says, unopened.
        content: Payload,
    },
    /// On a link that is retired or draining no call is open in either direction, and every answer is written: the driver has
    /// the last byte of it. Comes again when there was something in between.
    Idle,
    /// The peer has been silent for so long that it is suspected.
    Quiet,
    /// The peer that was suspected is heard again.
    Heard,
    /// The peer has answered the ping of [`Input::Probe`](super::Input::Probe), so it lived when that reached it.
    Answered,
    /// The peer's node has so much to do: requests in service.
    PeerLoad(u32),
    /// Both ends write in this form now; what was under way in the old one has been read.
    Agreed(Form),
    /// The peer stays with the form there is, which is this one.
    Declined(Form),
    /// The link has ended for this reason; every call has been settled. Comes once.
    Ended(LinkLost),
}
