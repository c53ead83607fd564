//! What holds of a spool as a whole, on a real disk.

use super::appender::AppendError;
use super::state::Dropped;
use super::*;
use crate::delivery::sink::Unsettled;
use crate::limits::SPOOL_BAD_SEGMENTS_MAX;
use crate::observe::log::{Level, LogFormat};
use crate::observe::telemetry::Telemetry;
use crate::system::Moment;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A folder of its own for one test, in memory where the machine has such a place.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("pushline-spool-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.0).is_err() {
            // OK because the system empties this place sooner or later.
        }
    }
}

fn options(dir: PathBuf) -> SpoolOptions {
    let after = Duration::from_secs(1);
    SpoolOptions { dir, bytes_max: 1 << 20, age_max: None, after, when_full: WhenFull::Refuse }
}

/// Both ends of a spool, and what is counted of it.
struct Ends {
    appender: Appender,
    drainer: Drainer,
    telemetry: Arc<Telemetry>,
}

impl Ends {
    fn open(options: SpoolOptions) -> Result<Ends, UnusableSpool> {
        let telemetry = Arc::new(Telemetry::new());
        let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
        let (appender, drainer) = open(options, Arc::clone(&telemetry), log)?;
        Ok(Ends { appender, drainer, telemetry })
    }

    /// Opens a spool that was closed a moment ago. A child that another test is just starting has
    /// its lock, too, until it runs its own program.
    fn open_again(options: &SpoolOptions) -> Ends {
        loop {
            match Ends::open(options.clone()) {
                Ok(ends) => return ends,
                Err(error) if error.to_string().contains(" belongs to ") => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn append(&mut self, lines: &str, now_ms: u64) -> Result<RecordSpan, AppendError> {
        let line_count = u32::try_from(lines.lines().count()).unwrap();
        let push = PushLines { lines: lines.as_bytes(), line_count };
        let Appended { count, span, failure } = self.appender.append(&[push], at(now_ms));
        assert_eq!(count, usize::from(failure.is_none()));
        failure.map_or(Ok(span), Err)
    }

    /// Everything that waits, push by push, delivered.
    fn drain(&mut self, now_ms: u64) -> Vec<String> {
        let (mut pushes, mut drained) = (Vec::new(), Drained::default());
        while self.drainer.take(100, at(now_ms), &mut drained).unwrap() {
            pushes.extend(texts(&drained));
            self.drainer.delivered(&drained, Unsettled::default());
        }
        pushes
    }

    fn lost(&self) -> u64 {
        self.telemetry.spool_damaged_records.get()
    }
}

/// So long after 1970, on a host that started then.
fn at(time_ms: u64) -> Moment {
    Moment { unix_ms: time_ms, uptime_ms: time_ms }
}

fn texts(drained: &Drained) -> Vec<String> {
    let block = &drained.block;
    let text = |bytes| String::from_utf8(block.slice(bytes).to_vec()).unwrap();
    block.pushes().map(|(bytes, _)| text(bytes)).collect()
}

fn push(number: usize) -> String {
    // Of different lengths, and sometimes of two lines.
    let second = if number.is_multiple_of(3) { format!("b n={number} 2\n") } else { String::new() };
    format!("a,n={} v={number} 1\n{second}", "x".repeat(number % 7))
}

/// A folder's files, by name.
type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect()
}

/// Puts just these files into a folder.
fn set(folder: &Path, files: &Files) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir(folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// How many pushes the small spool has had, and how many of them are delivered.
const PUSHES: usize = 10;
const DELIVERED: usize = 2;

/// A spool of three segments, some of it delivered.
fn small_spool(scratch: &Scratch) -> (SpoolOptions, Files) {
    let options = SpoolOptions { bytes_max: 4 * 200, ..options(scratch.spool()) };
    let mut ends = Ends::open(options.clone()).unwrap();
    for number in 0..PUSHES {
        ends.append(&push(number), 1000 + number as u64).unwrap();
    }
    let mut drained = Drained::default();
    for _ in 0..DELIVERED {
        assert!(ends.drainer.take(1, at(0), &mut drained).unwrap());
        ends.drainer.delivered(&drained, Unsettled::default());
    }
    ends.appender.close().unwrap();
    let files = files(&options.dir);
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    (options, files)
}

/// What a damaged small spool yields: the numbers of its pushes, in order, and how many are counted
/// as lost. Fails where it yields anything that was not pushed.
fn yielded(options: &SpoolOptions, what: &str) -> (Vec<usize>, u64) {
    let mut shown = Vec::new();
    let shown_lost = print(&options.dir, &mut shown).unwrap();
    let mut ends = Ends::open_again(options);
    let number = |text: &String| {
        let found = (0..PUSHES).find(|number| push(*number) == *text);
        found.unwrap_or_else(|| panic!("{what}: {text:?} was not pushed"))
    };
    let pushes = ends.drain(0);
    let numbers: Vec<usize> = pushes.iter().map(number).collect();
    assert_eq!(String::from_utf8(shown).unwrap(), pushes.concat(), "{what}: as it is shown");
    assert_eq!(shown_lost, ends.lost(), "{what}: as it is shown");
    assert!(numbers.is_sorted_by(|one, next| one < next), "{what}: {numbers:?}");
    assert!(ends.drainer.is_empty(), "{what}");
    assert_eq!(ends.telemetry.spool_lines.get(), 0, "{what}");
    // It goes on as any spool does.
    ends.append("new n=1 1\n", 5000).unwrap_or_else(|error| panic!("{what}: {error}"));
    let lost = ends.lost();
    assert_eq!(ends.drain(0), ["new n=1 1\n"], "{what}");
    assert_eq!(ends.lost(), lost, "{what}: nothing of the new segment is lost");
    (numbers, lost)
}

#[test]
fn what_is_pushed_comes_back_in_order_across_restarts() {
    let scratch = Scratch::new();
    let options = SpoolOptions { bytes_max: 4 * 2000, ..options(scratch.spool()) };
    let mut wanted = Vec::new();
    for restart in 0..5 {
        let mut ends = Ends::open_again(&options);
        for number in 0..20 {
            let text = push(restart * 20 + number);
            ends.append(&text, 1).unwrap();
            wanted.push(text);
        }
        let mut drained = Drained::default();
        assert!(ends.drainer.take(100, at(0), &mut drained).unwrap());
        let first = texts(&drained);
        assert_eq!(first, wanted.drain(..first.len()).collect::<Vec<_>>());
        ends.drainer.delivered(&drained, Unsettled::default());
        ends.appender.close().unwrap();
    }
    let mut ends = Ends::open_again(&options);
    let lines: usize = wanted.iter().map(|text| text.lines().count()).sum();
    assert_eq!(ends.telemetry.spool_lines.get(), lines as u64);
    assert_eq!(ends.drain(0), wanted);
    assert_eq!((ends.lost(), ends.telemetry.spool_lines.get()), (0, 0));
}

#[test]
fn an_unharmed_spool_yields_what_waits() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    set(&options.dir, &files);
    assert_eq!(yielded(&options, "unharmed"), ((DELIVERED..PUSHES).collect(), 0));
}

#[test]
fn every_single_flipped_bit_costs_one_push_at_most_and_is_counted() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    for (name, bytes) in &files {
        for bit in 0..bytes.len() * 8 {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            set(&options.dir, &damaged);
            let what = format!("bit {bit} of {name}");
            let (numbers, lost) = yielded(&options, &what);
            // With a cursor that says nothing, all is delivered again.
            let first = if name == "cursor" { 0 } else { DELIVERED };
            let missing = (first..PUSHES).filter(|number| !numbers.contains(number)).count();
            assert_eq!(missing as u64, lost, "{what}: {numbers:?}");
            assert!(lost <= 1, "{what}: {numbers:?}");
            let is_header = name == "cursor" || bit < 8 * format::SEGMENT_HEADER_BYTES;
            assert!(!is_header || lost == 0, "{what}: a header costs no push");
        }
    }
}

#[test]
fn every_truncation_costs_what_is_cut_off_and_no_more() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    for (name, bytes) in &files {
        let is_last = files.keys().rev().find(|name| *name != "cursor") == Some(name);
        for len in 0..bytes.len() {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap().truncate(len);
            set(&options.dir, &damaged);
            let what = format!("{name} cut at {len} of {}", bytes.len());
            let (numbers, lost) = yielded(&options, &what);
            let whole = whole_pushes(&bytes[..len]);
            let cut: Vec<usize> = whole_pushes(bytes).split_off(whole.len());
            let missing: Vec<usize> =
                (DELIVERED..PUSHES).filter(|number| !numbers.contains(number)).collect();
            assert!(missing.iter().all(|number| cut.contains(number)), "{what}: {missing:?}");
            // The end of the last segment may have been being written: nobody was told it is safe.
            let counted = if is_last { 0 } else { missing.len() as u64 };
            assert_eq!(lost, counted, "{what}: {missing:?}");
        }
    }
}

