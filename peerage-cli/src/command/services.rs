//! `peerage services` and `peerage describe`: who offers what, and what became of the calls.
//!
//! Each node is asked itself, since only it knows how its calls ended.

use std::path::Path;
use std::time::Duration;

use peerage::node::snapshot::{PeerEntry, PeerState, Peers, ServiceEntry, Services};
use peerage::outcome::Outcome;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::actor::Actor;
use crate::args;
use crate::called::Called;
use crate::control::{Calls, Invocation, WantedCall};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime;
use crate::several::Ends as _;
use crate::table::Table;
use crate::time::Time;

pub(super) fn run(typed: &args::Services) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        time.seeking();
        let offered = Offered::gather(&mut actor, &home.run_folder(), typed.peer.as_deref(), typed.deadline).await;
        actor.leave().await;
        let offered = offered?;
        match typed.json {
            true => output::object(&offered)?,
            false => offered.table().print()?,
        }
        Ok(offered.exit())
    }))
}

/// `peerage describe`.
pub(super) fn describe(typed: &args::Describe) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        time.seeking();
        let tag = &typed.tag.0;
        let offered = Offered::of_tag(&mut actor, &home.run_folder(), tag, typed.deadline).await;
        actor.leave().await;
        let offered = offered?;
        if offered.services.is_empty() {
            return Err(match offered.complete && offered.silent.is_empty() {
                true => {
                    Abort::Ended(Exit::Absent, format!("no node offers {tag}; `peerage services` lists what there is"))
                }
                false => Abort::Ended(Exit::NotYetKnown, format!("no node that answered offers {tag}")),
            });
        }
        let description = offered.services.iter().find_map(|row| row.service.description.clone());
        let described = Described { tag, description, nodes: &offered.services };
        match typed.json {
            true => output::object(&described)?,
            false => {
                let text = described.description.as_deref().map_or("no description".to_owned(), output::shown);
                output::line(&format!("{tag}: {text}"))?;
                offered.table().print()?;
            }
        }
        Ok(Exit::Ok)
    }))
}

/// What nodes offer.
#[derive(Serialize)]
struct Offered {
    /// Whether all nodes there are were known.
    complete: bool,
    missing: Vec<String>,
    services: Vec<Row>,
    /// Nodes that did not answer.
    silent: Vec<Silent>,
}

/// One service of one node.
#[derive(Serialize)]
struct Row {
    peer: String,
    name: String,
    #[serde(flatten)]
    service: ServiceEntry,
}

#[derive(Serialize)]
struct Silent {
    peer: String,
    name: String,
    outcome: Outcomes,
    message: String,
}

/// An outcome by its name.
struct Outcomes(Outcome);

impl Serialize for Outcomes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

#[derive(Serialize)]
struct Described<'t> {
    tag: &'t str,
    description: Option<String>,
    nodes: &'t [Row],
}

impl Offered {
    /// Asks one node, or all there are, the acting one included.
    async fn gather(actor: &mut Actor, run: &Path, only: Option<&str>, deadline: Duration) -> Result<Offered, Abort> {
        let (peers, nodes) = match only {
            Some(who) => {
                let presence = presence::seek(actor, run, who, deadline).await?;
                let found = presence::only(actor, presence, who).await?;
                (actor.control().peers().await?, vec![(found.id, found.name)])
            }
            None => {
                let is_guest = actor.is_guest();
                let peers = match is_guest {
                    true => presence::settled(actor.control(), presence::GUEST_PATIENCE).await?,
                    false => actor.control().peers().await?,
                };
                let nodes = everybody(&peers, is_guest);
                (peers, nodes)
            }
        };
        let mut offered =
            Offered { complete: peers.complete, missing: peers.missing, services: Vec::new(), silent: Vec::new() };
        let calls = actor.control().calls();
        let mut asked = JoinSet::new();
        for (id, name) in nodes {
            let calls = calls.clone();
            asked.spawn(async move { (ask(&calls, &id, deadline).await, id, name) });
        }
        while let Some(answer) = asked.join_next().await {
            let (called, peer, name) = answer.map_err(|why| Abort::Failed(why.to_string()))?;
            offered.add(called, peer, name)?;
        }
        offered.services.sort_by(|a, b| (&a.service.tag, &a.name, &a.peer).cmp(&(&b.service.tag, &b.name, &b.peer)));
        Ok(offered)
    }

    /// Who offers one function. If nobody does, as far as is known, all there is to know is waited for.
    async fn of_tag(actor: &mut Actor, run: &Path, tag: &str, deadline: Duration) -> Result<Offered, Abort> {
        let mut offered = Offered::gather(actor, run, None, deadline).await?;
        if !offered.complete && !offered.services.iter().any(|row| row.service.tag == tag) {
            presence::settled(actor.control(), presence::GUEST_PATIENCE).await?;
            offered = Offered::gather(actor, run, None, deadline).await?;
        }
        offered.services.retain(|row| row.service.tag == tag);
        Ok(offered)
    }

    fn add(&mut self, called: Called, peer: String, name: String) -> Result<(), Abort> {
        match called.opened::<Services>() {
            Some(Ok(listed)) => self.services.extend(listed.services.into_iter().map(|service| Row {
                peer: peer.clone(),
                name: name.clone(),
                service,
            })),
            Some(Err(why)) => return Err(Abort::Failed(why)),
            None => {
                let message = called.complaint().unwrap_or_default();
                output::comment(&format!("{} did not answer: {message}", output::shown(&name)));
                self.silent.push(Silent { peer, name, outcome: Outcomes(called.outcome()), message });
            }
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        Exit::of_all(self.silent.iter().map(|silent| silent.outcome.0))
    }

    fn table(&self) -> Table<8> {
        let mut table = Table::new(["tag", "node", "at work", "ok", "failed", "busy", "p99", "id"]);
        for Row { peer, name, service } in &self.services {
            let number = |n: u64| n.to_string();
            let p99 = service.p99_us.map_or_else(String::new, |us| format!("{us} µs"));
            let (at_work, ok) = (number(service.at_work), number(service.ok));
            let (failed, busy) = (number(service.failed), number(service.busy));
            table.row([&service.tag, name, &at_work, &ok, &failed, &busy, &p99, peer]);
        }
        table
    }
}

/// Whom to ask: all that are there, and the node that acts unless it is a guest.
fn everybody(peers: &Peers, is_guest: bool) -> Vec<(String, String)> {
    let is_there = |entry: &&PeerEntry| matches!(entry.state, PeerState::Up | PeerState::Suspect);
    let others = peers.peers.iter().filter(is_there).map(|entry| (entry.id.clone(), entry.name.clone()));
    let own = (!is_guest).then(|| (peers.own.id.clone(), peers.own.name.clone()));
    own.into_iter().chain(others).collect()
}

async fn ask(calls: &Calls, peer: &str, deadline: Duration) -> Called {
    let what = Invocation::without_arguments("peerage/services");
    calls.make(&what, &WantedCall { peer: Some(peer.to_owned()), deadline, ..WantedCall::default() }).await
}
