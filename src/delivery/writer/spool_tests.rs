//! What holds of a writer with a spool: an output that takes nothing costs no push, no order and no
//! time.

use super::*;
use crate::delivery::condition::NotReady;
use crate::delivery::queue::{self, Acknowledge, QueueOptions};
use crate::delivery::sink::{Progress, Taken, Trouble, Unsettled};
use crate::delivery::spool::{self, SpoolOptions, WhenFull};
use crate::observe::log::{Level, LogFormat};
use crate::system::Moment;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, Mutex};

/// What the output does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    /// Fails each offer.
    Fails,
    /// Does not return from an offer.
    Hangs,
    /// Takes nothing, and does not fail.
    Blocks,
    /// Takes one block, and fails from then on.
    TakesOne,
    /// Takes everything, and searches among it for what its reader refuses.
    Searches,
}

/// An output that does what the test says, and keeps what it took.
#[derive(Debug, Default)]
struct Store {
    state: Mutex<(Option<Mood>, Vec<String>, u64)>,
    changed: Condvar,
}

impl Store {
    fn set(&self, mood: Mood) {
        self.state.lock().unwrap().0 = Some(mood);
        self.changed.notify_all();
    }

    /// Waits until it has been offered something for the `count`th time.
    fn wait_for_offer(&self, count: u64) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |(_, _, offers)| *offers < count).unwrap());
    }

    /// Waits for so many lines.
    fn wait_for(&self, count: usize) -> Vec<String> {
        let state = self.state.lock().unwrap();
        self.changed.wait_while(state, |(_, lines, _)| lines.len() < count).unwrap().1.clone()
    }
}

#[derive(Debug)]
struct StoreSink(Arc<Store>, Instant);

impl StoreSink {
    fn is_searching(&self) -> bool {
        self.0.state.lock().unwrap().0 == Some(Mood::Searches)
    }
}

impl Sink for StoreSink {
    fn offer(&mut self, block: &Block, _: &mut Progress) -> Result<Taken, Trouble> {
        let mut state = self.0.state.lock().unwrap();
        state.2 += 1;
        self.0.changed.notify_all();
        let mut state =
            self.0.changed.wait_while(state, |(mood, ..)| *mood == Some(Mood::Hangs)).unwrap();
        if state.0 == Some(Mood::Fails) {
            let error = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Err(Trouble::Broken { error, retry_after: Some(Duration::from_millis(1)) });
        }
        if state.0 == Some(Mood::Blocks) {
            drop(state);
            thread::yield_now();
            return Err(Trouble::Blocked);
        }
        if state.0 == Some(Mood::TakesOne) {
            state.0 = Some(Mood::Fails);
        }
        let lines = std::str::from_utf8(block.bytes()).unwrap().lines();
        state.1.extend(lines.map(str::to_owned));
        self.0.changed.notify_all();
        Ok(Taken::All)
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if !self.is_searching() {
            return Ok(());
        }
        self.0.state.lock().unwrap().2 += 1;
        thread::yield_now();
        Err(Trouble::ReaderRefuses { words: "it closes".to_owned() })
    }

    fn unsettled(&self) -> Unsettled {
        let is_in_doubt = self.is_searching();
        Unsettled { since: is_in_doubt.then_some(self.1), is_in_doubt }
    }

    fn reopen(&mut self) {}
}

/// Answers of pushes, by their numbers.
#[derive(Debug)]
struct Answer(u32, Sender<(u32, Result<(), Undelivered>)>);

impl Reply for Answer {
    fn answer(self, outcome: Result<(), Undelivered>) {
        self.1.send((self.0, outcome)).unwrap();
    }
}

/// A writer with a spool, and both of its ends.
struct Bench {
    store: Arc<Store>,
    queue: queue::QueueSender<Answer>,
    writer: Option<JoinHandle<WriterEnd>>,
    telemetry: Arc<Telemetry>,
    options: SpoolOptions,
    answers: mpsc::Receiver<(u32, Result<(), Undelivered>)>,
    answer: Sender<(u32, Result<(), Undelivered>)>,
}

