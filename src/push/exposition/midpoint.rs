//! Decimals of many digits → doubles, where the first digits leave two doubles open.
//!
//! std finds the double of 19 digits at once, whatever they are. Of more digits it looks at the
//! first 19, and where the others decide, it moves the point of the whole decimal step by step:
//! 12 µs for a number of 20 digits near the smallest ones, a thousand times a usual value. Here
//! those first digits name two doubles side by side, and one comparison in whole numbers says on
//! which side of the middle between them the decimal is:
//!
//! ```text
//! decimal = D · 10^p = D · 5^p · 2^p        middle = M · 2^q, M = 2 · mantissa + 1
//! p < 0:  D · 2^p  against  M · 5^-p · 2^q  p ≥ 0:  D · 5^p · 2^p  against  M · 2^q
//! ```

use std::cmp::Ordering;

/// Digits that std reads without a second look.
const KNOWN_DIGITS: usize = 19;
/// Decimals of fewer digits are std's.
pub(super) const DIGITS_MIN: usize = KNOWN_DIGITS + 1;
/// More digits than this are many bytes for the time that std takes.
const DIGITS_MAX: usize = 400;
/// What fits into one multiplication.
const FIVE_TO_27: u64 = 5_u64.pow(27);

/// The double next to `0.integer fraction` with that exponent, without its sign; none where std is
/// as fast. A decimal beyond all doubles is infinite.
pub(super) fn double(integer: &[u8], fraction: &[u8], exponent: i32) -> Option<f64> {
    let digits = [integer, fraction].concat();
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = digits.get(zeros..).filter(|digits| digits.len() <= DIGITS_MAX)?;
    let (known, rest) = digits.split_at_checked(KNOWN_DIGITS)?;
    if rest.iter().all(|digit| *digit == b'0') {
        return None;
    }
    let power = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let known_power = power.checked_add(i32::try_from(rest.len()).ok()?)?;
    let known: u64 = std::str::from_utf8(known).ok()?.parse().ok()?;
    let read = |digits: u64| format!("{digits}e{known_power}").parse::<f64>().ok();
    let (below, above) = (read(known)?, read(known + 1)?);
    if below == above {
        return Some(below);
    }
    if above.to_bits() != below.to_bits() + 1 {
        return None;
    }
    Some(match compare_with_middle(digits, power, below)? {
        Ordering::Less => below,
        Ordering::Greater => above,
        Ordering::Equal if below.to_bits().is_multiple_of(2) => below,
        Ordering::Equal => above,
    })
}

/// How `digits · 10^power` compares with the middle between a double and the next larger one.
fn compare_with_middle(digits: &[u8], power: i32, below: f64) -> Option<Ordering> {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = below.to_bits();
    let (field, mantissa) = (bits >> MANTISSA_BITS, bits & ((1 << MANTISSA_BITS) - 1));
    // The smallest doubles have no hidden bit, and the exponent of those with the field 1.
    let mantissa = if field == 0 { mantissa } else { mantissa | 1 << MANTISSA_BITS };
    let middle_power = i32::try_from(field.max(1)).ok()? - 1075 - 1;
    let mut decimal = Whole::of_digits(digits)?;
    let mut middle = Whole::of(2 * mantissa + 1);
    let fives = if power < 0 { &mut middle } else { &mut decimal };
    fives.multiply_by_fives(power.unsigned_abs());
    let shift = power.checked_sub(middle_power)?;
    let shifted = if shift > 0 { &mut decimal } else { &mut middle };
    shifted.shift_left(shift.unsigned_abs());
    Some(decimal.compare(&middle))
}

/// A whole number of any size: its limbs, the least first, the last of them not 0.
#[derive(Debug)]
struct Whole(Vec<u64>);

impl Whole {
    fn of(number: u64) -> Whole {
        Whole(vec![number])
    }

    /// Of digits, the first of which is not 0.
    fn of_digits(digits: &[u8]) -> Option<Whole> {
        let mut whole = Whole(Vec::new());
        for chunk in digits.chunks(KNOWN_DIGITS) {
            let number = std::str::from_utf8(chunk).ok()?.parse().ok()?;
            whole.multiply_and_add(10_u64.pow(u32::try_from(chunk.len()).ok()?), number);
        }
        Some(whole)
    }

    fn multiply_and_add(&mut self, factor: u64, number: u64) {
        let mut carry = number;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            (*limb, carry) = halves(product);
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    fn multiply_by_fives(&mut self, count: u32) {
        for _ in 0..count / 27 {
            self.multiply_and_add(FIVE_TO_27, 0);
        }
        self.multiply_and_add(5_u64.pow(count % 27), 0);
    }

    fn shift_left(&mut self, bits: u32) {
        self.multiply_and_add(1 << (bits % 64), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, (bits / 64) as usize));
    }

