//! When the certificates of a file are valid → what an operator should know of that.

use super::fault::Date;

/// When all certificates of a file are valid, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) starts_s: i64,
    pub(crate) ends_s: i64,
}

/// How long before its end a certificate is warned of.
const WARNED_DAYS: i64 = 30;
const DAY_S: i64 = 24 * 3600;

impl Validity {
    /// What an operator should know of it, seen from `now_s`.
    pub(crate) fn warning(self, now_s: i64) -> Option<String> {
        if now_s < self.starts_s {
            let (start, today) = (Date(self.starts_s), Date(now_s));
            let what = "a certificate in it is not valid before";
            return Some(format!("{what} {start}, and the clock says {today}"));
        }
        let end = Date(self.ends_s);
        match (self.ends_s - now_s).div_euclid(DAY_S) {
            ..0 => Some(format!("a certificate in it has ended on {end}")),
            0 => Some(format!("a certificate in it ends today, {end}")),
            days @ 1..WARNED_DAYS => {
                Some(format!("a certificate in it ends in {days} days, on {end}"))
            }
            WARNED_DAYS.. => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_in_the_future_and_an_end_within_thirty_days_are_warned_of() {
        let end = 1_795_910_400;
        let validity = Validity { starts_s: end - 365 * DAY_S, ends_s: end };
        for (before, want) in [
            (
                366 * DAY_S,
                Some(
                    "a certificate in it is not valid before 2025-11-29, and the clock says 2025-11-28",
                ),
            ),
            (365 * DAY_S, None),
            (31 * DAY_S, None),
            (30 * DAY_S, None),
            (30 * DAY_S - 1, Some("a certificate in it ends in 29 days, on 2026-11-29")),
            (60, Some("a certificate in it ends today, 2026-11-29")),
            (-60, Some("a certificate in it has ended on 2026-11-29")),
        ] {
            assert_eq!(validity.warning(end - before).as_deref(), want, "{before} s before");
        }
    }
}
