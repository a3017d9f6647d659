//! The content of a call of a named function: `[tag, args, kwargs]` (PROTOCOL §7).
//!
//! It is what `aiomas.rpc` sends, so its proxies can call our services. Arguments stay closed: they are found, not
//! opened, and a service that passes them on passes bytes. A fourth element is for facts about the call; whoever does
//! not know it leaves it alone.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::elements::{Elements, begins_map, is_empty_map};
use super::{BadMetadata, EncodeError, Encoding, Metadata, Payload, Unsupported, encode_into, payload};
use crate::limits;

/// A call of a named function, taken apart. Arguments are places in the content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invocation<'a> {
    /// The name of the function.
    pub tag: Cow<'a, str>,
    /// Where the positional arguments stand: an array.
    pub args: Range<usize>,
    /// Where the named arguments stand: a map.
    pub kwargs: Range<usize>,
    /// Where facts about the call stand, if there are any. On a plain link there must be none.
    pub metadata: Option<Range<usize>>,
}

/// Why a content is no call of a named function.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAnInvocation {
    /// It is no array of three elements, or of four.
    #[error("a call is [tag, args, kwargs]")]
    Shape,
    /// The first element is no text, or longer than a tag may be.
    #[error("the first element of a call is its tag: a text of at most {} bytes", limits::TAG_BYTES_MAX)]
    Tag,
    /// The second element is no array.
    #[error("the second element of a call is the array of its arguments")]
    Args,
    /// The third element is no map.
    #[error("the third element of a call is the map of its named arguments")]
    Kwargs,
}

