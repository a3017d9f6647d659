//! `peerage serve`: offers a function under a tag, answered by a command or an echo, or takes files into a folder.
//!
//! The node hands each call over through its control socket and is answered with the value. A call that nobody waits for
//! any more is ended with all its processes, and only then is that confirmed.
//!
//! ```text
//!   node ──call──▶ a task each: echo, or a process group ──value──▶ node
//!        ──cancel──▶ that task ends its group ──null, when it is gone──▶ node
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peerage::{Failure, Request, Value, limits};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::actor::Actor;
use crate::args;
use crate::control::{self, Control, Given, Offer, Received, Word};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::program::{Answer, Failed, Groups, Program};
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: args::Serve) -> Result<Exit, Abort> {
    let source = Source::of(&typed)?;
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_all_processors(time.bound(async {
        let mut interrupts = Interrupts::listen()?;
        let mut actor = Actor::find_or_join_as(&home, &typed.acting, &typed.group, &time).await?;
        time.asking();
        let network = actor.network().to_string();
        let done = offer(actor.control(), Arc::new(source), &typed, network, &mut interrupts).await;
        actor.leave().await;
        done
    }))
}

/// What answers.
enum Source {
    Echo,
    Command(Program),
    /// The node itself takes files into this folder.
    Files(PathBuf),
}

impl Source {
    fn of(typed: &args::Serve) -> Result<Source, Abort> {
        if let Some(folder) = &typed.file_sink {
            let absolute = folder.canonicalize().ok().filter(|folder| folder.is_dir());
            let why = || Abort::Usage(format!("--file-sink {}: there is no such folder", folder.display()));
            return absolute.map(Source::Files).ok_or_else(why);
        }
        match &typed.command {
            Some(command) => Program::parse(command, limits::PLAIN_FRAME_BYTES_DEFAULT)
                .map(Source::Command)
                .map_err(|why| Abort::Usage(format!("--command: {why}"))),
            None => Ok(Source::Echo),
        }
    }

    async fn answer(&self, given: Given, groups: &Groups) -> Result<Answer, Failed> {
        match self {
            Source::Echo | Source::Files(_) => Ok(Answer::Value(given.echoed())),
            Source::Command(program) => program.answer(&given.into_request(), groups).await,
        }
    }
}

/// Serves until a signal comes or the node has gone.
async fn offer(
    control: &mut Control,
    source: Arc<Source>,
    typed: &args::Serve,
    network: String,
    interrupts: &mut Interrupts,
) -> Result<Exit, Abort> {
    let offer = Offer {
        concurrency: typed.concurrency,
        allow: typed.allow.iter().map(ToString::to_string).collect(),
        description: typed.description.clone(),
        file_sink: match &*source {
            Source::Files(folder) => Some(folder.clone()),
            Source::Echo | Source::Command(_) => None,
        },
    };
    let info = control.info().await?;
    control.serve(&typed.tag.0, &offer).await?;
    Ready { event: "ready", tag: &typed.tag.0, id: info.id, name: info.name, network, pid: std::process::id() }
        .tell(typed.jsonl)?;
    let mut work = Work { source, jsonl: typed.jsonl, tasks: JoinSet::new(), stops: BTreeMap::new() };
    let ended = loop {
        tokio::select! {
            word = control.next_word() => match word {
                Some(word) => work.take(word)?,
                None => break Err(control::gone()),
            },
            Some(_) = work.tasks.join_next() => {}
            () = interrupts.next() => break Ok(Exit::Ok),
        }
    };
    let end = async {
        if ended.is_ok() {
            work.finish(control, &typed.tag.0).await;
        }
        work.stop().await;
        // The last answers are on their way.
        control.close().await;
    };
    tokio::select! {
        () = end => ended,
        () = interrupts.next() => Ok(Exit::Failed),
    }
}

/// The calls that were handed over.
struct Work {
    source: Arc<Source>,
    jsonl: bool,
    tasks: JoinSet<()>,
    /// Where each is told that nobody waits any more; the request is answered when it has ended.
    stops: BTreeMap<u64, oneshot::Sender<Option<Request>>>,
}

impl Work {
    fn take(&mut self, word: Word) -> Result<(), Abort> {
        match word {
            Word::Received(file) => return arrived(&file, self.jsonl),
            Word::Call(request, given) => {
                self.stops.retain(|_, stop| !stop.is_closed());
                let (stop, stopped) = oneshot::channel();
                self.stops.insert(given.call, stop);
                self.tasks.spawn(answer(self.source.clone(), request, given, stopped));
            }
            Word::Cancel(request, call) => match self.stops.remove(&call) {
                Some(stop) => {
                    // What has ended meanwhile gives the request back.
                    if let Err(Some(request)) = stop.send(Some(request)) {
                        request.reply(&Value::Null);
                    }
                }
                None => request.reply(&Value::Null),
            },
        }
        Ok(())
    }

