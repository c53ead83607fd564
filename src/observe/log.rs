//! Events → one line each on standard error, as logfmt or as JSON.
//!
//! There is no global logger: a [`Log`] is made once and passed to everyone who reports to it. A
//! line is written with one call, so lines of different threads never interleave.
//!
//! The process must go on when nobody reads its standard error, so a line that cannot be written at
//! once is lost, and counted. Three things together keep a write from waiting: the system is asked
//! first whether a pipe takes [`LOG_LINE_BYTES_MAX`] bytes; no line is longer than that, since long
//! values are cut; and one lock is held from the question to the write, so that no other thread
//! uses up the room in between.

use crate::current::Current;
use crate::json::{self, Markup};
use crate::limits::LOG_LINE_BYTES_MAX;
use crate::system;
use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
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
pub enum LogFormat {
    /// `time=… level=info msg="…" key=value`
    #[default]
    Logfmt,
    /// `{"time":"…","level":"info","msg":"…","key":"value"}`
    Json,
}

/// What a line begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineStart {
    /// The time of the event.
    #[default]
    Time,
    /// `<3>` to `<7>`, the priority as sd-daemon(3) has it, and no time: the journal has its own.
    Priority,
}

impl LineStart {
    /// What fits the reader of standard error: systemd sets `JOURNAL_STREAM` where that is the
    /// journal.
    #[must_use]
    pub fn of_environment() -> LineStart {
        match std::env::var_os("JOURNAL_STREAM") {
            Some(stream) if !stream.is_empty() => LineStart::Priority,
            _ => LineStart::Time,
        }
    }
}

/// One key and its value.
pub type Field<'a> = (&'static str, &'a dyn Display);

/// Where events go.
#[derive(Debug)]
pub struct Log {
    options: Current<LogOptions>,
    line_start: LineStart,
    /// Events lost since the last one that was written. Whoever writes holds this lock.
    lost: Mutex<u64>,
}

#[derive(Clone, Copy, Debug)]
struct LogOptions {
    level: Level,
    format: LogFormat,
}

impl Log {
    /// A log on standard error.
    pub fn new(level: Level, format: LogFormat) -> Log {
        let (options, line_start) = (Current::new(LogOptions { level, format }), LineStart::Time);
        Log { options, line_start, lost: Mutex::new(0) }
    }

    /// The same log, whose lines begin with that.
    #[must_use]
    pub fn beginning_with(self, line_start: LineStart) -> Log {
        Log { line_start, ..self }
    }

    /// The time that a line has, if any.
    fn time(&self) -> Option<SystemTime> {
        (self.line_start == LineStart::Time).then(SystemTime::now)
    }

