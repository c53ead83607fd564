//! The whole output against a store that plays a script.

use super::*;
use crate::delivery::condition::OutputState;
use crate::delivery::sink::rejected::RejectedOptions;
use crate::observe::log::{Level, LogFormat};
use crate::testing::store::{Act, Store};
use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

const BATCH_BYTES: usize = 1 << 20;

struct Bench {
    store: Store,
    sink: Http,
    telemetry: Arc<Telemetry>,
    progress: Progress,
}

fn options() -> HttpOptions {
    let timeout = Duration::from_secs(20);
    HttpOptions { timeout, batch_bytes: BATCH_BYTES, ..HttpOptions::default() }
}

fn bench(store: Store, options: &HttpOptions) -> Bench {
    let telemetry = Arc::new(Telemetry::new());
    let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
    let rejected = RejectedOptions::default();
    let rejected = Rejected::new(&rejected, Arc::clone(&telemetry), Arc::clone(&log));
    let url = StoreUrl::read(&store.url("/write")).unwrap();
    let sink = Http::open(&url, options, rejected, (Arc::clone(&telemetry), log)).unwrap();
    let state = OutputState::new(Duration::from_secs(20), Arc::clone(&telemetry));
    Bench { store, sink, telemetry, progress: Progress::new(Arc::new(state)) }
}

impl Bench {
    /// Offers the block as the writer does; troubles come back with what became of it.
    fn deliver(&mut self, block: &Block) -> (Vec<Trouble>, Taken) {
        let mut troubles = Vec::new();
        self.progress.begin();
        loop {
            match self.sink.offer(block, &mut self.progress) {
                Ok(taken) => return (troubles, taken),
                Err(Trouble::Blocked) => {}
                Err(trouble) => troubles.push(trouble),
            }
            assert!(troubles.len() < 1000, "it has no end: {:?}", troubles.last());
        }
    }

    fn counted(&self, line: &str) -> bool {
        self.telemetry.render().lines().any(|found| found == line)
    }
}

/// A block of pushes of so many lines, which are numbered through.
fn block(pushes: &[u32]) -> Block {
    let (mut block, mut number) = (Block::default(), 0);
    for lines in pushes {
        let text: String = (number..number + lines).map(|at| format!("m n={at} 1\n")).collect();
        block.append(text.as_bytes(), *lines);
        number += lines;
    }
    block
}

fn is_good(line: &str) -> bool {
    !line.starts_with("m n=13 ") && !line.starts_with("m n=14 ") && !line.starts_with("m n=90 ")
}

fn refused(taken: &Taken, block: &Block) -> Vec<String> {
    let Taken::AllBut(refused) = taken else { return Vec::new() };
    let text =
        |it: &RefusedLines| String::from_utf8_lossy(block.slice(it.bytes.clone())).into_owned();
    refused.iter().map(text).collect()
}

#[test]
fn a_block_that_is_taken_whole_is_one_packed_request() {
    let mut bench = bench(Store::start(|_| Act::status(204)), &options());
    let block = block(&[3, 1_000, 1]);
    let (troubles, taken) = bench.deliver(&block);
    assert!(troubles.is_empty() && taken == Taken::All, "{troubles:?} {taken:?}");
    let requests = bench.store.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].body.len() < block.bytes().len() / 2, "packed");
    assert_eq!(bench.store.taken().len(), 1_004);
    assert!(bench.counted("pushline_output_requests_total{code=\"204\"} 1"));
    assert!(bench.counted("pushline_output_request_seconds_count 1"));
    assert!(bench.counted("pushline_blocks_split_total 0"));
}

#[test]
fn without_gzip_lines_are_sent_as_they_are() {
    let options = HttpOptions { coding: BodyCoding::Identity, ..options() };
    let mut bench = bench(Store::start(|_| Act::status(204)), &options);
    let block = block(&[3]);
    bench.deliver(&block);
    assert_eq!(bench.store.requests()[0].body, block.bytes());
}

