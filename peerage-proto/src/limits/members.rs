//! The bounds of who exists: records, what neighbours hand on, how doubt becomes a verdict.

use std::time::Duration;

use super::{NODE_FRAME_BYTES_DEFAULT, SERVICES_MAX};

/// Largest record of a node, signature included, in bytes: a node with eight addresses and as many groups fits, and a
/// thousand of them into one answer of a neighbour.
pub const RECORD_BYTES_MAX: usize = 1_024;

/// How long a record holds after it was signed.
///
/// 90 s: two renewals may be lost before a node that nobody has a link with counts as lost.
pub const RECORD_LEASE: Duration = Duration::from_secs(90);

/// How often a node signs its record anew, at most: each time up to a tenth earlier, so that a mesh that was started at one
/// moment does not renew at one moment.
pub const RECORD_RENEWAL: Duration = Duration::from_secs(30);

/// Shortest time between two records that a node signs because somebody doubts it.
pub const REFUTATION_PAUSE: Duration = Duration::from_secs(1);

/// How far the start counter of an epoch, or the number in it, may be ahead of the record that is known, to be believed from
/// a third node: 136 years of one record a second.
pub const INCARNATION_JUMP_MAX: u64 = 1 << 32;

/// Members whose records are kept, those included that are gone. Beyond it those gone for longest make way.
///
/// 12,288: some 24 MiB of records, and summaries that still fit into one frame.
pub const MEMBERS_MAX: usize = 12_288;

/// Links up to which a node dials whomever it hears of.
pub const FULL_MESH_DEFAULT: usize = 64;

/// Most that can be configured of that: beyond it links cost more than relays.
pub const FULL_MESH_MAX: usize = 150;

/// Records in one piece that is handed on.
pub const DISCOVERED_RECORDS_MAX: usize = 64;

/// Bytes of records in one piece that is handed on: as many records of the largest size, and frames that hold no link up.
pub const DISCOVERED_BYTES_MAX: usize = 64 << 10;

/// Records in all pieces of an answer to a summary. What is left is asked for anew.
pub const ANSWER_RECORDS_MAX: usize = 2_048;

/// Bytes of records in all pieces of an answer to a summary: half a second at 1 MB/s.
pub const ANSWER_BYTES_MAX: usize = 512 << 10;

/// Records that a neighbour may send unasked within [`RECORDS_WINDOW`]: its own, and refutations it was asked for. Others
/// are not looked at.
pub const RECORDS_UNASKED_MAX: usize = 64;

/// Records that a neighbour may send within [`RECORDS_WINDOW`] after it was asked. Judging them takes a twentieth of a core.
pub const RECORDS_ASKED_MAX: usize = 2_048;

/// Bytes of records that a neighbour may send within [`RECORDS_WINDOW`] after it was asked.
pub const RECORDS_ASKED_BYTES_MAX: usize = 1 << 20;

/// The time over which these numbers count.
pub const RECORDS_WINDOW: Duration = Duration::from_secs(5);

/// Records that do not verify, within [`FORGERY_WINDOW`], for which a neighbour is cut: everybody looks before handing on.
pub const FORGERIES_MAX: usize = 3;

/// The time over which they count.
pub const FORGERY_WINDOW: Duration = Duration::from_secs(60);

/// Shortest time between two digests to one neighbour: while many nodes join, one word stands for many changes.
pub const DIGEST_PAUSE: Duration = Duration::from_millis(250);

/// Records of members that nobody dials which go to a neighbour ahead of a digest, unasked. With one digest every quarter of
/// a second and the neighbour's own records that is within what may be said unasked.
pub const NEWS_MAX: usize = 2;

/// How long a node waits with its question when a digest differs: mostly what differs is on its way already.
pub const SUMMARY_DELAY: Duration = Duration::from_millis(100);

/// How often that wait doubles, at most, while answers bring nothing new: up to 800 ms.
pub const SUMMARY_DELAY_DOUBLINGS: u32 = 3;

/// Summaries that a node has sent and that are not answered, at most. Mostly one answer makes the others superfluous.
pub const SUMMARIES_AT_ONCE: usize = 4;

/// How long an answer to a summary is waited for before it is asked for anew.
pub const SUMMARY_AGAIN: Duration = Duration::from_secs(2);

/// Shortest time between two summaries that are sent, to whomever, only to keep the records of members without a link fresh.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// Lines of a summary, at most: one for each member that can be held.
pub const SUMMARY_LINES_MAX: usize = MEMBERS_MAX;

