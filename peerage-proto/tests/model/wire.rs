//! What is on its way between the two ends of a connection.

use crate::rule::{Round, Wire};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Frame {
    Hello,
    /// From the end that was dialled: it has proved itself, and takes the link.
    HelloAdmitted,
    /// From the end that dialled: it takes the link, and introduces itself.
    AdmittedIntroduction,
    Introduction,
    Refused,
    Superseded(Wire, Round),
    SupersededOk(Wire, Round),
    Request(u8),
    Reply(u8),
    Fin,
}

/// Frames on their way, oldest first.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Queue {
    frames: u128,
    pub(crate) len: u8,
}

impl Queue {
    pub(crate) const EMPTY: Queue = Queue { frames: 0, len: 0 };

    pub(crate) fn push(&mut self, frame: Frame) {
        let code: u128 = match frame {
            Frame::Hello => 0,
            Frame::HelloAdmitted => 1,
            Frame::AdmittedIntroduction => 2,
            Frame::Introduction => 5,
            Frame::Refused => 3,
            Frame::Fin => 4,
            Frame::Request(call) => 8 + u128::from(call),
            Frame::Reply(call) => 12 + u128::from(call),
            Frame::Superseded(wire, round) => 64 + 4 * u128::from(round) + u128::from(wire),
            Frame::SupersededOk(wire, round) => 128 + 4 * u128::from(round) + u128::from(wire),
        };
        assert!(self.len < 16, "frames pile up: somebody says the same again and again");
        self.frames |= code << (8 * self.len);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Frame {
        let code = (self.frames & 255) as u8;
        self.frames >>= 8;
        self.len -= 1;
        match code {
            0 => Frame::Hello,
            1 => Frame::HelloAdmitted,
            2 => Frame::AdmittedIntroduction,
            5 => Frame::Introduction,
            3 => Frame::Refused,
            4 => Frame::Fin,
            8..12 => Frame::Request(code - 8),
            12..64 => Frame::Reply(code - 12),
            64..128 => Frame::Superseded(code % 4, (code - 64) / 4),
            128.. => Frame::SupersededOk(code % 4, (code - 128) / 4),
            6..8 => unreachable!("no frame has this code"),
        }
    }

    pub(crate) fn frames(mut self) -> impl Iterator<Item = Frame> {
        std::iter::from_fn(move || (self.len > 0).then(|| self.pop()))
    }
}
