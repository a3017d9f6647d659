//! The measured period, the same for every role that measures.

use std::{io, process, time::Instant};

use crate::{
    arguments::ClientArguments,
    measurement::{Figure, Measurement},
    usage::Usage,
    workload::Workload,
};

/// The measured period: what both processes had used when it began.
#[derive(Debug)]
pub(crate) struct Period {
    workload: Workload,
    server_pid: u32,
    client: Usage,
    server: Usage,
    started_at: Instant,
}

impl Period {
    /// # Errors
    /// When the other process is gone.
    pub(crate) fn start(arguments: &ClientArguments) -> io::Result<Self> {
        Ok(Self {
            workload: arguments.workload,
            server_pid: arguments.server_pid,
            client: Usage::of(process::id())?,
            server: Usage::of_family(arguments.server_pid)?,
            started_at: Instant::now(),
        })
    }

    /// Ends the period at once; `figure` gets its length in seconds and may then take its time.
    ///
    /// # Errors
    /// When the other process is gone.
    pub(crate) fn end(self, figure: impl FnOnce(f64) -> Figure) -> io::Result<Measurement> {
        let seconds = self.started_at.elapsed().as_secs_f64();
        let client = Usage::of(process::id())? - self.client;
        let server = Usage::of_family(self.server_pid)? - self.server;
        Ok(Measurement { workload: self.workload, figure: figure(seconds), seconds, client, server })
    }
}
