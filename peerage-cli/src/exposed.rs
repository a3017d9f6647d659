//! Secrets where others can read them: on the command line and in the environment.
//!
//! Both are open to every process of the user, often to others too, and end up in histories and logs. So no setting takes a
//! secret there, and one that stands there all the same is refused before anything is done. What is wrong is said without
//! repeating it: the complaint itself may be logged.

use std::ffi::OsString;

use crate::exit::Abort;

/// Refuses arguments and variables that hold a secret of ours.
pub(crate) fn refuse(
    arguments: impl Iterator<Item = OsString>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(), Abort> {
    for (number, argument) in arguments.enumerate() {
        if let Some(kind) = holds_secret(&argument.to_string_lossy()) {
            return Err(Abort::Usage(format!(
                "argument {number} holds a {kind}, and every process of this machine can read arguments; {REMEDY}"
            )));
        }
    }
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(setting) = name.strip_prefix(VARIABLES) else { continue };
        let kind = holds_secret(&value.to_string_lossy()).or(is_for_secrets(setting).then_some("secret"));
        if let Some(kind) = kind {
            return Err(Abort::Usage(format!(
                "{name} holds a {kind}, and every process of yours can read the environment; unset it, and {REMEDY}"
            )));
        }
    }
    Ok(())
}

/// Whether a setting of this name, in any case, could only be a secret.
pub(crate) fn is_for_secrets(setting: &str) -> bool {
    let setting = setting.to_ascii_lowercase();
    setting.split(['-', '_']).any(|word| WORDS_FOR_SECRETS.contains(&word))
}

/// What a text holds, if it is a ticket or a key as a whole or in part.
pub(crate) fn holds_secret(text: &str) -> Option<&'static str> {
    let found = |prefix: &str| {
        text.match_indices(prefix).any(|(at, _)| {
            let rest = text[at + prefix.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
            let content = rest.strip_prefix('-').unwrap_or_default();
            content.chars().take_while(char::is_ascii_alphanumeric).count() >= SECRET_CHARACTERS_MIN
        })
    };
    ["ticket", "key"].into_iter().find(|kind| found(&format!("peerage-{kind}-")))
}

/// How settings in the environment begin.
pub(crate) const VARIABLES: &str = "PEERAGE_";

const REMEDY: &str = "give it in a file or on stdin: `peerage network join FILE|-`, `peerage up --network-file FILE`";

const WORDS_FOR_SECRETS: [&str; 8] =
    ["secret", "secrets", "ticket", "tickets", "password", "passphrase", "key", "token"];

/// 128 bits in base58. A file may well be called `peerage-ticket-1-lab`.
const SECRET_CHARACTERS_MIN: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> Option<String> {
        let arguments = arguments.iter().map(OsString::from);
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        match refuse(arguments, variables) {
            Ok(()) => None,
            Err(Abort::Usage(why)) => Some(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_ticket_or_a_key_in_an_argument_is_refused_without_repeating_it() {
        let secret = "9f2LkPxyz9f2LkPxyz9f2LkPxyz";
        for text in [format!("peerage-ticket-1-{secret}-00aabbcc"), format!("--x=peerage-key-1-{secret}")] {
            let why = refused(&["peerage", "network", "join", &text], &[]).unwrap();
            assert!(why.starts_with("argument 3 holds a ") && !why.contains(secret), "{why}");
        }
        assert_eq!(refused(&["peerage", "network", "join", "peerage-ticket-1-lab.txt"], &[]), None);
    }

    #[test]
    fn a_secret_in_a_variable_of_ours_is_refused_without_repeating_it() {
        let ticket = "peerage-ticket-1-9f2LkPxyz9f2LkPxyz9f2LkPxyz-00aabbcc";
        for (name, value) in [
            ("PEERAGE_SECRET", "x"),
            ("PEERAGE_NETWORK_SECRET", "0123"),
            ("PEERAGE_TICKET", ""),
            ("PEERAGE_KEY", "abc"),
            ("PEERAGE_NETWORK", ticket),
        ] {
            let why = refused(&[], &[(name, value)]).unwrap();
            assert!(why.starts_with(name) && !why.contains("9f2Lk") && why.contains("unset it"), "{why}");
        }
        assert_eq!(refused(&[], &[("SECRET", "x"), ("PEERAGE_HOME", "/x"), ("PEERAGE_LISTEN", "x")]), None);
    }
}
