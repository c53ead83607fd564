//! What is counted of a spool → what an operator is told of it.

use crate::observe::log::Rfc3339;
use crate::observe::telemetry::Telemetry;
use std::fmt::Display;

/// How a spool is, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpoolFigures {
    /// Since when lines have gone to it, in milliseconds since 1970; none while they go straight to
    /// the output.
    pub(crate) since_ms: Option<u64>,
    /// Lines that wait.
    pub(crate) lines: u64,
    /// Those of them that are in memory only.
    pub(crate) memory_lines: u64,
    /// What it takes of the disk.
    pub(crate) bytes: u64,
    /// What it may take.
    pub(crate) bytes_max: u64,
    /// When the oldest of the lines was written.
    pub(crate) oldest_ms: Option<u64>,
    /// How long its room lasts when it fills as it has filled so far.
    pub(crate) room_ms: Option<u64>,
}

impl SpoolFigures {
    /// Reads them.
    pub(crate) fn read(telemetry: &Telemetry, bytes_max: u64, now_ms: u64) -> SpoolFigures {
        let some = |time_ms: u64| (time_ms > 0).then_some(time_ms);
        let bytes = telemetry.spool_bytes.get();
        let oldest_ms = some(telemetry.spool_oldest_ms.get());
        SpoolFigures {
            since_ms: some(telemetry.spool_since_ms.get()),
            lines: telemetry.spool_lines.get(),
            memory_lines: telemetry.spool_memory_lines.get(),
            bytes,
            bytes_max,
            oldest_ms,
            room_ms: oldest_ms.and_then(|oldest_ms| room_ms(bytes, bytes_max, now_ms, oldest_ms)),
        }
    }

    /// One sentence without its full stop, while lines go to the spool.
    pub(crate) fn sentence(&self, target: &dyn Display) -> Option<String> {
        let since = Rfc3339::of_ms(self.since_ms?).to_string();
        // OK because the time of day is at that place of every such text.
        let since = since.get(11..16).unwrap_or_default();
        let (lines, wait) = (grouped(self.lines), if self.lines == 1 { "waits" } else { "wait" });
        let noun = if self.lines == 1 { "line" } else { "lines" };
        let place = match self.memory_lines {
            0 => "on disk".to_owned(),
            lines => format!("({} in memory only)", grouped(lines)),
        };
        let room = self.room_ms.map(|room_ms| format!(", room for {} at this rate", span(room_ms)));
        let room = room.unwrap_or_default();
        Some(format!(
            "{target} has been away since {since} UTC, {lines} {noun} {wait} {place}{room}"
        ))
    }
}

/// The age of the oldest line says how long the spool took to become as full as it is.
fn room_ms(bytes: u64, bytes_max: u64, now_ms: u64, oldest_ms: u64) -> Option<u64> {
    const TOLD_AFTER_MS: u64 = 10_000;
    let age_ms = now_ms.checked_sub(oldest_ms).filter(|age_ms| *age_ms >= TOLD_AFTER_MS)?;
    let left = u128::from(bytes_max.saturating_sub(bytes));
    let room_ms = left.checked_mul(u128::from(age_ms))?.checked_div(u128::from(bytes))?;
    u64::try_from(room_ms).ok()
}

/// A number with a comma before each group of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span in its largest unit.
fn span(time_ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second")];
    let whole = UNITS.iter().find(|(unit_ms, _)| time_ms >= *unit_ms);
    let (count, unit) = whole.map_or((0, "second"), |(unit_ms, unit)| (time_ms / unit_ms, unit));
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_since_when_how_much_and_for_how_long() {
        const DAY_MS: u64 = 86_400_000;
        let telemetry = Telemetry::new();
        let of = |now_ms| SpoolFigures::read(&telemetry, 4 << 20, now_ms).sentence(&"tcp://db:1");
        assert_eq!(of(1), None);
        let since_ms = 20_000 * DAY_MS + (14 * 60 + 2) * 60_000;
        telemetry.spool_since_ms.set(since_ms);
        telemetry.spool_oldest_ms.set(since_ms);
        telemetry.spool_lines.set(1);
        telemetry.spool_bytes.set(100);
        let short = "tcp://db:1 has been away since 14:02 UTC, 1 line waits on disk";
        assert_eq!(of(since_ms + 5000).unwrap(), short);
        telemetry.spool_lines.set(1_204);
        telemetry.spool_bytes.set(1 << 20);
        assert_eq!(
            of(since_ms + DAY_MS).unwrap(),
            "tcp://db:1 has been away since 14:02 UTC, 1,204 lines wait on disk, room for 3 days at \
             this rate"
        );
        telemetry.spool_memory_lines.set(1_000);
        let told = of(since_ms + DAY_MS).unwrap();
        assert!(told.contains(", 1,204 lines wait (1,000 in memory only), room for"), "{told}");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!((span(59_999).as_str(), span(60_000).as_str()), ("59 seconds", "1 minute"));
    }
}