fn spool_options(bytes_max: u64) -> SpoolOptions {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("pushline-writer-{}-{number}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let after = Duration::from_millis(50);
    SpoolOptions { dir, bytes_max, age_max: None, after, when_full: WhenFull::Refuse }
}

/// A child that another test is just starting has the lock of a spool, too, until it runs its own
/// program.
fn opened(
    options: &SpoolOptions,
    telemetry: &Arc<Telemetry>,
    log: &Arc<Log>,
) -> (Appender, Drainer) {
    loop {
        match spool::open(options.clone(), Arc::clone(telemetry), Arc::clone(log)) {
            Ok(ends) => return ends,
            Err(error) => {
                assert!(error.to_string().contains(" belongs to "), "{error}");
                thread::yield_now();
            }
        }
    }
}

impl Bench {
    fn new(mood: Mood, options: SpoolOptions) -> Bench {
        Bench::with(mood, options, Acknowledge::Written)
    }

    fn with(mood: Mood, options: SpoolOptions, acknowledge: Acknowledge) -> Bench {
        let telemetry = Arc::new(Telemetry::new());
        let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
        let ends = opened(&options, &telemetry, &log);
        let (appender, drainer) = ends;
        let ack_timeout = Duration::from_secs(20);
        let queue_options = QueueOptions { bytes_max: 1 << 20, acknowledge, ack_timeout };
        let (queue, receiver, _) = queue::channel(queue_options, Arc::clone(&telemetry));
        let store = Arc::new(Store::default());
        store.set(mood);
        let parts = WriterParts {
            receiver,
            sink: Box::new(StoreSink(Arc::clone(&store), Instant::now())),
            target: "test:".to_owned(),
            spool: Some(SpoolParts { appender, drainer, after: options.after }),
            telemetry: Arc::clone(&telemetry),
            log,
        };
        let writer = Some(spawn(parts, |_| {}).unwrap());
        let (answer, answers) = mpsc::channel();
        Bench { store, queue, writer, telemetry, options, answers, answer }
    }

    fn push(&self, number: u32) {
        let line = format!("a v={number} 1\n").into_bytes();
        self.queue.submit(line, 1, Answer(number, self.answer.clone()));
    }

    /// Pushes, and waits for the answer.
    fn pushed(&self, number: u32) -> Result<(), Undelivered> {
        self.push(number);
        let (of, outcome) = self.answers.recv().unwrap();
        assert_eq!(of, number);
        outcome
    }

    /// Ends the writer; how it ended.
    fn close(&mut self, within: Duration) -> WriterEnd {
        self.queue.close(Instant::now() + within);
        self.writer.take().unwrap().join().unwrap()
    }

    /// Lines that are in the folder.
    fn on_disk(&self) -> String {
        let mut lines = Vec::new();
        assert_eq!(spool::print(&self.options.dir, &mut lines).unwrap(), 0);
        String::from_utf8(lines).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.store.set(Mood::Takes);
        // A writer that hung until now may just be writing its cursor.
        while let Err(error) = std::fs::remove_dir_all(&self.options.dir) {
            assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty, "{error}");
        }
    }
}

fn lines(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| format!("a v={number} 1")).collect()
}

#[test]
fn nothing_goes_to_the_spool_while_all_is_well() {
    let mut bench = Bench::new(Mood::Takes, spool_options(1 << 20));
    for number in 0..100 {
        bench.pushed(number).unwrap();
    }
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
    assert_eq!(bench.store.wait_for(100), lines(0..100));
    assert_eq!(bench.telemetry.spool_lines_total.get(), 0);
    assert_eq!(std::fs::read_dir(&bench.options.dir).unwrap().count(), 0);
}

