//! Trace context as the W3C names it: which trace a call belongs to, and which span of it asked.
//!
//! It rides on every call between nodes, so that the spans of A calling B calling C make one trace, whoever collects them.
//! A call that a handler makes belongs to the trace of the call that the handler answers; any other call begins a trace.
//! How it looks on the wire and as text: PROTOCOL §7 and [W3C Trace Context](https://www.w3.org/TR/trace-context/).

use std::cell::Cell;

pub use peerage_proto::codec::{NoTrace, Trace, TraceState};

/// A new trace, recorded, with its first span.
pub fn begin() -> Trace {
    let id = u128::from(random()) << 64 | u128::from(random());
    Trace { id, parent: random(), flags: RECORDED }
}

/// A new span in the same trace.
pub fn child(of: &Trace) -> Trace {
    Trace { parent: random(), ..*of }
}

/// Bits that are unlikely to come twice, never zero: ids of spans are no secrets, and a call must not wait for the system.
pub(crate) fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    // SplitMix64 (Steele, Lea and Flood, 2014).
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    })
}

fn seed() -> u64 {
    let mut bits = [0; 8];
    // The library ends the process by itself when the system has no random numbers to give.
    aws_lc_rs::rand::fill(&mut bits).expect("random numbers are drawn or the process has ended");
    u64::from_be_bytes(bits)
}

/// The flag that says that whoever asks records this trace.
const RECORDED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_stays_in_its_trace_and_a_new_trace_is_another_one() {
        let trace = begin();
        let inside = child(&trace);
        assert_eq!((inside.id, inside.flags), (trace.id, 1));
        assert_ne!(inside.parent, trace.parent);
        assert_ne!(begin().id, trace.id);
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }
}
