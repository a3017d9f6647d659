//! Streams of bytes: each item is a piece, and what is read from a file or a socket goes through in bounded memory.

use std::future::poll_fn;
use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use peerage_proto::codec::{EncodeError, Encoding, Payload};
use peerage_proto::outcome::CallError;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Incoming, Outgoing, SendError};

/// Copying between a stream and a reader or writer failed half-way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Reading or writing here failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Sending failed.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The other end of the stream failed.
    #[error("{0}")]
    Call(#[from] CallError),
}

impl Outgoing<Bytes> {
    /// Bytes of a piece that just goes through uncut.
    pub(crate) const PIECE_BYTES: usize = PIECE_BYTES;

    /// Sends a piece. Needs a link in MessagePack; JSON has no bytes.
    ///
    /// # Errors
    /// [`SendError`]: the piece was not sent.
    pub async fn send_bytes(&mut self, piece: &[u8]) -> Result<(), SendError> {
        let mut item = BytesMut::with_capacity(piece.len() + HEAD_BYTES);
        put_head(piece.len(), &mut item);
        item.extend_from_slice(piece);
        self.send_encoded(item.freeze()).await
    }

    /// Sends all that comes from a reader, in pieces, and returns how many bytes that were. The stream is not ended by it.
    ///
    /// # Errors
    /// [`CopyError`] if reading or sending fails. What was read before is sent.
    pub async fn send_from(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Result<u64, CopyError> {
        let mut sent = 0;
        loop {
            // The head of a piece of this size takes three bytes; that of a shorter one is put right below.
            let mut item = BytesMut::with_capacity(PIECE_BYTES + HEAD_BYTES);
            item.put_bytes(0, HEAD_BYTES);
            while item.len() < PIECE_BYTES + HEAD_BYTES {
                let room = PIECE_BYTES + HEAD_BYTES - item.len();
                if reader.read_buf(&mut (&mut item).limit(room)).await? == 0 {
                    break;
                }
            }
            let len = item.len() - HEAD_BYTES;
            if len == 0 {
                return Ok(sent);
            }
            item[..HEAD_BYTES].copy_from_slice(&[0xc5, (len >> 8) as u8, len as u8]);
            self.send_encoded(item.freeze()).await?;
            sent += len as u64;
        }
    }

    async fn send_encoded(&mut self, item: Bytes) -> Result<(), SendError> {
        let item = Payload::from_parts(Encoding::MsgPack, item);
        if self.encoding() == Encoding::Json {
            // It names what JSON cannot carry.
            let value: peerage_proto::codec::Value = item.decode().map_err(|_| SendError::Over)?;
            Payload::encode(&value, Encoding::Json).map_err(|why: EncodeError| SendError::Encode(why))?;
        }
        self.send_payload(&item).await
    }
}

impl Incoming<Bytes> {
    /// The next piece; `None` behind the last. Errors as of [`next`](Incoming::next).
    pub async fn next_bytes(&mut self) -> Option<Result<Bytes, CallError>> {
        let item = poll_fn(|cx| self.poll_payload(cx)).await?;
        Some(item.and_then(|item| {
            bytes_of(&item).ok_or_else(|| CallError::Protocol { why: "an item does not fit: no bytes".to_owned() })
        }))
    }

    /// Writes all that comes into a writer, and returns how many bytes that were.
    ///
    /// # Errors
    /// [`CopyError`] if writing fails, or the other end.
    pub async fn write_to(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<u64, CopyError> {
        let mut written = 0;
        while let Some(piece) = self.next_bytes().await {
            let piece = piece?;
            writer.write_all(&piece).await?;
            written += piece.len() as u64;
        }
        writer.flush().await?;
        Ok(written)
    }
}

/// The bytes in an item, without a copy.
fn bytes_of(item: &Payload) -> Option<Bytes> {
    let head = match (item.encoding(), item.bytes().first()?) {
        (Encoding::MsgPack, 0xc4) => 2,
        (Encoding::MsgPack, 0xc5) => 3,
        (Encoding::MsgPack, 0xc6) => 5,
        _ => return None,
    };
    Some(item.bytes().slice(head..))
}

fn put_head(len: usize, item: &mut BytesMut) {
    match u16::try_from(len) {
        Ok(len) => {
            item.put_u8(0xc5);
            item.put_u16(len);
        }
        Err(_) => {
            item.put_u8(0xc6);
            item.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
        }
    }
}

/// Bytes of a piece: with its head it just goes through uncut.
const PIECE_BYTES: usize = peerage_proto::limits::SEGMENT_BYTES - HEAD_BYTES;

/// Head of a piece, in bytes.
const HEAD_BYTES: usize = 3;
