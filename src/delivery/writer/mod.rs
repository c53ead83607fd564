//! The one thread that owns the output: batches → sink → acknowledgements (SPEC 3).
//!
//! It takes what is waiting, joins small batches into one block, writes the block, and acknowledges
//! each of its batches once the last byte is taken. A block that breaks is begun anew, whole, so no
//! reader of the output ever sees a push continued after a reconnect or a rotation. It writes when
//! there is something to write, never on a timer; while there is nothing it looks after the other
//! end.

mod refused;

use crate::delivery::queue::{Batch, Message, Receiver, Reply, Undelivered};
use crate::delivery::sink::{Block, Progress, Sink, Taken, Trouble};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use std::collections::hash_map::RandomState;
use std::fmt::Display;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often an idle writer looks after the other end of its output.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How a writer ended.
#[derive(Debug)]
pub enum WriterEnd {
    /// Everything that stood in the queue is written.
    Drained,
    /// The time to drain was over before that.
    Undrained {
        /// Batches that are not written.
        batch_count: u64,
    },
    /// The output has ended for good.
    OutputEnded(io::Error),
}

/// Starts the thread.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn spawn<R: Reply>(
    receiver: Receiver<R>,
    sink: Box<dyn Sink>,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    on_end: impl FnOnce(&WriterEnd) + Send + 'static,
) -> io::Result<JoinHandle<WriterEnd>> {
    let writer = Writer {
        progress: Progress::new(receiver.flow()),
        receiver,
        sink,
        telemetry,
        log,
        block: Block::default(),
        batches: Vec::new(),
        failures: 0,
    };
    thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let outcome = writer.run();
        on_end(&outcome);
        outcome
    })
}

struct Writer<R> {
    receiver: Receiver<R>,
    sink: Box<dyn Sink>,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    /// How far the block in hand has got.
    progress: Progress,
    /// The lines of the batches in hand, while they are offered.
    block: Block,
    /// The batches of the block in hand.
    batches: Vec<Batch>,
    /// Failures since the output last took something.
    failures: u32,
}

/// Why a block is not written.
enum Stop {
    OutputEnded(io::Error),
    /// The time to drain is over.
    OutOfTime,
}

impl<R: Reply> Writer<R> {
    fn run(mut self) -> WriterEnd {
        match self.serve() {
            Ok(()) => WriterEnd::Drained,
            Err(stop) => {
                self.receiver.end();
                let batch_count = self.abandon();
                match stop {
                    Stop::OutputEnded(error) => WriterEnd::OutputEnded(error),
                    // Only lines of our own were left: nobody lost a push.
                    Stop::OutOfTime if batch_count == 0 => WriterEnd::Drained,
                    Stop::OutOfTime => WriterEnd::Undrained { batch_count },
                }
            }
        }
    }

    fn serve(&mut self) -> Result<(), Stop> {
        loop {
            // Looked at first: what was sent before the queue was closed is waiting by then.
            let is_closed = self.receiver.close_deadline().is_some();
            match self.receiver.take_waiting() {
                Some(message) => self.take(message),
                // Once the queue is closed, nothing new comes: what waited was all there is.
                None if is_closed => return Ok(()),
                None => {
                    let patience = self.look_after_output()?;
                    if let Some(message) = self.receiver.receive(patience) {
                        self.take(message);
                    }
                }
            }
            self.join_waiting();
            if !self.batches.is_empty() {
                self.write_block()?;
            }
        }
    }

    /// Looks after an idle output; returns how long to wait for a message.
    fn look_after_output(&mut self) -> Result<Duration, Stop> {
        match self.sink.idle() {
            Ok(()) => {
                self.flows();
                Ok(LOOK_EVERY)
            }
            Err(Trouble::Blocked) => Ok(LOOK_EVERY),
            Err(Trouble::Broken { error, retry_after }) => {
                self.receiver.is_trying();
                Ok(self.fail(&error, retry_after))
            }
            Err(Trouble::Misconfigured { words }) => {
                self.receiver.is_trying();
                Ok(self.fail(&words, None))
            }
            Err(Trouble::Ended(error)) => Err(Stop::OutputEnded(error)),
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Batch(batch) if batch.is_withdrawn(Instant::now()) => {
                self.receiver.withdraw(batch);
            }
            Message::Batch(batch) => self.batches.push(batch),
            Message::Reopen => self.sink.reopen(),
            // The deadline is read from the queue itself: this only wakes an idle writer.
            Message::Close => {}
        }
    }

    /// Takes more batches while they are waiting and small: a large one is written alone.
    fn join_waiting(&mut self) {
        let bytes_max = self.sink.gathering().bytes_max;
        let mut bytes: usize = self.batches.iter().map(|batch| batch.lines.len()).sum();
        while bytes < bytes_max
            && let Some(message) = self.receiver.take_waiting()
        {
            let count = self.batches.len();
            self.take(message);
            bytes += self.batches.get(count).map_or(0, |batch| batch.lines.len());
        }
    }

