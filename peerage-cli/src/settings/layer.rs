//! Settings that stand elsewhere than on the command line, read by the definition of the flags.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args as _, Command, FromArgMatches as _};

use crate::args::{Logging, NodeFlags};
use crate::exit::Abort;
use crate::exposed::{self, VARIABLES};
use crate::home::HOME_VARIABLE;
use crate::output::shown;

/// What one source says.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) flags: NodeFlags,
    pub(super) logging: Logging,
}

/// What the environment says.
pub(super) struct OfEnvironment {
    pub(super) layer: Layer,
    /// The file with settings.
    pub(super) config: Option<PathBuf>,
}

/// Reads the variables that begin with `PEERAGE_`. One that is empty says nothing.
pub(super) fn of_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<OfEnvironment, Abort> {
    let mut read = OfEnvironment { layer: Layer::default(), config: None };
    // In order, so that of several mistakes always the same one is told.
    let variables: BTreeMap<OsString, OsString> = variables.collect();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(key) = name.strip_prefix(VARIABLES) else { continue };
        if name == HOME_VARIABLE || value.is_empty() {
            continue;
        }
        if key == "CONFIG" {
            read.config = Some(value.into());
            continue;
        }
        let key = key.to_ascii_lowercase().replace('_', "-");
        let value = value.to_str().ok_or_else(|| Abort::Usage(format!("{name} is not text: set or unset it")))?;
        let values: Vec<String> = match kind_of(&key) {
            Some(Kind::List) => value.split_whitespace().map(str::to_owned).collect(),
            _ => vec![value.to_owned()],
        };
        let as_variable = |key: &str| format!("{VARIABLES}{}", key.to_ascii_uppercase().replace('-', "_"));
        read.layer.set(&key, &values).map_err(|why| why.told_of(&name, as_variable))?;
    }
    Ok(read)
}

/// What kind of values a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    One,
    List,
}

/// The kind of the setting of this name, if there is one.
pub(super) fn kind_of(key: &str) -> Option<Kind> {
    let definition = definition();
    let argument = definition.get_arguments().find(|argument| argument.get_long() == Some(key))?;
    Some(match argument.get_action() {
        ArgAction::Append => Kind::List,
        _ => Kind::One,
    })
}

/// Why a setting is not taken.
pub(super) enum Refused {
    /// There is no setting of this name; maybe that one was meant.
    Unknown { suggestion: Option<String> },
    /// It would hold a secret.
    Secret,
    /// The value is none for this setting.
    Value(String),
}

impl Refused {
    /// The error of a setting that was called `name`; `written` gives the form of another one's name.
    pub(super) fn told_of(self, name: &str, written: impl Fn(&str) -> String) -> Abort {
        let name = shown(name);
        Abort::Usage(match self {
            Refused::Unknown { suggestion: Some(key) } => {
                format!("{name} is no setting; is {} meant?", written(&key))
            }
            Refused::Unknown { suggestion: None } => {
                format!("{name} is no setting; `peerage up --print-config` shows all there are")
            }
            Refused::Secret => format!(
                "{name}: a secret stands in a network file and nowhere else: `peerage network join`, `--network-file`"
            ),
            Refused::Value(why) => format!("{name}: {why}"),
        })
    }
}

impl Layer {
    /// Takes a setting as if its flag had been typed with these values.
    pub(super) fn set(&mut self, key: &str, values: &[String]) -> Result<(), Refused> {
        if values.iter().any(|value| exposed::holds_secret(value).is_some()) {
            return Err(Refused::Secret);
        }
        // `--key=value`, so that no value is taken for a flag.
        let typed = values.iter().map(|value| format!("--{key}={value}"));
        let matches = definition().try_get_matches_from(typed).map_err(|why| refused(key, &why))?;
        let taken = self.flags.update_from_arg_matches(&matches);
        taken.and_then(|()| self.logging.update_from_arg_matches(&matches)).map_err(|why| refused(key, &why))
    }
}

/// The flags that are settings.
fn definition() -> Command {
    let command = Command::new("settings").no_binary_name(true).disable_help_flag(true).disable_version_flag(true);
    Logging::augment_args(NodeFlags::augment_args(command))
}

fn refused(key: &str, why: &clap::Error) -> Refused {
    let text = |kind| match why.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    };
    match why.kind() {
        ErrorKind::UnknownArgument if exposed::is_for_secrets(key) => Refused::Secret,
        ErrorKind::UnknownArgument => {
            let suggestion = text(ContextKind::SuggestedArg).map(|flag| flag.trim_start_matches("--").to_owned());
            Refused::Unknown { suggestion }
        }
        ErrorKind::ArgumentConflict => Refused::Value("takes one value only".to_owned()),
        kind => {
            let value =
                text(ContextKind::InvalidValue).map(|value| format!("`{}`: ", shown(&value))).unwrap_or_default();
            let reason = match (why.source(), text(ContextKind::ValidValue)) {
                (Some(source), _) => source.to_string(),
                (None, Some(valid)) => format!("write one of: {valid}"),
                (None, None) => kind.to_string(),
            };
            Refused::Value(format!("{value}{reason}"))
        }
    }
}