/// The pushes of a segment that are whole in these bytes.
fn whole_pushes(segment: &[u8]) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut at = format::SEGMENT_HEADER_BYTES;
    while let format::RecordRead::Record(record, after) = format::read_record(segment, at) {
        numbers.push(usize::try_from(record.sequence).unwrap());
        at = after;
    }
    numbers
}

#[test]
fn missing_doubled_and_foreign_files_cost_only_what_is_missing() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    let segments: Vec<String> = files.keys().filter(|name| *name != "cursor").cloned().collect();
    let [first, second, third] = segments.as_slice() else { panic!("{segments:?}") };
    let pushes = |name: &String| whole_pushes(&files[name]);
    let waiting: Vec<usize> = (DELIVERED..PUSHES).collect();
    let without = |numbers: &[usize]| {
        waiting.iter().copied().filter(|number| !numbers.contains(number)).collect::<Vec<_>>()
    };
    type Harm<'a> = Box<dyn Fn(&mut Files) + 'a>;
    let remove = |name: &'static str| -> Harm<'_> {
        Box::new(move |files: &mut Files| assert!(files.remove(name).is_some()))
    };
    let add = |name: &str, bytes: Vec<u8>| -> Harm<'_> {
        let name = name.to_owned();
        Box::new(move |files: &mut Files| {
            files.insert(name.clone(), bytes.clone());
        })
    };
    let drop_segment = |name: &String| -> Harm<'_> {
        let name = name.clone();
        Box::new(move |files: &mut Files| assert!(files.remove(&name).is_some()))
    };
    let cursor = |sequence| format::write_cursor(format::Position { sequence, lines: 0 });
    let all: Vec<usize> = (0..PUSHES).collect();
    let (one, two) = (pushes(first), pushes(second));
    let lost_of_one = (one.len() - DELIVERED) as u64;
    let other = "00000000000000000099.seg";
    for (what, harm, numbers, lost) in [
        ("no cursor", remove("cursor"), all.clone(), 0),
        ("an older cursor", add("cursor", cursor(1)), (1..PUSHES).collect(), 0),
        ("a cursor of the end", add("cursor", cursor(PUSHES as u64)), Vec::new(), 0),
        ("a newer cursor", add("cursor", cursor(1000)), all.clone(), 0),
        ("an empty cursor", add("cursor", Vec::new()), all.clone(), 0),
        ("no first segment", drop_segment(first), without(&one), lost_of_one),
        ("no second segment", drop_segment(second), without(&two), two.len() as u64),
        ("no third segment", drop_segment(third), without(&pushes(third)), 0),
        ("a doubled segment", add(other, files[second].clone()), waiting.clone(), 0),
        ("garbage", add(other, vec![7; 500]), waiting.clone(), 0),
        ("garbage in between", add("00000000000000000001.seg", vec![7; 500]), waiting.clone(), 0),
        ("an unreadable last segment", add(third, vec![0; 500]), without(&pushes(third)), 1),
        ("an empty segment", add(other, Vec::new()), waiting.clone(), 0),
        ("a half header", add(other, files[second][..39].to_vec()), waiting.clone(), 0),
        ("foreign files", add("notes.txt", b"PLSEGMNT".to_vec()), waiting.clone(), 0),
        ("a half cursor", add("cursor.new", b"PLCURSOR".to_vec()), waiting.clone(), 0),
    ] {
        let mut harmed = files.clone();
        harm(&mut harmed);
        set(&options.dir, &harmed);
        assert_eq!(yielded(&options, what), (numbers, lost), "{what}");
    }
    // A folder and a socket of a segment's name.
    set(&options.dir, &files);
    fs::create_dir(options.dir.join(other)).unwrap();
    assert_eq!(yielded(&options, "a folder"), (waiting.clone(), 0));
    let renamed = options.dir.join("00000000000000000050.seg");
    set(&options.dir, &files);
    fs::rename(options.dir.join(second), renamed).unwrap();
    assert_eq!(yielded(&options, "a renamed segment"), (waiting, 0));
}

#[test]
fn a_pipe_in_the_folder_is_not_waited_for() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    for (name, first) in [("00000000000000000099.seg", DELIVERED), ("cursor", 0)] {
        let others = files.iter().filter(|(other, _)| *other != name);
        set(&options.dir, &others.map(|(name, bytes)| (name.clone(), bytes.clone())).collect());
        let path = options.dir.join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(yielded(&options, name), ((first..PUSHES).collect(), 0));
    }
}

#[test]
fn a_damaged_segment_is_kept_and_only_the_newest_few() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    let mut damaged = files.clone();
    let second = files.keys().nth(1).unwrap();
    *damaged.get_mut(second).unwrap().last_mut().unwrap() ^= 1;
    for number in 0..SPOOL_BAD_SEGMENTS_MAX + 2 {
        damaged.insert(format!("{number:020}.seg.bad"), Vec::new());
    }
    set(&options.dir, &damaged);
    let mut ends = Ends::open(options.clone()).unwrap();
    ends.drain(0);
    assert_eq!(ends.lost(), 1);
    ends.appender.close().unwrap();
    let left = self::files(&options.dir);
    let kept: Vec<_> = left.keys().filter(|name| name.ends_with(".bad")).collect();
    assert_eq!(kept.len(), SPOOL_BAD_SEGMENTS_MAX, "{kept:?}");
    assert_eq!(left[&format!("{second}.bad")], damaged[second]);
    assert!(!left.keys().any(|name| name.ends_with(".seg")), "{:?}", left.keys());
}

