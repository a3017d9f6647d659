//! Frames over one socket: one read, all whole frames, one write.
//!
//! ```text
//!   frame = length of the rest (u32, little endian) │ id (u64, little endian) │ content
//! ```
//!
//! The buffers belong to the thread and not to the connection: between two polls a connection holds only the bytes of a frame
//! that has not come whole, or of a write that the kernel did not take. An idle one holds nothing.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    /// What is still to be written before anything is read.
    unsent: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// When the socket does not take `TCP_NODELAY`.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, partial: Vec::new(), unsent: Vec::new() })
    }

    /// Adds a frame to the next write.
    pub(crate) fn queue(&mut self, frame: Frame<'_>) {
        frame.append_to(&mut self.unsent);
    }

    /// Reads once, gives every whole frame to `on_frame` together with the buffer for its reply, and writes all replies at
    /// once. Ready with the number of frames, which may be none.
    ///
    /// # Errors
    /// The end of the connection, or a frame that is too long or too short; the connection is of no more use.
    pub(crate) fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        mut on_frame: impl FnMut(Frame<'_>, &mut Vec<u8>),
    ) -> Poll<io::Result<u64>> {
        ready!(self.poll_send_unsent(cx))?;
        BUFFERS.with_borrow_mut(|Buffers { input, output }| {
            let kept = self.partial.len();
            input[..kept].copy_from_slice(&self.partial);
            let mut space = ReadBuf::new(&mut input[kept..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            let read = space.filled().len();
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }

            output.clear();
            let mut rest = &input[..kept + read];
            let mut frames = 0;
            while let Some(frame) = Frame::split_off(&mut rest, FRAME_BYTES_MAX)? {
                on_frame(frame, output);
                frames += 1;
            }
            self.partial.clear();
            self.partial.extend_from_slice(rest);

            if !output.is_empty() {
                let written = match Pin::new(&mut self.stream).poll_write(cx, output) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                self.unsent.extend_from_slice(&output[written..]);
            }
            Poll::Ready(Ok(frames))
        })
    }

    fn poll_send_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            self.unsent.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// One request or reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Frame<'a> {
    pub(crate) id: u64,
    pub(crate) content: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the first whole frame from `bytes`; `None` when there is none yet.
    ///
    /// # Errors
    /// When it is longer than `longest` without its length, or shorter than an id.
    pub(crate) fn split_off(bytes: &mut &'a [u8], longest: usize) -> io::Result<Option<Self>> {
        let Some((length, after)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > longest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
        }
        let Some((body, rest)) = after.split_at_checked(length) else {
            return Ok(None);
        };
        let Some((id, content)) = body.split_first_chunk() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame without an id"));
        };
        *bytes = rest;
        Ok(Some(Self { id: u64::from_le_bytes(*id), content }))
    }

    /// Writes the frame to the end of `out`.
    pub(crate) fn append_to(self, out: &mut Vec<u8>) {
        out.reserve(HEADER_BYTES + self.content.len());
        out.extend_from_slice(&self.header());
        out.extend_from_slice(self.content);
    }

    /// What comes before the content.
    pub(crate) fn header(self) -> [u8; HEADER_BYTES] {
        let length = ID_BYTES + self.content.len();
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(length as u32).to_le_bytes());
        header[4..].copy_from_slice(&self.id.to_le_bytes());
        header
    }
}

/// What all connections of a thread read into and gather replies in.
struct Buffers {
    input: Box<[u8]>,
    output: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> =
        RefCell::new(Buffers { input: vec![0; READ_BYTES].into_boxed_slice(), output: Vec::with_capacity(READ_BYTES) });
}

/// Most bytes a read takes: 800 requests of 64 bytes, more than are ever in flight on one connection.
const READ_BYTES: usize = 64 * 1024;
/// Longest frame without its length, in bytes. Half a read, so that a partial frame always leaves room to read its rest.
const FRAME_BYTES_MAX: usize = READ_BYTES / 2;
const ID_BYTES: usize = 8;
/// What comes before the content: length and id.
pub(crate) const HEADER_BYTES: usize = 4 + ID_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole_and_in_order() {
        let mut bytes = Vec::new();
        let frames = [Frame { id: 1, content: b"one" }, Frame { id: 2, content: b"" }];
        frames.iter().for_each(|frame| frame.append_to(&mut bytes));
        let mut rest = bytes.as_slice();
        assert_eq!(Frame::split_off(&mut rest, FRAME_BYTES_MAX).unwrap(), Some(frames[0]));
        assert_eq!(Frame::split_off(&mut rest, FRAME_BYTES_MAX).unwrap(), Some(frames[1]));
        assert_eq!(Frame::split_off(&mut rest, FRAME_BYTES_MAX).unwrap(), None);
    }

    #[test]
    fn a_frame_that_has_not_come_whole_is_left_where_it_is() {
        let mut bytes = Vec::new();
        Frame { id: 1, content: b"one" }.append_to(&mut bytes);
        for end in 0..bytes.len() {
            let mut rest = &bytes[..end];
            assert_eq!(Frame::split_off(&mut rest, FRAME_BYTES_MAX).unwrap(), None);
            assert_eq!(rest.len(), end);
        }
    }

    #[test]
    fn a_length_beyond_the_longest_or_below_an_id_is_refused() {
        let too_long = u32::MAX.to_le_bytes();
        assert!(Frame::split_off(&mut too_long.as_slice(), FRAME_BYTES_MAX).is_err());
        let too_short = [1, 0, 0, 0, 7];
        assert!(Frame::split_off(&mut too_short.as_slice(), FRAME_BYTES_MAX).is_err());
    }
}
