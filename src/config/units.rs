//! Sizes, durations and flags: text → number, number → text.

use std::time::Duration;

/// Sizes are 64 bits on every machine: a disk is larger than the memory of a small one.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A size in bytes: `"16MiB"`, `"64KiB"`, `"1GiB"`, `"512B"`, or digits alone.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at_checked(digits_len)?;
    let (_, factor) =
        UNITS.iter().find(|(known, _)| *known == unit.trim_start() || unit.is_empty())?;
    let factor = if unit.is_empty() { 1 } else { *factor };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The shortest text of a size.
pub(super) fn size_text(bytes: u64) -> String {
    let (unit, factor) = UNITS
        .into_iter()
        .find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// A duration: `"10s"`, `"500ms"`, `"1m"`, `"1h"`, to the millisecond.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at_checked(digits_len)?;
    let factor_ms = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor_ms).map(Duration::from_millis)
}

/// The shortest text of a duration.
pub(super) fn duration_text(duration: Duration) -> String {
    const HOUR: u64 = 3600;
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) if seconds > 0 && seconds.is_multiple_of(HOUR) => {
            format!("{}h", seconds / HOUR)
        }
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// A boolean of the environment, as DataKit reads it (Go, `strconv.ParseBool`).
pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_what_they_print() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("1000B", 1000),
            ("64KiB", 65_536),
            ("16MiB", 16 << 20),
            ("3GiB", 3 << 30),
            ("1024GiB", 1 << 40),
        ] {
            assert_eq!(size(text), Some(bytes));
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(size("4096"), Some(4096));
        for text in ["", "MiB", "1MB", "1.5MiB", "-1", "1 M", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
        for (text, millis) in
            [("10s", 10_000), ("500ms", 500), ("60s", 60_000), ("0s", 0), ("2h", 7_200_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)));
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration("1m"), Some(Duration::from_secs(60)));
        for text in ["", "s", "10", "1.5s", "-1s", "1d", "99999999999999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