#[test]
fn records_that_a_failed_write_left_do_not_pass_for_those_of_the_next_segment() {
    let scratch = Scratch::new();
    let (options, mut files) = small_spool(&scratch);
    let second = files.keys().nth(1).unwrap();
    let start = format::sequence_of(second).unwrap();
    let first = files.values_mut().next().unwrap();
    for sequence in start..start + 2 {
        let record = format::Record { sequence, time_ms: 1, line_count: 1, lines: b"a v=77 1\n" };
        format::write_record(record, first);
    }
    set(&options.dir, &files);
    let mut shown = Vec::new();
    assert_eq!(print(&options.dir, &mut shown).unwrap(), 0);
    let wanted: Vec<String> = (DELIVERED..PUSHES).map(push).collect();
    assert_eq!(String::from_utf8(shown).unwrap(), wanted.concat());
    assert_eq!(yielded(&options, "what is left"), ((DELIVERED..PUSHES).collect(), 0));
}

#[test]
fn segments_of_a_newer_pushline_are_kept_all_of_them() {
    let scratch = Scratch::new();
    let (options, mut files) = small_spool(&scratch);
    let names: Vec<String> = (20..30).map(|number| format!("{number:020}.seg")).collect();
    let mut newer = files.values().next().unwrap().clone();
    newer[8] = 2;
    let checksum = crc32fast::hash(&newer[..36]);
    newer[36..40].copy_from_slice(&checksum.to_le_bytes());
    for name in &names {
        files.insert(name.clone(), newer.clone());
    }
    set(&options.dir, &files);
    let waiting: Vec<usize> = (DELIVERED..PUSHES).collect();
    let shown = list(&options.dir).unwrap().to_string();
    assert!(shown.contains(&format!("a newer pushline, not read: {}\n", names[9])), "{shown}");
    assert_eq!(yielded(&options, "of both versions"), (waiting, 0));
    let left = self::files(&options.dir);
    for name in &names {
        assert_eq!(left.get(&format!("{name}.newer")), Some(&newer), "{name}");
    }
    let shown = list(&options.dir).unwrap().to_string();
    assert!(
        shown.contains(&format!("a newer pushline, not read: {}.newer\n", names[9])),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_larger_than_a_segment_can_be_is_not_read() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    set(&options.dir, &files);
    let mut huge = files.values().next().unwrap()[..40].to_vec();
    huge[12] = 99;
    let checksum = crc32fast::hash(&huge[..36]);
    huge[36..].copy_from_slice(&checksum.to_le_bytes());
    let name = options.dir.join("00000000000000000099.seg");
    fs::write(&name, huge).unwrap();
    let bytes = crate::limits::SPOOL_READ_BYTES_MAX + 1;
    fs::OpenOptions::new().write(true).open(&name).unwrap().set_len(bytes).unwrap();
    let mut ends = Ends::open_again(&options);
    assert_eq!((ends.drain(0).len(), ends.lost()), (PUSHES - DELIVERED, 0));
    assert!(options.dir.join("00000000000000000099.seg.bad").is_file());
}

/// The start of this file of the system cannot be read: that is the error of a bad disk.
const UNREADABLE: &str = "/proc/self/mem";

#[test]
fn what_a_bad_disk_does_not_give_stops_no_start() {
    let error = fs::read(UNREADABLE).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    for name in ["cursor", "00000000000000000099.seg"] {
        set(&options.dir, &files);
        let path = options.dir.join(name);
        if path.exists() {
            fs::remove_file(&path).unwrap();
        }
        std::os::unix::fs::symlink(UNREADABLE, &path).unwrap();
        let first = if name == "cursor" { 0 } else { DELIVERED };
        let numbers: Vec<usize> = (first..PUSHES).collect();
        assert_eq!(yielded(&options, name), (numbers, 0));
    }
}

#[test]
fn what_a_disk_does_not_give_any_more_is_counted_and_delivery_goes_on() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    set(&options.dir, &files);
    let mut ends = Ends::open_again(&options);
    let second = files.keys().nth(1).unwrap();
    let path = options.dir.join(second);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(UNREADABLE, &path).unwrap();
    let lost = whole_pushes(&files[second]);
    let wanted = (DELIVERED..PUSHES).filter(|number| !lost.contains(number)).map(push);
    assert_eq!(ends.drain(0), wanted.collect::<Vec<_>>());
    assert_eq!(ends.lost(), lost.len() as u64);
    ends.appender.close().unwrap();
    assert!(options.dir.join(format!("{second}.bad")).is_symlink());
}

#[test]
fn a_second_process_is_told_which_one_has_the_folder() {
    let scratch = Scratch::new();
    let ends = Ends::open(options(scratch.spool())).unwrap();
    let error = Ends::open(options(scratch.spool())).err().unwrap().to_string();
    let me = std::process::id();
    assert!(error.contains(&format!("belongs to process {me}, which is running")), "{error}");
    drop(ends);
    Ends::open_again(&options(scratch.spool()));
}

#[test]
fn nothing_is_written_while_nothing_waits() {
    let scratch = Scratch::new();
    let ends = Ends::open(options(scratch.spool())).unwrap();
    ends.appender.tidy(at(1)).unwrap();
    ends.appender.close().unwrap();
    assert_eq!(files(&scratch.spool()), Files::new());
}

#[test]
fn a_spool_of_which_nothing_is_delivered_needs_no_cursor() {
    let scratch = Scratch::new();
    let options = options(scratch.spool());
    for start in 0..3 {
        let mut ends = Ends::open_again(&options);
        ends.appender.tidy(at(1)).unwrap();
        ends.append(&push(start), 1).unwrap();
        ends.appender.close().unwrap();
        let names: Vec<String> = files(&options.dir).into_keys().collect();
        assert_eq!(names, [format::segment_name(0)]);
    }
    assert_eq!(Ends::open_again(&options).drain(0), (0..3).map(push).collect::<Vec<_>>());
}

#[test]
fn a_full_spool_refuses_what_does_not_fit_and_takes_what_does() {
    let scratch = Scratch::new();
    let options = SpoolOptions { bytes_max: 4096, ..options(scratch.spool()) };
    let mut ends = Ends::open(options).unwrap();
    let text = "a v=1 1\n".repeat(100);
    let push = PushLines { lines: text.as_bytes(), line_count: 100 };
    let Appended { count, failure, .. } = ends.appender.append(&[push; 9], at(1));
    assert_eq!(count, 4);
    assert!(
        matches!(failure, Some(AppendError::Full { bytes_max: 4096, is_held: false })),
        "{failure:?}"
    );
    assert_eq!(ends.telemetry.spool_lines.get(), 400);
    assert!(ends.telemetry.spool_bytes.get() <= 4096);
    assert_eq!(ends.drain(0).len(), 4);
    let huge = "a v=1 1\n".repeat(1000);
    let huge = PushLines { lines: huge.as_bytes(), line_count: 1000 };
    let Appended { count, failure, .. } = ends.appender.append(&[huge, push], at(1));
    assert_eq!(count, 0, "order is kept");
    let words = "the spool has no place for 8076 bytes at once (4096, spool.max_bytes)";
    assert_eq!(failure.unwrap().to_string(), words);
    assert_eq!(ends.appender.append(&[push; 4], at(1)).count, 4, "what is delivered makes room");
}

