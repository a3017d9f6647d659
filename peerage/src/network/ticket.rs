//! Tickets: what somebody needs to join, on one line that survives being copied.
//!
//! A ticket holds the network's name, its secret and its seeds, with a checksum over all of it. **It is a secret itself**:
//! whoever reads it can join. So it goes from file to file or through a pipe, never over a command line or an environment,
//! where every process of the machine can read along. A network file holds the same line. PROTOCOL §12 has its form.
//!
//! ```text
//!   content:  length of name (1 byte)  name   length of secret (1)  secret   number of seeds (1)   { length (2)  seed }*
//! ```

use std::fmt;

use peerage_proto::address::Address;
use zeroize::Zeroizing;

use super::{Network, Secret};
use crate::private_file::{self, Damage, Kind};

/// A network in the form in which it is handed on.
///
/// `Debug` shows the network's name and seeds; there is no `Display`, so that a secret is not printed by accident.
///
/// ```
/// use peerage::network::{Network, Secret, Ticket};
///
/// let network = Network::new("lab", Secret::generate())?.with_seed("tls://node-7.lab".parse()?)?;
/// let line = Ticket::of(&network).reveal();
/// assert!(line.starts_with("peerage-ticket-1-"));
///
/// let joined = Ticket::read(&line)?.into_network();
/// assert_eq!(joined.secret().as_bytes(), network.secret().as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Ticket {
    network: Network,
}

impl Ticket {
    /// The ticket of a network.
    pub fn of(network: &Network) -> Self {
        Ticket { network: network.clone() }
    }

    /// Reads the line of a ticket. Blanks and line breaks around it do not count.
    ///
    /// From here on this process dumps no core, and other processes of the user cannot look into its memory.
    ///
    /// # Errors
    ///
    /// [`Damage`], one kind for each way to spoil a line.
    pub fn read(line: &str) -> Result<Self, Damage> {
        private_file::no_core_dumps();
        let content = private_file::unseal(Kind::Ticket, line)?;
        let network = decode(&content).ok_or(Damage::Content)?;
        Ok(Ticket { network })
    }

    /// The line, without a newline. It holds the secret: give it to those who shall join, and to nobody else.
    pub fn reveal(&self) -> Zeroizing<String> {
        private_file::seal(Kind::Ticket, &encode(&self.network))
    }

    /// The network it is for.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network it is for.
    pub fn into_network(self) -> Network {
        self.network
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("network", &self.network).finish()
    }
}

fn encode(network: &Network) -> Zeroizing<Vec<u8>> {
    let seeds: Vec<String> = network.seeds().iter().map(Address::to_string).collect();
    let room = 3 + network.name().len() + network.secret().as_bytes().len();
    // All the room at once: growing would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(room + seeds.iter().map(|seed| 2 + seed.len()).sum::<usize>()));
    let short = |length: usize| u8::try_from(length).expect("names, secrets and numbers of seeds are below 256");
    for part in [network.name().as_bytes(), network.secret().as_bytes()] {
        content.push(short(part.len()));
        content.extend_from_slice(part);
    }
    content.push(short(seeds.len()));
    for seed in &seeds {
        let length = u16::try_from(seed.len()).expect("all seeds together are below 64 KiB");
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(seed.as_bytes());
    }
    content
}

/// `None`: whoever made the content did not keep to its form.
fn decode(content: &[u8]) -> Option<Network> {
    let mut rest = content;
    let length = usize::from(byte(&mut rest)?);
    let name = text(&mut rest, length)?;
    let length = usize::from(byte(&mut rest)?);
    let secret = Secret::from_bytes(take(&mut rest, length)?).ok()?;
    let mut network = Network::new(name, secret).ok()?;
    for _ in 0..byte(&mut rest)? {
        let length = u16::from_be_bytes([byte(&mut rest)?, byte(&mut rest)?]);
        let seed = text(&mut rest, usize::from(length))?;
        network = network.with_seed(Address::for_node(seed).ok()?).ok()?;
    }
    rest.is_empty().then_some(network)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    rest.split_off_first().copied()
}

