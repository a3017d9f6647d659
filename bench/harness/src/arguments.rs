//! The command line that every peer's binary understands.

use std::io;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::workload::Workload;

/// The whole command line: one role.
#[derive(Debug, Parser)]
#[command(about = "One peer of the benchmark: what is measured, or who measures it")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) role: Role,
}

/// What this process does.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Prints `ready <address>` once it listens, then echoes until it is killed or its parent ends.
    Server(Common),
    /// Drives one workload against a server and prints one line of JSON.
    Client(ClientArguments),
    /// Prints `ready <address>` once it can be subscribed to, then publishes until it is killed or its parent ends.
    Pub(PublisherArguments),
    /// Subscribes to a publisher, counts what arrives and prints one line of JSON.
    Sub(ClientArguments),
}

/// Options of every role.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value_t = Runtime::Current)]
    pub(crate) runtime: Runtime,
    /// Pins the process to this CPU before the runtime starts; unpinned without.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// A variant that only this peer knows, for example the transport.
    #[arg(long, default_value = "")]
    pub(crate) mode: String,
}

/// Options of the publisher.
#[derive(Args, Debug)]
pub(crate) struct PublisherArguments {
    /// Options of every role.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What will be measured.
    #[arg(long)]
    pub(crate) workload: Workload,
}

/// Options of the client and of the subscriber.
#[derive(Args, Debug)]
pub(crate) struct ClientArguments {
    /// Options of every role.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to measure.
    #[arg(long)]
    pub(crate) workload: Workload,
    /// The address that the server or publisher announced.
    #[arg(long)]
    pub(crate) address: String,
    /// The server's or publisher's process, whose CPU time, context switches and memory are read from `/proc`.
    #[arg(long)]
    pub(crate) server_pid: u32,
    /// The measured period, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// How long the load runs before the measured period, in seconds.
    #[arg(long, default_value_t = 0.3)]
    pub(crate) warm_up: f64,
}

/// The tokio runtimes that are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Runtime {
    /// Everything on one thread.
    Current,
    /// The multi-thread runtime with two workers.
    Multi,
}

impl Runtime {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Multi => "multi",
        }
    }

    /// # Errors
    /// When the operating system refuses a poller or a thread.
    pub(crate) fn build(self) -> io::Result<tokio::runtime::Runtime> {
        let mut builder = match self {
            Self::Current => tokio::runtime::Builder::new_current_thread(),
            Self::Multi => tokio::runtime::Builder::new_multi_thread(),
        };
        if self == Self::Multi {
            builder.worker_threads(2);
        }
        builder.enable_all().build()
    }
}

impl Role {
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Server(common) => common,
            Self::Client(arguments) | Self::Sub(arguments) => &arguments.common,
            Self::Pub(arguments) => &arguments.common,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_its_workload_its_server_and_its_place() {
        let line = "limit client --workload W2x8 --address 127.0.0.1:9 --server-pid 7 --cpu 1 --runtime multi";
        let Role::Client(client) = Arguments::parse_from(line.split(' ')).role else {
            panic!("a client was asked for");
        };
        assert_eq!(client.workload, Workload::W2x8);
        assert_eq!(client.server_pid, 7);
        assert_eq!(client.common.cpu, Some(1));
        assert_eq!(client.common.runtime, Runtime::Multi);
    }

    #[test]
    fn a_publisher_is_told_what_will_be_measured_and_its_subscriber_whom_to_ask() {
        let Role::Pub(publisher) = Arguments::parse_from("limit pub --workload W3-1KiB".split(' ')).role else {
            panic!("a publisher was asked for");
        };
        assert_eq!(publisher.workload, Workload::W3Kib1);
        let line = "limit sub --workload W5 --address 127.0.0.1:9 --server-pid 7";
        let Role::Sub(subscriber) = Arguments::parse_from(line.split(' ')).role else {
            panic!("a subscriber was asked for");
        };
        assert_eq!((subscriber.workload, subscriber.server_pid), (Workload::W5, 7));
    }

    #[test]
    fn an_unknown_workload_is_refused() {
        let line = "limit client --workload W99 --address 127.0.0.1:9 --server-pid 7";
        assert!(Arguments::try_parse_from(line.split(' ')).is_err());
    }
}