#[test]
fn a_full_spool_that_may_drop_its_oldest_lines_keeps_the_newest() {
    let scratch = Scratch::new();
    let when_full = WhenFull::DropOldest;
    let options = SpoolOptions { bytes_max: 8192, when_full, ..options(scratch.spool()) };
    let mut ends = Ends::open(options.clone()).unwrap();
    let mut drained = Drained::default();
    for number in 0..1000 {
        ends.append(&push(number), 1).unwrap();
        // A block is on its way from the start.
        if number == 10 {
            assert!(ends.drainer.take(100, at(0), &mut drained).unwrap());
        }
    }
    assert!(ends.telemetry.spool_bytes.get() <= 8192);
    let dropped = ends.telemetry.spool_dropped_full.get();
    let waiting = ends.telemetry.spool_lines.get();
    let pushed: usize = (0..1000).map(|number| push(number).lines().count()).sum();
    let on_its_way: usize = texts(&drained).iter().map(|text| text.lines().count()).sum();
    assert_eq!(dropped + waiting, pushed as u64);
    ends.drainer.delivered(&drained, Unsettled::default());
    assert_eq!(ends.telemetry.spool_dropped_full.get(), dropped, "what arrived is not dropped");
    assert_eq!(ends.telemetry.spool_lines.get(), waiting - on_its_way as u64);
    drop(ends);
    let mut ends = Ends::open_again(&options);
    let left = ends.drain(0);
    let wanted: Vec<String> = (1000 - left.len()..1000).map(push).collect();
    assert_eq!((left, ends.lost()), (wanted, 0));
}

#[test]
fn what_is_given_up_while_it_is_offered_is_dropped_only_if_the_output_does_not_take_it() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fate {
        Taken,
        OfferedAgain,
        Closed,
    }
    for (why, fate) in [
        (Dropped::Full, Fate::Taken),
        (Dropped::Full, Fate::OfferedAgain),
        (Dropped::Full, Fate::Closed),
        (Dropped::Expired, Fate::Taken),
        (Dropped::Expired, Fate::OfferedAgain),
        (Dropped::Expired, Fate::Closed),
    ] {
        let scratch = Scratch::new();
        let mut options = SpoolOptions { bytes_max: 4000, ..options(scratch.spool()) };
        (options.when_full, options.age_max) =
            (WhenFull::DropOldest, Some(Duration::from_secs(60)));
        let mut ends = Ends::open(options).unwrap();
        // Three lines of the first segment are offered, and two more of it wait.
        for number in 0..5 {
            ends.append(&format!("a v={number} 1\n"), 1).unwrap();
        }
        let mut drained = Drained::default();
        assert!(ends.drainer.take(3 * "a v=0 1\n".len(), at(1), &mut drained).unwrap());
        assert_eq!(texts(&drained).len(), 3);
        if why == Dropped::Full {
            let large = format!("b v=\"{}\" 1\n", "x".repeat(3000));
            ends.append(&large, 1).unwrap();
            ends.append(&large, 1).unwrap();
        } else {
            ends.appender.tidy(at(100_000)).unwrap();
        }
        let telemetry = Arc::clone(&ends.telemetry);
        let dropped = || telemetry.spool_dropped_full.get() + telemetry.spool_dropped_expired.get();
        let waiting = || telemetry.spool_lines.get();
        let pushed = if why == Dropped::Full { 7 } else { 5 };
        assert_eq!(dropped() + waiting(), pushed, "{why:?} {fate:?}");
        assert!(dropped() >= 2, "{why:?} {fate:?}");
        match fate {
            Fate::Taken => ends.drainer.delivered(&drained, Unsettled::default()),
            Fate::OfferedAgain => {
                ends.drainer.take(100, at(1), &mut drained).unwrap();
            }
            Fate::Closed => ends.appender.close().unwrap(),
        }
        let arrived = if fate == Fate::Taken { 3 } else { 0 };
        assert_eq!(dropped() + waiting() + arrived, pushed, "{why:?} {fate:?}");
    }
}

#[test]
fn what_is_too_old_goes_from_the_disk_and_waits_for_its_answer_where_it_is_on_its_way() {
    let scratch = Scratch::new();
    let age_max = Some(Duration::from_secs(60));
    let options = SpoolOptions { age_max, ..options(scratch.spool()) };
    let mut ends = Ends::open(options.clone()).unwrap();
    let mut drained = Drained::default();
    for second in 0..3600 {
        let now_ms = 1_000_000 + second * 1000;
        ends.append(&format!("a v={second} 1\n"), now_ms).unwrap();
        if second == 0 {
            assert!(ends.drainer.take(100, at(now_ms), &mut drained).unwrap());
        }
        ends.appender.tidy(at(now_ms)).unwrap();
        let telemetry = &ends.telemetry;
        let (waiting, dropped) = (&telemetry.spool_lines, &telemetry.spool_dropped_expired);
        assert_eq!(waiting.get() + dropped.get(), second + 1);
        assert_eq!(telemetry.spool_oldest_ms.get(), 1_000_000, "the one on its way");
        assert_eq!(telemetry.spool_memory_lines.get(), u64::from(dropped.get() > 0));
    }
    assert!((60..80).contains(&ends.telemetry.spool_lines.get()), "a segment more at most");
    assert!(files(&options.dir).len() < 15);
    let dropped = ends.telemetry.spool_dropped_expired.get();
    ends.drainer.delivered(&drained, Unsettled::default());
    assert_eq!(ends.telemetry.spool_dropped_expired.get(), dropped, "what arrived is not dropped");
    assert!(ends.telemetry.spool_oldest_ms.get() > 4_500_000);
    let waiting = ends.telemetry.spool_lines.get();
    // As a kill leaves it: nothing is closed.
    drop(ends);
    let ends = Ends::open_again(&options);
    assert_eq!(ends.telemetry.spool_lines.get(), waiting);
}

#[test]
fn what_may_have_to_be_sent_again_keeps_a_spool_full_until_it_is_too_old() {
    // In one segment, and in several.
    for (together, count) in [(40, 40), (1, 25)] {
        let scratch = Scratch::new();
        let age_max = Some(Duration::from_secs(60));
        let options = SpoolOptions { bytes_max: 4000, age_max, ..options(scratch.spool()) };
        let mut ends = Ends::open(options).unwrap();
        let text = push(1);
        let one = PushLines { lines: text.as_bytes(), line_count: 1 };
        for _ in 0..count / together {
            ends.appender.append(&vec![one; together], at(1));
        }
        let delivered = ends.telemetry.spool_lines_total.get();
        // The reader takes all of it, and is away before that is settled.
        let unsettled = Unsettled { since: Some(Instant::now()), is_in_doubt: true };
        let mut drained = Drained::default();
        while ends.drainer.take(100, at(1), &mut drained).unwrap() {
            ends.drainer.delivered(&drained, unsettled);
        }
        let large = "y".repeat(600);
        let error = loop {
            if let Err(error) = ends.append(&large, 2) {
                break error.to_string();
            }
        };
        let words = "the spool is full, also with lines that may have to be sent again (4000 \
                     bytes, spool.max_bytes)";
        assert_eq!(error, words);
        ends.appender.tidy(at(60_000)).unwrap();
        assert!(ends.append(&large, 60_000).is_err(), "nothing is too old");
        ends.appender.tidy(at(61_000)).unwrap();
        assert!(ends.appender.may_have_room());
        assert_eq!(ends.telemetry.spool_lines.get(), 0);
        let others = ends.telemetry.spool_lines_total.get() - delivered;
        assert_eq!(ends.telemetry.spool_dropped_expired.get(), others);
        ends.append(&large, 61_000).unwrap();
    }
}

