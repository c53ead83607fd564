//! Lines that a consumer refused for good: counted, logged, and kept in a ring of two files, so
//! that none is lost silently (SPEC 3.3).
//!
//! Each line follows a comment with the time, the status and the consumer's words. The file is
//! line protocol: what was refused can be sent again once the reason is gone. When the next entry
//! would make it larger than `output.rejected.max_bytes`, the file is renamed to `….1`, in the
//! place of the one before.

use super::block::{Block, count_lines};
use super::outcome::RefusedLines;
use crate::json::{self, Markup};
use crate::limits::STATUS_REJECTED_MAX;
use crate::observe::log::{Log, Rfc3339};
use crate::observe::telemetry::{RejectedLine, Telemetry};
use crate::push::sample::Quoted;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// As the output file and the spool: what was pushed is for its owner and its group.
const MODE: u32 = 0o640;

/// What the operator asks for (`[output.rejected]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RejectedOptions {
    /// Where they are kept; none is not at all.
    pub(crate) file: Option<PathBuf>,
    /// The bound of each of the two files.
    pub(crate) bytes_max: usize,
}

/// Where refused lines go.
#[derive(Debug)]
pub(super) struct Rejected {
    ring: Option<Ring>,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    /// The file could not be written.
    is_failing: bool,
}

#[derive(Debug)]
struct Ring {
    path: PathBuf,
    bytes_max: u64,
    /// The open file and its length.
    open: Option<(File, u64)>,
}

impl Rejected {
    pub(super) fn new(
        options: &RejectedOptions,
        telemetry: Arc<Telemetry>,
        log: Arc<Log>,
    ) -> Rejected {
        let bytes_max = u64::try_from(options.bytes_max).unwrap_or(u64::MAX);
        let ring = options.file.clone().map(|path| Ring { path, bytes_max, open: None });
        Rejected { ring, telemetry, log, is_failing: false }
    }

    /// Opens the file anew at the next line (SIGHUP).
    pub(super) fn reopen(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.open = None;
        }
    }

    /// Counts, logs and keeps the lines of a block that were refused.
    pub(super) fn keep(&mut self, block: &Block, refused: &[RefusedLines], now: SystemTime) {
        let mut lines = 0;
        for part in refused {
            let count = count_lines(block.slice(part.bytes.clone()));
            self.telemetry.rejected(part.reason, count);
            lines += count;
        }
        let Some(first) = refused.first() else { return };
        self.show(block, refused, now);
        let line = block.slice(first.bytes.clone());
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.log.warn(
            "the consumer refuses lines",
            &[
                ("lines", &lines),
                ("reason", &first.reason.name()),
                ("status", &first.status.unwrap_or_default()),
                ("words", &first.words),
                ("first", &Quoted(line)),
            ],
        );
        let Some(ring) = &mut self.ring else { return };
        match ring.write(block, refused, now) {
            Ok(()) => self.is_failing = false,
            // They are counted and logged all the same.
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                let path = ring.path.display().to_string();
                self.log.error("cannot keep refused lines", &[("file", &path), ("error", &error)]);
            }
            Err(_) => {}
        }
    }
}

impl Rejected {
    /// Shows the last of these lines to the operator.
    fn show(&self, block: &Block, refused: &[RefusedLines], now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        for part in refused.iter().skip(refused.len().saturating_sub(STATUS_REJECTED_MAX)) {
            let lines = block.slice(part.bytes.clone()).trim_ascii_end();
            // The newest come last, as far as they are shown.
            let mut newest: Vec<_> =
                lines.rsplit(|byte| *byte == b'\n').take(STATUS_REJECTED_MAX).collect();
            newest.reverse();
            for line in newest {
                self.telemetry.last_rejected.note(RejectedLine {
                    time_ms,
                    reason: part.reason,
                    status: part.status,
                    words: part.words.clone(),
                    line: String::from_utf8_lossy(line).into_owned(),
                });
            }
        }
    }
}

