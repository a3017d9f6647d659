//! Who a node is: an Ed25519 key of its own.
//!
//! The public half *is* the node's id, so an identity needs no registry, and nobody can take it without the secret half.
//! The secret half never leaves this module: what others need of it is a signature, and they ask for one.
//!
//! An identity that shall survive its process lies in a **key file**. While a node holds it the file is locked, because two
//! nodes with one key are one node to everybody else. Beside it, in `<file>.epoch`, stands the counter of its starts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer as _, SigningKey};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::keys::{SIGNATURE_BYTES, Signer};
use zeroize::Zeroizing;

use crate::private_file::PrivateFileError;

mod counter;
mod key_file;
#[cfg(test)]
mod tests;

use counter::Counter;
pub use key_file::KeyInfo;
use key_file::LockedKey;

/// A node's key.
///
/// Clones share one copy of the secret, which is wiped from memory when the last of them is dropped; so does the lock on
/// its key file, if it has one. `Debug` shows the id only.
///
/// ```
/// use peerage::Identity;
///
/// let identity = Identity::generate();
/// println!("{} signs {:?}", identity.id(), identity.sign(b"a message"));
/// ```
#[derive(Clone)]
pub struct Identity {
    key: Arc<Key>,
}

struct Key {
    signing: SigningKey,
    /// Keeps the key file locked.
    _locked: Option<LockedKey>,
    counter: Counter,
}

impl Identity {
    /// A new identity, from 256 random bits of the system. It ends with the process.
    pub fn generate() -> Self {
        Identity::from_seed(&random_seed())
    }

    /// The identity whose secret key is this (RFC 8032, §5.1.5): 32 random bytes that nobody else knows.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        Identity::new(seed, None, Counter::in_memory())
    }

    /// The identity in a key file, which is locked until the last clone is dropped.
    ///
    /// From here on this process dumps no core, and other processes of the user cannot look into its memory.
    ///
    /// # Errors
    ///
    /// [`PrivateFileError`]: there is no file, it or its directory is open to others or not ours, it is damaged, or a node
    /// holds it.
    pub fn open(path: &Path) -> Result<Self, PrivateFileError> {
        let (seed, locked) = LockedKey::open(path)?;
        Ok(Identity::new(&seed, Some(locked), Counter::beside(path)))
    }

    /// As [`open`](Identity::open); if there is no file, one is made with a new identity.
    ///
    /// Any number of processes may do this at once: they agree on one file, and one of them gets the lock.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Identity::open), and what may go wrong in making a file.
    pub fn open_or_create(path: &Path) -> Result<Self, PrivateFileError> {
        loop {
            match Identity::open(path) {
                Err(PrivateFileError::NotFound { .. }) => {}
                done => return done,
            }
            match Identity::create(path) {
                // Somebody was faster.
                Err(PrivateFileError::Exists { .. }) => {}
                done => drop(done?),
            }
        }
    }

    /// Makes a key file with a new identity and returns its id. Its directory is made if there is none, 0700; it must be
    /// this user's alone.
    ///
    /// # Errors
    ///
    /// [`PrivateFileError::Exists`] if there is a file of that name, and what may go wrong in making one.
    pub fn create(path: &Path) -> Result<NodeId, PrivateFileError> {
        let seed = random_seed();
        key_file::create(path, &seed)?;
        Ok(Identity::from_seed(&seed).id())
    }

    /// The node's id, which is the public key.
    pub fn id(&self) -> NodeId {
        NodeId::from_bytes(self.key.signing.verifying_key().to_bytes())
    }

    /// An Ed25519 signature over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.signing.sign(message).to_bytes()
    }

    /// Begins a new epoch: one that is newer than all this identity began before, as far as that is known, and newer than
    /// one with the start counter `above` (pass 0 if nobody told of one). Its counter is the unix time in seconds, or more.
    ///
    /// The counter is stored beside the key file. If that fails (a full or read-only disk) while the clock alone makes the
    /// epoch newer, it is logged and no error.
    ///
    /// # Errors
    ///
    /// [`PrivateFileError::Counter`] if the clock is behind what is stored and the raised counter cannot be stored, or if
    /// the counter is at its end.
    pub fn begin_epoch(&self, above: u64) -> Result<Epoch, PrivateFileError> {
        // A clock before 1970 counts as no clock.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let start = self.key.counter.raise(self.id(), clock, above)?;
        let mut random = [0; 16];
        fill(&mut random);
        Ok(Epoch::new(start, random))
    }

    fn new(seed: &[u8; SEED_BYTES], locked: Option<LockedKey>, counter: Counter) -> Self {
        // The library wipes its own copy when it is dropped.
        let signing = SigningKey::from_bytes(seed);
        Identity { key: Arc::new(Key { signing, _locked: locked, counter }) }
    }
}

/// How the machines of the protocol sign.
impl Signer for Identity {
    fn id(&self) -> NodeId {
        Identity::id(self)
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        Identity::sign(self, message)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.id())
    }
}

fn random_seed() -> Zeroizing<[u8; SEED_BYTES]> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    fill(&mut *seed);
    seed
}

fn fill(bytes: &mut [u8]) {
    // The library ends the process by itself when the system has no random numbers to give.
    aws_lc_rs::rand::fill(bytes).expect("random numbers are drawn or the process has ended");
}

/// Bytes of a secret key.
pub const SEED_BYTES: usize = 32;