#[test]
fn what_may_have_to_be_sent_again_makes_room_where_the_oldest_lines_may_be_dropped() {
    let scratch = Scratch::new();
    let when_full = WhenFull::DropOldest;
    let options = SpoolOptions { bytes_max: 4000, when_full, ..options(scratch.spool()) };
    let mut ends = Ends::open(options).unwrap();
    let text = push(1);
    let one = PushLines { lines: text.as_bytes(), line_count: 1 };
    let Appended { count, .. } = ends.appender.append(&[one; 40], at(1));
    // Of the only segment, the reader takes the first lines, and is away before they are settled.
    let unsettled = Unsettled { since: Some(Instant::now()), is_in_doubt: true };
    let mut drained = Drained::default();
    assert!(ends.drainer.take(100, at(1), &mut drained).unwrap());
    ends.drainer.delivered(&drained, unsettled);
    let large = "y".repeat(3000);
    ends.append(&large, 2).unwrap();
    let waited = (count - texts(&drained).len()) as u64;
    assert_eq!(ends.telemetry.spool_dropped_full.get(), waited);
    assert_eq!(ends.drain(2), [large]);
}

#[test]
fn lines_are_counted_under_the_reason_for_which_they_were_given_up() {
    let scratch = Scratch::new();
    let mut options = SpoolOptions { bytes_max: 4000, ..options(scratch.spool()) };
    (options.when_full, options.age_max) = (WhenFull::DropOldest, Some(Duration::from_secs(60)));
    let mut ends = Ends::open(options).unwrap();
    let large = format!("b v=\"{}\" 1\n", "x".repeat(1200));
    ends.append(&large, 1).unwrap();
    let mut drained = Drained::default();
    assert!(ends.drainer.take(1, at(1), &mut drained).unwrap());
    for _ in 0..3 {
        ends.append(&large, 1).unwrap();
    }
    ends.appender.tidy(at(100_000)).unwrap();
    assert!(!ends.drainer.take(1, at(1), &mut drained).unwrap());
    let dropped = (&ends.telemetry.spool_dropped_full, &ends.telemetry.spool_dropped_expired);
    assert_eq!((dropped.0.get(), dropped.1.get()), (1, 3));
}

#[test]
fn a_segment_that_somebody_has_removed_does_not_keep_a_full_spool_full() {
    let scratch = Scratch::new();
    let when_full = WhenFull::DropOldest;
    let age_max = Some(Duration::from_secs(60));
    let options = SpoolOptions { bytes_max: 8192, when_full, age_max, ..options(scratch.spool()) };
    let mut ends = Ends::open(options.clone()).unwrap();
    let mut count = 0;
    while files(&options.dir).len() < 3 {
        ends.append(&push(count), 1).unwrap();
        count += 1;
    }
    fs::remove_file(options.dir.join(format::segment_name(0))).unwrap();
    let mut drained = Drained::default();
    assert!(ends.drainer.take(100, at(1), &mut drained).unwrap(), "the next one is read");
    for number in count..1000 {
        ends.append(&push(number), 1).unwrap();
    }
    assert!(ends.telemetry.spool_dropped_full.get() > 0);
    ends.appender.tidy(at(1_000_000)).unwrap();
    assert_eq!(ends.telemetry.spool_lines.get(), texts(&drained).len() as u64, "those on the way");
}

#[test]
fn lines_are_delivered_or_dropped_whoever_is_faster() {
    for age_max in [None, Some(Duration::from_millis(3))] {
        for round in 0..20 {
            let scratch = Scratch::new();
            let when_full = WhenFull::DropOldest;
            let options = options(scratch.spool());
            let options = SpoolOptions { bytes_max: 16 << 10, when_full, age_max, ..options };
            let Ends { mut appender, mut drainer, telemetry } = Ends::open(options).unwrap();
            let is_over = AtomicBool::new(false);
            let (delivered, pushed) = std::thread::scope(|scope| {
                let drain = scope.spawn(|| {
                    let (mut drained, mut delivered) = (Drained::default(), 0);
                    loop {
                        let is_last = is_over.load(Ordering::Acquire);
                        if drainer.take(2000, Moment::now(), &mut drained).unwrap() {
                            delivered += drained.block.line_count();
                            drainer.delivered(&drained, Unsettled::default());
                        } else if is_last {
                            return delivered;
                        }
                    }
                });
                let mut pushed = 0;
                for number in 0..400 {
                    let text = push(number);
                    let line_count = u32::try_from(text.lines().count()).unwrap();
                    let one = PushLines { lines: text.as_bytes(), line_count };
                    let Appended { failure, .. } = appender.append(&[one, one, one], Moment::now());
                    assert!(failure.is_none(), "round {round}: {failure:?}");
                    pushed += 3 * u64::from(line_count);
                    appender.tidy(Moment::now()).unwrap();
                }
                is_over.store(true, Ordering::Release);
                (drain.join().unwrap(), pushed)
            });
            let dropped =
                telemetry.spool_dropped_full.get() + telemetry.spool_dropped_expired.get();
            assert_eq!(delivered + dropped, pushed, "round {round}, {age_max:?}");
            assert_eq!(telemetry.spool_damaged_records.get(), 0, "round {round}, {age_max:?}");
            assert_eq!(telemetry.spool_lines.get(), 0, "round {round}, {age_max:?}");
        }
    }
}

#[test]
fn what_the_writer_offers_beside_the_spool_and_the_output_takes_is_not_dropped() {
    let large = format!("b v=\"{}\" 1\n", "x".repeat(1200));
    // Of the last ones, the spool has no room for all: the first make room for those after them.
    for (lines, is_larger_than_the_spool) in [("a v=1 1\n", false), (&*large, true)] {
        let scratch = Scratch::new();
        let when_full = WhenFull::DropOldest;
        let options = SpoolOptions { bytes_max: 4000, when_full, ..options(scratch.spool()) };
        let mut ends = Ends::open(options).unwrap();
        let one = PushLines { lines: lines.as_bytes(), line_count: 1 };
        let Appended { count, span, failure } = ends.appender.append_offered(&[one; 5], at(1));
        assert!(count == 5 && failure.is_none(), "{failure:?}");
        assert_eq!(ends.telemetry.spool_dropped_full.get(), 0);
        assert_eq!(ends.telemetry.spool_lines.get(), 5);
        assert_eq!(ends.telemetry.spool_oldest_ms.get(), 1);
        for _ in 0..4 {
            ends.append(&large, 5).unwrap();
        }
        let other_dropped = ends.telemetry.spool_dropped_full.get();
        assert_eq!(ends.telemetry.spool_lines.get() + other_dropped, 9);
        assert_eq!(ends.telemetry.spool_memory_lines.get(), 5);
        assert_eq!(ends.telemetry.spool_oldest_ms.get(), 1, "when the first of all came");
        ends.drainer.pass_over(span, Unsettled::default());
        assert_eq!(ends.telemetry.spool_dropped_full.get(), other_dropped);
        let left = ends.drain(1);
        assert_eq!(left.len() as u64 + other_dropped, 4, "{is_larger_than_the_spool}");
        assert_eq!(ends.telemetry.spool_lines.get(), 0);
    }
}

