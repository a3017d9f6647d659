//! What the fuzz targets call. Each takes any bytes and panics only if we are broken; `cargo test` runs them over the
//! corpus.

use crate::codec::{Encoding, Payload, Value};
use crate::frame::FrameDecoder;
use crate::limits;
use crate::outcome::PeerMisbehaved;

/// Whatever the chunking, the decoder finds the same frames and the same fault, and holds no more memory than arrived.
///
/// The first byte chooses the limit, the second the chunks; the rest is what arrives.
///
/// # Panics
///
/// If that is not so.
pub fn frame(input: &[u8]) {
    let [choice, chunks, stream @ ..] = input else { return };
    let limit = [0, 3, 16, 1_000, 70_000, u32::MAX][usize::from(*choice) % 6];
    let whole = frames(limit, stream, |_| stream.len());
    let fixed = usize::from(chunks % 32) + 1;
    assert_eq!(frames(limit, stream, |_| fixed), whole, "in pieces of {fixed}");
    let uneven = |nth: usize| 1 + (usize::from(*chunks) >> (nth % 5)) % 40;
    assert_eq!(frames(limit, stream, uneven), whole, "in uneven pieces");
    assert_eq!(frames_in_place(limit, stream, fixed), whole, "read into place");
}

/// The bodies and the fault, if there is one.
type Found = (Vec<Vec<u8>>, Option<PeerMisbehaved>);

fn frames(limit: u32, stream: &[u8], piece: impl Fn(usize) -> usize) -> Found {
    let mut decoder = FrameDecoder::new(limit);
    let (mut bodies, mut rest, mut nth, mut arrived) = (Vec::new(), stream, 0, 0);
    while !rest.is_empty() {
        let (mut now, later) = rest.split_at(piece(nth).min(rest.len()));
        arrived += now.len();
        (rest, nth) = (later, nth + 1);
        if let Some(fault) = drain(&mut decoder, &mut now, &mut bodies) {
            return (bodies, Some(fault));
        }
        assert!(now.is_empty(), "everything was taken in");
        assert!(decoder.capacity() <= arrived + limits::BUFFER_AHEAD_BYTES, "memory grows with what arrives");
    }
    (bodies, None)
}

fn frames_in_place(limit: u32, stream: &[u8], worthwhile: usize) -> Found {
    let mut decoder = FrameDecoder::new(limit);
    let (mut bodies, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        if let Some(mut lent) = decoder.lend(worthwhile) {
            let (buffer, room) = lent.buffer();
            assert!(0 < room && room <= limits::BUFFER_AHEAD_BYTES, "there is something to read, and not too much");
            let (now, later) = rest.split_at(room.min(rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
            decoder.take_back(lent);
            if let Some(fault) = drain(&mut decoder, &mut &[][..], &mut bodies) {
                return (bodies, Some(fault));
            }
            continue;
        }
        let (mut now, later) = rest.split_at(worthwhile.min(rest.len()));
        rest = later;
        if let Some(fault) = drain(&mut decoder, &mut now, &mut bodies) {
            return (bodies, Some(fault));
        }
    }
    (bodies, None)
}

fn drain(decoder: &mut FrameDecoder, input: &mut &[u8], bodies: &mut Vec<Vec<u8>>) -> Option<PeerMisbehaved> {
    loop {
        match decoder.next(input) {
            Ok(Some(body)) => bodies.push(body.bytes().to_vec()),
            Ok(None) => return None,
            Err(fault) => return Some(fault),
        }
    }
}

/// A body is split, opened and joined again in each codec without a panic, and what was joined is what was split.
///
/// # Panics
///
/// If that is not so.
pub fn payload(body: &[u8]) {
    for encoding in Encoding::ALL {
        if let Some((first, rest)) = body.split_first() {
            value(encoding, if *first == b'v' { rest } else { body });
        }
        let Ok(triple) = encoding.split(body) else { continue };
        let content = body.get(triple.content.clone()).expect("the content lies in the body");
        assert!(!content.is_empty(), "a value has at least one byte");
        if let Ok(kind) = u8::try_from(triple.kind) {
            let mut joined = Vec::new();
            encoding.put_head(kind, triple.id, &mut joined);
            joined.extend_from_slice(content);
            let before = joined.len();
            encoding.put_tail(&mut joined);
            assert_eq!(joined.len() - before, encoding.tail_len());
            let again = encoding.split(&joined).expect("what was joined can be split");
            assert_eq!((again.kind, again.id, &joined[again.content]), (triple.kind, triple.id, content));
        }
        value(encoding, content);
    }
}

/// Opens bytes as a value; what could be opened is the same value after a round trip, in the other codec as well.
fn value(encoding: Encoding, bytes: &[u8]) {
    let payload = Payload::from_parts(encoding, bytes::Bytes::copy_from_slice(bytes));
    let Ok(opened) = payload.decode::<Value>() else { return };
    assert!(Payload::parse(encoding, payload.bytes().clone()).is_ok(), "what can be opened is well-formed");
    // Compared as bytes, because NaN is unequal to itself.
    for encoding in [Some(encoding), Some(Encoding::MsgPack)].into_iter().flatten() {
        let Ok(once) = Payload::encode(&opened, encoding) else {
            continue;
        };
        let again = once.decode::<Value>().expect("what we encode can be opened");
        assert_eq!(Payload::encode(&again, encoding).as_ref(), Ok(&once), "a value survives the round trip");
    }
}

/// One machine against a peer and an application made of the input, with all the oracles of the simulator.
///
/// # Panics
///
/// If one of them finds fault.
pub fn session(input: &[u8]) {
    super::session::run(input);
}

/// One end of a handshake against a peer made of the input: without a proof nothing is said, and pieces make no difference.
///
/// # Panics
///
/// If that is not so.
pub fn hello(input: &[u8]) {
    super::hello::run(input);
}
