//! Running a handler where its request was read: most finish at their first step, and for those a task would only cost.
//!
//! The handler's future is made in a box that is reused from request to request, and given one step in place. If it
//! waits for something it moves, box and all, to a task of its own, where it can be told to stop; the next request gets
//! a new box.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use peerage_proto::channel::Served;
use peerage_proto::codec::Payload;
use tokio::sync::oneshot;

use super::Link;
use crate::channel::Request;

/// Takes the requests of one link.
pub(crate) trait Serve: Send {
    /// Starts the work on a request.
    fn serve(&mut self, cx: &mut Context<'_>, link: &Link, served: Served, content: Payload);

    /// How many requests the node has in service; `None` where the peer is not told.
    fn load(&self) -> Option<u32> {
        None
    }
}

/// Serves with futures that `begin` makes.
pub(crate) struct InPlace<B, F> {
    begin: B,
    slot: Pin<Box<Option<F>>>,
}

impl<B, F> InPlace<B, F>
where
    B: FnMut(Request) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    /// A server that runs what `begin` makes of each request.
    pub(crate) fn new(begin: B) -> InPlace<B, F> {
        InPlace { begin, slot: Box::pin(None) }
    }
}

impl<B, F> Serve for InPlace<B, F>
where
    B: FnMut(Request) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    fn serve(&mut self, cx: &mut Context<'_>, link: &Link, served: Served, content: Payload) {
        let request = Request::new(link.clone(), served, content);
        let InPlace { begin, slot } = self;
        // The request inside the future answers for itself when it is dropped, by a panic too.
        let step = catch_unwind(AssertUnwindSafe(|| {
            slot.set(Some(begin(request)));
            match slot.as_mut().as_pin_mut() {
                Some(future) => future.poll(cx),
                None => Poll::Ready(()),
            }
        }));
        if let Ok(Poll::Pending) = step {
            let future = std::mem::replace(slot, Box::pin(None));
            let (stop, stopped) = oneshot::channel();
            if link.running(served, stop) {
                tokio::spawn(run(future, stopped));
            }
            return;
        }
        // Dropping what a panic left behind may panic again.
        if catch_unwind(AssertUnwindSafe(|| slot.set(None))).is_err() {
            *slot = Box::pin(None);
        }
    }
}

/// Goes on with a handler until it ends or is told to stop.
async fn run<F: Future<Output = ()>>(mut future: Pin<Box<Option<F>>>, mut stopped: oneshot::Receiver<()>) {
    let mut may_stop = true;
    std::future::poll_fn(|cx| {
        if may_stop {
            match Pin::new(&mut stopped).poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                // The request is answered; what the handler does after that is its own business.
                Poll::Ready(Err(_)) => may_stop = false,
                Poll::Pending => {}
            }
        }
        match future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Ready(()),
        }
    })
    .await;
}
