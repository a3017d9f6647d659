//! `peerage status`: how a node is. `Nominal`, or what is wrong and what to do about it.

use std::time::Duration;

use peerage::node::Event;
use peerage::node::snapshot::{Direction, DiscoveryStatus, LinkStatus, Status};

use crate::args;
use crate::control::{self, Control};
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::running;
use crate::runtime::{self, Interrupts};
use crate::table::Table;
use crate::time::Time;

pub(super) fn run(typed: &args::Status) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut running = running::find_one(&home.run_folder(), &typed.acting).await?;
        time.asking();
        let control = &mut running.control;
        match (typed.metrics, typed.watch) {
            (true, _) => metrics(control, typed.json).await,
            (false, true) => watch(control, typed.jsonl).await,
            (false, false) => {
                let status = control.status().await?;
                match typed.json {
                    true => output::object(&status)?,
                    false => text(&status)?,
                }
                Ok(Exit::Ok)
            }
        }
    }))
}

async fn metrics(control: &Control, json: bool) -> Result<Exit, Abort> {
    #[derive(serde::Serialize)]
    struct Metrics {
        openmetrics: String,
    }
    let openmetrics = control.open_metrics().await?;
    match json {
        true => output::object(&Metrics { openmetrics })?,
        false => output::all(openmetrics.as_bytes())?,
    }
    Ok(Exit::Ok)
}

/// Shows the status now and after each event.
async fn watch(control: &mut Control, jsonl: bool) -> Result<Exit, Abort> {
    let mut interrupts = Interrupts::listen()?;
    let changes = async {
        control.watch().await?;
        loop {
            match control.status().await {
                Ok(status) if jsonl => output::record(&status)?,
                Ok(status) => {
                    text(&status)?;
                    output::line("")?;
                }
                // It may have ended since it told of its last change.
                Err(_) => return if has_stopped(control).await { Ok(Exit::Ok) } else { Err(control::gone()) },
            }
            match control.next_event().await {
                Some(record) if record.event == Event::Stopped => return Ok(Exit::Ok),
                Some(_) => {}
                None => return Err(control::gone()),
            }
        }
    };
    tokio::select! {
        done = changes => done,
        () = interrupts.next() => Ok(Exit::Ok),
    }
}

/// Whether the node has said that it has stopped; if not, it has gone.
async fn has_stopped(control: &mut Control) -> bool {
    while let Some(record) = control.next_event().await {
        if record.event == Event::Stopped {
            return true;
        }
    }
    false
}

fn text(status: &Status) -> Result<(), Abort> {
    if status.nominal {
        output::line("Nominal")?;
    }
    for fault in &status.faults {
        output::line(&format!("{}: {}", output::shown(&fault.fault), output::shown(&fault.detail)))?;
        output::line(&format!("  since   {}", output::shown(&fault.since)))?;
        output::line(&format!("  remedy  {}", output::shown(&fault.remedy)))?;
    }
    let up = args::written_duration(Duration::from_secs(status.uptime_ms / 1_000));
    let draining = if status.draining { ", draining" } else { "" };
    let Status { name, id, network, build, .. } = status;
    output::line(&format!("node {name}  {id}  network {network}  up {up}{draining}  version {}", build.version))?;
    for address in &status.addresses {
        output::line(&format!("address {}", output::shown(address)))?;
    }
    links(&status.links).print()?;
    discovery(&status.discovery).print()?;
    let mut queues = Table::new(["queue", "peer", "depth", "cap", "dropped"]);
    // A queue that is half empty and has dropped nothing is no news.
    for queue in status.queues.iter().filter(|queue| queue.dropped > 0 || queue.depth.saturating_mul(2) > queue.cap) {
        let peer = queue.peer.as_deref().unwrap_or("");
        queues.row([&queue.name, peer, &queue.depth.to_string(), &queue.cap.to_string(), &queue.dropped.to_string()]);
    }
    queues.print()
}

/// A row for each way of finding others; another for each address that does not answer.
fn discovery(methods: &[DiscoveryStatus]) -> Table<4> {
    let mut table = Table::new(["discovery", "state", "found", "error"]);
    for method in methods {
        let error = method.last_error.as_deref().unwrap_or("");
        table.row([&method.method, &method.state, &method.found.len().to_string(), error]);
        for found in &method.found {
            if let Some(why) = &found.last_error {
                table.row(["", "", &found.address, why]);
            }
        }
    }
    table
}

fn links(links: &[LinkStatus]) -> Table<8> {
    let mut table = Table::new(["link to", "dialled", "path", "proven", "in", "out", "rtt", "remote"]);
    for link in links {
        let direction = match link.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        table.row([
            &link.peer,
            direction,
            &link.path,
            if link.proven { "proven" } else { "claimed" },
            &format!("{} B", link.bytes_in),
            &format!("{} B", link.bytes_out),
            &link.rtt_us.map_or_else(String::new, |rtt| format!("{rtt} µs")),
            &link.remote,
        ]);
    }
    table
}
