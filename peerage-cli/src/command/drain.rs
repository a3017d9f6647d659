//! `peerage drain`: a running node leaves in good order.

use serde::Serialize;

use crate::args;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::running;
use crate::runtime;
use crate::time::Time;

pub(super) fn run(typed: &args::Drain) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let running = running::find_one(&home.run_folder(), &typed.acting).await?;
        let id = running.control.info().await?.id;
        time.asking();
        let abandoned = running.control.drain(typed.deadline).await?;
        let done = Drained { id, name: running.name.to_string(), drained: abandoned == 0, abandoned };
        match typed.json {
            true => output::object(&done)?,
            false => output::line(&done.text())?,
        }
        Ok(if done.drained { Exit::Ok } else { Exit::Failed })
    }))
}

/// How it left.
#[derive(Serialize)]
struct Drained {
    id: String,
    name: String,
    /// Whether all accepted work was finished.
    drained: bool,
    /// Calls that were cut off.
    abandoned: u64,
}

impl Drained {
    fn text(&self) -> String {
        match self.abandoned {
            0 => format!("{} has left; nothing was cut off", self.name),
            1 => format!("{} has left; 1 call was cut off", self.name),
            calls => format!("{} has left; {calls} calls were cut off", self.name),
        }
    }
}
