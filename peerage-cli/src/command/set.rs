//! `peerage set`: changes what a running node says of itself.

use peerage::node::snapshot::Info;
use serde::Serialize;

use crate::args::{self, Advertised, GroupChange, Switch};
use crate::control::Wanted;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::running;
use crate::runtime;
use crate::time::Time;

pub(super) fn run(typed: &args::Set) -> Result<Exit, Abort> {
    let wanted = wanted(typed)?;
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let running = running::find_one(&home.run_folder(), &typed.acting).await?;
        time.asking();
        let info = running.control.set(&wanted).await?;
        let said = Said::of(&info);
        match typed.json {
            true => output::object(&said)?,
            false => output::line(&said.text())?,
        }
        Ok(Exit::Ok)
    }))
}

/// What is asked of the node. A group that is joined and left at once, and addresses beside `listening`, make no sense.
fn wanted(typed: &args::Set) -> Result<Wanted, Abort> {
    let (mut join, mut leave) = (Vec::new(), Vec::new());
    for change in &typed.group {
        match change {
            GroupChange::Join(group) => join.push(group.to_string()),
            GroupChange::Leave(group) => leave.push(group.to_string()),
        }
    }
    if let Some(both) = join.iter().find(|group| leave.contains(group)) {
        return Err(Abort::Usage(format!("join the group {both}, or leave it: not both")));
    }
    let addresses: Vec<String> = typed
        .advertise
        .iter()
        .filter_map(|place| match place {
            Advertised::At(place) => Some(place.0.to_string()),
            Advertised::Listening => None,
        })
        .collect();
    if !addresses.is_empty() && addresses.len() < typed.advertise.len() {
        return Err(Abort::Usage("advertise addresses, or `listening`: not both".to_owned()));
    }
    let advertise = (!typed.advertise.is_empty()).then_some(addresses);
    Ok(Wanted { join, leave, hub: typed.hub.map(|hub| hub == Switch::On), advertise })
}

/// What the node says of itself then.
#[derive(Serialize)]
struct Said<'i> {
    id: &'i str,
    name: &'i str,
    groups: &'i [String],
    hub: bool,
    addresses: &'i [String],
}

impl Said<'_> {
    fn of(info: &Info) -> Said<'_> {
        let Info { id, name, groups, hub, addresses, .. } = info;
        Said { id, name, groups, hub: *hub, addresses }
    }

    fn text(&self) -> String {
        let shown = |texts: &[String], none: &str| match texts {
            [] => none.to_owned(),
            texts => texts.iter().map(|text| output::shown(text)).collect::<Vec<_>>().join(", "),
        };
        let hub = if self.hub { "a hub" } else { "no hub" };
        let (groups, addresses) = (shown(self.groups, "none"), shown(self.addresses, "nowhere"));
        format!("{}: groups {groups}; {hub}; found at {addresses}", output::shown(self.name))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn typed(options: &[&str]) -> Result<Wanted, String> {
        let words = ["peerage", "set"].iter().chain(options);
        let typed = args::Args::try_parse_from(words).map_err(|why| why.to_string())?;
        let args::Command::Set(typed) = typed.command else { return Err("another command".to_owned()) };
        wanted(&typed).map_err(|why| why.text().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_not_named_stays() {
        let wanted = typed(&["--group", "+gpu", "--group", "-spare", "--hub", "on"]).unwrap();
        assert_eq!((wanted.join, wanted.leave), (vec!["gpu".to_owned()], vec!["spare".to_owned()]));
        assert_eq!((wanted.hub, wanted.advertise), (Some(true), None));
        let wanted = typed(&["--advertise", "listening"]).unwrap();
        assert_eq!((wanted.hub, wanted.advertise), (None, Some(Vec::new())));
        let wanted = typed(&["--advertise", "tls://a:1", "--advertise", "quic://b:2", "--hub", "off"]).unwrap();
        let addresses = vec!["tls://a:1".to_owned(), "quic://b:2".to_owned()];
        assert_eq!((wanted.hub, wanted.advertise), (Some(false), Some(addresses)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_remedy() {
        for (options, text) in [
            (&[][..], "required"),
            (&["--group", "gpu"], "write +gpu to join the group, -gpu to leave it"),
            (&["--group", "+a b"], "group"),
            (&["--group", "+gpu", "--group", "-gpu"], "join the group gpu, or leave it: not both"),
            (&["--hub", "maybe"], "possible values"),
            (&["--advertise", "unix:///a"], "unix:// stays on this machine"),
            (&["--advertise", "tls://a", "listening"], "advertise addresses, or `listening`: not both"),
        ] {
            let why = typed(options).unwrap_err();
            assert!(why.contains(text), "{options:?}: {why}");
        }
    }
}