impl Ring {
    fn write(
        &mut self,
        block: &Block,
        refused: &[RefusedLines],
        now: SystemTime,
    ) -> io::Result<()> {
        for part in refused {
            let comment = comment(part, now);
            for line in block.slice(part.bytes.clone()).split_inclusive(|byte| *byte == b'\n') {
                let written = self.write_entry(&comment, line);
                if written.is_err() {
                    self.open = None;
                }
                written?;
            }
        }
        Ok(())
    }

    fn write_entry(&mut self, comment: &str, line: &[u8]) -> io::Result<()> {
        let entry = [comment.as_bytes(), line].concat();
        let entry_bytes = u64::try_from(entry.len()).unwrap_or(u64::MAX);
        let bytes = self.opened()?.1;
        if bytes > 0 && bytes.saturating_add(entry_bytes) > self.bytes_max {
            let mut older = OsString::from(&self.path);
            older.push(".1");
            fs::rename(&self.path, older)?;
            self.open = None;
        }
        let (file, bytes) = self.opened()?;
        file.write_all(&entry)?;
        *bytes = bytes.saturating_add(entry_bytes);
        Ok(())
    }

    /// Whether the path still leads to the open file: it is opened anew once it was moved or
    /// removed.
    fn is_at_path(&self, file: &File) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (fs::metadata(&self.path), file.metadata()) {
            (Ok(there), Ok(here)) => identity(there) == identity(here),
            _ => false,
        }
    }

    /// The open file, which is the one at the path, and its length.
    fn opened(&mut self) -> io::Result<&mut (File, u64)> {
        let open = match self.open.take() {
            Some(open) if self.is_at_path(&open.0) => open,
            _ => {
                let mut options = File::options();
                let options = options.create(true).append(true).read(true).mode(MODE);
                let mut file = options.open(&self.path)?;
                if is_cut(&file)? {
                    file.write_all(b"\n")?;
                }
                let bytes = file.metadata()?.len();
                (file, bytes)
            }
        };
        Ok(self.open.insert(open))
    }
}

/// Whether the last entry was cut, as by a full disk: the next one begins on a line of its own.
fn is_cut(file: &File) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last != [b'\n'])
}