#[test]
fn an_offer_ends_with_the_next_one_and_what_was_given_up_of_it_is_dropped() {
    let scratch = Scratch::new();
    let age_max = Some(Duration::from_secs(60));
    let options = SpoolOptions { age_max, ..options(scratch.spool()) };
    let mut ends = Ends::open(options).unwrap();
    let two = PushLines { lines: b"a v=1 1\na v=2 1\n", line_count: 2 };
    ends.appender.append_offered(&[two], at(1));
    ends.appender.tidy(at(100_000)).unwrap();
    assert_eq!(ends.telemetry.spool_dropped_expired.get(), 0);
    ends.appender.append_offered(&[two], at(100_000));
    assert_eq!(ends.telemetry.spool_dropped_expired.get(), 2);
    ends.appender.close().unwrap();
    let telemetry = &ends.telemetry;
    assert_eq!((telemetry.spool_dropped_expired.get(), telemetry.spool_lines.get()), (2, 2));
}

#[test]
fn lines_that_are_too_old_are_dropped_and_counted() {
    let scratch = Scratch::new();
    let age_max = Some(Duration::from_secs(60));
    let mut ends = Ends::open(SpoolOptions { age_max, ..options(scratch.spool()) }).unwrap();
    for second in 0..100 {
        ends.append(&format!("a v={second} 1\n"), second * 1000).unwrap();
    }
    // Segments go as a whole while nothing is delivered, the rest when its turn comes.
    ends.appender.tidy(at(100_000)).unwrap();
    let dropped = ends.telemetry.spool_dropped_expired.get();
    assert!((30..=40).contains(&dropped), "{dropped}");
    let left = ends.drain(100_000);
    assert_eq!(left.first().map(String::as_str), Some("a v=40 1\n"));
    assert_eq!(left.len(), 60);
    assert_eq!(ends.telemetry.spool_dropped_expired.get(), 40);
    ends.append("a v=1 1\n", 100_000).unwrap();
    ends.appender.tidy(at(161_000)).unwrap();
    assert_eq!(ends.telemetry.spool_dropped_expired.get(), 41, "the last segment goes too");
    assert_eq!(ends.telemetry.spool_oldest_ms.get(), 0);
}

#[test]
fn a_clock_that_went_back_makes_no_line_too_old() {
    const NOW_MS: u64 = 1_800_000_000_000;
    // With small segments the line of 1970 begins one.
    for bytes_max in [1 << 20, 4 * 256] {
        let scratch = Scratch::new();
        let age_max = Some(Duration::from_secs(3600));
        let options = SpoolOptions { bytes_max, age_max, ..options(scratch.spool()) };
        let mut ends = Ends::open(options.clone()).unwrap();
        let mut wanted = Vec::new();
        for number in 0..5 {
            wanted.push(push(number));
            ends.append(&push(number), NOW_MS + number as u64).unwrap();
        }
        drop(ends);
        // A device without a clock chip, before it is told the time.
        let mut ends = Ends::open_again(&options);
        wanted.push(push(5));
        ends.append(&push(5), 5000).unwrap();
        drop(ends);
        let mut ends = Ends::open_again(&options);
        ends.appender.tidy(at(NOW_MS + 900)).unwrap();
        assert_eq!(ends.drain(NOW_MS + 900), wanted, "{bytes_max}");
        assert_eq!(ends.telemetry.spool_dropped_expired.get(), 0, "{bytes_max}");
    }
}

#[test]
fn a_clock_that_is_set_ahead_makes_no_line_too_old() {
    const NOW_MS: u64 = 1_800_000_000_000;
    let scratch = Scratch::new();
    let age_max = Some(Duration::from_secs(60));
    let mut ends = Ends::open(SpoolOptions { age_max, ..options(scratch.spool()) }).unwrap();
    // A device without a clock chip, whose uplink comes with the time.
    for second in 0..5 {
        ends.append(&push(second), second as u64 * 1000).unwrap();
    }
    let later = |seconds: u64| Moment { unix_ms: NOW_MS, uptime_ms: seconds * 1000 };
    ends.appender.tidy(later(6)).unwrap();
    let mut drained = Drained::default();
    assert!(ends.drainer.take(1, later(6), &mut drained).unwrap());
    assert_eq!(texts(&drained), [push(0)]);
    // By then they are too old by any clock, and the next ones have the new time.
    ends.appender.tidy(later(70)).unwrap();
    assert!(ends.drainer.is_empty());
    ends.append(&push(9), NOW_MS).unwrap();
    ends.appender.tidy(at(NOW_MS + 60_000)).unwrap();
    assert!(!ends.drainer.is_empty());
    ends.appender.tidy(at(NOW_MS + 60_001)).unwrap();
    assert!(ends.drainer.is_empty());
}

#[test]
fn a_segment_is_as_old_as_the_newest_time_in_it() {
    let options = |scratch: &Scratch| {
        let age_max = Some(Duration::from_secs(60));
        SpoolOptions { age_max, ..options(scratch.spool()) }
    };
    let mut segment = Vec::new();
    let start = format::Position::default();
    format::write_segment_header(format::SegmentHeader { start, time_ms: 90_000 }, &mut segment);
    for (sequence, time_ms) in [(0, 90_000), (1, 91_000), (2, 5)] {
        let lines = push(1);
        let record = format::Record { sequence, time_ms, line_count: 1, lines: lines.as_bytes() };
        format::write_record(record, &mut segment);
    }
    // Of the second one the headers do not tell enough, so all of it is read.
    let torn = [segment.as_slice(), b"\xffPLR"].concat();
    for segment in [segment, torn] {
        let scratch = Scratch::new();
        set(&scratch.spool(), &Files::from([(format::segment_name(0), segment)]));
        let mut ends = Ends::open_again(&options(&scratch));
        ends.appender.tidy(at(100_000)).unwrap();
        assert_eq!(ends.drain(100_000), [push(1), push(1)]);
        assert_eq!(ends.telemetry.spool_dropped_expired.get(), 1);
    }
}

