//! Values and timestamps of the text formats: text → double, text → nanoseconds (SPEC 1.3, 5).

use super::midpoint;
use crate::bytes::chunk::{CHUNK_BYTES, Chunk};
use crate::bytes::short::{SHORT_BYTES_MAX, ShortText};
use std::ops::Range;

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Neither a decimal float nor `NaN` or an infinity.
    Malformed,
    /// A decimal beyond the largest double.
    TooLarge,
}

/// Why a text is no timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimestampError {
    /// Not a decimal number.
    Malformed,
    /// Beyond int64 nanoseconds.
    OutOfRange,
}

/// What an integer timestamp counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntegerUnit {
    /// Text: milliseconds since the epoch.
    Milliseconds,
    /// OpenMetrics: seconds since the epoch.
    Seconds,
}

/// Decimal digits that every double holds: two decimals of so many digits are never one double.
const DIGITS_MAX: usize = 15;

/// A decimal that is, or begins with, its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// Bytes of the canonical form.
    pub(super) canonical_len: usize,
    /// Bytes of the number.
    pub(super) len: usize,
}

/// The number that `text` begins with, before a blank or LF. Where a closer look is needed, after
/// a plus, with an exponent or leading zeros, or where it is not over within 16 bytes: where its
/// digits end as far as they are known, or 0. That leaves at most [`DIGITS_MAX`] digits.
#[inline(always)]
pub(super) fn plain(text: &[u8; SHORT_BYTES_MAX]) -> Result<Plain, usize> {
    let chunk = Chunk::new(*text.first_chunk().ok_or(0_usize)?);
    let digits = chunk.within(b'0', b'9').bits();
    let nonzeros = digits & !chunk.equal(b'0').bits();
    // A branch, so that nothing waits for the sign.
    let integer_start = match text[0] {
        b'0'..=b'9' => 0,
        b'-' => 1,
        _ => return Err(0),
    };
    let integer_digits = (digits >> integer_start).trailing_ones() as usize;
    let integer_end = integer_start + integer_digits;
    let is_below_one = nonzeros >> integer_start & 1 == 0;
    if integer_digits == 0 || is_below_one && integer_digits > 1 {
        return Err(0);
    }
    let (mut len, mut canonical_len) = (integer_end, integer_end);
    if text.get(len) == Some(&b'.') {
        let fraction_start = len + 1;
        len = fraction_start + (digits >> fraction_start).trailing_ones() as usize;
        let nonzeros = (nonzeros & ((1 << len) - 1)) >> fraction_start;
        if nonzeros != 0 {
            if is_below_one && nonzeros.trailing_zeros() > ZEROS_MAX {
                return Err(0);
            }
            canonical_len = fraction_start + nonzeros.ilog2() as usize + 1;
        }
    }
    match text.get(len) {
        Some(b'\n' | b' ' | b'\t') if len < CHUNK_BYTES => Ok(Plain { canonical_len, len }),
        _ => Err(len),
    }
}

/// Zeros after the point of the smallest number in plain notation, 0.0000001.
const ZEROS_MAX: u32 = 6;
/// Digits before the point of the largest number in plain notation, below 1e21.
const PLAIN_DIGITS_MAX: usize = 21;

/// Reads the number that `text` begins with as client libraries write large and small ones, before
/// a blank or LF: `digit [ "." digits ] "e" ( "+" | "-" ) digit digit`. Its digits end at
/// `digits_end`, as [`plain`] found them. Puts its canonical form into `canonical`, and tells how
/// long it is. None where a closer look is needed: with a sign, with zeros at either end, with more
/// than [`DIGITS_MAX`] digits, or where the canonical form has an exponent. For all others it has
/// the same digits, and only the point moves.
#[inline(never)]
pub(super) fn scientific(
    text: &[u8; SHORT_BYTES_MAX],
    digits_end: usize,
    canonical: &mut ShortText,
) -> Option<usize> {
    let exponent = text.get(digits_end..)?.first_chunk()?;
    let [b'e' | b'E', sign, tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'\n' | b' ' | b'\t'] =
        exponent
    else {
        return None;
    };
    let fraction_len = match (text, digits_end) {
        ([b'1'..=b'9', ..], 1) => 0,
        ([b'1'..=b'9', b'.', ..], 3..) if text.get(digits_end - 1) != Some(&b'0') => digits_end - 2,
        _ => return None,
    };
    let power = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
    let moved = match sign {
        b'+' if power < PLAIN_DIGITS_MAX => point_behind(text, fraction_len, power),
        b'-' if (1..=ZEROS_MAX as usize + 1).contains(&power) => {
            point_before(text, fraction_len, power)
        }
        _ => None,
    };
    *canonical = moved?;
    Some(digits_end + exponent.len() - 1)
}

