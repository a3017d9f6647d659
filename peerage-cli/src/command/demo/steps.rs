//! The steps with channels, in the order in which a newcomer would try them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerage::outcome::{NotSent, Outcome};
use peerage::{CallError, Channel, DialError, Encoding, Value};
use tempfile::TempDir;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::servant::Servant;
use super::{Report, Shown};
use crate::exit::Abort;

/// All steps. Later ones need what earlier ones started, so the first that cannot start anything is the last.
pub(super) async fn all(report: &mut Report) -> Result<(), Abort> {
    let mut stage = match Stage::build().await {
        Ok(stage) => stage,
        Err(why) => return report.failed("servers", why),
    };
    report.step("servers", async { Ok(stage.describe()) }).await?;
    report.step("echo-json", echo(&stage, Encoding::Json, json_value())).await?;
    report.step("echo-msgpack", echo(&stage, Encoding::MsgPack, msgpack_value())).await?;
    report.step("command", command(&stage)).await?;
    report.step("remote-failure", remote_failure(&stage)).await?;
    report.step("deadline", deadline(&stage)).await?;
    report.step("pipelined", pipelined(&stage)).await?;
    report.step("too-large", too_large(&stage)).await?;
    report.step("kill", kill(&mut stage)).await?;
    report.step("dead-address", dead_address(&stage)).await?;
    report.step("orderly-end", orderly_end(&mut stage)).await
}

/// Two servers and the directory they live in.
struct Stage {
    echo: Servant,
    worker: Servant,
    /// Removed when the stage is dropped.
    _home: TempDir,
}

impl Stage {
    async fn build() -> Result<Stage, String> {
        let home = home().map_err(|why| format!("cannot make a temporary directory: {why}"))?;
        let socket = format!("unix://{}", home.path().join("echo.sock").display());
        let (echo, worker) = tokio::try_join!(
            Servant::start(&socket, &["--echo"]),
            Servant::start("tcp://127.0.0.1:0", &["--command", WORKER]),
        )?;
        Ok(Stage { echo, worker, _home: home })
    }

    fn describe(&self) -> String {
        let Stage { echo, worker, .. } = self;
        format!(
            "two processes said that they are ready: {} (process {}), {} (process {})",
            echo.address, echo.pid, worker.address, worker.pid
        )
    }
}

/// A directory whose sockets have paths that are short enough for the system.
pub(super) fn home() -> std::io::Result<TempDir> {
    let home = tempfile::Builder::new().prefix("peerage-demo-").tempdir()?;
    match home.path().as_os_str().len() {
        0..=HOME_BYTES_MAX => Ok(home),
        _ => tempfile::Builder::new().prefix("peerage-demo-").tempdir_in(Path::new("/tmp")),
    }
}

async fn connect(servant: &Servant, codec: Encoding) -> Result<Channel, String> {
    Channel::connect(&servant.address).encoding(codec).await.map_err(|why| why.to_string())
}

/// What goes out comes back the same.
async fn echo(stage: &Stage, codec: Encoding, value: Value) -> Shown {
    let channel = connect(&stage.echo, codec).await?;
    let answer: Value = channel.request(&value).await.map_err(|why| why.to_string())?;
    if answer != value {
        return Err(format!("sent {value}, got {answer}"));
    }
    Ok(format!("{value} went to another process in {codec} and came back the same"))
}

/// A program answers a request.
async fn command(stage: &Stage) -> Shown {
    let channel = connect(&stage.worker, Encoding::Json).await?;
    let words: i64 = channel.request("to be or not to be").await.map_err(|why| why.to_string())?;
    match words {
        6 => Ok("`wc -w` was run for one request and counted 6 words".to_owned()),
        other => Err(format!("`wc -w` counted {other} words in place of 6")),
    }
}

/// A program that fails is told apart from everything else.
async fn remote_failure(stage: &Stage) -> Shown {
    let channel = connect(&stage.worker, Encoding::Json).await?;
    match channel.request::<Value>("fail").await {
        Err(CallError::Remote { message, .. }) if message == "[exit-3] no such record" => {
            Ok(format!("the command failed, and its words arrived: {message}"))
        }
        other => Err(unexpected(&other, Outcome::Remote)),
    }
}

/// A call ends at its deadline, whatever the other side does.
async fn deadline(stage: &Stage) -> Shown {
    let channel = connect(&stage.worker, Encoding::Json).await?;
    let began = Instant::now();
    let result = channel.request::<Value>("sleep").deadline(DEADLINE).await;
    let elapsed = began.elapsed();
    match result {
        Err(CallError::Deadline { .. }) if elapsed < DEADLINE + DEADLINE_SLACK => Ok(format!(
            "a call to a command that sleeps ended {} ms after its start; its deadline was {DEADLINE:?}",
            elapsed.as_millis()
        )),
        Err(CallError::Deadline { .. }) => Err(format!("a deadline of {DEADLINE:?} passed only after {elapsed:?}")),
        other => Err(unexpected(&other, Outcome::Deadline)),
    }
}

