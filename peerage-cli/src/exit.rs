//! Exit codes: one table, from which the help text, the mapping of outcomes and the manual are made.

use std::process::ExitCode;

use peerage::outcome::Outcome;

/// How a run of the program ended, for whoever started it. The numbers never change.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Exit {
    Ok,
    Failed,
    Usage,
    Absent,
    NotYetKnown,
    Refused,
    Deadline,
    DidNotRun,
    Remote,
    ConnectionLost,
    Incompatible,
}

impl Exit {
    /// The code of one outcome.
    pub(crate) fn of(outcome: Outcome) -> Exit {
        match outcome {
            Outcome::Ok => Exit::Ok,
            Outcome::Absent => Exit::Absent,
            Outcome::NotYetKnown => Exit::NotYetKnown,
            Outcome::Refused => Exit::Refused,
            Outcome::NotSent | Outcome::Busy => Exit::DidNotRun,
            Outcome::Incompatible => Exit::Incompatible,
            Outcome::Remote => Exit::Remote,
            Outcome::Deadline => Exit::Deadline,
            Outcome::ConnectionLost => Exit::ConnectionLost,
            Outcome::Cancelled | Outcome::Protocol => Exit::Failed,
        }
    }

    /// The code of several outcomes: 0 if all are ok, the common code if all others share one, else 1.
    pub(crate) fn of_all(outcomes: impl IntoIterator<Item = Outcome>) -> Exit {
        let others = outcomes.into_iter().map(Exit::of).filter(|exit| *exit != Exit::Ok);
        others.reduce(|a, b| if a == b { a } else { Exit::Failed }).unwrap_or(Exit::Ok)
    }

    /// What a process of this program that ended with `code` says.
    pub(crate) fn from_code(code: i32) -> Exit {
        ROWS.iter().find(|(_, row, _)| i32::from(*row) == code).map_or(Exit::Failed, |(exit, ..)| *exit)
    }

    fn code(self) -> u8 {
        ROWS.iter().find(|(exit, ..)| *exit == self).map_or(1, |(_, code, _)| *code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command ended before it had a result to tell of.
#[derive(Debug)]
pub(crate) enum Abort {
    /// The command line makes no sense. Nothing was done.
    Usage(String),
    /// Anything else, with cause and remedy.
    Failed(String),
    /// A failure that has a code of its own, with cause and remedy.
    Ended(Exit, String),
    /// Whoever read our output has gone: there is nobody left to tell anything.
    PipeClosed,
}

impl Abort {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Abort::Usage(_) => Exit::Usage,
            Abort::Failed(_) => Exit::Failed,
            Abort::Ended(exit, _) => *exit,
            Abort::PipeClosed => Exit::Ok,
        }
    }

    /// What to say about it, if anybody is there to hear it.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Abort::Usage(text) | Abort::Failed(text) | Abort::Ended(_, text) => Some(text),
            Abort::PipeClosed => None,
        }
    }
}

/// The table for help texts.
pub(crate) fn table() -> String {
    let rows = ROWS.iter().map(|(_, code, meaning)| format!("  {code}  {meaning}\n"));
    format!(
        "Exit codes:\n{}\nSeveral outcomes (--repeat): 0 if all are ok, the common code if all others share one, else 1.\n",
        rows.collect::<String>()
    )
}

const ROWS: [(Exit, u8, &str); 11] = [
    (Exit::Ok, 0, "ok"),
    (Exit::Failed, 1, "failed, other (also cancelled, protocol error, wrong codec)"),
    (Exit::Usage, 2, "usage: the command line makes no sense, or a name fits several; nothing was done"),
    (Exit::Absent, 3, "absent: all there is to know is known, and it is not there"),
    (Exit::NotYetKnown, 4, "not yet known within the time"),
    (Exit::Refused, 5, "refused (admission, denied, no such service, too large, or a value the codec cannot carry)"),
    (Exit::Deadline, 6, "deadline passed; it may have run"),
    (Exit::DidNotRun, 7, "did not run: not sent (nobody listens, no room), or the peer is busy"),
    (Exit::Remote, 8, "remote error: it ran and failed"),
    (Exit::ConnectionLost, 9, "connection lost; it may have run"),
    (Exit::Incompatible, 10, "no version or encoding in common"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_the_code_of_the_contract() {
        let codes = Outcome::ALL.map(|outcome| (outcome.name(), Exit::of(outcome).code()));
        let table = [
            ("ok", 0),
            ("absent", 3),
            ("not-yet-known", 4),
            ("refused", 5),
            ("not-sent", 7),
            ("busy", 7),
            ("incompatible", 10),
            ("remote", 8),
            ("deadline", 6),
            ("connection-lost", 9),
            ("cancelled", 1),
            ("protocol", 1),
        ];
        assert_eq!(codes, table);
    }

    #[test]
    fn several_outcomes_share_a_code_or_are_a_plain_failure() {
        assert_eq!(Exit::of_all([Outcome::Ok, Outcome::Ok]), Exit::Ok);
        assert_eq!(Exit::of_all([Outcome::Ok, Outcome::Deadline, Outcome::Deadline]), Exit::Deadline);
        assert_eq!(Exit::of_all([Outcome::NotSent, Outcome::Busy]), Exit::DidNotRun);
        assert_eq!(Exit::of_all([Outcome::Deadline, Outcome::Remote]), Exit::Failed);
    }
}
