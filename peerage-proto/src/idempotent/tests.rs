//! The memory, seen from outside. Who waits is a number.

use std::time::{Duration, Instant};

use super::{Begun, Memory, Reply, RequestKey};
use crate::codec::{Encoding, Payload};
use crate::id::{Epoch, NodeId};
use crate::limits;
use crate::outcome::Code;

const SECOND: Duration = Duration::from_secs(1);

/// Waits.
const NOBODY: [u32; 0] = [];

fn key_of(caller: u8, start: u64, sequence: u64) -> RequestKey {
    RequestKey { caller: NodeId::from_bytes([caller; 32]), epoch: Epoch::new(start, [1; 16]), sequence }
}

fn key(sequence: u64) -> RequestKey {
    key_of(1, 100, sequence)
}

fn reply(bytes: usize) -> Reply {
    Reply::Value(Payload::from_parts(Encoding::MsgPack, vec![0; bytes].into()))
}

fn start() -> (Memory<u32>, Instant) {
    (Memory::default(), crate::sim::epoch())
}

#[test]
fn a_key_runs_once_and_is_answered_from_memory_from_then_on() {
    let (mut memory, now) = start();
    assert_eq!(memory.begin(now, key(1), 10), Begun::Run(10));
    assert_eq!(memory.finish(now, &key(1), reply(3)), NOBODY);
    for waiter in [11, 12] {
        assert_eq!(memory.begin(now + SECOND, key(1), waiter), Begun::Known(waiter, reply(3)));
    }
    let failure = Reply::Failure { code: Code::INTERNAL, message: "no".into(), data: None };
    memory.begin(now, key(2), 20);
    memory.finish(now, &key(2), failure.clone());
    assert_eq!(memory.begin(now, key(2), 21), Begun::Known(21, failure));
    assert_eq!((memory.len(), memory.bytes()), (2, 5));
}

#[test]
fn who_asks_while_it_runs_waits_for_the_same_answer() {
    let (mut memory, now) = start();
    assert_eq!(memory.begin(now, key(1), 10), Begun::Run(10));
    assert_eq!(memory.begin(now, key(1), 11), Begun::Waits);
    assert_eq!(memory.finish(now, &key(1), reply(1)), [11]);
    assert_eq!(memory.finish(now, &key(1), reply(9)), NOBODY, "it has ended");
    let waiters = limits::REQUEST_KEY_WAITERS_MAX as u32;
    memory.begin(now, key(2), 0);
    assert!((0..waiters).all(|waiter| memory.begin(now, key(2), waiter) == Begun::Waits));
    assert_eq!(memory.begin(now, key(2), 99), Begun::Full(99));
}

#[test]
fn what_did_not_run_after_all_runs_when_it_is_asked_again() {
    let (mut memory, now) = start();
    memory.begin(now, key(1), 10);
    memory.begin(now, key(1), 11);
    assert_eq!(memory.undo(&key(1)), [11]);
    assert_eq!((memory.undo(&key(1)), memory.len()), (vec![], 0));
    assert_eq!(memory.begin(now, key(1), 11), Begun::Run(11));
    memory.finish(now, &key(1), reply(1));
    assert_eq!(memory.undo(&key(1)), NOBODY, "what has run stays");
    assert_eq!(memory.begin(now, key(1), 12), Begun::Known(12, reply(1)));
}

#[test]
fn what_was_broken_off_or_is_too_large_to_keep_is_not_run_again() {
    let (mut memory, now) = start();
    memory.begin(now, key(1), 10);
    memory.begin(now, key(1), 11);
    assert_eq!(memory.break_off(now, &key(1)), [11]);
    assert_eq!(memory.begin(now, key(1), 11), Begun::Forgotten(11));
    memory.begin(now, key(2), 20);
    assert_eq!(memory.finish(now, &key(2), reply(limits::KEPT_REPLY_BYTES_MAX + 1)), NOBODY);
    assert_eq!(memory.begin(now, key(2), 21), Begun::Forgotten(21));
    memory.begin(now, key(3), 30);
    memory.finish(now, &key(3), reply(limits::KEPT_REPLY_BYTES_MAX));
    assert!(matches!(memory.begin(now, key(3), 31), Begun::Known(31, _)));
}

