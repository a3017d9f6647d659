//! The command line of Peerage: what the library can do, for people and for scripts.
//!
//! A run has three stations, and each has its file. What was **typed** is `args`, a mirror of the command line that clap
//! fills. What is **meant** is made of it at the top of each command (for a node in `settings`): values that are right by
//! construction, or a usage error before anything has happened. What is **done** is the rest of the command, which uses the public API alone, so
//! that whatever this program can do, yours can do too.
//!
//! ```text
//!   args ──▶ command/x: plan ──▶ carry out ──▶ output (text or JSON of the same structs) ──▶ exit (one table)
//! ```
//!
//! stdout carries data, stderr commentary and logs. Names, keys and exit codes are a contract with other programs.

use std::process::ExitCode;

use clap::Parser;

mod actor;
mod args;
mod called;
mod command;
mod content;
mod control;
mod events;
mod exit;
mod exposed;
mod guest;
mod home;
mod latencies;
mod logs;
mod outcome;
mod output;
mod presence;
mod program;
mod ready;
mod running;
mod runtime;
mod settings;
mod several;
mod table;
mod time;

use args::Args;
use exit::Abort;

fn main() -> ExitCode {
    if let Err(abort) = exposed::refuse(std::env::args_os(), std::env::vars_os()) {
        return ended(&abort);
    }
    let typed = match Args::try_parse() {
        Ok(typed) => typed,
        Err(why) => {
            // Help goes to stdout, where a closed pipe is no error.
            let _ = why.print();
            return ExitCode::from(u8::try_from(why.exit_code()).unwrap_or(1));
        }
    };
    match command::run(typed.command, &typed.logging) {
        Ok(exit) => exit.into(),
        Err(abort) => ended(&abort),
    }
}

fn ended(abort: &Abort) -> ExitCode {
    if let Some(text) = abort.text() {
        output::complain(text);
    }
    abort.exit().into()
}
