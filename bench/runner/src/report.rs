//! The table that is printed, and the JSON that is kept.

use std::{
    collections::BTreeMap,
    fmt::{self, Formatter},
    fs,
};

use harness::{Figure, Measurement, Roles, Usage, Workload};
use serde::Serialize;

use crate::{
    peers::{LIMIT, ROWS, Row, TARPC},
    statistics::{median, plain},
};

/// All measurements of one run. `Display` gives a table a workload, in Markdown.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rounds: usize,
    seconds: f64,
    rows: BTreeMap<Workload, BTreeMap<&'static str, Vec<Measurement>>>,
    /// Rows that could not be measured here, and why.
    left_out: BTreeMap<&'static str, String>,
}

impl Report {
    pub(crate) fn new(rounds: usize, seconds: f64) -> Self {
        Self { machine: Machine::this(), rounds, seconds, rows: BTreeMap::new(), left_out: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, row: &Row, measurement: Measurement) {
        let rows = self.rows.entry(measurement.workload).or_default();
        rows.entry(row.label).or_default().push(measurement);
    }

    pub(crate) fn leave_out(&mut self, row: &Row, why: String) {
        self.left_out.insert(row.label, why);
    }

    fn median(&self, workload: Workload, row: &Row) -> Option<f64> {
        median(self.rounds_of(workload, row).iter().map(|measurement| measurement.figure.headline()))
    }

    /// The best median of all rows of a peer.
    fn best(&self, workload: Workload, binary: &str) -> Option<f64> {
        let medians = ROWS.iter().filter(|row| row.binary == binary).filter_map(|row| self.median(workload, row));
        let better = if workload.more_is_better() { f64::max } else { f64::min };
        medians.reduce(better)
    }

    fn rounds_of(&self, workload: Workload, row: &Row) -> &[Measurement] {
        self.rows.get(&workload).and_then(|rows| rows.get(row.label)).map_or(&[], Vec::as_slice)
    }

    /// The best median of all peers, Peerage and the limit apart. Who loses events is not in the race.
    fn best_peer(&self, workload: Workload) -> Option<f64> {
        let rows = ROWS.iter().filter(|row| row.is_peer() && self.lost(workload, row) == 0);
        rows.filter_map(|row| self.median(workload, row)).reduce(f64::max)
    }

    /// Events lost in all rounds together.
    fn lost(&self, workload: Workload, row: &Row) -> u64 {
        self.rounds_of(workload, row).iter().filter_map(|measurement| measurement.figure.lost()).sum()
    }

    fn write_workload(&self, workload: Workload, f: &mut Formatter<'_>) -> fmt::Result {
        let better = if workload.more_is_better() { "more" } else { "less" };
        writeln!(f, "\n**{workload}**, {}; {better} is better\n", workload.unit())?;
        match workload.roles() {
            Roles::ServerAndClient => self.write_requests(workload, f),
            Roles::PublisherAndSubscriber => self.write_events(workload, f),
        }
    }

    fn write_requests(&self, workload: Workload, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| | median | lowest – highest | p99 | p99.9 | × limit | × tarpc's better | server CPU µs/request | client CPU \
             µs/request | server switches/request | client switches/request |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        self.write_rows(workload, f, |rounds, middle, f| {
            for tail in [p99_us, p999_us] {
                write!(f, "| {} ", cell(median(rounds.iter().filter_map(tail)), plain))?;
            }
            let ratio = |to: Option<f64>| cell(to.map(|to| middle / to), |ratio| format!("{ratio:.2}"));
            write!(f, "| {} | {} ", ratio(self.best(workload, LIMIT)), ratio(self.best(workload, TARPC)))
        })
    }

    fn write_events(&self, workload: Workload, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| | median | lowest – highest | MB/s | lost | × limit | × best peer | publisher CPU µs/event | subscriber CPU \
             µs/event | publisher switches/event | subscriber switches/event |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        self.write_rows(workload, f, |rounds, middle, f| {
            write!(f, "| {} ", cell(median(rounds.iter().filter_map(megabytes_per_second)), plain))?;
            let lost: u64 = rounds.iter().filter_map(|measurement| measurement.figure.lost()).sum();
            write!(f, "| {} ", if lost == 0 { "0".to_owned() } else { format!("**{lost}**") })?;
            let ratio = |to: Option<f64>| cell(to.map(|to| middle / to), |ratio| format!("{ratio:.2}"));
            write!(f, "| {} | {} ", ratio(self.best(workload, LIMIT)), ratio(self.best_peer(workload)))
        })
    }

    /// One line a row: the figure, what `middle_columns` adds, and what both processes used.
    fn write_rows(
        &self,
        workload: Workload,
        f: &mut Formatter<'_>,
        middle_columns: impl Fn(&[Measurement], f64, &mut Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        for row in ROWS {
            let rounds = self.rounds_of(workload, row);
            let Some(middle) = self.median(workload, row) else {
                continue;
            };
            let figures = || rounds.iter().map(|measurement| measurement.figure.headline());
            let lowest = figures().fold(f64::INFINITY, f64::min);
            let highest = figures().fold(0.0, f64::max);
            let figure = self.figure(workload, row, middle);
            write!(f, "| {} | {figure} | {} – {} ", row.label, plain(lowest), plain(highest))?;
            middle_columns(rounds, middle, f)?;
            let shares: [fn(&Measurement) -> f64; 4] = [
                |measurement| measurement.server.cpu_us(),
                |measurement| measurement.client.cpu_us(),
                |measurement| switches(&measurement.server),
                |measurement| switches(&measurement.client),
            ];
            for used in shares {
                let per_request = rounds.iter().filter_map(|one| Some(used(one) / one.figure.requests()? as f64));
                write!(f, "| {} ", cell(median(per_request), |share| format!("{share:.3}")))?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }

    /// A median as it stands in a table: struck out where events were lost, because it is no figure of the same question.
    fn figure(&self, workload: Workload, row: &Row, middle: f64) -> String {
        let figure = plain(middle);
        if self.lost(workload, row) == 0 { figure } else { format!("~~{figure}~~ (lost)") }
    }

    /// All workloads beside each other, one line a row.
    fn write_summary(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\n| median |")?;
        self.rows.keys().try_for_each(|workload| write!(f, " {workload} |"))?;
        write!(f, "\n|---|")?;
        self.rows.keys().try_for_each(|_| write!(f, "--:|"))?;
        writeln!(f)?;
        for row in ROWS {
            let medians: Vec<_> = self.rows.keys().map(|&workload| self.median(workload, row)).collect();
            if medians.iter().any(Option::is_some) {
                write!(f, "| {} |", row.label)?;
                self.rows.keys().zip(medians).try_for_each(|(&workload, middle)| {
                    write!(f, " {} |", cell(middle, |middle| self.figure(workload, row, middle)))
                })?;
                writeln!(f)?;
            }
        }
        for (label, why) in &self.left_out {
            writeln!(f, "\n{label}: left out: {why}")?;
        }
        Ok(())
    }

    /// A limit that tarpc comes close to is not the limit, and no ratio to it means anything.
    fn write_verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for &workload in self.rows.keys().filter(|workload| workload.roles() == Roles::PublisherAndSubscriber) {
            if self.best_peer(workload) > self.best(workload, LIMIT) && self.best(workload, LIMIT).is_some() {
                writeln!(
                    f,
                    "\nwarning: in {workload} a peer is faster than limit: the machine was busy. Ratios to it mean nothing."
                )?;
            }
        }
        let (Some(limit), Some(tarpc)) = (self.best(Workload::W2, LIMIT), self.best(Workload::W2, TARPC)) else {
            return Ok(());
        };
        let ratio = limit / tarpc;
        if ratio >= LIMIT_OVER_TARPC_MIN {
            writeln!(f, "\nlimit's W2 is {ratio:.2} × tarpc's better figure (at least {LIMIT_OVER_TARPC_MIN}).")
        } else {
            writeln!(
                f,
                "\nwarning: limit's W2 is only {ratio:.2} × tarpc's better figure, less than {LIMIT_OVER_TARPC_MIN}: it is not \
                 the limit here, or the machine was busy. Ratios to it mean nothing."
            )
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { model, cpus, kernel } = &self.machine;
        writeln!(f, "{cpus} CPUs ({model}), Linux {kernel}; {} rounds of {} s", self.rounds, self.seconds)?;
        self.write_summary(f)?;
        self.rows.keys().try_for_each(|&workload| self.write_workload(workload, f))?;
        self.write_verdict(f)
    }
}

/// What the figures were taken on.
#[derive(Debug, Serialize)]
struct Machine {
    model: String,
    cpus: usize,
    kernel: String,
}

impl Machine {
    fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            model: model.map_or("unknown", |(_, name)| name).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim_end().to_owned(),
        }
    }
}