    /// Takes no more calls and lets those it has end by themselves, for a while.
    async fn finish(&mut self, control: &mut Control, tag: &str) {
        let finish = async {
            // A node that has gone hands nothing over any more.
            let _ = control.withdraw(tag).await;
            while !self.tasks.is_empty() {
                tokio::select! {
                    word = control.next_word() => match word {
                        // Whoever read our output may have gone; the calls are answered all the same.
                        Some(word) => drop(self.take(word)),
                        None => return,
                    },
                    _ = self.tasks.join_next() => {}
                }
            }
        };
        // What is not over by then is stopped.
        let _ = timeout(FINISH_WITHIN, finish).await;
    }

    /// Ends what is left, process groups included.
    async fn stop(&mut self) {
        for (_, stop) in std::mem::take(&mut self.stops) {
            // An error means that it has ended.
            let _ = stop.send(None);
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Tells of a file that has arrived.
fn arrived(file: &Received, jsonl: bool) -> Result<(), Abort> {
    #[derive(Serialize)]
    struct Record<'f> {
        event: &'static str,
        #[serde(flatten)]
        file: &'f Received,
    }
    match jsonl {
        true => output::record(&Record { event: "received", file }),
        false => {
            let from = file.from.as_deref().map_or("a program of this user".to_owned(), output::shown);
            output::line(&format!("received {}  {} bytes  from {from}", output::shown(&file.path), file.size))
        }
    }
}

/// Answers one call, or ends the work on it when it is told to.
async fn answer(source: Arc<Source>, request: Request, given: Given, stopped: oneshot::Receiver<Option<Request>>) {
    let (groups, all_gone) = Groups::new();
    let answer = tokio::select! {
        answer = source.answer(given, &groups) => answer,
        cancel = stopped => {
            drop(groups);
            all_gone.wait().await;
            request.fail("the work was stopped");
            if let Ok(Some(cancel)) = cancel {
                cancel.reply(&Value::Null);
            }
            return;
        }
    };
    match answer {
        Ok(answer) => request.reply(&said(answer)),
        Err(failed) if failed.data.is_none() => request.fail_with(Failure::from(failed)),
        Err(failed) => request.reply(&marked("$failure", failure(failed))),
    }
}

/// An answer as a node takes it from a program that serves.
fn said(answer: Answer) -> Value {
    match answer {
        Answer::Flag(name) => marked("$flag", name.into()),
        Answer::Value(Value::Map(mut entries)) => {
            // One more `$` keeps a value apart from the marks.
            if let [(Value::Text(key), _)] = &mut entries[..]
                && key.starts_with('$')
            {
                key.insert(0, '$');
            }
            Value::Map(entries)
        }
        Answer::Value(value) => value,
    }
}

fn failure(Failed { code, message, data }: Failed) -> Value {
    let entries = [("code", code.into()), ("message", message.into()), ("data", data.unwrap_or_default())];
    Value::Map(entries.map(|(key, value)| (key.into(), value)).into())
}

fn marked(mark: &str, value: Value) -> Value {
    Value::Map(vec![(mark.into(), value)])
}

/// Says that the tag can be called.
#[derive(Serialize)]
struct Ready<'t> {
    event: &'static str,
    tag: &'t str,
    id: String,
    name: String,
    network: String,
    pid: u32,
}

impl Ready<'_> {
    fn tell(&self, jsonl: bool) -> Result<(), Abort> {
        let line = match jsonl {
            true => output::record_line(self)?,
            false => format!("ready {} on {} {}", self.tag, output::shown(&self.name), output::shown(&self.id)),
        };
        crate::ready::say(&line, None)
    }
}

/// How long calls that were accepted may take once the command is told to end.
const FINISH_WITHIN: Duration = limits::DRAIN_TIME_DEFAULT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_mark_is_kept_apart() {
        let map = |key: &str| Value::Map(vec![(key.into(), "x".into())]);
        assert_eq!(said(Answer::Flag("x".into())), map("$flag"));
        assert_eq!(said(Answer::Value(map("$flag"))), map("$$flag"));
        assert_eq!(said(Answer::Value(map("flag"))), map("flag"));
        let two = Value::Map(vec![("$flag".into(), "x".into()), ("b".into(), Value::Null)]);
        assert_eq!(said(Answer::Value(two.clone())), two);
    }
}
