//! The steps with events: one node publishes, one subscriber listens, and one is stopped meanwhile. The receipt tells, and so do the
//! gaps that it finds when it wakes.

use std::process::Stdio;
use std::time::Duration;

use peerage::Value;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::nodes::{Mesh, control, said};
use super::{Report, Shown};
use crate::control::{Control, Publish, Subscribe, Told};
use crate::exit::Abort;

/// All steps with events.
pub(super) async fn all(report: &mut Report, mesh: &Mesh) -> Result<(), Abort> {
    let mut stage = match Stage::build(mesh).await {
        Ok(stage) => stage,
        Err(why) => return report.failed("subscribe", why),
    };
    let pid = stage.sleeper.child.id().unwrap_or_default();
    report.step("subscribe", async { Ok(format!("process {pid} and this one listen to {EVENT} through n1")) }).await?;
    report.step("publish", publish(mesh, &mut stage)).await?;
    report.step("gap", gap(&mut stage)).await
}

/// Two subscribers at the first node.
struct Stage {
    awake: Control,
    sleeper: Sleeper,
    /// What the receipt says that the sleeper will not get.
    dropped: u64,
}

/// `peerage sub` as a process. Dropping it kills it.
struct Sleeper {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    async fn build(mesh: &Mesh) -> Result<Stage, String> {
        let mut awake = control(mesh.members.first().ok_or("no node is left")?).await?;
        let wanted = Subscribe { policy: Some("block:5s".to_owned()), ..Subscribe::default() };
        awake.subscribe(EVENT, &wanted).await.map_err(said)?;
        if next(&mut awake).await?.event.as_deref() != Some("attached") {
            return Err("something else than that it is subscribed came first".to_owned());
        }
        Ok(Stage { awake, sleeper: Sleeper::start(mesh).await?, dropped: 0 })
    }
}

impl Sleeper {
    async fn start(mesh: &Mesh) -> Result<Sleeper, String> {
        let program = std::env::current_exe().map_err(|why| format!("this program cannot be found: {why}"))?;
        let mut command = Command::new(program);
        command.args(["sub", EVENT, "--node", "n1", "--policy", "ring:10", "--jsonl"]);
        command.env("PEERAGE_HOME", mesh.home.path()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|why| format!("cannot start a subscriber: {why}"))?;
        let lines = BufReader::new(child.stdout.take().ok_or("a subscriber without stdout")?).lines();
        let mut sleeper = Sleeper { child, lines };
        match sleeper.next().await?.event.as_deref() {
            Some("attached") => Ok(sleeper),
            other => Err(format!("{other:?} came before it was subscribed")),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.ok_or("no process id")?, signal).map_err(|why| why.to_string())
    }

    async fn next(&mut self) -> Result<Told, String> {
        let line = timeout(TOLD_WITHIN, self.lines.next_line()).await.map_err(|_| "it tells nothing".to_owned())?;
        let line = line.map_err(|why| why.to_string())?.ok_or("it has ended")?;
        serde_json::from_str(&line).map_err(|why| format!("{line:?}: {why}"))
    }
}

/// Far more than the queue of the one that is stopped has room for.
async fn publish(mesh: &Mesh, stage: &mut Stage) -> Shown {
    stage.sleeper.signal(Signal::STOP)?;
    let publisher = control(mesh.members.get(1).ok_or("two nodes are needed")?).await?;
    let how = Publish { repeat: Some(EVENTS), ..Publish::default() };
    let value = Value::from("x".repeat(VALUE_BYTES));
    let began = std::time::Instant::now();
    let values = [value];
    let (published, heard) = tokio::join!(publisher.publish(EVENT, &values, &how), async {
        for wanted in 1..=u64::from(EVENTS) {
            let told = next(&mut stage.awake).await?;
            if told.seq != Some(wanted) {
                return Err(format!("{:?} came in place of event {wanted}", told.seq));
            }
        }
        Ok(began.elapsed())
    });
    let (published, took) = (published.map_err(said)?, heard?);
    stage.dropped = published.dropped.iter().map(|row| row.count).sum();
    match (published.matched, stage.dropped) {
        (2, 1..) => Ok(format!(
            "n2 published {EVENTS} events: all reached one subscriber within {} ms, though the other was stopped; the receipt tells of \
             {} dropped there",
            took.as_millis(),
            stage.dropped
        )),
        (matched, dropped) => Err(format!("{matched} subscriptions matched, and {dropped} events were dropped")),
    }
}

/// On waking it finds exactly as much missing as the receipt has told.
async fn gap(stage: &mut Stage) -> Shown {
    stage.sleeper.signal(Signal::CONT)?;
    let (mut heard, mut missing) = (0, 0);
    while heard + missing < u64::from(EVENTS) {
        let told = stage.sleeper.next().await?;
        match (told.seq, told.gap) {
            (Some(_), _) => heard += 1,
            (None, Some(gap)) => missing += gap.last.map_or(0, |last| last + 1 - gap.first),
            (None, None) => {}
        }
    }
    match missing == stage.dropped {
        true => Ok(format!("awake again it heard {heard} events and of a gap of {missing}: none is lost in silence")),
        false => Err(format!("{missing} are missing, and the receipt tells of {}", stage.dropped)),
    }
}

async fn next(control: &mut Control) -> Result<Told, String> {
    let told = timeout(TOLD_WITHIN, control.next_told()).await.map_err(|_| "nothing is told".to_owned())?;
    let (request, told) = told.ok_or("the node has gone")?;
    request.reply(&Value::Null);
    Ok(told)
}

const EVENT: &str = "demo/tick";

const EVENTS: u32 = 2_000;

const VALUE_BYTES: usize = 4_000;

const TOLD_WITHIN: Duration = Duration::from_secs(8);
