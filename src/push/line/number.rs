//! Numbers → text: the canonical form of field values (SPEC 2.4), and `le` and `quantile` as Go
//! prints them (SPEC 2.2).
//!
//! Both have the shortest digits that read back as the same double. The crate zmij finds them; only
//! this file names it. What differs is where plain notation ends and how an exponent looks.

use crate::bytes::chunk;
use crate::bytes::short::{SHORT_BYTES_MAX, ShortText};
use std::ops::RangeInclusive;

/// The powers of ten of the first digit that field values write plainly: from 1e-7 up to below
/// 1e21.
const PLAIN_VALUE: RangeInclusive<i32> = -7..=20;
/// The same for Go's `%v`: from 1e-4 up to below 1e6 (strconv, `FormatFloat`, verb `g`, shortest).
const PLAIN_BOUND: RangeInclusive<i32> = -4..=5;

/// Doubles below this that are whole print as integers do, and fit them exactly.
const WHOLE_BELOW: f64 = 1e15;

/// A field value; `number` is finite. It has 26 bytes at most: sign, `0.`, six zeros and 17 digits.
#[inline(always)]
pub(super) fn value(number: f64) -> ShortText {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "compared, and exact where it matters")]
    if number.abs() < WHOLE_BELOW
        && whole as f64 == number
        && (whole != 0 || number.is_sign_positive())
    {
        return integer(whole);
    }
    other_value(number)
}