#[test]
fn refused_lines_are_named_and_all_others_are_taken() {
    let whole: fn(&crate::testing::store::StoreRequest) -> Act = |it| Act::whole(it, is_good);
    let partial: fn(&crate::testing::store::StoreRequest) -> Act = |it| Act::partial(it, is_good);
    for script in [whole, partial] {
        let mut bench = bench(Store::start(script), &options());
        let block = block(&[10, 10, 80]);
        let (troubles, taken) = bench.deliver(&block);
        assert!(troubles.is_empty(), "{troubles:?}");
        assert_eq!(refused(&taken, &block).concat(), "m n=13 1\nm n=14 1\nm n=90 1\n");
        let mut lines = bench.store.taken();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 97);
        assert!(lines.iter().all(|line| is_good(line)));
        assert!(bench.store.requests().len() <= crate::limits::REQUESTS_PER_BLOCK_MAX);
        assert!(bench.counted("pushline_lines_rejected_total{reason=\"refused\"} 3"));
        assert!(bench.counted("pushline_blocks_split_total 1"));
        let Taken::AllBut(parts) = taken else { panic!("{taken:?}") };
        assert_eq!(parts[0].status, Some(400));
        assert!(!parts[0].words.is_empty());
        // The next block begins anew.
        assert_eq!(bench.deliver(&block_of_one()).1, Taken::All);
    }
}

fn block_of_one() -> Block {
    block(&[1])
}

#[test]
fn what_is_too_large_is_sent_in_halves_and_the_next_block_begins_with_them() {
    let script = |it: &crate::testing::store::StoreRequest| match it.lines.len() {
        0..=30 => Act::status(204),
        _ => Act::status(413),
    };
    let mut bench = bench(Store::start(script), &options());
    assert_eq!(bench.deliver(&block(&[100])).1, Taken::All);
    assert_eq!(bench.store.taken().len(), 100, "each once");
    let requests = bench.store.requests().len();
    assert_eq!(requests, 2 + 4, "the whole, a half, and four quarters");
    assert_eq!(bench.deliver(&block(&[100])).1, Taken::All);
    assert_eq!(bench.store.requests().len(), requests + 4);
    // In the end larger ones are tried again: it may have been a matter of the moment.
    bench.store.play(|_| Act::status(204));
    for _ in 0..3 * GROW_AFTER {
        bench.deliver(&block(&[1]));
    }
    let requests = bench.store.requests().len();
    assert_eq!(bench.deliver(&block(&[100])).1, Taken::All);
    assert_eq!(bench.store.requests().len(), requests + 1);
    // A line alone that is too large is refused.
    bench.store.play(|_| Act::status(413));
    let block = block(&[2]);
    assert_eq!(refused(&bench.deliver(&block).1, &block).concat(), "m n=0 1\nm n=1 1\n");
    assert!(bench.counted("pushline_lines_rejected_total{reason=\"too_large\"} 2"));
}

#[test]
fn a_push_that_is_far_larger_than_a_block_is_sent_in_several_requests() {
    let options = HttpOptions { batch_bytes: 4096, ..options() };
    let mut bench = bench(Store::start(|_| Act::status(204)), &options);
    assert_eq!(bench.deliver(&block(&[5_000])).1, Taken::All);
    assert_eq!(bench.store.taken().len(), 5_000);
    let lines_max = bench.store.requests().iter().map(|it| it.lines.len()).max().unwrap();
    assert!(lines_max * 9 <= 2 * 4096, "{lines_max}");
    assert!(bench.counted("pushline_blocks_split_total 0"), "nothing was refused");
}

