//! Measures every peer in interleaved rounds and prints the table.
//!
//! A single figure on a shared machine says little. So each question goes to all peers one after the other, all questions
//! together make a round, and the rounds are repeated: a slow minute hits every peer alike, and the median drops it. What
//! counts is the ratio of two medians of the same run.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use clap::Parser;
use harness::{Workload, cpus_allowed};

use crate::{
    peers::{ROWS, Row},
    report::Report,
    session::Session,
};

mod peers;
mod processor;
mod report;
mod session;
mod statistics;

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("{failures} measurements failed");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Measures every peer in interleaved rounds and prints the table.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each question is asked; the median is reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The measured period, in seconds; W6 has none.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only these workloads (W1, W1-one-cpu, W1-two-cpus, W2, W2x8, W3, W3-64B, W3-1KiB, W3-64KiB, W5, W6); all without.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these peers, by the name of their binary; all without.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Where the figures of all rounds go, as JSON; `bench.json` in the target directory without.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measures the binaries that are there, without asking cargo to bring them up to date.
    #[arg(long)]
    no_build: bool,
}

/// Asks all questions, prints the tables, and says how many measurements failed.
fn measure(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let workloads = chosen_workloads(&arguments.only)?;
    let mut report = Report::new(arguments.rounds, arguments.seconds);
    let mut rows = chosen_rows(&arguments.peers)?;
    rows.retain(|row| workloads.iter().any(|&workload| row.answers(workload)));
    let target = target_directory()?;
    leave_out(&mut rows, &mut report, |row| row.lacks());
    if !arguments.no_build {
        let failures = build(&rows, &target)?;
        leave_out(&mut rows, &mut report, |row| failures.get(row.binary).cloned());
    }
    let cpus = cpus_allowed()?;
    if cpus.len() < 2 {
        eprintln!("warning: only one CPU: figures for two CPUs are left out, client and server share it");
    }
    processor::warn_if_busy()?;

    fs::create_dir_all(session::scratch())?;
    let mut failures = 0;
    for round in 1..=arguments.rounds {
        for &workload in workloads.iter().filter(|&&workload| workload != Workload::W1TwoCpus || cpus.len() > 1) {
            for row in rows.iter().filter(|row| row.answers(workload)) {
                let started_at = Instant::now();
                let session = Session::new(row, workload, &cpus, Duration::from_secs_f64(arguments.seconds));
                match session.measure(&target.join("release")) {
                    Ok(measurement) => {
                        let figure = statistics::plain(measurement.figure.headline());
                        let took = started_at.elapsed().as_secs_f64();
                        let unit = workload.unit();
                        eprintln!("round {round}: {workload:<12} {:<34} {figure:>10} {unit} ({took:.1} s)", row.label);
                        if let Some(lost @ 1..) = measurement.figure.lost() {
                            eprintln!("round {round}: {workload:<12} {:<34} lost {lost} events", row.label);
                        }
                        report.add(row, measurement);
                    }
                    Err(why) => {
                        failures += 1;
                        eprintln!("round {round}: {workload:<12} {:<34} failed: {why}", row.label);
                    }
                }
            }
        }
    }
    fs::remove_dir_all(session::scratch())?;
    print!("{report}");
    let out = arguments.out.clone().unwrap_or_else(|| target.join("bench.json"));
    fs::write(&out, serde_json::to_string_pretty(&report)?)?;
    eprintln!("all rounds: {}", out.display());
    Ok(failures)
}

fn chosen_workloads(only: &[String]) -> Result<Vec<Workload>, Box<dyn Error>> {
    let named = |workload: &Workload, name: &str| name == workload.name() || name == workload.family();
    if let Some(unknown) = only.iter().find(|name| !Workload::ALL.iter().any(|workload| named(workload, name))) {
        return Err(Box::new(harness::UnknownWorkload(unknown.clone())));
    }
    let chosen = |workload: &Workload| only.is_empty() || only.iter().any(|name| named(workload, name));
    Ok(Workload::ALL.into_iter().filter(chosen).collect())
}

fn chosen_rows(peers: &[String]) -> Result<Vec<&'static Row>, Box<dyn Error>> {
    if let Some(unknown) = peers.iter().find(|name| !ROWS.iter().any(|row| row.binary == **name)) {
        return Err(format!("no peer is called {unknown:?}").into());
    }
    let chosen = ROWS.iter().filter(|row| peers.is_empty() || peers.iter().any(|name| name == row.binary));
    let (there, missing): (Vec<_>, Vec<_>) = chosen.partition(|row| row.has_source());
    for row in missing {
        eprintln!("{}: not in peers/ yet, left out", row.label);
    }
    Ok(there)
}

/// The directory that holds `release/`: the one this program was built into.
fn target_directory() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent);
    target.map(Path::to_path_buf).ok_or_else(|| io::Error::other("the runner is not in a target directory"))
}

/// Takes out the rows for which there is a reason, and has the report say it.
fn leave_out(rows: &mut Vec<&'static Row>, report: &mut Report, why: impl Fn(&Row) -> Option<String>) {
    rows.retain(|row| {
        let Some(why) = why(row) else { return true };
        eprintln!("{}: left out: {why}", row.label);
        report.leave_out(row, why);
        false
    });
}

/// Has cargo bring the peers up to date, since `cargo run --bin bench` builds only the runner, and returns those that it
/// could not build.
///
/// Each peer is built by itself: one that lacks a library or a compiler does not take the others along, and none gets the
/// features that another one switched on in a crate they share.
fn build(rows: &[&Row], target: &Path) -> Result<BTreeMap<&'static str, String>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let binaries: BTreeSet<&'static str> = rows.iter().map(|row| row.binary).collect();
    let mut failures = BTreeMap::new();
    for binary in binaries {
        let mut command = Command::new(&cargo);
        command.args(["build", "--release", "--locked", "--manifest-path"]).arg(peers::workspace().join("Cargo.toml"));
        command.arg("--target-dir").arg(target).arg("--package").arg(format!("peer-{binary}"));
        if !command.status()?.success() {
            failures.insert(binary, "cargo could not build it".to_owned());
        }
    }
    Ok(failures)
}
