//! Where a process runs and what it may hold.

use std::io;

use rustix::{
    process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Prepares the process before its runtime starts: threads inherit the CPU that their maker is pinned to.
///
/// # Errors
/// When `cpu` is not one that this process may use.
pub(crate) fn prepare(cpu: Option<usize>) -> io::Result<()> {
    // A runner that dies in mid-measurement leaves no server behind.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    raise_file_limit()?;
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set)?;
    }
    Ok(())
}

/// The CPUs that this process may run on, lowest first.
///
/// # Errors
/// When the operating system does not say.
pub fn cpus_allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Thousands of idle connections need thousands of file descriptors; the usual soft limit is 1,024.
fn raise_file_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}