#[test]
fn an_output_that_fails_costs_no_push_and_no_order_and_later_takes_them_straight_again() {
    let mut bench = Bench::new(Mood::Fails, spool_options(1 << 20));
    for number in 0..100 {
        bench.pushed(number).unwrap();
    }
    assert!(bench.telemetry.spool_lines_total.get() >= 99);
    bench.queue.ready().unwrap();
    bench.store.set(Mood::Takes);
    assert_eq!(bench.store.wait_for(100), lines(0..100));
    // Sooner or later the queue is the writer's again.
    let mut number = 100;
    loop {
        let before = bench.telemetry.spool_lines_total.get();
        bench.pushed(number).unwrap();
        number += 1;
        if bench.telemetry.spool_lines_total.get() == before {
            break;
        }
        bench.store.wait_for(number as usize);
    }
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
    assert_eq!(bench.store.wait_for(number as usize), lines(0..number));
}

#[test]
fn a_block_that_hangs_is_spooled_in_time_and_passed_over_once_it_is_taken() {
    let mut bench = Bench::new(Mood::Hangs, spool_options(1 << 20));
    let begin = Instant::now();
    bench.pushed(0).unwrap();
    assert!(begin.elapsed() >= bench.options.after);
    for number in 1..10 {
        bench.pushed(number).unwrap();
    }
    assert_eq!(bench.on_disk().lines().count(), 10);
    bench.store.set(Mood::Takes);
    assert_eq!(bench.store.wait_for(10), lines(0..10), "none twice");
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
    assert_eq!(bench.on_disk(), "");
}

#[test]
fn an_end_does_not_wait_for_an_output_that_hangs() {
    let mut bench = Bench::new(Mood::Hangs, spool_options(1 << 20));
    bench.push(0);
    bench.store.wait_for_offer(1);
    for number in 1..5 {
        bench.push(number);
    }
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
    let mut answers: Vec<_> = bench.answers.try_iter().collect();
    answers.sort_by_key(|(number, _)| *number);
    let wanted: Vec<_> = (0..5).map(|number| (number, Ok(()))).collect();
    assert_eq!(answers, wanted);
    assert_eq!(bench.on_disk().lines().collect::<Vec<_>>(), lines(0..5));
}

#[test]
fn a_full_spool_refuses_pushes_and_is_not_ready_until_it_has_room() {
    let bench = Bench::new(Mood::Fails, spool_options(2000));
    let mut accepted = Vec::new();
    let mut number = 0;
    let words = loop {
        match bench.pushed(number) {
            Ok(()) => accepted.push(number),
            Err(Undelivered::SpoolFull { words }) => break words,
            Err(other) => panic!("{other}"),
        }
        number += 1;
    };
    assert_eq!(&*words, "the spool is full (2000 bytes, spool.max_bytes)");
    assert!(matches!(bench.queue.ready(), Err(NotReady::SpoolFull { .. })));
    bench.store.set(Mood::Takes);
    let delivered = bench.store.wait_for(accepted.len());
    assert_eq!(delivered, lines(accepted.iter().copied()));
    while bench.queue.ready().is_err() {
        thread::yield_now();
    }
    bench.pushed(number + 1).unwrap();
}

#[test]
fn what_an_earlier_run_left_comes_first() {
    let options = spool_options(1 << 20);
    let telemetry = Arc::new(Telemetry::new());
    let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
    let (mut appender, drainer) = spool::open(options.clone(), telemetry, log).unwrap();
    let push = spool::PushLines { lines: b"a v=0 1\na v=1 1\n", line_count: 2 };
    assert_eq!(appender.append(&[push], Moment::now()).count, 1);
    drop((appender, drainer));
    let bench = Bench::new(Mood::Takes, options);
    bench.pushed(2).unwrap();
    assert_eq!(bench.store.wait_for(3), lines(0..3));
}

