use super::*;

const A: &str = "a";

fn epoch(start: u64) -> Epoch {
    Epoch::new(start, [0; 16])
}

/// What a subscription hears, told as lines.
struct Book(Positions);

impl Book {
    fn hear(&mut self, record: Record<'_>) -> Vec<String> {
        let gap = |missing: &Missing| {
            let Missing { epoch, name, first, last, why } = missing;
            let last = last.map_or("?".to_owned(), |last| last.to_string());
            format!("{name} lacks {first}-{last} of {} ({why})", epoch.start())
        };
        match self.0.hear(&record).unwrap() {
            Heard::Nothing => Vec::new(),
            Heard::Gap(missing) => vec![gap(&missing)],
            Heard::Attached { matching, missed } => vec![format!("attached to {matching}, missed {missed}")],
            Heard::Events { name, first, known, missing } => {
                let mut lines: Vec<String> = missing.iter().map(gap).collect();
                if let Record::Events { first: begin, count, .. } = record {
                    assert!(known == count || first == begin + known);
                    lines.extend((known..count).map(|further| format!("{name} {}", begin + further)));
                }
                lines
            }
        }
    }

    fn attach(&mut self, start: u64, names: &[(&str, u64)]) -> Vec<String> {
        let ended = self.0.attach(epoch(start)).unwrap();
        let tail = |missing: &Missing| {
            assert_eq!((missing.last, missing.count(), missing.why), (None, None, Why::SourceRestarted));
            format!("{} {}-? of {}", missing.name, missing.first, missing.epoch.start())
        };
        let mut lines: Vec<String> = ended.iter().map(tail).collect();
        for (name, seq) in names {
            lines.extend(self.hear(Record::Position { name, seq: *seq }));
        }
        lines.extend(self.hear(Record::Attached { matching: names.len() as u64 }));
        lines
    }

    fn events(&mut self, name: &str, first: u64, count: u64) -> Vec<String> {
        self.hear(Record::Events { name, first, count })
    }
}

#[test]
fn the_first_attachment_fixes_where_names_begin() {
    let mut book = Book(Positions::new());
    assert_eq!(book.0.for_wish(epoch(1)), None);
    assert_eq!(book.attach(1, &[(A, 41), ("b", 0)]), ["attached to 2, missed 0"]);
    assert_eq!(book.events(A, 42, 2), ["a 42", "a 43"]);
    assert_eq!(book.events("b", 1, 1), ["b 1"]);
    // A name that appears later begins with 1.
    assert_eq!(book.events("c", 1, 1), ["c 1"]);
    let heard = [(A.into(), 43), ("b".into(), 1), ("c".into(), 1)];
    assert_eq!(book.0.for_wish(epoch(1)), Some(heard.into()));
    assert_eq!(book.0.for_wish(epoch(2)), Some(BTreeMap::new()));
}

#[test]
fn a_gap_is_told_once_and_only_what_is_new_of_it() {
    let mut book = Book(Positions::new());
    book.attach(1, &[(A, 0)]);
    let gap = |first, last| Record::Gap { name: A, first, last, why: Why::Policy };
    assert_eq!(book.hear(gap(1, 3)), ["a lacks 1-3 of 1 (policy)"]);
    assert_eq!(book.hear(gap(1, 3)), [""; 0]);
    assert_eq!(book.hear(gap(2, 5)), ["a lacks 4-5 of 1 (policy)"]);
    // What a publisher should have told and has not is missing all the same.
    assert_eq!(book.hear(gap(8, 9)), ["a lacks 6-9 of 1 (policy)"]);
    assert_eq!(book.events(A, 12, 1), ["a lacks 10-11 of 1 (link-lost)", "a 12"]);
}

#[test]
fn what_passed_while_there_was_no_link_is_lost_with_the_link() {
    let mut book = Book(Positions::new());
    book.attach(1, &[(A, 0)]);
    book.events(A, 1, 3);
    let told = ["a lacks 4-7 of 1 (link-lost)", "born lacks 1-2 of 1 (link-lost)", "attached to 2, missed 6"];
    assert_eq!(book.attach(1, &[(A, 7), ("born", 2)]), told);
    assert_eq!(book.events(A, 8, 1), ["a 8"]);
    assert_eq!(book.attach(1, &[(A, 8), ("born", 2)]), ["attached to 2, missed 0"]);
}

#[test]
fn what_comes_again_on_a_new_link_is_left_out() {
    let mut book = Book(Positions::new());
    book.attach(1, &[(A, 0)]);
    book.events(A, 1, 9);
    assert_eq!(book.attach(1, &[(A, 3)]), ["attached to 1, missed 0"]);
    assert_eq!(book.events(A, 4, 5), [""; 0]);
    assert_eq!(book.events(A, 9, 3), ["a 10", "a 11"]);
}

