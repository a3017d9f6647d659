//! Whether the machine is quiet enough to measure on.

use std::{fs, io, thread, time::Duration};

/// Says so on standard error when others use the CPUs right now.
///
/// # Errors
/// When the kernel's counters cannot be read.
pub(crate) fn warn_if_busy() -> io::Result<()> {
    let (busy_before, all_before) = ticks()?;
    thread::sleep(Duration::from_secs(1));
    let (busy, all) = ticks()?;
    let percent = 100 * (busy - busy_before) / (all - all_before).max(1);
    if percent > BUSY_PERCENT_MAX {
        eprintln!("warning: other work takes {percent} % of the CPUs: the figures will be noisy");
    }
    Ok(())
}

/// Ticks of all CPUs since start: those in use, and all.
fn ticks() -> io::Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are already in user.
    let ticks: Vec<u64> = first.split_ascii_whitespace().skip(1).take(8).filter_map(|text| text.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

/// A machine that does nothing else stays below.
const BUSY_PERCENT_MAX: u64 = 5;
