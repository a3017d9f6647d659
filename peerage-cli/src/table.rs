//! Tables: aligned under a heading on a terminal, else one line a row with tabs between, for `cut` and `awk`.

use std::io::{self, IsTerminal};

use crate::exit::Abort;
use crate::output;

/// Rows with a heading.
pub(crate) struct Table<const COLUMNS: usize> {
    heading: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(heading: [&'static str; COLUMNS]) -> Table<COLUMNS> {
        Table { heading, rows: Vec::new() }
    }

    /// Adds a row. What is in it may come from elsewhere: it is escaped and cut here.
    pub(crate) fn row(&mut self, cells: [&str; COLUMNS]) {
        self.rows.push(cells.map(|cell| match cell {
            "" => "-".to_owned(),
            cell => output::shown(cell),
        }));
    }

    /// Prints it; nothing without rows.
    pub(crate) fn print(&self) -> Result<(), Abort> {
        let lines = if io::stdout().is_terminal() { self.aligned() } else { self.tabbed() };
        lines.iter().try_for_each(|line| output::line(line))
    }

    pub(crate) fn tabbed(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.join("\t")).collect()
    }

    pub(crate) fn aligned(&self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let heading = self.heading.map(str::to_owned);
        let all = || std::iter::once(&heading).chain(&self.rows);
        let widths: [usize; COLUMNS] =
            std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0));
        let line = |row: &[String; COLUMNS]| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        all().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<2> {
        let mut table = Table::new(["name", "state"]);
        table.row(["a", "up"]);
        table.row(["longer\n", ""]);
        table
    }

    #[test]
    fn columns_stand_below_each_other_on_a_terminal() {
        assert_eq!(table().aligned(), ["name      state", "a         up", "longer\\n  -"]);
        assert!(Table::new(["name"]).aligned().is_empty());
    }

    #[test]
    fn elsewhere_each_row_is_a_line_with_tabs() {
        assert_eq!(table().tabbed(), ["a\tup", "longer\\n\t-"]);
    }
}
