//! Every bound of the protocol: its value, its unit and the reason for it.
//!
//! A number that limits what a peer or an application may do stands here and nowhere else, so that one page answers
//! "how much of that can there be?". Names put the qualifier last, so that siblings line up.

use std::time::Duration;

pub use events::*;
pub use members::*;
pub use services::*;
pub use subscriptions::*;

mod events;
mod members;
mod services;
mod subscriptions;

/// Largest frame body a plain channel accepts unless configured otherwise, in bytes.
///
/// 16 MiB: the largest value that is also held whole as a call argument or reply.
pub const PLAIN_FRAME_BYTES_DEFAULT: u32 = 16 << 20;

/// Largest frame body on a link between nodes unless configured otherwise, in bytes.
///
/// 1 MiB: what a thousand hostile links can pin is then at most 1 GiB, and no frame holds a link for long.
pub const NODE_FRAME_BYTES_DEFAULT: u32 = 1 << 20;

/// Smallest limit of frame bodies that can be configured, in bytes: every control frame and a failure without text fit in.
pub const FRAME_BYTES_MIN: u32 = 64;

/// Largest frame body that can be configured, in bytes. 64 MiB; larger data belongs into a stream.
pub const FRAME_BYTES_MAX: u32 = 64 << 20;

/// How far a receive buffer may grow ahead of the bytes that really arrived, in bytes.
///
/// A length prefix alone therefore reserves at most this much, whatever it announces.
pub const BUFFER_AHEAD_BYTES: usize = 64 << 10;

/// Deepest nesting of containers accepted where content is opened. Opaque payloads are never looked into.
pub const NESTING_DEFAULT: usize = 32;

/// Deepest nesting that can be configured.
pub const NESTING_MAX: usize = 64;

/// How many times larger than its compressed form a content may be. LZ4 reaches 255; what is honest seldom reaches 20.
pub const COMPRESSION_RATIO_MAX: usize = 100;

/// Contents from this size on are compressed where that was agreed on, in bytes: below it little is saved, and time is lost.
pub const COMPRESS_FROM_BYTES: usize = 1 << 10;

/// Longest standstill in the middle of a frame before the link is cut.
pub const FRAME_STALL: Duration = Duration::from_secs(10);

/// Longest time in which a node takes nothing of what is written to it before the link is cut. It still speaks then, or it
/// would be cut for its silence; but what waits for it is kept here, and those who call it wait.
pub const WRITE_STALL: Duration = Duration::from_secs(10);

/// Deadline of a call unless the caller chooses another.
pub const CALL_DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

/// How long after its deadline a call may still end: the time in which the callee's word on the work is awaited.
pub const OUTCOME_GRACE: Duration = Duration::from_millis(100);

/// Calls in flight on one link, opened by us, unless configured otherwise. More wait inside their deadline.
pub const CALLS_IN_FLIGHT_DEFAULT: u32 = 1_024;

/// Requests of one peer served or queued at once, unless configured otherwise.
///
/// Above it a plain link stops reading; in the full dialect the request is refused as busy, its handler not started.
pub const SERVED_AT_ONCE_DEFAULT: u32 = 1_024;

/// Requests of all peers together that a node works on at once. One more is refused as busy, its handler not started.
pub const SERVED_BY_NODE_AT_ONCE: usize = 8_192;

/// The same, where it is configured.
pub const SERVED_BY_NODE_MAX: usize = 1 << 20;

/// Calls of a service that blocks its threads which are worked on at once, unless the service says otherwise.
pub const BLOCKING_AT_ONCE_DEFAULT: usize = 16;

/// Services of its own that a node may offer.
pub const SERVICES_MAX: usize = 4_096;

/// Longest description of a service, in bytes; the rest is cut.
pub const SERVICE_DESCRIPTION_BYTES: usize = 1 << 10;

/// Bytes of requests that wait for the application on one link before reading stops. The first one may be larger.
pub const UNREAD_REQUEST_BYTES: usize = 16 << 20;

