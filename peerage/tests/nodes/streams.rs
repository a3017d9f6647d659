//! Calls whose two directions carry items.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use peerage::limits;
use peerage::outcome::{Code, Outcome, Refused};
use peerage::service::Context;
use peerage::stream::{Conversation, Incoming, NoStream, Outgoing, SendError};
use peerage::{CallError, Failure, Node, Value};
use tokio::sync::mpsc;

use crate::place::{Place, address, memory, pair, soon, until};

/// Sends back the sum so far for each number that comes.
async fn sums(context: Context) -> Result<u64, Failure> {
    let (mut numbers, mut sums) = (context.incoming::<u64>()?, context.outgoing::<u64>()?);
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number?;
        sums.send(&sum).await?;
    }
    Ok(sum)
}

/// Counts from 0 as far as it is told.
async fn count(context: Context, until: u64) -> Result<&'static str, Failure> {
    let mut numbers = context.outgoing()?;
    for number in 0..until {
        numbers.send(&number).await?;
    }
    Ok("all of them")
}

/// Takes bytes and returns how many came.
async fn swallow(context: Context) -> Result<u64, Failure> {
    Ok(context.incoming::<Bytes>()?.write_to(&mut tokio::io::sink()).await?)
}

async fn open<Up, Down>(from: &Node, to: &Node, tag: &str) -> Conversation<Up, Down> {
    soon(from.call(tag).peer::<()>(to.id()).open()).await.unwrap()
}

async fn next<T: serde::de::DeserializeOwned>(incoming: &mut Incoming<T>) -> Option<Result<T, CallError>> {
    soon(incoming.next()).await
}

#[tokio::test]
async fn both_ends_speak_and_listen_at_once_and_the_answer_ends_it() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("sums", sums).unwrap();
    let mut talk = open::<u64, u64>(&a, &b, "sums").await;
    for (number, sum) in [(20, 20), (3, 23), (0, 23)] {
        soon(talk.outgoing.send(&number)).await.unwrap();
        assert_eq!(next(&mut talk.incoming).await, Some(Ok(sum)));
    }
    assert_eq!(soon(talk.result::<u64>()).await, Ok(23));
}

#[tokio::test]
async fn a_node_converses_with_itself() {
    let (a, _b) = pair(&Place::new()).await;
    a.serve("sums", sums).unwrap();
    let mut talk = open::<u64, u64>(&a, &a, "sums").await;
    soon(talk.outgoing.send(&5)).await.unwrap();
    assert_eq!(next(&mut talk.incoming).await, Some(Ok(5)));
    assert_eq!(soon(talk.result::<u64>()).await, Ok(5));
}

#[tokio::test]
async fn items_of_the_callee_come_in_order_and_without_holes() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("count", count).unwrap();
    let mut numbers = soon(a.call("count").peer::<()>(b.id()).arg(&50_000).stream::<u64>()).await.unwrap();
    for expected in 0..50_000 {
        assert_eq!(next(&mut numbers).await, Some(Ok(expected)));
    }
    assert_eq!(next(&mut numbers).await, None);
    assert_eq!(next(&mut numbers).await, None, "and so it stays");
    assert_eq!(soon(numbers.outcome::<String>()).await, Ok("all of them".to_owned()));
}

