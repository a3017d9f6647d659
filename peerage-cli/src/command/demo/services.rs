//! The steps with services: a command is offered through one node and called through another, a file goes between them as a stream,
//! and the command is missed when it ends.

use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, io};

use peerage::Value;
use peerage::outcome::Outcome;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::nodes::{Mesh, control, said};
use super::{Report, Shown};
use crate::called::Called;
use crate::control::{Invocation, WantedCall};
use crate::exit::Abort;
use crate::several::Ends as _;

/// All steps with services. The first that cannot start anything is the last.
pub(super) async fn all(report: &mut Report, mesh: &Mesh) -> Result<(), Abort> {
    let mut serving = match serve(mesh, TAG, &["--command", "wc -w"]).await {
        Ok(serving) => serving,
        Err(why) => return report.failed("serve", why),
    };
    let pid = serving.id().unwrap_or_default();
    report
        .step("serve", async { Ok(format!("process {pid} offers `wc -w` under the name words, through n2")) })
        .await?;
    report.step("call", call(mesh)).await?;
    report.step("services", services(mesh)).await?;
    report.step("stream", stream(mesh)).await?;
    report.step("serve-killed", killed(mesh, &mut serving)).await
}

/// Starts `peerage serve` at the second node and waits until it can be called.
async fn serve(mesh: &Mesh, tag: &str, how: &[&str]) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|why| format!("this program cannot be found: {why}"))?;
    let mut command = Command::new(program);
    command.args(["serve", tag, "--node", "n2"]).args(how).env("PEERAGE_HOME", mesh.home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|why| format!("cannot start a service: {why}"))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("a service without stdout")?).lines();
    match timeout(READY_WITHIN, lines.next_line()).await {
        Ok(Ok(Some(line))) if line.starts_with("ready ") => Ok(child),
        _ => Err(format!("the service was not ready within {READY_WITHIN:?}")),
    }
}

/// Whoever offers it answers; the first node is not told who that is.
async fn ask(mesh: &Mesh) -> Result<Called, String> {
    let first = mesh.members.first().ok_or("no node is left")?;
    let args = vec![Value::from("to be or not to be")];
    let what = Invocation { args, ..Invocation::without_arguments(TAG) };
    let wanted = WantedCall { deadline: CALL_WITHIN, ..WantedCall::default() };
    Ok(control(first).await?.calls().make(&what, &wanted).await)
}

async fn call(mesh: &Mesh) -> Shown {
    let called = ask(mesh).await?;
    let second = mesh.members.get(1).ok_or("two nodes are needed")?;
    match called.value() {
        Some(Value::Int(6)) if called.peer() == Some(&second.ready.id) => {
            Ok(format!("n1 called words, and {} answered with 6", second.ready.name))
        }
        Some(value) => Err(format!("{value} in place of 6, from {}", called.peer().unwrap_or("nobody"))),
        None => Err(called.complaint().unwrap_or_default()),
    }
}

/// The node that offers it can say what became of the calls.
async fn services(mesh: &Mesh) -> Shown {
    let second = mesh.members.get(1).ok_or("two nodes are needed")?;
    let offered = control(second).await?.services().await.map_err(said)?.services;
    match &offered[..] {
        [service] if service.tag == TAG && service.ok == 1 => Ok(format!("n2 offers {TAG}, and has answered 1 call")),
        other => Err(format!("{other:?} in place of one service with one call")),
    }
}

/// A file goes through a stream from the first node to the second, and is the same there.
async fn stream(mesh: &Mesh) -> Shown {
    let [first, second, ..] = &mesh.members[..] else { return Err("two nodes are needed".to_owned()) };
    let (inbox, file) = (mesh.home.path().join("inbox"), mesh.home.path().join("numbers.bin"));
    let content: Vec<u8> = (0..FILE_BYTES / 4).flat_map(u32::to_le_bytes).collect();
    let cannot = |why: io::Error| format!("cannot write into {}: {why}", mesh.home.path().display());
    fs::create_dir(&inbox).and_then(|()| fs::write(&file, &content)).map_err(cannot)?;
    let _sink = serve(mesh, "files", &["--file-sink", &inbox.to_string_lossy()]).await?;
    let began = Instant::now();
    let called = control(first).await?.send(&second.ready.id, "files", &file, |_| {}).await;
    if let Some(why) = called.complaint() {
        return Err(why);
    }
    let rate = content.len() as f64 / began.elapsed().as_secs_f64() / 1e6;
    match fs::read(inbox.join("numbers.bin")) {
        Ok(there) if there == content => Ok(format!(
            "n1 sent {} MiB to n2 through a stream, {rate:.0} MB/s with the checksum of both ends",
            FILE_BYTES >> 20
        )),
        Ok(_) => Err("something else has arrived".to_owned()),
        Err(why) => Err(format!("nothing has arrived: {why}")),
    }
}

/// When the process is gone its name is too, and the outcome says that nothing ran.
async fn killed(mesh: &Mesh, serving: &mut Child) -> Shown {
    serving.kill().await.map_err(|why| why.to_string())?;
    let called = ask(mesh).await?;
    match called.outcome() {
        Outcome::Absent | Outcome::Refused | Outcome::Busy => Ok(format!(
            "kill -9 of the serving process: the next call is {}, it certainly did not run",
            called.outcome()
        )),
        other => Err(format!("{other} in place of absent")),
    }
}

const TAG: &str = "words";

const FILE_BYTES: u32 = 16 << 20;

const READY_WITHIN: Duration = Duration::from_secs(10);

const CALL_WITHIN: Duration = Duration::from_secs(5);
