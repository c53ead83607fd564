//! Families and series → text format 0.0.4.
//!
//! `family` and `part` are not inlined: some fifty calls would hold a copy each.

use super::number::{ANSWER_BOUNDS, Counter};
use std::fmt::{Display, Write as _};

/// A text in the making: one family after the other.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// An empty text with room for all families.
    pub(super) fn with_room() -> Page {
        Page { text: String::with_capacity(12 * 1024), name: "" }
    }

    /// The text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Begins a counter.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) {
        self.family(name, "counter", help);
    }

    /// Begins a gauge.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, "gauge", help);
    }

    #[inline(never)]
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // OK because writing to a String never fails.
        write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").ok();
    }

    /// Writes a series of the family.
    pub(super) fn series(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, &value);
    }

    /// Writes a whole histogram; `times` are its sum in microseconds and its count.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        buckets: &[Counter],
        (time_us, count): (u64, u64),
    ) {
        self.family(name, "histogram", help);
        let mut cumulated = 0;
        for ((_, bound), counter) in ANSWER_BOUNDS.iter().zip(buckets) {
            cumulated += counter.get();
            self.part("_bucket", &[("le", bound)], &cumulated);
        }
        // What is counted meanwhile must not make a bucket larger than the whole.
        let count = count.max(cumulated);
        self.part("_bucket", &[("le", "+Inf")], &count);
        self.part("_sum", &[], &format_args!("{}.{:06}", time_us / 1_000_000, time_us % 1_000_000));
        self.part("_count", &[], &count);
    }

    #[inline(never)]
    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: &dyn Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            // No value needs an escape: all of them are written in this program.
            write!(self.text, "{separator}{name}=\"{value}\"").ok();
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(self.text, "{end} {value}").ok();
    }
}
