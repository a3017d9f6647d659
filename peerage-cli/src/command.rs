//! The commands, one file each.

use crate::args::{Channel, Command};
use crate::exit::{Abort, Exit};

mod channel_call;
mod channel_serve;
mod completions;
mod demo;
mod id;
mod man;
mod network;

/// Does what was typed.
pub(crate) fn run(command: Command) -> Result<Exit, Abort> {
    match command {
        Command::Id(typed) => id::run(&typed),
        Command::Network(typed) => network::run(&typed),
        Command::Channel(Channel::Call(typed)) => channel_call::run(typed),
        Command::Channel(Channel::Serve(typed)) => channel_serve::run(typed),
        Command::Demo(typed) => demo::run(&typed),
        Command::Completions(typed) => completions::run(&typed),
        Command::Man(typed) => man::run(&typed),
    }
}
