use super::*;

#[test]
fn a_triple_may_use_any_array_and_integer_width() {
    let bodies: [(&[u8], u64, u64, usize); 6] = [
        (&[0x93, 0, 5, 0xc0], 0, 5, 3),
        (&[0xdc, 0, 3, 1, 0xcc, 5, 0xc0], 1, 5, 6),
        (&[0xdd, 0, 0, 0, 3, 0xcd, 0, 2, 0xce, 0, 0, 0, 5, 0xc0], 2, 5, 13),
        (&[0x93, 0xd0, 1, 0xd1, 0, 5, 0xc0], 1, 5, 6),
        (&[0x93, 0xd2, 0, 0, 0, 1, 0xd3, 0, 0, 0, 0, 0, 0, 0, 5, 0xc0], 1, 5, 15),
        (&[0x93, 0, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255, 0xc0], 0, u64::MAX, 11),
    ];
    for (body, kind, id, at) in bodies {
        assert_eq!(split(body), Ok(Triple { kind, id, content: at..at + 1 }), "{body:x?}");
    }
}

#[test]
fn a_kind_or_id_of_another_type_is_refused() {
    // nil, false, true, negative in each width, float32, float64, string, bytes, list
    let others: [&[u8]; 11] = [
        &[0xc0],
        &[0xc2],
        &[0xc3],
        &[0xff],
        &[0xd0, 0x80],
        &[0xd1, 0xff, 0xff],
        &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0xca, 0, 0, 0, 0],
        &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xa1, b'0'],
        &[0x90],
    ];
    for other in others {
        let body = |parts: [&[u8]; 4]| parts.concat();
        assert_eq!(split(&body([&[0x93], other, &[0], &[0xc0]])), Err(BadTriple::BadKind), "{other:x?}");
        assert_eq!(split(&body([&[0x93], &[0], other, &[0xc0]])), Err(BadTriple::BadId), "{other:x?}");
    }
}

#[test]
fn what_is_no_array_of_three_is_refused() {
    assert_eq!(split(&[]), Err(BadTriple::Empty));
    for body in [&[0x92, 0, 0][..], &[0x94, 0, 0, 0, 0], &[0xdc, 0, 4, 0, 0, 0, 0], &[0x83, 0, 0, 0], &[0xc0]] {
        assert_eq!(split(body), Err(BadTriple::NotATriple), "{body:x?}");
    }
}

#[test]
fn content_is_exactly_one_complete_value() {
    assert_eq!(split(&[0x93, 0, 0]), Err(BadTriple::Truncated { at: 3 }));
    assert_eq!(split(&[0x93, 0, 0, 0xa2, b'x']), Err(BadTriple::Truncated { at: 3 }));
    assert_eq!(split(&[0x93, 0, 0, 0x92, 1, 0xcd, 1]), Err(BadTriple::Truncated { at: 5 }));
    assert_eq!(split(&[0x93, 0, 0, 0xc1]), Err(BadTriple::Unexpected { at: 3 }));
    assert_eq!(split(&[0x93, 0, 0, 0x91, 0xc1]), Err(BadTriple::Unexpected { at: 4 }));
    assert_eq!(split(&[0x93, 0, 0, 0xc0, 0xc0]), Err(BadTriple::Trailing { at: 4 }));
    assert_eq!(split(&[0x93, 0, 0, 0xc0, 0xc1]), Err(BadTriple::Trailing { at: 4 }));
}

#[test]
fn every_form_of_the_format_has_its_length() {
    let sized: [(&[u8], usize); 22] = [
        (&[0xc4, 2], 2),
        (&[0xc5, 0, 2], 2),
        (&[0xc6, 0, 0, 0, 2], 2),
        (&[0xc7, 2, 1], 2),
        (&[0xc8, 0, 2, 1], 2),
        (&[0xc9, 0, 0, 0, 2, 1], 2),
        (&[0xca], 4),
        (&[0xcb], 8),
        (&[0xcc], 1),
        (&[0xcd], 2),
        (&[0xce], 4),
        (&[0xcf], 8),
        (&[0xd3], 8),
        (&[0xd4], 2),
        (&[0xd5], 3),
        (&[0xd6], 5),
        (&[0xd7], 9),
        (&[0xd8], 17),
        (&[0xd9, 2], 2),
        (&[0xda, 0, 2], 2),
        (&[0xdc, 0, 2], 2),
        (&[0xde, 0, 2], 4),
    ];
    for (head, rest) in sized {
        let value = [head, &vec![0; rest]].concat();
        assert_eq!(skip(&value, 0), Ok(value.len()), "{head:x?}");
        assert_eq!(survey(&value, 0, 1), Ok(value.len()), "{head:x?}");
        assert!(matches!(skip(&value[..value.len() - 1], 0), Err(Fault::Truncated(_))), "{head:x?}");
        assert!(matches!(survey(&value[..value.len() - 1], 0, 1), Err(Fault::Truncated(_))), "{head:x?}");
    }
}

#[test]
fn a_claim_of_four_billion_items_ends_where_it_is_made() {
    for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        let claim = [marker, 255, 255, 255, 255, 0];
        assert_eq!(skip(&claim, 0), Err(Fault::Truncated(0)));
        assert_eq!(survey(&claim, 0, 32), Err(Fault::Truncated(0)));
    }
}

#[test]
fn nesting_is_counted_by_open_containers_only() {
    assert_eq!(survey(&[0x91, 0x91, 0x90], 0, 3), Ok(3));
    assert_eq!(survey(&[0x91, 0x91, 0x90], 0, 2), Err(Fault::TooDeep(2)));
    assert_eq!(survey(&[0x93, 0x91, 0x00, 0x81, 0xa0, 0x90, 0x00], 0, 3), Ok(7));
    assert_eq!(survey(&[0x93, 0x91, 0x00, 0x81, 0xa0, 0x90, 0x00], 0, 2), Err(Fault::TooDeep(5)));
}

#[test]
fn each_level_remembers_what_is_still_to_come_after_the_levels_inside() {
    for depth in [1, 7, 8, 9, 20, 32] {
        // [[[…, 0], 0], 0]: each list has one more item after the list inside it.
        let value = [vec![0x92; depth], vec![0; depth + 1]].concat();
        assert_eq!(survey(&value, 0, depth), Ok(value.len()));
        assert_eq!(survey(&value, 0, depth - 1), Err(Fault::TooDeep(depth - 1)));
        assert!(matches!(survey(&value[..value.len() - 1], 0, depth), Err(Fault::Truncated(_))));
    }
}
