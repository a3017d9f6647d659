//! `peerage find`: whether a node is there. It is, it is not, or too little is known to say.

use peerage::node::snapshot::PeerEntry;
use serde::Serialize;

use super::peers;
use crate::actor::Actor;
use crate::args;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence::{self, Presence};
use crate::runtime::{self, Interrupts};
use crate::time::Time;

pub(super) fn run(typed: &args::Find) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        time.seeking();
        let (run, mut interrupts) = (home.run_folder(), Interrupts::listen()?);
        let found = tokio::select! {
            found = presence::seek(&mut actor, &run, &typed.who, typed.deadline) => found.map(Some),
            () = interrupts.next() => Ok(None),
        };
        actor.leave().await;
        found?.map_or(Ok(Exit::Failed), |found| tell(found, typed))
    }))
}

fn tell(found: Presence, typed: &args::Find) -> Result<Exit, Abort> {
    if typed.json {
        output::object(&Found::of(&found))?;
    } else if let Presence::Present(nodes) = &found
        && nodes.len() == 1
    {
        peers::narrow(nodes).print()?;
    }
    found.only(&typed.who).map(|_| Exit::Ok)
}

/// The answer as an object.
#[derive(Serialize)]
struct Found<'f> {
    presence: &'static str,
    nodes: &'f [PeerEntry],
    missing: &'f [String],
}

impl Found<'_> {
    fn of(found: &Presence) -> Found<'_> {
        match found {
            Presence::Present(nodes) => Found { presence: "present", nodes, missing: &[] },
            Presence::Absent(_) => Found { presence: "absent", nodes: &[], missing: &[] },
            Presence::NotYetKnown(missing) => Found { presence: "not-yet-known", nodes: &[], missing },
        }
    }
}