#[test]
fn what_is_read_again_is_counted_once() {
    let scratch = Scratch::new();
    let age_max = Some(Duration::from_secs(60));
    let options = SpoolOptions { age_max, ..options(scratch.spool()) };
    let mut ends = Ends::open(options.clone()).unwrap();
    for (number, now_ms) in [(0, 1000), (1, 2000), (2, 5000)] {
        ends.append(&format!("a v={number} 1\n"), now_ms).unwrap();
    }
    ends.appender.close().unwrap();
    drop(ends);
    // Damage to lines that no start looks at, so that the segment is written on.
    let name = format::segment_name(0);
    let mut segment = files(&options.dir).remove(&name).unwrap();
    let place = segment.windows(3).position(|bytes| bytes == b"v=1").unwrap();
    segment[place] ^= 1;
    fs::write(options.dir.join(&name), segment).unwrap();
    let mut ends = Ends::open_again(&options);
    ends.append("a v=3 1\n", 6000).unwrap();
    assert_eq!(ends.telemetry.spool_damaged_records.get(), 0);
    let mut drained = Drained::default();
    for _ in 0..3 {
        assert!(ends.drainer.take(1000, at(64_000), &mut drained).unwrap());
        assert_eq!(texts(&drained), ["a v=2 1\n", "a v=3 1\n"]);
    }
    ends.drainer.delivered(&drained, Unsettled::default());
    assert_eq!((ends.telemetry.spool_dropped_expired.get(), ends.lost()), (1, 1));
    ends.appender.close().unwrap();
    let names: Vec<String> = files(&options.dir).into_keys().collect();
    assert!(names.contains(&format!("{name}.bad")), "{names:?}");
}

#[test]
fn a_block_that_was_delivered_on_another_way_is_passed_over() {
    let scratch = Scratch::new();
    let mut ends = Ends::open(options(scratch.spool())).unwrap();
    let span = ends.append("a v=1 1\n", 1).unwrap();
    ends.append("a v=2 1\n", 2).unwrap();
    ends.drainer.pass_over(span, Unsettled::default());
    assert_eq!(ends.drain(0), ["a v=2 1\n"]);
}

#[test]
fn a_folder_that_is_removed_is_made_again_and_what_was_in_it_is_counted() {
    let scratch = Scratch::new();
    let mut ends = Ends::open(options(scratch.spool())).unwrap();
    for number in 0..3 {
        ends.append(&push(number), 1).unwrap();
    }
    fs::remove_dir_all(scratch.spool()).unwrap();
    ends.append(&push(3), 1).unwrap();
    assert_eq!(ends.lost(), 3);
    assert_eq!(ends.drain(0), [push(3)]);
    // Only its segments, this time, and while they are read.
    ends.append(&push(4), 1).unwrap();
    for name in files(&scratch.spool()).keys() {
        fs::remove_file(scratch.spool().join(name)).unwrap();
    }
    ends.append(&push(5), 1).unwrap();
    assert_eq!(ends.drain(0), [push(5)]);
    assert_eq!(ends.lost(), 4);
    // And a folder that cannot be made again is told.
    fs::remove_dir_all(&scratch.0).unwrap();
    let error = ends.append(&push(6), 1).unwrap_err();
    assert!(matches!(error, AppendError::Lost(_)), "{error}");
    fs::create_dir(&scratch.0).unwrap();
    ends.append(&push(7), 1).unwrap();
    assert_eq!(ends.drain(0), [push(7)]);
}

