//! `peerage call`: calls a function of another node, of any or of all, once or many times, and prints how it ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peerage::Value;
use peerage::codec::{Notation, NotationError};
use peerage::name::Name;
use peerage::outcome::Outcome;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::actor::Actor;
use crate::args;
use crate::called::Called;
use crate::content;
use crate::control::{Calls, Control, Invocation, WantedCall};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output::{self, Form};
use crate::presence;
use crate::running;
use crate::runtime::{self, Interrupts};
use crate::several::{Ends as _, Several, Stopped, Tally};
use crate::time::Time;

pub(super) fn run(typed: args::Call) -> Result<Exit, Abort> {
    let plan = Plan::of(typed)?;
    let home = Home::of_environment()?;
    let time = Time::of(&plan.typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &plan.typed.acting, &time).await?;
        let done = plan.carry_out(&mut actor, &home.run_folder(), &time).await;
        actor.leave().await;
        done
    }))
}

/// What is meant.
struct Plan {
    typed: args::Call,
    what: Invocation,
    form: Form,
    /// Whether the node that acts chooses whom to call.
    chooses: bool,
    /// What is sent along, by its absolute path.
    file: Option<PathBuf>,
}

impl Plan {
    fn of(typed: args::Call) -> Result<Plan, Abort> {
        let reads_stdin = typed.args.iter().chain(&typed.kwargs).filter(|text| *text == "-").count();
        if reads_stdin > 1 {
            return Err(Abort::Usage("only one of the arguments can be `-`: there is one stdin".to_owned()));
        }
        if typed.concurrency > 1 && typed.repeat.is_none() {
            return Err(Abort::Usage("--concurrency is for several calls: say --repeat N too".to_owned()));
        }
        let args = typed.args.iter().map(|text| value("ARG", text)).collect::<Result<_, _>>()?;
        let kwargs = match &typed.kwargs {
            Some(text) => value("--kwargs", text)?,
            None => Value::Map(Vec::new()),
        };
        if !matches!(&kwargs, Value::Map(entries) if entries.iter().all(|(name, _)| matches!(name, Value::Text(_)))) {
            return Err(Abort::Usage(
                "--kwargs is an object of JSON: {\"name\": value, …}; everything else is an ARG".to_owned(),
            ));
        }
        let chooses = typed.any || typed.all || typed.peer.is_empty();
        let narrows = typed.hubs || typed.on_host || typed.include_self || !typed.group.is_empty();
        if !chooses && typed.peer.len() > 1 {
            return Err(Abort::Usage("--peer names several nodes: say --any or --all too".to_owned()));
        }
        if !chooses && narrows {
            return Err(Abort::Usage(
                "--peer names the node, so there is nothing to choose: leave out --group, --hubs, --on-host and \
                 --include-self, or say --any"
                    .to_owned(),
            ));
        }
        let file = typed.file.as_deref().map(readable).transpose()?;
        let what = Invocation { tag: typed.tag.0.clone(), args, kwargs };
        let form = Form::of(typed.json, typed.jsonl);
        Ok(Plan { typed, what, form, chooses, file })
    }

    /// Whom to call. The one node that is named is sought first; among others the node that acts chooses.
    async fn wanted(&self, actor: &mut Actor, run: &Path) -> Result<WantedCall, Abort> {
        let typed = &self.typed;
        let wanted = WantedCall {
            deadline: self.deadline(),
            file: self.file.clone(),
            notify: typed.notify,
            idempotent: typed.idempotent,
            ..WantedCall::default()
        };
        match &typed.peer[..] {
            [who] if !self.chooses => {
                let presence = presence::seek(actor, run, who, typed.deadline).await?;
                let peer = presence::only(actor, presence, who).await?.id;
                Ok(WantedCall { peer: Some(peer), ..wanted })
            }
            peers => Ok(WantedCall {
                groups: typed.group.iter().map(ToString::to_string).collect(),
                hubs_only: typed.hubs,
                peers: peers.to_vec(),
                on_host: typed.on_host,
                include_self: typed.include_self,
                ..wanted
            }),
        }
    }

    /// The deadline of each call. A timeout of the whole command leaves time to tell how the call ended.
    fn deadline(&self) -> Duration {
        let within = self.typed.acting.timeout.map(|timeout| timeout - timeout / 10);
        within.map_or(self.typed.deadline, |within| within.min(self.typed.deadline))
    }

