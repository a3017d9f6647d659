//! The ready line: what a server says once it can be reached, on stdout and to whoever started it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;

use crate::exit::Abort;
use crate::output;

/// An inherited descriptor that gets the ready line and is closed then.
#[derive(Debug)]
pub(crate) struct ReadyFd(File);

impl ReadyFd {
    /// Makes an inherited descriptor ours.
    ///
    /// A descriptor that is only known by its number cannot be owned without `unsafe`. So it is opened once more under its
    /// name, and the inherited one is closed at once: it would otherwise stay open in every command we start, and whoever
    /// waits for its end would wait for ever.
    pub(crate) fn take_over(number: RawFd) -> Result<ReadyFd, Abort> {
        let usage = |why: io::Error| {
            Abort::Usage(format!(
                "--ready-fd {number}: {why}; it must be an open pipe or file, as in --ready-fd 3 3>file"
            ))
        };
        let file = File::options().append(true).open(format!("/dev/fd/{number}")).map_err(usage)?;
        nix::unistd::close(number).map_err(|why| usage(why.into()))?;
        Ok(ReadyFd(file))
    }
}

/// Says the ready line. Whoever was to read it may have gone; the server is there for others too.
pub(crate) fn say(line: &str, ready_fd: Option<ReadyFd>) -> Result<(), Abort> {
    if let Some(ReadyFd(mut file)) = ready_fd {
        match file.write_all(format!("{line}\n").as_bytes()) {
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => {}
            done => done.map_err(|why| Abort::Failed(format!("cannot write to --ready-fd: {why}")))?,
        }
    }
    match output::line(line) {
        Err(Abort::PipeClosed) => Ok(()),
        done => done,
    }
}
