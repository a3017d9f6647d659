//! The node that acts for a command: a running one of this user, or a guest in the network for as long as it takes.

use peerage::name::Name;
use peerage::node::Group;

use crate::args::Acting;
use crate::control::Control;
use crate::exit::Abort;
use crate::guest::Guest;
use crate::home::Home;
use crate::running::{self, Running};
use crate::time::Time;

/// Who acts.
pub(crate) enum Actor {
    /// A node that runs anyway.
    Running(Running),
    /// One of our own that is there for this command only.
    Guest(Guest),
}

impl Actor {
    /// The running node that is meant; without one a guest joins.
    pub(crate) async fn find_or_join(home: &Home, acting: &Acting, time: &Time) -> Result<Actor, Abort> {
        Actor::find_or_join_as(home, acting, &[], time).await
    }

    /// As [`find_or_join`](Self::find_or_join); a guest belongs to these groups.
    pub(crate) async fn find_or_join_as(
        home: &Home,
        acting: &Acting,
        groups: &[Group],
        time: &Time,
    ) -> Result<Actor, Abort> {
        if let Some(running) = running::find(&home.run_folder(), acting).await? {
            return Ok(Actor::Running(running));
        }
        time.seeking();
        Ok(Actor::Guest(Guest::join(home, acting.network.as_ref(), groups).await?))
    }

    /// The way to it.
    pub(crate) fn control(&mut self) -> &mut Control {
        match self {
            Actor::Running(running) => &mut running.control,
            Actor::Guest(guest) => guest.control(),
        }
    }

    /// The network it is in.
    pub(crate) fn network(&self) -> Name {
        match self {
            Actor::Running(running) => running.network.clone(),
            Actor::Guest(guest) => guest.network().clone(),
        }
    }

    /// Its name, if it is a node that runs anyway.
    pub(crate) fn name(&self) -> Option<Name> {
        match self {
            Actor::Running(running) => Some(running.name.clone()),
            Actor::Guest(_) => None,
        }
    }

    /// Whether it came for this command only, and so may not have met everybody yet.
    pub(crate) fn is_guest(&self) -> bool {
        matches!(self, Actor::Guest(_))
    }

    /// The guest leaves in good order.
    pub(crate) async fn leave(self) {
        if let Actor::Guest(guest) = self {
            guest.leave().await;
        }
    }
}
