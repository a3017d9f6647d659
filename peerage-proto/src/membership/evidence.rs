//! Why a member counts as what it counts as: each change of its state, with who saw what.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::word::Answer;
use crate::id::{Epoch, NodeId};
use crate::limits;

/// What a member counts as, here. Every node decides that for itself.
///
/// ```text
///   (unknown) ──joined──▶ Up ◀──▶ Suspect ──▶ Lost ─┐
///                          └──────────┴─────▶ Left ─┴─joined──▶ Up
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// It is there.
    Up,
    /// Something speaks against it, and others are asked.
    Suspect,
    /// It has said goodbye.
    Left,
    /// It is gone without a word.
    Lost,
}

impl State {
    /// All states.
    pub const ALL: [State; 4] = [State::Up, State::Suspect, State::Left, State::Lost];

    /// Whether the member takes part: up or suspect.
    pub fn is_live(self) -> bool {
        matches!(self, State::Up | State::Suspect)
    }

    /// Its name, as people and programs read it.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Suspect => "suspect",
            State::Left => "left",
            State::Lost => "lost",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What was seen that changed a member's state.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Evidence {
    /// A record that it has signed came from a neighbour.
    Record,
    /// A link with it is up.
    Link,
    /// Its link, which was silent, speaks again.
    Heard,
    /// It has signed a new record since it was suspected.
    Refuted,
    /// Its link is silent, or was ended for its silence.
    Silence,
    /// It closed its link without a goodbye.
    Fin,
    /// Its link broke.
    Reset,
    /// This end closed its link, or cut it.
    Cut,
    /// All its addresses refuse.
    Refused,
    /// It was not heard of again here, and a neighbour that was asked could not reach it either.
    Indirect,
    /// Its record is not renewed any more, and there is no link with it.
    Lease,
    /// It said goodbye.
    Left,
    /// A later run of it has begun.
    Restarted,
    /// More members are known than can be kept.
    NoRoom,
}

impl Evidence {
    /// Its name, as people and programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::Record => "record",
            Evidence::Link => "link",
            Evidence::Heard => "heard",
            Evidence::Refuted => "refuted",
            Evidence::Silence => "silence",
            Evidence::Fin => "fin",
            Evidence::Reset => "reset",
            Evidence::Cut => "cut",
            Evidence::Refused => "refused",
            Evidence::Indirect => "indirect",
            Evidence::Lease => "lease",
            Evidence::Left => "left",
            Evidence::Restarted => "restarted",
            Evidence::NoRoom => "no-room",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One change of a member's state, and why this node made it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// What it counted as before. `None`: this run of it was not known. Equal to `to` where only the evidence is new.
    pub from: Option<State>,
    /// What it counts as since.
    pub to: State,
    /// The run of it that this is about.
    pub epoch: Epoch,
    /// What was seen.
    pub evidence: Evidence,
    /// More about it, for people. At most [`limits::EVIDENCE_TEXT_BYTES_MAX`] bytes.
    pub detail: String,
    /// Who handed on the record, where another node did.
    pub informant: Option<NodeId>,
    /// Over which path of the link it was seen, where there is or was a link.
    pub path: Option<String>,
    /// Who was asked about it, and what they said. `None`: nothing in time.
    pub asked: Vec<(NodeId, Option<Answer>)>,
    /// How slow this node was itself: 1 (not at all) to 8.
    pub local_health: u8,
}

/// What was seen, before it is known what it leads to.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) evidence: Evidence,
    pub(super) detail: String,
    pub(super) informant: Option<NodeId>,
    pub(super) path: Option<String>,
    pub(super) asked: Vec<(NodeId, Option<Answer>)>,
}

impl Seen {
    pub(super) fn of(evidence: Evidence) -> Seen {
        Seen { evidence, detail: String::new(), informant: None, path: None, asked: Vec::new() }
    }

    pub(super) fn saying(self, detail: &str) -> Seen {
        let end = detail.floor_char_boundary(limits::EVIDENCE_TEXT_BYTES_MAX);
        Seen { detail: detail[..end].to_owned(), ..self }
    }

    pub(super) fn by(self, informant: NodeId) -> Seen {
        Seen { informant: Some(informant), ..self }
    }
}

/// The evidence as one line for people.
impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.evidence, &self.path) {
            (Evidence::Link, Some(path)) if self.from.is_some_and(State::is_live) => {
                write!(f, "linked again over {path}")?
            }
            (Evidence::Link, Some(path)) => write!(f, "admitted over {path}")?,
            (evidence, path) => {
                write!(f, "{evidence}")?;
                if !self.detail.is_empty() {
                    write!(f, ": {}", self.detail)?;
                }
                if let Some(path) = path {
                    write!(f, " ({path})")?;
                }
            }
        }
        if let Some(informant) = &self.informant {
            write!(f, ", told by {informant}")?;
        }
        for (whom, answer) in &self.asked {
            match answer {
                Some(answer) => write!(f, "; {whom} says {answer}")?,
                None => write!(f, "; {whom} did not answer")?,
            }
        }
        match self.local_health {
            0 | 1 => Ok(()),
            slow => write!(f, "; this node was {slow} times as slow as usual"),
        }
    }
}

/// The latest transitions of one member.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct History(VecDeque<Transition>);

impl History {
    /// Adds one; the oldest makes way.
    pub(super) fn add(&mut self, transition: Transition) {
        if self.0.len() >= limits::TRANSITIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(transition);
    }

    /// Whether the latest is about this run.
    pub(super) fn is_of(&self, epoch: Epoch) -> bool {
        self.0.back().is_some_and(|transition| transition.epoch == epoch)
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.0.iter()
    }
}
