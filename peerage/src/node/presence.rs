//! Is somebody there? Three answers, because a node that has just started knows little.
//!
//! *Present*: a member that is up or suspect says so in its signed record. *Absent*: all there is to know is known, and
//! nobody says so. *Not yet known*: otherwise, and whoever asks waits, because it becomes one of the others in time.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use peerage_proto::limits;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::Node;
use super::filter::Filter;
use super::reading::Reading as _;
use super::shared::{Phase, Shared};
use super::snapshot::{PeerEntry, PeerState, Peers};

/// Whether somebody is there, as far as a node knows now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "presence", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Presence {
    /// These nodes are meant, those that are suspect last.
    Present {
        /// At least one.
        nodes: Vec<PeerEntry>,
    },
    /// Nobody is meant, and all there is to know is known.
    Absent {
        /// Number of the view that says so.
        as_of: u64,
    },
    /// Nobody that is known is meant, but not all is known.
    NotYetKnown {
        /// What is missing.
        missing: Vec<String>,
    },
}

/// Why [`Node::find`] found no node, or not one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// All there is to know is known, and nobody has this id or name.
    #[error("no node has the id or name {who:?}")]
    Absent {
        /// Who was looked for.
        who: String,
        /// Number of the view that says so.
        as_of: u64,
    },
    /// Time passed before all there is to know was known.
    #[error("{who:?} is not yet known: {}", missing.join("; "))]
    NotYetKnown {
        /// Who was looked for.
        who: String,
        /// What was missing.
        missing: Vec<String>,
    },
    /// The name fits several nodes.
    #[error("several nodes are called {who:?}, say the id of one: {}", ids.join(", "))]
    Ambiguous {
        /// Who was looked for.
        who: String,
        /// Their ids.
        ids: Vec<String>,
    },
    /// The node that was asked has stopped.
    #[error("this node has stopped")]
    ShuttingDown,
}

/// A node that is being looked for. Made by [`Node::find`]; await it.
#[derive(Debug)]
#[must_use = "nobody is looked for before it is awaited"]
pub struct Finding<'a> {
    node: &'a Node,
    who: &'a str,
    within: Duration,
}

impl<'a> Finding<'a> {
    /// How long *not yet known* is waited out. Default 30 s, as the deadline of a call.
    pub fn within(mut self, time: Duration) -> Finding<'a> {
        self.within = time;
        self
    }
}

impl<'a> IntoFuture for Finding<'a> {
    type Output = Result<PeerEntry, FindError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.node.shared().find(self.who, self.within).await })
    }
}

impl Node {
    /// Whether a node with this id or name is there, as far as is known now. This node itself counts.
    pub fn presence(&self, who: &str) -> Presence {
        self.shared().presence(who)
    }

    /// Finds the one live node with this id or name, and waits as long as it is not yet known whether there is one.
    ///
    /// ```
    /// # use peerage::Node;
    /// # async fn ask(node: Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let printer = node.find("printer").await?;
    /// println!("{} runs on {}", printer.id, printer.machine);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FindError`]: nobody is there, or time passed before that was known, or several fit.
    pub fn find<'a>(&'a self, who: &'a str) -> Finding<'a> {
        Finding { node: self, who, within: limits::CALL_DEADLINE_DEFAULT }
    }

    /// Waits until this node has met others and knows all that they know: from then on whoever is not in
    /// [`peers`](Self::peers) is not there. A node that meets nobody waits for ever; bound it with a timeout.
    ///
    /// # Errors
    /// [`FindError::ShuttingDown`] if it stops before.
    pub async fn joined(&self) -> Result<Peers, FindError> {
        self.shared().until(|peers| peers.complete.then(|| peers.clone())).await
    }
}

impl Shared {
    pub(super) fn presence(&self, who: &str) -> Presence {
        let peers = self.peers();
        let mut nodes: Vec<PeerEntry> = peers.clone().matching(&Filter::new().peer(who)).peers.into_iter().collect();
        if peers.own.id == who || peers.own.name == who {
            nodes.push(self.own_entry());
        }
        nodes.sort_by_key(|entry| entry.state == PeerState::Suspect);
        match nodes.is_empty() {
            false => Presence::Present { nodes },
            true if peers.complete => Presence::Absent { as_of: peers.version },
            true => Presence::NotYetKnown { missing: peers.missing },
        }
    }

    /// Waits while it is not yet known.
    pub(super) async fn presence_within(&self, who: &str, within: Duration) -> Result<Presence, FindError> {
        let due = Instant::now() + within;
        let known = self.until(|_| match self.presence(who) {
            Presence::NotYetKnown { .. } => None,
            known => Some(known),
        });
        timeout_at(due, known).await.unwrap_or_else(|_| Ok(self.presence(who)))
    }

    pub(super) async fn find(&self, who: &str, within: Duration) -> Result<PeerEntry, FindError> {
        let who = who.to_owned();
        match self.presence_within(&who, within).await? {
            Presence::Present { mut nodes } if nodes.len() == 1 => Ok(nodes.swap_remove(0)),
            Presence::Present { nodes } => {
                Err(FindError::Ambiguous { who, ids: nodes.into_iter().map(|entry| entry.id).collect() })
            }
            Presence::Absent { as_of } => Err(FindError::Absent { who, as_of }),
            Presence::NotYetKnown { missing } => Err(FindError::NotYetKnown { who, missing }),
        }
    }

    /// Waits until what is known gives an answer.
    async fn until<T>(&self, answer: impl Fn(&Peers) -> Option<T>) -> Result<T, FindError> {
        let mut view = self.watch_view();
        loop {
            view.mark_unchanged();
            if let Some(answer) = answer(&self.peers()) {
                return Ok(answer);
            }
            if self.phase() == Phase::Stopped {
                return Err(FindError::ShuttingDown);
            }
            tokio::select! {
                // A link that has just been admitted shows before the view does, so it is looked at again soon.
                _ = tokio::time::timeout(LOOK_AGAIN, view.changed()) => {}
                () = self.stopped.cancelled() => return Err(FindError::ShuttingDown),
            }
        }
    }
}

/// How long what is known is taken for granted while nothing is published.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);