/// Many calls share one connection, and each gets its own answer.
async fn pipelined(stage: &Stage) -> Shown {
    let channel = Arc::new(connect(&stage.echo, Encoding::MsgPack).await?);
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for n in 0..PIPELINED {
        let channel = channel.clone();
        calls.spawn(async move { channel.request::<u64>(&n).await.map(|answer| answer == n) });
    }
    let (mut own, mut failed) = (0, None);
    while let Some(ended) = calls.join_next().await {
        match ended.map_err(|why| why.to_string())? {
            Ok(true) => own += 1,
            Ok(false) => failed = Some("an answer went to another call".to_owned()),
            Err(why) => failed = Some(why.to_string()),
        }
    }
    let elapsed = began.elapsed();
    match failed {
        Some(why) => Err(format!("{own} of {PIPELINED} calls got their own answer; another: {why}")),
        None => Ok(format!(
            "{PIPELINED} calls at once on one connection, each got its own answer: {:.0} calls per second",
            PIPELINED as f64 / elapsed.as_secs_f64()
        )),
    }
}

/// What cannot be sent is refused before it is sent, and the connection lives.
async fn too_large(stage: &Stage) -> Shown {
    let channel = Channel::connect(&stage.echo.address).max_frame(1 << 10).await.map_err(|why| why.to_string())?;
    let result = channel.request::<Value>(&"x".repeat(2 << 10)).await;
    match result {
        Err(CallError::Refused { why }) => {
            channel.request::<Value>("still there?").await.map_err(|why| format!("after a refusal: {why}"))?;
            Ok(format!("refused before sending: {why}; the next call on the same connection was answered"))
        }
        other => Err(unexpected(&other, Outcome::Refused)),
    }
}

/// A server that is killed with a call in flight: the caller knows at once, and knows that it does not know.
async fn kill(stage: &mut Stage) -> Shown {
    let channel = Arc::new(connect(&stage.echo, Encoding::Json).await?);
    // Frozen, it cannot answer before it is killed.
    stage.echo.freeze()?;
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { channel.request::<Value>("is anybody there?").await }
    });
    timeout(SENT_WITHIN, async {
        while channel.counters().bytes_out == 0 {
            yield_now().await;
        }
    })
    .await
    .map_err(|_| "the request did not leave".to_owned())?;
    let began = Instant::now();
    stage.echo.kill().await?;
    let result = call.await.map_err(|why| why.to_string())?;
    let elapsed = began.elapsed();
    match result {
        Err(CallError::ConnectionLost { .. }) if elapsed < LOST_WITHIN => Ok(format!(
            "kill -9 with a call in flight: connection-lost after {} ms, it may have run",
            elapsed.as_millis()
        )),
        Err(CallError::ConnectionLost { .. }) => Err(format!("connection-lost only after {elapsed:?}")),
        other => Err(unexpected(&other, Outcome::ConnectionLost)),
    }
}

/// Nobody listens any more: that certainly did not run.
async fn dead_address(stage: &Stage) -> Shown {
    let why = match Channel::connect(&stage.echo.address).await {
        Err(why @ (DialError::Refused { .. } | DialError::NotFound { .. } | DialError::StaleSocket { .. })) => why,
        Err(why) => return Err(format!("another error than expected: {why}")),
        Ok(_) => return Err("somebody still listens".to_owned()),
    };
    let error = CallError::NotSent { why: NotSent::NoRoute };
    Ok(format!("{}/no-route, it certainly did not run: {why}", error.outcome()))
}

/// A server that is asked to end does so, and leaves nothing behind.
async fn orderly_end(stage: &mut Stage) -> Shown {
    match stage.worker.stop().await? {
        Some(0) => Ok("the other server ended with 0 when asked to, and its command with it".to_owned()),
        code => Err(format!("the other server ended with {code:?} when asked to")),
    }
}

fn unexpected(result: &Result<Value, CallError>, wanted: Outcome) -> String {
    match result {
        Ok(value) => format!("{value} in place of the outcome {wanted}"),
        Err(why) => format!("{} in place of {wanted}: {why}", why.outcome()),
    }
}

fn json_value() -> Value {
    Value::List(vec!["hello".into(), 1.into(), 2.5.into(), Value::Map(vec![("nested".into(), Value::Null)])])
}

fn msgpack_value() -> Value {
    Value::Map(vec![("bytes".into(), vec![0_u8, 255].into()), (7.into(), f64::INFINITY.into())])
}

/// Counts the words of a request, fails, or does not come to an end, as asked.
const WORKER: &str = r#"sh -c 'read -r ask; case "$ask" in
    "\"fail\"") echo no such record >&2; exit 3 ;;
    "\"sleep\"") exec sleep 5 ;;
    *) printf %s "$ask" | wc -w ;;
esac'"#;

const PIPELINED: u64 = 10_000;

const DEADLINE: Duration = Duration::from_millis(200);

/// Promised are 100 ms. More is allowed here because others may use this machine as well.
const DEADLINE_SLACK: Duration = Duration::from_millis(500);

const SENT_WITHIN: Duration = Duration::from_secs(5);

const LOST_WITHIN: Duration = Duration::from_secs(1);

/// Longest path of a directory for sockets: 107 bytes less the longest name in it, that of a node's link.
const HOME_BYTES_MAX: usize = 107 - "/run/local/n16.link".len();
