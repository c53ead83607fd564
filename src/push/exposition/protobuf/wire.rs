//! Bytes → the fields of one protobuf message (protobuf.dev, "Encoding"). The only file that names
//! quick_protobuf.
//!
//! Each nested message is a sub-slice, so a length that lies cannot reach beyond its own message.
//! quick-protobuf cuts what does not fit 32 bits, so tags and lengths are read as 64 bits and
//! checked here; it reads the integers of more than one byte.

use super::super::error::{Error, ErrorKind};
use quick_protobuf::BytesReader;

/// A nested message and where it starts in the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) start: usize,
}

/// The value of a field on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'b> {
    Varint(u64),
    Fixed64(u64),
    Bytes(Message<'b>),
    Fixed32,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'b> {
    pub(super) number: u64,
    wire: Wire<'b>,
    /// Where its value starts in the body.
    pub(super) start: usize,
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'b> {
    /// What is left of the message.
    rest: &'b [u8],
    /// Where the message ends in the body.
    end: usize,
}

impl<'b> Fields<'b> {
    #[inline(always)]
    pub(super) fn new(message: Message<'b>) -> Fields<'b> {
        Fields { rest: message.bytes, end: message.start + message.bytes.len() }
    }

    #[inline(always)]
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Where the reader is in the body.
    #[inline(always)]
    fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[cold]
    pub(super) fn error(&self, what: &'static str) -> Error {
        Error::new(self.offset(), ErrorKind::Wire { what })
    }

    /// The next field, if there is one.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<Field<'b>>, Error> {
        if self.is_at_end() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let start = self.offset();
        let number = tag >> 3;
        if number == 0 || tag > u64::from(u32::MAX) {
            return Err(self.error("a field has an impossible number"));
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(*self.fixed()?)),
            2 => Wire::Bytes(self.length_delimited()?),
            5 => {
                self.fixed::<4>()?;
                Wire::Fixed32
            }
            _ => return Err(self.error("a field has a wire type that is not supported")),
        };
        Ok(Some(Field { number, wire, start }))
    }

    /// An integer; nearly all tags and lengths are one byte.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Error> {
        // Most others are two bytes: tags above 15, lengths above 127.
        if let [low, high @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(low & 0x7f) | u64::from(*high) << 7);
        }
        let mut reader = BytesReader::from_bytes(self.rest);
        let number = reader.read_varint64(self.rest);
        let read = self.rest.len() - reader.len();
        self.rest = self.rest.get(read..).unwrap_or_default();
        number.map_err(|_| self.error("a number is cut short, or longer than ten bytes"))
    }

    #[inline(always)]
    fn fixed<const N: usize>(&mut self) -> Result<&'b [u8; N], Error> {
        match self.rest.split_first_chunk() {
            Some((fixed, rest)) => {
                self.rest = rest;
                Ok(fixed)
            }
            None => Err(self.error("the message is cut short")),
        }
    }

    /// A length and so many bytes, which must be there.
    #[inline(always)]
    pub(super) fn length_delimited(&mut self) -> Result<Message<'b>, Error> {
        let length = self.varint()?;
        let start = self.offset();
        let parts = usize::try_from(length).ok().and_then(|len| self.rest.split_at_checked(len));
        match parts {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(Message { bytes, start })
            }
            None => Err(self.error("a length is beyond the end of its message")),
        }
    }
}

impl<'b> Field<'b> {
    #[cold]
    pub(super) fn error(&self, what: &'static str) -> Error {
        Error::new(self.start, ErrorKind::Wire { what })
    }

    #[inline(always)]
    pub(super) fn message(&self) -> Result<Message<'b>, Error> {
        match self.wire {
            Wire::Bytes(message) => Ok(message),
            _ => Err(self.error("a message was expected here")),
        }
    }

    #[inline(always)]
    pub(super) fn text(&self) -> Result<&'b str, Error> {
        let bytes = self.message()?.bytes;
        std::str::from_utf8(bytes).map_err(|_| Error::new(self.start, ErrorKind::NotUtf8))
    }

    #[inline(always)]
    pub(super) fn varint(&self) -> Result<u64, Error> {
        match self.wire {
            Wire::Varint(number) => Ok(number),
            _ => Err(self.error("an integer was expected here")),
        }
    }

    #[inline(always)]
    pub(super) fn double(&self) -> Result<f64, Error> {
        match self.wire {
            Wire::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.error("a double was expected here")),
        }
    }

    /// A zigzag integer of 32 bits; what does not fit is refused.
    pub(super) fn sint32(&self) -> Result<i32, Error> {
        let number = self.varint()?;
        i32::try_from(zigzag(number)).map_err(|_| self.error("an integer is beyond 32 bits"))
    }

    /// One element of a repeated field, or several where they are packed.
    pub(super) fn doubles(&self, into: &mut Vec<f64>) -> Result<(), Error> {
        let Wire::Bytes(packed) = self.wire else {
            into.push(self.double()?);
            return Ok(());
        };
        let (chunks, rest) = packed.bytes.as_chunks::<8>();
        into.extend(chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)));
        if rest.is_empty() { Ok(()) } else { Err(self.error("packed doubles are cut short")) }
    }

    pub(super) fn sints(&self, into: &mut Vec<i64>) -> Result<(), Error> {
        let Wire::Bytes(packed) = self.wire else {
            into.push(zigzag(self.varint()?));
            return Ok(());
        };
        let mut packed = Fields::new(packed);
        while !packed.is_at_end() {
            into.push(zigzag(packed.varint()?));
        }
        Ok(())
    }
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
