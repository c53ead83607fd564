//! Events → one line each on standard error, as logfmt or as JSON.
//!
//! There is no global logger: a [`Log`] is made once and passed to who needs it. A line is written
//! with one call, so lines of different threads never interleave. What cannot be written at once is
//! lost, and counted: the process must go on when nobody reads its standard error.

use crate::current::Live;
use crate::json::{self, Markup};
use crate::system;
use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much is logged; each level includes the ones before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A defect, or something that stops service: look at it now.
    Error,
    /// Service goes on, but something is wrong.
    Warn,
    /// What an operator wants to see of a healthy process.
    #[default]
    Info,
    /// Besides, the mistakes of pushers.
    Debug,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `time=… level=info msg="…" key=value`
    #[default]
    Logfmt,
    /// `{"time":"…","level":"info","msg":"…","key":"value"}`
    Json,
}

/// One key and its value.
pub type Field<'a> = (&'static str, &'a dyn Display);

/// Where events go.
#[derive(Debug)]
pub struct Log {
    options: Live<Options>,
    /// Events that were not written since the last one that was.
    lost: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    level: Level,
    format: Format,
}

impl Log {
    /// A log on standard error.
    pub fn new(level: Level, format: Format) -> Log {
        Log { options: Live::new(Options { level, format }), lost: AtomicU64::new(0) }
    }

    /// Changes how much is written, and how it looks, from here on (SIGHUP).
    pub fn replace(&self, level: Level, format: Format) {
        self.options.replace(Options { level, format });
    }

    /// Whether events of `level` are written.
    pub fn writes(&self, level: Level) -> bool {
        level <= self.options.read().level
    }

    /// Logs at [`Level::Error`].
    pub fn error(&self, message: &str, fields: &[Field<'_>]) {
        self.event(Level::Error, message, fields);
    }

    /// Logs at [`Level::Warn`].
    pub(crate) fn warn(&self, message: &str, fields: &[Field<'_>]) {
        self.event(Level::Warn, message, fields);
    }

    /// Logs at [`Level::Info`].
    pub fn info(&self, message: &str, fields: &[Field<'_>]) {
        self.event(Level::Info, message, fields);
    }

    /// Logs at [`Level::Debug`].
    pub fn debug(&self, message: &str, fields: &[Field<'_>]) {
        self.event(Level::Debug, message, fields);
    }

    fn event(&self, level: Level, message: &str, fields: &[Field<'_>]) {
        let options = *self.options.read();
        if level > options.level {
            return;
        }
        let line = render(options.format, SystemTime::now(), level, message, fields);
        let stderr = std::io::stderr();
        if !system::takes_bytes(&stderr) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let told = match lost {
            0 => String::new(),
            _ => render(
                options.format,
                SystemTime::now(),
                Level::Warn,
                "nobody read standard error, events are lost",
                &[("events", &lost)],
            ),
        };
        if (&stderr).write_all(format!("{told}{line}").as_bytes()).is_err() {
            // OK because nobody reads standard error: there is no better place to say so.
        }
    }
}

/// Has every panic from here on logged as one event with its place, in the place of Rust's own
/// message, which is no line of the log's format. The hook is the one global: panics have no other.
pub(crate) fn take_panics(log: &Arc<Log>) {
    let log = Arc::clone(log);
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let text = panic.payload().downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str));
        let error = text.unwrap_or("not a text");
        let message = "a thread panicked, which is a defect of pushline";
        log.error(message, &[("thread", &thread), ("at", &place), ("error", &error)]);
    }));
}

fn render(
    format: Format,
    time: SystemTime,
    level: Level,
    message: &str,
    fields: &[Field<'_>],
) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Rfc3339 { secs: since_epoch.as_secs(), millis: since_epoch.subsec_millis() };
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let mut line = String::with_capacity(160);
    // OK because writing to a String never fails.
    match format {
        Format::Logfmt => {
            write!(line, "time={time} level={level} msg=").ok();
            logfmt_value(&mut line, message);
            for (key, value) in fields {
                write!(line, " {key}=").ok();
                logfmt_value(&mut line, &value.to_string());
            }
        }
        Format::Json => {
            write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\",\"msg\":").ok();
            json::quoted(&mut line, message, Markup::Kept);
            for (key, value) in fields {
                write!(line, ",\"{key}\":").ok();
                json::quoted(&mut line, &value.to_string(), Markup::Kept);
            }
            line.push('}');
        }
    }
    line.push('\n');
    line
}

fn logfmt_value(line: &mut String, value: &str) {
    let is_bare = !value.is_empty()
        && value.bytes().all(|byte| byte > b' ' && !matches!(byte, b'"' | b'=' | b'\\' | 0x7f));
    if is_bare {
        line.push_str(value);
    } else {
        // A JSON string: logfmt reads the same.
        json::quoted(line, value, Markup::Kept);
    }
}

/// A point in time as RFC 3339 writes it, in UTC, to the millisecond.
struct Rfc3339 {
    secs: u64,
    millis: u32,
}

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_date(self.secs / 86_400);
        let (hour, minute, second) = (self.secs / 3600 % 24, self.secs / 60 % 60, self.secs % 60);
        let millis = self.millis;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Days since 1970-01-01 → year, month, day (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`, for days that are not negative).
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(format: Format) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        render(format, time, Level::Warn, "it \"broke\"", &[("peer", &"a=b"), ("status", &503)])
    }

    #[test]
    fn logfmt_quotes_what_needs_quotes() {
        assert_eq!(
            line(Format::Logfmt),
            "time=2024-02-29T12:34:56.007Z level=warn msg=\"it \\\"broke\\\"\" peer=\"a=b\" status=503\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = line(Format::Json);
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["time"], "2024-02-29T12:34:56.007Z");
        assert_eq!(object["msg"], "it \"broke\"");
        assert_eq!(object["status"], "503");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let text = render(Format::Logfmt, UNIX_EPOCH, Level::Info, "a\n\u{1b}[2Jb\u{85}", &[]);
        assert!(text.trim_end_matches('\n').chars().all(|char| !char.is_control()), "{text:?}");
        assert!(text.starts_with("time=1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn a_level_includes_the_ones_before_it() {
        let log = Log::new(Level::Warn, Format::Logfmt);
        assert!(log.writes(Level::Error) && log.writes(Level::Warn) && !log.writes(Level::Info));
        log.replace(Level::Debug, Format::Logfmt);
        assert!(log.writes(Level::Debug));
        log.replace(Level::Error, Format::Json);
        assert!(log.writes(Level::Error) && !log.writes(Level::Warn));
    }
}
