use super::*;
use crate::delivery::queue::{self, Acknowledge, QueueOptions, QueueSender};
use crate::delivery::sink::{Progress, RefusedLines, Taken, Trouble};
use crate::observe::log::{Level, LogFormat};
use crate::observe::telemetry::RejectReason;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// An output that does as it is told.
struct Scripted<F>(F);

impl<F: FnMut(&Block, &mut Progress) -> Result<Taken, Trouble> + Send> Sink for Scripted<F> {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        self.0(block, progress)
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn reopen(&mut self) {}
}

/// Tells its outcome.
#[derive(Debug)]
struct Told(Sender<Result<(), Undelivered>>);

impl Reply for Told {
    fn answer(self, outcome: Result<(), Undelivered>) {
        self.0.send(outcome).unwrap();
    }
}

/// A queue, a writer over this output, and how the writer ends.
fn writer<R: Reply>(
    acknowledge: Acknowledge,
    output: impl FnMut(&Block, &mut Progress) -> Result<Taken, Trouble> + Send + 'static,
) -> (QueueSender<R>, JoinHandle<WriterEnd>) {
    let telemetry = Arc::new(Telemetry::new());
    let options = QueueOptions { bytes_max: 10_000, acknowledge, ack_timeout: LONG };
    let (sender, receiver, _) = queue::channel(options, Arc::clone(&telemetry));
    let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
    let sink = Box::new(Scripted(output));
    let target = "test:".to_owned();
    let parts = WriterParts { receiver, sink, target, spool: None, telemetry, log };
    (sender, spawn(parts, |_| {}).unwrap())
}

/// Hands lines over by `hand_over` to an output that takes nothing, waits until the writer has
/// them in its hand, and closes the queue: how the writer ends.
fn ended(hand_over: impl FnOnce(&QueueSender<()>)) -> WriterEnd {
    let (asked, was_asked) = mpsc::channel();
    let (sender, writer) = writer(Acknowledge::Queued, move |_, _| {
        if asked.send(()).is_err() {
            // OK because the test has seen enough.
        }
        thread::yield_now();
        Err(Trouble::Blocked)
    });
    hand_over(&sender);
    was_asked.recv().unwrap();
    sender.close(Instant::now() + Duration::from_millis(20));
    writer.join().unwrap()
}

#[test]
fn a_push_that_is_left_is_told_but_lines_of_our_own_are_not() {
    let own = ended(|sender| assert!(sender.offer(b"own\n".to_vec(), 1)));
    assert!(matches!(own, WriterEnd::Drained), "{own:?}");
    let push = ended(|sender| sender.submit(b"a\n".to_vec(), 1, ()));
    assert!(matches!(push, WriterEnd::Undrained { batch_count: 1 }), "{push:?}");
}

#[test]
fn a_writer_that_panics_ends_and_no_push_is_accepted_after_it() {
    let (sender, writer) = writer(Acknowledge::Queued, |_, _| panic!("as the test asks"));
    sender.submit(b"a 1\n".to_vec(), 1, ());
    assert!(matches!(writer.join().unwrap(), WriterEnd::Panicked));
    assert!(sender.ready().is_err(), "it says that it is ready");
    assert!(!sender.offer(b"own 1\n".to_vec(), 1));
}

#[test]
fn pushes_with_refused_lines_are_told_which_and_the_others_are_acknowledged() {
    let (sender, writer) = writer(Acknowledge::Written, |block: &Block, _: &mut Progress| {
        let text = std::str::from_utf8(block.bytes()).unwrap();
        let refused = text.match_indices("bad 1\n").map(|(at, line)| RefusedLines {
            bytes: at..at + line.len(),
            reason: RejectReason::Refused,
            status: Some(400),
            words: "no such field".to_owned(),
        });
        let refused: Vec<_> = refused.collect();
        Ok(if refused.is_empty() { Taken::All } else { Taken::AllBut(refused) })
    });
    for (lines, count, want) in [
        ("good 1\n", 1, None),
        ("good 1\nbad 1\nbad 1\n", 3, Some((2, 3))),
        ("good 2\ngood 3\n", 2, None),
    ] {
        let (told, outcome) = mpsc::channel();
        sender.submit(lines.as_bytes().to_vec(), count, Told(told));
        let want = want.map_or(Ok(()), |(refused, lines)| {
            let (first, words) = ("\"bad 1\"".into(), "no such field".into());
            Err(Undelivered::LinesRefused { refused, lines, first, words })
        });
        assert_eq!(outcome.recv().unwrap(), want, "{lines}");
    }
    sender.close(Instant::now() + LONG);
    assert!(matches!(writer.join().unwrap(), WriterEnd::Drained));
}

#[test]
fn the_end_does_not_wait_for_a_pause_of_a_failing_output() {
    let (asked, was_asked) = mpsc::channel();
    let (sender, writer) = writer(Acknowledge::Queued, move |_, _| {
        if asked.send(()).is_err() {
            // OK because the test has seen enough.
        }
        Err(Trouble::Misconfigured { words: "401 from the store".to_owned() })
    });
    sender.submit(b"a 1\n".to_vec(), 1, ());
    was_asked.recv().unwrap();
    while sender.ready().is_ok() {
        thread::yield_now();
    }
    let began = Instant::now();
    sender.reopen();
    was_asked.recv().unwrap();
    sender.close(Instant::now());
    assert!(matches!(writer.join().unwrap(), WriterEnd::Undrained { batch_count: 1 }));
    assert!(began.elapsed() < Duration::from_secs(30), "a whole pause was waited for");
}
