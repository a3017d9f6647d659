//! The steps with nodes: some find each other, ask each other, one is killed, one leaves in good order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use peerage::node::snapshot::PeerState;
use tempfile::TempDir;

use super::member::Member;
use super::{Report, Shown, events, services, steps};
use crate::control::{Answer, Control};
use crate::exit::Abort;

/// All steps with nodes, `count` of them. With `keep` they stay, so none is killed and none leaves.
pub(super) async fn all(report: &mut Report, count: usize, keep: bool) -> Result<(), Abort> {
    let mut mesh = match Mesh::build(count, keep).await {
        Ok(mesh) => mesh,
        Err(why) => return report.failed("nodes", why),
    };
    report.step("nodes", async { Ok(mesh.describe()) }).await?;
    report.step("find", find(&mut mesh)).await?;
    report.step("ping", ping(&mesh)).await?;
    report.step("info", info(&mesh)).await?;
    report.step("nominal", nominal(&mesh)).await?;
    services::all(report, &mesh).await?;
    events::all(report, &mesh).await?;
    if keep {
        return report.step("keep", async { Ok(mesh.stay()) }).await;
    }
    let dead = mesh.members.last().map(|member| member.ready.id.clone()).unwrap_or_default();
    report.step("node-killed", killed(&mut mesh)).await?;
    report.step("why", why(&mesh, &dead)).await?;
    report.step("node-drained", drained(&mut mesh)).await
}

/// Nodes in a home and a network of their own.
pub(super) struct Mesh {
    pub(super) members: Vec<Member>,
    pub(super) home: TempDir,
}

impl Mesh {
    async fn build(count: usize, keep: bool) -> Result<Mesh, String> {
        let home = steps::home().map_err(|why| format!("cannot make a temporary directory: {why}"))?;
        let names: Vec<String> = (1..=count).map(|n| format!("n{n}")).collect();
        let starts: Vec<_> = names
            .into_iter()
            .map(|name| {
                let home = home.path().to_owned();
                tokio::spawn(async move { Member::start(&home, &name, keep).await })
            })
            .collect();
        let mut members = Vec::new();
        for start in starts {
            members.push(start.await.map_err(|why| why.to_string())??);
        }
        Ok(Mesh { members, home })
    }

    fn describe(&self) -> String {
        let pids: Vec<String> = self.members.iter().map(|member| member.ready.pid.to_string()).collect();
        format!(
            "{} nodes started together in an empty home and agreed on one network; processes {}",
            self.members.len(),
            pids.join(", ")
        )
    }

    fn ids(&self) -> Vec<String> {
        self.members.iter().map(|member| member.ready.id.clone()).collect()
    }

    fn stay(self) -> String {
        let home = self.home.keep();
        format!("the nodes stay; look at them with PEERAGE_HOME={} peerage peers --node n1", home.display())
    }
}

pub(super) async fn control(member: &Member) -> Result<Control, String> {
    let socket = member.ready.control.strip_prefix("unix://").map(PathBuf::from);
    let socket = socket.ok_or_else(|| format!("no path: {}", member.ready.control))?;
    let nobody = || format!("nobody answers at {}", Path::display(&socket));
    Control::connect(&socket).await.ok_or_else(nobody)
}

/// Every node learns of every other, and nobody was told where.
async fn find(mesh: &mut Mesh) -> Shown {
    let began = tokio::time::Instant::now();
    let ids = mesh.ids();
    for member in &mut mesh.members {
        let mut control = control(member).await?;
        let mut peers = control.watch().await.map_err(said)?;
        while peers.peers.iter().filter(|peer| peer.state == PeerState::Up).count() + 1 < ids.len() {
            tokio::time::timeout_at(began + FIND_WITHIN, control.next_event()).await.map_err(|_| {
                format!("{} knows {} others after {FIND_WITHIN:?}", member.ready.name, peers.peers.len())
            })?;
            peers = control.peers().await.map_err(said)?;
        }
    }
    Ok(format!("each of the {} knows all others, without any configuration", ids.len()))
}

