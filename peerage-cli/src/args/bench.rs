//! Measuring.

use clap::{Args as Arguments, Subcommand};

use super::nodes::Acting;
use super::quantity;
use crate::exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Calls that come back with what they brought
    Call(BenchCall),
    /// Streams in one direction, to a reader that throws away what comes
    Stream(BenchStream),
    /// Events of a node of yours, heard by one of this command's own
    Pub(BenchPub),
}

#[derive(Arguments, Debug)]
#[command(after_help = EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct BenchCall {
    /// Whom to call: an id, or a name that only one has [default: the only other node]
    #[arg(value_name = "PEER")]
    pub(crate) peer: Option<String>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// What each call brings and gets back, at most 512KiB: bytes, or a number with KiB
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = quantity::bench_size)]
    pub(crate) size: u32,
    /// Calls in flight at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) inflight: u16,
    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// At most so many calls a second [default: as many as there is room for]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = STREAM_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct BenchStream {
    /// Where the streams lead: an id, or a name that only one has [default: the only other node]
    #[arg(value_name = "PEER")]
    pub(crate) peer: Option<String>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// The size of each item, at most 8MiB: bytes, or a number with KiB or MiB
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = quantity::item_size)]
    pub(crate) size: u32,
    /// Streams at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) inflight: u16,
    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// At most so many items a second [default: as many as there is room for]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = PUB_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct BenchPub {
    /// Who publishes: the id or name of a running node of yours [default: the only other node]
    #[arg(value_name = "PEER")]
    pub(crate) peer: Option<String>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// The size of each event, at most 512KiB: bytes, or a number with KiB
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = quantity::bench_size)]
    pub(crate) size: u32,
    /// Batches at a time, of 256 events each
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) inflight: u16,
    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// At most so many events a second, published one by one [default: as many as there is room for]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
A node of this command's own joins the network and calls PEER over a link of its own, through the library that programs use.

Examples:
  peerage bench call b
  peerage bench call b --size 16KiB --inflight 64 --seconds 5 --json

";

const STREAM_EXAMPLES: &str = "\
A node of this command's own joins the network and sends items to PEER, which has to take them all before the clock is stopped. The \
times are those that an item waited for its place.

Examples:
  peerage bench stream b
  peerage bench stream b --size 1MiB --inflight 4 --seconds 5 --json

";

const PUB_EXAMPLES: &str = "\
PEER is told through its control socket what to publish, and a node of this command's own hears it over a link of its own, through the \
library that programs use. Nothing is dropped: the publisher waits for room. The times are those from the wish to publish until it is heard.

Examples:
  peerage bench pub b
  peerage bench pub b --size 1KiB --rate 1000 --seconds 5 --json

";
