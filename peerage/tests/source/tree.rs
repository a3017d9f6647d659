//! The files of the workspace, and their code without what is not code.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One text file of the workspace.
pub(crate) struct Source {
    /// Path from the root of the workspace, with `/` between its parts.
    pub(crate) path: String,
    /// The text as it stands.
    pub(crate) text: String,
    /// Whether it is compiled for tests only.
    pub(crate) is_test: bool,
}

impl Source {
    /// The text with comments, string and character literals replaced by blanks. Lines stay where they are.
    pub(crate) fn code(&self) -> String {
        blank(&self.text)
    }

    /// [`code`](Self::code) without items marked `#[cfg(test)]`; nothing at all for a file of tests.
    pub(crate) fn shipped_code(&self) -> String {
        if self.is_test { String::new() } else { without_tests(self.code()) }
    }

    /// Paths of the modules that this file declares under `#[cfg(test)]`, without `.rs`.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let root = ["lib", "main", "mod"].iter().find_map(|name| stem.strip_suffix(name)?.strip_suffix('/'));
        let folder = root.unwrap_or(stem);
        let code = self.code();
        let marked = code.match_indices("#[cfg(test)]").map(|(at, _)| &code[at..item_end(&code, at)]);
        let modules = marked.filter_map(|item| item.split_once("mod ")?.1.strip_suffix(';').map(str::trim));
        modules.map(|name| format!("{folder}/{name}")).collect()
    }

    /// The part after `<krate>/src/`, if the file is shipped by that crate.
    pub(crate) fn inside(&self, krate: &str) -> Option<&str> {
        self.path.strip_prefix(krate)?.strip_prefix("/src/")
    }

    /// The module directly below the crate root that this file belongs to; `None` for the root itself.
    pub(crate) fn module_of(&self, krate: &str) -> Option<&str> {
        let first = self.inside(krate)?.split('/').next()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(name, "lib" | "main")).then_some(name)
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the crate lies in the workspace")
}

/// All Rust files of the repository, own workspaces included.
pub(crate) fn rust_files() -> Vec<Source> {
    let mut files = files_ending_in(&[".rs"]);
    assert!(files.len() > 10, "only {} Rust files were found: is the walk broken?", files.len());
    let marked: Vec<String> = files.iter().flat_map(Source::test_modules).collect();
    for file in &mut files {
        let is = |module: &String| file.path == format!("{module}.rs") || file.path.starts_with(&format!("{module}/"));
        let in_folder = file.path.split('/').any(|part| matches!(part, "tests" | "benches"));
        file.is_test = in_folder || marked.iter().any(is);
    }
    files
}

/// All files of the repository whose names end in one of `endings`, in the order of their paths.
pub(crate) fn files_ending_in(endings: &[&str]) -> Vec<Source> {
    all_files().into_iter().filter(|file| endings.iter().any(|ending| file.path.ends_with(ending))).collect()
}

/// All text files of the repository, in the order of their paths.
pub(crate) fn all_files() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("folders of the workspace can be read") {
            let entry = entry.expect("folders of the workspace can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            match entry.file_type() {
                _ if NOT_OURS.contains(&name.as_str()) => {}
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() => found.extend(read(&root, &path)),
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Text files become sources; what is not UTF-8 (fuzz inputs) is passed over.
fn read(root: &Path, path: &Path) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    let path = path.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/");
    Some(Source { path, text, is_test: false })
}

/// Names with files behind them that nobody here wrote.
const NOT_OURS: &[&str] = &[".git", "target", "corpus", "artifacts", "coverage", "__pycache__", "venv", ".venv"];

/// Replaces comments and literals by blanks, line by line in place.
pub(crate) fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match literal_end(&chars, at) {
            Some(end) => end,
            None => {
                code.push(chars[at]);
                at += 1;
                continue;
            }
        };
        code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `None` if none begins there.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let starts = |with: &str| with.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c));
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let length = if starts("//") {
        rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
    } else if starts("/*") {
        block_comment_length(rest)
    } else if rest[0] == '"' {
        quoted_length(rest, '"')
    } else if !in_word && (starts("r\"") || starts("r#") || starts("br\"") || starts("br#")) {
        raw_string_length(rest)?
    } else if rest[0] == '\'' {
        character_length(rest)?
    } else {
        return None;
    };
    Some(at + length)
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `None` for a raw identifier such as `r#type`.
fn raw_string_length(rest: &[char]) -> Option<usize> {
    let hashes_at = rest.iter().position(|c| *c == 'r')? + 1;
    let hashes = rest[hashes_at..].iter().take_while(|c| **c == '#').count();
    if rest.get(hashes_at + hashes) != Some(&'"') {
        return None;
    }
    let body_at = hashes_at + hashes + 1;
    let closes = |at: usize| rest[at] == '"' && (1..=hashes).all(|i| rest.get(at + i) == Some(&'#'));
    let end = (body_at..rest.len()).find(|at| closes(*at)).unwrap_or(rest.len() - 1);
    Some((end + 1 + hashes).min(rest.len()))
}

/// `None` for a lifetime.
fn character_length(rest: &[char]) -> Option<usize> {
    match (rest.get(1), rest.get(2)) {
        (Some('\\'), _) => Some(quoted_length(rest, '\'')),
        (Some(_), Some('\'')) => Some(3),
        _ => None,
    }
}

/// Blanks every item that stands under `#[cfg(test)]`.
fn without_tests(code: String) -> String {
    let mut code = code;
    let mut from = 0;
    while let Some(mark) = code[from..].find("#[cfg(test)]").map(|at| from + at) {
        let end = item_end(&code, mark);
        let blanks: String = code[mark..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        from = mark + blanks.len();
        code.replace_range(mark..end, &blanks);
    }
    code
}

/// The end of the item that begins at `start`: its closing brace, or its semicolon if it has no body.
pub(crate) fn item_end(code: &str, start: usize) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' => braces += 1,
            '}' if braces <= 1 => return start + at + 1,
            '}' => braces -= 1,
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_blanked_and_code_is_not() {
    let text = "let a = \"// no\"; // yes\nlet b = r#\"x\"y\"#; let c: &'static u8 = b'\\''; /* a /* b */ c */ let r#type = 'x';";
    let code = blank(text);
    assert_eq!(code.lines().count(), 2);
    for kept in ["let a =", "let b =", "&'static u8", "let r#type ="] {
        assert!(code.contains(kept), "{kept} is missing in {code}");
    }
    for gone in ["no", "yes", "x", "c */"] {
        assert!(!code.contains(gone), "{gone} was left in {code}");
    }
}

#[test]
fn items_under_cfg_test_are_left_out() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}".to_owned();
    let shipped = without_tests(code);
    assert!(shipped.contains("fn a") && shipped.contains("fn c") && !shipped.contains("fn b"), "{shipped}");
}
