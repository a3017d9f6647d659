//! Rare things of which a campaign must have seen nearly all, or it has not looked far enough.

use std::collections::BTreeSet;

/// What is to happen in some run or other.
pub const MARKERS: &[&str] = &[
    // Calls.
    "a call ended otherwise",
    "a call looked for another link",
    "a call waited for room",
    "a call was answered",
    "a call was cancelled",
    "a call was lost with its link",
    "a call was not sent",
    "a call was refused as busy",
    "a call went on over another link",
    "a cancel came before the start",
    "a cancel came too late",
    "a cancel took a call out before it left",
    "a deadline passed and the callee said what became of it",
    "a deadline passed without a word",
    "an application did not read",
    "drain refused a call",
    "the pause rule held a handler back",
    // Links.
    "a loser was closed",
    "a loser was returned to active",
    "a peer was suspected",
    "a silent peer was given up",
    "a suspected peer was heard",
    "one link too many was refused",
    "two links to one peer",
    // Admission.
    "a connection could not be accepted",
    "a dial was abandoned",
    "a dial was refused",
    "a draining node refused a link",
    "a false signature was seen through",
    "a handshake failed after the proof",
    "a handshake took too long",
    "a stale epoch was refused",
    // Nodes.
    "a node left with everything done",
    "a node left with work undone",
    "a node raised its epoch",
    "a node was isolated",
    "a process ended in good order",
    "an established peer was probed",
    // Members.
    "a lease ran out",
    "a liar was cut",
    "a member came back in the same epoch",
    "a member left",
    "a member was known before it was linked",
    "a member was lost and a neighbour had tried it",
    "a member was lost because its address refuses",
    "a member was started again",
    "a neighbour was asked for lists of services",
    "a neighbour was asked what it knows",
    "a suspect was not reached for another",
    "a suspect was reached for another",
    "a suspicion was refuted",
    "nothing could be said about a suspect",
];

/// Notes a marker. One that is not listed would never be missed.
pub(super) fn note(seen: &mut BTreeSet<&'static str>, what: &'static str) {
    if seen.insert(what) {
        assert!(MARKERS.contains(&what), "a marker that is not listed: {what}");
    }
}