fn take<'c>(rest: &mut &'c [u8], length: usize) -> Option<&'c [u8]> {
    rest.split_off(..length)
}

fn text<'c>(rest: &mut &'c [u8], length: usize) -> Option<&'c str> {
    std::str::from_utf8(take(rest, length)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(secret: &[u8], seeds: &[String]) -> Network {
        let network = Network::new("lab", Secret::from_bytes(secret).unwrap()).unwrap();
        seeds.iter().fold(network, |network, seed| network.with_seed(seed.parse().unwrap()).unwrap())
    }

    fn content(parts: &[&[u8]]) -> Damage {
        Ticket::read(&private_file::seal(Kind::Ticket, &parts.concat())).unwrap_err()
    }

    #[test]
    fn a_ticket_holds_name_secret_and_seeds() {
        let secret: [u8; 16] = std::array::from_fn(|i| 0xf0 | u8::try_from(i).unwrap());
        let network = network(&secret, &["tls://node-7.lab:5000".to_owned(), "quic://[::1]:7".to_owned()]);
        let line = Ticket::of(&network).reveal();
        let joined = Ticket::read(&line).unwrap().into_network();
        assert_eq!(joined.name(), network.name());
        assert_eq!(joined.secret().as_bytes(), secret);
        assert_eq!(joined.seeds(), network.seeds());
    }

    #[test]
    fn the_ticket_of_the_protocol_document_is_written_and_read() {
        let document = include_str!("../../../PROTOCOL.md");
        let example = document.lines().find(|line| line.starts_with("peerage-ticket-1-")).unwrap();
        let secret: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let network = network(&secret, &["tls://node-7.lab".to_owned()]);
        assert_eq!(&**Ticket::of(&network).reveal(), example);
        assert_eq!(Ticket::read(example).unwrap().network().secret().as_bytes(), secret);
    }

    #[test]
    fn the_largest_network_fits_into_a_ticket() {
        let name = "n".repeat(64);
        let secret: [u8; 64] = std::array::from_fn(|i| 0xff - u8::try_from(i).unwrap());
        let mut network = Network::new(&name, Secret::from_bytes(&secret).unwrap()).unwrap();
        for n in 10..74 {
            network = network.with_seed(format!("tls://{}.lab:{n}", "s".repeat(50)).parse().unwrap()).unwrap();
        }
        assert_eq!(network.seeds().iter().map(|seed| seed.to_string().len()).sum::<usize>(), 64 * 63);
        assert_eq!(Ticket::read(&Ticket::of(&network).reveal()).unwrap().network().seeds().len(), 64);
    }

    #[test]
    fn an_undamaged_ticket_without_sense_is_refused() {
        let secret = [16, 200, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let good: &[&[u8]] = &[&[3], b"lab", &secret, &[0]];
        assert!(Ticket::read(&private_file::seal(Kind::Ticket, &good.concat())).is_ok());
        assert_eq!(content(&[]), Damage::Content, "nothing");
        assert_eq!(content(&good[..3]), Damage::Content, "an end too early");
        assert_eq!(content(&[&good.concat(), &[0]]), Damage::Content, "more than that");
        assert_eq!(content(&[&[3], b"a/b", &secret, &[0]]), Damage::Content, "a wrong name");
        assert_eq!(content(&[&[3], b"lab", &[16], b"0123456789abcdef", &[0]]), Damage::Content, "a passphrase");
        assert_eq!(content(&[&[3], b"lab", &secret, &[1, 0, 3], b"x:y"]), Damage::Content, "no address");
    }

    #[test]
    fn debug_output_of_a_ticket_holds_nothing_of_the_secret() {
        let ticket = Ticket::of(&network(&[0xf1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], &[]));
        assert_eq!(
            format!("{ticket:?}"),
            "Ticket { network: Network { name: \"lab\", secret: Secret(…), seeds: [] } }"
        );
    }

    proptest! {
        #[test]
        fn no_content_makes_the_reader_panic(content: Vec<u8>) {
            let _ = Ticket::read(&private_file::seal(Kind::Ticket, &content));
        }
    }
}
