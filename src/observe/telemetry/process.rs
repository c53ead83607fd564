//! `/proc/self` → the figures that every client library of Prometheus gives of its process, under
//! the same names (proc(5)).
//!
//! They are read when they are asked for. What cannot be read is left out: there may be no `/proc`.

use super::page::Page;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    started: SystemTime,
}

impl Default for Process {
    /// Its figures are made as one of the first things that it does.
    fn default() -> Process {
        Process { started: SystemTime::now() }
    }
}

/// Ticks in a second, as `/proc/self/stat` counts them: `USER_HZ`, which Linux keeps at 100 for
/// every architecture but Alpha.
const TICKS_PER_SECOND: u64 = 100;

impl Process {
    pub(super) fn render(&self, page: &mut Page) {
        let since_epoch = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = Seconds { whole: since_epoch.as_secs(), millis: since_epoch.subsec_millis() };
        let help = "Start time of the process since unix epoch in seconds.";
        page.gauge("process_start_time_seconds", help);
        page.series(&[], seconds);
        render_proc(page, Path::new("/proc/self"));
    }
}

/// Resident memory of this process, in bytes; none where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    number(&status, RESIDENT).map(bytes)
}

/// The key of the resident memory in `status`, in KiB.
const RESIDENT: &str = "VmRSS:";

fn bytes(kib: u64) -> u64 {
    kib.saturating_mul(1024)
}

fn render_proc(page: &mut Page, proc: &Path) {
    let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
    let limits = fs::read_to_string(proc.join("limits")).unwrap_or_default();
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    if let Some(ticks) = cpu_ticks(&stat) {
        let help = "Total user and system CPU time spent in seconds.";
        let millis = u32::try_from(ticks % TICKS_PER_SECOND * 1000 / TICKS_PER_SECOND);
        page.counter("process_cpu_seconds_total", help);
        page.series(
            &[],
            Seconds { whole: ticks / TICKS_PER_SECOND, millis: millis.unwrap_or_default() },
        );
    }
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            number(&status, RESIDENT).map(bytes),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            number(&status, "VmSize:").map(bytes),
        ),
        ("process_threads", "Number of threads.", number(&status, "Threads:")),
        ("process_open_fds", "Number of open file descriptors.", open_descriptors(proc)),
        (
            "process_max_fds",
            "Maximum number of open file descriptors.",
            number(&limits, "Max open files"),
        ),
    ] {
        if let Some(value) = value {
            page.gauge(name, help);
            page.series(&[], value);
        }
    }
}

/// The first number after `key` at the start of a line. None where it is a word (`unlimited`).
fn number(text: &str, key: &str) -> Option<u64> {
    let after = text.lines().find_map(|line| line.strip_prefix(key))?;
    after.split_whitespace().next()?.parse().ok()
}

/// `utime` and `stime`, the fields 14 and 15 of `stat`. The second field is the name in parentheses
/// and may itself hold blanks and parentheses: fields are counted from after its last one.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    user.checked_add(system)
}

fn open_descriptors(proc: &Path) -> Option<u64> {
    let count = fs::read_dir(proc.join("fd")).ok()?.count();
    // Less the one that this reading has open.
    u64::try_from(count).ok()?.checked_sub(1)
}

/// Seconds with three decimals.
struct Seconds {
    whole: u64,
    millis: u32,
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.whole, self.millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_process_are_found_where_proc_has_them() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 10 0 0 0 250 75 0 0 20 0 9 0 8 9 10";
        assert_eq!(cpu_ticks(stat), Some(325));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        let status = "Name:\ta\nVmRSS:\t    1234 kB\nThreads:\t9\n";
        assert_eq!(number(status, "VmRSS:"), Some(1234));
        assert_eq!(number(status, "VmSize:"), None);
        let limits = "Max processes  1  1 processes\nMax open files  1024  4096  files\n";
        assert_eq!(number(limits, "Max open files"), Some(1024));
        assert_eq!(number("Max open files  unlimited  unlimited\n", "Max open files"), None);
    }

    #[test]
    fn without_proc_its_figures_are_left_out() {
        let (mut with, mut without) = (Page::default(), Page::default());
        render_proc(&mut with, Path::new("/proc/self"));
        render_proc(&mut without, Path::new("/nowhere"));
        let (with, without) = (format!("{with:?}"), format!("{without:?}"));
        assert!(with.contains("process_open_fds") && !without.contains("process"), "{without}");
    }
}