/// `digit "." fraction` with the point `count` digits further on. Digits move in blocks, over
/// zeros: what a block holds beyond the digits is overwritten, or is after the text.
#[inline(always)]
fn point_behind(
    text: &[u8; SHORT_BYTES_MAX],
    fraction_len: usize,
    count: usize,
) -> Option<ShortText> {
    const ZEROS: [u8; CHUNK_BYTES] = [b'0'; CHUNK_BYTES];
    let mut block = [b'0'; SHORT_BYTES_MAX];
    block[0] = text[0];
    copy(text, 2, &mut block, 1)?;
    if count >= fraction_len {
        *block.get_mut(1 + fraction_len..)?.first_chunk_mut()? = ZEROS;
        return Some(ShortText::of_block(block, count + 1));
    }
    *block.get_mut(1 + count)? = b'.';
    copy(text, 2 + count, &mut block, 2 + count)?;
    Some(ShortText::of_block(block, fraction_len + 2))
}

/// The same with the point `count` digits before the first one.
#[inline(always)]
fn point_before(
    text: &[u8; SHORT_BYTES_MAX],
    fraction_len: usize,
    count: usize,
) -> Option<ShortText> {
    let mut block = [b'0'; SHORT_BYTES_MAX];
    block[1] = b'.';
    *block.get_mut(1 + count)? = text[0];
    copy(text, 2, &mut block, 2 + count)?;
    Some(ShortText::of_block(block, 2 + count + fraction_len))
}

/// Copies 16 bytes.
#[inline(always)]
fn copy(
    text: &[u8; SHORT_BYTES_MAX],
    from: usize,
    block: &mut [u8; SHORT_BYTES_MAX],
    to: usize,
) -> Option<()> {
    let digits: &[u8; CHUNK_BYTES] = text.get(from..)?.first_chunk()?;
    *block.get_mut(to..)?.first_chunk_mut()? = *digits;
    Some(())
}

/// A value that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Read {
    /// Its canonical form, where the text shows it.
    Canonical(ShortText),
    /// Any other.
    Number(f64),
}

/// Reads the value of a sample.
#[inline]
pub(super) fn value(text: &str) -> Result<Read, NumberError> {
    let Some(decimal) = Decimal::split(text.as_bytes()) else {
        return not_finite(text).map(Read::Number).ok_or(NumberError::Malformed);
    };
    match decimal.canonical().and_then(|place| text.get(place)) {
        // OK because no more than so many digits, their sign, point and zeros are that short.
        Some(canonical) => Ok(Read::Canonical(ShortText::new(canonical.as_bytes()))),
        None => double(text, &decimal).map(Read::Number),
    }
}

/// Reads a decimal float, `NaN` (without a sign), `Inf` or `Infinity`, in any case.
pub(super) fn float(text: &str) -> Result<f64, NumberError> {
    match Decimal::split(text.as_bytes()) {
        Some(decimal) => double(text, &decimal),
        None => not_finite(text).ok_or(NumberError::Malformed),
    }
}

/// The double of a decimal. OK because std reads every decimal, and rounds correctly.
fn double(text: &str, decimal: &Decimal<'_>) -> Result<f64, NumberError> {
    let number = match decimal.by_its_middle() {
        Some(number) => number,
        None => text.parse().map_err(|_| NumberError::Malformed)?,
    };
    if number.is_finite() { Ok(number) } else { Err(NumberError::TooLarge) }
}

fn not_finite(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let (infinity, word) = match text.as_bytes() {
        [b'-', word @ ..] => (f64::NEG_INFINITY, word),
        [b'+', word @ ..] | word => (f64::INFINITY, word),
    };
    let is_infinity = word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity");
    is_infinity.then_some(infinity)
}