/// Largest value that is held whole, in bytes: an item of a stream, an argument, an answer. Larger data is a stream of its
/// own.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// What each direction of a stream may send before anything was granted, in bytes.
///
/// 64 KiB: as much as HTTP/2 gives, little enough for a thousand streams that nobody reads.
pub const STREAM_CREDIT_START: u32 = 64 << 10;

/// Most bytes that can be granted at once. A peer that grants more has miscounted.
pub const STREAM_CREDIT_MAX: u32 = (1 << 31) - 1;

/// How far the window of a stream that is really read grows, in bytes: enough for 1 Gbit/s over 8 ms.
pub const STREAM_WINDOW_MAX: usize = 1 << 20;

/// Bytes by which all windows of a link may be wider than at the beginning, together.
pub const LINK_WINDOWS_MAX: usize = 4 << 20;

/// What an item costs of the credit beside its own bytes: about what an item of no bytes takes in memory or on the wire.
pub const ITEM_OVERHEAD_BYTES: usize = 16;

/// Largest content of a frame of a stream, in bytes. Larger items are cut.
///
/// 32 KiB: 0.3 ms at 1 Gbit/s for whatever comes behind it, and always less than what a reader who is at pace has granted.
pub const SEGMENT_BYTES: usize = 32 << 10;

/// Bytes of items waiting on one stream above which its writer waits.
pub const STREAM_QUEUE_BYTES: usize = 64 << 10;

/// Bytes of frames of streams that are handed to the driver ahead of what small frames may come, at most.
pub const BULK_AHEAD_BYTES: usize = 128 << 10;

/// Bytes waiting to be written on one link above which new calls wait.
///
/// 512 KiB: about what one write to a loopback socket takes; more queueing would only add delay.
pub const UNSENT_BYTES_HIGH: usize = 512 << 10;

/// Bytes waiting to be written on one link above which no further request of the peer is started: a peer that does not
/// read its answers gets no more of them. Its requests are read on and wait, within the limits that hold for them.
pub const UNSENT_REPLY_BYTES: usize = 16 << 20;

/// Control frames waiting to be written on one link above which the link is ended, in bytes: its peer does not read.
///
/// 1 MiB: the refusals of 65,536 calls in flight, more than a peer that reads can leave unread.
pub const UNSENT_CONTROL_BYTES: usize = 1 << 20;

/// Small frames (cancels, pings, what nodes say about the link, proposals) that a peer may send in a second, beside one for
/// each of its calls that is completed. Beyond it the link is ended.
pub const SMALL_FRAMES_PER_SECOND: u32 = 100;

/// Small frames that it may send at once after a time without.
pub const SMALL_FRAMES_BURST: u32 = 200;

/// Cancels for each completed call, over ten seconds and beyond the burst: whoever cancels nearly everything it asks makes
/// work for nothing.
pub const CANCELS_PER_COMPLETED: u32 = 10;

/// Cancels that this end sends in a second, beside one for each completed call: three quarters of what its peer allows, so
/// that clocks that differ by a few percent do no harm.
pub const CANCELS_PER_SECOND: u32 = 75;

/// Cancels that this end sends at once.
pub const CANCELS_BURST: u32 = 30;

/// Cancels that were sent without being earned and of which nothing was heard, at most: what a long delay may hold up and
/// deliver in one instant. With the burst and the pings of a stalled link it stays below [`SMALL_FRAMES_BURST`].
pub const CANCELS_UNANSWERED_MAX: usize = 60;

/// Cancels kept back for the sake of these numbers on one link. Others are dropped; the callee's deadline ends that work.
pub const CANCELS_WITHHELD_MAX: usize = 1_024;

/// Longest wait that a busy peer can ask for. Longer ones are cut.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Time between two words on how busy a node is, on one link: 20 a second cost nothing, and a choice among callees wants to
/// know no more.
pub const LOAD_PERIOD: Duration = Duration::from_millis(50);

