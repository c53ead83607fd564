//! A text, borrowed or owned, that can be copied as one block of fixed size.
//!
//! A value of a label is a few bytes of a long body. A copy of just those bytes is a call, or a
//! ladder of branches; a copy of 32 bytes is two instructions, and what it copies too much is
//! overwritten by the next piece. So a borrowed text remembers what follows it in the text that it
//! is a part of.

use super::short::{SHORT_BYTES_MAX, ShortRef};
use std::fmt;
use std::ops::Deref;

/// Any text, the empty one included.
#[derive(Clone)]
pub struct Text<'a>(Held<'a>);

#[derive(Clone)]
enum Held<'a> {
    /// The first `len` bytes of `rest`, which goes on to the end of the text that it is a part of.
    Within {
        rest: &'a str,
        len: usize,
    },
    Owned(String),
}

impl<'a> Text<'a> {
    /// The first `len` bytes of `rest`, which are whole characters.
    #[inline(always)]
    #[must_use]
    pub(crate) fn within(rest: &'a str, len: usize) -> Text<'a> {
        Text(Held::Within { rest, len })
    }

    /// Its bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::Within { len, .. } => *len,
            Held::Owned(text) => text.len(),
        }
    }

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The block that begins with it. None where it is longer than a block, is owned, or is too
    /// close to the end of the text that it is a part of.
    #[inline(always)]
    #[must_use]
    pub(crate) fn block(&self) -> Option<ShortRef<'_>> {
        match self.0 {
            Held::Within { rest, len } if len <= SHORT_BYTES_MAX => {
                let block = rest.as_bytes().first_chunk()?;
                Some(ShortRef::of_block(block, len))
            }
            Held::Within { .. } | Held::Owned(_) => None,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            Held::Within { rest, len } => rest.get(..*len).unwrap_or_default(),
            Held::Owned(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Text<'a> {
        Text::within(text, text.len())
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Held::Owned(text))
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_block_where_the_one_around_it_goes_on_for_long_enough() {
        let around = "eth0\",device=\"eth1\"} 1234567890 \n";
        assert!(around.len() > SHORT_BYTES_MAX);
        let text = Text::within(around, 4);
        assert_eq!((&*text, text.len()), ("eth0", 4));
        assert_eq!(text.block().unwrap().as_bytes(), b"eth0");
        assert_eq!(text.block().unwrap().block()[..], around.as_bytes()[..SHORT_BYTES_MAX]);
        assert!(Text::within(around, SHORT_BYTES_MAX + 1).block().is_none(), "too long");
        for alone in [Text::from("eth0"), Text::from("eth0".to_owned())] {
            assert!(alone.block().is_none() && alone == text && !alone.is_empty());
        }
    }
}
