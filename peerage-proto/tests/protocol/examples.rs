//! The examples of the document, decoded.
//!
//! A document with bytes in it goes stale silently, so its `frames` blocks are test vectors: each line names a codec, a
//! frame in hex and what a reader must find in it. The form of a line is described in PROTOCOL §1.

use peerage_proto::codec::{self, Encoding, Payload};
use peerage_proto::frame::Kind;
use peerage_proto::hello::Introduction;

use crate::{PROTOCOL, bytes_of};

/// Names of the kinds as §4 gives them; others are written `kind-<number>`.
const KINDS: &[(u64, &str)] = &[
    (0, "request"),
    (1, "result"),
    (2, "exception"),
    (3, "cancel"),
    (4, "stopped"),
    (5, "busy"),
    (6, "notification"),
    (7, "rejected"),
    (12, "ping"),
    (13, "pong"),
    (14, "introduction"),
    (15, "disconnect"),
    (16, "disconnected"),
    (17, "superseded"),
    (18, "superseded-ok"),
    (19, "draining"),
    (20, "propose"),
    (21, "agree"),
    (22, "decline"),
    (23, "discovered"),
    (24, "digest"),
    (25, "summary"),
    (26, "check"),
    (27, "checked"),
    (28, "suspected"),
    (29, "wanted"),
    (30, "services"),
    (31, "load"),
    (32, "open"),
    (33, "item"),
    (34, "end"),
    (35, "credit"),
    (36, "part"),
    (37, "subscribe"),
    (38, "events"),
    (39, "unsubscribe"),
    (40, "over"),
    (41, "grant"),
    (42, "events-part"),
    (43, "confirmed"),
];

/// What stands before the name of a kind whose content is compressed, and what is then added to its number.
const COMPRESSED: (&str, u64) = ("compressed-", 128);

#[test]
fn every_length_in_the_document_is_that_of_its_body() {
    for example in examples() {
        let length = u32::from_be_bytes(example.length);
        assert_eq!(length as usize, example.body.len(), "PROTOCOL.md line {}: {}", example.line, example.text);
    }
}

#[test]
fn every_example_is_split_into_the_kind_id_and_content_written_beside_it() {
    for example in examples() {
        let Meaning::Triple { kind, id, content } = &example.meaning else {
            continue;
        };
        let place = format!("PROTOCOL.md line {}: {}", example.line, example.text);
        let triple = example.encoding.split(&example.body).unwrap_or_else(|why| panic!("{place}\n  refused: {why}"));
        assert_eq!((triple.kind, triple.id), (*kind, *id), "{place}");
        let found = &example.body[triple.content.clone()];
        match (content.strip_prefix("hex:"), example.encoding) {
            (Some(hex), _) => assert_eq!(found, bytes_of(hex), "{place}"),
            (None, Encoding::Json) => assert_eq!(String::from_utf8_lossy(found), content.as_str(), "{place}"),
            (None, _) => assert_eq!(value_of(found), json_of(content), "{place}"),
        }
    }
}

#[test]
fn the_example_of_a_compressed_content_opens_and_is_what_we_write() {
    let examples = examples();
    let packed: Vec<&[u8]> = examples.iter().filter_map(Example::compressed).collect();
    assert_eq!(packed.len(), 1);
    let content = Payload::encode(&"peerage ".repeat(8), Encoding::MsgPack).expect("a text");
    assert_eq!(codec::decompress(packed[0], 100), Ok(content.clone()));
    assert_eq!(codec::compress(content.bytes()).as_deref(), Some(packed[0]));
}

#[test]
fn the_example_of_an_introduction_has_the_keys_that_must_be_there() {
    let introductions: Vec<Payload> = examples().iter().filter_map(Example::introduction).collect();
    assert_eq!(introductions.len(), 1);
    let said = Introduction::decode(&introductions[0]).expect("an introduction");
    assert_eq!((said.record.bytes().len(), said.process, said.ping_interval.as_millis()), (0, 1, 1_000));
    assert!(said.encodings.is_empty() && said.compression.is_empty() && said.build.is_empty());
}

