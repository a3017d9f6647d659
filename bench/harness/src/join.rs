//! Many callers in one task.

use std::pin::Pin;
use std::task::Poll;

/// Runs futures in one task: whenever it is woken, each gets a turn.
pub async fn join<F: Future<Output = ()>>(mut futures: Vec<Pin<Box<F>>>) {
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
