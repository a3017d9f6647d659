//! `up`: the settings of a node.

use std::path::PathBuf;

use clap::Args as Arguments;
use peerage::name::Name;

use super::place::{ListenPlace, SeedPlace};
use crate::exit;

#[derive(Arguments, Debug)]
#[command(after_help = EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Up {
    /// What the node is called; its key is identity/NAME.key [default: the host's short name, or that with -2, -3 … if
    /// such a node runs already]
    #[arg(long, value_name = "N")]
    pub(crate) name: Option<Name>,
    /// The network to belong to [default: `local`, or the only other one there is]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<Name>,
    /// The file of a network that is not among those of this user
    #[arg(long, value_name = "F", conflicts_with = "network")]
    pub(crate) network_file: Option<PathBuf>,
    /// Where to listen, besides the unix socket for nodes of this user; several, or several times [default: nowhere else in
    /// the network `local`; in any other tls://[::]:5000 and quic://[::]:5000, or the next free ports]
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) listen: Vec<ListenPlace>,
    /// Where others shall reach it; several, or several times [default: where it listens]
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) advertise: Vec<SeedPlace>,
    /// Where members are likely to be found, besides the seeds of the network; several, or several times
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) seed: Vec<SeedPlace>,
    /// End, instead of trying on, if no seed takes this node in
    #[arg(long)]
    pub(crate) require_seed: bool,
    /// A group to belong to; several, or several times
    #[arg(long, value_name = "G", num_args = 1..)]
    pub(crate) group: Vec<Name>,
    /// Be a hub: a node that others may prefer to ask
    #[arg(long)]
    pub(crate) hub: bool,
    /// Neither look for other nodes of this user on this machine nor be found by them
    #[arg(long)]
    pub(crate) no_local: bool,
    /// Allow tcp:// between nodes: nothing is encrypted and nobody proves who they are
    #[arg(long)]
    pub(crate) dangerously_plaintext: bool,
    /// Go to the background once the node is ready; its log goes to run/<network>/<name>.log
    #[arg(long)]
    pub(crate) detach: bool,
    /// This process is what --detach has started.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
    /// Write the ready line to this open file descriptor too (3 or above), then close it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    pub(crate) ready_fd: Option<i32>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) jsonl: bool,
}

const EXAMPLES: &str = "\
It prints a ready line, then what happens: joined, up, suspect, left and lost of other nodes; connected, isolated, fault,
cleared, draining and stopped of itself. The first SIGINT or SIGTERM lets it leave in good order, a second one ends it at
once. If nobody reads what it prints, it goes on without printing.

Examples:
  peerage up                                       nothing configured: all of this user's nodes find each other
  peerage up --name b --network lab --seed node-7.lab
  peerage up --listen 'tcp://127.0.0.1:0?dialect=plain&codec=json'

";
