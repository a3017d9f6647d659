//! Commands about single members: whether one is there, why it counts as what it does, what one says of itself.

use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args as Arguments, ValueEnum};
use peerage::node::Group;

use super::nodes::Acting;
use super::place::AdvertisePlace;
use super::quantity;
use crate::exit;

#[derive(Arguments, Debug)]
#[command(after_help = FIND_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Find {
    /// Whom: an id or a name
    #[arg(value_name = "ID|NAME")]
    pub(crate) who: String,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// How long to wait while it is not yet known
    #[arg(long, value_name = "D", default_value = "30s", value_parser = quantity::duration)]
    pub(crate) deadline: Duration,
    /// Print one JSON object, whatever the answer is
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = WHY_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Why {
    /// Whom: an id, or a name that only one has; those that have left or are lost count too
    #[arg(value_name = "NODE")]
    pub(crate) who: String,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Only what was observed within this time
    #[arg(long, value_name = "D", value_parser = quantity::duration)]
    pub(crate) since: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = SET_EXAMPLES.to_owned() + &exit::table())]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["group", "hub", "advertise"]))]
pub(crate) struct Set {
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// +G: belongs to this group from now on; -G: no longer; several times
    #[arg(long, value_name = "+G|-G", allow_hyphen_values = true)]
    pub(crate) group: Vec<GroupChange>,
    /// Whether it is a hub
    #[arg(long, value_name = "on|off", value_enum)]
    pub(crate) hub: Option<Switch>,
    /// What others are told to connect to from now on; several, or several times. `listening`: where it listens
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(crate) advertise: Vec<Advertised>,
    /// Print one JSON object: what it says of itself then
    #[arg(long)]
    pub(crate) json: bool,
}

/// A group that is joined or left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum GroupChange {
    Join(Group),
    Leave(Group),
}

impl FromStr for GroupChange {
    type Err = String;

    fn from_str(text: &str) -> Result<GroupChange, String> {
        let group = |name: &str| name.parse::<Group>().map_err(|why| why.to_string());
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(name), _) => group(name).map(GroupChange::Join),
            (_, Some(name)) => group(name).map(GroupChange::Leave),
            _ => Err(format!("write +{text} to join the group, -{text} to leave it")),
        }
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// What others are told to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Advertised {
    /// This.
    At(AdvertisePlace),
    /// Where the node listens.
    Listening,
}

impl FromStr for Advertised {
    type Err = String;

    fn from_str(text: &str) -> Result<Advertised, String> {
        match text {
            "listening" => Ok(Advertised::Listening),
            address => address.parse().map(Advertised::At),
        }
    }
}

const FIND_EXAMPLES: &str = "\
The answer is one of three, and the exit code says which: it is there (0); all is known and it is not there (3); too little is \
known to say (4).

Examples:
  peerage find b
  peerage find b --deadline 2s --json

";

const WHY_EXAMPLES: &str = "\
Each line is one change of state as the node that is asked made it: when, from what to what, what was observed, over which link, who handed \
on the news, who was asked and said what, and how late the timers of the observer were itself (1 not at all, to 8).

Examples:
  peerage why b
  peerage why b --node a --since 10m --json

";

const SET_EXAMPLES: &str = "\
All other nodes learn it at once.

Examples:
  peerage set --group +gpu --group -spare
  peerage set --node a --hub on
  peerage set --advertise tls://example.org:5000

";