fn p99_us(measurement: &Measurement) -> Option<f64> {
    if let Figure::Latency { p99_us, .. } = measurement.figure { Some(p99_us) } else { None }
}

fn p999_us(measurement: &Measurement) -> Option<f64> {
    if let Figure::Latency { p999_us, .. } = measurement.figure { Some(p999_us) } else { None }
}

fn megabytes_per_second(measurement: &Measurement) -> Option<f64> {
    if let Figure::Delivery { megabytes_per_second, .. } = measurement.figure {
        Some(megabytes_per_second)
    } else {
        None
    }
}

fn switches(usage: &Usage) -> f64 {
    usage.switches() as f64
}

fn cell(figure: Option<f64>, show: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), show)
}

/// The least ratio of W2 at which the limit deserves its name.
const LIMIT_OVER_TARPC_MIN: f64 = 2.5;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(limit: f64, tarpc: f64) -> Report {
        let mut report = Report::new(1, 2.0);
        for row in ROWS {
            let requests_per_second = match row.binary {
                LIMIT => limit,
                TARPC => tarpc,
                _ => continue,
            };
            let figure = Figure::Rate { requests_per_second, requests: 10 };
            let (client, server) = (Usage::default(), Usage::default());
            report.add(row, Measurement { workload: Workload::W2, figure, seconds: 2.0, client, server });
        }
        report
    }

    #[test]
    fn a_limit_that_tarpc_comes_close_to_is_called_out() {
        assert!(report(1e6, 5e5).to_string().contains("warning: limit's W2 is only 2.00 ×"));
        assert!(!report(1e6, 3e5).to_string().contains("warning"));
    }

    #[test]
    fn ratios_compare_medians() {
        let table = report(1e6, 2.5e5).to_string();
        assert!(table.contains("| limit | 1.00 M | 1.00 M – 1.00 M | – | – | 1.00 | 4.00 |"), "{table}");
    }

    fn with_events(figures: &[(&str, f64, u64)]) -> Report {
        let mut report = Report::new(1, 2.0);
        for &(label, messages_per_second, lost) in figures {
            let row = ROWS.iter().find(|row| row.label == label).unwrap();
            let megabytes_per_second = messages_per_second * 64.0 / 1e6;
            let figure = Figure::Delivery { messages_per_second, megabytes_per_second, messages: 10, lost };
            let (client, server) = (Usage::default(), Usage::default());
            report.add(row, Measurement { workload: Workload::W5, figure, seconds: 2.0, client, server });
        }
        report
    }

    #[test]
    fn events_are_compared_with_the_limit_and_with_the_best_peer() {
        let table = with_events(&[("limit", 4e7, 0), ("zenoh", 4e6, 0), ("ZeroMQ", 2e6, 0)]).to_string();
        assert!(table.contains("| ZeroMQ | 2.00 M | 2.00 M – 2.00 M | 128 | 0 | 0.05 | 0.50 |"), "{table}");
    }

    #[test]
    fn a_limit_that_a_peer_outruns_is_called_out() {
        let slow = with_events(&[("limit", 4e6, 0), ("zenoh", 5e6, 0)]).to_string();
        assert!(slow.contains("warning: in W5 a peer is faster than limit"), "{slow}");
        assert!(!with_events(&[("limit", 5e6, 0), ("zenoh", 4e6, 0)]).to_string().contains("warning"));
        assert!(!with_events(&[("zenoh", 4e6, 0)]).to_string().contains("warning"));
    }

    #[test]
    fn who_loses_events_is_marked_and_out_of_the_race() {
        let table = with_events(&[("limit", 4e7, 0), ("zenoh", 8e6, 3), ("ZeroMQ", 2e6, 0)]).to_string();
        assert!(table.contains("| zenoh | ~~8.00 M~~ (lost) | 8.00 M – 8.00 M | 512 | **3** |"), "{table}");
        assert!(table.contains("| ZeroMQ | 2.00 M | 2.00 M – 2.00 M | 128 | 0 | 0.05 | 1.00 |"), "{table}");
    }

    #[test]
    fn a_row_that_was_left_out_says_why() {
        let mut report = with_events(&[("limit", 4e7, 0)]);
        report.leave_out(&ROWS[0], "no such program".to_owned());
        assert!(report.to_string().contains("limit: left out: no such program"));
    }

    #[test]
    fn a_peer_that_was_not_measured_has_no_line() {
        assert!(!report(1e6, 2.5e5).to_string().contains("peerage"));
    }
}