/// Summaries of one neighbour answered in a second.
pub const SUMMARIES_PER_SECOND: usize = 4;

/// Neighbours asked to try a node that is suspected.
pub const INDIRECT_CHECKS: usize = 2;

/// How long an answer of theirs counts, at most, times how slow this node is.
///
/// 1.5 s: the one second that they give the suspect, and the way there and back.
pub const CHECK_ANSWER: Duration = Duration::from_millis(1_500);

/// How long a node that is tried for somebody has to show that it lives.
pub const CHECK_PROBE: Duration = Duration::from_secs(1);

/// Nodes tried at once for others. Who asks for more is told that nothing can be said.
pub const CHECKS_MAX: usize = 64;

/// Nodes tried at once for one neighbour.
pub const CHECKS_PER_NEIGHBOUR_MAX: usize = 16;

/// Shortest time between two probes of one node on behalf of others: ten a second harm no link, whoever asks for more.
pub const CHECK_PAUSE: Duration = Duration::from_millis(100);

/// How long a doubted node's next record is passed on to those who doubted it.
pub const REFUTATION_PASSED_ON: Duration = Duration::from_secs(2);

/// Transitions of one member that are remembered with their evidence.
pub const TRANSITIONS_MAX: usize = 16;

/// Longest text in the evidence of a transition, in bytes. Longer ones are cut.
pub const EVIDENCE_TEXT_BYTES_MAX: usize = 256;

/// Largest list of services of one node, encoded, in bytes: 4,096 names of 14 characters, or a thousand of 60.
pub const SERVICES_BYTES_MAX: usize = 64 << 10;

/// Bytes of the lists of other nodes that are kept, in all: 256 of the largest. Whoever offers more than there is room for
/// keeps the view from being complete.
pub const SERVICE_LISTS_BYTES_MAX: usize = 16 << 20;

/// When a list that there was no room for is asked for anew.
pub const SERVICE_LISTS_FULL_PAUSE: Duration = Duration::from_secs(60);

/// Lists of services in one question, or in one piece of an answer.
pub const WANTED_MAX: usize = 48;

/// How long a list that was asked for is waited for before it is asked for elsewhere.
pub const WANTED_AGAIN: Duration = Duration::from_secs(1);

/// When it is asked for elsewhere after a neighbour has said that it does not hold it: whoever handed the record on may be
/// about to have it.
pub const WANTED_ELSEWHERE: Duration = Duration::from_millis(100);

/// Questions of one neighbour for lists answered in a second: enough for one of each of 1,500 members.
pub const WANTED_PER_SECOND: usize = 32;

/// Bytes of lists that one neighbour is told within [`RECORDS_WINDOW`]: half of what it reads then.
pub const SERVICE_LISTS_TOLD_MAX: usize = 1 << 20;

/// Largest content of a frame with lists of services, in bytes: [`SERVICES_BYTES_MAX`] of them, as JSON.
pub const SERVICES_FRAME_BYTES_MAX: usize = 84 << 10;

/// Largest content of a frame of records, in bytes: [`DISCOVERED_BYTES_MAX`] of them as hexadecimal text.
pub const DISCOVERED_FRAME_BYTES_MAX: usize = 140 << 10;

/// Largest content of a summary, in bytes: 64 digits for each line.
pub const SUMMARY_FRAME_BYTES_MAX: usize = 770 << 10;

/// Bytes of records and summaries that are read from one peer in [`GOSSIP_PERIOD`]. What comes beyond it is dropped and
/// counted: whatever waits for the node at once stays bounded in bytes as well.
pub const GOSSIP_BYTES_PER_PERIOD: usize = 2 << 20;

/// See [`GOSSIP_BYTES_PER_PERIOD`].
pub const GOSSIP_PERIOD: Duration = Duration::from_secs(5);

const _: () = assert!(2 * DISCOVERED_BYTES_MAX + 16 * DISCOVERED_RECORDS_MAX + 64 < DISCOVERED_FRAME_BYTES_MAX);
const _: () = assert!(SERVICES_BYTES_MAX + 4 * SERVICES_MAX + 4 * WANTED_MAX + 16 < SERVICES_FRAME_BYTES_MAX);
const _: () = assert!(64 * WANTED_MAX + 16 < super::WORD_BYTES_MAX);
const _: () = assert!(64 * SUMMARY_LINES_MAX + 16 < SUMMARY_FRAME_BYTES_MAX);
const _: () = assert!(SUMMARY_FRAME_BYTES_MAX < NODE_FRAME_BYTES_DEFAULT as usize);