/// A sign of life over the proven link between two of them.
async fn ping(mesh: &Mesh) -> Shown {
    let [first, second, ..] = &mesh.members[..] else { return Err("two nodes are needed".to_owned()) };
    let control = control(first).await?;
    let mut fastest = u64::MAX;
    for _ in 0..PINGS {
        match control.ping(&second.ready.id, CALL_WITHIN).await.map_err(said)? {
            Answer::Came { rtt_us } => fastest = fastest.min(rtt_us),
            Answer::Failed { outcome, message } => return Err(format!("{outcome}: {message}")),
        }
    }
    Ok(format!(
        "{PINGS} pings from {} to {} were answered, the fastest within {fastest} µs",
        first.ready.name, second.ready.name
    ))
}

/// A call of a service that every node offers.
async fn info(mesh: &Mesh) -> Shown {
    let [first, .., last] = &mesh.members[..] else { return Err("two nodes are needed".to_owned()) };
    let info = control(first).await?.info_of(&last.ready.id, CALL_WITHIN).await.map_err(said)?;
    if (info.id.as_str(), info.pid) != (last.ready.id.as_str(), last.ready.pid) {
        return Err(format!("asked {}, and {} (process {}) answered", last.ready.id, info.id, info.pid));
    }
    Ok(format!("{} called peerage/info of {}: it runs in process {}", first.ready.name, info.name, info.pid))
}

/// Nothing is wrong anywhere.
async fn nominal(mesh: &Mesh) -> Shown {
    for member in &mesh.members {
        let status = control(member).await?.status().await.map_err(said)?;
        if let Some(fault) = status.faults.first() {
            return Err(format!("{}: {}: {}", status.name, fault.fault, fault.detail));
        }
    }
    Ok("every node says that it is Nominal".to_owned())
}

/// A node that dies is missed by all others at once.
async fn killed(mesh: &mut Mesh) -> Shown {
    let mut dead = mesh.members.pop().ok_or("no node is left")?;
    let (id, name) = (dead.ready.id.clone(), dead.ready.name.clone());
    dead.kill().await?;
    let (mut slowest, mut lost) = (Duration::ZERO, Duration::ZERO);
    for member in &mut mesh.members {
        slowest = slowest.max(member.tells("suspect", &id, SUSPECT_WITHIN).await?);
    }
    for member in &mut mesh.members {
        lost = lost.max(member.tells("lost", &id, LOST_WITHIN).await?);
    }
    let (slowest, lost) = (slowest.as_millis(), (slowest + lost).as_millis());
    Ok(format!("kill -9 of {name}: all others suspected it after {slowest} ms and gave it up after {lost} ms"))
}

/// Every other node can say what it saw of that.
async fn why(mesh: &Mesh, dead: &str) -> Shown {
    let mut told = String::new();
    for member in &mesh.members {
        let name = &member.ready.name;
        let why = control(member).await?.why(dead).await.map_err(said)?;
        let chain: Vec<String> = why.transitions.iter().map(|one| format!("{:?} ({})", one.to, one.evidence)).collect();
        if why.state != PeerState::Lost || why.transitions.last().is_none_or(|last| last.to != PeerState::Lost) {
            return Err(format!("{name} tells no reason: {}", chain.join(", ")));
        }
        told = format!("{name} tells of {}: {}", why.name, chain.join(", ").to_lowercase());
    }
    Ok(told)
}

/// A node that leaves says goodbye, and ends with 0.
async fn drained(mesh: &mut Mesh) -> Shown {
    let mut leaving = mesh.members.pop().ok_or("no node is left")?;
    let abandoned = control(&leaving).await?.drain(CALL_WITHIN).await.map_err(said)?;
    let code = leaving.ended().await?;
    for member in &mut mesh.members {
        member.tells("left", &leaving.ready.id, SUSPECT_WITHIN).await?;
    }
    match (code, abandoned) {
        (Some(0), 0) => Ok(format!("{} finished its work, said goodbye and ended with 0", leaving.ready.name)),
        _ => Err(format!("{} ended with {code:?}, and {abandoned} calls were cut off", leaving.ready.name)),
    }
}

pub(super) fn said(why: Abort) -> String {
    why.text().unwrap_or_default().to_owned()
}

const PINGS: u32 = 100;

const FIND_WITHIN: Duration = Duration::from_secs(5);

const CALL_WITHIN: Duration = Duration::from_secs(5);

const SUSPECT_WITHIN: Duration = Duration::from_secs(1);

const LOST_WITHIN: Duration = Duration::from_secs(3);
