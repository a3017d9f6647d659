//! Deadlines to the millisecond, on a clock that stands still while somebody works and jumps when nobody does.
//!
//! Only the memory transport can be tested like this: with a socket the kernel works while the clock jumps.

use std::time::Duration;

use peerage::outcome::{CallError, LinkLost, NotSent, Stop};
use peerage::{Address, Encoding, limits};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use crate::meeting::{answer_all, bind, connect, large, memory, one_thread, step};

/// Milliseconds on the clock of the test since `begun`.
fn since(begun: Instant) -> u128 {
    begun.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_exactly_at_its_deadline() {
    let (channel, _peer) = memory().meet().await;
    let begun = Instant::now();
    let default = channel.request::<u64>(&1).into_future();
    let short = channel.request::<u64>(&2).deadline(Duration::from_millis(1500)).into_future();
    let shorter = channel.request::<u64>(&3).deadline(Duration::from_millis(70)).into_future();
    let mut calls = [default, short, shorter];
    for call in &mut calls {
        assert!(step(call).await.is_none());
    }
    let [default, short, shorter] = calls;
    for (call, ends) in [(shorter, 70), (short, 1500), (default, 30_000)] {
        assert_eq!(call.await, Err(CallError::Deadline { stop: Stop::Unconfirmed }));
        assert!((ends..=ends + 2).contains(&since(begun)), "{} instead of {ends}", since(begun));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_from_the_await_and_waiting_for_room_is_inside_it() {
    let place = memory();
    let mut listener = place.listen().await.encoding(Encoding::Json);
    let channel = connect(place.address()).calls_in_flight(1).await.unwrap();
    let mut peer = listener.accept().await;
    let second = |ms| channel.request::<u64>(&2).deadline(Duration::from_millis(ms));
    let (made, queued) = (second(1000), second(500));
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    let mut first = channel.request::<u64>(&1).into_future();
    assert!(step(&mut first).await.is_none());
    let (mut made, mut queued) = (made.into_future(), queued.into_future());
    assert!(step(&mut made).await.is_none() && step(&mut queued).await.is_none());
    assert_eq!(queued.await, Err(CallError::NotSent { why: NotSent::QueueFull }));
    assert!((500..=502).contains(&since(begun)));
    // Room after 800 ms leaves 200 for the answer.
    sleep(Duration::from_millis(300)).await;
    peer.next_request().await.unwrap().reply(&1);
    assert_eq!(first.await, Ok(1));
    assert_eq!(made.await, Err(CallError::Deadline { stop: Stop::Unconfirmed }));
    assert!((1000..=1002).contains(&since(begun)), "{}", since(begun));
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_call_waits_for_days() {
    let (channel, mut peer) = memory().meet().await;
    let mut call = channel.request::<u64>(&1).without_deadline().into_future();
    let mut long = channel.request::<u64>(&2).deadline(Duration::MAX).into_future();
    assert!(step(&mut call).await.is_none() && step(&mut long).await.is_none());
    sleep(Duration::from_secs(10 * 24 * 3600)).await;
    for call in [call, long] {
        peer.next_request().await.unwrap().reply(&7);
        assert_eq!(call.await, Ok(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_take_the_last_answers_holds_up_closing_for_a_second() {
    let place = memory();
    let mut listener = place.listen().await.encoding(Encoding::Json);
    // The other end lives on a runtime that does nothing after its request has left.
    let elsewhere = std::thread::spawn({
        let address = place.address().clone();
        move || {
            let runtime = one_thread();
            let channel = runtime.block_on(async {
                let channel = connect(&address).await.unwrap();
                let mut call = channel.request::<u64>(&1).into_future();
                assert!(step(&mut call).await.is_none());
                while channel.counters().bytes_out == 0 {
                    tokio::task::yield_now().await;
                }
                drop(call);
                channel
            });
            (runtime, channel)
        }
    });
    let mut peer = listener.accept().await;
    let request = peer.next_request().await.unwrap();
    let standing_still = elsewhere.join().unwrap();
    request.reply_payload(&large(1 << 20));
    let begun = Instant::now();
    peer.close().await;
    assert!((1000..=1002).contains(&since(begun)), "{}", since(begun));
    let LinkLost::Broken(why) = peer.ended().await else { panic!("the answer was not taken") };
    assert_eq!(why, "the peer did not take the last answers");
    standing_still.0.shutdown_background();
}

#[test]
fn a_peer_that_stands_still_in_the_middle_of_a_frame_is_cut_after_ten_seconds() {
    let address: Address = "memory://stands-still".parse().unwrap();
    let clock = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let mut listener = clock.block_on(bind(&address).into_future()).unwrap().encoding(Encoding::Json);
    // A runtime that is not driven any more after the first 64 KiB of a frame have left.
    let still = one_thread();
    let channel = still.block_on(connect(&address).into_future()).unwrap();
    let half_sent = still.block_on(async {
        let mut call = channel.request_payload(large(1 << 20)).into_future();
        assert!(step(&mut call).await.is_none());
        while channel.counters().bytes_out == 0 {
            tokio::task::yield_now().await;
        }
        call
    });
    clock.block_on(async {
        let peer = listener.accept().await;
        let begun = Instant::now();
        assert_eq!(peer.ended().await, LinkLost::Stalled);
        let stall = limits::FRAME_STALL.as_millis();
        assert!((stall..=stall + 2).contains(&since(begun)), "{}", since(begun));
        // Others are not concerned, and silence between frames is nobody's fault.
        let other = connect(&address).await.unwrap();
        let answering = tokio::spawn(answer_all(listener.accept().await, |n| n));
        for n in 0..3 {
            assert_eq!(other.request::<u64>(&n).await, Ok(n));
            sleep(Duration::from_secs(3600)).await;
        }
        other.close().await;
        answering.await.unwrap();
    });
    let lost = still.block_on(half_sent).unwrap_err();
    assert!(matches!(lost, CallError::ConnectionLost { .. }), "{lost:?}");
}
