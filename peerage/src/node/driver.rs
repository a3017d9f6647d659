//! The loop of a node: one closed list of reasons to wake, and what is done about each.
//!
//! It never waits for a link, a subscriber or an application: whatever it hands over goes into a bounded queue or a place
//! that is read later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Drained;
use super::event::Event;
use super::shared::{Phase, Shared};
use crate::channel::Server;

/// A wish of the application.
pub(crate) enum Command {
    /// Leave in good order.
    Drain { within: Duration, reply: oneshot::Sender<Drained> },
}

/// Why the loop woke.
enum Wake {
    Command(Command),
    Timeout,
    Stop,
}

/// Runs one node.
pub(super) struct Driver {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    plain: Vec<Server>,
    control: Option<Server>,
    leaving: Option<Leaving>,
}

/// A drain under way.
struct Leaving {
    until: Instant,
    replies: Vec<oneshot::Sender<Drained>>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        plain: Vec<Server>,
        control: Option<Server>,
    ) -> Driver {
        Driver { shared, commands, plain, control, leaving: None }
    }

    pub(super) async fn run(mut self) {
        loop {
            let stop = self.shared.stop.clone();
            let due = self.leaving.as_ref().map(|leaving| leaving.until);
            let wake = tokio::select! {
                Some(command) = self.commands.recv() => Wake::Command(command),
                () = stop.cancelled() => Wake::Stop,
                () = sleep_or_forever(due) => Wake::Timeout,
            };
            self.shared.metrics.wakes.add(1);
            match wake {
                Wake::Command(Command::Drain { within, reply }) => self.drain(within, reply),
                Wake::Timeout | Wake::Stop => break,
            }
        }
        self.finish().await;
    }

    fn drain(&mut self, within: Duration, reply: oneshot::Sender<Drained>) {
        if self.shared.enter(Phase::Draining) {
            self.shared.tell(Event::Draining);
        }
        let until = Instant::now() + within.min(Duration::ZERO);
        self.leaving.get_or_insert_with(|| Leaving { until, replies: Vec::new() }).replies.push(reply);
    }

    async fn finish(mut self) {
        self.shared.enter(Phase::Stopped);
        self.commands.close();
        for server in self.plain.drain(..) {
            server.close().await;
        }
        for reply in self.leaving.take().into_iter().flat_map(|leaving| leaving.replies) {
            // Who asked may have gone.
            let _ = reply.send(Drained::default());
        }
        if let Some(control) = self.control.take() {
            control.close().await;
        }
        self.shared.tell(Event::Stopped);
        self.shared.stopped.cancel();
        tracing::info!(id = %self.shared.facts.id, name = %self.shared.facts.name, "node stopped");
    }
}

async fn sleep_or_forever(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
