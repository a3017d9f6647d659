//! Commands that call services, and that offer one.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args as Arguments};
use peerage::node::{Group, NodeId};

use super::nodes::Acting;
use super::{REPEAT_MAX, quantity};
use crate::exit;

#[derive(Arguments, Debug)]
#[command(after_help = CALL_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Call {
    /// What to call: the tag under which it is served
    #[arg(value_name = "TAG")]
    pub(crate) tag: Tag,
    #[arg(value_name = "ARG", allow_negative_numbers = true, help = ARGUMENT_HELP)]
    pub(crate) args: Vec<String>,
    /// Named arguments: an object of JSON; `-` reads stdin
    #[arg(long, value_name = "JSON")]
    pub(crate) kwargs: Option<String>,
    /// Ask this node and no other: an id, or a name that only one has. With --any or --all: choose among these; several
    #[arg(long, value_name = "P")]
    pub(crate) peer: Vec<String>,
    /// Ask any node that offers it, and another one where it certainly did not run [default, without --peer]
    #[arg(long, conflicts_with = "all")]
    pub(crate) any: bool,
    /// Ask all nodes that offer it: one outcome for each, then the sum
    #[arg(long, conflicts_with = "repeat")]
    pub(crate) all: bool,
    /// Print each item of a stream as it comes; the deadline bounds all of it
    #[arg(long, conflicts_with_all = ["all", "repeat"])]
    pub(crate) stream: bool,
    /// Send this file along, as a stream of bytes; the deadline bounds all of it
    #[arg(long, value_name = "F", conflicts_with_all = ["all", "repeat"])]
    pub(crate) file: Option<PathBuf>,
    /// Wait until it is accepted for sending, and for nothing else: what becomes of it is not told
    #[arg(long, conflicts_with_all = ["all", "stream", "file"])]
    pub(crate) notify: bool,
    /// Where the link is lost before the answer has come, ask the same node again; it runs the call once at most
    #[arg(long, conflicts_with_all = ["all", "stream", "file", "notify"])]
    pub(crate) idempotent: bool,
    /// Only members of this group; several: of any of them
    #[arg(long, value_name = "G")]
    pub(crate) group: Vec<Group>,
    /// Only hubs
    #[arg(long)]
    pub(crate) hubs: bool,
    /// Only nodes on this machine
    #[arg(long)]
    pub(crate) on_host: bool,
    /// The node that calls may answer itself
    #[arg(long)]
    pub(crate) include_self: bool,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Deadline of each call; also how long to wait until it is known who offers it
    #[arg(long, value_name = "D", default_value = "30s", value_parser = quantity::duration)]
    pub(crate) deadline: Duration,
    /// Make this many calls, going on after errors, and sum up
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
#[command(after_help = SERVE_EXAMPLES.to_owned() + &exit::table(), group = ArgGroup::new("answer").required(true).args(["echo", "command", "file_sink"]))]
pub(crate) struct Serve {
    /// The tag under which others call it
    #[arg(value_name = "TAG")]
    pub(crate) tag: Tag,
    /// Answer with the argument: one alone as it is, otherwise `[args, kwargs]`
    #[arg(long)]
    pub(crate) echo: bool,
    /// Run this for each call: its stdin is one line of JSON (tag, args, kwargs, peer, deadline_ms), its stdout is the
    /// answer (JSON if it parses as a whole, else text). Split by a shell's quoting rules, run without a shell
    #[arg(long, value_name = "CMD")]
    pub(crate) command: Option<String>,
    /// Take the files that others send into this folder, and tell of each. Nothing is overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) file_sink: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Calls answered at once, at most 64; one more is told to come again later
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) concurrency: u16,
    /// Groups of the node that is started when none runs
    #[arg(long, value_name = "G")]
    pub(crate) group: Vec<Group>,
    /// Answer this node alone; several: any of them. All others are refused
    #[arg(long, value_name = "ID")]
    pub(crate) allow: Vec<NodeId>,
    /// What `describe` is to say of it
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) jsonl: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = SEND_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Send {
    /// Whom to send it to: an id, or a name that only one has
    #[arg(value_name = "PEER")]
    pub(crate) peer: String,
    /// The file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The tag under which it takes files
    #[arg(long, value_name = "TAG", default_value = "files")]
    pub(crate) tag: Tag,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = SERVICES_EXAMPLES.to_owned() + &exit::table())]
pub(crate) struct Services {
    /// Only those of this node: an id, or a name that only one has
    #[arg(value_name = "PEER")]
    pub(crate) peer: Option<String>,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// How long each node may take to answer
    #[arg(long, value_name = "D", default_value = "5s", value_parser = quantity::duration)]
    pub(crate) deadline: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Arguments, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Describe {
    /// The tag under which it is served
    #[arg(value_name = "TAG")]
    pub(crate) tag: Tag,
    #[command(flatten)]
    pub(crate) acting: Acting,
    /// How long each node may take to answer
    #[arg(long, value_name = "D", default_value = "5s", value_parser = quantity::duration)]
    pub(crate) deadline: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A name of a service.
#[derive(Clone, Debug)]
pub(crate) struct Tag(pub(crate) String);

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Tag, String> {
        match peerage::codec::is_tag(text) {
            true => Ok(Tag(text.to_owned())),
            false => Err("a tag is 1 to 255 of the characters A–Z a–z 0–9 . _ / -".to_owned()),
        }
    }
}

/// Not a doc comment, because rustdoc would take the brackets for links.
const ARGUMENT_HELP: &str = "\
Arguments: each is JSON if it parses as a whole, else a string; `-` reads stdin. Bytes are {\"$bin\":\"00ff\"}, NaN is \
{\"$f64\":\"NaN\"}, a map with other keys than strings {\"$map\":[[k,v],…]}";

const CALL_EXAMPLES: &str = "\
Examples:
  peerage call add 2 3
  peerage call img.resize - --peer b --kwargs '{\"width\": 640}' --json < picture.json
  peerage call disk.free --all --group workers --jsonl
  peerage call img.store holiday --file picture.png --deadline 5m
  peerage call add 2 3 --repeat 10000 --concurrency 64

";

const SEND_EXAMPLES: &str = "\
The receiver runs `peerage serve files --file-sink DIR`. Cut off and said again, it goes on behind what has arrived; both ends compare \
the SHA-256 of the whole file at the end.

Examples:
  peerage send b report.pdf

";

const SERVICES_EXAMPLES: &str = "\
Each node tells of its own services, since it was started: calls at work, answered, failed, put off because there was no room, \
and how long they took.

Examples:
  peerage services
  peerage services b --json

";

const SERVE_EXAMPLES: &str = "\
It runs until SIGINT or SIGTERM: then it takes no more calls, finishes those it has, and ends; a second one ends it at once. A \
command that prints {\"$flag\":\"NAME\"} answers with that flag. Where no node runs, one is started for as long as it takes.

Examples:
  peerage serve add --command \"jq '.args | add'\"
  peerage serve echo --echo --concurrency 8
  peerage serve files --file-sink /srv/inbox

";