#[test]
fn whatever_the_output_does_every_push_is_delivered_in_order() {
    const PUSHES: u32 = 2000;
    let mut bench = Bench::new(Mood::Takes, spool_options(1 << 20));
    let store = Arc::clone(&bench.store);
    let moods = [Mood::Fails, Mood::Takes, Mood::Hangs, Mood::Takes];
    for number in 0..PUSHES {
        if number.is_multiple_of(50) {
            store.set(moods[(number / 50) as usize % moods.len()]);
        }
        bench.push(number);
        if number.is_multiple_of(25) {
            // Each of them is answered whatever the output does.
            while bench.answers.recv().unwrap() != (number, Ok(())) {}
        }
    }
    store.set(Mood::Takes);
    let found = store.wait_for(PUSHES as usize);
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
    let wanted = lines(0..PUSHES);
    let differs = found.iter().zip(&wanted).position(|(line, want)| line != want);
    assert_eq!(differs.map(|at| &found[at]), None, "in order, and none twice");
    assert_eq!(found.len(), wanted.len());
}

#[test]
fn the_lines_of_a_block_that_was_spooled_are_in_no_later_block() {
    let mut bench = Bench::new(Mood::Hangs, spool_options(1 << 20));
    bench.pushed(0).unwrap();
    // Time for the spooler to let go of the block, which is then used again.
    bench.pushed(1).unwrap();
    bench.store.set(Mood::Takes);
    bench.store.wait_for(2);
    for number in (2..200).step_by(2) {
        // Two pushes at once, now and then in one block, which is gathered by copies.
        bench.push(number);
        bench.push(number + 1);
        bench.answers.recv().unwrap().1.unwrap();
        bench.answers.recv().unwrap().1.unwrap();
    }
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
    let found = bench.store.wait_for(200);
    assert_eq!(found.len(), 200, "{:?}", &found[..20]);
}

#[test]
fn what_waits_when_the_time_is_up_is_spooled() {
    for acknowledge in [Acknowledge::Written, Acknowledge::Queued] {
        let options = SpoolOptions { after: Duration::from_secs(10), ..spool_options(1 << 20) };
        let mut bench = Bench::with(Mood::Blocks, options, acknowledge);
        bench.push(0);
        bench.store.wait_for_offer(1);
        (1..5).for_each(|number| bench.push(number));
        assert!(matches!(bench.close(Duration::ZERO), WriterEnd::Drained));
        assert_eq!(bench.on_disk().lines().collect::<Vec<_>>(), lines(0..5));
        let mut answers: Vec<_> = bench.answers.try_iter().collect();
        answers.sort_by_key(|(number, _)| *number);
        assert_eq!(answers, (0..5).map(|number| (number, Ok(()))).collect::<Vec<_>>());
    }
}

/// A full spool, and a writer whose block is only in part in it, of pushes 1 to 60.
fn with_half_a_block_spooled(acknowledge: Acknowledge) -> Bench {
    let options = SpoolOptions { after: Duration::from_secs(10), ..spool_options(2000) };
    let bench = Bench::with(Mood::Hangs, options, acknowledge);
    bench.push(0);
    bench.store.wait_for_offer(1);
    (1..61).for_each(|number| bench.push(number));
    bench.store.set(Mood::TakesOne);
    while bench.telemetry.spool_lines_total.get() == 0 {
        thread::yield_now();
    }
    bench
}

#[test]
fn what_of_a_block_has_no_room_in_the_spool_is_answered_when_the_output_took_it() {
    let bench = with_half_a_block_spooled(Acknowledge::Written);
    while bench.queue.ready().is_ok() {
        thread::yield_now();
    }
    bench.store.set(Mood::Takes);
    let answers = (0..61).map(|_| bench.answers.recv().unwrap());
    let refused: Vec<_> = answers.filter(|(_, outcome)| outcome.is_err()).collect();
    assert_eq!(refused, [], "each of them is written");
    assert_eq!(bench.store.wait_for(61), lines(0..61), "none twice");
}