#[test]
fn an_attachment_that_breaks_off_is_gone_on_with_by_the_next() {
    // Before anything was promised, the next one begins anew.
    let mut book = Book(Positions::new());
    book.0.attach(epoch(1)).unwrap();
    book.hear(Record::Position { name: A, seq: 5 });
    assert!(!book.0.is_attached() && !book.0.has_begun());
    let told = ["a lacks 6-7 of 1 (link-lost)", "attached to 2, missed 2"];
    assert_eq!(book.attach(1, &[(A, 7), ("b", 9)]), told, "a was promised from 6 on, b was not");
    // Later, what was told once is not told again.
    book.0.attach(epoch(1)).unwrap();
    assert_eq!(book.hear(Record::Position { name: A, seq: 8 }), ["a lacks 8-8 of 1 (link-lost)"]);
    assert!(!book.0.is_attached() && book.0.has_begun());
    let told = ["b lacks 10-10 of 1 (link-lost)", "attached to 2, missed 1"];
    assert_eq!(book.attach(1, &[(A, 8), ("b", 10)]), told);
}

#[test]
fn of_a_publisher_that_was_restarted_the_tail_of_every_name_is_not_known() {
    let mut book = Book(Positions::new());
    book.attach(1, &[(A, 0), ("b", 4)]);
    book.events(A, 1, 3);
    let told = ["a 4-? of 1", "b 5-? of 1", "a lacks 1-2 of 2 (link-lost)", "attached to 1, missed 2"];
    assert_eq!(book.attach(2, &[(A, 2)]), told);
    assert_eq!(book.events(A, 3, 1), ["a 3"]);
    assert_eq!(book.0.epoch(), Some(epoch(2)));
    assert_eq!(book.0.attach(epoch(1)), Err(Untrue::OlderEpoch));
}

#[test]
fn a_restart_before_the_first_attachment_is_nobodys_loss() {
    let mut book = Book(Positions::new());
    book.0.attach(epoch(1)).unwrap();
    book.hear(Record::Position { name: A, seq: 5 });
    assert_eq!(book.attach(2, &[(A, 3)]), ["attached to 1, missed 0"]);
    assert_eq!(book.events(A, 4, 1), ["a 4"]);
}

#[test]
fn for_a_member_of_a_group_a_jump_is_nobodys_loss() {
    let mut book = Book(Positions::shared());
    book.attach(1, &[(A, 0)]);
    assert_eq!(book.events(A, 3, 1), ["a 3"]);
    let gap = Record::Gap { name: A, first: 6, last: 7, why: Why::QueueFull };
    assert_eq!(book.hear(gap), ["a lacks 6-7 of 1 (queue-full)"]);
    assert_eq!(book.events(A, 7, 3), ["a 8", "a 9"]);
    assert_eq!(book.attach(1, &[(A, 12)]), ["a lacks 10-12 of 1 (link-lost)", "attached to 1, missed 3"]);
}

#[test]
fn numbers_at_the_end_of_their_range_do_no_harm() {
    let mut book = Book(Positions::new());
    book.attach(1, &[(A, u64::MAX)]);
    assert_eq!(book.events(A, u64::MAX, 1), [""; 0]);
    assert_eq!(book.events("b", u64::MAX, 1).len(), 2);
    let mut book = Book(Positions::new());
    book.attach(1, &[(A, 0)]);
    let gap = Record::Gap { name: A, first: 1, last: u64::MAX, why: Why::Policy };
    assert_eq!(book.hear(gap), ["a lacks 1-18446744073709551615 of 1 (policy)"]);
    assert_eq!(book.hear(gap), [""; 0]);
    assert_eq!(book.attach(2, &[]).len(), 2);
}

#[test]
fn what_a_publisher_cannot_mean_is_an_error() {
    let mut positions = Positions::new();
    let mark = Record::Mark { number: 1 };
    assert_eq!(positions.hear(&mark), Err(Untrue::NotAttached));
    positions.attach(epoch(1)).unwrap();
    assert_eq!(positions.hear(&mark), Ok(Heard::Nothing));
    for number in 0..limits::EVENT_NAMES_MAX {
        positions.hear(&Record::Position { name: &number.to_string(), seq: 1 }).unwrap();
    }
    assert_eq!(positions.hear(&Record::Position { name: "0", seq: 1 }), Ok(Heard::Nothing));
    assert_eq!(positions.hear(&Record::Position { name: "one-more", seq: 1 }), Err(Untrue::TooManyNames));
    positions.hear(&Record::Attached { matching: 1 }).unwrap();
    let told = positions.for_wish(epoch(1)).unwrap();
    assert_eq!(told.len(), limits::EVENT_POSITIONS_MAX);
}
