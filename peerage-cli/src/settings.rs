//! Settings of a node: what was typed, what the environment says and what a file says, merged into what is meant.
//!
//! ```text
//!   flags ────────┐
//!   PEERAGE_… ────┼──▶ the first that says something ──▶ Settings ──▶ first run ──▶ a node that can be started
//!   peerage.toml ─┤                                          └──▶ --print-config
//!   defaults ─────┘
//! ```
//!
//! All three are read by the definition of the flags, so there is one rule for what a value may be, and a setting that has a
//! flag can stand everywhere. Each value keeps where it comes from.

use std::ffi::OsString;
use std::path::PathBuf;

use peerage::address::{Address, Dialect, Scheme};
use peerage::name::Name;
use peerage::node::Group;

use crate::args::{Logging, NodeFlags, Up};
use crate::exit::Abort;
use crate::home::Home;
use crate::logs::{self, LogFormat};

mod file;
mod first_run;
mod layer;
mod shown;

use layer::Layer;

/// A value, and where it comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Where a value comes from. Ordered: the greater goes first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment,
    Flag,
}

/// What is meant by `up`.
#[derive(Debug)]
pub(crate) struct Settings {
    home: Home,
    /// `None`: the first free one.
    name: Option<Setting<Name>>,
    network: Option<Setting<NetworkChoice>>,
    /// `None`: what fits the network.
    listen: Option<Setting<Vec<Address>>>,
    advertise: Setting<Vec<Address>>,
    seed: Setting<Vec<Address>>,
    pub(crate) require_seed: Setting<bool>,
    group: Setting<Vec<Group>>,
    hub: Setting<bool>,
    no_lan: Setting<bool>,
    pub(crate) no_local: Setting<bool>,
    max_full_mesh: Setting<u16>,
    pub(crate) log: Setting<String>,
    pub(crate) log_format: Setting<LogFormat>,
    pub(crate) ready_fd: Option<Setting<i32>>,
    pub(crate) detach: Setting<bool>,
    dangerously_plaintext: Setting<bool>,
    pub(crate) jsonl: Setting<bool>,
}

/// Which network, if one was chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
enum NetworkChoice {
    Named(Name),
    InFile(PathBuf),
}

impl Settings {
    /// Merges what was typed with the variables of the environment and the settings file.
    pub(crate) fn of(
        typed: &Up,
        logging: &Logging,
        variables: impl Iterator<Item = (OsString, OsString)>,
        home: &Home,
    ) -> Result<Settings, Abort> {
        let environment = layer::of_environment(variables)?;
        let given = typed.config.clone().or(environment.config);
        let (path, file) = match given {
            Some(path) => (path.clone(), file::read(&path)?),
            None => (home.settings(), file::read_if_there(&home.settings())?),
        };
        let typed = Layer { flags: typed.flags.clone(), logging: logging.clone() };
        let layers = Layers { typed, environment: environment.layer, file, path };
        let settings = layers.merged(home)?;
        settings.check_plaintext()?;
        Ok(settings)
    }

    /// Refuses `tcp://` for nodes, unless it is allowed. The node would refuse it too, but later.
    fn check_plaintext(&self) -> Result<(), Abort> {
        if self.dangerously_plaintext.value {
            return Ok(());
        }
        let listen = self.listen.iter().flat_map(|listen| &listen.value);
        let all = listen.chain(&self.advertise.value).chain(&self.seed.value);
        for address in all.filter(|address| address.scheme() == Scheme::Tcp) {
            if address.dialect() != Some(Dialect::Plain) {
                return Err(Abort::Usage(format!(
                    "{address} encrypts nothing and proves nobody's id: write tls:// or quic://, add ?dialect=plain to listen for \
                     plain programs, or allow it with --dangerously-plaintext"
                )));
            }
        }
        Ok(())
    }
}

/// What was said where.
struct Layers {
    typed: Layer,
    environment: Layer,
    file: Layer,
    path: PathBuf,
}

impl Layers {
    fn merged(&self, home: &Home) -> Result<Settings, Abort> {
        let addresses = |places: Option<Setting<Vec<Address>>>| places.unwrap_or_else(|| default(Vec::new()));
        Ok(Settings {
            home: home.clone(),
            name: self.first(|layer| layer.flags.name.clone()),
            network: self.network()?,
            listen: self
                .first(|layer| layer.flags.listen.as_ref().map(|places| places.iter().map(|p| p.0.clone()).collect())),
            advertise: addresses(self.first(|layer| {
                layer.flags.advertise.as_ref().map(|places| places.iter().map(|p| p.0.clone()).collect())
            })),
            seed: addresses(
                self.first(|layer| {
                    layer.flags.seed.as_ref().map(|places| places.iter().map(|p| p.0.clone()).collect())
                }),
            ),
            require_seed: self.switch(|flags| flags.require_seed),
            group: self.first(|layer| layer.flags.group.clone()).unwrap_or_else(|| default(Vec::new())),
            hub: self.switch(|flags| flags.hub),
            no_lan: self.switch(|flags| flags.no_lan),
            no_local: self.switch(|flags| flags.no_local),
            max_full_mesh: self.first(|layer| layer.flags.max_full_mesh).unwrap_or_else(|| default(MAX_FULL_MESH)),
            log: self.first(|layer| layer.logging.log.clone()).unwrap_or_else(|| default(logs::FILTER.to_owned())),
            log_format: self.first(|layer| layer.logging.log_format).unwrap_or_else(|| default(LogFormat::Text)),
            ready_fd: self.first(|layer| layer.flags.ready_fd),
            detach: self.switch(|flags| flags.detach),
            dangerously_plaintext: self.switch(|flags| flags.dangerously_plaintext),
            jsonl: self.switch(|flags| flags.jsonl),
        })
    }

    /// The two ways to name a network: the one that goes first counts, and nobody may say both at once.
    fn network(&self) -> Result<Option<Setting<NetworkChoice>>, Abort> {
        let named = self.first(|layer| layer.flags.network.clone().map(NetworkChoice::Named));
        let in_file = self.first(|layer| layer.flags.network_file.clone().map(NetworkChoice::InFile));
        Ok(match (named, in_file) {
            (Some(named), Some(in_file)) if named.origin == in_file.origin => {
                return Err(Abort::Usage(
                    "network and network-file both name the network: leave one of them out".to_owned(),
                ));
            }
            (Some(named), Some(in_file)) => Some(if named.origin > in_file.origin { named } else { in_file }),
            (one, other) => one.or(other),
        })
    }

    fn first<T>(&self, of: impl Fn(&Layer) -> Option<T>) -> Option<Setting<T>> {
        let layers = [
            (&self.typed, Origin::Flag),
            (&self.environment, Origin::Environment),
            (&self.file, Origin::File(self.path.clone())),
        ];
        layers.into_iter().find_map(|(layer, origin)| of(layer).map(|value| Setting { value, origin }))
    }

    fn switch(&self, of: impl Fn(&NodeFlags) -> Option<bool>) -> Setting<bool> {
        self.first(|layer| of(&layer.flags)).unwrap_or_else(|| default(false))
    }
}

fn default<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::Default }
}

/// Nodes up to which a mesh is full.
const MAX_FULL_MESH: u16 = 64;
