//! `Retry-After` of a store's answer → the pause that it asks for (RFC 9110, section 10.2.3).
//!
//! ```text
//! Retry-After = HTTP-date / delay-seconds
//! ```
//!
//! A date may have any of the three forms that a recipient must take (section 5.6.7).

use crate::limits::RETRY_AFTER_MAX;
use std::time::{Duration, SystemTime};

/// The pause, at most [`RETRY_AFTER_MAX`]; none where the value is neither a number nor a date. A
/// date that is past asks for no pause.
pub(super) fn pause(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number can have are a longer pause than is granted.
        value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_may_ask_for_a_pause_in_seconds_or_until_a_date() {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, want) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("86400", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Fri, 31 Dec 1993 23:59:59 GMT", Some(0)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(300)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(300)),
            ("Sun, 06 Nov 1994 08:50:07 CET", None),
            ("soon", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(pause(value, now), want.map(Duration::from_secs), "{value:?}");
        }
    }
}
