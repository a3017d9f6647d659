//! `up`: what a node can be told. Whatever stands in [`NodeFlags`] can also stand in the environment and in a file, under the
//! name of its flag.

use std::path::PathBuf;

use clap::Args as Arguments;
use peerage::name::Name;
use peerage::node::Group;

use super::place::{AdvertisePlace, ListenPlace, SeedPlace};
use crate::exit;

#[derive(Arguments, Debug)]
#[command(after_help = EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) flags: NodeFlags,
    /// The file with settings [default: peerage.toml in PEERAGE_HOME, if there is one]
    #[arg(long, value_name = "F", help_heading = "Settings")]
    pub(crate) config: Option<PathBuf>,
    /// Show each setting with its value and where that comes from, and end
    #[arg(long, help_heading = "Settings")]
    pub(crate) print_config: bool,
    /// With --print-config: print one JSON object
    #[arg(long, requires = "print_config", help_heading = "Settings")]
    pub(crate) json: bool,
    /// This process is what --detach has started.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// What can be said of a node: by flags, in the environment, in a file.
#[derive(Arguments, Clone, Debug, Default)]
pub(crate) struct NodeFlags {
    /// What it is called; its key is identity/NAME.key [default: the short name of this host, then with -2, -3 …: the first that no node uses]
    #[arg(long, value_name = "N")]
    pub(crate) name: Option<Name>,
    /// The network it belongs to [default: local, or the only other one there is]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<Name>,
    /// The network it belongs to, in a file of its own: a network file or a ticket, of mode 0600
    #[arg(long, value_name = "F")]
    pub(crate) network_file: Option<PathBuf>,
    #[arg(long, value_name = "ADDR", num_args = 1.., help = LISTEN_HELP)]
    pub(crate) listen: Option<Vec<ListenPlace>>,
    /// What others are told to connect to; several, or several times [default: where it listens, with the addresses of this
    /// machine's interfaces, and what peers see]
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) advertise: Option<Vec<AdvertisePlace>>,
    /// Where members of the network are likely to be found, besides its own seeds; several, or several times
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) seed: Option<Vec<SeedPlace>>,
    /// End if no seed takes the node in
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) require_seed: Option<bool>,
    /// A group it belongs to; several, or several times
    #[arg(long, value_name = "G", num_args = 1..)]
    pub(crate) group: Option<Vec<Group>>,
    /// It is a hub: others may prefer to ask it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) hub: Option<bool>,
    /// Neither announce it in the local network nor look for others there
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) no_lan: Option<bool>,
    /// Neither let other nodes of this user find it through PEERAGE_HOME nor look for them there
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) no_local: Option<bool>,
    /// Up to how many nodes everybody is linked with everybody; in this release that is so in larger networks too
    /// [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=150))]
    pub(crate) max_full_mesh: Option<u16>,
    /// Write the ready line to this open file descriptor too (3 or above), then close it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    pub(crate) ready_fd: Option<i32>,
    /// Go to the background once the node is ready; its log goes to run/NETWORK/NAME.log
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) detach: Option<bool>,
    /// Allow tcp:// between nodes: nothing is encrypted, and anybody on the way can read and change everything
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) dangerously_plaintext: Option<bool>,
    /// Print JSON, one object a line
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) jsonl: Option<bool>,
}

/// Not a doc comment, because rustdoc would take the brackets for links.
const LISTEN_HELP: &str = "\
Where it listens; several, or several times: tls://[::]:5000?next=999, quic://…, unix:///path; tcp://…?dialect=plain is for \
plain programs. At a socket in PEERAGE_HOME it listens besides, unless --no-local [default: nowhere else in the network local; \
in others tls://[::]:5000?next=999 and quic://[::]:5000?next=999]";

const EXAMPLES: &str = "\
It prints a ready line, then what happens: joined, up, suspect, left and lost of other nodes; connected, isolated, fault,
cleared, draining and stopped of itself. The first SIGINT or SIGTERM lets it leave in good order, a second one ends it at
once. If nobody reads what it prints, it goes on without printing.

Each setting can also stand in the environment (PEERAGE_LISTEN; lists separated by spaces) and in the settings file
(listen = [\"...\"]). A flag goes before the environment, the environment before the file. Secrets stand in neither of them:
they are in network files.

Examples:
  peerage up                                       nothing configured: all of this user's nodes find each other
  peerage up --name b --network lab --seed node-7.lab
  peerage up --listen 'tcp://127.0.0.1:0?dialect=plain&codec=json'
  PEERAGE_GROUP='fast green' peerage up --print-config

";