#[test]
fn what_is_neither_written_nor_spooled_at_the_end_is_told() {
    for acknowledge in [Acknowledge::Written, Acknowledge::Queued] {
        let mut bench = with_half_a_block_spooled(acknowledge);
        let end = bench.close(Duration::ZERO);
        let spooled = bench.telemetry.spool_lines_total.get();
        let WriterEnd::Undrained { batch_count } = end else { panic!("{end:?}") };
        assert_eq!((batch_count, spooled < 60), (60 - spooled, true));
    }
}

#[test]
fn a_push_that_was_acknowledged_waits_while_a_full_spool_has_no_room_for_it() {
    let mut bench = Bench::with(Mood::Fails, spool_options(2000), Acknowledge::Queued);
    (0..200).for_each(|number| bench.push(number));
    while bench.queue.ready().is_ok() {
        thread::yield_now();
    }
    let answers = (0..200).map(|_| bench.answers.recv().unwrap());
    let accepted: Vec<u32> =
        answers.filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| number).collect();
    assert!(accepted.len() > 50, "more than the spool has room for: {}", accepted.len());
    bench.store.set(Mood::Takes);
    let found = bench.store.wait_for(accepted.len());
    assert_eq!(found, lines(accepted.into_iter()), "in order, and none twice");
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
}

#[test]
fn an_acknowledged_push_that_is_larger_than_the_spool_goes_to_the_output() {
    let mut bench = Bench::with(Mood::Hangs, spool_options(2000), Acknowledge::Queued);
    bench.push(0);
    while bench.telemetry.spool_lines_total.get() == 0 {
        thread::yield_now();
    }
    let large: String = (1..301).map(|number| format!("a v={number} 1\n")).collect();
    bench.queue.submit(large.into_bytes(), 300, Answer(1, bench.answer.clone()));
    bench.push(301);
    bench.store.set(Mood::Takes);
    assert_eq!(bench.store.wait_for(302), lines(0..302));
    assert!(matches!(bench.close(Duration::from_secs(20)), WriterEnd::Drained));
}

#[test]
fn an_end_waits_for_a_search_among_pushes_that_are_answered() {
    let mut bench = Bench::new(Mood::Searches, spool_options(1 << 20));
    // Never in the spool, so nothing else has it.
    bench.pushed(0).unwrap();
    let looks = || bench.store.state.lock().unwrap().2;
    let look_again = || {
        let enough = looks() + 5;
        while looks() < enough {
            assert!(!bench.writer.as_ref().unwrap().is_finished(), "it has not waited");
            thread::yield_now();
        }
    };
    look_again();
    bench.queue.close(Instant::now() + Duration::from_secs(60));
    look_again();
    bench.store.set(Mood::Takes);
    assert!(matches!(bench.writer.take().unwrap().join().unwrap(), WriterEnd::Drained));
}

#[test]
fn what_a_search_has_not_ended_with_is_still_in_the_spool_at_the_end() {
    let mut bench = Bench::new(Mood::Fails, spool_options(1 << 20));
    for number in 0..10 {
        bench.pushed(number).unwrap();
    }
    bench.store.set(Mood::Searches);
    assert_eq!(bench.store.wait_for(10), lines(0..10));
    assert!(matches!(bench.close(Duration::from_millis(100)), WriterEnd::Drained));
    assert_eq!(bench.on_disk().lines().collect::<Vec<_>>(), lines(0..10));
}

#[test]
fn a_full_spool_whose_lines_are_too_old_has_room_again_while_the_output_is_still_away() {
    let mut options = spool_options(4000);
    options.age_max = Some(Duration::from_secs(1));
    let bench = Bench::new(Mood::Fails, options);
    let mut number = 0;
    while bench.pushed(number).is_ok() {
        number += 1;
    }
    assert!(bench.queue.ready().is_err());
    while bench.queue.ready().is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(bench.pushed(number + 1).is_ok());
}
