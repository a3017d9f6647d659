use super::*;

fn content(body: &[u8]) -> Result<&[u8], BadTriple> {
    split(body).map(|triple| &body[triple.content])
}

#[test]
fn all_white_space_is_read_and_none_of_it_is_content() {
    let body = b" \t\r\n[ 0\t,\n7 ,\r \"a b\" \n] \t";
    let triple = split(body).unwrap();
    assert_eq!((triple.kind, triple.id), (0, 7));
    assert_eq!(&body[triple.content], b"\"a b\"");
    assert_eq!(content(b"[0,7,{ }]"), Ok(&b"{ }"[..]));
}

#[test]
fn content_stays_byte_for_byte_whatever_its_leaves_are() {
    for text in [
        "null",
        "true",
        "false",
        "NaN",
        "Infinity",
        "-Infinity",
        "-0",
        "0.50",
        "1E+400",
        "100000000000000000000000000000000000000",
        r#""""#,
        r#""\"]\\""#,
        r#""a text of more than eight bytes, with an escape \\ and a quote \" in it""#,
        r#"{"a":[NaN,1e9,{"]":"}"}],"b":[]}"#,
        "[[[[]]],{}]",
    ] {
        let body = format!("[0,1,{text}]");
        assert_eq!(content(body.as_bytes()), Ok(text.as_bytes()));
    }
}

#[test]
fn a_kind_or_id_that_is_no_plain_unsigned_integer_is_refused() {
    for other in [
        "1e0",
        "1.0",
        "true",
        "null",
        "\"0\"",
        "-1",
        "-0",
        "+1",
        "01",
        "00",
        "18446744073709551616",
        "[0]",
        "{}",
        "0x1",
        "",
    ] {
        assert_eq!(content(format!("[{other},0,1]").as_bytes()), Err(BadTriple::BadKind), "{other}");
        assert_eq!(content(format!("[0,{other},1]").as_bytes()), Err(BadTriple::BadId), "{other}");
    }
    assert_eq!(split(b"[18446744073709551615,18446744073709551615,1]").unwrap().id, u64::MAX);
}

#[test]
fn what_is_no_array_of_three_is_refused() {
    for body in ["[]", "[0]", "[0,1]", "[0,1,]", "[0,1,2,3]", "[0,1,2,]", "{\"a\":1}", "{{{", "null", "x", "]"] {
        assert_eq!(content(body.as_bytes()), Err(BadTriple::NotATriple), "{body}");
    }
    assert_eq!(content(b""), Err(BadTriple::Empty));
    assert_eq!(content(b" \n"), Err(BadTriple::Empty));
    assert_eq!(content("\u{feff}[0,1,1]".as_bytes()), Err(BadTriple::ByteOrderMark));
}

#[test]
fn garbage_around_and_between_the_elements_is_refused_where_it_stands() {
    assert_eq!(content(b"[0,1,2]x"), Err(BadTriple::Trailing { at: 7 }));
    assert_eq!(content(b"[0,1,2] [0,1,2]"), Err(BadTriple::Trailing { at: 8 }));
    assert_eq!(content(b"[0 1,2]"), Err(BadTriple::Unexpected { at: 3 }));
    assert_eq!(content(b"[0,1,2 3]"), Err(BadTriple::Unexpected { at: 7 }));
    assert_eq!(content(b"[0,1,nonsense]"), Err(BadTriple::Unexpected { at: 5 }));
    assert_eq!(content(b"[0,1,1.]"), Err(BadTriple::Unexpected { at: 5 }));
    assert_eq!(content(b"[0,1,,]"), Err(BadTriple::Unexpected { at: 5 }));
    assert_eq!(content(b"[0,1,\"a\"\"b\"]"), Err(BadTriple::Unexpected { at: 8 }));
}

#[test]
fn brackets_must_close_what_they_opened_at_any_depth() {
    assert_eq!(content(b"[0,1,{]]"), Err(BadTriple::Unbalanced { at: 6 }));
    assert_eq!(content(b"[0,1,[}]"), Err(BadTriple::Unbalanced { at: 6 }));
    assert_eq!(content(b"[0,1,[[]"), Err(BadTriple::Truncated { at: 5 }));
    for depth in [1, 63, 64, 65, 127, 128, 129, 200, 1_000] {
        let (open, close): (String, String) =
            (0..depth).map(|n| if n % 3 == 0 { ('{', '}') } else { ('[', ']') }).unzip();
        let close: String = close.chars().rev().collect();
        let body = format!("[0,1,{open}{close}]");
        assert_eq!(content(body.as_bytes()), Ok(&body.as_bytes()[5..body.len() - 1]), "{depth}");
        let crossed = body.replacen("[0,1,{", "[0,1,[", 1);
        assert_eq!(content(crossed.as_bytes()), Err(BadTriple::Unbalanced { at: 5 + 2 * depth - 1 }), "{depth}");
    }
}

#[test]
fn a_string_ends_at_its_first_quote_that_is_not_escaped() {
    for padding in 0..20 {
        for text in ["", "\\\"", "\\\\", "\\\\\\\"", "ä", "\u{80}\u{ff}!\u{23}", "]}"] {
            let text = format!("\"{}{text}{}\"", "x".repeat(padding), "y".repeat(padding));
            assert_eq!(content(format!("[0,1,{text}]").as_bytes()), Ok(text.as_bytes()));
        }
    }
    assert_eq!(content(b"[0,1,\"a]"), Err(BadTriple::Truncated { at: 5 }));
    assert_eq!(content(b"[0,1,\"a\\\"]"), Err(BadTriple::Truncated { at: 5 }));
    assert_eq!(content(b"[0,1,\"a\\"), Err(BadTriple::Truncated { at: 5 }));
}

#[test]
fn the_survey_finds_what_the_parser_would_misread() {
    assert_eq!(survey(br#"{"a":[18446744073709551615,-9223372036854775808,1e99,-0.5]}"#, 2), Ok(()));
    assert_eq!(survey(b"[1,18446744073709551616]", 2), Err(Fault::IntegerOutOfRange(3)));
    assert_eq!(survey(b"-9223372036854775809", 2), Err(Fault::IntegerOutOfRange(0)));
    assert_eq!(survey(b"123456789012345678901234567890.5", 2), Ok(()));
    assert_eq!(survey(b"[\"NaN\",NaN]", 2), Err(Fault::NotFinite(7)));
    assert_eq!(survey(b"{\"a\":-Infinity}", 2), Err(Fault::NotFinite(5)));
    assert_eq!(survey(b"Infinity", 2), Err(Fault::NotFinite(0)));
    assert_eq!(survey(b"[[],{},[]]", 2), Ok(()));
    assert_eq!(survey(b"[[],{\"a\":[]}]", 2), Err(Fault::TooDeep));
}
