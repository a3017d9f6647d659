//! Logs: what the library says about its work, on stderr, through a filter that may be changed while it runs.

use std::fmt;

use clap::ValueEnum;
use peerage::node::LogFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::exit::Abort;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// The log of this process, once it is started.
#[derive(Clone)]
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Sends log lines that pass the filter to stderr.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<Logs, Abort> {
    let filter = parse(filter).map_err(|why| Abort::Usage(format!("--log {why}")))?;
    let (layer, filter) = reload::Layer::new(filter);
    let filtered = tracing_subscriber::registry().with(layer);
    // Without colours, on a terminal too: the library that makes them is left out.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => filtered.with(lines).init(),
        LogFormat::Json => filtered.with(lines.json()).init(),
    }
    Ok(Logs { filter })
}

/// The text, if it is a filter.
pub(crate) fn filter(text: &str) -> Result<String, String> {
    parse(text).map(|_| text.to_owned())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|why| format!("`{filter}`: {why}; write a level such as debug, or parts such as peerage=trace,warn"))
}

impl LogFilter for Logs {
    fn filter(&self) -> String {
        self.filter.with_current(EnvFilter::to_string).unwrap_or_default()
    }

    fn set(&self, filter: &str) -> Result<(), String> {
        self.filter.reload(parse(filter)?).map_err(|why| why.to_string())
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("filter", &self.filter()).finish()
    }
}

/// What is logged unless somebody says otherwise.
pub(crate) const FILTER: &str = "warn";
