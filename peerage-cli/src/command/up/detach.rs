//! `up --detach`: a node that outlives the command that started it.
//!
//! ```text
//!   up --detach ──starts──▶ up … --detached, in a session of its own
//!        ◀── ready line, complaints ──┤
//!   ends with its code                └─ then writes to a log file, and to nobody else
//! ```
//!
//! The command waits until the node has let go of both pipes: then it is ready, or it has ended and said why.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::exit::{Abort, Exit};
use crate::output;

/// Starts this very command again as a node that stays, and ends when that is ready.
pub(super) fn start() -> Result<Exit, Abort> {
    let failed = |why: io::Error| Abort::Failed(format!("cannot start a node in the background: {why}"));
    let mut node = Command::new(env::current_exe().map_err(failed)?)
        .args(env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let complaints = node.stderr.take().map(|mut pipe| {
        thread::spawn(move || {
            // Whoever does not read complaints does not miss them.
            let _ = io::copy(&mut pipe, &mut io::stderr());
        })
    });
    let mut said = Vec::new();
    if let Some(mut pipe) = node.stdout.take() {
        pipe.read_to_end(&mut said).map_err(failed)?;
    }
    if let Some(complaints) = complaints {
        let _ = complaints.join();
    }
    output::all(&said)?;
    if said.is_empty() {
        let status = node.wait().map_err(failed)?;
        return Ok(status.code().map_or(Exit::Failed, Exit::from_code));
    }
    Ok(Exit::Ok)
}

/// Leaves the session of whoever started this process, so that its end is not ours.
pub(super) fn leave_session() {
    if let Err(why) = rustix::process::setsid() {
        tracing::debug!(%why, "this process leads a group already");
    }
}

/// From now on complaints go to this file and data to nobody.
pub(super) fn let_go(log: &Path) -> Result<(), Abort> {
    let failed = |why: io::Error| Abort::Failed(format!("cannot write to {}: {why}", log.display()));
    let file = File::options().append(true).create(true).mode(0o600).open(log).map_err(failed)?;
    let nowhere = File::options().write(true).open("/dev/null").map_err(failed)?;
    io::stdout().flush().map_err(failed)?;
    rustix::stdio::dup2_stderr(file).map_err(|why| failed(why.into()))?;
    rustix::stdio::dup2_stdout(nowhere).map_err(|why| failed(why.into()))
}
