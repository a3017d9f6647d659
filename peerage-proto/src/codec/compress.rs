//! Contents made smaller for the way: LZ4 blocks.
//!
//! What travels is MessagePack bytes that hold the size of the content (four bytes, little-endian, as LZ4 libraries of many
//! languages write it) and the block. Whoever reads it is in danger: a few bytes can stand for gigabytes. So the size is
//! looked at before any memory is taken, and must be within the limit of the reader and within
//! [`limits::COMPRESSION_RATIO_MAX`] times the block. A writer that is never to be refused therefore sends what shrinks by
//! more than that uncompressed; such content is rare, and mostly zeros.

use bytes::Bytes;
use lz4_flex::block;

use super::{Encoding, Payload};
use crate::limits;

/// Why a compressed content cannot be opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBlock {
    /// The content is not bytes that hold a size and a block.
    #[error("compressed content is not bytes with a size and a block")]
    NotABlock,
    /// It announces more than the reader takes, or nothing at all.
    #[error("{size} bytes are announced, at most {limit} are accepted")]
    Size {
        /// Announced size of the content, in bytes.
        size: u32,
        /// Largest content accepted, in bytes.
        limit: u32,
    },
    /// It announces more than so short a block can honestly hold.
    #[error(
        "{size} bytes are announced in a block of {block}, more than {} times as much",
        limits::COMPRESSION_RATIO_MAX
    )]
    Ratio {
        /// Announced size of the content, in bytes.
        size: u32,
        /// Size of the block, in bytes.
        block: usize,
    },
    /// The block is damaged, or holds another size than announced.
    #[error("the block is damaged")]
    Damaged,
    /// The block holds no value, or more than one.
    #[error("the block does not hold one value")]
    NotAValue,
}

/// The content in its compressed form: one MessagePack value. `None` if that would not be smaller, or so much smaller that
/// a reader would not believe it.
pub fn compress(content: &[u8]) -> Option<Bytes> {
    let size = u32::try_from(content.len()).ok()?;
    let most = block::get_maximum_output_size(content.len());
    let mut out = vec![0; HEAD_BYTES.checked_add(most)?];
    let written = block::compress_into(content, out.get_mut(HEAD_BYTES..)?).ok()?;
    if written.saturating_mul(limits::COMPRESSION_RATIO_MAX) < content.len() {
        return None;
    }
    let length = u32::try_from(written.checked_add(4)?).ok()?;
    out.truncate(HEAD_BYTES.checked_add(written)?);
    let (head, _) = out.split_first_chunk_mut::<HEAD_BYTES>()?;
    // The longest form of a length, so that it can be written before the block is known; three bytes do not matter here.
    head[0] = BIN_32;
    head[1..5].copy_from_slice(&length.to_be_bytes());
    head[5..].copy_from_slice(&size.to_le_bytes());
    (out.len() < content.len()).then(|| out.into())
}

/// Opens a compressed content: a MessagePack value of at most `limit` bytes.
///
/// # Errors
/// [`BadBlock`]; no memory is taken before the announced size has been checked.
pub fn decompress(content: &[u8], limit: u32) -> Result<Payload, BadBlock> {
    let bytes = bin(content).ok_or(BadBlock::NotABlock)?;
    let (size, packed) = bytes.split_first_chunk::<4>().ok_or(BadBlock::NotABlock)?;
    let size = u32::from_le_bytes(*size);
    if size == 0 || size > limit {
        return Err(BadBlock::Size { size, limit });
    }
    if size as usize > packed.len().saturating_mul(limits::COMPRESSION_RATIO_MAX) {
        return Err(BadBlock::Ratio { size, block: packed.len() });
    }
    let mut out = vec![0; size as usize];
    match block::decompress_into(packed, &mut out) {
        Ok(written) if written == out.len() => {}
        _ => return Err(BadBlock::Damaged),
    }
    Payload::parse(Encoding::MsgPack, out.into()).map_err(|_| BadBlock::NotAValue)
}

/// The bytes inside a MessagePack `bin` that fills the whole content.
fn bin(content: &[u8]) -> Option<&[u8]> {
    let (marker, rest) = content.split_first()?;
    let (length, bytes) = match *marker {
        BIN_8 => {
            let (length, bytes) = rest.split_first()?;
            (usize::from(*length), bytes)
        }
        BIN_16 => {
            let (length, bytes) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), bytes)
        }
        BIN_32 => {
            let (length, bytes) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*length) as usize, bytes)
        }
        _ => return None,
    };
    (bytes.len() == length).then_some(bytes)
}

/// Markers of MessagePack for bytes with a length of one, two and four bytes.
const BIN_8: u8 = 0xc4;
const BIN_16: u8 = 0xc5;
const BIN_32: u8 = 0xc6;

