//! Which mesh: a name, a secret that proves membership, and where to find the first members.
//!
//! Whoever holds the secret is a member; the name keeps apart what belongs apart and is itself only ever proved, never
//! sent. Both ends prove to each other that they know them before either says anything else (PROTOCOL §9).
//!
//! A network is handed on as a [`Ticket`], one line of text. A **network file** holds that line; it is a [private
//! file](crate::private_file).

use std::path::Path;

use peerage_proto::address::Address;
use peerage_proto::limits;

use crate::name::{InvalidName, Name};
use crate::private_file::{Folder, PrivateFileError};

mod secret;
#[cfg(test)]
mod tests;
mod ticket;

pub use secret::{InvalidSecret, Secret};
pub use ticket::Ticket;

/// A network: what a node must know to become a member.
///
/// ```
/// use peerage::network::{Network, Secret};
///
/// let network = Network::new("lab", Secret::generate())?.with_seed("tls://node-7.lab".parse()?)?;
/// assert_eq!(network.name().as_str(), "lab");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    name: Name,
    secret: Secret,
    seeds: Vec<Address>,
}

impl Network {
    /// The network of this name and secret, without seeds.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if `name` is none ([`Name`] has the rule).
    pub fn new(name: &str, secret: Secret) -> Result<Self, InvalidName> {
        Ok(Network { name: name.parse()?, secret, seeds: Vec::new() })
    }

    /// The network in a network file or in the file of a ticket.
    ///
    /// From here on this process dumps no core, and other processes of the user cannot look into its memory.
    ///
    /// # Errors
    ///
    /// [`PrivateFileError`]: there is no file, it is open to others or not ours, or it is damaged.
    pub fn open(path: &Path) -> Result<Self, PrivateFileError> {
        let (folder, name) = Folder::of(path)?;
        let line = folder.read(&name)?;
        let ticket = Ticket::read(&line).map_err(|why| PrivateFileError::Damaged { path: path.to_owned(), why })?;
        Ok(ticket.into_network())
    }

    /// Makes a network file. Its directory is made if there is none, 0700; it must be this user's alone.
    ///
    /// # Errors
    ///
    /// [`PrivateFileError::Exists`] if there is a file of that name, and what may go wrong in making one.
    pub fn create(&self, path: &Path) -> Result<(), PrivateFileError> {
        let (folder, name) = Folder::private_of(path)?;
        let mut line = Ticket::of(self).reveal();
        line.push('\n');
        folder.create(&name, line.as_bytes())
    }

    /// The network in a network file; if there is none, it is made of the network that `fresh` gives.
    ///
    /// Any number of processes may do this at once: they agree on one file.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Network::open) and [`create`](Network::create).
    pub fn open_or_create(path: &Path, fresh: impl Fn() -> Network) -> Result<Self, PrivateFileError> {
        loop {
            match Network::open(path) {
                Err(PrivateFileError::NotFound { .. }) => {}
                done => return done,
            }
            match fresh().create(path) {
                // Somebody was faster.
                Err(PrivateFileError::Exists { .. }) => {}
                done => done?,
            }
        }
    }

    /// The same with one more address at which members are likely to be found. One that is there already is not added.
    ///
    /// # Errors
    ///
    /// [`TooManySeeds`] above 64 seeds, or 4 KiB of text.
    pub fn with_seed(mut self, seed: Address) -> Result<Self, TooManySeeds> {
        if self.seeds.contains(&seed) {
            return Ok(self);
        }
        self.seeds.push(seed);
        let bytes: usize = self.seeds.iter().map(|seed| seed.to_string().len()).sum();
        if self.seeds.len() > limits::SEEDS_MAX || bytes > limits::SEEDS_BYTES_MAX {
            return Err(TooManySeeds);
        }
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What its members know and nobody else.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Where members are likely to be found, in the order in which they were given.
    pub fn seeds(&self) -> &[Address] {
        &self.seeds
    }
}

/// A network was given too many seeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a network has at most {max} seeds of together {bytes} bytes: a few that are always there are enough",
    max = limits::SEEDS_MAX,
    bytes = limits::SEEDS_BYTES_MAX
)]
pub struct TooManySeeds;
