//! The form of a link's frames: their encoding, and whether large contents are compressed.
//!
//! Both ends must agree on it, and each direction changes at a point of its own in the stream of its frames (PROTOCOL
//! §4). Compressed content travels as MessagePack bytes, so a form that is JSON and compressed cannot be said.

use std::fmt;

use super::Encoding;

/// How the frames of one direction of a link are written.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Form {
    encoding: Encoding,
    compression: Compression,
}

/// How large contents are made smaller.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 blocks with their size.
    Lz4,
}

impl Form {
    /// MessagePack whose large contents are compressed.
    pub const COMPRESSED: Form = Form { encoding: Encoding::MsgPack, compression: Compression::Lz4 };

    /// Frames in this encoding, nothing compressed.
    pub const fn plain(encoding: Encoding) -> Form {
        Form { encoding, compression: Compression::None }
    }

    /// The form of these two; `None` for JSON that is compressed, which does not exist.
    pub fn of(encoding: Encoding, compression: Compression) -> Option<Form> {
        (encoding == Encoding::MsgPack || compression == Compression::None).then_some(Form { encoding, compression })
    }

    /// The encoding.
    pub const fn encoding(self) -> Encoding {
        self.encoding
    }

    /// The compression.
    pub const fn compression(self) -> Compression {
        self.compression
    }

    /// The same encoding without compression.
    pub const fn uncompressed(self) -> Form {
        Form::plain(self.encoding)
    }

    /// The two numbers on the wire.
    pub fn numbers(self) -> (u64, u64) {
        let encoding = match self.encoding {
            Encoding::Json => 0,
            Encoding::MsgPack => 1,
        };
        let compression = match self.compression {
            Compression::None => 0,
            Compression::Lz4 => 1,
        };
        (encoding, compression)
    }

    /// The form with these numbers on the wire; `None` if there is none, or only in a newer version.
    pub fn from_numbers(encoding: u64, compression: u64) -> Option<Form> {
        let encoding = match encoding {
            0 => Encoding::Json,
            1 => Encoding::MsgPack,
            _ => return None,
        };
        let compression = match compression {
            0 => Compression::None,
            1 => Compression::Lz4,
            _ => return None,
        };
        Form::of(encoding, compression)
    }
}

/// `json`, `msgpack` or `msgpack+lz4`.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compression {
            Compression::None => self.encoding.fmt(f),
            Compression::Lz4 => write!(f, "{}+lz4", self.encoding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_from_its_numbers_and_there_are_three() {
        let pairs = (0..4).flat_map(|encoding| (0..4).map(move |compression| (encoding, compression)));
        let forms: Vec<Form> = pairs.filter_map(|(a, b)| Form::from_numbers(a, b)).collect();
        let names: Vec<String> = forms.iter().map(Form::to_string).collect();
        assert_eq!(names, ["json", "msgpack", "msgpack+lz4"]);
        for form in forms {
            let (encoding, compression) = form.numbers();
            assert_eq!(Form::from_numbers(encoding, compression), Some(form));
        }
    }

    #[test]
    fn json_is_never_compressed() {
        assert_eq!(Form::of(Encoding::Json, Compression::Lz4), None);
        assert_eq!(Form::COMPRESSED.uncompressed(), Form::plain(Encoding::MsgPack));
    }
}
