//! Commands that publish and that subscribe.

use clap::{Args as Arguments, ValueEnum};
use peerage::event::Policy;
use peerage::node::Group;

use super::calling::Tag;
use super::nodes::Acting;
use crate::exit;

#[derive(Arguments, Debug)]
#[command(after_help = PUB_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Pub {
    /// The name under which it is published
    #[arg(value_name = "EVENT")]
    pub(crate) event: Tag,
    #[arg(value_name = "VALUE", allow_negative_numbers = true, help = VALUE_HELP)]
    pub(crate) value: Option<String>,
    /// Wait first until so many subscriptions match
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) wait_matching: Option<u32>,
    /// Wait for the word of the subscribers: each event is delivered, dropped or, after 5 s, unknown
    #[arg(long)]
    pub(crate) receipt: bool,
    /// Publish the value this many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) count: Option<u32>,
    /// At most so many events a second [default: as fast as it goes]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// The node keeps the last N events of the name, for --history and --recover of those who subscribe
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) keep: Option<u32>,
    /// What goes first where several events wait for one subscriber
    #[arg(long, value_name = "P", value_enum, default_value_t = Urgency::Normal)]
    pub(crate) priority: Urgency,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A priority as it is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Urgency {
    Control,
    Normal,
    Bulk,
}

impl Urgency {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Urgency::Control => "control",
            Urgency::Normal => "normal",
            Urgency::Bulk => "bulk",
        }
    }
}

#[derive(Arguments, Debug)]
#[command(after_help = SUB_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Sub {
    /// Which events: a name, or a pattern. `*` is any part of one segment, `**` any number of segments
    #[arg(value_name = "EVENT")]
    pub(crate) event: String,
    /// Only of this node: an id or a name; several: of any of them
    #[arg(long, value_name = "P")]
    pub(crate) peer: Vec<String>,
    /// Only of members of this group; several: of any of them
    #[arg(long, value_name = "G")]
    pub(crate) group: Vec<Group>,
    /// Only of hubs
    #[arg(long)]
    pub(crate) hubs: bool,
    /// Only of nodes on this machine
    #[arg(long)]
    pub(crate) on_host: bool,
    /// What becomes of events that come faster than they are taken: ring:N, latest, latest-by:/json/pointer, block:D or close
    /// [default: ring:1024]
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<Policy>,
    /// First the last N events of each name, as far as its publisher keeps them
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) history: u32,
    /// Ask again for what was lost with a link, as far as its publisher keeps it
    #[arg(long)]
    pub(crate) recover: bool,
    /// Of all that subscribe under this name, one gets each event, at most once
    #[arg(long, value_name = "NAME")]
    pub(crate) shared: Option<String>,
    /// Run this for each event, one at a time: its stdin is the record. Split by a shell's quoting rules, run without a shell
    #[arg(long, value_name = "CMD")]
    pub(crate) command: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Print JSON, one object a line; gaps are records too
    #[arg(long)]
    pub(crate) jsonl: bool,
}

/// Not a doc comment, because rustdoc would take the brackets for links.
const VALUE_HELP: &str = "\
What is published: JSON if it parses as a whole, else a string; `-` reads stdin, one value a line. Bytes are \
{\"$bin\":\"00ff\"}, NaN is {\"$f64\":\"NaN\"}, a map with other keys than strings {\"$map\":[[k,v],…]} [default: null]";

const PUB_EXAMPLES: &str = "\
Where no node runs, one joins for as long as it takes; say --wait-matching then, or those who subscribe may not have been met yet.

Examples:
  peerage pub build/done '{\"id\": 7}'
  peerage pub build/done '{\"id\": 7}' --wait-matching 1 --receipt --json
  tail -f log | peerage pub log/lines -

";

const SUB_EXAMPLES: &str = "\
It runs until SIGINT or SIGTERM. That it is subscribed is the first thing it says. Events that are missing are told as gaps, in their place.

Examples:
  peerage sub 'build/**'
  peerage sub 'sensor/*/temperature' --policy latest --jsonl
  peerage sub jobs --shared workers --command ./work
  peerage sub build/done --history 10 --count 10

";
