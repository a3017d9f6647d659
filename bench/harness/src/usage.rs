//! What a process used, as the kernel counts it.
//!
//! The client reads its own counters and the server's at both ends of the measured period, so that start-up, connecting and
//! the warm-up are not in the figures.

use std::{
    fs, io,
    ops::{Add, Sub},
};

use serde::{Deserialize, Serialize};

/// CPU time and context switches of one process, all threads together.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Usage {
    /// Time in user code, ms. The kernel counts in ticks of 10 ms.
    pub user_ms: u64,
    /// Time in the kernel, ms, with the same grain.
    pub system_ms: u64,
    /// Switches because a thread had nothing to do.
    pub switches_voluntary: u64,
    /// Switches because another thread wanted the CPU.
    pub switches_involuntary: u64,
}

impl Usage {
    /// What the process used since it started.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user_ms, system_ms) = cpu_times(&stat).ok_or_else(|| malformed("stat"))?;
        let mut usage = Self { user_ms, system_ms, ..Self::default() };
        // The switches in the process's own `status` are those of its main thread.
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread that ended since then takes its switches along.
            let Ok(status) = fs::read_to_string(thread?.path().join("status")) else {
                continue;
            };
            usage.switches_voluntary += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            usage.switches_involuntary += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        Ok(usage)
    }

    /// What the process and the processes that it started have used: a broker counts as part of who needs it.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn of_family(pid: u32) -> io::Result<Self> {
        let mut sum = Self::of(pid)?;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread that ended since then has no children; neither has one where the kernel does not list them.
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            for child in children.split_ascii_whitespace().filter_map(|text| text.parse().ok()) {
                sum = sum + Self::of_family(child).unwrap_or_default();
            }
        }
        Ok(sum)
    }

    /// User and system time together, µs.
    pub fn cpu_us(&self) -> f64 {
        (self.user_ms + self.system_ms) as f64 * 1e3
    }

    /// Switches of either kind.
    pub fn switches(&self) -> u64 {
        self.switches_voluntary + self.switches_involuntary
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user_ms: self.user_ms + other.user_ms,
            system_ms: self.system_ms + other.system_ms,
            switches_voluntary: self.switches_voluntary + other.switches_voluntary,
            switches_involuntary: self.switches_involuntary + other.switches_involuntary,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user_ms: self.user_ms.saturating_sub(earlier.user_ms),
            system_ms: self.system_ms.saturating_sub(earlier.system_ms),
            switches_voluntary: self.switches_voluntary.saturating_sub(earlier.switches_voluntary),
            switches_involuntary: self.switches_involuntary.saturating_sub(earlier.switches_involuntary),
        }
    }
}

/// The process's resident memory, in bytes.
///
/// Read from the page tables (`smaps_rollup`): the counter in `statm` is kept per CPU and may lag by some hundred KiB.
///
/// # Errors
/// When there is no such process, or it belongs to someone else.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = field(&rollup, "Rss:").ok_or_else(|| malformed("smaps_rollup"))?;
    Ok(kib * 1024)
}

/// User and system time in ms from the text of `/proc/<pid>/stat`.
fn cpu_times(stat: &str) -> Option<(u64, u64)> {
    // The second field is the name in parentheses and may itself hold spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let mut next_ms = || Some(fields.next()?.parse::<u64>().ok()? * 1000 / ticks_per_second);
    Some((next_ms()?, next_ms()?))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot read the kernel's {file}"))
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194304 100 0 0 0 25 50 0 0 20 0 1 0 1";
        let tick = 1000 / rustix::param::clock_ticks_per_second();
        assert_eq!(cpu_times(stat), Some((25 * tick, 50 * tick)));
    }

    #[test]
    fn a_process_can_read_its_own_usage_and_memory() {
        assert!(Usage::of(process::id()).is_ok());
        assert!(resident_bytes(process::id()).unwrap() > 64 * 1024);
    }

    #[test]
    fn what_a_child_uses_counts_with_its_parent() {
        let mut busy = process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let tick = 1000 / rustix::param::clock_ticks_per_second();
        while Usage::of(busy.id()).unwrap().user_ms < 5 * tick {
            std::thread::yield_now();
        }
        let alone = Usage::of(process::id());
        let family = Usage::of_family(process::id());
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(family.unwrap().cpu_us() >= alone.unwrap().cpu_us() + 5e3 * tick as f64);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(Usage::of(u32::MAX).is_err());
        assert!(resident_bytes(u32::MAX).is_err());
    }
}
