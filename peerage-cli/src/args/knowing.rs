//! Commands about single members: whether one is there, and why it counts as what it does.

use std::time::Duration;

use clap::Args as Arguments;

use super::nodes::Acting;
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

const FIND_EXAMPLES: &str = "\
The answer is one of three, and the exit code says which: it is there (0); all is known and it is not there (3); too little is \
known to say (4).

Examples:
  peerage find b
  peerage find b --deadline 2s --json

";
