//! What is kept: keys and networks.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};
use peerage::name::Name;

use super::place::SeedPlace;

#[derive(Debug, Subcommand)]
pub(crate) enum Id {
    /// Make a key; its id is what others know the node by
    New(IdNew),
    /// Show one key: whose it is, where it lies, and whether a node uses it
    Show(IdShow),
    /// Show all keys
    List(IdList),
}

#[derive(Arguments, Debug)]
pub(crate) struct IdNew {
    /// What the node is called: letters A to Z, digits, `.`, `_` and `-`, at most 64; `cli` is the key of the nodes that
    /// commands start
    #[arg(value_name = "NAME")]
    pub(crate) name: Name,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct IdShow {
    /// Which [default: the only one]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<Name>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct IdList {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Network {
    /// Make a network: a name, and a new secret that its members will share
    New(NetworkNew),
    /// Show a network without its secret
    Show(NetworkShow),
    /// Show all networks, without their secrets
    List(NetworkList),
    /// Print the ticket with which others join; it holds the secret
    Ticket(NetworkTicket),
    /// Take part in a network, by the ticket of somebody who does
    Join(NetworkJoin),
}

#[derive(Arguments, Debug)]
pub(crate) struct NetworkNew {
    /// What it is called: letters A to Z, digits, `.`, `_` and `-`, at most 64
    #[arg(value_name = "NAME")]
    pub(crate) name: Name,
    /// Where members are likely to be found; several, or several times
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) seed: Vec<SeedPlace>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct NetworkShow {
    /// Which [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<Name>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct NetworkList {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = TICKET_EXAMPLES)]
pub(crate) struct NetworkTicket {
    /// Which [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<Name>,
    /// Where members are likely to be found, besides the seeds that the network has; several, or several times
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) seed: Vec<SeedPlace>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = JOIN_EXAMPLES)]
pub(crate) struct NetworkJoin {
    /// The file that holds the ticket; `-` reads stdin. The ticket itself is never an argument, since every process of the
    /// machine could read it
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const TICKET_EXAMPLES: &str = "\
Examples:
  (umask 077; peerage network ticket --network lab --seed tls://node-7.lab > lab.ticket)
  peerage network ticket --network lab | ssh node-8.lab peerage network join -";

const JOIN_EXAMPLES: &str = "\
Examples:
  peerage network join lab.ticket
  ssh node-7.lab peerage network ticket --network lab | peerage network join -";