/// A value that is not an everyday whole number.
#[inline(never)]
fn other_value(number: f64) -> ShortText {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    if !chunk::has(text.as_bytes(), |chunk| chunk.equal(b'e')) {
        // Plain notation is canonical, but for what zmij puts after whole numbers.
        return ShortText::new(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    }
    let shortest = Shortest::of(text);
    let mut text = shortest.sign();
    if PLAIN_VALUE.contains(&shortest.power) {
        shortest.push_plain(&mut text);
    } else {
        shortest.push_mantissa(&mut text);
        text.extend(b"e");
        text.extend(integer(i64::from(shortest.power)).as_bytes());
    }
    text
}

/// `le` or `quantile`; `number` is not NaN. It has 24 bytes at most: sign, 17 digits, point and an
/// exponent of five.
pub(super) fn bound(number: f64) -> ShortText {
    if number.is_infinite() {
        return ShortText::new(if number > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    let shortest = Shortest::of(zmij::Buffer::new().format_finite(number));
    let mut text = shortest.sign();
    if PLAIN_BOUND.contains(&shortest.power) {
        shortest.push_plain(&mut text);
    } else {
        shortest.push_mantissa(&mut text);
        text.extend(if shortest.power < 0 { b"e-" } else { b"e+" });
        if shortest.power.abs() < 10 {
            text.extend(b"0");
        }
        text.extend(integer(i64::from(shortest.power.abs())).as_bytes());
    }
    text
}

/// An integer in decimal.
#[inline(always)]
pub(super) fn integer(integer: i64) -> ShortText {
    let magnitude = integer.unsigned_abs();
    if integer >= 0 && magnitude < SIXTEEN_DIGITS {
        let (digits, len) = without_zeros(digits(magnitude));
        return ShortText::of_half(digits, len);
    }
    long_integer(integer < 0, magnitude)
}

/// One with a sign or with more than sixteen digits.
#[inline(never)]
fn long_integer(is_negative: bool, magnitude: u64) -> ShortText {
    let mut text = ShortText::new(if is_negative { b"-" } else { b"" });
    let (upper, lower) = (magnitude / SIXTEEN_DIGITS, digits(magnitude % SIXTEEN_DIGITS));
    let (first, first_len) = without_zeros(if upper > 0 { digits(upper) } else { lower });
    text.extend(first.get(..first_len).unwrap_or_default());
    if upper > 0 {
        text.extend(&lower);
    }
    text
}

const EIGHT_DIGITS: u64 = 100_000_000;
const SIXTEEN_DIGITS: u64 = EIGHT_DIGITS * EIGHT_DIGITS;

/// The decimal digits of a number below 10^16, with zeros before them.
#[inline(always)]
fn digits(number: u64) -> [u8; 16] {
    let (upper, lower) = (eight_digits(number / EIGHT_DIGITS), eight_digits(number % EIGHT_DIGITS));
    (u128::from(lower) << 64 | u128::from(upper)).to_le_bytes()
}

/// The decimal digits of a number below 10^8, the first in the lowest byte. The number is halved
/// into groups of four, two and one digits, and each step halves all groups at once; a quotient is
/// a product with the scaled reciprocal, which is exact for numbers that small.
#[inline]
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    ones | u64::from_le_bytes([b'0'; 8])
}

/// Digits without the zeros before them, and how many they are; zero is one digit.
#[inline(always)]
fn without_zeros(digits: [u8; 16]) -> ([u8; 16], usize) {
    let digits = u128::from_le_bytes(digits);
    // The last digit stays, whatever it is.
    let nonzeros = digits & u128::from_le_bytes([0x0f; 16]) | 1 << 120;
    let zeros = nonzeros.trailing_zeros() / 8;
    let text = (digits >> (8 * zeros)).to_le_bytes();
    (text, text.len() - zeros as usize)
}

/// The shortest digits of a double: `d.ddd` times ten to the `power`.
struct Shortest {
    digits: [u8; SHORT_BYTES_MAX],
    len: usize,
    power: i32,
    is_negative: bool,
}

impl Shortest {
    /// Takes the text of zmij apart, in whichever notation it came.
    fn of(text: &str) -> Shortest {
        let text = text.as_bytes();
        let is_negative = text.first() == Some(&b'-');
        let mut shortest =
            Shortest { digits: [0; SHORT_BYTES_MAX], len: 0, power: -1, is_negative };
        let mut is_fraction = false;
        let mut bytes = text.strip_prefix(b"-").unwrap_or(text).iter();
        for byte in bytes.by_ref() {
            match byte {
                b'.' => is_fraction = true,
                b'e' | b'E' => break,
                // A leading zero of a fraction moves the point, one before the point is nothing.
                b'0' if shortest.len == 0 => shortest.power -= i32::from(is_fraction),
                digit => {
                    if let Some(place) = shortest.digits.get_mut(shortest.len) {
                        *place = *digit;
                        shortest.len += 1;
                    }
                    shortest.power += i32::from(!is_fraction);
                }
            }
        }
        let exponent =
            std::str::from_utf8(bytes.as_slice()).ok().and_then(|text| text.parse().ok());
        shortest.power += exponent.unwrap_or(0);
        shortest.trim();
        shortest
    }

    /// Takes the zeros at the end away; zero itself is one digit.
    fn trim(&mut self) {
        let is_zero_at = |at: usize| self.digits.get(at) == Some(&b'0');
        while self.len > 0 && is_zero_at(self.len - 1) {
            self.len -= 1;
        }
        if self.len == 0 {
            *self = Shortest { digits: [b'0'; SHORT_BYTES_MAX], len: 1, power: 0, ..*self };
        }
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// A minus, or nothing.
    fn sign(&self) -> ShortText {
        ShortText::new(if self.is_negative { b"-" } else { b"" })
    }

    fn push_plain(&self, text: &mut ShortText) {
        let digits = self.digits();
        let Ok(power) = usize::try_from(self.power) else {
            text.extend(b"0.");
            // OK because plain notation begins far above i32::MIN.
            let zeros = usize::try_from(-self.power - 1).unwrap_or_default();
            push_zeros(text, zeros);
            return text.extend(digits);
        };
        match digits.split_at_checked(power + 1) {
            None => {
                text.extend(digits);
                push_zeros(text, power + 1 - digits.len());
            }
            Some((whole, [])) => text.extend(whole),
            Some((whole, fraction)) => {
                text.extend(whole);
                text.extend(b".");
                text.extend(fraction);
            }
        }
    }

    fn push_mantissa(&self, text: &mut ShortText) {
        if let [first, rest @ ..] = self.digits() {
            text.extend(&[*first]);
            if !rest.is_empty() {
                text.extend(b".");
                text.extend(rest);
            }
        }
    }
}

fn push_zeros(text: &mut ShortText, count: usize) {
    for _ in 0..count {
        text.extend(b"0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    fn text(short: ShortText) -> String {
        String::from_utf8(short.as_bytes().to_vec()).unwrap()
    }

    fn value(number: f64) -> String {
        text(super::value(number))
    }

    fn bound(number: f64) -> String {
        text(super::bound(number))
    }

    #[test]
    fn values_are_plain_from_1e_minus_7_up_to_below_1e21() {
        for (number, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-7.0, "-7"),
            (0.1, "0.1"),
            (1.5, "1.5"),
            (-0.25, "-0.25"),
            (123_456.789, "123456.789"),
            (0.300_000_000_000_000_04, "0.30000000000000004"),
            (1e15, "1000000000000000"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e20, "100000000000000000000"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
            (1e21, "1e21"),
            (8.41e21, "8.41e21"),
            (1e-7, "0.0000001"),
            (9.9e-8, "9.9e-8"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (-f64::MIN_POSITIVE, "-2.2250738585072014e-308"),
        ] {
            assert_eq!(value(number), want);
        }
    }

    #[test]
    fn bounds_are_as_go_prints_them() {
        for (number, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (100_000.0, "100000"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (123_456_789.5, "1.234567895e+08"),
            (1e100, "1e+100"),
            (-2.5e-10, "-2.5e-10"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(bound(number), want);
        }
    }

    #[test]
    fn integers_have_the_digits_that_std_finds() {
        let mut random = Random::new(7);
        let edges = (0..19).flat_map(|power| [10_i64.pow(power) - 1, 10_i64.pow(power)]);
        let any = (0..200_000).map(|_| (random.next() >> random.below(64)).cast_signed());
        for integer in edges.chain(any).chain([i64::MAX, i64::MIN]) {
            assert_eq!(text(super::integer(integer)), integer.to_string());
            let negated = integer.wrapping_neg();
            assert_eq!(text(super::integer(negated)), negated.to_string());
        }
    }

    #[test]
    fn any_double_has_the_digits_that_std_finds_and_reads_back() {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        for round in 0..200_000_u64 {
            let random = random.next();
            // Every other one is of an everyday magnitude.
            let bits = if round % 2 == 0 { random } else { random % (1 << 58) + (0x3b << 56) };
            let number = f64::from_bits(bits);
            if !number.is_finite() {
                continue;
            }
            let is_plain = number == 0.0 || (1e-7..1e21).contains(&number.abs());
            let std = if is_plain { format!("{number}") } else { format!("{number:e}") };
            // As short as std's; where two of that length are equally near, std takes the greater.
            assert_eq!(value(number).len(), std.len(), "{std}");
            for text in [value(number), bound(number)] {
                assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits, "{text}");
            }
        }
    }
}
