//! `peerage network`: networks, and the tickets with which others join them.
//!
//! A secret comes in by a file or by stdin and goes out on stdout, when a ticket is asked for. It is in no record, no
//! message and no argument.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use peerage::Network;
use peerage::limits;
use peerage::name::Name;
use peerage::network::{Secret, Ticket};
use peerage::private_file::{Damage, PrivateFileError};
use serde::Serialize;

use crate::args::{self, NetworkJoin, NetworkList, NetworkNew, NetworkShow, NetworkTicket, SeedPlace};
use crate::exit::{Abort, Exit};
use crate::home::{self, Home};
use crate::output;
use crate::table::Table;

pub(super) fn run(typed: &args::Network) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    match typed {
        args::Network::New(typed) => new(typed, &home),
        args::Network::Show(typed) => show(typed, &home),
        args::Network::List(typed) => list(typed, &home),
        args::Network::Ticket(typed) => ticket(typed, &home),
        args::Network::Join(typed) => join(typed, &home),
    }
}

fn new(typed: &NetworkNew, home: &Home) -> Result<Exit, Abort> {
    let network = Network::new(&typed.name, Secret::generate()).map_err(|why| Abort::Usage(why.to_string()))?;
    let network = with_seeds(network, &typed.seed)?;
    network.create(&home.network(&typed.name)).map_err(failed)?;
    Records { networks: vec![Record::of(&network, home)] }.print(typed.json)?;
    Ok(Exit::Ok)
}

fn show(typed: &NetworkShow, home: &Home) -> Result<Exit, Abort> {
    let network = read(typed.network.as_ref(), home)?;
    Records { networks: vec![Record::of(&network, home)] }.print(typed.json)?;
    Ok(Exit::Ok)
}

fn list(typed: &NetworkList, home: &Home) -> Result<Exit, Abort> {
    let (mut networks, mut exit) = (Vec::new(), Exit::Ok);
    for name in home.networks()? {
        match open(&name, home) {
            Ok(network) => networks.push(Record::of(&network, home)),
            Err(Abort::Failed(why)) => {
                output::complain(&why);
                exit = Exit::Failed;
            }
            Err(other) => return Err(other),
        }
    }
    Records { networks }.print(typed.json)?;
    Ok(exit)
}

fn ticket(typed: &NetworkTicket, home: &Home) -> Result<Exit, Abort> {
    let network = with_seeds(read(typed.network.as_ref(), home)?, &typed.seed)?;
    if network.seeds().is_empty() {
        output::comment(
            "the ticket holds no seed: who joins with it must find a member by other means, or say --seed ADDR here",
        );
    }
    let ticket = Ticket::of(&network).reveal();
    if typed.json {
        output::object(&Printed { network: network.name(), ticket: &ticket })?;
    } else {
        output::line(&ticket)?;
    }
    Ok(Exit::Ok)
}

fn join(typed: &NetworkJoin, home: &Home) -> Result<Exit, Abort> {
    let network = read_ticket(&typed.file)?.into_network();
    let file = home.network(network.name());
    let known = match network.create(&file) {
        Ok(()) => network,
        Err(PrivateFileError::Exists { .. }) => {
            let known = open(network.name(), home)?;
            if known.secret().as_bytes() != network.secret().as_bytes() {
                return Err(Abort::Failed(format!(
                    "{}: holds another network called {}; it is left as it is: remove it first, if it is not needed any more",
                    file.display(),
                    network.name()
                )));
            }
            output::comment(&format!("{}: joined already, and left as it is", file.display()));
            known
        }
        Err(why) => return Err(failed(why)),
    };
    Records { networks: vec![Record::of(&known, home)] }.print(typed.json)?;
    Ok(Exit::Ok)
}

/// The ticket in a file, or on stdin if that is `-`.
fn read_ticket(file: &Path) -> Result<Ticket, Abort> {
    let (text, place) = if file == Path::new("-") {
        (read_text(io::stdin().lock()), "stdin".to_owned())
    } else {
        (
            File::open(file).and_then(|opened| say_if_others_can_read(&opened, file).and_then(|()| read_text(opened))),
            file.display().to_string(),
        )
    };
    let text = text.map_err(|why| match why.kind() {
        io::ErrorKind::InvalidData => Abort::Failed(format!("{place}: {}", Damage::NotText)),
        _ => Abort::Failed(format!("{place}: {why}")),
    })?;
    Ticket::read(&text).map_err(|why| Abort::Failed(format!("{place}: {why}")))
}

/// A ticket was made by somebody else, often under a mode that lets others read it. That is said, not refused: the network
/// file that is made of it is private.
fn say_if_others_can_read(opened: &File, file: &Path) -> io::Result<()> {
    let found = opened.metadata()?;
    if found.is_file() && found.mode() & 0o077 != 0 {
        output::comment(&format!(
            "{0}: others on this machine can read this ticket, and join with it; remove it, or `chmod 600 {0}`",
            file.display()
        ));
    }
    Ok(())
}

fn read_text(source: impl Read) -> io::Result<zeroize::Zeroizing<String>> {
    // Room for all of it at once: growing would leave copies of the secret behind.
    let most = limits::TICKET_BYTES_MAX + 2;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(most + 1));
    source.take(most as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// The network that was named, or the only one there is.
fn read(name: Option<&Name>, home: &Home) -> Result<Network, Abort> {
    match name {
        Some(name) => open(name, home),
        None => {
            let names = home.networks()?;
            match names.as_slice() {
                [] => {
                    Err(Abort::Failed("there is no network yet: make one with `peerage network new NAME`".to_owned()))
                }
                [name] => open(name, home),
                _ => Err(Abort::Usage(format!(
                    "there are several networks; say which one with --network: {}",
                    home::listed(&names)
                ))),
            }
        }
    }
}

fn open(name: &Name, home: &Home) -> Result<Network, Abort> {
    Network::open(&home.network(name)).map_err(|why| match why {
        PrivateFileError::NotFound { .. } => Abort::Failed(format!(
            "there is no network called {name}; `peerage network new {name}` makes one, `peerage network join` takes part in one"
        )),
        why => failed(why),
    })
}

fn with_seeds(network: Network, seeds: &[SeedPlace]) -> Result<Network, Abort> {
    seeds
        .iter()
        .try_fold(network, |network, seed| network.with_seed(seed.0.clone()))
        .map_err(|why| Abort::Usage(format!("--seed: {why}")))
}

fn failed(why: PrivateFileError) -> Abort {
    Abort::Failed(why.to_string())
}

#[derive(Serialize)]
struct Records {
    networks: Vec<Record>,
}

#[derive(Serialize)]
struct Record {
    name: String,
    file: String,
    seeds: Vec<String>,
}

/// A ticket as an object.
#[derive(Serialize)]
struct Printed<'t> {
    network: &'t str,
    ticket: &'t str,
}

impl Record {
    fn of(network: &Network, home: &Home) -> Record {
        Record {
            name: network.name().to_string(),
            file: home.network(network.name()).display().to_string(),
            seeds: network.seeds().iter().map(ToString::to_string).collect(),
        }
    }
}

impl Records {
    fn print(&self, json: bool) -> Result<(), Abort> {
        if json {
            return output::object(self);
        }
        let mut table = Table::new(["name", "seeds", "file"]);
        for record in &self.networks {
            table.row([&record.name, &record.seeds.join(" "), &record.file]);
        }
        table.print()
    }
}