/// Marker, length and size in front of a block.
const HEAD_BYTES: usize = 1 + 4 + 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(content: &Payload) -> Bytes {
        compress(content.bytes()).expect("worth it")
    }

    fn text(length: usize) -> Payload {
        let text: String = (0..length).map(|n| char::from(b'a' + (n % 7 * n % 26) as u8)).collect();
        Payload::encode(&text, Encoding::MsgPack).expect("a text")
    }

    /// A block with any announced size.
    fn block_of(size: u32, packed: &[u8]) -> Vec<u8> {
        let length = packed.len() as u32 + 4;
        [&[BIN_32][..], &length.to_be_bytes(), &size.to_le_bytes(), packed].concat()
    }

    #[test]
    fn a_compressed_content_is_one_value_of_bytes_and_opens_again() {
        let content = text(10_000);
        let packed = packed(&content);
        assert!(packed.len() < content.len());
        assert!(Payload::parse(Encoding::MsgPack, packed.clone()).is_ok());
        assert_eq!(decompress(&packed, 20_000), Ok(content));
    }

    #[test]
    fn bytes_of_every_length_form_are_read() {
        let content = Payload::encode(&[0_u8; 32], Encoding::MsgPack).expect("an array");
        let packed = block::compress_prepend_size(content.bytes());
        let length = packed.len() as u8;
        for head in [&[BIN_8, length][..], &[BIN_16, 0, length], &[BIN_32, 0, 0, 0, length]] {
            assert_eq!(decompress(&[head, &packed].concat(), 1_000), Ok(content.clone()));
        }
    }

    #[test]
    fn what_does_not_become_smaller_is_left_as_it_is() {
        assert_eq!(compress(b"\xa5short"), None);
        let mut noise = 1_u64;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (noise >> 56) as u8
        })
        .take(5_000)
        .collect();
        assert_eq!(compress(&random), None);
    }

    #[test]
    fn what_becomes_too_small_to_be_believed_is_left_as_it_is() {
        assert_eq!(compress(&vec![0; 1 << 20]), None);
    }

    #[test]
    fn a_size_above_the_limit_is_refused_before_memory_is_taken() {
        let packed = packed(&text(10_000));
        assert_eq!(decompress(&packed, 9_999), Err(BadBlock::Size { size: 10_003, limit: 9_999 }));
        for size in [0, 1 << 20, u32::MAX] {
            let bomb = block_of(size, &[0; 1 << 19]);
            assert_eq!(decompress(&bomb, 1000), Err(BadBlock::Size { size, limit: 1000 }));
        }
    }

    #[test]
    fn a_size_that_the_block_cannot_honestly_hold_is_refused_before_memory_is_taken() {
        let block = [7; 50];
        let limit = u32::MAX;
        assert_eq!(decompress(&block_of(5_000, &block), limit), Err(BadBlock::Damaged), "believed, and then not kept");
        assert_eq!(decompress(&block_of(5_001, &block), limit), Err(BadBlock::Ratio { size: 5_001, block: 50 }));
        assert_eq!(decompress(&block_of(1, &[]), limit), Err(BadBlock::Ratio { size: 1, block: 0 }));
    }

    #[test]
    fn a_block_that_is_damaged_or_of_another_size_is_refused() {
        let content = text(2_000);
        let whole = block::compress(content.bytes());
        let size = content.len() as u32;
        for wrong in [size - 1, size + 1] {
            assert_eq!(decompress(&block_of(wrong, &whole), 10_000), Err(BadBlock::Damaged));
        }
        assert_eq!(decompress(&block_of(size, &whole[..whole.len() - 1]), 10_000), Err(BadBlock::Damaged));
    }

    #[test]
    fn a_block_that_does_not_hold_one_value_is_refused() {
        for content in [&b"\xa1"[..], b"\x01\x02", b"\xc1"] {
            let packed = block::compress(content);
            assert_eq!(decompress(&block_of(content.len() as u32, &packed), 100), Err(BadBlock::NotAValue));
        }
    }

    #[test]
    fn content_that_is_no_bytes_with_a_size_is_refused() {
        for content in
            [&b""[..], b"\xc0", b"\xa4text", b"\xc4", b"\xc4\x03abc", b"\xc4\x04abc", b"\xc6\0\0\0\x05abcdef"]
        {
            assert_eq!(decompress(content, 100), Err(BadBlock::NotABlock), "{content:02x?}");
        }
    }

    #[test]
    fn a_bomb_inside_a_bomb_stays_closed() {
        let inner = Bytes::from(block_of(100_000, &[0; 1_000]));
        let outer = block::compress(&inner);
        let opened = decompress(&block_of(inner.len() as u32, &outer), 10_000).expect("a value of bytes");
        assert_eq!(opened.bytes(), &inner, "nobody opens what is inside");
    }

    proptest! {
        #[test]
        fn every_content_survives_the_way(words in prop::collection::vec("[a-f]{0,12}", 0..400)) {
            let content = Payload::encode(&words, Encoding::MsgPack).expect("texts");
            if let Some(packed) = compress(content.bytes()) {
                prop_assert!(packed.len() < content.len());
                prop_assert_eq!(decompress(&packed, 1 << 20), Ok(content));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_opened_within_the_limit(bytes: Vec<u8>, limit in 0_u32..10_000) {
            for content in [bytes.clone(), block_of(limit / 2, &bytes)] {
                if let Ok(opened) = decompress(&content, limit) {
                    prop_assert!(opened.len() <= limit as usize);
                }
            }
        }
    }
}
