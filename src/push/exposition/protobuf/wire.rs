//! Bytes → the fields of one protobuf message (protobuf.dev, "Encoding"). The only file that names
//! quick_protobuf.
//!
//! Each nested message is a sub-slice, so a length that lies cannot reach beyond its own message.
//! quick-protobuf cuts what does not fit 32 bits, so tags and lengths are read as 64 bits and
//! checked here; it reads the integers of more than two bytes.

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

impl<'b> Message<'b> {
    /// Its fields 1 and 2, where it has these two and no others, in this order and of less than 128
    /// bytes each. Nearly all label pairs look like this.
    #[inline(always)]
    pub(super) fn usual_pair(&self) -> Option<[Field<'b>; 2]> {
        const TAGS: [u8; 2] = [1 << 3 | 2, 2 << 3 | 2];
        let [tag, len @ ..0x80, rest @ ..] = self.bytes else { return None };
        let (first, rest) = rest.split_at_checked(usize::from(*len))?;
        let [second_tag, len @ ..0x80, second @ ..] = rest else { return None };
        let is_usual = [*tag, *second_tag] == TAGS && second.len() == usize::from(*len);
        // Where the lengths are.
        let (start, second_start) = (self.start + 1, self.start + first.len() + 3);
        let wire = |bytes, start| Wire::Bytes(Message { bytes, start: start + 1 });
        is_usual.then_some([
            Field { number: 1, wire: wire(first, start), start },
            Field { number: 2, wire: wire(second, second_start), start: second_start },
        ])
    }
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
        let tag = self.tag()?;
        let start = self.offset();
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
        Ok(Some(Field { number: tag >> 3, wire, start }))
    }

    /// The number of a field, times eight, and its wire type; nearly all are one byte.
    #[inline(always)]
    fn tag(&mut self) -> Result<u64, Error> {
        match self.rest {
            [tag @ 0x08..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*tag))
            }
            _ => self.other_tag(),
        }
    }

    #[inline(never)]
    fn other_tag(&mut self) -> Result<u64, Error> {
        match self.varint()? {
            tag @ 0x08..=0xffff_ffff => Ok(tag),
            _ => Err(self.error("a field has an impossible number")),
        }
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
        // Most others are two bytes: tags and lengths above 127.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a walk over the fields finds.
    fn walked(message: Message<'_>) -> Result<Vec<Field<'_>>, Error> {
        let mut fields = Fields::new(message);
        std::iter::from_fn(|| fields.next().transpose()).collect()
    }

    fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, text) in [(0x0a, first), (0x12, second)] {
            bytes.push(tag);
            match u8::try_from(text.len()).unwrap() {
                len @ ..0x80 => bytes.push(len),
                len => bytes.extend([len, 1]),
            }
            bytes.extend_from_slice(text);
        }
        bytes
    }

    fn check(bytes: &[u8]) -> bool {
        let message = Message { bytes, start: 40 };
        let Some(usual) = message.usual_pair() else { return false };
        let walked = walked(message).unwrap();
        assert_eq!(format!("{usual:?}"), format!("{walked:?}"), "{bytes:?}");
        true
    }

    #[test]
    fn a_usual_pair_is_what_a_walk_over_its_fields_finds() {
        let long = [b'x'; 128];
        for (first, second, is_usual) in [
            (&b"job"[..], &b"nightly"[..], true),
            (b"", b"", true),
            (&long[..127], &long[..127], true),
            (&long, b"b", false),
            (b"a", &long, false),
        ] {
            let bytes = pair(first, second);
            assert_eq!(check(&bytes), is_usual, "{bytes:?}");
        }
        // Every other byte at every place, and every end.
        let usual = pair(b"ab", b"c");
        for at in 0..usual.len() {
            assert!(!check(&usual[..at]), "cut at {at}");
            for byte in 0..=u8::MAX {
                let mut bytes = usual.clone();
                bytes[at] = byte;
                check(&bytes);
            }
        }
        assert!(!check(&[&usual[..], &[0x12, 0]].concat()), "a third field");
    }

    #[test]
    fn the_number_of_a_field_has_1_to_29_bits() {
        for (tag, number) in [
            (&[0x08][..], Ok(1)),
            (&[0x78], Ok(15)),
            (&[0x80, 0x01], Ok(16)),
            (&[0x88, 0x00], Ok(1)),
            (&[0xf8, 0xff, 0xff, 0xff, 0x0f], Ok((1 << 29) - 1)),
            (&[0x00], Err("an impossible number")),
            (&[0x80, 0x00], Err("an impossible number")),
            (&[0x80, 0x80, 0x80, 0x80, 0x10], Err("an impossible number")),
            (&[0xff, 0xff], Err("cut short")),
        ] {
            let bytes = [tag, &[0x05]].concat();
            let bytes = if tag.ends_with(&[0xff]) { tag } else { &bytes };
            let found = walked(Message { bytes, start: 0 });
            match (found, number) {
                (Ok(fields), Ok(number)) => {
                    let [Field { number: found, wire: Wire::Varint(5), .. }] = fields[..] else {
                        panic!("{fields:?}");
                    };
                    assert_eq!(found, number);
                }
                (Err(error), Err(words)) => {
                    assert!(format!("{error:?}").contains(words), "{error:?}");
                }
                (found, _) => panic!("{tag:?}: {found:?}"),
            }
        }
    }
}