/// Longest text of a failure that goes to a peer, in bytes. Longer texts are cut.
pub const FAILURE_MESSAGE_BYTES: usize = 4 << 10;

/// Bytes accepted from a peer before it has proved that it belongs to the network, lengths of frames included.
///
/// 4 KiB: a Hello takes less than half a KiB, which leaves room for the features of many versions to come.
pub const ADMISSION_BYTES_MAX: u32 = 4 << 10;

/// Time from accepting or dialling a connection to admission, unless configured otherwise. Progress does not extend it.
pub const HANDSHAKE_TIME_DEFAULT: Duration = Duration::from_secs(5);

/// Longest time for a handshake that can be configured.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(30);

/// Features that a node may offer in its Hello, at most.
pub const FEATURES_MAX: usize = 64;

/// Longest name of a feature that a node may offer, in bytes. 64 such names fit beside the rest of a Hello.
pub const FEATURE_BYTES_MAX: usize = 32;

/// Largest content of an introduction, in bytes: a record, and all its lists at their limits, fit in.
pub const INTRODUCTION_BYTES_MAX: usize = 16 << 10;

/// Largest content of any other word between two nodes, in bytes.
///
/// 4 KiB: the longest reason and every order of a link fit in many times, and as many as may wait for a node take little.
pub const WORD_BYTES_MAX: usize = 4 << 10;

/// Longest text in a record or an introduction that people read, in bytes: names of nodes and of programs.
pub const INTRODUCED_TEXT_BYTES_MAX: usize = 255;

/// Addresses in a record, at most: several listeners on several interfaces.
pub const INTRODUCED_ADDRESSES_MAX: usize = 32;

/// Encodings in an introduction, at most, and compressions.
pub const INTRODUCED_NAMES_MAX: usize = 16;

/// Groups that a node may belong to, at most.
pub const GROUPS_MAX: usize = 64;

/// Longest duration that is believed of a peer. Longer ones are cut.
pub const WIRE_TIME_MAX: Duration = Duration::from_secs(3_600);

/// Silence after which a link between nodes is asked for a sign of life, in the profile of a local network.
///
/// 1 s: a thousand times a round trip there, and still cheap for a node with a thousand links.
pub const PING_LAN: Duration = Duration::from_secs(1);

/// The same over long distances, where round trips of half a second and short outages are ordinary.
pub const PING_WAN: Duration = Duration::from_secs(5);

/// The same for links that are many and mostly idle.
pub const PING_IDLE: Duration = Duration::from_secs(15);

/// Shortest silence that can be announced: pings leave on a grid of this width, so a shorter one would mean nothing.
pub const PING_MIN: Duration = PING_GRID;

/// Longest silence that can be announced. Longer ones are cut: a dead peer must be noticed within minutes.
pub const PING_MAX: Duration = Duration::from_secs(60);

/// Pings of one node leave at multiples of this, so that a node with many idle links wakes four times a second at most.
pub const PING_GRID: Duration = Duration::from_millis(250);

/// The wait asked of a peer whose request came during a pause of this process and was not started.
pub const RETRY_AFTER_PAUSE: Duration = Duration::from_millis(100);

/// How much more patient a node that knows itself to be slow is with its peers, at most (Lifeguard).
pub const LOCAL_HEALTH_MAX: u8 = 8;

/// A step of the time that no timer explains: the process, or the whole machine, stood still.
pub const JUMP: Duration = Duration::from_secs(1);

/// Links of a node, unless configured otherwise. One more is refused as busy, and none is given up for it.
///
/// 1,024: with frames of 1 MiB, hostile links can pin at most 1 GiB.
pub const LINKS_DEFAULT: u32 = 1_024;

/// Most links of a node that can be configured: descriptors and timers beyond that need another design.
pub const LINKS_MAX: u32 = 65_536;

/// Links with one peer: one that carries calls, and three that are being given up. Two nodes that dial each other over
/// two transports at once need no more.
pub const LINKS_PER_PEER_MAX: usize = 4;