    /// Delivers the batches in hand and answers their pushers.
    fn write_block(&mut self) -> Result<(), Stop> {
        self.receiver.is_trying();
        let mut block = std::mem::take(&mut self.block);
        match &mut *self.batches {
            [single] => block.swap_in(&mut single.lines, single.line_count),
            batches => {
                batches.iter().for_each(|batch| block.append(&batch.lines, batch.line_count));
            }
        }
        let taken = self.deliver(&block);
        let mut bytes = block.bytes().len() as u64;
        let mut lines = block.line_count();
        let mut undelivered = Vec::new();
        if let Ok(Taken::AllBut(refused)) = &taken {
            bytes -= refused.iter().map(|part| part.bytes.len() as u64).sum::<u64>();
            lines -= refused::line_count(&block, refused);
            undelivered = refused::by_push(&block, refused);
        }
        match &mut *self.batches {
            [single] => block.swap_back(&mut single.lines),
            _ => block.clear(),
        }
        self.block = block;
        taken?;
        self.telemetry.bytes_written.add(bytes);
        self.telemetry.lines_written.add(lines);
        self.flows();
        self.receiver.conclude(&mut self.batches, undelivered);
        Ok(())
    }

    /// Offers a block until the output is done with it, however often that breaks.
    fn deliver(&mut self, block: &Block) -> Result<Taken, Stop> {
        self.progress.begin();
        loop {
            match self.sink.offer(block, &mut self.progress) {
                Ok(taken) => return Ok(taken),
                Err(Trouble::Ended(error)) => return Err(Stop::OutputEnded(error)),
                Err(Trouble::Blocked) => {}
                Err(Trouble::Broken { error, retry_after }) => {
                    let pause = self.fail(&error, retry_after);
                    self.pause(pause);
                }
                Err(Trouble::Misconfigured { words }) => {
                    let pause = self.fail(&words, None);
                    self.pause(pause);
                }
            }
            self.check_deadline()?;
        }
    }

    fn check_deadline(&self) -> Result<(), Stop> {
        match self.receiver.close_deadline() {
            Some(deadline) if Instant::now() >= deadline => Err(Stop::OutOfTime),
            _ => Ok(()),
        }
    }

    /// Notes a failure; returns how long to pause: doubled each time, capped, and a random part of
    /// it taken off, so that many hosts do not come back to one consumer at once.
    fn fail(&mut self, error: &dyn Display, retry_after: Option<Duration>) -> Duration {
        if self.failures == 0 {
            self.log.warn("the output fails, trying again", &[("error", error)]);
        } else {
            self.log.debug("the output still fails", &[("error", error)]);
        }
        if let Some(pause) = retry_after {
            return pause;
        }
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let random = RandomState::new().hash_one(self.failures) % 500;
        pause - pause.saturating_mul(u32::try_from(random).unwrap_or(0)) / 1000
    }

    fn pause(&self, pause: Duration) {
        let left = self
            .receiver
            .close_deadline()
            .map_or(pause, |deadline| deadline.saturating_duration_since(Instant::now()));
        thread::sleep(pause.min(left));
    }

    /// The output took what it should.
    fn flows(&mut self) {
        let was_stalled = self.receiver.is_flowing();
        if self.failures > 0 {
            self.failures = 0;
            self.telemetry.reconnects.increment();
            self.log.info("the output works again", &[]);
        } else if was_stalled {
            self.log.info("the output takes lines again", &[]);
        }
    }

    /// Lets go of everything that is not written; returns how many pushes that were. Those of the
    /// block in hand may be written in part: they get no answer but the end of their connection.
    fn abandon(&mut self) -> u64 {
        let mut count = self.batches.iter().map(|batch| u64::from(batch.is_push())).sum();
        while let Some(message) = self.receiver.take_waiting() {
            if let Message::Batch(batch) = message {
                count += u64::from(batch.is_push());
                self.receiver.refuse(batch, Undelivered::OutputEnded);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::queue::{self, Acknowledge, QueueOptions};
    use crate::observe::log::{Level, LogFormat};
    use std::sync::mpsc::{self, Sender};

    /// An output that takes nothing, and tells when it was asked to.
    struct Stuck(Sender<()>);

    impl Sink for Stuck {
        fn offer(&mut self, _: &Block, _: &mut Progress) -> Result<Taken, Trouble> {
            if self.0.send(()).is_err() {
                // OK because the test has seen enough.
            }
            thread::yield_now();
            Err(Trouble::Blocked)
        }

        fn idle(&mut self) -> Result<(), Trouble> {
            Ok(())
        }

        fn reopen(&mut self) {}
    }

    /// Hands lines over by `hand_over`, waits until the writer has them in its hand, and closes the
    /// queue: how the writer ends.
    fn ended(hand_over: impl FnOnce(&queue::Sender<()>)) -> WriterEnd {
        let telemetry = Arc::new(Telemetry::new());
        let (acknowledge, ack_timeout) = (Acknowledge::Queued, Duration::from_secs(20));
        let options = QueueOptions { bytes_max: 10_000, acknowledge, ack_timeout };
        let (sender, receiver, _) = queue::channel(options, Arc::clone(&telemetry));
        let (asked, was_asked) = mpsc::channel();
        let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
        let writer = spawn(receiver, Box::new(Stuck(asked)), telemetry, log, |_| {}).unwrap();
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
}
