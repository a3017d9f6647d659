//! The commands, one file each.

use crate::args::{Channel, Command, Logging};
use crate::exit::{Abort, Exit};
use crate::logs::{self, LogFormat};

mod bench;
mod call;
mod channel_call;
mod channel_serve;
mod completions;
mod demo;
mod drain;
mod find;
mod id;
mod log;
mod man;
mod network;
mod peers;
mod ping;
mod publish;
mod send;
mod serve;
mod services;
mod set;
mod status;
mod subscribe;
mod up;
mod why;

/// Does what was typed.
pub(crate) fn run(command: Command, logging: &Logging) -> Result<Exit, Abort> {
    // Where a node logs and how may also stand in its other settings.
    if !matches!(command, Command::Up(_)) {
        let filter = logging.log.as_deref().unwrap_or(logs::FILTER);
        logs::start(filter, logging.log_format.unwrap_or(LogFormat::Text))?;
    }
    match command {
        Command::Id(typed) => id::run(&typed),
        Command::Network(typed) => network::run(&typed),
        Command::Up(typed) => up::run(&typed, logging),
        Command::Peers(typed) => peers::run(&typed),
        Command::Find(typed) => find::run(&typed),
        Command::Why(typed) => why::run(&typed),
        Command::Set(typed) => set::run(&typed),
        Command::Ping(typed) => ping::run(&typed),
        Command::Status(typed) => status::run(&typed),
        Command::Drain(typed) => drain::run(&typed),
        Command::Log(typed) => log::run(&typed),
        Command::Call(typed) => call::run(*typed),
        Command::Serve(typed) => serve::run(*typed),
        Command::Send(typed) => send::run(&typed),
        Command::Services(typed) => services::run(&typed),
        Command::Describe(typed) => services::describe(&typed),
        Command::Pub(typed) => publish::run(*typed),
        Command::Sub(typed) => subscribe::run(*typed),
        Command::Bench(typed) => bench::run(&typed),
        Command::Channel(Channel::Call(typed)) => channel_call::run(typed),
        Command::Channel(Channel::Serve(typed)) => channel_serve::run(typed),
        Command::Demo(typed) => demo::run(&typed),
        Command::Completions(typed) => completions::run(&typed),
        Command::Man(typed) => man::run(&typed),
    }
}