#[tokio::test]
async fn an_incoming_stream_is_one_for_combinators_too() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("count", count).unwrap();
    let numbers = soon(a.call("count").peer::<()>(b.id()).arg(&3).stream::<u64>()).await.unwrap();
    let mut numbers: Pin<Box<dyn Stream<Item = Result<u64, CallError>>>> = Box::pin(numbers);
    let mut found = Vec::new();
    while let Some(number) = soon(poll_fn(|cx| numbers.as_mut().poll_next(cx))).await {
        found.push(number.unwrap());
    }
    assert_eq!(found, [0, 1, 2]);
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_its_writer_back_and_nobody_else() {
    let (a, b) = pair(&Place::new()).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let pour = move |context: Context| {
        let counter = counter.clone();
        async move {
            let mut pieces = context.outgoing::<Bytes>()?;
            for _ in 0..1_000 {
                pieces.send_bytes(&[7; 10_000]).await?;
                counter.fetch_add(10_000, Ordering::Relaxed);
            }
            Ok::<(), Failure>(())
        }
    };
    b.serve("pour", pour).unwrap();
    let mut slow = soon(a.call("pour").peer::<()>(b.id()).stream::<Bytes>()).await.unwrap();
    until(|| sent.load(Ordering::Relaxed) > 60_000).await;
    // Others of the same link go on meanwhile.
    let fast = soon(a.call("pour").peer::<()>(b.id()).stream::<Bytes>()).await.unwrap();
    assert_eq!(soon(fast.outcome::<()>()).await, Ok(()));
    let before = sent.load(Ordering::Relaxed) - 10_000_000;
    let granted = limits::STREAM_CREDIT_START as usize + limits::STREAM_QUEUE_BYTES + 20_000;
    assert!(before <= granted, "{before} bytes were taken of which none was read");
    let mut read = 0;
    while let Some(piece) = soon(slow.next_bytes()).await {
        read += piece.unwrap().len();
    }
    assert_eq!(read, 10_000_000);
}

#[tokio::test]
async fn large_items_arrive_whole_and_larger_ones_are_refused() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("lengths", async |context: Context| -> Result<u64, Failure> {
        let (mut texts, mut lengths) = (context.incoming::<String>()?, context.outgoing::<usize>()?);
        while let Some(text) = texts.next().await {
            lengths.send(&text?.len()).await?;
        }
        Ok(0)
    })
    .unwrap();
    let mut talk = open::<String, usize>(&a, &b, "lengths").await;
    for length in [0, 1, 40_000, 3 << 20, limits::VALUE_BYTES_MAX - 5] {
        soon(talk.outgoing.send(&"x".repeat(length))).await.unwrap();
        assert_eq!(next(&mut talk.incoming).await, Some(Ok(length)));
    }
    let size = limits::VALUE_BYTES_MAX + 1;
    let refused = soon(talk.outgoing.send(&"x".repeat(limits::VALUE_BYTES_MAX - 4))).await;
    assert_eq!(refused, Err(SendError::TooLarge { size }));
    assert_eq!(soon(talk.result::<u64>()).await, Ok(0), "nothing else is harmed");
}

#[tokio::test]
async fn bytes_pass_from_a_reader_to_a_writer() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("swallow", swallow).unwrap();
    let content: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let mut talk = open::<Bytes, ()>(&a, &b, "swallow").await;
    assert_eq!(soon(talk.outgoing.send_from(&mut &content[..])).await.unwrap(), 1_000_000);
    soon(talk.outgoing.send_bytes(&content[..100])).await.unwrap();
    soon(talk.outgoing.send_bytes(&vec![0; 100_000])).await.unwrap();
    assert_eq!(soon(talk.result::<u64>()).await, Ok(1_100_100));

    b.serve("pour", async |context: Context| -> Result<(), Failure> {
        let content: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        context.outgoing::<Bytes>()?.send_from(&mut &content[..]).await?;
        Ok(())
    })
    .unwrap();
    let mut copy = Vec::new();
    let mut pieces = soon(a.call("pour").peer::<()>(b.id()).stream::<Bytes>()).await.unwrap();
    assert_eq!(soon(pieces.write_to(&mut copy)).await.unwrap(), 300_000);
    assert_eq!(copy, content[..300_000]);
}

#[tokio::test]
async fn a_failure_of_the_callee_is_the_last_that_comes() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("breaks", async |context: Context| -> Result<(), Failure> {
        let mut numbers = context.outgoing()?;
        numbers.send(&1_u64).await?;
        Err(Failure::new("out of numbers").code(Code::new("spent")))
    })
    .unwrap();
    let mut numbers = soon(a.call("breaks").peer::<()>(b.id()).stream::<u64>()).await.unwrap();
    assert_eq!(next(&mut numbers).await, Some(Ok(1)));
    let failed = next(&mut numbers).await.unwrap().unwrap_err();
    assert!(matches!(&failed, CallError::Remote { code, .. } if code.as_str() == "spent"), "{failed:?}");
    assert_eq!(next(&mut numbers).await, None);
    assert_eq!(soon(numbers.outcome::<()>()).await, Err(failed), "and the outcome says the same");
}

