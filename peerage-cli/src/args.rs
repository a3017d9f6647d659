//! The command line as it is typed. What it means is worked out by each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as Arguments, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use peerage::Encoding;

use crate::exit;
use crate::logs::{self, LogFormat};

mod bench;
mod calling;
mod events;
mod keeping;
mod knowing;
mod nodes;
mod place;
mod quantity;
mod up;

pub(crate) use bench::Bench;
pub(crate) use calling::{Call, Describe, Send, Serve, Services};
pub(crate) use events::{Pub, Sub};
pub(crate) use keeping::{
    Id, IdList, IdNew, IdShow, Network, NetworkJoin, NetworkList, NetworkNew, NetworkShow, NetworkTicket,
};
pub(crate) use knowing::{Advertised, Find, GroupChange, Set, Switch, Why};
pub(crate) use nodes::{Acting, Drain, Log, Peers, Ping, Status};
pub(crate) use place::{CallPlace, SeedPlace, ServePlace};
pub(crate) use quantity::written as written_duration;
pub(crate) use up::{NodeFlags, Up};

/// Processes that talk to each other without a server in between.
#[derive(Debug, Parser)]
#[command(name = "peerage", version, after_help = exit::table(), infer_subcommands = false)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) logging: Logging,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Log lines, for all commands.
#[derive(Arguments, Clone, Debug, Default)]
pub(crate) struct Logging {
    /// What to log on stderr: a level (error, warn, info, debug, trace) or parts, such as peerage=debug,warn [default: warn]
    #[arg(long, global = true, value_name = "FILTER", value_parser = logs::filter, help_heading = "Logging")]
    pub(crate) log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_enum, help_heading = "Logging")]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node, until a signal or `peerage drain` ends it
    Up(Box<Up>),
    /// Keys: each is one node
    #[command(subcommand)]
    Id(Id),
    /// Networks, and the tickets with which others join them
    #[command(subcommand)]
    Network(Network),
    /// Show whom a node knows
    Peers(Peers),
    /// Say whether a node is there: it is, it is not, or too little is known to say
    Find(Find),
    /// Tell why a node counts as up, suspect, left or lost: what was observed, when and by whom
    Why(Why),
    /// Ask a peer for a sign of life, and measure how long it takes
    Ping(Ping),
    /// Show how a node is: Nominal, or what is wrong and what to do about it
    Status(Status),
    /// Change what a running node says of itself: its groups, whether it is a hub, where others are to come
    Set(Set),
    /// Let a node leave in good order: it finishes what it has begun
    Drain(Drain),
    /// Show or change what a running node logs
    Log(Log),
    /// Call a function of another node, and print the answer
    Call(Box<Call>),
    /// Offer a function under a tag, answered by a command or an echo, until a signal ends it
    Serve(Box<Serve>),
    /// Send a file to a node that takes files, and check that it arrived
    Send(Send),
    /// Show which functions nodes offer, and what became of their calls
    Services(Services),
    /// Say what a function does, and who offers it
    Describe(Describe),
    /// Publish an event to all that subscribe to it
    Pub(Box<Pub>),
    /// Print the events of other nodes as they happen, and the gaps between them
    Sub(Box<Sub>),
    /// Measure what a link between two nodes carries
    #[command(subcommand)]
    Bench(Bench),
    /// Request and reply on one connection, without a node: what aiomas programs speak
    #[command(subcommand)]
    Channel(Channel),
    /// Show what this release can do, with real processes, and what that proves; ends within 30 s
    Demo(Demo),
    /// Print the completion script for a shell
    Completions(Completions),
    /// Write the manual pages into a directory
    Man(Man),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Channel {
    /// Send one request and print the answer
    Call(ChannelCall),
    /// Listen, and answer requests with an echo or a command
    Serve(ChannelServe),
}

/// The codec of a connection. Both ends must use the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Codec {
    Json,
    Msgpack,
}

impl From<Codec> for Encoding {
    fn from(codec: Codec) -> Encoding {
        match codec {
            Codec::Json => Encoding::Json,
            Codec::Msgpack => Encoding::MsgPack,
        }
    }
}

