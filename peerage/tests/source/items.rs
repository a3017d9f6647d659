//! Does a path like `Channel::connect` name something public? A small index over the sources.
//!
//! It reads code, not the compiler's mind: a path is taken apart from its end (`Type::member`, `module::item`), and the
//! named thing must be declared `pub` where a reader would look for it. Good enough to notice what was renamed or removed.

use crate::tree::{self, Source, item_end};

/// The shipped code of the libraries.
pub(crate) struct Items {
    files: Vec<(Source, String)>,
}

impl Items {
    /// Reads the libraries.
    pub(crate) fn read() -> Items {
        let libraries =
            tree::rust_files().into_iter().filter(|file| LIBRARIES.iter().any(|krate| file.inside(krate).is_some()));
        Items { files: libraries.map(|file| (file.shipped_code(), file)).map(|(code, file)| (file, code)).collect() }
    }

    /// Whether `path` names a public item, a member of one, or a module.
    pub(crate) fn has(&self, path: &str) -> bool {
        let parts: Vec<&str> =
            path.split("::").filter(|part| !matches!(*part, "peerage" | "peerage_proto" | "crate")).collect();
        match parts.as_slice() {
            [] => false,
            [name] => self.declares(name) || self.has_module(name),
            [modules @ .., owner, member] => {
                let reached = modules.iter().all(|module| self.has_module(module));
                let is_type = owner.starts_with(|c: char| c.is_uppercase());
                reached && if is_type { self.type_has(owner, member) } else { self.module_has(owner, member) }
            }
        }
    }

    fn declares(&self, name: &str) -> bool {
        self.files.iter().any(|(_, code)| declares(code, name))
    }

    fn has_module(&self, name: &str) -> bool {
        self.files.iter().any(|(file, _)| is_part_of(file, name))
    }

    fn module_has(&self, module: &str, item: &str) -> bool {
        let mut parts = self.files.iter().filter(|(file, _)| is_part_of(file, module));
        parts.any(|(file, code)| declares(code, item) || file.path.ends_with(&format!("/{module}/{item}.rs")))
    }

    fn type_has(&self, owner: &str, member: &str) -> bool {
        self.files.iter().any(|(_, code)| {
            bodies(code, "enum", owner).any(|body| has_variant(body, member))
                || bodies(code, "struct", owner).any(|body| has_field(body, member))
                || bodies(code, "trait", owner).any(|body| has_function(body, member))
                || impls(code, owner).any(|body| has_function(body, member) || declares(body, member))
        })
    }
}

const LIBRARIES: &[&str] = &["peerage", "peerage-proto"];

/// Whether the file is the module or lies in its folder.
fn is_part_of(file: &Source, module: &str) -> bool {
    file.path.ends_with(&format!("/{module}.rs")) || file.path.contains(&format!("/{module}/"))
}

/// Whether `code` has `pub <kind> name`, or passes the name on with `pub use`.
fn declares(code: &str, name: &str) -> bool {
    code.match_indices("pub ").any(|(at, _)| {
        let rest = &code[at + 4..];
        let statement = &rest[..rest.find([';', '{', '(']).unwrap_or(rest.len())];
        let mut words = words(statement).skip_while(|word| matches!(*word, "async" | "unsafe")).peekable();
        match words.next() {
            Some("use") => tree_of_use(rest).any(|word| word == name),
            Some("const") if words.peek() == Some(&"fn") => words.nth(1) == Some(name),
            Some("struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" | "mod") => {
                words.next() == Some(name)
            }
            _ => false,
        }
    })
}

/// All words of a `use` statement up to its semicolon.
fn tree_of_use(rest: &str) -> impl Iterator<Item = &str> {
    words(&rest[..rest.find(';').unwrap_or(rest.len())])
}

/// The bodies of `pub <kind> name … { … }`.
fn bodies<'a>(code: &'a str, kind: &str, name: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("pub {kind} {name}");
    let starts: Vec<usize> = code.match_indices(&head).map(|(at, _)| at).collect();
    let whole_word = move |at: &usize| !code[at + head.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    starts.into_iter().filter(whole_word).map(|at| &code[at..item_end(code, at)]).filter_map(inside_braces)
}

/// The bodies of `impl … name …` and `impl … for name …`.
fn impls<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let starts = code.match_indices("impl").map(|(at, _)| at).filter(|at| at_line_start(code, *at));
    starts.filter_map(move |at| {
        let item = &code[at..item_end(code, at)];
        let head = &item[..item.find('{')?];
        let of = head.rsplit_once(" for ").map_or(head, |(_, of)| of);
        words(of).any(|word| word == name).then(|| inside_braces(item)).flatten()
    })
}

fn at_line_start(code: &str, at: usize) -> bool {
    code[..at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty())
}

fn inside_braces(item: &str) -> Option<&str> {
    let open = item.find('{')?;
    Some(&item[open + 1..item.len().saturating_sub(1)])
}

fn has_variant(body: &str, name: &str) -> bool {
    let (mut depth, mut entry) = (0_usize, String::new());
    for c in body.chars().chain([',']) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                if words(&entry).next() == Some(name) {
                    return true;
                }
                entry.clear();
            }
            c if depth == 0 => entry.push(c),
            _ => {}
        }
    }
    false
}

fn has_field(body: &str, name: &str) -> bool {
    body.contains(&format!("pub {name}:"))
}

fn has_function(body: &str, name: &str) -> bool {
    let head = format!("fn {name}");
    body.match_indices(&head).any(|(at, _)| body[at + head.len()..].starts_with(['(', '<']))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn members_of_types_are_found_where_they_are_declared() {
    let code = "pub enum Fault {\n #[error(\"x\")]\n Lost { why: Why }, Late(u8),\n}\npub struct Bee { pub name: u8 }\n\
                impl Bee {\n pub async fn buzz<R>(&self) {}\n}\nimpl Drop for Bee {\n fn drop(&mut self) {}\n}\npub use a::{b::Hive, Comb};\n";
    let file = Source { path: "peerage/src/bee.rs".into(), text: code.into(), is_test: false };
    let items = Items { files: vec![(file, code.into())] };
    for path in [
        "Fault::Lost",
        "Fault::Late",
        "Bee::name",
        "Bee::buzz",
        "Bee::drop",
        "bee::Bee",
        "peerage::Hive",
        "Comb",
        "bee",
    ] {
        assert!(items.has(path), "{path} was not found");
    }
    for path in ["Fault::why", "Fault::Gone", "Bee::bu", "bee::Wasp", "wasp", "Be", ""] {
        assert!(!items.has(path), "{path} was found");
    }
}