#[tokio::test]
async fn an_abort_is_told_with_its_code_and_data_and_dropping_is_one() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("last", async |context: Context| -> Result<(String, Option<Value>), Failure> {
        let mut numbers = context.incoming::<u64>()?;
        loop {
            match numbers.next().await {
                Some(Ok(_)) => {}
                Some(Err(CallError::Remote { code, data, .. })) => {
                    let data = data.map(|data| data.decode()).transpose()?;
                    return Ok((code.as_str().to_owned(), data));
                }
                other => return Err(Failure::new(format!("{other:?}"))),
            }
        }
    })
    .unwrap();
    let Conversation { mut outgoing, incoming } = open::<u64, ()>(&a, &b, "last").await;
    soon(outgoing.send(&1)).await.unwrap();
    outgoing.abort(&Failure::new("no more").code(Code::new("full")).data(7_u64.into()));
    let told: (String, Option<Value>) = soon(incoming.outcome()).await.unwrap();
    assert_eq!(told, ("full".to_owned(), Some(7_u64.into())));

    let Conversation { outgoing, incoming } = open::<u64, ()>(&a, &b, "last").await;
    drop(outgoing);
    let told: (String, Option<Value>) = soon(incoming.outcome()).await.unwrap();
    assert_eq!(told, ("dropped".to_owned(), None));
}

#[tokio::test]
async fn a_conversation_that_is_dropped_stops_its_handler() {
    let (a, b) = pair(&Place::new()).await;
    let (dropped, mut is_dropped) = mpsc::channel(4);
    struct Guard(mpsc::Sender<()>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.try_send(()).unwrap();
        }
    }
    let waits = move |context: Context| {
        let guard = Guard(dropped.clone());
        async move {
            let _guard = guard;
            let mut numbers = context.incoming::<u64>()?;
            context.outgoing()?.send(&1_u64).await?;
            while numbers.next().await.is_some() {}
            std::future::pending::<Result<(), Failure>>().await
        }
    };
    b.serve("waits", waits).unwrap();
    let mut talk = open::<u64, u64>(&a, &b, "waits").await;
    assert_eq!(next(&mut talk.incoming).await, Some(Ok(1)));
    drop(talk);
    soon(is_dropped.recv()).await.unwrap();
}

#[tokio::test]
async fn a_deadline_ends_a_conversation_at_both_ends() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("waits", async |context: Context| -> Result<(), Failure> {
        let _ = context.incoming::<u64>()?.next().await;
        std::future::pending().await
    })
    .unwrap();
    let began = Instant::now();
    let call = a.call("waits").peer::<()>(b.id()).deadline(Duration::from_millis(100));
    let mut talk = soon(call.open::<u64, u64>()).await.unwrap();
    let ended = next(&mut talk.incoming).await.unwrap().unwrap_err();
    assert_eq!(ended.outcome(), Outcome::Deadline);
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(soon(talk.outgoing.send(&1)).await, Err(SendError::Over));
}

#[tokio::test]
async fn a_lost_link_is_the_last_that_both_ends_hear() {
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let (heard, mut hears) = mpsc::channel(1);
    let waits = move |context: Context| {
        let heard = heard.clone();
        async move {
            let mut numbers = context.incoming::<u64>()?;
            context.outgoing()?.send(&1_u64).await?;
            let last = numbers.next().await.unwrap().unwrap_err();
            heard.send(last.outcome()).await?;
            Ok::<(), Failure>(())
        }
    };
    b.service("waits").detached().serve(waits).unwrap();
    let mut talk = open::<u64, u64>(&a, &b, "waits").await;
    assert_eq!(next(&mut talk.incoming).await, Some(Ok(1)));
    drop(a);
    let ended = next(&mut talk.incoming).await.unwrap().unwrap_err();
    assert_eq!(ended.outcome(), Outcome::ConnectionLost, "{ended:?}");
    // It may hear of the end of its caller before that of the link.
    let heard = soon(hears.recv()).await.unwrap();
    assert!(matches!(heard, Outcome::ConnectionLost | Outcome::Cancelled), "{heard}");
}