#[test]
fn every_example_marked_refused_is_refused() {
    let refused: Vec<_> = examples().into_iter().filter(|e| matches!(e.meaning, Meaning::Refused)).collect();
    for example in &refused {
        let answer = example.encoding.split(&example.body);
        assert!(answer.is_err(), "PROTOCOL.md line {} was taken: {}", example.line, example.text);
    }
    assert!(refused.len() >= 20, "only {} refused examples were found", refused.len());
}

#[test]
fn both_codecs_and_all_kinds_have_an_example() {
    let introduction = u64::from(Kind::Introduction.number());
    for (kind, name) in KINDS {
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            let shown = examples().iter().any(|example| {
                let shows_kind = matches!(&example.meaning, Meaning::Triple { kind: k, .. } if k == kind);
                shows_kind && example.encoding == encoding
            });
            // The first frame of a link, which begins in MessagePack.
            let is_never_json = encoding == Encoding::Json && *kind == introduction;
            assert!(shown != is_never_json, "PROTOCOL.md has no {encoding:?} example of a {name}");
        }
    }
}

/// One line of a `frames` block.
struct Example {
    line: usize,
    text: String,
    encoding: Encoding,
    length: [u8; 4],
    body: Vec<u8>,
    meaning: Meaning,
}

impl Example {
    fn introduction(&self) -> Option<Payload> {
        let triple = self.encoding.split(&self.body).ok()?;
        let content = Payload::parse(self.encoding, self.body[triple.content].to_vec().into());
        (triple.kind == u64::from(Kind::Introduction.number())).then_some(content.ok()?)
    }

    /// The content as it stands in the frame, if that is a compressed one.
    fn compressed(&self) -> Option<&[u8]> {
        let triple = self.encoding.split(&self.body).ok()?;
        let kinds = COMPRESSED.1..COMPRESSED.1 + 3;
        kinds.contains(&triple.kind).then(|| &self.body[triple.content])
    }
}

/// What the document says the body means.
enum Meaning {
    Triple { kind: u64, id: u64, content: String },
    Refused,
}

fn examples() -> Vec<Example> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, text) in PROTOCOL.lines().enumerate() {
        match text {
            "```frames" => inside = true,
            "```" => inside = false,
            _ if inside => found.push(example(index + 1, text)),
            _ => {}
        }
    }
    assert!(found.len() >= 40, "only {} examples were found: has the form of the blocks changed?", found.len());
    found
}

fn example(line: usize, text: &str) -> Example {
    let wrong = |what: &str| -> String { format!("PROTOCOL.md line {line} has no {what}: {text}") };
    let (codec, rest) = word(text).unwrap_or_else(|| panic!("{}", wrong("codec")));
    let (length, rest) = word(rest).unwrap_or_else(|| panic!("{}", wrong("length")));
    let (body, rest) = word(rest).unwrap_or_else(|| panic!("{}", wrong("body")));
    let (name, rest) = word(rest).unwrap_or_else(|| panic!("{}", wrong("meaning")));
    let meaning = if name == "refused" {
        Meaning::Refused
    } else {
        let (id, content) = word(rest).unwrap_or_else(|| panic!("{}", wrong("id")));
        let id = id.parse().unwrap_or_else(|_| panic!("{}", wrong("number as its id")));
        Meaning::Triple { kind: kind_of(name), id, content: content.trim().to_owned() }
    };
    Example {
        line,
        text: text.to_owned(),
        encoding: match codec {
            "json" => Encoding::Json,
            "msgpack" => Encoding::MsgPack,
            _ => panic!("{}", wrong("codec we know")),
        },
        length: bytes_of(length).try_into().unwrap_or_else(|_| panic!("{}", wrong("length of four bytes"))),
        body: bytes_of(body),
        meaning,
    }
}

/// The first word of `text` and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    if text.is_empty() {
        return None;
    }
    Some(text.split_once(' ').unwrap_or((text, "")))
}

fn kind_of(name: &str) -> u64 {
    if let Some(name) = name.strip_prefix(COMPRESSED.0) {
        return kind_of(name) + COMPRESSED.1;
    }
    match KINDS.iter().find(|(_, known)| *known == name) {
        Some((kind, _)) => *kind,
        None => name.strip_prefix("kind-").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no kind is {name}")),
    }
}

fn value_of(msgpack: &[u8]) -> serde_json::Value {
    rmp_serde::from_slice(msgpack).expect("content of an example that is not marked hex: can be written as JSON")
}

fn json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("not JSON: {text}: {why}"))
}