/// How long a dial may take until the peer has proved itself.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Dials under way at once. More wait for one of them to end: the memory of a handshake is many times that of a link.
pub const DIALS_AT_ONCE_MAX: usize = 64;

/// Dials under way at once to addresses that others named. Few: nobody is harmed by waiting for one of them to end.
pub const GOSSIP_DIALS_AT_ONCE_MAX: usize = 4;

/// Dials that the word of one node can cause in its first minute: a whole mesh that is joined through it.
pub const GOSSIP_DIALS_INFORMANT_BURST: u32 = 64;

/// Dials that it can cause in each minute after that.
pub const GOSSIP_DIALS_INFORMANT_PER_MINUTE: u32 = 10;

/// As [`GOSSIP_DIALS_INFORMANT_BURST`], of all nodes together.
pub const GOSSIP_DIALS_BURST: u32 = 200;

/// As [`GOSSIP_DIALS_INFORMANT_PER_MINUTE`], of all nodes together.
pub const GOSSIP_DIALS_PER_MINUTE: u32 = 30;

/// Time between two dials to one target that others named: two a minute harm nobody.
pub const GOSSIP_DIAL_PAUSE: Duration = Duration::from_secs(30);

/// Nodes and addresses that a node dials, or holds links with because it did.
pub const CONTACTS_MAX: usize = 4_096;

/// Addresses of one contact.
pub const ADDRESSES_PER_CONTACT_MAX: usize = 16;

/// Callers that wait for the outcome of a dial.
pub const CONNECTS_AT_ONCE_MAX: usize = 1_024;

/// First wait before a lost or unreachable node is dialled again. Each wait is a random part of its step.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(200);

/// Longest wait while a node has not been lost for long, and for ever for what is kept.
pub const RECONNECT_LAST: Duration = Duration::from_secs(10);

/// A link that held for so long counts as healthy: the next wait after it is the first one again.
pub const RECONNECT_HEALTH: Duration = Duration::from_secs(60);

/// How long a lost member is dialled at these waits. Then at longer ones.
pub const RECONNECT_QUICKLY: Duration = Duration::from_secs(600);

/// First of the longer waits.
pub const RECONNECT_SLOWLY_FIRST: Duration = Duration::from_secs(60);

/// Last of the longer waits.
pub const RECONNECT_SLOWLY_LAST: Duration = Duration::from_secs(3_600);

/// How long a lost member and its epoch are remembered.
pub const MEMBER_KEPT: Duration = Duration::from_secs(3_600);

/// Peers without a link that are remembered. Beyond it the one gone for longest is forgotten.
pub const PEERS_REMEMBERED_MAX: usize = 4_096;

/// Failed rounds of dials after which a kept address counts as unreachable. Nodes may be started in any order.
pub const SEED_UNREACHABLE_AFTER: u32 = 3;

/// How often, within [`CLONE_WINDOW`], a living link is replaced by one of a newer epoch before its peer is asked whether
/// it is still there.
pub const CLONE_CHANGES: usize = 3;

/// Time within which such changes count, and after which a conflict of identities counts as over.
pub const CLONE_WINDOW: Duration = Duration::from_secs(60);

/// How long a peer has to show that it is still there, before one with a newer epoch takes its place.
pub const CLONE_ANSWER: Duration = Duration::from_secs(2);

/// How far a peer's word may raise the start counter of our epoch: 136 years, if it counts seconds.
pub const EPOCH_JUMP_MAX: u64 = 1 << 32;

/// How long a goodbye waits for the peer's answer.
pub const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// Time in which a leaving node finishes what it has accepted, unless configured otherwise.
pub const DRAIN_TIME_DEFAULT: Duration = Duration::from_secs(10);

/// Longest such time.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(3_600);

/// Longest reason given with a goodbye, in bytes. Longer ones are cut.
pub const REASON_BYTES_MAX: usize = 256;