impl<'a> Invocation<'a> {
    /// Takes a content apart.
    ///
    /// # Errors
    /// [`NotAnInvocation`] says which part has another form.
    #[inline]
    pub fn of(content: &'a Payload) -> Result<Invocation<'a>, NotAnInvocation> {
        let (encoding, bytes) = (content.encoding(), &content.bytes()[..]);
        let mut elements = Elements::of(encoding, bytes).map_err(|_| NotAnInvocation::Shape)?;
        let mut next = || elements.next_element().map_err(|_| NotAnInvocation::Shape);
        let (Some(tag), Some(args), Some(kwargs)) = (next()?, next()?, next()?) else {
            return Err(NotAnInvocation::Shape);
        };
        let metadata = next()?;
        if metadata.is_some() && next()?.is_some() {
            return Err(NotAnInvocation::Shape);
        }
        if Elements::of(encoding, &bytes[args.clone()]).is_err() {
            return Err(NotAnInvocation::Args);
        }
        if !begins_map(encoding, &bytes[kwargs.clone()]) {
            return Err(NotAnInvocation::Kwargs);
        }
        Ok(Invocation { tag: tag_of(encoding, &bytes[tag])?, args, kwargs, metadata })
    }

    /// The positional arguments in `content`, from which this was taken.
    pub fn args_of(&self, content: &Payload) -> Payload {
        part(content, self.args.clone())
    }

    /// The named arguments in `content`, from which this was taken.
    pub fn kwargs_of(&self, content: &Payload) -> Payload {
        part(content, self.kwargs.clone())
    }

    /// The facts about the call in `content`, from which this was taken.
    ///
    /// # Errors
    /// [`BadMetadata`]: the call is to be refused as a bad request.
    #[inline]
    pub fn metadata_of(&self, content: &Payload) -> Result<Metadata, BadMetadata> {
        match &self.metadata {
            Some(range) => Metadata::read(&part(content, range.clone())),
            None => Ok(Metadata::default()),
        }
    }

    /// Where the only argument in `content` stands: one positional value and no named ones.
    #[inline]
    pub fn only_argument(&self, content: &Payload) -> Option<Range<usize>> {
        let (encoding, bytes) = (content.encoding(), &content.bytes()[..]);
        if !is_empty_map(encoding, &bytes[self.kwargs.clone()]) {
            return None;
        }
        let mut elements = Elements::of(encoding, &bytes[self.args.clone()]).ok()?;
        let only = elements.next_element().ok()??;
        matches!(elements.next_element(), Ok(None)).then(|| self.args.start + only.start..self.args.start + only.end)
    }
}

fn part(content: &Payload, range: Range<usize>) -> Payload {
    Payload::from_parts(content.encoding(), content.bytes().slice(range))
}

#[inline]
fn tag_of(encoding: Encoding, bytes: &[u8]) -> Result<Cow<'_, str>, NotAnInvocation> {
    // A tag written plainly, as practically all are, is its own bytes behind a head of one or two, or between quotes.
    let plain = match (encoding, bytes) {
        (Encoding::MsgPack, [0xa0..=0xbf, text @ ..] | [0xd9, _, text @ ..]) => Some(text),
        (Encoding::Json, [b'"', text @ .., b'"']) if !text.contains(&b'\\') => Some(text),
        _ => None,
    };
    let tag = match plain {
        Some(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        None => payload::decode::<String>(encoding, bytes, 1).ok().map(Cow::Owned),
    };
    tag.filter(|tag| tag.len() <= limits::TAG_BYTES_MAX).ok_or(NotAnInvocation::Tag)
}

/// Whether a text can be the name of a function, a service or an event: 1 to [`limits::TAG_BYTES_MAX`] characters out of
/// `A–Z a–z 0–9 . _ / -`.
pub fn is_tag(text: &str) -> bool {
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    (1..=limits::TAG_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_in)
}

/// Appends the content of a call of `tag` as far as its positional arguments; [`put_kwargs`] ends it.
///
/// `args` is what serialises as a sequence (a tuple, an array, a vector), or `()` for none. On error `out` is as before.
///
/// # Errors
/// [`EncodeError`] names what the codec cannot carry, and where.
pub fn put_call<T: Serialize + ?Sized>(
    tag: &str,
    args: &T,
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let before = out.len();
    out.extend_from_slice(match encoding {
        Encoding::MsgPack => &[0x93],
        Encoding::Json => b"[",
    });
    let put = encode_into(tag, encoding, out).and_then(|()| {
        separate(encoding, out);
        let start = out.len();
        encode_into(args, encoding, out)?;
        if &out[start..] == encoding.null() {
            out.truncate(start);
            return encode_into::<[(); 0]>(&[], encoding, out);
        }
        let is_list = Elements::of(encoding, &out[start..]).is_ok();
        if is_list { Ok(()) } else { Err(EncodeError { encoding, path: "$".to_owned(), why: Unsupported::NotAList }) }
    });
    if put.is_err() {
        out.truncate(before);
    }
    put
}

/// Appends the named arguments behind [`put_call`] and ends the content; `None`: there are none.
pub fn put_kwargs(kwargs: Option<&Payload>, encoding: Encoding, out: &mut Vec<u8>) {
    separate(encoding, out);
    match (kwargs, encoding) {
        (Some(kwargs), _) => out.extend_from_slice(kwargs.bytes()),
        (None, Encoding::MsgPack) => out.push(0x80),
        (None, Encoding::Json) => out.extend_from_slice(b"{}"),
    }
    if encoding == Encoding::Json {
        out.push(b']');
    }
}

/// A call made of parts that are already encoded, all in the encoding of `args`.
///
/// # Errors
/// [`NotAnInvocation`] says which part has another form.
pub fn call_of_parts(tag: &str, args: &Payload, kwargs: Option<&Payload>) -> Result<Payload, NotAnInvocation> {
    let encoding = args.encoding();
    let mut out = Vec::with_capacity(tag.len() + args.len() + 16);
    put_call(tag, &(), encoding, &mut out).map_err(|_| NotAnInvocation::Tag)?;
    out.truncate(out.len() - empty_list(encoding).len());
    out.extend_from_slice(args.bytes());
    put_kwargs(kwargs, encoding, &mut out);
    let call = Payload::from_parts(encoding, Bytes::from(out));
    Invocation::of(&call)?;
    Ok(call)
}

fn empty_list(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::MsgPack => &[0x90],
        Encoding::Json => b"[]",
    }
}

