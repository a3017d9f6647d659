//! What the table of calls keeps and finds, whatever is opened and ended.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn epoch() -> Instant {
    // Any fixed instant will do; the machine never asks for the time itself.
    #[allow(clippy::disallowed_methods, reason = "tests need one instant to count from")]
    static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *EPOCH
}

/// Settles a call and collects its outcome; false if it has none to get.
fn end(calls: &mut InFlight, token: Token) -> bool {
    let settled = calls.settle(token, Ending::Value(Encoding::Json, b"1"));
    settled && calls.collect(token, &mut Vec::new()).is_some()
}

proptest! {
    #[test]
    fn deadlines_come_up_in_order_whatever_is_opened_and_settled(
        steps in prop::collection::vec((0_u32..32, prop::option::of(0_u64..50), 0_u8..3), 1..200)
    ) {
        let mut calls = InFlight::default();
        let mut model: Vec<(u32, Option<u64>)> = Vec::new();
        for (n, (token, after, what)) in steps.into_iter().enumerate() {
            let at = |ms: u64| epoch() + Duration::from_millis(ms);
            match model.iter().position(|(t, _)| *t == token) {
                None => {
                    calls.open(epoch(), Token(token), RequestId(n as u64), after.map(at), (0, 1));
                    model.push((token, after));
                }
                Some(found) if what == 0 => {
                    let later = after.unwrap_or(7);
                    calls.wait_for(epoch(), Token(token), State::StopAfterCancel, at(later));
                    model[found].1 = Some(later);
                }
                Some(found) => {
                    prop_assert!(end(&mut calls, Token(token)));
                    model.remove(found);
                }
            }
            let nearest = model.iter().filter_map(|(_, until)| *until).min();
            prop_assert_eq!(calls.next_deadline(), nearest.map(at));
            prop_assert_eq!(calls.len(), model.len());
        }
        for ms in 0..50 {
            let mut due: Vec<u32> = model.iter().filter(|(_, until)| *until == Some(ms)).map(|(t, _)| *t).collect();
            due.sort_unstable();
            let expired = calls.expired(epoch() + Duration::from_millis(ms));
            prop_assert_eq!(expired.iter().map(|token| token.0).collect::<Vec<_>>(), due);
            for token in expired {
                prop_assert!(end(&mut calls, token));
            }
        }
        prop_assert_eq!(calls.len(), model.iter().filter(|(_, until)| until.is_none()).count());
    }
}

proptest! {
    #[test]
    fn every_waiting_call_is_found_by_its_id_and_no_other_is(
        steps in prop::collection::vec((any::<bool>(), 0_usize..40), 1..400)
    ) {
        let mut calls = InFlight::default();
        let mut waiting: Vec<(u32, u64)> = Vec::new();
        let mut free: Vec<u32> = (0..64).collect();
        // Ids jump by a multiple of any ring now and then, so that new ones meet old ones that still wait.
        let mut id = 0;
        for (open, pick) in steps {
            if open && waiting.len() < 40 {
                let token = free.pop().expect("more tokens than calls");
                id += if pick == 0 { 1024 } else { 1 };
                calls.open(epoch(), Token(token), RequestId(id), None, (0, 1));
                waiting.push((token, id));
            } else if !waiting.is_empty() {
                let (token, id) = waiting.remove(pick % waiting.len());
                prop_assert!(end(&mut calls, Token(token)));
                prop_assert_eq!(calls.by_id(RequestId(id)), None);
                free.push(token);
            }
            for (token, id) in &waiting {
                prop_assert_eq!(calls.by_id(RequestId(*id)), Some(Token(*token)));
            }
        }
    }
}

#[test]
fn an_answer_finds_its_call_by_id_until_it_is_settled() {
    let mut calls = InFlight::default();
    calls.open(epoch(), Token(3), RequestId(7), None, (0, 1));
    assert_eq!(calls.by_id(RequestId(7)), Some(Token(3)));
    assert!(end(&mut calls, Token(3)));
    assert_eq!(calls.by_id(RequestId(7)), None);
    assert!(!end(&mut calls, Token(3)));
}

#[test]
fn an_outcome_waits_in_its_slot_until_it_is_collected_and_is_collected_once() {
    let mut calls = InFlight::default();
    let mut buffer = b"from before".to_vec();
    let large = vec![b'1'; SMALL_BYTES + 1];
    for (round, value) in [&b"12"[..], &large, b"", b"345"].into_iter().enumerate() {
        calls.open(epoch(), Token(0), RequestId(round as u64), None, (0, 1));
        assert!(calls.collect(Token(0), &mut buffer).is_none(), "nothing has come yet");
        assert!(calls.settle(Token(0), Ending::Value(Encoding::Json, value)));
        assert_eq!(calls.len(), 0);
        let answer = calls.collect(Token(0), &mut buffer).expect("settled").expect("a value");
        assert_eq!(matches!(answer, Answer::Copied(_)), value.len() <= SMALL_BYTES);
        assert_eq!(answer.into_payload(&buffer).bytes(), value);
        assert!(calls.collect(Token(0), &mut buffer).is_none(), "it is gone");
    }
}

#[test]
fn a_slot_keeps_no_large_buffer_of_a_caller() {
    let mut calls = InFlight::default();
    calls.open(epoch(), Token(0), RequestId(0), None, (0, 1));
    calls.settle(Token(0), Ending::Value(Encoding::Json, b"1"));
    let mut buffer = Vec::with_capacity(10 * SMALL_BYTES);
    assert!(calls.collect(Token(0), &mut buffer).is_some());
    assert_eq!((&buffer[..], calls.slots[0].value.capacity()), (&b"1"[..], 0));
}
