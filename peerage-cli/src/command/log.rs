//! `peerage log`: what a running node logs, shown or changed.

use serde::Serialize;

use crate::args;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::logs;
use crate::output;
use crate::running;
use crate::runtime;
use crate::time::Time;

pub(super) fn run(typed: &args::Log) -> Result<Exit, Abort> {
    if let Some(filter) = &typed.filter {
        // The same words mean the same in every build of one version, so a mistake is found before anybody is asked.
        logs::filter(filter).map_err(|why| Abort::Usage(format!("FILTER: {why}")))?;
    }
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let running = running::find_one(&home.run_folder(), &typed.acting).await?;
        time.asking();
        let filter = running.control.log(typed.filter.as_deref()).await?;
        let log = Log { name: running.name.to_string(), filter };
        match typed.json {
            true => output::object(&log)?,
            false => output::line(&output::shown(&log.filter))?,
        }
        Ok(Exit::Ok)
    }))
}

#[derive(Serialize)]
struct Log {
    name: String,
    filter: String,
}
