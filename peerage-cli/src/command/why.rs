//! `peerage why`: the chain of observations that made a node count as what it does, as one node tells it.

use std::time::Duration;

use peerage::node::snapshot::{TransitionRecord, Why};

use super::peers;
use crate::actor::Actor;
use crate::args;
use crate::exit::{Abort, Exit};
use crate::home::Home;
use crate::output;
use crate::presence;
use crate::runtime::{self, Interrupts};
use crate::table::Table;
use crate::time::Time;

pub(super) fn run(typed: &args::Why) -> Result<Exit, Abort> {
    let home = Home::of_environment()?;
    let time = Time::of(&typed.acting);
    runtime::on_one_thread(time.bound(async {
        let mut actor = Actor::find_or_join(&home, &typed.acting, &time).await?;
        time.seeking();
        let mut interrupts = Interrupts::listen()?;
        let why = tokio::select! {
            why = ask(&mut actor, &typed.who) => why.map(Some),
            () = interrupts.next() => Ok(None),
        };
        actor.leave().await;
        let Some(mut why) = why? else { return Ok(Exit::Failed) };
        if let Some(since) = typed.since {
            why.transitions = within(why.transitions, since, output::mono_us());
        }
        match typed.json {
            true => output::object(&why)?,
            false => text(&why)?,
        }
        Ok(Exit::Ok)
    }))
}

async fn ask(actor: &mut Actor, who: &str) -> Result<Why, Abort> {
    if actor.is_guest() {
        presence::settled(actor.control(), presence::GUEST_PATIENCE).await?;
    }
    actor.control().why(who).await
}

/// Those of the last `since`. The observer runs on this machine, whose processes share one monotonic clock.
fn within(transitions: Vec<TransitionRecord>, since: Duration, now_us: u64) -> Vec<TransitionRecord> {
    let from = now_us.saturating_sub(u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
    transitions.into_iter().filter(|one| one.mono_us >= from).collect()
}

fn text(why: &Why) -> Result<(), Abort> {
    output::line(&title(why))?;
    table(why).print()
}

fn title(why: &Why) -> String {
    let Why { id, name, state, .. } = why;
    format!("{}  {}  {}", output::shown(name), output::shown(id), peers::state(*state))
}

fn table(why: &Why) -> Table<9> {
    let mut table = Table::new(["when", "from", "to", "evidence", "over", "health", "detail", "told by", "asked"]);
    for one in &why.transitions {
        let asked: Vec<String> = one.asked.iter().map(|asked| format!("{} {}", asked.id, asked.answer)).collect();
        table.row([
            &one.wall,
            one.from.map_or("", peers::state),
            peers::state(one.to),
            &one.evidence,
            one.link.as_deref().unwrap_or(""),
            &one.local_health.to_string(),
            &one.detail,
            one.told_by.as_deref().unwrap_or(""),
            &asked.join(", "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that was there, whose process was killed.
    fn killed() -> Why {
        serde_json::from_str(GOLDEN).expect("the record of the contract")
    }

    const GOLDEN: &str = r#"{"id":"5xY","name":"b","state":"lost","transitions":[{"wall":"2026-11-21T09:00:00.000001Z","mono_us":1000001,"from":null,"to":"up","epoch":"1763712000-9f","observer":"4wX","link":"unix","evidence":"link","detail":"admitted over unix","told_by":null,"asked":[],"local_health":1},{"wall":"2026-11-21T09:00:05.000001Z","mono_us":6000001,"from":"up","to":"suspect","epoch":"1763712000-9f","observer":"4wX","link":"unix","evidence":"fin","detail":"closed without a goodbye","told_by":null,"asked":[{"id":"3vW","answer":"unreachable"},{"id":"2uV","answer":"none"}],"local_health":1},{"wall":"2026-11-21T09:00:06.500001Z","mono_us":7500001,"from":"suspect","to":"lost","epoch":"1763712000-9f","observer":"4wX","link":null,"evidence":"indirect","detail":"all its addresses refuse\u202e","told_by":"3vW","asked":[{"id":"3vW","answer":"unreachable"}],"local_health":2}]}"#;

    #[test]
    fn the_text_shows_each_observation_as_a_line() {
        let why = killed();
        assert_eq!(title(&why), "b  5xY  lost");
        let lines = [
            "2026-11-21T09:00:00.000001Z\t-\tup\tlink\tunix\t1\tadmitted over unix\t-\t-",
            "2026-11-21T09:00:05.000001Z\tup\tsuspect\tfin\tunix\t1\tclosed without a goodbye\t-\t3vW unreachable, 2uV none",
            "2026-11-21T09:00:06.500001Z\tsuspect\tlost\tindirect\t-\t2\tall its addresses refuse\\u{202e}\t3vW\t3vW unreachable",
        ];
        assert_eq!(table(&why).tabbed(), lines);
        let aligned = table(&why).aligned();
        assert_eq!(
            aligned[..2],
            [
                "when                         from     to       evidence  over  health  detail                            told by  asked",
                "2026-11-21T09:00:00.000001Z  -        up       link      unix  1       admitted over unix                -        -",
            ]
        );
    }

    #[test]
    fn the_json_is_the_record_as_the_node_tells_it() {
        assert_eq!(output::harmless(&serde_json::to_string(&killed()).unwrap()), GOLDEN);
    }

    #[test]
    fn only_what_was_observed_lately_is_shown_if_that_is_asked_for() {
        let latest = within(killed().transitions, Duration::from_secs(3), 9_000_001);
        assert_eq!(latest.iter().map(|one| one.mono_us).collect::<Vec<_>>(), [6_000_001, 7_500_001]);
        assert_eq!(within(killed().transitions, Duration::MAX, 0).len(), 3);
    }
}
