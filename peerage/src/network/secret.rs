//! The secret of a network: random bits, never words.
//!
//! During admission somebody in the middle may come to hold a keyed hash whose other inputs it knows, and then has all the
//! time in the world to guess the key. Against 128 random bits that is hopeless; a passphrase falls in an afternoon. So
//! secrets are made by a generator, and what looks written by a person is refused.

use std::fmt;

use peerage_proto::limits;
use zeroize::Zeroizing;

/// The secret of a network: 128 to 512 random bits, 256 when made here.
///
/// `Debug` shows nothing of it; its memory is wiped when it is dropped.
///
/// ```
/// use peerage::network::{InvalidSecret, Secret};
///
/// let secret = Secret::generate();
/// assert_eq!(secret.as_bytes().len(), 32);
/// assert_eq!(Secret::from_bytes(b"correct horse battery staple").unwrap_err(), InvalidSecret::Passphrase);
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// A new secret: 256 random bits of the system.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; limits::SECRET_BYTES_DEFAULT]);
        loop {
            // The library ends the process by itself when the system has no random numbers to give.
            aws_lc_rs::rand::fill(&mut *bytes).expect("random numbers are drawn or the process has ended");
            // One in some 10¹¹ reads like a text and could not be read back.
            if let Ok(secret) = Secret::from_bytes(&*bytes) {
                return secret;
            }
        }
    }

    /// The secret of these bytes, which must come from a generator of random numbers.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if they are too few or too many, or certainly not random.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSecret> {
        if !(limits::SECRET_BYTES_MIN..=limits::SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(InvalidSecret::Length { bytes: bytes.len() });
        }
        if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(|c: char| c.is_control())) {
            return Err(InvalidSecret::Passphrase);
        }
        if different(bytes) < DIFFERENT_BYTES_MIN {
            return Err(InvalidSecret::Repetitive);
        }
        Ok(Secret(Zeroizing::new(bytes.into())))
    }

    /// The bytes, for hashing. They must not be shown anywhere.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why bytes cannot be a [`Secret`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecret {
    /// Too few or too many.
    #[error(
        "a secret has {min} to {max} random bytes, not {bytes}; let `Secret::generate` or `peerage network new` make one",
        min = limits::SECRET_BYTES_MIN,
        max = limits::SECRET_BYTES_MAX
    )]
    Length {
        /// How many there are.
        bytes: usize,
    },
    /// They are text.
    #[error(
        "a secret that reads as text can be guessed; let `Secret::generate` or `peerage network new` make one \
         (of random bytes in hex or base64, give the bytes)"
    )]
    Passphrase,
    /// Hardly two of them differ.
    #[error("these bytes are not random; let `Secret::generate` or `peerage network new` make a secret")]
    Repetitive,
}

/// How many different bytes there are.
fn different(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

/// Fewest different bytes. Of 16 random ones fewer than 8 differ about once in 10⁹ times.
const DIFFERENT_BYTES_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> InvalidSecret {
        Secret::from_bytes(bytes).unwrap_err()
    }

    #[test]
    fn a_secret_is_taken_as_it_is() {
        let bytes: [u8; 64] = std::array::from_fn(|i| 0xf0 ^ u8::try_from(i).unwrap());
        for length in [16, 32, 64] {
            assert_eq!(Secret::from_bytes(&bytes[..length]).unwrap().as_bytes(), &bytes[..length]);
        }
    }

    #[test]
    fn short_secrets_and_passphrases_are_refused() {
        assert_eq!(refused(&[0xa5; 15]), InvalidSecret::Length { bytes: 15 });
        assert_eq!(refused(&[0xa5; 65]), InvalidSecret::Length { bytes: 65 });
        assert_eq!(refused(b""), InvalidSecret::Length { bytes: 0 });
        assert_eq!(refused("грустный пароль".as_bytes()), InvalidSecret::Passphrase);
        assert_eq!(refused(b"00112233445566778899aabbccddeeff"), InvalidSecret::Passphrase);
        assert_eq!(refused(&[0; 32]), InvalidSecret::Repetitive);
    }

    #[test]
    fn generated_secrets_differ_and_can_be_read_back() {
        let (one, other) = (Secret::generate(), Secret::generate());
        assert_ne!(one.as_bytes(), other.as_bytes());
        assert_eq!(Secret::from_bytes(one.as_bytes()).unwrap().as_bytes(), one.as_bytes());
    }

    #[test]
    fn debug_output_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::generate()), "Secret(…)");
    }
}
