//! Logs: what the library says about its work, on stderr.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::exit::Abort;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends log lines that pass the filter to stderr.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), Abort> {
    let filter = EnvFilter::builder().parse(filter).map_err(|why| {
        Abort::Usage(format!(
            "--log `{filter}`: {why}; write a level such as debug, or parts such as peerage=trace,warn"
        ))
    })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