#[tokio::test]
async fn what_is_no_conversation_has_no_streams_and_each_direction_is_taken_once() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("takes", async |context: Context| -> Result<Vec<String>, Failure> {
        let first: Result<Outgoing<u64>, NoStream> = context.outgoing();
        let second: Result<Outgoing<u64>, NoStream> = context.outgoing();
        let third: Result<Incoming<u64>, NoStream> = context.incoming();
        let words = [first.err(), second.err(), third.err()];
        Ok(words.map(|word| word.map_or_else(String::new, |word| format!("{word:?}"))).to_vec())
    })
    .unwrap();
    let alone: Vec<String> = soon(a.call("takes").peer(b.id())).await.unwrap();
    assert_eq!(alone, ["NotOpened", "NotOpened", "NotOpened"]);
    let talk = open::<u64, u64>(&a, &b, "takes").await;
    assert_eq!(soon(talk.result::<Vec<String>>()).await.unwrap(), ["", "Taken", ""]);
}

#[tokio::test]
async fn a_conversation_ends_as_a_call_would_that_nobody_serves() {
    let (a, b) = pair(&Place::new()).await;
    let mut talk = open::<u64, u64>(&a, &b, "nobody").await;
    let refused = CallError::Refused { why: Refused::NoSuchService("nobody".to_owned()) };
    assert_eq!(next(&mut talk.incoming).await, Some(Err(refused.clone())));
    assert_eq!(soon(talk.result::<u64>()).await, Err(refused));
    let unsent = soon(a.call("not a tag").peer::<()>(b.id()).open::<u64, u64>()).await;
    assert_eq!(unsent.unwrap_err().outcome(), Outcome::Refused);
}

#[tokio::test]
async fn an_item_of_another_type_is_an_error_and_the_next_one_is_read() {
    let (a, b) = pair(&Place::new()).await;
    b.serve("mixes", async |context: Context| -> Result<(), Failure> {
        let mut values = context.outgoing::<Value>()?;
        for value in [Value::from("text"), Value::from(7_u64)] {
            values.send(&value).await?;
        }
        Ok(())
    })
    .unwrap();
    let mut numbers = soon(a.call("mixes").peer::<()>(b.id()).stream::<u64>()).await.unwrap();
    assert_eq!(next(&mut numbers).await.unwrap().unwrap_err().outcome(), Outcome::Protocol);
    assert_eq!(next(&mut numbers).await, Some(Ok(7)));
    assert_eq!(next(&mut numbers).await, None);
    let mut pieces = soon(a.call("mixes").peer::<()>(b.id()).stream::<Bytes>()).await.unwrap();
    assert_eq!(soon(pieces.next_bytes()).await.unwrap().unwrap_err().outcome(), Outcome::Protocol);
}

#[tokio::test]
async fn many_conversations_over_a_real_connection_keep_apart() {
    let place = Place::new();
    let b = place.node("b").listen(address("tls://127.0.0.1:0")).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    b.serve("sums", sums).unwrap();
    let talks = (0..40_u64).map(|first| {
        let (a, b) = (a.clone(), b.clone());
        tokio::spawn(async move {
            let mut talk = open::<u64, u64>(&a, &b, "sums").await;
            for n in 0..200 {
                talk.outgoing.send(&(first + n)).await.unwrap();
            }
            talk.result::<u64>().await.unwrap()
        })
    });
    for (first, talk) in talks.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(soon(talk).await.unwrap(), 200 * first as u64 + 199 * 100);
    }
}
