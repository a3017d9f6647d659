//! What happens to a node and around it, as `up` and `--watch` print it.

use peerage::node::Event;
use peerage::node::snapshot::EventRecord;

use crate::exit::Abort;
use crate::output;

/// Prints a record: a line for people, or one of JSON.
pub(crate) fn print(record: &EventRecord, jsonl: bool) -> Result<(), Abort> {
    match jsonl {
        true => output::record(record),
        false => output::line(&text(&record.event)),
    }
}

/// Whom an event is about, if it is another node.
pub(crate) fn subject(event: &Event) -> Option<&str> {
    match event {
        Event::Joined { id, .. }
        | Event::Up { id, .. }
        | Event::Suspect { id, .. }
        | Event::Left { id, .. }
        | Event::Lost { id, .. } => Some(id),
        _ => None,
    }
}

/// The line of an event. What others chose is escaped and cut, each part by itself.
fn text(event: &Event) -> String {
    let of = |word: &str, name: &str, id: &str, why: &str| {
        format!("{word:<9} {}  {}  {}", output::shown(name), output::shown(id), output::shown(why))
    };
    match event {
        Event::Joined { id, name, why, .. } => of("joined", name, id, why),
        Event::Up { id, name, why, .. } => of("up", name, id, why),
        Event::Suspect { id, name, why, .. } => of("suspect", name, id, why),
        Event::Left { id, name, why, .. } => of("left", name, id, why),
        Event::Lost { id, name, why, .. } => of("lost", name, id, why),
        Event::Connected => "connected".to_owned(),
        Event::Isolated => "isolated".to_owned(),
        Event::Fault { fault, detail, remedy } => {
            format!("fault     {fault}: {}; {}", output::shown(detail), output::shown(remedy))
        }
        Event::Cleared { fault, detail } => format!("cleared   {fault}: {}", output::shown(detail)),
        Event::Draining => "draining".to_owned(),
        Event::Stopped => "stopped".to_owned(),
        Event::Skipped { count } => format!("skipped   {count} events: this reader was too slow"),
        other => format!("other     {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_cannot_break_out_of_its_line() {
        let event = Event::Joined {
            id: "5xY".into(),
            name: "b\n\x1b[31m".into(),
            epoch: "1-00".into(),
            why: "\u{202e}admitted".into(),
        };
        assert_eq!(text(&event), "joined    b\\n\\u{1b}[31m  5xY  \\u{202e}admitted");
    }
}
