//! The documents agree with the source and with each other.

use std::collections::BTreeSet;

use crate::{
    layering::{line_of, modules_below},
    tree::{self, Source},
};

#[test]
fn every_section_of_the_protocol_that_is_cited_exists() {
    let sections = sections();
    assert!(
        sections.contains("1") && sections.contains("3.1") && sections.contains("5.4"),
        "sections found: {sections:?}"
    );
    for file in tree::files_ending_in(&[".rs", ".md", ".py"]) {
        for (at, mark) in file.text.match_indices(concat!("PROTOCOL", " §")) {
            let cited = number(&file.text[at + mark.len()..]);
            let place = format!("{}:{}", file.path, line_of(&file.text, at));
            // `§n` stands for "any section" in prose about the habit itself.
            let is_example = file.text[at + mark.len()..].starts_with('n');
            assert!(is_example || sections.contains(&cited), "{place}: PROTOCOL.md has no section {cited}");
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for file in documents() {
        let folder = tree::root().join(&file.path).parent().expect("a file has a folder").to_owned();
        for (at, _) in file.text.match_indices("](") {
            let target: String = file.text[at + 2..].chars().take_while(|c| !matches!(c, ')' | '\n')).collect();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            assert!(
                folder.join(path).exists(),
                "{}:{}: leads to {target}, which is not there",
                file.path,
                line_of(&file.text, at)
            );
        }
    }
}

#[test]
fn every_block_of_code_in_a_document_says_what_it_is() {
    for file in documents() {
        let mut open = false;
        for (index, line) in file.text.lines().enumerate() {
            let Some(info) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            assert!(
                open || !info.is_empty(),
                "{}:{}: say what the block is (console, sh, rust, python, json, text, frames): blocks without a word would be \
                 compiled as Rust",
                file.path,
                index + 1
            );
            open = !open;
        }
        assert!(!open, "{}: a block of code has no end", file.path);
    }
}

#[test]
fn the_architecture_page_names_every_module() {
    let page = std::fs::read_to_string(tree::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read");
    for krate in ["peerage-proto", "peerage", "peerage-cli"] {
        for module in modules_below(krate) {
            assert!(
                page.contains(&format!("`{module}`")),
                "ARCHITECTURE.md does not say what lives in `{module}` of {krate}: add a line to its table"
            );
        }
    }
}

#[test]
fn every_library_has_a_record_of_why_it_was_chosen() {
    let read =
        |path: &str| std::fs::read_to_string(tree::root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
    let (manifest, records) = (read("Cargo.toml"), read("docs/decisions/001-libraries.md"));
    let section = manifest.split("[workspace.dependencies]\n").nth(1).expect("libraries are listed in the workspace");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    for name in names.filter(|name| !name.starts_with('#') && !name.starts_with("peerage")) {
        assert!(
            records.contains(&format!("`{name}`")),
            "docs/decisions/001-libraries.md does not say why we use `{name}`"
        );
    }
}

/// All pages that people read.
fn documents() -> Vec<Source> {
    tree::files_ending_in(&[".md"])
}

/// Section numbers of `PROTOCOL.md`: headings `## §n` and `### §n.m`, and items `m.` of a numbered list below `## §n`.
fn sections() -> BTreeSet<String> {
    let text = std::fs::read_to_string(tree::root().join("PROTOCOL.md")).expect("PROTOCOL.md can be read");
    let mut sections = BTreeSet::new();
    let mut current = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            current = line.trim_start_matches('#').trim().strip_prefix('§').map(number).unwrap_or_default();
            sections.insert(current.clone());
        } else if let Some((item, _)) = line.split_once(". ")
            && !item.is_empty()
            && item.chars().all(|c| c.is_ascii_digit())
        {
            sections.insert(format!("{current}.{item}"));
        }
    }
    sections
}

/// The section number a text begins with, without a full stop that ends the sentence.
fn number(text: &str) -> String {
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.trim_end_matches('.').to_owned()
}
