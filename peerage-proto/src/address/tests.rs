use proptest::prelude::*;

use super::InvalidAddress as Invalid;
use super::*;
use crate::id::InvalidNodeId;
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESS_PATH_BYTES_MAX, NEXT_PORT_MAX};

fn read(text: &str) -> Address {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn refused(text: &str) -> Invalid {
    match text.parse::<Address>() {
        Ok(address) => panic!("{text} was read as {address}"),
        Err(why) => why,
    }
}

fn id() -> NodeId {
    key([7; 32])
}

/// The id of the node with this secret key: not any 32 bytes are one.
fn key(seed: [u8; 32]) -> NodeId {
    NodeId::from_bytes(ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes())
}

/// What may be typed, and what it means.
const ACCEPTED: &[(&str, &str)] = &[
    ("localhost", "tcp://localhost:5000"),
    ("node-7.lab", "tcp://node-7.lab:5000"),
    ("Node-7.LAB.", "tcp://node-7.lab.:5000"),
    ("under_score:1", "tcp://under_score:1"),
    ("h:0", "tcp://h:0"),
    ("h:65535", "tcp://h:65535"),
    ("h:080", "tcp://h:80"),
    ("10.0.0.1", "tcp://10.0.0.1:5000"),
    ("10.0.0.1:80", "tcp://10.0.0.1:80"),
    ("[::1]", "tcp://[::1]:5000"),
    ("[0:0::0001]:7", "tcp://[::1]:7"),
    ("[::ffff:10.0.0.1]:7", "tcp://[::ffff:10.0.0.1]:7"),
    ("tcp://h", "tcp://h:5000"),
    ("TCP://H", "tcp://h:5000"),
    ("tls://h:1", "tls://h:1"),
    ("quic://[2001:db8::1]:1", "quic://[2001:db8::1]:1"),
    ("h?codec=json", "tcp://h:5000?codec=json"),
    ("h:1?dialect=plain&codec=msgpack", "tcp://h:1?codec=msgpack&dialect=plain"),
    ("h?next=999&services=a/*/b.c_d-e/**&dialect=full", "tcp://h:5000?dialect=full&services=a/*/b.c_d-e/**&next=999"),
    ("h?next=0", "tcp://h:5000?next=0"),
    ("unix:///run/a.sock", "unix:///run/a.sock"),
    ("unix:///a@b:c", "unix:///a@b:c"),
    ("unix:///with%20space%3f%25?codec=json", "unix:///with%20space%3F%25?codec=json"),
    ("unix:///%41%C3%A4ä", "unix:///Aää"),
    ("memory://left-1.a_b", "memory://left-1.a_b"),
    ("memory://left?dialect=full", "memory://left?dialect=full"),
];

#[test]
fn accepted_forms_are_printed_with_scheme_and_port_and_options_in_order() {
    for (typed, meant) in ACCEPTED {
        assert_eq!(read(typed).to_string(), *meant, "{typed}");
        assert_eq!(read(meant), read(typed), "{typed}");
    }
}

#[test]
fn a_node_id_stands_before_the_place_of_every_scheme() {
    for place in ["tcp://@h:1", "tls://@[::1]:1", "quic://@1.2.3.4:1", "unix://@/run/x", "memory://@x"] {
        let text = place.replace('@', &format!("{}@", id()));
        assert_eq!(read(&text).node(), Some(id()));
        assert_eq!(read(&text).to_string(), text);
    }
    assert_eq!(read(&format!("{}@h", id())), read("h").with_node(id()));
}

#[test]
fn without_a_scheme_a_channel_is_tcp_and_a_node_is_tls() {
    assert_eq!(read("h:1").to_string(), "tcp://h:1");
    assert_eq!(Address::for_node("h:1"), Ok(read("tls://h:1")));
    assert_eq!(Address::for_node("tcp://h:1"), Ok(read("tcp://h:1")));
    assert_eq!(Address::for_node(":1"), Err(Invalid::MissingHost(Scheme::Tls)));
}

#[test]
fn each_mistake_has_its_own_error() {
    let text = String::from;
    let path = |path| Invalid::UnexpectedPath { scheme: Scheme::Tcp, path: String::from(path) };
    let table = [
        ("", Invalid::Empty),
        ("http://h", Invalid::UnknownScheme(text("http"))),
        ("://h", Invalid::UnknownScheme(text(""))),
        ("tcp://", Invalid::MissingHost(Scheme::Tcp)),
        ("tls://:5000", Invalid::MissingHost(Scheme::Tls)),
        ("?codec=json", Invalid::MissingHost(Scheme::Tcp)),
        ("a b", Invalid::InvalidHost(text("a b"))),
        ("a..b", Invalid::InvalidHost(text("a..b"))),
        ("-a", Invalid::InvalidHost(text("-a"))),
        ("tcp://tcp://h", path("//h")),
        ("bücher.example", Invalid::InvalidHost(text("bücher.example"))),
        ("5000", Invalid::InvalidIpv4(text("5000"))),
        ("127.1", Invalid::InvalidIpv4(text("127.1"))),
        ("1.2.3.256:1", Invalid::InvalidIpv4(text("1.2.3.256"))),
        ("0x7F000001", Invalid::InvalidIpv4(text("0x7F000001"))),
        ("[::g]", Invalid::InvalidIpv6(text("::g"))),
        ("[1.2.3.4]", Invalid::InvalidIpv6(text("1.2.3.4"))),
        ("::1", Invalid::UnbracketedIpv6(text("::1"))),
        ("tcp://fe80::1:5000", Invalid::UnbracketedIpv6(text("fe80::1:5000"))),
        ("[::1", Invalid::UnclosedBracket(text("::1"))),
        ("[::1]5000", Invalid::TextAfterBracket(text("5000"))),
        ("[fe80::1%eth0]:1", Invalid::ZoneNotSupported(text("fe80::1%eth0"))),
        ("h:", Invalid::MissingPort),
        ("h:65536", Invalid::InvalidPort(text("65536"))),
        ("h:+1", Invalid::InvalidPort(text("+1"))),
        ("host:1:2", Invalid::InvalidPort(text("1:2"))),
        ("h:1/x", path("/x")),
        ("tcp://h/", path("/")),
        ("/run/x.sock", path("/run/x.sock")),
        ("unix:/run/x.sock", path("/run/x.sock")),
        ("unix://", Invalid::MissingPath),
        ("unix:///", Invalid::MissingPath),
        ("unix://run/x.sock", Invalid::RelativePath(text("run/x.sock"))),
        ("unix:///a%00b", Invalid::PathWithNul),
        ("unix:///100%", Invalid::InvalidEscape(text("%"))),
        ("unix:///a%+1b", Invalid::InvalidEscape(text("%+1"))),
        ("unix:///a%ää", Invalid::InvalidEscape(text("%ää"))),
        ("unix:///%FF", Invalid::PathNotText),
        ("memory://", Invalid::MissingName),
        ("memory://a/b", Invalid::InvalidName(text("a/b"))),
        ("memory://a:1", Invalid::InvalidName(text("a:1"))),
        ("h?colour=red", Invalid::UnknownOption(text("colour"))),
        ("h?colour", Invalid::UnknownOption(text("colour"))),
        ("h?codec=json&codec=json", Invalid::DuplicateOption("codec")),
        ("h?next=1&services=a&next=2", Invalid::DuplicateOption("next")),
        ("h?", Invalid::OptionWithoutValue(text(""))),
        ("h?codec", Invalid::OptionWithoutValue(text("codec"))),
        ("h?codec=json&", Invalid::OptionWithoutValue(text(""))),
        ("h?codec=xml", Invalid::UnknownCodec(text("xml"))),
        ("h?dialect=low", Invalid::UnknownDialect(text("low"))),
        ("h?services=a b", Invalid::InvalidServices(text("a b"))),
        ("h?next=1000", Invalid::InvalidNext(text("1000"))),
        ("h?next=-1", Invalid::InvalidNext(text("-1"))),
        ("unix:///x?next=1", Invalid::NextWithoutPort(Scheme::Unix)),
    ];
    for (typed, why) in table {
        assert_eq!(refused(typed), why, "{typed}");
    }
}

#[test]
fn user_information_that_is_no_node_id_is_refused() {
    let why = InvalidNodeId::NotBase58 { character: ':', index: 4 };
    assert_eq!(refused("tls://user:secret@h"), Invalid::InvalidNode { text: "user:secret".into(), why });
    let why = InvalidNodeId::WrongLength { characters: 0 };
    assert_eq!(refused("tls://@h"), Invalid::InvalidNode { text: String::new(), why });
}

#[test]
fn lengths_are_bounded() {
    let bytes = ADDRESS_BYTES_MAX + 1;
    assert_eq!(refused(&"h".repeat(bytes)), Invalid::TooLong { bytes });
    let bytes = ADDRESS_PATH_BYTES_MAX + 1;
    assert_eq!(refused(&format!("unix:///{}", "x".repeat(bytes - 1))), Invalid::PathTooLong { bytes });
    assert!(matches!(refused(&format!("memory://{}", "x".repeat(256))), Invalid::InvalidName(_)));
    assert!(matches!(refused(&format!("h?services={}", "x".repeat(256))), Invalid::InvalidServices(_)));
    assert!(matches!(refused(&"x".repeat(64)), Invalid::InvalidHost(_)));
    assert!(matches!(refused(&"x.".repeat(130)), Invalid::InvalidHost(_)));
}

#[test]
fn errors_name_cause_and_remedy() {
    assert_eq!(refused("foo://h").to_string(), "unknown scheme `foo` (known: tcp, tls, quic, unix, memory)");
    assert_eq!(
        refused("unix://x").to_string(),
        "the path `x` is relative: write an absolute one, with three slashes, as in unix:///run/the.sock"
    );
    assert_eq!(
        refused("h?next=1000").to_string(),
        "`1000` is no count of ports to try next: write a number from 0 to 999"
    );
}

#[test]
fn errors_repeat_foreign_text_escaped_and_cut() {
    assert_eq!(refused("a\x1b[31m\u{202e}"), Invalid::InvalidHost("a\\u{1b}[31m\\u{202e}".into()));
    let long = format!("{}://h", "x".repeat(3_000));
    assert_eq!(refused(&long), Invalid::UnknownScheme(format!("{}…", "x".repeat(64))));
}

#[test]
fn the_parts_of_an_address_can_be_asked_for() {
    let address = read("tls://Lab:7?codec=json&dialect=plain&services=**&next=3").with_node(id());
    assert_eq!(address.scheme(), Scheme::Tls);
    assert_eq!(address.node(), Some(id()));
    assert_eq!(address.host(), Some(&Host::Name("lab".into())));
    assert_eq!(address.host().and_then(Host::ip), None);
    assert_eq!((address.port(), address.path(), address.name()), (Some(7), None, None));
    assert_eq!((address.codec(), address.dialect()), (Some(Encoding::Json), Some(Dialect::Plain)));
    assert_eq!((address.services(), address.next()), (Some("**"), Some(3)));

    let unix = read("unix:///run/a%20b");
    assert_eq!((unix.path(), unix.host(), unix.port()), (Some(Path::new("/run/a b")), None, None));
    assert_eq!(read("memory://x").name(), Some("x"));
    assert_eq!(read("[::1]").host().and_then(Host::ip), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
}

#[test]
fn an_address_can_be_changed_in_parts() {
    let address = read("h:0?next=3&codec=json");
    assert_eq!(address.clone().with_port(9).without_next(), read("h:9?codec=json"));
    assert_eq!(address.clone().with_codec(None).with_dialect(Dialect::Full), read("h:0?dialect=full&next=3"));
    assert_eq!(read("[::1]:7").with_options_of(&address), read("[::1]:7?codec=json&next=3"));
    assert_eq!(address.with_node(id()).bare(), read("h:0"));
    assert_eq!(read("unix:///x").with_port(9), read("unix:///x"));
}

#[test]
fn addresses_are_made_from_what_the_system_knows() {
    assert_eq!(Address::tcp("[::1]:7".parse().unwrap()), read("[::1]:7"));
    assert_eq!(Address::unix("/run/a%?"), Ok(read("unix:///run/a%25%3F")));
    assert_eq!(Address::unix("a"), Err(Invalid::RelativePath("a".into())));
    assert_eq!(Address::memory("x"), Ok(read("memory://x")));
    assert_eq!(Address::memory("x y"), Err(Invalid::InvalidName("x y".into())));
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_text_has_no_address() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    assert_eq!(Address::unix(OsStr::from_bytes(b"/\xFF")), Err(Invalid::PathNotText));
}

fn any_place() -> impl Strategy<Value = (Scheme, Place)> {
    let host = prop_oneof![
        "[a-z]([a-z0-9_-]{0,20}[a-z])?(\\.[a-z]{1,8}){0,3}\\.?".prop_map(Host::Name),
        any::<u32>().prop_map(|ip| Host::V4(ip.into())),
        any::<u128>().prop_map(|ip| Host::V6(ip.into())),
    ];
    let scheme = prop::sample::select(&[Scheme::Tcp, Scheme::Tls, Scheme::Quic]);
    prop_oneof![
        (scheme, host, any::<u16>()).prop_map(|(scheme, host, port)| (scheme, Place::Port { host, port })),
        "/[^\0]{1,80}".prop_map(|path| (Scheme::Unix, Place::Path(path.into()))),
        "/[%? ]{1,80}".prop_map(|path| (Scheme::Unix, Place::Path(path.into()))),
        "[A-Za-z0-9._-]{1,255}".prop_map(|name| (Scheme::Memory, Place::Name(name.into()))),
    ]
}

fn any_address() -> impl Strategy<Value = Address> {
    let codec = prop::option::of(prop::sample::select(&[Encoding::Json, Encoding::MsgPack]));
    let dialect = prop::option::of(prop::sample::select(&[Dialect::Plain, Dialect::Full]));
    let services = prop::option::of("[A-Za-z0-9._/*-]{1,255}".prop_map(String::into_boxed_str));
    let next = prop::option::of(0..=NEXT_PORT_MAX);
    let node = prop::option::of(any::<[u8; 32]>().prop_map(key));
    (any_place(), node, codec, dialect, services, next).prop_map(
        |((scheme, place), node, codec, dialect, services, next)| Address {
            scheme,
            node,
            place,
            options: Options { codec, dialect, services, next: next.filter(|_| scheme.has_port()) },
        },
    )
}

proptest! {
    #[test]
    fn every_address_is_read_back_from_what_is_printed(address in any_address()) {
        prop_assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn whatever_is_accepted_is_printed_and_read_back(
        text in "(tcp://|tls://|unix:///|memory://)?[a-z0-9:@/%\\[\\]._é-]{0,20}(\\?(codec|next|services)=[a-z0-9*]{0,4})?",
    ) {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text: String) {
        let _ = text.parse::<Address>();
    }
}
