//! `peerage id`: keys, each of them one node.

use peerage::identity::{Identity, KeyInfo};
use peerage::name::Name;
use peerage::private_file::PrivateFileError;
use serde::Serialize;

use crate::args::{Id, IdList, IdNew, IdShow};
use crate::exit::{Abort, Exit};
use crate::home::{self, Home};
use crate::output;
use crate::table::Table;

pub(super) fn run(typed: &Id) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    match typed {
        Id::New(typed) => new(typed, &home),
        Id::Show(typed) => show(typed, &home),
        Id::List(typed) => list(typed, &home),
    }
}

fn new(typed: &IdNew, home: &Home) -> Result<Exit, Abort> {
    Identity::create(&home.key(&typed.name)).map_err(|why| Abort::Failed(why.to_string()))?;
    Records { ids: vec![Record::of(&typed.name, home)?] }.print(typed.json)?;
    Ok(Exit::Ok)
}

fn show(typed: &IdShow, home: &Home) -> Result<Exit, Abort> {
    let name = match &typed.name {
        Some(name) => name.clone(),
        None => the_only_one(home.keys()?)?,
    };
    Records { ids: vec![Record::of(&name, home)?] }.print(typed.json)?;
    Ok(Exit::Ok)
}

fn list(typed: &IdList, home: &Home) -> Result<Exit, Abort> {
    let (mut ids, mut exit) = (Vec::new(), Exit::Ok);
    for name in home.keys()? {
        match Record::of(&name, home) {
            Ok(record) => ids.push(record),
            Err(Abort::Failed(why)) => {
                output::complain(&why);
                exit = Exit::Failed;
            }
            Err(other) => return Err(other),
        }
    }
    Records { ids }.print(typed.json)?;
    Ok(exit)
}

fn the_only_one(mut names: Vec<Name>) -> Result<Name, Abort> {
    match names.len() {
        0 => Err(Abort::Failed("there is no key yet: make one with `peerage id new NAME`".to_owned())),
        1 => Ok(names.remove(0)),
        _ => Err(Abort::Usage(format!("there are several keys; say which one: {}", home::listed(&names)))),
    }
}

#[derive(Serialize)]
struct Records {
    ids: Vec<Record>,
}

#[derive(Serialize)]
struct Record {
    name: String,
    id: String,
    file: String,
    in_use: bool,
    /// The process of the node that uses it.
    pid: Option<u32>,
}

impl Record {
    fn of(name: &Name, home: &Home) -> Result<Record, Abort> {
        let file = home.key(name);
        let key = KeyInfo::read(&file).map_err(|why| match why {
            PrivateFileError::NotFound { .. } => {
                Abort::Failed(format!("there is no key called {name}; `peerage id new {name}` makes one"))
            }
            why => Abort::Failed(why.to_string()),
        })?;
        Ok(Record {
            name: name.to_string(),
            id: key.id.to_string(),
            file: file.display().to_string(),
            in_use: key.in_use_by.is_some(),
            pid: key.in_use_by,
        })
    }
}

impl Records {
    fn print(&self, json: bool) -> Result<(), Abort> {
        if json {
            return output::object(self);
        }
        let mut table = Table::new(["name", "id", "used by", "file"]);
        for record in &self.ids {
            let user = record.pid.map_or_else(|| "-".to_owned(), |pid| format!("process {pid}"));
            table.row([&record.name, &record.id, &user, &record.file]);
        }
        table.print()
    }
}