    fn compare(&self, other: &Whole) -> Ordering {
        let from_the_largest = || self.0.iter().rev().cmp(other.0.iter().rev());
        self.0.len().cmp(&other.0.len()).then_with(from_the_largest)
    }
}

/// The lower and the upper half.
fn halves(wide: u128) -> (u64, u64) {
    let lower = u64::try_from(wide & u128::from(u64::MAX)).unwrap_or_default();
    (lower, u64::try_from(wide >> 64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    /// Ours, where there is one, and std's.
    fn assert_as_std(integer: &str, fraction: &str, exponent: i32) -> bool {
        let text = format!("{integer}.{fraction}e{exponent}");
        let want: f64 = text.parse().unwrap();
        let found = double(integer.as_bytes(), fraction.as_bytes(), exponent);
        assert!(found.is_none_or(|found| found == want), "{text}: {found:?}, std {want:?}");
        found.is_some()
    }

    /// More than any double has.
    const FRACTION_DIGITS: i32 = 1100;

    /// The middle of two doubles, all of its digits: those of their sum, halved.
    fn middle(one: f64, other: f64) -> String {
        let digits = |number: f64| -> Vec<u8> {
            let text = format!("{number:01450.1100}");
            text.bytes().filter(|byte| *byte != b'.').map(|byte| byte - b'0').collect()
        };
        let mut sum: Vec<u8> =
            digits(one).iter().zip(digits(other)).map(|(one, other)| one + other).collect();
        for place in (1..sum.len()).rev() {
            sum[place - 1] += sum[place] / 10;
            sum[place] %= 10;
        }
        let mut rest = 0;
        let halve = |digit: u8| {
            let halved = (rest * 10 + digit) / 2;
            rest = digit % 2;
            char::from(b'0' + halved)
        };
        sum.into_iter().map(halve).collect()
    }

    #[test]
    fn decimals_near_the_middle_of_two_doubles_are_the_one_that_std_finds() {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let mut found = 0;
        for case in 0..3_000_u64 {
            let bits = match case % 4 {
                0 => random.next() >> 12,
                1 => random.below(1000) as u64,
                2 => f64::MAX.to_bits() - random.below(3) as u64,
                _ => random.next() & !(1 << 63),
            };
            let below = f64::from_bits(bits);
            if !below.is_finite() {
                continue;
            }
            let middle = middle(below, f64::from_bits(bits + 1));
            let digits = middle.trim_start_matches('0');
            let power = i32::try_from(digits.len()).unwrap() - FRACTION_DIGITS;
            // Cut anywhere, exact, and just above.
            let kept = 20 + random.below(40);
            let cut = digits.get(..kept).unwrap_or(digits);
            for digits in [cut, &format!("{cut}1"), digits, &format!("{digits}1")] {
                found += u32::from(assert_as_std("", digits, power));
            }
        }
        assert!(found > 2_000, "{found} were found here");
    }

    #[test]
    fn the_middle_itself_becomes_the_even_one_and_a_digit_more_decides() {
        for text in [
            "2.4703282292062327208",
            "2.4703282292062327209",
            "2.47032822920623272088284396434110686182",
            "2.47032822920623272088284396434110686183",
        ] {
            let (integer, fraction) = text.split_once('.').unwrap();
            assert!(assert_as_std(integer, fraction, -324), "{text}");
        }
        // 2^53 + 1 is the middle of two doubles, 2^1024 - 2^970 that of the last one and the end.
        let end = "179769313486231580793728971405303415079934132710037826936173778980444968292\
                   764750946649017977587207096330286416692887910946555547851940402630657488671\
                   505820681908902000708383676273854845817711531764475730270069855571366959622\
                   842914819860834936475292719074168444365510704342711559699508093042880177904\
                   174497792";
        let before = format!("{}91", end.strip_suffix("92").unwrap());
        for text in [
            "9007199254740993.0000",
            "9007199254740993.00001",
            "9007199254740995.00000",
            end,
            &before,
        ] {
            let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
            assert_as_std(integer, fraction, 0);
        }
        assert_eq!(double(end.as_bytes(), b"", 0), Some(f64::INFINITY));
        assert_eq!(double(before.as_bytes(), b"", 0), Some(f64::MAX));
        assert_eq!(double(b"12345678901234567890123", b"", i32::MIN), Some(0.0));
        assert_eq!(double(b"12345678901234567890123", b"", 99_999), Some(f64::INFINITY));
        assert_eq!(double(b"0", b"00012345678901234567890123", -99_999), Some(0.0));
    }
}