fn separate(encoding: Encoding, out: &mut Vec<u8>) {
    if encoding == Encoding::Json {
        out.extend_from_slice(b", ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Value;

    fn content(encoding: Encoding, bytes: &[u8]) -> Payload {
        Payload::from_parts(encoding, Bytes::copy_from_slice(bytes))
    }

    fn json(text: &str) -> Payload {
        content(Encoding::Json, text.as_bytes())
    }

    fn call<T: Serialize>(tag: &str, args: &T, kwargs: Option<Value>, encoding: Encoding) -> Payload {
        let mut out = Vec::new();
        put_call(tag, args, encoding, &mut out).unwrap();
        let kwargs = kwargs.map(|kwargs| Payload::encode(&kwargs, encoding).unwrap());
        put_kwargs(kwargs.as_ref(), encoding, &mut out);
        Payload::parse(encoding, out.into()).unwrap()
    }

    #[test]
    fn what_is_put_together_comes_apart_again_in_both_codecs() {
        for encoding in Encoding::ALL {
            let named = Value::Map(vec![("deep".into(), Value::List(vec![1_u64.into()]))]);
            let content = call("lab/sum", &(2, "drei"), Some(named.clone()), encoding);
            let invocation = Invocation::of(&content).unwrap();
            assert_eq!(invocation.tag, "lab/sum");
            assert_eq!(invocation.args_of(&content).decode::<(i64, String)>().unwrap(), (2, "drei".into()));
            assert_eq!(invocation.kwargs_of(&content).decode::<Value>().unwrap(), named);
            assert_eq!(invocation.only_argument(&content), None);
        }
    }

    #[test]
    fn a_call_without_arguments_has_an_empty_list_and_an_empty_map() {
        assert_eq!(&call("t", &(), None, Encoding::Json).into_bytes()[..], br#"["t", [], {}]"#);
        assert_eq!(&call("t", &(), None, Encoding::MsgPack).into_bytes()[..], [0x93, 0xa1, b't', 0x90, 0x80]);
    }

    #[test]
    fn the_only_argument_is_found_as_it_stands() {
        let only = |payload: &Payload| {
            let range = Invocation::of(payload).unwrap().only_argument(payload);
            range.map(|range| payload.bytes().slice(range))
        };
        assert_eq!(only(&json(r#"["t", [ {"a": NaN} ], { } ]"#)).unwrap(), &br#"{"a": NaN}"#[..]);
        assert_eq!(
            only(&content(Encoding::MsgPack, &[0x93, 0xa1, b't', 0x91, 0xd4, 1, 9, 0x80])).unwrap(),
            &[0xd4, 1, 9][..]
        );
        for several in [r#"["t", [], {}]"#, r#"["t", [1, 2], {}]"#, r#"["t", [1], {"a": 1}]"#] {
            assert_eq!(only(&json(several)), None, "{several}");
        }
    }

    #[test]
    fn each_part_of_another_form_is_named() {
        let refused = |text: &str| Invocation::of(&json(text)).unwrap_err();
        for text in ["1", "{}", "[]", r#"["t", []]"#, r#"["t", [], {}, 1, 2]"#, r#"["t" [] {}]"#] {
            assert_eq!(refused(text), NotAnInvocation::Shape, "{text}");
        }
        for text in [r#"[1, [], {}]"#, r#"[null, [], {}]"#, r#"["\ud800", [], {}]"#] {
            assert_eq!(refused(text), NotAnInvocation::Tag, "{text}");
        }
        let long = format!(r#"["{}", [], {{}}]"#, "t".repeat(limits::TAG_BYTES_MAX + 1));
        assert_eq!(refused(&long), NotAnInvocation::Tag);
        assert_eq!(refused(r#"["t", {}, {}]"#), NotAnInvocation::Args);
        assert_eq!(refused(r#"["t", [], []]"#), NotAnInvocation::Kwargs);
    }

    #[test]
    fn facts_about_a_call_in_a_fourth_element_are_left_alone() {
        let content = json(r#"["t", [], {}, {"ms": 5}]"#);
        let invocation = Invocation::of(&content).unwrap();
        assert_eq!((&*invocation.tag, invocation.metadata), ("t", Some(14..23)));
    }

    #[test]
    fn tags_with_escapes_and_of_every_length_are_read() {
        assert_eq!(Invocation::of(&json(r#"["\u00fc", [], {}]"#)).unwrap().tag, "ü");
        for length in [0, 31, 32, limits::TAG_BYTES_MAX] {
            let tag = "x".repeat(length);
            let content = call(&tag, &(), None, Encoding::MsgPack);
            assert_eq!(Invocation::of(&content).unwrap().tag, tag);
        }
        let str16 = content(Encoding::MsgPack, &[0x93, 0xda, 0, 1, b't', 0x90, 0x80]);
        assert_eq!(Invocation::of(&str16).unwrap().tag, "t");
    }

    #[test]
    fn arguments_that_are_no_list_are_refused_before_anything_is_written() {
        let mut out = b"before".to_vec();
        assert!(put_call("t", &5, Encoding::MsgPack, &mut out).is_err());
        assert!(put_call("t", &[f64::NAN], Encoding::Json, &mut out).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn names_are_made_of_few_characters() {
        for good in ["a", "peerage/pass_through", "v1.2/a-b_C", &"x".repeat(255)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", "a b", "ä", "a\0", "a*", &"x".repeat(256)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    #[test]
    fn parts_that_are_already_encoded_become_a_call() {
        let args = Payload::encode(&[1, 2], Encoding::Json).unwrap();
        let call = call_of_parts("t", &args, None).unwrap();
        assert_eq!(&call.bytes()[..], br#"["t", [1,2], {}]"#);
        let number = Payload::encode(&1, Encoding::Json).unwrap();
        assert_eq!(call_of_parts("t", &number, None), Err(NotAnInvocation::Args));
        assert_eq!(call_of_parts("t", &args, Some(&number)), Err(NotAnInvocation::Kwargs));
    }
}
