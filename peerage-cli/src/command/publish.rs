//! `peerage pub`: publishes a value, many times if wanted, or a line of stdin after the other, and prints what became of all of them.

use std::io::BufRead as _;
use std::time::Duration;

use peerage::codec::NotationError;
use peerage::outcome::Outcome;
use peerage::{Value, limits};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::actor::Actor;
use crate::args;
use crate::content;
use crate::control::{Control, Publish, Published, Row};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: args::Pub) -> Result<Exit, Abort> {
    let plan = Plan::of(typed)?;
    let home = Home::of_environment()?;
    let time = Time::of(&plan.typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut interrupts = Interrupts::listen()?;
        let mut actor = Actor::find_or_join(&home, &plan.typed.acting, &time).await?;
        let done = plan.carry_out(&mut actor, &mut interrupts, &time).await;
        actor.leave().await;
        done
    }))
}

/// What is meant.
struct Plan {
    typed: args::Pub,
    what: What,
}

enum What {
    /// The same value so many times.
    Value(Value, u32),
    /// A value for each line of stdin.
    Lines,
}

impl Plan {
    fn of(typed: args::Pub) -> Result<Plan, Abort> {
        let what = match typed.value.as_deref() {
            Some("-") if typed.count.is_some() => {
                return Err(Abort::Usage("stdin says how many there are: leave out --count".to_owned()));
            }
            Some("-") => What::Lines,
            Some(text) => What::Value(value("VALUE", text)?, typed.count.unwrap_or(1)),
            None => What::Value(Value::Null, typed.count.unwrap_or(1)),
        };
        Ok(Plan { typed, what })
    }

    async fn carry_out(self, actor: &mut Actor, interrupts: &mut Interrupts, time: &Time) -> Result<Exit, Abort> {
        time.seeking();
        if actor.is_guest() {
            // Whoever has just come knows nobody yet.
            presence::settled(actor.control(), presence::GUEST_PATIENCE).await?;
        }
        let control = &*actor.control();
        let event = &self.typed.event.0;
        let before = Publish {
            keep: self.typed.keep,
            wait_matching: self.typed.wait_matching.unwrap_or(0),
            ..Publish::default()
        };
        let mut sum = tokio::select! {
            there = control.publish(event, &[], &before) => there?,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        time.asking();
        let is_over = tokio::select! {
            published = self.publish(control, &mut sum) => published.map(|()| true),
            () = interrupts.next() => Ok(false),
        };
        self.tell(&sum)?;
        Ok(if is_over? { Exit::Ok } else { Exit::Failed })
    }

    async fn publish(&self, control: &Control, sum: &mut Published) -> Result<(), Abort> {
        let how = Publish {
            priority: Some(self.typed.priority.name()),
            confirm_ms: self.typed.receipt.then_some(limits::RECEIPT_TIME.as_millis() as u64),
            ..Publish::default()
        };
        // Whoever wants a receipt wants its columns for no events at all, too.
        match self.typed.receipt {
            true => (sum.due, sum.delivered, sum.unknown) = (Some(0), Some(0), Some(Vec::new())),
            false => sum.queued = Some(0),
        }
        let mut pace = self.typed.rate.map(ticking);
        let event = &self.typed.event.0;
        match &self.what {
            What::Value(value, count) => {
                let mut left = *count;
                while left > 0 {
                    let repeat = if pace.is_some() { 1 } else { left.min(AT_ONCE) };
                    in_time(&mut pace).await;
                    let how = Publish { repeat: Some(repeat), ..how.clone() };
                    sum.add(control.publish(event, std::slice::from_ref(value), &how).await?);
                    left -= repeat;
                }
            }
            What::Lines => {
                let (mut lines, mut values) = (lines_of_stdin(), Vec::new());
                let most = if pace.is_some() { 1 } else { LINES_AT_ONCE };
                while lines.recv_many(&mut values, most).await > 0 {
                    in_time(&mut pace).await;
                    let read = values.drain(..).map(|line| value("stdin", &line?)).collect::<Result<Vec<_>, _>>()?;
                    sum.add(control.publish(event, &read, &how).await?);
                }
            }
        }
        Ok(())
    }

    fn tell(&self, sum: &Published) -> Result<(), Abort> {
        if self.typed.json {
            return output::object(sum);
        }
        let rows = |rows: &[Row], what: &str| {
            let each = rows.iter().map(|row| {
                let why = row.why.as_ref().map(|why| format!(" ({})", output::shown(why))).unwrap_or_default();
                format!("; {} {what} at {}{why}", row.count, output::shown(&row.peer))
            });
            each.collect::<String>()
        };
        let became = match (sum.queued, sum.delivered) {
            (_, Some(delivered)) => format!("{delivered} of {} delivered", sum.due.unwrap_or(0)),
            (queued, None) => format!("{} queued", queued.unwrap_or(0)),
        };
        let (dropped, unknown) =
            (rows(&sum.dropped, "dropped"), rows(sum.unknown.as_deref().unwrap_or_default(), "unknown"));
        let (event, matched) = (output::shown(&sum.event), sum.matched);
        output::line(&format!("{event}: {} published, {matched} matched, {became}{dropped}{unknown}", sum.published))
    }
}

/// Waits for the next turn, where there is a pace.
async fn in_time(pace: &mut Option<Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}

fn ticking(rate: u32) -> Interval {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// Lines as they come, without their ends. The thread that reads stays behind when nobody listens: nothing else ends a read of stdin.
fn lines_of_stdin() -> mpsc::Receiver<Result<String, Abort>> {
    let (found, lines) = mpsc::channel(LINES_AT_ONCE);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|why| Abort::Failed(format!("cannot read stdin: {why}")));
            let is_over = line.is_err();
            if found.blocking_send(line).is_err() || is_over {
                return;
            }
        }
    });
    lines
}

/// A value as it is meant.
fn value(place: &str, text: &str) -> Result<Value, Abort> {
    content::parse(text).map_err(|why| match why {
        NotationError::Json(why) => Abort::Ended(Exit::of(Outcome::Refused), format!("{place}: {why}")),
        why => Abort::Usage(format!("{place}: {why}")),
    })
}

/// Times that a value is published in one go.
const AT_ONCE: u32 = 1_024;

/// Lines that are published in one go, if they are there.
const LINES_AT_ONCE: usize = 256;
