//! Which mesh: a name, a secret that proves membership, and where to find the first members.
//!
//! Whoever holds the secret is a member; the name keeps apart what belongs apart and is itself only ever proved, never
//! sent. Both ends prove to each other that they know them before either says anything else (PROTOCOL, admission).

use peerage_proto::address::Address;
use peerage_proto::limits;

use crate::name::{InvalidName, Name};

mod secret;

pub use secret::{InvalidSecret, Secret};

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

    /// The same with one more address at which members are likely to be found. One that is there already is not added.
    ///
    /// # Errors
    ///
    /// [`TooManySeeds`] above 64 seeds.
    pub fn with_seed(mut self, seed: Address) -> Result<Self, TooManySeeds> {
        if self.seeds.contains(&seed) {
            return Ok(self);
        }
        if self.seeds.len() >= limits::SEEDS_MAX {
            return Err(TooManySeeds);
        }
        self.seeds.push(seed);
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
#[error("a network has at most {max} seeds: a few that are always there are enough", max = limits::SEEDS_MAX)]
pub struct TooManySeeds;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_counts_once_and_there_is_a_limit() {
        let mut network = Network::new("lab", Secret::generate()).unwrap();
        for port in 1..=64 {
            let seed: Address = format!("tls://node.lab:{port}").parse().unwrap();
            network = network.with_seed(seed.clone()).unwrap().with_seed(seed).unwrap();
        }
        assert_eq!(network.seeds().len(), 64);
        assert_eq!(network.with_seed("tls://other.lab".parse().unwrap()).unwrap_err(), TooManySeeds);
    }

    #[test]
    fn debug_output_holds_nothing_of_the_secret() {
        let network = Network::new("lab", Secret::generate()).unwrap();
        assert_eq!(format!("{network:?}"), "Network { name: \"lab\", secret: Secret(…), seeds: [] }");
    }
}