/// The parts of a decimal number.
///
/// ```text
/// decimal  = [ "+" | "-" ] ( digits [ "." *digit ] | "." digits ) [ exponent ]
/// exponent = ( "e" | "E" ) [ "+" | "-" ] digits
/// ```
struct Decimal<'a> {
    /// The plus or minus, or nothing.
    sign: &'a [u8],
    /// The digits before the point.
    integer: &'a [u8],
    /// The digits after the point.
    fraction: &'a [u8],
    /// What follows the `e`, if there is one.
    exponent: &'a [u8],
}

impl<'a> Decimal<'a> {
    /// The parts of `text`, where all of it is one decimal.
    #[inline]
    fn split(text: &'a [u8]) -> Option<Decimal<'a>> {
        let (sign, unsigned) = split_sign(text);
        let (integer, rest) = split_digits(unsigned);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split_digits(rest),
            _ => (&[][..], rest),
        };
        let exponent = match rest {
            [] => &[][..],
            [b'e' | b'E', exponent @ ..] if is_exponent(exponent) => exponent,
            _ => return None,
        };
        let has_digits = !integer.is_empty() || !fraction.is_empty();
        has_digits.then_some(Decimal { sign, integer, fraction, exponent })
    }

    /// Its double, where std takes long for it.
    fn by_its_middle(&self) -> Option<f64> {
        let Decimal { sign, integer, fraction, .. } = self;
        if integer.len() + fraction.len() < midpoint::DIGITS_MIN {
            return None;
        }
        let magnitude = midpoint::double(integer, fraction, exponent(self.exponent))?;
        Some(if *sign == b"-" { -magnitude } else { magnitude })
    }

    /// The part of the text that is the form which SPEC 2.4 writes for its double, where there is
    /// one: the text without a plus and without zeros at the end of a fraction. Known only for
    /// decimals of at most [`DIGITS_MAX`] digits: their shortest digits are their own.
    #[inline]
    fn canonical(&self) -> Option<Range<usize>> {
        let fraction = trim_zeros(self.fraction);
        let integer_digits = match self.integer {
            [] | [b'0', _, ..] => return None,
            [b'0'] => 0,
            digits => digits.len(),
        };
        let zeros = fraction.iter().take_while(|byte| **byte == b'0').count();
        let is_plain = integer_digits > 0 || zeros <= ZEROS_MAX as usize;
        if !self.exponent.is_empty() || !is_plain || integer_digits + fraction.len() > DIGITS_MAX {
            return None;
        }
        let point = usize::from(!fraction.is_empty());
        let end = self.sign.len() + self.integer.len() + point + fraction.len();
        Some(usize::from(self.sign == b"+")..end)
    }
}

fn split_sign(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(usize::from(matches!(text, [b'+' | b'-', ..])))
}

#[inline]
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

