//! The steps with services: a command is offered through one node and called through another, and is missed when it ends.

use std::process::Stdio;
use std::time::Duration;

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
    let mut serving = match serve(mesh).await {
        Ok(serving) => serving,
        Err(why) => return report.failed("serve", why),
    };
    let pid = serving.id().unwrap_or_default();
    report
        .step("serve", async { Ok(format!("process {pid} offers `wc -w` under the name words, through n2")) })
        .await?;
    report.step("call", call(mesh)).await?;
    report.step("services", services(mesh)).await?;
    report.step("serve-killed", killed(mesh, &mut serving)).await
}

/// Starts `peerage serve` at the second node and waits until it can be called.
async fn serve(mesh: &Mesh) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|why| format!("this program cannot be found: {why}"))?;
    let mut command = Command::new(program);
    command.args(["serve", TAG, "--node", "n2", "--command", "wc -w"]).env("PEERAGE_HOME", mesh.home.path());
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

const READY_WITHIN: Duration = Duration::from_secs(10);

const CALL_WITHIN: Duration = Duration::from_secs(5);
