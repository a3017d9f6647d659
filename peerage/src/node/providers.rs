//! Who offers a service: present, absent or not yet known, as with nodes.
//!
//! *Present*: somebody who is up or suspect has signed a list that names it. *Absent*: all is known, the lists of all members
//! too, and none names it. *Not yet known*: otherwise, and a call waits, because it becomes one of the others in time. What
//! every node offers (tags that begin with `peerage/`) is offered by every member.

use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, NotSent};
use tokio::time::{Instant, timeout, timeout_at};

use super::Node;
use super::filter::Filter;
use super::presence::{LOOK_AGAIN, Presence};
use super::shared::{Phase, Shared};
use super::snapshot::{PeerEntry, PeerState};

/// Which providers a call may go to.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) filter: Filter,
    /// The calling node may answer itself.
    pub(crate) include_self: bool,
    /// So many must be there.
    pub(crate) at_least: usize,
    /// Until they are, they are waited for, also where all is known.
    pub(crate) waits: bool,
}

/// A node that offers a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Provider {
    pub(crate) id: NodeId,
    pub(crate) is_suspect: bool,
}

/// What is known of a service.
pub(crate) enum Providers {
    Present(Vec<Provider>),
    Absent { as_of: u64 },
    NotYetKnown,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { filter: Filter::new(), include_self: false, at_least: 1, waits: false }
    }
}

impl Node {
    /// Who offers a service, as far as is known now, of the nodes that are meant. This node itself counts as well.
    ///
    /// ```
    /// # use peerage::Node;
    /// use peerage::node::{Filter, Presence};
    ///
    /// # fn ask(node: Node) {
    /// match node.providers("img.resize", &Filter::new().hubs_only()) {
    ///     Presence::Present { nodes } => println!("{} hubs offer it", nodes.len()),
    ///     Presence::Absent { .. } => println!("no hub does"),
    ///     _ => println!("not all hubs have been heard"),
    /// }
    /// # }
    /// ```
    pub fn providers(&self, tag: &str, filter: &Filter) -> Presence {
        let shared = self.shared();
        let (view, missing) = shared.known();
        let machine = shared.machine();
        let members = view.members.iter().filter(|member| member.offers(tag)).map(|member| shared.entry(member));
        let own = shared.offers(tag).then(|| shared.own_entry());
        let mut nodes: Vec<PeerEntry> = members.chain(own).filter(|entry| filter.admits(entry, &machine)).collect();
        nodes.sort_by_key(|entry| entry.state == PeerState::Suspect);
        match nodes.is_empty() {
            false => Presence::Present { nodes },
            true if missing.is_empty() => Presence::Absent { as_of: view.version },
            true => Presence::NotYetKnown { missing },
        }
    }
}

impl Shared {
    /// Who of those that are meant offers a service.
    pub(crate) fn providers(&self, tag: &str, choice: &Choice) -> Providers {
        let (view, missing) = self.known();
        let machine = self.machine();
        let meant = view.members.iter().filter(|member| member.offers(tag));
        let meant = meant.filter(|member| choice.filter.admits(&member.entry, &machine));
        let provider = |entry: &PeerEntry| entry.state == PeerState::Suspect;
        let mut found: Vec<Provider> =
            meant.map(|member| Provider { id: member.id, is_suspect: provider(&member.entry) }).collect();
        if choice.include_self && self.offers(tag) && choice.filter.admits(&self.own_entry(), &machine) {
            found.push(Provider { id: self.facts.id, is_suspect: false });
        }
        match found.len() >= choice.at_least.max(1) {
            true => Providers::Present(found),
            // Who waits for more than there are waits for those who have not started yet.
            false if missing.is_empty() && !choice.waits => Providers::Absent { as_of: view.version },
            false => Providers::NotYetKnown,
        }
    }

    /// As [`providers`](Self::providers); waits while it is not yet known, and until `due`.
    pub(crate) async fn find_providers(
        &self,
        tag: &str,
        choice: &Choice,
        due: Option<Instant>,
    ) -> Result<Vec<Provider>, CallError> {
        let what = || tag.to_owned();
        let waiting = async {
            let mut view = self.watch_view();
            loop {
                view.mark_unchanged();
                match self.providers(tag, choice) {
                    _ if self.phase() != Phase::Running => {
                        return Err(CallError::NotSent { why: NotSent::ShuttingDown });
                    }
                    Providers::Present(found) => return Ok(found),
                    Providers::Absent { as_of } => return Err(CallError::Absent { what: what(), as_of }),
                    Providers::NotYetKnown => {}
                }
                tokio::select! {
                    // A link that has just been admitted shows before the view does, so it is looked at again soon.
                    _ = timeout(LOOK_AGAIN, view.changed()) => {}
                    () = self.stopped.cancelled() => {}
                }
            }
        };
        match due {
            None => waiting.await,
            Some(due) => match timeout_at(due, waiting).await {
                Ok(found) => found,
                Err(_) => Err(self.late(tag, choice)),
            },
        }
    }

    /// Whether this node offers it.
    fn offers(&self, tag: &str) -> bool {
        self.oneself.get().is_some_and(|oneself| oneself.offers(tag))
    }

    /// Why nobody was found until now.
    fn late(&self, tag: &str, choice: &Choice) -> CallError {
        let (view, missing) = self.known();
        let what = tag.to_owned();
        match missing.is_empty() {
            true if self.phase() != Phase::Running => CallError::NotSent { why: NotSent::ShuttingDown },
            // There are some, and fewer than were waited for.
            true => CallError::Absent { what, as_of: view.version },
            false => {
                let wanted = choice.waits.then(|| format!("{} nodes that offer it", choice.at_least));
                CallError::NotYetKnown { what, missing: missing.into_iter().chain(wanted).collect() }
            }
        }
    }
}