fn is_exponent(text: &[u8]) -> bool {
    let (_, digits) = split_sign(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Without the zeros at the end.
#[inline]
fn trim_zeros(digits: &[u8]) -> &[u8] {
    let kept = digits.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    digits.get(..kept).unwrap_or_default()
}

/// Reads a timestamp: an integer counts `unit`, a number with a point or an exponent seconds.
/// Fractions below a nanosecond are rounded to the nearest, halves away from zero.
pub(super) fn timestamp_ns(text: &str, unit: IntegerUnit) -> Result<i64, TimestampError> {
    let bytes = text.as_bytes();
    if Decimal::split(bytes).is_none() {
        return Err(TimestampError::Malformed);
    }
    let is_integer = !bytes.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    let power = if is_integer && unit == IntegerUnit::Milliseconds { 6 } else { 9 };
    let magnitude = scaled(bytes, power).ok_or(TimestampError::OutOfRange)?;
    let signed = i128::try_from(magnitude).map_err(|_| TimestampError::OutOfRange)?;
    let signed = if bytes.first() == Some(&b'-') { -signed } else { signed };
    i64::try_from(signed).map_err(|_| TimestampError::OutOfRange)
}

/// The magnitude of a decimal times ten to the `power`, rounded; none where it exceeds 128 bits.
fn scaled(decimal: &[u8], mut power: i32) -> Option<u128> {
    // More digits than int64 nanoseconds and a fraction below them can need.
    const KEPT_MAX: u128 = 10_u128.pow(36);
    let mut mantissa: u128 = 0;
    let mut is_fraction = false;
    let mut bytes = decimal.iter();
    for byte in bytes.by_ref() {
        match byte {
            b'0'..=b'9' if mantissa < KEPT_MAX => {
                mantissa = mantissa * 10 + u128::from(byte - b'0');
                power = power.saturating_sub(i32::from(is_fraction));
            }
            b'0'..=b'9' => power = power.saturating_add(i32::from(!is_fraction)),
            b'.' => is_fraction = true,
            b'e' | b'E' => break,
            _ => {}
        }
    }
    power = power.saturating_add(exponent(bytes.as_slice()));
    if mantissa == 0 {
        return Some(0);
    }
    match u32::try_from(power) {
        Ok(power) => mantissa.checked_mul(10_u128.checked_pow(power)?),
        Err(_) => match 10_u128.checked_pow(power.unsigned_abs()) {
            Some(divisor) => {
                Some(mantissa / divisor + u128::from(mantissa % divisor >= divisor / 2))
            }
            None => Some(0),
        },
    }
}

/// The exponent of a decimal, bounded where it no longer matters.
fn exponent(text: &[u8]) -> i32 {
    const LARGE: i32 = 1_000_000_000;
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let add = |sum: i32, digit: &u8| {
        sum.saturating_mul(10).saturating_add(i32::from(digit - b'0')).min(LARGE)
    };
    sign * digits.iter().fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_is_taken_from_the_body() {
        for (text, want) in [
            ("0", "0"),
            ("-0", "-0"),
            ("+0", "0"),
            ("1", "1"),
            ("-1", "-1"),
            ("100", "100"),
            ("123456789012345", "123456789012345"),
            ("0.1", "0.1"),
            ("-0.25", "-0.25"),
            ("0.0000001", "0.0000001"),
            ("99999.9999999999", "99999.9999999999"),
            ("0.123456789012345", "0.123456789012345"),
            ("0.0", "0"),
            ("-0.00", "-0"),
            ("1.0", "1"),
            ("5.", "5"),
            ("+12.50", "12.5"),
            ("-583.0", "-583"),
            ("1.00000000000000000000", "1"),
            ("0.500000000000000000000", "0.5"),
        ] {
            let want_value = Read::Canonical(ShortText::new(want.as_bytes()));
            assert_eq!(value(text), Ok(want_value), "{text}");
            // std prints the shortest digits in plain notation.
            assert_eq!(text.parse::<f64>().unwrap().to_string(), want);
        }
    }

    fn block(text: &str) -> [u8; SHORT_BYTES_MAX] {
        let mut block = [b'x'; SHORT_BYTES_MAX];
        block[..text.len()].copy_from_slice(text.as_bytes());
        block
    }

    /// The canonical form of a number with an exponent, and how long that is in the text.
    fn moved(text: &str) -> Option<(String, usize)> {
        let (block, mut canonical) = (block(text), ShortText::default());
        let len = scientific(&block, plain(&block).err()?, &mut canonical)?;
        Some((String::from_utf8(canonical.as_bytes().to_vec()).unwrap(), len))
    }

    #[test]
    fn a_number_with_an_exponent_has_its_point_moved_or_is_looked_at_closer() {
        const DIGITS: [&str; 6] =
            ["1", "7.5", "1.25", "9.99999999999999", "1.02030405060708", "3.0000000001"];
        for (digits, power) in DIGITS.iter().flat_map(|digits| (-12..30).map(move |p| (digits, p)))
        {
            for letter in ["e", "E"] {
                let text = format!("{digits}{letter}{power:+03}");
                let (canonical, len) = moved(&format!("{text}\n")).unzip();
                assert_eq!(len.is_some(), (-7..21).contains(&power), "{text}");
                let Some(canonical) = canonical else { continue };
                assert_eq!(len, Some(text.len()));
                assert_eq!(canonical, text.parse::<f64>().unwrap().to_string());
                assert_eq!(moved(&format!("{text} 17")).unzip(), (Some(canonical), len));
            }
        }
        for text in [
            "1e5\n",
            "1e+5\n",
            "1e005\n",
            "0e+05\n",
            "0.5e+05\n",
            "1.50e+05\n",
            "1.e+05\n",
            "10e+05\n",
            "+1e+05\n",
            "1.123456789012345e+05\n",
            "1e+051\n",
            "1e+05x",
            "1e+0x\n",
            "e+05\n",
            "-1e+05\n",
            "-e+05\n",
            "1.2.3e+05\n",
            "1.x5e+05\n",
            "1e*05\n",
            "--1e+05\n",
            "1e-00\n",
            "1e+05\r\n",
        ] {
            assert_eq!(moved(text), None, "{text:?}");
        }
    }

    #[test]
    fn other_numbers_are_read_as_doubles() {
        for (text, want) in [
            ("007", 7.0),
            ("00.5", 0.5),
            (".5", 0.5),
            ("-.25", -0.25),
            ("0.00000001", 1e-8),
            ("1e3", 1000.0),
            ("5.e2", 500.0),
            ("1.7e+09", 1.7e9),
            ("1E-3", 0.001),
            ("1234567890123456", 1_234_567_890_123_456.0),
            ("1234567890.123456", 1_234_567_890.123_456),
            ("0.1234567890123456", 0.123_456_789_012_345_6),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("1e-400", 0.0),
            ("iNf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-INFinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(value(text), Ok(Read::Number(want)), "{text}");
        }
        assert!(matches!(value("nAN"), Ok(Read::Number(number)) if number.is_nan()));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "+", "-", ".", "e5", ".e1", "1e", "1e+", "1e++5", "+-1", "--1", "1.2.3", "0x10",
            "1_000", "1,5", "1i", "inf1", "in", "Infini", "nann", "+NaN", "-nan", "1 ", " 1", "1d",
        ] {
            assert_eq!(value(text), Err(NumberError::Malformed), "{text:?}");
        }
        let long = "9".repeat(400);
        for text in ["1e400", "-1.797693134862315808e308", "1e999999999", &long] {
            assert_eq!(value(text), Err(NumberError::TooLarge), "{text}");
        }
    }

    #[test]
    fn timestamps_are_exact_to_the_nanosecond() {
        use IntegerUnit::{Milliseconds, Seconds};
        for (text, unit, want) in [
            ("1700000000123", Milliseconds, 1_700_000_000_123_000_000),
            ("+1700000000123", Milliseconds, 1_700_000_000_123_000_000),
            ("1700000000.123456789", Milliseconds, 1_700_000_000_123_456_789),
            ("1700000000.1234567894", Milliseconds, 1_700_000_000_123_456_789),
            ("1700000000.1234567896", Milliseconds, 1_700_000_000_123_456_790),
            ("1.7e9", Milliseconds, 1_700_000_000_000_000_000),
            ("17E8", Milliseconds, 1_700_000_000_000_000_000),
            ("1700000000.", Milliseconds, 1_700_000_000_000_000_000),
            (".5", Seconds, 500_000_000),
            ("1700000000", Seconds, 1_700_000_000_000_000_000),
            ("-1.5", Seconds, -1_500_000_000),
            ("0.0000000005", Seconds, 1),
            ("0.00000000049", Seconds, 0),
            ("1e-400", Seconds, 0),
            ("0e999999999999", Seconds, 0),
            ("9223372036.854775807", Seconds, i64::MAX),
            ("-9223372036.854775808", Seconds, i64::MIN),
            ("0000000000000000000000000000000000000000000000001", Seconds, 1_000_000_000),
            ("1.00000000000000000000000000000000000000000000000", Seconds, 1_000_000_000),
        ] {
            assert_eq!(timestamp_ns(text, unit), Ok(want), "{text}");
        }
    }

    #[test]
    fn timestamps_beyond_int64_nanoseconds_are_refused() {
        use IntegerUnit::{Milliseconds, Seconds};
        for (text, unit) in [
            ("9223372036855", Milliseconds),
            ("-9223372036855", Milliseconds),
            ("9223372036854775807", Milliseconds),
            ("9223372036.854775808", Seconds),
            ("1.7e12", Seconds),
            ("1e400", Seconds),
            ("1e99999999999999999999", Seconds),
        ] {
            assert_eq!(timestamp_ns(text, unit), Err(TimestampError::OutOfRange), "{text}");
        }
        for text in ["", "now", "NaN", "Inf", "0x10", "1_7", "17e", "1,6"] {
            assert_eq!(timestamp_ns(text, Seconds), Err(TimestampError::Malformed), "{text}");
        }
    }
}