    async fn carry_out(self, actor: &mut Actor, run: &Path, time: &Time) -> Result<Exit, Abort> {
        let mut interrupts = Interrupts::listen()?;
        time.seeking();
        let began = Instant::now();
        let wanted = tokio::select! {
            wanted = self.wanted(actor, run) => wanted,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(Abort::Ended(exit, why)) if self.form != Form::Text => {
                let called = Called::nowhere(exit, why, began.elapsed());
                return self.tell(&called, exit);
            }
            Err(abort) => return Err(abort),
        };
        time.asking();
        if self.typed.stream {
            return self.stream(actor.control(), &wanted, &mut interrupts).await;
        }
        if self.typed.all {
            return self.all(actor.control(), &wanted, &mut interrupts).await;
        }
        let caller = Arc::new(Caller {
            calls: actor.control().calls(),
            run: run.to_owned(),
            network: actor.network(),
            own: actor.name(),
            what: self.what.clone(),
            wanted,
        });
        // A stream always has its closing record, even for one call.
        match self.typed.repeat.or((self.form == Form::Jsonl).then_some(1)) {
            Some(times) => {
                let several = Several { times, at_once: self.typed.concurrency, form: self.form };
                let call = move |mut stopped: Stopped| {
                    let caller = caller.clone();
                    async move {
                        let began = Instant::now();
                        tokio::select! {
                            called = caller.call() => called,
                            _ = stopped.wait_for(|stopped| *stopped) => Called::interrupted(began.elapsed()),
                        }
                    }
                };
                several.make(call, &mut interrupts).await
            }
            None => {
                let called = tokio::select! {
                    called = caller.call() => called,
                    () = interrupts.next() => Called::interrupted(began.elapsed()),
                };
                self.tell(&called, Exit::of(called.outcome()))
            }
        }
    }

    /// Prints a stream, item by item, then its outcome and the sum.
    async fn stream(
        &self,
        control: &mut Control,
        wanted: &WantedCall,
        interrupts: &mut Interrupts,
    ) -> Result<Exit, Abort> {
        #[derive(Serialize)]
        struct Item<'i> {
            n: u64,
            item: Notation<'i>,
        }
        let (began, mut tally) = (Instant::now(), Tally::default());
        let told = control.call_stream(&self.what, wanted, |n, item| match self.form {
            Form::Text => output::line(&output::harmless(&item.to_string())),
            Form::Jsonl => output::record(&Item { n, item: item.notation() }),
            Form::Json => Ok(()),
        });
        let called = tokio::select! {
            called = told => called?,
            () = interrupts.next() => Called::interrupted(began.elapsed()),
        };
        if self.form == Form::Text {
            // The items are what was asked for; an answer behind them is printed if it says anything.
            if called.value() != Some(&Value::Null) {
                called.show()?;
            }
            return Ok(Exit::of(called.outcome()));
        }
        tally.tell(1, &called, self.form)?;
        tally.close(began.elapsed(), self.form)
    }

    /// Asks all who offer it.
    async fn all(
        &self,
        control: &mut Control,
        wanted: &WantedCall,
        interrupts: &mut Interrupts,
    ) -> Result<Exit, Abort> {
        let (began, mut tally, mut n) = (Instant::now(), Tally::default(), 0);
        let told = control.call_all(&self.what, wanted, |called| {
            n += 1;
            if let (Form::Text, Some(value)) = (self.form, called.value()) {
                let peer = called.peer().unwrap_or_default();
                output::line(&format!("{peer}\t{}", output::harmless(&value.to_string())))?;
            }
            tally.tell(n, &called, self.form)
        });
        let told = tokio::select! {
            nobody = told => Some(nobody?),
            () = interrupts.next() => None,
        };
        tally.interrupted = told.is_none();
        match told.flatten() {
            Some(called) => self.tell(&called, Exit::of(called.outcome())),
            None => tally.close(began.elapsed(), self.form),
        }
    }

    fn tell(&self, called: &Called, exit: Exit) -> Result<Exit, Abort> {
        match self.form {
            // That it was accepted is all there is to say, and the exit code says it.
            Form::Text if self.typed.notify && exit == Exit::Ok => {}
            Form::Text => called.show()?,
            Form::Json => output::object(called)?,
            Form::Jsonl => called.record(1)?,
        }
        Ok(exit)
    }
}

/// Makes calls, all the same.
struct Caller {
    calls: Calls,
    run: PathBuf,
    network: Name,
    /// The node that makes the calls, if it runs anyway.
    own: Option<Name>,
    what: Invocation,
    wanted: WantedCall,
}

impl Caller {
    /// What a node of this user offers is never absent: whoever acts is about to hear of it.
    async fn call(&self) -> Called {
        let until = Instant::now() + self.wanted.deadline;
        loop {
            let called = self.calls.make(&self.what, &self.wanted).await;
            if called.outcome() != Outcome::Absent || !self.wanted.takes_anybody() || Instant::now() >= until {
                return called;
            }
            // A node that does not answer offers nothing.
            let offered = running::is_offered(&self.run, &self.network, self.own.as_ref(), &self.what.tag).await;
            if !offered.unwrap_or(false) {
                return called;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// The absolute path of a file, because the node that reads it has a folder of its own.
pub(super) fn readable(path: &Path) -> Result<PathBuf, Abort> {
    let absolute = path.canonicalize().map_err(|why| Abort::Usage(format!("{}: {why}", path.display())))?;
    match absolute.is_file() {
        true => Ok(absolute),
        false => Err(Abort::Usage(format!("{} is no ordinary file", path.display()))),
    }
}

/// An argument as it is meant.
fn value(place: &str, text: &str) -> Result<Value, Abort> {
    content::parse(&content::text_of(text)?).map_err(|why| match why {
        NotationError::Json(why) => Abort::Ended(Exit::of(Outcome::Refused), format!("{place}: {why}")),
        why => Abort::Usage(format!("{place}: {why}")),
    })
}

/// How long news take at most from one node to the next on a machine that is not busy.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