#[test]
fn an_overview_says_what_waits_and_what_is_damaged() {
    let scratch = Scratch::new();
    let (options, mut files) = small_spool(&scratch);
    let second = files.keys().nth(1).unwrap().clone();
    files.insert("00000000000000000000.seg.bad".to_owned(), Vec::new());
    set(&options.dir, &files);
    let lines = |numbers: std::ops::Range<usize>| -> usize {
        numbers.map(|number| push(number).lines().count()).sum()
    };
    let text = list(&options.dir).unwrap().to_string();
    let waiting = lines(DELIVERED..PUSHES);
    assert!(text.contains(&format!("{waiting} lines wait, in 3 segments of ")), "{text}");
    assert!(text.contains("kept for its damage: 00000000000000000000.seg.bad\n"), "{text}");
    files.get_mut(&second).unwrap()[60] ^= 1;
    set(&options.dir, &files);
    let text = list(&options.dir).unwrap().to_string();
    assert!(text.contains("\ndamage: 1 records are missing or damaged\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with(&second) && line.ends_with(", damaged")));
    let missing = list(&scratch.0.join("missing")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the spool"), "{missing}");
}

#[test]
fn an_overview_names_the_segment_that_is_damaged_wherever_in_it_that_is() {
    let scratch = Scratch::new();
    let (options, unharmed) = small_spool(&scratch);
    let second = unharmed.keys().nth(1).unwrap();
    let last_byte = unharmed[second].len() - 1;
    let cases = [
        ("its header", 30, "damage: 1 segments are damaged, no waiting record is missing"),
        ("its first record", 60, "damage: 1 records are missing or damaged"),
        ("its last record", last_byte, "damage: 1 records are missing or damaged"),
    ];
    for (what, at, want) in cases {
        let mut files = unharmed.clone();
        files.get_mut(second).unwrap()[at] ^= 1;
        set(&options.dir, &files);
        let overview = list(&options.dir).unwrap();
        let text = overview.to_string();
        assert!(overview.is_damaged(), "{what}: {text}");
        assert!(text.ends_with(&format!("{want}\n")), "{what}: {text}");
        let damaged: Vec<&str> = text.lines().filter(|line| line.ends_with(", damaged")).collect();
        assert!(matches!(damaged[..], [line] if line.starts_with(second)), "{what}: {text}");
    }
    set(&options.dir, &unharmed);
    assert!(!list(&options.dir).unwrap().is_damaged());
}

#[test]
fn a_spool_is_shown_beside_the_process_that_has_it() {
    let scratch = Scratch::new();
    let mut ends = Ends::open(options(scratch.spool())).unwrap();
    ends.append(&push(0), 1).unwrap();
    ends.append(&push(1), 1).unwrap();
    let mut shown = Vec::new();
    assert_eq!(print(&scratch.spool(), &mut shown).unwrap(), 0);
    assert_eq!(String::from_utf8(shown).unwrap(), push(0) + &push(1));
    assert_eq!(ends.drain(0).len(), 2);
}

/// A small file system of its own, in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, with the reason on standard error, where this machine does not let us.
    fn mount(path: PathBuf, bytes: u32) -> Option<SmallDisk> {
        fs::create_dir(&path).unwrap();
        let size = format!("size={bytes}");
        mount(&["-t", "tmpfs", "-o", &size, "none"], &path).then_some(SmallDisk(path))
    }

    /// The same folder, to be read only.
    fn read_only(path: &Path) -> Option<SmallDisk> {
        let source = path.to_str().unwrap();
        mount(&["--bind", source], path).then_some(())?;
        let disk = SmallDisk(path.to_owned());
        mount(&["-o", "remount,bind,ro", source], path).then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(std::process::Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[expect(clippy::print_stderr, reason = "whoever reads the test's output is told what was skipped")]
fn mount(arguments: &[&str], path: &Path) -> bool {
    let mut command = std::process::Command::new("mount");
    let done = command.args(arguments).arg(path).output().unwrap();
    if !done.status.success() {
        eprintln!("skipped, cannot mount: {}", String::from_utf8_lossy(&done.stderr));
    }
    done.status.success()
}

#[test]
fn a_disk_without_room_refuses_pushes_and_takes_them_again_once_there_is_some() {
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(scratch.0.join("disk"), 64 << 10) else { return };
    let mut ends = Ends::open(options(disk.0.join("spool"))).unwrap();
    let filler = disk.0.join("filler");
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for number in 0..4000 {
        match ends.append(&push(number), 1) {
            Ok(_) => accepted.push(push(number)),
            Err(AppendError::Disk(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0 && accepted.len() > 500, "{refused} refused");
    assert_eq!(ends.drain(0), accepted);
    ends.appender.close().unwrap();
    drop(ends);
    fs::write(&filler, vec![1; 40 << 10]).unwrap();
    let mut ends = Ends::open_again(&options(disk.0.join("spool")));
    assert_eq!(ends.drain(0), Vec::<String>::new());
    while ends.append(&push(1), 1).is_ok() {}
    fs::remove_file(&filler).unwrap();
    ends.append(&push(2), 1).unwrap();
    assert_eq!(ends.drain(0).last(), Some(&push(2)));
    assert_eq!(ends.lost(), 0, "what was refused is no damage");
}

#[test]
fn a_disk_without_room_drops_the_oldest_lines_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(scratch.0.join("disk"), 128 << 10) else { return };
    let when_full = WhenFull::DropOldest;
    let options = SpoolOptions { bytes_max: 256 << 10, when_full, ..options(disk.0.join("spool")) };
    let mut ends = Ends::open(options).unwrap();
    for number in 0..4000 {
        ends.append(&push(number), 1).unwrap();
    }
    assert!(ends.telemetry.spool_dropped_full.get() > 0);
    assert_eq!(ends.drain(0).last(), Some(&push(3999)));
    assert_eq!(ends.lost(), 0);
}

#[test]
fn a_read_only_disk_is_read_and_refuses_pushes() {
    let scratch = Scratch::new();
    let (options, files) = small_spool(&scratch);
    set(&options.dir, &files);
    let Some(disk) = SmallDisk::read_only(&options.dir) else { return };
    let mut ends = Ends::open(options.clone()).unwrap();
    assert_eq!(ends.drain(0).len(), PUSHES - DELIVERED);
    let error = ends.append(&push(1), 1).unwrap_err();
    let is_told = matches!(&error, AppendError::Disk(error)
        if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(is_told, "{error}");
    assert!(ends.appender.close().is_err());
    drop(ends);
    drop(disk);
    // Nothing of that is lost: it is delivered again.
    assert_eq!(yielded(&options, "read-only before"), ((DELIVERED..PUSHES).collect(), 0));
}

#[test]
fn a_full_spool_on_a_read_only_disk_gives_nothing_up_as_that_would_make_no_room() {
    let scratch = Scratch::new();
    let when_full = WhenFull::DropOldest;
    let options = SpoolOptions { bytes_max: 8192, when_full, ..options(scratch.spool()) };
    let mut ends = Ends::open(options.clone()).unwrap();
    for number in 0..200 {
        ends.append(&push(number), 1).unwrap();
    }
    drop(ends);
    let Some(disk) = SmallDisk::read_only(&options.dir) else { return };
    let mut ends = Ends::open_again(&options);
    let waiting = ends.telemetry.spool_lines.get();
    for number in 0..20 {
        let error = ends.append(&push(number), 1).unwrap_err();
        assert!(matches!(error, AppendError::Disk(_)), "{error}");
    }
    assert!(!ends.appender.may_have_room());
    assert_eq!((ends.telemetry.spool_lines.get(), waiting > 100), (waiting, true));
    assert_eq!(ends.telemetry.spool_dropped_full.get(), 0);
    assert_eq!(ends.drain(0).last(), Some(&push(199)));
    drop(ends);
    drop(disk);
}

#[test]
fn a_bound_on_the_size_of_files_makes_segments_smaller() {
    let name = "delivery::spool::tests::a_bound_on_the_size_of_files_makes_segments_smaller";
    if crate::testing::child_process::stderr_of(name).is_some() {
        return;
    }
    // OK because this is a process of its own: its bound, and the signal, disturb nobody.
    let scratch = Scratch::new();
    let _handlers = crate::app::signals::SignalHandlers::install().unwrap();
    let mut ends = Ends::open(options(scratch.spool())).unwrap();
    let limit = std::process::Command::new("prlimit")
        .args(["--fsize=1000", "--pid", &std::process::id().to_string()])
        .status();
    if !limit.is_ok_and(|status| status.success()) {
        return;
    }
    for number in 0..100 {
        ends.append(&push(number), 1).unwrap();
    }
    let sizes: Vec<usize> = files(&scratch.spool()).values().map(Vec::len).collect();
    assert!(sizes.len() > 5 && sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
    let error = ends.append(&"a v=1 1\n".repeat(200), 1).unwrap_err();
    assert!(matches!(&error, AppendError::Disk(_)), "{error}");
    assert_eq!(ends.drain(0), (0..100).map(push).collect::<Vec<_>>());
    assert_eq!(ends.lost(), 0);
}

#[test]
fn the_cursor_file_stays_before_what_the_output_may_have_to_send_again() {
    // What is still unsettled at the end, and in doubt; what comes again.
    let cases = [(true, true, "a v=1 1\nb v=1 1\n"), (true, false, ""), (false, false, "")];
    for (is_unsettled, is_in_doubt, want) in cases {
        let scratch = Scratch::new();
        let options = options(scratch.spool());
        let mut ends = Ends::open(options.clone()).unwrap();
        let since = is_unsettled.then_some(Instant::now());
        for lines in ["a v=1 1\n", "b v=1 1\n"] {
            ends.append(lines, 1).unwrap();
        }
        let mut drained = Drained::default();
        assert!(ends.drainer.take(1 << 20, at(1), &mut drained).unwrap());
        ends.drainer.delivered(&drained, Unsettled { since, is_in_doubt });
        assert!(ends.drainer.is_empty(), "it is not taken from the spool again");
        // What a process finds that comes after a kill.
        ends.drainer.persist_when_due().unwrap();
        let mut left = Vec::new();
        print(&options.dir, &mut left).unwrap();
        assert_eq!(left.is_empty(), !is_unsettled);
        ends.appender.close().unwrap();
        let mut left = Vec::new();
        print(&options.dir, &mut left).unwrap();
        assert_eq!(String::from_utf8(left).unwrap(), want, "{is_unsettled} {is_in_doubt}");
    }
}

#[test]
fn a_full_spool_gives_up_what_the_output_took_before_what_it_did_not() {
    let scratch = Scratch::new();
    let mut options = options(scratch.spool());
    options.when_full = WhenFull::DropOldest;
    options.bytes_max = 4000;
    let mut ends = Ends::open(options).unwrap();
    let push = format!("a v=\"{}\" 1\n", "x".repeat(900));
    ends.append(&push, 1).unwrap();
    let mut drained = Drained::default();
    assert!(ends.drainer.take(1 << 20, at(1), &mut drained).unwrap());
    ends.drainer.delivered(&drained, Unsettled { since: Some(Instant::now()), is_in_doubt: true });
    for _ in 0..3 {
        ends.append(&push, 1).unwrap();
    }
    assert_eq!(ends.telemetry.spool_dropped_full.get(), 0);
    ends.append(&push, 1).unwrap();
    assert_eq!(ends.telemetry.spool_dropped_full.get(), 1);
}
