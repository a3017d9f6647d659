//! `peerage completions`: generated from the definitions of the arguments.

use clap::CommandFactory;
use serde::Serialize;

use crate::args::{Args, Completions};
use crate::exit::{Abort, Exit};
use crate::output;

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

pub(super) fn run(typed: &Completions) -> Result<Exit, Abort> {
    let mut script = Vec::new();
    clap_complete::generate(typed.shell, &mut Args::command(), "peerage", &mut script);
    if typed.json {
        let script = String::from_utf8_lossy(&script).into_owned();
        output::object(&Script { shell: typed.shell.to_string(), script })?;
    } else {
        output::all(&script)?;
    }
    Ok(Exit::Ok)
}