/// Faults that a node lists at once. More than that have a cause in common.
pub const FAULTS_MAX: usize = 64;

/// Port of an address that names none.
pub const PORT_DEFAULT: u16 = 5000;

/// Longest text that is read as an address, in bytes.
///
/// 4 KiB: the longest path, name and options with every byte escaped, so that whatever is printed can be read again.
pub const ADDRESS_BYTES_MAX: usize = 4 << 10;

/// Longest path of a unix address, in bytes. Systems take far less (Linux 107); this only bounds the text.
pub const ADDRESS_PATH_BYTES_MAX: usize = 1 << 10;

/// Longest name of a memory address and longest pattern of services, in bytes: that of a tag.
pub const ADDRESS_NAME_BYTES_MAX: usize = TAG_BYTES_MAX;

/// Longest name of a function, a service or an event, in bytes.
pub const TAG_BYTES_MAX: usize = 255;

/// Longest `tracestate` that travels with a call, in bytes: what the W3C asks everybody to carry.
pub const TRACE_STATE_BYTES_MAX: usize = 512;

/// What an application may say beside the arguments of a call, encoded, in bytes. More belongs into the arguments.
pub const APP_METADATA_BYTES_MAX: usize = 4 << 10;

/// Entries of it.
pub const APP_METADATA_ENTRIES_MAX: usize = 32;

/// Programs at a control socket. One more is closed at once.
pub const CONTROL_CLIENTS_MAX: usize = 256;

/// Requests of a node to one program at its control socket that may be unanswered. More wait for the answers.
pub const CONTROL_UNANSWERED_MAX: usize = 64;

/// Time that a program has at a control socket to send its first frame.
pub const CONTROL_FIRST_FRAME: Duration = Duration::from_secs(5);

/// Connections accepted and not yet admitted, over all sources. One more, and the oldest of them is dropped.
pub const HALF_OPEN_DEFAULT: usize = 128;

/// As [`HALF_OPEN_DEFAULT`], from one source (an IPv4 address, an IPv6 /64). Sources on this machine are not counted apart.
pub const HALF_OPEN_SOURCE_DEFAULT: usize = 16;

/// Most half-open connections that can be configured.
pub const HALF_OPEN_MAX: usize = 4_096;

/// Connections a node accepts in a second, over all sources, in the long run.
pub const ACCEPTS_PER_SECOND_DEFAULT: u32 = 200;

/// As [`ACCEPTS_PER_SECOND_DEFAULT`], from one source that is not on this machine.
pub const ACCEPTS_PER_SECOND_SOURCE_DEFAULT: u32 = 20;

/// Label sets of peers in the text of the metrics. Figures of more peers are left out and counted.
pub const METRIC_LABELS_MAX: usize = 1_024;

/// How far `?next=N` may move on from a taken port.
pub const NEXT_PORT_MAX: u16 = 999;

/// Longest name of a node or a network, in bytes: fits into a label of a host name and into the path of a socket.
pub const NAME_BYTES_MAX: usize = 64;

/// Longest name of a group, in bytes: that of a tag.
pub const GROUP_BYTES_MAX: usize = TAG_BYTES_MAX;

/// Fewest random bytes of a network's secret: 128 bits cannot be guessed, however long somebody tries.
pub const SECRET_BYTES_MIN: usize = 16;

/// Random bytes of a network's secret made here.
pub const SECRET_BYTES_DEFAULT: usize = 32;

/// Most bytes of a network's secret: the block of the hash it keys, more would add nothing.
pub const SECRET_BYTES_MAX: usize = 64;

/// Most seeds of a network. A few that are always there are enough; each costs a dial at the start.
pub const SEEDS_MAX: usize = 64;

/// Longest text of all seeds of a network together, in bytes: 64 of the usual length.
pub const SEEDS_BYTES_MAX: usize = 4 << 10;

/// Longest text that is read as a ticket or a key, in bytes: the longest name, secret and seeds in base58 fit in.
pub const TICKET_BYTES_MAX: usize = 8 << 10;

