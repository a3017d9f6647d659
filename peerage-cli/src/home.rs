//! Where state lives: one directory of this user, `PEERAGE_HOME`.
//!
//! ```text
//!   identity/<name>.key            keys, one for each node; cli.key is that of the nodes that commands start
//!   networks/<name>.network        networks: name, secret, seeds
//!   run/<network>/<name>.sock      control socket of a running node
//!   run/<network>/<name>.link      where nodes of this machine link
//!   peerage.toml                   settings, if there are any
//! ```
//!
//! Nothing is made here by looking: files appear when something is to be kept in them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use peerage::name::Name;

use crate::exit::Abort;

/// The directory with everything that is kept for this user.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// `PEERAGE_HOME`, or else `peerage` in the platform's directory for data.
    pub(crate) fn of_environment() -> Result<Home, Abort> {
        let root = match set(HOME_VARIABLE) {
            Some(root) => root.into(),
            None => data_directory()?.join("peerage"),
        };
        let root = std::path::absolute(&root)
            .map_err(|why| Abort::Failed(format!("{HOME_VARIABLE} is relative, and here has no name: {why}")))?;
        // Without a slash at its end: it is shown, and every byte counts where sockets are.
        Ok(Home { root: root.components().collect() })
    }

    /// The key of the node of this name.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.root.join("identity").join(format!("{name}.key"))
    }

    /// The file of the network of this name.
    pub(crate) fn network(&self, name: &str) -> PathBuf {
        self.root.join("networks").join(format!("{name}.network"))
    }

    /// The file of the members that a node of this name remembers over restarts.
    pub(crate) fn anchors(&self, network: &str, name: &str) -> PathBuf {
        self.root.join("anchors").join(network).join(format!("{name}.anchors"))
    }

    /// Where running nodes have their sockets, a directory for each network.
    pub(crate) fn run_folder(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where settings are, if there are any.
    pub(crate) fn settings(&self) -> PathBuf {
        self.root.join("peerage.toml")
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all keys there are, in order.
    pub(crate) fn keys(&self) -> Result<Vec<Name>, Abort> {
        names(&self.root.join("identity"), ".key")
    }

    /// Names of all networks there are, in order.
    pub(crate) fn networks(&self) -> Result<Vec<Name>, Abort> {
        names(&self.root.join("networks"), ".network")
    }
}

/// The value of a variable that is set and not empty.
fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

fn data_directory() -> Result<PathBuf, Abort> {
    // Relative ones are to be ignored (XDG Base Directory Specification).
    if let Some(data) = set("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(data);
    }
    let below = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    match set("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(below)),
        None => Err(Abort::Failed(format!("neither {HOME_VARIABLE} nor HOME is set: say where to keep keys"))),
    }
}

/// Names of the files in a directory that end like this; none if there is no directory.
fn names(folder: &Path, ending: &str) -> Result<Vec<Name>, Abort> {
    let failed = |why: io::Error| Abort::Failed(format!("cannot look into {}: {why}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(failed(why)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.file_name();
        // Others are not ours, such as files in the making.
        let name = file.to_str().and_then(|file| file.strip_suffix(ending)).and_then(|name| name.parse().ok());
        names.extend(name);
    }
    names.sort();
    Ok(names)
}

/// Names as a list for people.
pub(crate) fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// The key of the nodes that commands start.
pub(crate) const CLI: &str = "cli";

/// Names that directory.
pub(crate) const HOME_VARIABLE: &str = "PEERAGE_HOME";
