//! Five seconds, whatever happens in them.

use std::time::Duration;

use super::ends::{End, TRANSPORTS, answered, dialled, proved, tls};
use crate::hello::wire::Greeting;
use crate::hello::{Config, HelloError, Input};

#[test]
fn silence_ends_when_the_time_is_over_and_not_before() {
    for transport in TRANSPORTS {
        let (ada, bob) = transport();
        let stages = [
            End::begin(ada),
            End::begin(bob),
            dialled(transport()).0,
            answered(transport()).1,
            proved(transport()).0,
            proved(transport()).1,
        ];
        for mut end in stages {
            end.takes();
            let at = end.machine.next_timeout().expect("it waits");
            assert_eq!(at - end.now, Duration::from_secs(5));
            end.now = at - Duration::from_nanos(1);
            end.feed(Input::Timeout);
            assert_eq!(end.failed, None);
            end.now = at;
            end.feed(Input::Timeout);
            assert_eq!((end.failed, end.written), (Some(HelloError::TimedOut), Vec::new()));
        }
    }
}

#[test]
fn a_byte_now_and_then_does_not_extend_the_time() {
    let (_, mut bob, hello) = dialled(tls());
    for byte in hello.chunks(1) {
        bob.now += Duration::from_millis(100);
        bob.receives(byte);
        if bob.failed.is_some() {
            break;
        }
    }
    assert_eq!(bob.now - crate::sim::epoch(), Duration::from_secs(5));
    assert_eq!(bob.refused_in_silence(), &HelloError::TimedOut);
}

#[test]
fn a_good_hello_that_comes_too_late_is_too_late() {
    let (_, mut bob, hello) = dialled(tls());
    bob.now += Duration::from_secs(5);
    bob.receives(&hello);
    assert_eq!(bob.refused_in_silence(), &HelloError::TimedOut);
}

#[test]
fn the_nodes_own_decision_counts_as_well() {
    let (mut ada, _) = proved(tls());
    ada.receives(&Greeting::Admitted.frame());
    ada.now += Duration::from_secs(5);
    ada.feed(Input::Admit);
    assert_eq!((ada.failed, ada.written), (Some(HelloError::TimedOut), Vec::new()));
}

#[test]
fn the_time_can_be_chosen_up_to_thirty_seconds() {
    let lasts = |time| {
        let end = End::begin(Config { time, ..tls().1 });
        end.machine.next_timeout().expect("it waits") - end.now
    };
    assert_eq!(lasts(Duration::from_millis(300)), Duration::from_millis(300));
    assert_eq!(lasts(Duration::from_secs(30)), Duration::from_secs(30));
    assert_eq!(lasts(Duration::from_secs(3_600)), Duration::from_secs(30));
}

#[test]
fn a_handshake_whose_time_was_used_up_before_does_not_begin() {
    let end = End::begin(Config { time: Duration::ZERO, ..tls().0 });
    assert_eq!(end.refused_in_silence(), &HelloError::TimedOut);
}