/// Connections a node accepts at once after a quiet time, over all sources and from sources on this machine.
pub const ACCEPTS_BURST_DEFAULT: u32 = 1_024;

/// As [`ACCEPTS_BURST_DEFAULT`], from one source that is not on this machine.
pub const ACCEPTS_BURST_SOURCE_DEFAULT: u32 = 40;

/// Bytes of one QUIC connection that may have arrived and not been read, and that may be on their way out.
///
/// 4 MiB: 300 Mbit/s at a round trip of 100 ms.
pub const QUIC_WINDOW_BYTES: u32 = 4 << 20;

/// Streams that the other end of a QUIC connection may have open, of each kind.
pub const QUIC_STREAMS: u32 = 256;

/// Silence after which QUIC gives up the connection of a plain channel, which has no other judge. Between nodes liveness
/// is the only one.
pub const QUIC_IDLE_CHANNEL: Duration = Duration::from_secs(30);

/// Silence after which QUIC sends a sign of life by itself.
///
/// 10 s: two may be lost before a plain channel is given up, and address translators remember UDP for 30 s and more.
pub const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(10);

const _: () = assert!(HALF_OPEN_SOURCE_DEFAULT <= HALF_OPEN_DEFAULT && HALF_OPEN_DEFAULT <= HALF_OPEN_MAX);
const _: () = assert!(3 * QUIC_KEEP_ALIVE.as_secs() <= QUIC_IDLE_CHANNEL.as_secs());
const _: () = assert!(LINKS_DEFAULT <= LINKS_MAX);
const _: () = assert!(3 * RECORD_RENEWAL.as_secs() <= RECORD_LEASE.as_secs());
const _: () = assert!(DISCOVERED_RECORDS_MAX * RECORD_BYTES_MAX <= DISCOVERED_BYTES_MAX);
const _: () = assert!(ANSWER_RECORDS_MAX <= RECORDS_ASKED_MAX && ANSWER_BYTES_MAX <= RECORDS_ASKED_BYTES_MAX);
const _: () = assert!(CHECK_PROBE.as_millis() < CHECK_ANSWER.as_millis());
// A reader that is at pace has granted three quarters of the window at least.
const _: () = assert!(4 * (SEGMENT_BYTES + ITEM_OVERHEAD_BYTES) <= 3 * STREAM_CREDIT_START as usize);
const _: () = assert!(STREAM_WINDOW_MAX < STREAM_CREDIT_MAX as usize / 4);
const _: () = assert!(PLAIN_FRAME_BYTES_DEFAULT <= FRAME_BYTES_MAX);
const _: () = assert!(NODE_FRAME_BYTES_DEFAULT <= FRAME_BYTES_MAX);
// Pings and pongs of a link that is silent up to its end: six intervals, eight times as long.
const _: () =
    assert!(CANCELS_BURST + CANCELS_UNANSWERED_MAX as u32 + 2 * 6 * (LOCAL_HEALTH_MAX as u32) < SMALL_FRAMES_BURST);
const _: () = assert!(CANCELS_PER_SECOND < SMALL_FRAMES_PER_SECOND);
const _: () = assert!(NESTING_DEFAULT <= NESTING_MAX);
const _: () = assert!(3 * ADDRESS_PATH_BYTES_MAX + 2 * ADDRESS_NAME_BYTES_MAX < ADDRESS_BYTES_MAX);
const _: () = assert!((NAME_BYTES_MAX + SECRET_BYTES_MAX + SEEDS_BYTES_MAX + 2 * SEEDS_MAX) * 3 / 2 < TICKET_BYTES_MAX);
const _: () = assert!(BUFFER_AHEAD_BYTES < PLAIN_FRAME_BYTES_DEFAULT as usize);
const _: () = assert!(RECORD_BYTES_MAX + (2 + 2 * INTRODUCED_NAMES_MAX) * 260 < INTRODUCTION_BYTES_MAX);
