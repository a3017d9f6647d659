//! `up --print-config`: each setting with its value and where that comes from.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::first_run::Place;
use super::{NetworkChoice, Origin, Setting, Settings};
use crate::exit::Abort;
use crate::exposed::VARIABLES;
use crate::output;
use crate::table::Table;

#[derive(Serialize)]
struct Record {
    home: String,
    control: String,
    link: Option<String>,
    settings: BTreeMap<&'static str, Row>,
}

#[derive(Serialize)]
struct Row {
    value: Value,
    origin: &'static str,
    /// The flag, the variable or the file.
    from: Option<String>,
}

impl Settings {
    /// Prints all settings. Nothing is made and nothing is locked.
    pub(crate) fn print(&self, json: bool) -> Result<(), Abort> {
        let network = self.network_name()?;
        let name = self.node_name(&network.value)?;
        let place = Place::of(&self.home, &network.value, &name.value)?;
        let in_file = self.network.as_ref().filter(|network| matches!(network.value, NetworkChoice::InFile(_)));
        let rows = [
            row("name", &name, |name| json!(name.as_str())),
            // With its origin: who names a file names the network in it.
            (
                "network",
                row(if in_file.is_some() { "network-file" } else { "network" }, &network, |name| json!(name.as_str()))
                    .1,
            ),
            maybe("network-file", in_file, |network| match network {
                NetworkChoice::InFile(file) => json!(file.display().to_string()),
                NetworkChoice::Named(_) => Value::Null,
            }),
            row("listen", &self.listen(&network.value, &place), |list| texts(list)),
            row("advertise", &self.advertise, |list| texts(list)),
            row("seed", &self.seed, |list| texts(list)),
            row("require-seed", &self.require_seed, |yes| json!(yes)),
            row("group", &self.group, |list| texts(list)),
            row("hub", &self.hub, |yes| json!(yes)),
            row("no-lan", &self.no_lan, |yes| json!(yes)),
            row("no-local", &self.no_local, |yes| json!(yes)),
            row("max-full-mesh", &self.max_full_mesh, |nodes| json!(nodes)),
            row("log", &self.log, |filter| json!(filter)),
            row("log-format", &self.log_format, |format| json!(format.name())),
            maybe("ready-fd", self.ready_fd.as_ref(), |number| json!(number)),
            row("detach", &self.detach, |yes| json!(yes)),
            row("dangerously-plaintext", &self.dangerously_plaintext, |yes| json!(yes)),
            row("jsonl", &self.jsonl, |yes| json!(yes)),
        ];
        if !json {
            let mut table = Table::new(["setting", "value", "origin"]);
            rows.iter().for_each(|(name, shown)| table.row([name, &shown.words(), &shown.whence()]));
            return table.print();
        }
        output::object(&Record {
            home: self.home.root().display().to_string(),
            control: format!("unix://{}", place.control.display()),
            link: (!self.no_local.value).then(|| place.link.to_string()),
            settings: rows.into(),
        })
    }
}

fn row<T>(name: &'static str, setting: &Setting<T>, value: impl Fn(&T) -> Value) -> (&'static str, Row) {
    let from = match &setting.origin {
        Origin::Default => None,
        Origin::File(path) => Some(path.display().to_string()),
        Origin::Environment => Some(format!("{VARIABLES}{}", name.to_ascii_uppercase().replace('-', "_"))),
        Origin::Flag => Some(format!("--{name}")),
    };
    (name, Row { value: value(&setting.value), origin: setting.origin.word(), from })
}

fn maybe<T>(name: &'static str, setting: Option<&Setting<T>>, value: impl Fn(&T) -> Value) -> (&'static str, Row) {
    let unset = (name, Row { value: Value::Null, origin: Origin::Default.word(), from: None });
    setting.map_or(unset, |setting| row(name, setting, value))
}

fn texts(list: &[impl ToString]) -> Value {
    list.iter().map(ToString::to_string).collect()
}

impl Row {
    /// The value as it would be typed.
    fn words(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    fn whence(&self) -> String {
        match &self.from {
            Some(from) => format!("{} {from}", self.origin),
            None => self.origin.to_owned(),
        }
    }
}