    /// Changes how much is written, and how it looks, from here on (SIGHUP).
    pub fn replace(&self, level: Level, format: LogFormat) {
        self.options.replace(LogOptions { level, format });
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
    pub fn warn(&self, message: &str, fields: &[Field<'_>]) {
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
        let LogOptions { level: most, format } = *self.options.read();
        if level <= most {
            let line = render(format, self.time(), level, message, fields);
            self.write(&std::io::stderr(), format, &line);
        }
    }

    /// Writes `line`, after one that tells of lost events if there were any. Never waits for a
    /// reader.
    fn write<W: AsFd>(&self, stderr: &W, format: LogFormat, line: &str)
    where
        for<'a> &'a W: Write,
    {
        // OK because a count is never left half-changed.
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if *lost > 0 {
            let message = "nobody read standard error, events are lost";
            let fields: [Field<'_>; 1] = [("events", &*lost)];
            let told = render(format, self.time(), Level::Warn, message, &fields);
            if !write_at_once(stderr, &told) {
                *lost += 1;
                return;
            }
            *lost = 0;
        }
        if !write_at_once(stderr, line) {
            *lost += 1;
        }
    }
}

/// Writes a line of at most [`LOG_LINE_BYTES_MAX`] bytes; false where that would have to wait.
fn write_at_once<W: AsFd>(stderr: &W, line: &str) -> bool
where
    for<'a> &'a W: Write,
{
    if !system::takes_bytes(stderr) {
        return false;
    }
    let mut stderr: &W = stderr;
    if stderr.write_all(line.as_bytes()).is_err() {
        // OK because standard error has no reader any more: there is no better place to say so.
    }
    true
}

/// Has every panic from here on logged as one event with its place, in the place of Rust's own
/// message, which is not a line of the log's format. The hook is the one global: panics have no
/// other.
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

/// One line of at most [`LOG_LINE_BYTES_MAX`] bytes: its longest values are cut until it is.
fn render(
    format: LogFormat,
    time: Option<SystemTime>,
    level: Level,
    message: &str,
    fields: &[Field<'_>],
) -> String {
    let fields: Vec<_> = fields.iter().map(|(key, value)| (*key, value.to_string())).collect();
    let mut value_bytes_max = LOG_LINE_BYTES_MAX;
    loop {
        let line = render_cut(format, time, level, message, &fields, value_bytes_max);
        // OK because time, level and keys, which are constants, take far less than a line.
        if line.len() <= LOG_LINE_BYTES_MAX || value_bytes_max == 0 {
            return line;
        }
        value_bytes_max /= 2;
    }
}

fn render_cut(
    format: LogFormat,
    time: Option<SystemTime>,
    level: Level,
    message: &str,
    fields: &[(&'static str, String)],
    value_bytes_max: usize,
) -> String {
    let (level, priority) = match level {
        Level::Error => ("error", 3),
        Level::Warn => ("warn", 4),
        Level::Info => ("info", 6),
        Level::Debug => ("debug", 7),
    };
    let message = cut(message, value_bytes_max);
    let fields = fields.iter().map(|(key, value)| (key, cut(value, value_bytes_max)));
    let mut line = String::with_capacity(160);
    // OK because writing to a String never fails.
    if time.is_none() {
        write!(line, "<{priority}>").ok();
    }
    match format {
        LogFormat::Logfmt => {
            if let Some(time) = time.map(Rfc3339::from) {
                write!(line, "time={time} ").ok();
            }
            write!(line, "level={level} msg=").ok();
            logfmt_value(&mut line, &message);
            for (key, value) in fields {
                write!(line, " {key}=").ok();
                logfmt_value(&mut line, &value);
            }
        }
        LogFormat::Json => {
            line.push('{');
            if let Some(time) = time.map(Rfc3339::from) {
                write!(line, "\"time\":\"{time}\",").ok();
            }
            write!(line, "\"level\":\"{level}\",\"msg\":").ok();
            json::quoted(&mut line, &message, Markup::Kept);
            for (key, value) in fields {
                write!(line, ",\"{key}\":").ok();
                json::quoted(&mut line, &value, Markup::Kept);
            }
            line.push('}');
        }
    }
    line.push('\n');
    line
}

/// The first `bytes_max` bytes of `text`, or a little less where a character would be cut, and `…`
/// where anything is left out.
fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339 {
    secs: u64,
    millis: u32,
}

impl From<SystemTime> for Rfc3339 {
    /// A time before 1970 is 1970.
    fn from(time: SystemTime) -> Rfc3339 {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Rfc3339 { secs: since_epoch.as_secs(), millis: since_epoch.subsec_millis() }
    }
}

impl Rfc3339 {
    /// So many milliseconds since the Unix epoch.
    pub(crate) fn of_ms(time_ms: u64) -> Rfc3339 {
        // OK because a remainder below 1000 fits.
        Rfc3339 { secs: time_ms / 1000, millis: u32::try_from(time_ms % 1000).unwrap_or(0) }
    }
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
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    fn line(format: LogFormat) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        render(
            format,
            Some(time),
            Level::Warn,
            "it \"broke\"",
            &[("peer", &"a=b"), ("status", &503)],
        )
    }

    #[test]
    fn logfmt_quotes_what_needs_quotes() {
        assert_eq!(
            line(LogFormat::Logfmt),
            "time=2024-02-29T12:34:56.007Z level=warn msg=\"it \\\"broke\\\"\" peer=\"a=b\" status=503\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = line(LogFormat::Json);
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["time"], "2024-02-29T12:34:56.007Z");
        assert_eq!(object["msg"], "it \"broke\"");
        assert_eq!(object["status"], "503");
    }

    #[test]
    fn a_line_for_the_journal_has_a_priority_and_no_time() {
        for (level, logfmt, json) in [
            (
                Level::Error,
                "<3>level=error msg=x a=b\n",
                r#"<3>{"level":"error","msg":"x","a":"b"}"#,
            ),
            (Level::Warn, "<4>level=warn msg=x a=b\n", r#"<4>{"level":"warn","msg":"x","a":"b"}"#),
            (Level::Info, "<6>level=info msg=x a=b\n", r#"<6>{"level":"info","msg":"x","a":"b"}"#),
            (
                Level::Debug,
                "<7>level=debug msg=x a=b\n",
                r#"<7>{"level":"debug","msg":"x","a":"b"}"#,
            ),
        ] {
            assert_eq!(render(LogFormat::Logfmt, None, level, "x", &[("a", &"b")]), logfmt);
            let found = render(LogFormat::Json, None, level, "x", &[("a", &"b")]);
            assert_eq!(found.trim_end(), json);
        }
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let text =
            render(LogFormat::Logfmt, Some(UNIX_EPOCH), Level::Info, "a\n\u{1b}[2Jb\u{85}", &[]);
        assert!(text.trim_end_matches('\n').chars().all(|char| !char.is_control()), "{text:?}");
        assert!(text.starts_with("time=1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn a_level_includes_the_ones_before_it() {
        let log = Log::new(Level::Warn, LogFormat::Logfmt);
        assert!(log.writes(Level::Error) && log.writes(Level::Warn) && !log.writes(Level::Info));
        log.replace(Level::Debug, LogFormat::Logfmt);
        assert!(log.writes(Level::Debug));
        log.replace(Level::Error, LogFormat::Json);
        assert!(log.writes(Level::Error) && !log.writes(Level::Warn));
    }

    #[test]
    fn no_line_is_longer_than_a_pipe_takes_whole() {
        let long = "\u{1b}ü".repeat(10_000);
        for format in [LogFormat::Logfmt, LogFormat::Json] {
            let fields: [Field<'_>; 2] = [("changed", &long), ("key", &"short")];
            let line = render(format, Some(UNIX_EPOCH), Level::Info, &long, &fields);
            assert!(line.len() <= LOG_LINE_BYTES_MAX, "{}", line.len());
            assert!(line.len() > LOG_LINE_BYTES_MAX / 4, "more is cut than needed: {}", line.len());
            assert_eq!(line.matches('…').count(), 2);
            assert_eq!(line.find('\n'), Some(line.len() - 1));
            if format == LogFormat::Json {
                let object: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(object["key"], "short");
            }
        }
    }

    /// Before lines were cut, and asked for and written under one lock, threads stayed in `write`.
    #[test]
    fn long_lines_to_an_unread_standard_error_block_no_thread() {
        const THREADS: usize = 8;
        const LINES: usize = 300;
        let (reader, writer) = std::io::pipe().unwrap();
        let (log, writer) = (Arc::new(Log::new(Level::Info, LogFormat::Json)), Arc::new(writer));
        let (sender, ended) = mpsc::channel();
        for _ in 0..THREADS {
            let (log, writer, sender) = (Arc::clone(&log), Arc::clone(&writer), sender.clone());
            thread::spawn(move || {
                for number in (0..LINES).rev() {
                    let text = "x".repeat(97 * number);
                    let fields: [Field<'_>; 1] = [("text", &text)];
                    let line =
                        render(LogFormat::Json, Some(UNIX_EPOCH), Level::Info, "long", &fields);
                    log.write(&*writer, LogFormat::Json, &line);
                }
                drop(writer);
                sender.send(()).unwrap();
            });
        }
        for _ in 0..THREADS {
            ended.recv_timeout(Duration::from_secs(60)).expect("a thread waits for the reader");
        }

        // Once somebody reads, the log goes on, and says how much is missing.
        let reading = thread::spawn(move || std::io::read_to_string(reader).unwrap());
        let mut events = (THREADS * LINES) as u64;
        while events == (THREADS * LINES) as u64 || *log.lost.lock().unwrap() > 0 {
            log.write(&*writer, LogFormat::Json, "{\"msg\":\"after\"}\n");
            events += 1;
        }
        drop(writer);
        let (mut written, mut lost) = (0, 0);
        for line in reading.join().unwrap().lines() {
            let object: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            match object["events"].as_str() {
                Some(count) => lost += count.parse::<u64>().unwrap(),
                None => written += 1,
            }
        }
        assert!(lost > 0 && written > 0, "{lost} lost, {written} written");
        assert_eq!(written + lost, events);
    }
}