#[test]
fn trouble_of_the_moment_loses_nothing_and_says_what_it_is() {
    let mut acts = VecDeque::from([
        Act::status(503),
        Act::answer(429, "Retry-After: 7\r\n", "slow down"),
        Act::TakeAndClose,
        Act::status(408),
        Act::status(504),
    ]);
    let script = move |_: &_| acts.pop_front().unwrap_or(Act::status(204));
    let mut bench = bench(Store::start(script), &options());
    let (troubles, taken) = bench.deliver(&block(&[2]));
    assert_eq!((troubles.len(), taken), (5, Taken::All));
    let seconds = |trouble: &Trouble| match trouble {
        Trouble::Broken { retry_after, .. } => retry_after.map(|it| it.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(troubles.iter().map(seconds).collect::<Vec<_>>(), [None, Some(7), None, None, None]);
    let Trouble::Broken { error, .. } = &troubles[1] else { panic!() };
    assert_eq!(error.to_string(), "429 from the store: \"slow down\"");
    assert!(bench.counted("pushline_output_retries_total 5"));
    assert!(bench.counted("pushline_output_requests_total{code=\"none\"} 1"));
    assert!(bench.counted("pushline_output_requests_total{code=\"429\"} 1"));
}

#[test]
fn a_mistake_of_the_operator_drops_nothing_and_is_told_in_the_words_of_the_store() {
    for status in [301, 307, 401, 403, 404, 405, 415] {
        let body = r#"{"error":"unauthorized access"}"#;
        let mut acts =
            VecDeque::from([Act::answer(status, "", body), Act::answer(status, "", body)]);
        let script = move |_: &_| acts.pop_front().unwrap_or(Act::status(204));
        let mut bench = bench(Store::start(script), &options());
        let (troubles, taken) = bench.deliver(&block(&[2]));
        assert_eq!((troubles.len(), taken), (2, Taken::All));
        let Trouble::Misconfigured { words } = &troubles[0] else { panic!("{troubles:?}") };
        assert_eq!(*words, format!("{status} from the store: \"unauthorized access\""));
    }
}

#[test]
fn a_line_over_which_the_store_fails_is_refused_once_others_pass() {
    let script =
        |it: &crate::testing::store::StoreRequest| match it.lines.iter().all(|it| is_good(it)) {
            true => Act::status(204),
            false => Act::answer(500, "", "panic"),
        };
    let mut bench = bench(Store::start(script), &options());
    assert_eq!(bench.deliver(&block(&[2])).1, Taken::All);
    let block = block(&[10, 10]);
    let (troubles, taken) = bench.deliver(&block);
    assert_eq!(troubles.len(), 4, "five answers of 500, the last of them followed by the proof");
    assert_eq!(refused(&taken, &block).concat(), "m n=13 1\nm n=14 1\n");
    assert!(bench.counted("pushline_lines_rejected_total{reason=\"poison\"} 2"));
    let mut lines = bench.store.taken();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 18);
}

#[test]
fn a_store_that_fails_over_every_line_loses_none() {
    let mut count = 0;
    let script = move |_: &_| {
        count += 1;
        // What was taken before fails too, so the block is not at fault.
        if (2..60).contains(&count) { Act::status(500) } else { Act::status(204) }
    };
    let mut bench = bench(Store::start(script), &options());
    assert_eq!(bench.deliver(&block(&[2])).1, Taken::All);
    let (troubles, taken) = bench.deliver(&block(&[10, 20]));
    assert!(troubles.len() > 20);
    assert_eq!(taken, Taken::All);
    // A store that never took a line, and takes no part of the block, gives no proof either.
    let mut count = 0;
    let script = move |_: &_| {
        count += 1;
        if count < 60 { Act::status(500) } else { Act::status(204) }
    };
    let mut bench = self::bench(Store::start(script), &options());
    assert_eq!(bench.deliver(&block(&[10, 20])).1, Taken::All);
}

#[test]
fn a_block_that_is_poison_is_known_though_no_line_was_taken_before() {
    let script =
        |it: &crate::testing::store::StoreRequest| match it.lines.iter().all(|it| is_good(it)) {
            true => Act::status(204),
            false => Act::answer(500, "", "panic"),
        };
    for pushes in [&[10, 10][..], &[100], &[12, 2]] {
        let mut bench = bench(Store::start(script), &options());
        let block = block(pushes);
        let (troubles, taken) = bench.deliver(&block);
        assert!(troubles.len() < 40, "{}", troubles.len());
        let wanted = ["m n=13 1\n", "m n=13 1\nm n=14 1\n", "m n=13 1\nm n=14 1\nm n=90 1\n"];
        assert!(wanted.contains(&&*refused(&taken, &block).concat()));
        let mut lines = bench.store.taken();
        lines.sort();
        lines.dedup();
        let refused = refused(&taken, &block).concat().lines().count();
        assert_eq!(lines.len() + refused, pushes.iter().sum::<u32>() as usize);
    }
}

fn auth_file(text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pushline-http-auth-{}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn credentials_are_read_again_and_bad_ones_are_not_taken() {
    let path = auth_file("token old\n");
    let options = HttpOptions { auth_file: Some(path.clone()), ..options() };
    let mut bench = bench(Store::start(|_| Act::status(204)), &options);
    let sent = |bench: &mut Bench| {
        bench.deliver(&block(&[1]));
        let head = bench.store.requests().pop().unwrap().head.to_ascii_lowercase();
        head.lines().find_map(|line| line.strip_prefix("authorization: ").map(str::to_owned))
    };
    assert_eq!(sent(&mut bench).as_deref(), Some("token old"));
    auth_file("token new\n");
    assert_eq!(sent(&mut bench).as_deref(), Some("token old"));
    bench.sink.reopen();
    assert_eq!(sent(&mut bench).as_deref(), Some("token new"));
    auth_file("nothing good\n");
    bench.sink.reopen();
    assert_eq!(sent(&mut bench).as_deref(), Some("token new"));
    std::fs::remove_file(path).unwrap();
}