#[test]
fn a_key_below_the_window_is_refused_instead_of_run_again() {
    let (mut memory, now) = start();
    for sequence in 1..=3 {
        memory.begin(now, key(sequence), 0);
        memory.finish(now, &key(sequence), reply(1));
    }
    let later = now + limits::REQUEST_KEY_KEPT;
    assert_eq!(memory.begin(later, key(2), 1), Begun::Forgotten(1));
    assert_eq!((memory.len(), memory.bytes()), (0, 0));
    assert_eq!(memory.begin(later, key(4), 2), Begun::Run(2));
    assert_eq!(memory.begin(later, key_of(2, 100, 1), 3), Begun::Run(3), "the window of another caller is its own");
}

#[test]
fn a_caller_that_was_started_again_begins_anew_and_its_earlier_run_asks_for_nothing() {
    let (mut memory, now) = start();
    memory.begin(now, key(1), 10);
    memory.finish(now, &key(1), reply(5));
    assert_eq!(memory.begin(now, key_of(1, 101, 1), 11), Begun::Run(11));
    assert_eq!(memory.begin(now, key(1), 12), Begun::Forgotten(12));
    assert_eq!((memory.len(), memory.bytes()), (1, 0));
    assert_eq!(memory.finish(now, &key(1), reply(5)), NOBODY, "nobody waits for the earlier run");
}

#[test]
fn keys_and_bytes_are_bounded_and_whoever_holds_most_makes_way() {
    let (mut memory, now) = start();
    memory.begin(now, key_of(2, 100, 1), 0);
    memory.finish(now, &key_of(2, 100, 1), reply(1));
    for sequence in 0..limits::REQUEST_KEYS_MAX as u64 + 100 {
        assert_eq!(memory.begin(now, key(sequence), 0), Begun::Run(0));
        memory.finish(now, &key(sequence), reply(1));
        assert!(memory.len() <= limits::REQUEST_KEYS_MAX);
    }
    assert!(matches!(memory.begin(now, key_of(2, 100, 1), 1), Begun::Known(..)), "the others keep theirs");
    assert_eq!(memory.begin(now, key(0), 1), Begun::Forgotten(1));
    let replies = (limits::KEPT_REPLIES_BYTES_MAX / limits::KEPT_REPLY_BYTES_MAX) as u64;
    for sequence in 0..replies + 9 {
        let key = key_of(3, 100, sequence);
        memory.begin(now, key, 0);
        memory.finish(now, &key, reply(limits::KEPT_REPLY_BYTES_MAX));
        assert!(memory.bytes() <= limits::KEPT_REPLIES_BYTES_MAX);
    }
}

#[test]
fn when_all_that_is_remembered_still_runs_nothing_more_begins() {
    let (mut memory, now) = start();
    for sequence in 0..limits::REQUEST_KEYS_MAX as u64 {
        assert_eq!(memory.begin(now, key(sequence), 0), Begun::Run(0));
    }
    let late = now + limits::REQUEST_KEY_KEPT * 2;
    assert_eq!(memory.begin(late, key(9_999), 1), Begun::Full(1));
    memory.finish(late, &key(5), reply(1));
    assert_eq!(memory.begin(late, key(9_999), 2), Begun::Run(2));
    assert!(!memory.is_empty());
}

#[test]
fn callers_are_bounded_and_make_way_when_they_have_not_been_heard_of_for_long() {
    let (mut memory, now) = start();
    let caller = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        RequestKey { caller: NodeId::from_bytes(bytes), ..key(1) }
    };
    for number in 0..limits::REQUEST_KEY_CALLERS_MAX {
        let key = caller(number);
        assert_eq!(memory.begin(now, key, 0), Begun::Run(0));
        memory.finish(now, &key, reply(1));
    }
    let one_more = caller(limits::REQUEST_KEY_CALLERS_MAX);
    assert_eq!(memory.begin(now, one_more, 0), Begun::Full(0));
    let later = now + limits::REQUEST_KEY_CALLER_KEPT;
    assert_eq!(memory.begin(later, one_more, 0), Begun::Run(0));
}
