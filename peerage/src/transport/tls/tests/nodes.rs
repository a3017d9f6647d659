//! What holds between nodes on every transport that proves keys.

use super::*;

macro_rules! node_suite {
    ($($transport:ident),+) => { $(
        mod $transport {
            node_suite!(@tests $transport:
                both_ends_prove_their_keys_and_share_a_value_that_is_of_this_connection_alone,
                bytes_pass_in_both_directions,
                a_dialler_that_expects_another_node_is_told_which_one_it_found,
                the_id_in_the_address_is_the_one_expected,
                an_accepted_connection_keeps_its_place_until_it_is_admitted,
                who_comes_too_fast_is_turned_away
            );
        }
    )+ };
    (@tests $transport:ident: $($test:ident),+) => { $(
        #[tokio::test]
        async fn $test() {
            super::super::$test(super::super::suite::$transport()).await;
        }
    )+ };
}

mod over {
    node_suite!(tls, quic);
}

async fn both_ends_prove_their_keys_and_share_a_value_that_is_of_this_connection_alone(place: suite::Place) {
    let mut meeting = Meeting::at(place, GateLimits::for_node()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (near, far) = meeting.meet().await;
        let (near, far) = (near.binding.unwrap(), far.binding.unwrap());
        assert_eq!(near.peer, meeting.listener.id());
        assert_eq!(far.peer, meeting.dialler.id());
        assert_eq!(near.value, far.value);
        assert!(!seen.contains(&near.value));
        seen.push(near.value);
    }
}

async fn bytes_pass_in_both_directions(place: suite::Place) {
    let mut meeting = Meeting::at(place, GateLimits::for_node()).await;
    let (mut near, mut far) = meeting.meet().await;
    near.stream.write_all(b"question").await.unwrap();
    let mut read = [0; 8];
    far.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"question");
    far.stream.write_all(b"reply").await.unwrap();
    near.stream.read_exact(&mut read[..5]).await.unwrap();
    assert_eq!(&read[..5], b"reply");
}

async fn a_dialler_that_expects_another_node_is_told_which_one_it_found(place: suite::Place) {
    let meeting = Meeting::at(place, GateLimits::for_node()).await;
    let other = Identity::generate().id();
    let why = meeting.dial(Some(other)).await.unwrap_err();
    let DialError::IdentityMismatch { expected, found, .. } = why else { panic!("{why}") };
    assert_eq!((expected, found), (other, meeting.listener.id()));
}

async fn the_id_in_the_address_is_the_one_expected(place: suite::Place) {
    let mut meeting = Meeting::at(place, GateLimits::for_node()).await;
    let right = meeting.address().with_node(meeting.listener.id());
    let (near, _far) =
        tokio::join!(dial_node(&right, &meeting.dialler, None, PATIENCE, None), meeting.listening.accept());
    near.unwrap();
    let wrong = meeting.address().with_node(meeting.dialler.id());
    let why = dial_node(&wrong, &meeting.dialler, None, PATIENCE, None).await.unwrap_err();
    assert!(matches!(why, DialError::IdentityMismatch { .. }), "{why}");
}

async fn an_accepted_connection_keeps_its_place_until_it_is_admitted(place: suite::Place) {
    let mut meeting = Meeting::at(place, GateLimits::for_node()).await;
    let (_near, mut far) = meeting.meet().await;
    assert_eq!(meeting.gate.half_open(), 1);
    let slot = far.slot.take().unwrap();
    assert!(slot.deadline() > Instant::now());
    drop(slot);
    assert_eq!(meeting.gate.half_open(), 0);
}

async fn who_comes_too_fast_is_turned_away(place: suite::Place) {
    let slow = gate::Pace { per_second: 1, burst: 2 };
    let mut meeting = Meeting::at(place, GateLimits { accepts: Some(slow), ..GateLimits::for_node() }).await;
    let _first = meeting.meet().await;
    let _second = meeting.meet().await;
    let why = meeting.dial(None).await.unwrap_err();
    assert!(why.may_pass(), "{why}");
    assert_eq!(meeting.listening.tally().turned_away(), 1);
}
