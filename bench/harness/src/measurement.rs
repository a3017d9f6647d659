//! The one line of JSON that a client or a subscriber prints.

use serde::{Deserialize, Serialize};

use crate::{usage::Usage, workload::Workload};

/// What one client or subscriber found out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Measurement {
    /// The question.
    pub workload: Workload,
    /// The answer.
    #[serde(flatten)]
    pub figure: Figure,
    /// The measured period, in seconds.
    pub seconds: f64,
    /// What the client's or subscriber's process used in that period.
    pub client: Usage,
    /// What the server's or publisher's process used in that period, and a broker that it started.
    pub server: Usage,
}

/// A workload's figure.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Figure {
    /// Round trip times of one request after the other.
    Latency {
        /// Half of the round trips took no longer, µs.
        p50_us: f64,
        /// 99 % took no longer, µs.
        p99_us: f64,
        /// 99.9 % took no longer, µs.
        p999_us: f64,
        /// Round trips in the period.
        requests: u64,
    },
    /// Answered requests over time.
    Rate {
        /// Answers a second, of all callers together.
        requests_per_second: f64,
        /// Answers in the period.
        requests: u64,
    },
    /// Events that arrived, over time.
    Delivery {
        /// Arrivals a second, at all subscriber connections together.
        messages_per_second: f64,
        /// What they carried, 10⁶ bytes a second.
        megabytes_per_second: f64,
        /// Arrivals in the period.
        messages: u64,
        /// Events that are missing between two that arrived, from the start to the end of the period.
        lost: u64,
    },
    /// Memory of idle connections.
    Memory {
        /// Growth of the server's resident memory divided by the connections, KiB.
        kib_per_connection: f64,
        /// How many connections there were.
        connections: u64,
    },
}

impl Figure {
    /// The number that stands in the table, in the unit of [`Workload::unit`].
    pub fn headline(&self) -> f64 {
        match *self {
            Self::Latency { p50_us, .. } => p50_us,
            Self::Rate { requests_per_second, .. } => requests_per_second,
            Self::Delivery { messages_per_second, .. } => messages_per_second,
            Self::Memory { kib_per_connection, .. } => kib_per_connection,
        }
    }

    /// Requests or arrivals in the measured period, where the workload has any.
    pub fn requests(&self) -> Option<u64> {
        match *self {
            Self::Latency { requests, .. } | Self::Rate { requests, .. } => Some(requests),
            Self::Delivery { messages, .. } => Some(messages),
            Self::Memory { .. } => None,
        }
    }

    /// Events that got lost, where there are events.
    pub fn lost(&self) -> Option<u64> {
        if let Self::Delivery { lost, .. } = *self { Some(lost) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_survives_its_line_of_json() {
        let measurement = Measurement {
            workload: Workload::W2,
            figure: Figure::Rate { requests_per_second: 5.0, requests: 10 },
            seconds: 2.0,
            client: Usage::default(),
            server: Usage::default(),
        };
        let line = serde_json::to_string(&measurement).unwrap();
        assert!(!line.contains('\n'));
        let back: Measurement = serde_json::from_str(&line).unwrap();
        assert_eq!(back.figure, measurement.figure);
        assert_eq!(back.workload, measurement.workload);
    }
}
