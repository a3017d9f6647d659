//! `peerage sub`: prints the events of other nodes as they happen, and the gaps between them where they are.

use peerage::{Value, limits};

use crate::actor::Actor;
use crate::args;
use crate::control::{self, Subscribe, Told};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::program::{Answer, Groups, Program};
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: args::Sub) -> Result<Exit, Abort> {
    let program = match &typed.command {
        Some(command) => Some(
            Program::parse(command, limits::PLAIN_FRAME_BYTES_DEFAULT)
                .map_err(|why| Abort::Usage(format!("--command: {why}")))?,
        ),
        None => None,
    };
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut interrupts = Interrupts::listen()?;
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        let heard = async {
            time.seeking();
            if actor.is_guest() {
                // Whoever has just come knows nobody yet.
                presence::settled(actor.control(), presence::GUEST_PATIENCE).await?;
            }
            time.asking();
            hear(&mut actor, &typed, program.as_ref()).await
        };
        let done = tokio::select! {
            done = heard => done,
            () = interrupts.next() => Ok(Exit::Ok),
        };
        actor.leave().await;
        done
    }))
}

/// Prints what comes until it is enough.
async fn hear(actor: &mut Actor, typed: &args::Sub, program: Option<&Program>) -> Result<Exit, Abort> {
    let control = actor.control();
    let wanted = Subscribe {
        policy: typed.policy.as_ref().map(ToString::to_string),
        history: typed.history,
        recover: typed.recover,
        shared: typed.shared.clone(),
        groups: typed.group.iter().map(ToString::to_string).collect(),
        hubs_only: typed.hubs,
        peers: typed.peer.clone(),
        on_host: typed.on_host,
        // Programs of one user share a node: what others of them publish is as good as what comes from elsewhere.
        include_self: true,
    };
    control.subscribe(&typed.event, &wanted).await?;
    let (mut count, mut failed) = (0, 0_u64);
    loop {
        let Some((request, told)) = control.next_told().await else { return Err(control::gone()) };
        let is_event = told.seq.is_some();
        match program {
            Some(program) if is_event => {
                if let Err(why) = handle(program, &told).await? {
                    failed += 1;
                    let event = output::shown(told.event.as_deref().unwrap_or_default());
                    output::complain(&format!("{event} {}: {why} ({failed} so far)", told.seq.unwrap_or(0)));
                }
            }
            _ if typed.jsonl => output::record(&told)?,
            _ => show(&told)?,
        }
        // Only now may the node tell more.
        request.reply(&Value::Null);
        count += u64::from(is_event);
        let has_stopped = !is_event && told.event.as_deref() == Some("stopped");
        if has_stopped || typed.count.is_some_and(|most| count >= most) {
            control.close().await;
            return Ok(Exit::Ok);
        }
    }
}

/// Runs the command for an event, and prints what it prints. The inner error is its failure, which ends nothing.
async fn handle(program: &Program, told: &Told) -> Result<Result<(), String>, Abort> {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    let entries = [
        ("event", text(&told.event)),
        ("from", text(&told.from)),
        ("name", text(&told.name)),
        ("epoch", text(&told.epoch)),
        ("seq", told.seq.map_or(Value::Null, Value::from)),
        ("value", told.value.clone().unwrap_or_default()),
    ];
    let record = Value::Map(entries.map(|(key, value)| (key.into(), value)).into());
    let (groups, _all_gone) = Groups::new();
    match program.answer(&record, &groups).await {
        Ok(Answer::Value(Value::Text(text))) if text.is_empty() => Ok(Ok(())),
        Ok(Answer::Value(Value::Text(text))) => output::line(&text).map(Ok),
        Ok(Answer::Value(value)) => output::line(&output::harmless(&value.to_string())).map(Ok),
        Ok(Answer::Flag(name)) => Ok(Err(format!("the command answered with the flag {}", output::shown(&name)))),
        Err(failed) => Ok(Err(format!("[{}] {}", output::shown(&failed.code), output::shown(&failed.message)))),
    }
}

/// For people: events on stdout, everything else on stderr.
fn show(told: &Told) -> Result<(), Abort> {
    let event = output::shown(told.event.as_deref().unwrap_or_default());
    let from = output::shown(told.name.as_deref().or(told.from.as_deref()).unwrap_or_default());
    if let (Some(_), Some(value)) = (told.seq, &told.value) {
        return output::line(&format!("{event}\t{from}\t{}", output::harmless(&value.to_string())));
    }
    if let Some(gap) = &told.gap {
        let (event, from, why) = (output::shown(&gap.event), output::shown(&gap.from), output::shown(&gap.why));
        output::comment(&match gap.last {
            Some(last) if last == gap.first => format!("missed {event} {last} of {from}: {why}"),
            Some(last) => format!("missed {event} {} to {last} of {from}: {why}", gap.first),
            None => format!("missed {event} from {} on of {from}: {why}", gap.first),
        });
        return Ok(());
    }
    output::comment(&match (event.as_str(), told.matching, told.missed) {
        ("attached", Some(matching), _) => format!("subscribed; {matching} names match"),
        ("resumed", _, Some(missed)) => format!("{from} is heard again; {missed} missed"),
        ("source-lost", ..) => {
            format!("{from} is not heard any more: {}", output::shown(told.why.as_deref().unwrap_or_default()))
        }
        (other, ..) => other.to_owned(),
    });
    Ok(())
}
