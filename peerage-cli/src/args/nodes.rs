//! Commands that ask a node: which one, and what.

use std::time::Duration;

use clap::{Args as Arguments, ValueEnum};
use peerage::limits;
use peerage::name::Name;
use peerage::node::snapshot::PeerState;
use peerage::node::{Filter, Group};

use super::quantity;
use crate::exit;

/// Which node acts, and how long all of it may take.
#[derive(Arguments, Clone, Debug, Default)]
pub(crate) struct Acting {
    /// The running node that does it: its name or id [default: the only one that runs]
    #[arg(long, value_name = "NODE", help_heading = "Which node acts")]
    pub(crate) node: Option<String>,
    /// Only nodes of this network; without a running one, the network to join for the time being
    #[arg(long, value_name = "NAME", help_heading = "Which node acts")]
    pub(crate) network: Option<Name>,
    /// Longest time for all of it, joining included: a number with ms, s, m or h [default: none]
    #[arg(long, value_name = "D", value_parser = quantity::duration, help_heading = "Which node acts")]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Arguments, Debug)]
#[command(after_help = PEERS_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Peers {
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Only members of this group; several: of any of them
    #[arg(long, value_name = "G")]
    pub(crate) group: Vec<Group>,
    /// Only hubs
    #[arg(long)]
    pub(crate) hubs: bool,
    /// Only this one: an id or a name; several: any of them
    #[arg(long, value_name = "P")]
    pub(crate) peer: Vec<String>,
    /// Only those on this machine
    #[arg(long)]
    pub(crate) on_host: bool,
    /// Only those in this state [default: up and suspect]
    #[arg(long, value_name = "STATE", value_enum)]
    pub(crate) state: Option<State>,
    /// Let the node ask its neighbours now whom they know, and wait for their answers
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Go on and tell each change, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// Show all that is known of each
    #[arg(long)]
    pub(crate) wide: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["jsonl", "watch"])]
    pub(crate) json: bool,
    /// With --watch: print JSON, one object a line
    #[arg(long, requires = "watch")]
    pub(crate) jsonl: bool,
}

/// States of other nodes that may be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum State {
    Up,
    Suspect,
    Left,
    Lost,
    All,
}

impl Peers {
    /// Which nodes are meant.
    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::new().groups(self.group.iter().cloned()).peers(self.peer.iter().cloned());
        if self.hubs {
            filter = filter.hubs_only();
        }
        if self.on_host {
            filter = filter.on_host();
        }
        match self.state {
            None => filter,
            Some(State::Up) => filter.state(PeerState::Up),
            Some(State::Suspect) => filter.state(PeerState::Suspect),
            Some(State::Left) => filter.state(PeerState::Left),
            Some(State::Lost) => filter.state(PeerState::Lost),
            Some(State::All) => filter.any_state(),
        }
    }

    /// How long the answers of neighbours are waited for: so that there is time left to tell what came.
    pub(crate) fn patience(&self) -> Duration {
        self.acting.timeout.map_or(limits::CALL_DEADLINE_DEFAULT, |timeout| timeout - timeout / 10)
    }
}

#[derive(Arguments, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Ping {
    /// Whom: an id, or a name that only one has
    #[arg(value_name = "PEER")]
    pub(crate) peer: String,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    pub(crate) count: u32,
    /// Time from the start of one to the start of the next
    #[arg(long, value_name = "D", default_value = "200ms", value_parser = quantity::duration)]
    pub(crate) interval: Duration,
    /// Deadline of each; also how long to wait until the peer is known
    #[arg(long, value_name = "D", default_value = "30s", value_parser = quantity::duration)]
    pub(crate) deadline: Duration,
    /// Print one JSON object: the sum
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// Print JSON, one object a line: each answer as it comes, then the sum
    #[arg(long)]
    pub(crate) jsonl: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Print every counter and gauge as OpenMetrics text
    #[arg(long, conflicts_with = "watch")]
    pub(crate) metrics: bool,
    /// Go on and show it again after each change, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["jsonl", "watch"])]
    pub(crate) json: bool,
    /// With --watch: print JSON, one object a line
    #[arg(long, requires = "watch")]
    pub(crate) jsonl: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Longest time for the work that was accepted already; what is left then is cut off and counted
    #[arg(long, value_name = "D", default_value = "10s", value_parser = quantity::duration)]
    pub(crate) deadline: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = LOG_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Log {
    /// The new filter: a level (error, warn, info, debug, trace) or parts, such as peerage=debug,warn [default: show the
    /// one in force]
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Most pings of one run: their times are kept for the percentiles.
const COUNT_MAX: i64 = 1_000_000;

const PEERS_EXAMPLES: &str = "\
Examples:
  peerage peers
  peerage peers --node a --group workers --json
  peerage peers --watch --jsonl

";

const LOG_EXAMPLES: &str = "\
Examples:
  peerage log                      the filter in force
  peerage log peerage=debug,warn   more about Peerage, warnings of everything else

";
