//! `peerage find`: whether a node is there. It is, it is not, or too little is known to say.

use peerage::node::Presence;
use peerage::node::snapshot::PeerEntry;
use serde::Serialize;

use super::peers;
use crate::actor::Actor;
use crate::args;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: &args::Find) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        time.seeking();
        let (run, mut interrupts) = (home.run_folder(), Interrupts::listen()?);
        let look = async {
            let presence = presence::seek(&mut actor, &run, &typed.who, typed.deadline).await?;
            tell(&mut actor, presence, typed).await
        };
        let done = tokio::select! {
            done = look => done,
            () = interrupts.next() => Ok(Exit::Failed),
        };
        actor.leave().await;
        done
    }))
}

async fn tell(actor: &mut Actor, presence: Presence, typed: &args::Find) -> Result<Exit, Abort> {
    if typed.json {
        output::object(&Found::of(&presence))?;
    }
    let found = presence::only(actor, presence, &typed.who).await?;
    if !typed.json {
        peers::narrow(&[found]).print()?;
    }
    Ok(Exit::Ok)
}

/// The answer as an object.
#[derive(Serialize)]
struct Found<'p> {
    presence: &'static str,
    nodes: &'p [PeerEntry],
    missing: &'p [String],
}

impl Found<'_> {
    fn of(presence: &Presence) -> Found<'_> {
        match presence {
            Presence::Present { nodes } => Found { presence: "present", nodes, missing: &[] },
            Presence::Absent { .. } => Found { presence: "absent", nodes: &[], missing: &[] },
            Presence::NotYetKnown { missing } => Found { presence: "not-yet-known", nodes: &[], missing },
            _ => Found { presence: "not-yet-known", nodes: &[], missing: &[] },
        }
    }
}