#[derive(Arguments, Debug)]
#[command(after_help = CALL_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct ChannelCall {
    /// Whom to ask: host, host:port, tcp://host:port or unix:///path (port 5000 unless given)
    #[arg(value_name = "ADDR")]
    pub(crate) place: CallPlace,
    #[arg(allow_negative_numbers = true, help = CONTENT_HELP)]
    pub(crate) content: String,
    /// The codec, the same as the server's [default: ?codec= of the address, else json]
    #[arg(long, value_enum)]
    pub(crate) codec: Option<Codec>,
    /// Deadline of each call, connecting included: a number with ms, s, m or h
    #[arg(long, value_name = "D", default_value = "30s", value_parser = quantity::duration)]
    pub(crate) timeout: Duration,
    /// Keep trying to connect for so long, at most --timeout [default: one attempt]
    #[arg(long, value_name = "D", value_parser = quantity::duration)]
    pub(crate) retry: Option<Duration>,
    /// Make this many calls on one connection, going on after errors, and sum up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=REPEAT_MAX))]
    pub(crate) repeat: Option<u32>,
    /// With --repeat: how many calls are in flight at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: u16,
    /// Print one JSON object; with --repeat the sum of all calls
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// Print one JSON object a line: each call as it ends, then the sum
    #[arg(long)]
    pub(crate) jsonl: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = SERVE_EXAMPLES, group = ArgGroup::new("answer").required(true).args(["echo", "command"]))]
pub(crate) struct ChannelServe {
    /// Where to listen: host:port (port 0 picks a free one), tcp://host:port or unix:///path
    #[arg(value_name = "ADDR")]
    pub(crate) place: ServePlace,
    /// The codec of all connections [default: ?codec= of the address, else recognised by each first frame]
    #[arg(long, value_enum)]
    pub(crate) codec: Option<Codec>,
    /// Answer with the content as it came, byte for byte; it is never opened
    #[arg(long)]
    pub(crate) echo: bool,
    /// Run this for each request: the content is its stdin (one line of JSON), its stdout is the answer (JSON if it
    /// parses as a whole, else text). Split by a shell's quoting rules, run without a shell
    #[arg(long, value_name = "CMD")]
    pub(crate) command: Option<String>,
    /// Requests answered at once; more of them wait [default: 64 commands, 1024 echoes per connection]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: Option<u32>,
    /// Largest frame taken and sent, at most 64MiB: bytes, or a number with KiB or MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = quantity::frame_size)]
    pub(crate) max_frame: u32,
    /// Write the ready line to this open file descriptor too (3 or above), then close it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    pub(crate) ready_fd: Option<i32>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) jsonl: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct Demo {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=16))]
    pub(crate) nodes: u16,
    /// Leave the nodes running, with their home; so none of them is killed or drained
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print one JSON object in place of the table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
    /// Print one JSON object that holds the script
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
pub(crate) struct Man {
    /// Where to; it is made if it does not exist
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print one JSON object with the files written
    #[arg(long)]
    pub(crate) json: bool,
}

/// Most calls of one run: their times are kept for the percentiles, four bytes each.
const REPEAT_MAX: i64 = 10_000_000;

/// Not a doc comment, because rustdoc would take the brackets for links.
const CONTENT_HELP: &str = "\
What to ask: JSON if it parses as a whole, else a string; `-` reads stdin. Bytes are {\"$bin\":\"00ff\"}, NaN is \
{\"$f64\":\"NaN\"}, a map with other keys than strings {\"$map\":[[k,v],…]}";

const CALL_EXAMPLES: &str = "\
Examples:
  peerage channel call localhost:5000 '[\"hello\", 1]'
  peerage channel call unix:///run/the.sock - --codec msgpack --json < request.json
  peerage channel call localhost 1 --repeat 10000 --concurrency 64

";

const SERVE_EXAMPLES: &str = "\
It runs until SIGINT or SIGTERM, then closes its connections in order; a second one ends it at once.

Examples:
  peerage channel serve localhost:5000 --echo
  peerage channel serve unix:///run/count.sock --command 'wc -w'
  peerage channel serve 127.0.0.1:0 --command \"jq '.a + .b'\" --jsonl";
