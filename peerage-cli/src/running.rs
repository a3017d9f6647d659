//! Which node acts: the one that was named, else the only one that runs, else nobody.
//!
//! Every running node of this user has its control socket in `run/<network>/<name>.sock`. A socket may have outlived its
//! node, so it counts only if somebody answers at it.
//!
//! ```text
//!   run/*/*.sock ──somebody listens?──▶ --network ──▶ --node ──▶ one: it acts
//!                                                          ├──▶ none: nobody, or an error if one was named
//!                                                          └──▶ several: a usage error with the list
//! ```

use std::path::{Path, PathBuf};
use std::{fs, io};

use peerage::address::NodeId;
use peerage::name::Name;

use crate::args::Acting;
use crate::control::Control;
use crate::exit::{Abort, Exit};

/// A running node of this user.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: Name,
    pub(crate) network: Name,
    pub(crate) control: Control,
}

/// The node that acts; `None` if none of this user's runs and none was named.
///
/// # Errors
///
/// A usage error if several are meant, [`Exit::DidNotRun`] if the one that was named does not run.
pub(crate) async fn find(run: &Path, acting: &Acting) -> Result<Option<Running>, Abort> {
    let all = all(run).await?;
    let names: Vec<String> = all.iter().map(Running::described).collect();
    let mut fitting = Vec::new();
    for running in all {
        let in_network = acting.network.as_ref().is_none_or(|network| *network == running.network);
        if in_network && running.is_called(acting.node.as_deref()).await? {
            fitting.push(running);
        }
    }
    match (fitting.len(), &acting.node) {
        (0 | 1, None) => Ok(fitting.pop()),
        (1, Some(_)) => Ok(fitting.pop()),
        (0, Some(node)) => Err(Abort::Ended(Exit::DidNotRun, not_running(node, &names))),
        (_, Some(node)) => {
            let list = list(&fitting);
            Err(Abort::Usage(format!("several nodes of yours are called {node}; say --network too:\n{list}")))
        }
        (_, None) => {
            let list = list(&fitting);
            Err(Abort::Usage(format!("several nodes of yours run; say which one with --node:\n{list}")))
        }
    }
}

/// As [`find`], for what only a running node can do.
pub(crate) async fn find_one(run: &Path, acting: &Acting) -> Result<Running, Abort> {
    find(run, acting).await?.ok_or_else(|| {
        let what = match &acting.network {
            Some(network) => format!("no node of yours runs in the network {network}"),
            None => "no node of yours runs".to_owned(),
        };
        Abort::Ended(Exit::DidNotRun, format!("{what}: start one with `peerage up`"))
    })
}

/// Whether a node of this user that is called so runs in this network.
pub(crate) async fn is_there(run: &Path, network: &Name, who: &str) -> Result<bool, Abort> {
    for running in all(run).await? {
        if running.network == *network && running.is_called(Some(who)).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a node of this user that runs in this network, other than `except`, offers a function.
pub(crate) async fn is_offered(run: &Path, network: &Name, except: Option<&Name>, tag: &str) -> Result<bool, Abort> {
    for running in all(run).await? {
        let is_there = running.network == *network && Some(&running.name) != except;
        if is_there && running.control.services().await?.services.iter().any(|service| service.tag == tag) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All running nodes of this user, by network and name.
async fn all(run: &Path) -> Result<Vec<Running>, Abort> {
    let mut all = Vec::new();
    for (network, folder) in named_entries(run, "")? {
        for (name, socket) in named_entries(&folder, ".sock")? {
            if let Some(control) = Control::connect(&socket).await {
                all.push(Running { name, network: network.clone(), control });
            }
        }
    }
    Ok(all)
}

/// The entries of a directory that are a name with this ending, in order; none if there is no directory.
pub(crate) fn named_entries(folder: &Path, ending: &str) -> Result<Vec<(Name, PathBuf)>, Abort> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(why) => return Err(Abort::Failed(format!("cannot look into {}: {why}", folder.display()))),
    };
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name().to_str()?.strip_suffix(ending)?.parse().ok()?;
        Some((name, entry.path()))
    };
    let mut named: Vec<_> = entries.flatten().filter_map(named).collect();
    named.sort();
    Ok(named)
}

impl Running {
    /// Whether somebody who says `node` may mean this one.
    async fn is_called(&self, node: Option<&str>) -> Result<bool, Abort> {
        match node {
            None => Ok(true),
            Some(node) if *self.name == *node => Ok(true),
            Some(node) if node.parse::<NodeId>().is_ok() => Ok(self.control.info().await?.id == node),
            Some(_) => Ok(false),
        }
    }

    fn described(&self) -> String {
        format!("{} (network {})", self.name, self.network)
    }
}

fn list(running: &[Running]) -> String {
    running.iter().map(|node| format!("  {}", node.described())).collect::<Vec<_>>().join("\n")
}

fn not_running(node: &str, names: &[String]) -> String {
    let node = crate::output::shown(node);
    match names {
        [] => format!("no node {node} of yours runs, nor any other: start it with `peerage up`"),
        names => format!("no node {node} of yours runs; there is {}", names.join(", ")),
    }
}
