//! What happens to the machine.

use std::time::{Duration, Instant};

use super::{Content, FeedId, Served, StreamId, Token, Transmit};
use crate::codec::{Form, Payload};
use crate::events::{Attachment, Policy};
use crate::frame::Kind;
use crate::liveness::Profile;
use crate::outcome::{Busy, Code, FeedEnd, Refused, Stop};

/// What happens to the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes arrived. May be empty after [`Channel::take_back`](super::Channel::take_back).
    Received(&'a [u8]),
    /// The peer closed its direction; nothing more will arrive.
    PeerClosed,
    /// The connection broke.
    Broken(String),
    /// The time of [`Channel::next_timeout`](super::Channel::next_timeout) has come. Harmless at any other time.
    Timeout,
    /// The application asks the peer something. Check [`Channel::room`](super::Channel::room) first.
    Call {
        /// The driver's number for the call; free again once its outcome is collected.
        token: Token,
        /// What is asked.
        content: Content<'a>,
        /// When the call ends without an answer; `None` only if the application asked for that.
        deadline: Option<Instant>,
    },
    /// The application tells the peer something and wants no answer. It is settled at once, with null if it was accepted for
    /// sending. Full dialect only. Check [`Channel::room`](super::Channel::room) first.
    Notify {
        /// The driver's number for it, as for a call.
        token: Token,
        /// What is told.
        content: Content<'a>,
    },
    /// As [`Input::Call`], but both directions are streams: the call is a conversation, named by
    /// [`Channel::stream_of_call`](super::Channel::stream_of_call). Full dialect only.
    Open {
        /// The driver's number for it, as for a call.
        token: Token,
        /// What is asked.
        content: Content<'a>,
        /// When it ends without an answer.
        deadline: Option<Instant>,
    },
    /// The application sends an item. Check [`Channel::item_room`](super::Channel::item_room) first.
    Item {
        /// In which conversation.
        stream: StreamId,
        /// One value.
        content: Content<'a>,
    },
    /// The application sends no more items in this conversation, and all is well.
    Finish(StreamId),
    /// The application sends no more items, because of a failure.
    Abort {
        /// In which conversation.
        stream: StreamId,
        /// What kind of failure.
        code: Code,
        /// What happened, for people; cut as for [`Input::Fail`].
        message: &'a str,
        /// More of it; left out where it does not fit.
        data: Option<&'a Payload>,
    },
    /// Nobody reads this conversation any more: items that come are thrown away, and no more of them are asked for.
    Deafen(StreamId),
    /// The application wants events of the peer from now on. [`Output::Events`](super::Output::Events) follows. Full dialect only.
    Subscribe {
        /// Its number on this link: that of [`Channel::next_subscription`](super::Channel::next_subscription), or a greater one.
        number: u64,
        /// What it wants: the content of a subscribe frame (PROTOCOL §17.1).
        wish: &'a Payload,
    },
    /// The application wants no more events.
    Unsubscribe {
        /// The number of the subscription.
        number: u64,
        /// Whether what the publisher has queued by then is still wanted. Otherwise nothing more can be taken.
        finish: bool,
    },
    /// What was taken from this subscription is not made of records: the peer has broken the protocol.
    Garbled {
        /// The number of the subscription.
        number: u64,
    },
    /// The node accepts a subscription of the peer.
    Attach {
        /// Which, by [`Output::Subscribed`](super::Output::Subscribed).
        feed: FeedId,
        /// What is kept for a slow subscriber.
        policy: Policy,
        /// What it is told first: where the names stand, events of the past.
        attachment: Attachment,
    },
    /// The node ends a subscription of the peer, or refuses it: what is queued is dropped, the peer is told why.
    EndFeed {
        /// Which.
        feed: FeedId,
        /// Why.
        why: FeedEnd,
    },
    /// The application gave up on a call.
    Cancel(Token),
    /// A handler answers.
    Reply {
        /// Which request.
        request: Served,
        /// The value.
        content: Content<'a>,
    },
    /// A handler fails.
    Fail {
        /// Which request.
        request: Served,
        /// What kind of failure.
        code: Code,
        /// What happened, for people. Cut at [`limits::FAILURE_MESSAGE_BYTES`](crate::limits::FAILURE_MESSAGE_BYTES).
        message: &'a str,
        /// More of it. A plain link does not carry it.
        data: Option<&'a Payload>,
    },
    /// No handler has seen a request and none will: it is refused for good.
    Reject {
        /// Which request.
        request: Served,
        /// Why.
        why: &'a Refused,
    },
    /// No handler has seen a request, and there is no room for it now.
    PutOff {
        /// Which request.
        request: Served,
        /// What there is too little of.
        why: Busy,
        /// When its caller may try again.
        retry_after: Duration,
    },
    /// The work on a request ended because of [`Output::Stop`](super::Output::Stop), or goes on all the same.
    Stopped {
        /// Which request.
        request: Served,
        /// What became of it.
        stop: Stop,
    },
    /// The application has taken this request's content into its hands; it no longer counts as unread.
    Fetched(Served),
    /// What [`Channel::transmit`](super::Channel::transmit) gave out comes back, written as far as it says.
    Written(Transmit),
    /// The peer has taken nothing of what waits for it for [`limits::WRITE_STALL`](crate::limits::WRITE_STALL).
    TooSlow,
    /// The application closes the link. Answers already given are still written.
    Close,
    /// The node says something to the node at the other end. Full dialect only, for kinds
    /// [of nodes](Kind::is_of_nodes); anything else is not sent.
    Control {
        /// What it is.
        kind: Kind,
        /// What it says.
        content: &'a Payload,
    },
    /// Another link carries new calls from now on: this one opens none, reads on, and answers what was begun.
    Retire,
    /// This link carries new calls again, after [`Input::Retire`].
    Restore,
    /// This end is about to leave: new requests of the peer are refused as [`Busy::Draining`](crate::outcome::Busy), those
    /// accepted before are finished. There is no way back.
    Drain,
    /// The application wants frames in another form. The peer is asked; [`Output::Agreed`](super::Output::Agreed) or
    /// [`Output::Declined`](super::Output::Declined) follows. Full dialect only.
    Propose(Form),
    /// How patient the peer announces to be. The slower of both profiles rules the link.
    PeerProfile(Profile),
    /// How slow this process is by its own measure, from 1 (not at all) to 8: verdicts about the peer wait so many times
    /// as long.
    LocalHealth(u8),
    /// So much this node has to do: requests in service. The peer is told now and then, behind answers and with pongs.
    Load(u32),
    /// The node wants a sign of life now: a ping leaves at once, and its pong is [`Output::Answered`](super::Output::Answered).
    Probe,
    /// The process stood still, or the clock of the day and the monotonic one parted, by
    /// [`limits::JUMP`](crate::limits::JUMP) or more. What the machine sees by itself need not be told.
    Jumped,
}
