//! `peerage call`: calls a function of another node, once or many times, and prints how it ended.

use std::path::Path;

use peerage::Value;
use peerage::codec::NotationError;
use peerage::outcome::Outcome;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::args;
use crate::called::Called;
use crate::content;
use crate::control::{Calls, Invocation, WantedCall};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output::{self, Form};
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::several::{Ends as _, Several, Stopped};
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
        let what = Invocation { tag: typed.tag.0.clone(), args, kwargs };
        let form = Form::of(typed.json, typed.jsonl);
        Ok(Plan { typed, what, form })
    }

    async fn carry_out(self, actor: &mut Actor, run: &Path, time: &Time) -> Result<Exit, Abort> {
        let mut interrupts = Interrupts::listen()?;
        time.seeking();
        let began = Instant::now();
        let deadline = self.typed.deadline;
        let peer = tokio::select! {
            peer = found(actor, run, &self.typed.peer, &self.typed) => peer,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        let peer = match peer {
            Ok(peer) => peer,
            Err(Abort::Ended(exit, why)) if self.form != Form::Text => {
                let called = Called::nowhere(exit, why, began.elapsed());
                return self.tell(&called, exit);
            }
            Err(abort) => return Err(abort),
        };
        time.asking();
        let calls = actor.control().calls();
        let wanted = WantedCall { peer, deadline };
        // A stream always has its closing record, even for one call.
        match self.typed.repeat.or((self.form == Form::Jsonl).then_some(1)) {
            Some(times) => {
                let several = Several { times, at_once: self.typed.concurrency, form: self.form };
                let call = move |stopped| {
                    let (calls, what, wanted) = (calls.clone(), self.what.clone(), wanted.clone());
                    async move { made(&calls, &what, &wanted, stopped).await }
                };
                several.make(call, &mut interrupts).await
            }
            None => {
                let called = tokio::select! {
                    called = calls.make(&self.what, &wanted) => called,
                    () = interrupts.next() => Called::interrupted(began.elapsed()),
                };
                self.tell(&called, Exit::of(called.outcome()))
            }
        }
    }

    fn tell(&self, called: &Called, exit: Exit) -> Result<Exit, Abort> {
        match self.form {
            Form::Text => called.show()?,
            Form::Json => output::object(called)?,
            Form::Jsonl => called.record(1)?,
        }
        Ok(exit)
    }
}

/// The id of the one node that is meant; the one that acts may be it.
async fn found(actor: &mut Actor, run: &Path, who: &str, typed: &args::Call) -> Result<String, Abort> {
    let presence = presence::seek(actor, run, who, typed.deadline).await?;
    Ok(presence::only(actor, presence, who).await?.id)
}

/// One of several calls.
async fn made(calls: &Calls, what: &Invocation, wanted: &WantedCall, mut stopped: Stopped) -> Called {
    let began = Instant::now();
    tokio::select! {
        called = calls.make(what, wanted) => called,
        _ = stopped.wait_for(|stopped| *stopped) => Called::interrupted(began.elapsed()),
    }
}

/// An argument as it is meant.
fn value(place: &str, text: &str) -> Result<Value, Abort> {
    content::parse(&content::text_of(text)?).map_err(|why| match why {
        NotationError::Json(why) => Abort::Ended(Exit::of(Outcome::Refused), format!("{place}: {why}")),
        why => Abort::Usage(format!("{place}: {why}")),
    })
}
