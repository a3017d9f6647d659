//! `docs/seeds.md` keeps its word: every item of the seeds has its public path and the test that shows it. So does
//! `docs/guarantees.md` where it names tests beside what is promised.

use crate::{items::Items, tree};

/// Capabilities that a row may wait for.
const LATER: &[&str] = &["membership", "services", "events", "mesh"];

#[test]
fn every_item_of_the_seeds_has_its_path_and_its_test() {
    let items = Items::read();
    let tests = test_names();
    let mut faults = Vec::new();
    for row in rows() {
        let place = format!("docs/seeds.md:{}: {}", row.line, row.item);
        if let Some(capability) = row.place.strip_prefix("later: ") {
            if !LATER.contains(&capability) {
                faults.push(format!("{place}: \"{capability}\" is not one of {LATER:?}"));
            }
            continue;
        }
        let dropped = row.place.strip_prefix("dropped: ").is_some_and(|reason| reason.len() > 10);
        let spans = if dropped { Vec::new() } else { code_spans(&row.place) };
        let paths = spans.into_iter().filter(|span| is_path(span)).collect::<Vec<_>>();
        if paths.is_empty() && !dropped {
            faults.push(format!(
                "{place}: names neither a public path nor \"dropped: reason\" nor \"later: capability\""
            ));
        }
        faults.extend(
            paths.iter().filter(|path| !items.has(path)).map(|path| format!("{place}: `{path}` does not exist")),
        );
        let shown_by = code_spans(&row.test);
        if shown_by.is_empty() && !dropped {
            faults.push(format!("{place}: names no test that shows it"));
        }
        faults.extend(
            shown_by.iter().filter(|test| !tests.contains(test)).map(|test| format!("{place}: no test `{test}`")),
        );
    }
    assert!(faults.is_empty(), "what a seed could do, Peerage can do, and a test shows it:\n{}", faults.join("\n"));
}

#[test]
fn the_table_of_the_seeds_is_whole() {
    // 34 rows of aiomas.channel, 15 of bndl.net, 88 of py2p.mesh, 46 of net: none may go missing while it is filled in.
    let rows = rows().len();
    assert!(rows >= SEED_ROWS, "docs/seeds.md has {rows} rows, {SEED_ROWS} are due");
}

#[test]
fn the_tests_that_guarantees_name_exist() {
    let text =
        std::fs::read_to_string(tree::root().join("docs/guarantees.md")).expect("docs/guarantees.md can be read");
    let tests = test_names();
    // A name of a test is a sentence, so it has several words; what else stands in code there has fewer.
    let named = code_spans(&text).into_iter().filter(|span| is_path(span) && span.matches('_').count() >= 4);
    let missing: Vec<String> = named.filter(|name| !tests.contains(name)).collect();
    assert!(missing.is_empty(), "docs/guarantees.md names tests that do not exist: {missing:?}");
}

const SEED_ROWS: usize = 183;

/// One row of the table.
struct Row {
    line: usize,
    item: String,
    place: String,
    test: String,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(tree::root().join("docs/seeds.md")).expect("docs/seeds.md can be read");
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(inner) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            continue;
        };
        let inner = inner.replace("\\|", "\u{0}");
        let cells: Vec<String> = inner.split(" | ").map(|cell| cell.trim().replace('\u{0}', "|")).collect();
        let [item, place, test] = cells.as_slice() else {
            panic!("docs/seeds.md:{}: a row has three cells: item, place in Peerage, test", index + 1)
        };
        if item != "item" {
            rows.push(Row { line: index + 1, item: item.clone(), place: place.clone(), test: test.clone() });
        }
    }
    rows
}

fn code_spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a code span is a path of identifiers; others (`?codec=json`, `tcp://host:port`) are remarks.
fn is_path(span: &str) -> bool {
    span.split("::").all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// Names of all functions that are compiled for tests only.
fn test_names() -> Vec<String> {
    let mut names = Vec::new();
    for file in tree::rust_files() {
        let (code, shipped) = (file.code(), file.shipped_code());
        for (at, _) in code.match_indices("fn ") {
            let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !shipped.contains(&format!("fn {name}")) {
                names.push(name);
            }
        }
    }
    names
}