/// `# 2026-11-28T19:20:14.000Z status=400 message="…"`
fn comment(part: &RefusedLines, now: SystemTime) -> String {
    let mut comment = format!("# {} ", Rfc3339::from(now));
    match part.status {
        // OK because writing to a String never fails.
        Some(status) => write!(comment, "status={status} ").ok(),
        None => write!(comment, "reason={} ", part.reason.name()).ok(),
    };
    comment.push_str("message=");
    json::quoted(&mut comment, &part.words, Markup::Kept);
    comment.push('\n');
    comment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::log::{Level, LogFormat};
    use crate::observe::telemetry::RejectReason;
    use std::time::{Duration, UNIX_EPOCH};

    fn rejected(path: Option<PathBuf>, bytes_max: usize) -> (Rejected, Arc<Telemetry>) {
        let telemetry = Arc::new(Telemetry::new());
        let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
        let options = RejectedOptions { file: path, bytes_max };
        (Rejected::new(&options, Arc::clone(&telemetry), log), telemetry)
    }

    fn part(bytes: std::ops::Range<usize>, words: &str) -> RefusedLines {
        let reason = RejectReason::Refused;
        RefusedLines { bytes, reason, status: Some(400), words: words.to_owned() }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pushline-rejected-{}-{name}", std::process::id()))
    }

    #[test]
    fn each_refused_line_follows_a_comment_that_says_why() {
        let path = path("why");
        let (mut rejected, telemetry) = rejected(Some(path.clone()), 1 << 20);
        let mut block = Block::default();
        block.append(b"a b=1 1\nc d=2 2\ne f=3 3\n", 3);
        let now = UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        let closed = RefusedLines {
            reason: RejectReason::Disconnected,
            status: None,
            ..part(16..24, "closed the connection")
        };
        rejected.keep(&block, &[part(0..16, "field \"b\" type conflict"), closed], now);
        rejected.keep(&block, &[], now);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# 2024-02-29T12:34:56.007Z status=400 message=\"field \\\"b\\\" type conflict\"\n\
             a b=1 1\n\
             # 2024-02-29T12:34:56.007Z status=400 message=\"field \\\"b\\\" type conflict\"\n\
             c d=2 2\n\
             # 2024-02-29T12:34:56.007Z reason=disconnected message=\"closed the connection\"\n\
             e f=3 3\n"
        );
        let page = telemetry.render();
        for line in [
            "pushline_lines_rejected_total{reason=\"refused\"} 2\n",
            "pushline_lines_rejected_total{reason=\"disconnected\"} 1\n",
        ] {
            assert!(page.contains(line), "{page}");
        }
        let shown = telemetry.last_rejected.newest_first();
        let shown: Vec<_> = shown.iter().map(|line| (&*line.line, &*line.words)).collect();
        let why = "field \"b\" type conflict";
        let want = [("e f=3 3", "closed the connection"), ("c d=2 2", why), ("a b=1 1", why)];
        assert_eq!(shown, want);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn two_files_hold_the_latest_lines_within_their_bound() {
        let (path, older) = (path("ring"), path("ring.1"));
        let (mut rejected, _) = rejected(Some(path.clone()), 1000);
        for number in 0..100 {
            let mut block = Block::default();
            block.append(format!("a b={number} 1\n").as_bytes(), 1);
            let bytes = 0..block.bytes().len();
            rejected.keep(&block, &[part(bytes, "no")], UNIX_EPOCH);
            if number == 50 {
                rejected.reopen();
            }
        }
        let (new, old) = (fs::read_to_string(&path).unwrap(), fs::read_to_string(&older).unwrap());
        assert!(new.len() <= 1000 && old.len() <= 1000, "{} {}", new.len(), old.len());
        let both = old + &new;
        let kept: Vec<&str> = both.lines().filter(|line| !line.starts_with('#')).collect();
        let last: Vec<String> =
            (100 - kept.len()..100).map(|number| format!("a b={number} 1")).collect();
        assert_eq!(kept, last);
        assert!(kept.len() > 1000 / 70, "more than one file holds");
        fs::remove_file(path).unwrap();
        fs::remove_file(older).unwrap();
    }

    #[test]
    fn an_entry_that_was_cut_is_followed_on_a_line_of_its_own_and_others_read_none() {
        use std::os::unix::fs::PermissionsExt;
        let path = path("cut");
        let (mut rejected, _) = rejected(Some(path.clone()), 1 << 20);
        let mut block = Block::default();
        block.append(b"a b=1 1\n", 1);
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
        let entry = fs::read_to_string(&path).unwrap();
        // As a full disk leaves it.
        fs::write(&path, format!("{entry}# 1970-01-0")).unwrap();
        rejected.reopen();
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        let found = fs::read_to_string(&path).unwrap();
        assert_eq!(found, format!("{entry}# 1970-01-0\n{entry}"));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_opened_anew() {
        let (path, moved) = (path("moved"), path("moved.away"));
        let (mut rejected, _) = rejected(Some(path.clone()), 1 << 20);
        let mut block = Block::default();
        block.append(b"a b=1 1\n", 1);
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        fs::rename(&path, &moved).unwrap();
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        assert_eq!(fs::read(&path).unwrap(), fs::read(&moved).unwrap());
        fs::remove_file(&path).unwrap();
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        assert_eq!(fs::read(&path).unwrap(), fs::read(&moved).unwrap());
        fs::remove_file(path).unwrap();
        fs::remove_file(moved).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_costs_nothing_but_the_file() {
        let (mut rejected, telemetry) = rejected(Some("/nowhere/rejected".into()), 1000);
        let mut block = Block::default();
        block.append(b"a b=1 1\n", 1);
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        rejected.keep(&block, &[part(0..8, "no")], UNIX_EPOCH);
        assert!(
            telemetry.render().contains("pushline_lines_rejected_total{reason=\"refused\"} 2\n")
        );
    }
}
