//! The questions that every peer is asked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The content of every request, 64 bytes. The answer is the same content.
pub const PAYLOAD: [u8; 64] = *b"sixty-four bytes of content that each peer echoes, no more------";

/// Which question is asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Workload {
    /// Ping-pong, one in flight, both processes on one CPU.
    #[serde(rename = "W1-one-cpu")]
    W1OneCpu,
    /// Ping-pong, one in flight, each process on a CPU of its own.
    #[serde(rename = "W1-two-cpus")]
    W1TwoCpus,
    /// 64 callers on one connection.
    W2,
    /// 64 callers on each of eight connections.
    #[serde(rename = "W2x8")]
    W2x8,
    /// One publisher, one subscriber, events of 64 bytes.
    #[serde(rename = "W3-64B")]
    W3Bytes64,
    /// The same with 1 KiB.
    #[serde(rename = "W3-1KiB")]
    W3Kib1,
    /// The same with 64 KiB.
    #[serde(rename = "W3-64KiB")]
    W3Kib64,
    /// One publisher, eight subscriber connections, events of 64 bytes.
    W5,
    /// The server's memory for 2,000 idle connections, each of which made one request.
    W6,
}

/// What the two processes of a measurement do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Roles {
    /// A server that answers and a client that asks and measures.
    ServerAndClient,
    /// A publisher, and a subscriber that measures what arrives.
    PublisherAndSubscriber,
}

/// Where the two processes of a measurement run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pins {
    /// Both on the same CPU.
    OneCpu,
    /// Each on its own CPU.
    TwoCpus,
    /// Each on its own CPU when it has one thread; where the scheduler likes when it has more.
    TwoCpusIfSingleThreaded,
}

impl Workload {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::W1OneCpu,
        Self::W1TwoCpus,
        Self::W2,
        Self::W2x8,
        Self::W3Bytes64,
        Self::W3Kib1,
        Self::W3Kib64,
        Self::W5,
        Self::W6,
    ];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::W1OneCpu => "W1-one-cpu",
            Self::W1TwoCpus => "W1-two-cpus",
            Self::W2 => "W2",
            Self::W2x8 => "W2x8",
            Self::W3Bytes64 => "W3-64B",
            Self::W3Kib1 => "W3-1KiB",
            Self::W3Kib64 => "W3-64KiB",
            Self::W5 => "W5",
            Self::W6 => "W6",
        }
    }

    /// The family that `--only` may name: `W1` stands for both placements, `W3` for all sizes.
    pub fn family(self) -> &'static str {
        match self {
            Self::W1OneCpu | Self::W1TwoCpus => "W1",
            Self::W3Bytes64 | Self::W3Kib1 | Self::W3Kib64 => "W3",
            other => other.name(),
        }
    }

    /// What its processes do.
    pub fn roles(self) -> Roles {
        match self {
            Self::W1OneCpu | Self::W1TwoCpus | Self::W2 | Self::W2x8 | Self::W6 => Roles::ServerAndClient,
            Self::W3Bytes64 | Self::W3Kib1 | Self::W3Kib64 | Self::W5 => Roles::PublisherAndSubscriber,
        }
    }

    /// Content of each request or event, in bytes.
    pub fn payload_bytes(self) -> usize {
        match self {
            Self::W3Kib1 => 1024,
            Self::W3Kib64 => 64 * 1024,
            _ => PAYLOAD.len(),
        }
    }

    /// Connections that hear every event; none where there are no events.
    pub fn subscribers(self) -> usize {
        match (self.roles(), self) {
            (Roles::ServerAndClient, _) => 0,
            (Roles::PublisherAndSubscriber, Self::W5) => SUBSCRIBERS_MANY,
            (Roles::PublisherAndSubscriber, _) => 1,
        }
    }

    /// Where its processes run.
    pub fn pins(self) -> Pins {
        match self {
            Self::W1OneCpu => Pins::OneCpu,
            Self::W1TwoCpus => Pins::TwoCpus,
            _ => Pins::TwoCpusIfSingleThreaded,
        }
    }

    /// Whether a larger figure is the better one.
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::W2 | Self::W2x8) || self.roles() == Roles::PublisherAndSubscriber
    }

    /// What the figure in the table counts.
    pub fn unit(self) -> &'static str {
        match self {
            Self::W1OneCpu | Self::W1TwoCpus => "µs, p50",
            Self::W2 | Self::W2x8 => "requests/s",
            Self::W3Bytes64 | Self::W3Kib1 | Self::W3Kib64 | Self::W5 => "delivered/s",
            Self::W6 => "KiB a connection at the server",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(text: &str) -> Result<Self, UnknownWorkload> {
        let known = Self::ALL.into_iter().find(|workload| workload.name() == text);
        known.ok_or_else(|| UnknownWorkload(text.to_owned()))
    }
}

/// There is no workload of this name.
#[derive(Debug, Eq, PartialEq)]
pub struct UnknownWorkload(pub String);

impl fmt::Display for UnknownWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Workload::ALL.map(Workload::name).join(", ");
        write!(f, "no workload is called {:?}; there are {known}", self.0)
    }
}

impl std::error::Error for UnknownWorkload {}

/// Callers on each connection of W2 and W2x8.
pub(crate) const CALLERS: usize = 64;
/// Connections of W2x8.
pub(crate) const CONNECTIONS_MANY: usize = 8;
/// Subscriber connections of W5.
const SUBSCRIBERS_MANY: usize = 8;
/// Connections of W6.
pub(crate) const CONNECTIONS_IDLE: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_workload() {
        for workload in Workload::ALL {
            assert_eq!(workload.to_string().parse(), Ok(workload));
            assert_eq!(serde_json::to_string(&workload).unwrap(), format!("{:?}", workload.name()));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let why = "W99".parse::<Workload>().unwrap_err();
        assert!(why.to_string().contains("W2x8"));
    }
}
