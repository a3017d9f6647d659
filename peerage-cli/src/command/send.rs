//! `peerage send`: sends a file to a node that takes files. The node that acts reads it; here its progress is shown.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use peerage::limits;
use serde::Deserialize;
use tokio::time::Instant;

use super::call;
use crate::actor::Actor;
use crate::args;
use crate::called::Called;
use crate::control::Progress;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: &args::Send) -> Result<Exit, Abort> {
    let (home, time) = (Home::of_environment()?, Time::of(&typed.acting));
    let path = call::readable(&typed.file)?;
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        let done = send(&mut actor, &home.run_folder(), typed, &path, &time).await;
        actor.leave().await;
        done
    }))
}

async fn send(actor: &mut Actor, run: &Path, typed: &args::Send, path: &Path, time: &Time) -> Result<Exit, Abort> {
    let mut interrupts = Interrupts::listen()?;
    time.seeking();
    let presence = tokio::select! {
        presence = presence::seek(actor, run, &typed.peer, limits::CALL_DEADLINE_DEFAULT) => presence?,
        () = interrupts.next() => return Ok(Exit::Failed),
    };
    let peer = presence::only(actor, presence, &typed.peer).await?;
    time.asking();
    let began = Instant::now();
    let mut bar = Bar::new();
    let called = tokio::select! {
        called = actor.control().send(&peer.id, &typed.tag.0, path, |progress| bar.show(progress)) => called,
        () = interrupts.next() => Called::interrupted(began.elapsed()),
    };
    bar.clear();
    match (typed.json, called.opened::<Sent>()) {
        (true, _) => output::object(&called)?,
        (false, Some(Ok(sent))) => output::line(&sent.text(&peer.name))?,
        (false, _) => called.show()?,
    }
    Ok(Exit::of(called.outcome()))
}

/// What became of the file.
#[derive(Deserialize)]
struct Sent {
    name: String,
    size: u64,
    resumed_from: u64,
}

impl Sent {
    fn text(&self, peer: &str) -> String {
        let resumed = match self.resumed_from {
            0 => String::new(),
            bytes => format!(", {bytes} of them had arrived before"),
        };
        let (peer, name) = (output::shown(peer), output::shown(&self.name));
        format!("{peer} has it as {name}: {} bytes{resumed}; the checksum is right", self.size)
    }
}

/// How far it is, on a terminal, in one line that is written over.
struct Bar {
    is_shown: bool,
    last: Option<Instant>,
}

impl Bar {
    fn new() -> Bar {
        Bar { is_shown: io::stderr().is_terminal(), last: None }
    }

    fn show(&mut self, progress: Progress) {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= BETWEEN);
        if !self.is_shown || !is_due {
            return;
        }
        self.last = Some(Instant::now());
        let share = if progress.size == 0 { 1.0 } else { progress.sent as f64 / progress.size as f64 };
        let filled = (share * BAR_PLACES as f64) as usize;
        let (done, open) = ("#".repeat(filled), ".".repeat(BAR_PLACES.saturating_sub(filled)));
        let resumed = if progress.resumed_from > 0 { " (resumed)" } else { "" };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let text = format!("[{done}{open}] {:.1} of {:.1} MiB{resumed}", mib(progress.sent), mib(progress.size));
        output::rewrite(&text);
    }

    fn clear(&mut self) {
        if self.last.take().is_some() {
            output::rewrite("");
        }
    }
}

const BAR_PLACES: usize = 30;

/// Between two pictures of the bar.
const BETWEEN: Duration = Duration::from_millis(100);
