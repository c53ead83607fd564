//! The bounds of buckets and quantiles, which come again in every series of a family.

use super::super::number::{self, NumberError};
use crate::bytes::recent::Cycle;
use crate::bytes::text::Text;

/// A longer text is read anew each time.
const TEXT_BYTES_MAX: usize = 8;

/// Reads bounds, and knows the short ones that it read before.
#[derive(Clone, Debug, Default)]
pub(super) struct BoundReader {
    /// By their length and their [`word`].
    known: Cycle<(usize, u64), f64>,
}

impl BoundReader {
    /// Reads a decimal float, `NaN` or an infinity.
    #[inline(always)]
    pub(super) fn read(&mut self, text: &Text<'_>) -> Result<f64, NumberError> {
        let len = text.len();
        if len == 0 || len > TEXT_BYTES_MAX {
            return number::float(text);
        }
        let key = (len, word(text, len));
        match self.known.get(key) {
            Some(number) => Ok(*number),
            None => {
                let number = number::float(text)?;
                self.known.insert(key, number);
                Ok(number)
            }
        }
    }
}

/// The bytes of a text of one to eight, as a number.
#[inline(always)]
fn word(text: &Text<'_>, len: usize) -> u64 {
    let block = text.block().and_then(|block| block.block().first_chunk().copied());
    let bytes = block.unwrap_or_else(|| word_of_bytes(text));
    u64::from_be_bytes(bytes) >> ((TEXT_BYTES_MAX - len) * 8)
}

/// The same bytes, where the text has no block: and zeros.
#[cold]
fn word_of_bytes(text: &str) -> [u8; TEXT_BYTES_MAX] {
    let mut word = [0; TEXT_BYTES_MAX];
    for (place, byte) in word.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_read_alike_wherever_it_stands_and_however_often() {
        let mut reader = BoundReader::default();
        for (text, want) in [
            ("1", Ok(1.0)),
            ("+Inf", Ok(f64::INFINITY)),
            ("0.005", Ok(0.005)),
            ("67108864", Ok(67_108_864.0)),
            ("67108864.5", Ok(67_108_864.5)),
            // What is after a text is no part of it, and neither are zeros.
            ("1\0", Err(NumberError::Malformed)),
            ("\0x", Err(NumberError::Malformed)),
            ("10", Ok(10.0)),
            ("", Err(NumberError::Malformed)),
        ] {
            let body = format!("{text}\"}} 1234567890 1234567890 1234567890\n");
            for _ in 0..2 {
                assert_eq!(reader.read(&Text::within(&body, text.len())), want, "{text:?}");
                assert_eq!(reader.read(&Text::from(text)), want, "{text:?} at the end");
                assert_eq!(reader.read(&Text::from(text.to_owned())), want, "{text:?} owned");
            }
        }
    }
}
