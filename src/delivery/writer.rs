//! The one thread that owns the output: batches → sink → acknowledgements (SPEC 3).
//!
//! It takes what is waiting, joins small batches into one block, writes the block, and acknowledges
//! each of its batches once the last byte is taken. A block that breaks is begun anew, whole, so no
//! reader of the output ever sees a push continued after a reconnect or a rotation. It writes when
//! there is something to write, never on a timer; while there is nothing it looks after the other
//! end.

use crate::delivery::queue::{Batch, Message, Receiver, Refusal, Reply};
use crate::delivery::sink::{Sink, Trouble};
use crate::limits::JOINED_BYTES_MAX;
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use std::collections::hash_map::RandomState;
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
pub enum Outcome {
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
    on_end: impl FnOnce(&Outcome) + Send + 'static,
) -> io::Result<JoinHandle<Outcome>> {
    let writer = Writer {
        receiver,
        sink,
        telemetry,
        log,
        block: Vec::new(),
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
    /// The bytes of the block in hand, where it has more than one batch.
    block: Vec<u8>,
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
    fn run(mut self) -> Outcome {
        match self.serve() {
            Ok(()) => Outcome::Drained,
            Err(stop) => {
                self.receiver.end();
                let batch_count = self.abandon();
                match stop {
                    Stop::OutputEnded(error) => Outcome::OutputEnded(error),
                    // Only lines of our own were left: nobody lost a push.
                    Stop::OutOfTime if batch_count == 0 => Outcome::Drained,
                    Stop::OutOfTime => Outcome::Undrained { batch_count },
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
            Err(Trouble::Broken(error)) => {
                self.receiver.is_trying();
                Ok(self.fail(&error))
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
        let mut bytes: usize = self.batches.iter().map(|batch| batch.lines.len()).sum();
        while bytes < JOINED_BYTES_MAX
            && let Some(message) = self.receiver.take_waiting()
        {
            let count = self.batches.len();
            self.take(message);
            bytes += self.batches.get(count).map_or(0, |batch| batch.lines.len());
        }
    }

    /// Writes the batches in hand and acknowledges them.
    fn write_block(&mut self) -> Result<(), Stop> {
        self.receiver.is_trying();
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        let is_joined = self.batches.len() > 1;
        if is_joined {
            for batch in &self.batches {
                block.extend_from_slice(&batch.lines);
            }
        } else if let Some(batch) = self.batches.first_mut() {
            std::mem::swap(&mut block, &mut batch.lines);
        }
        let written = self.write_whole(&block);
        if written.is_ok() {
            self.telemetry.bytes_written.add(block.len() as u64);
        }
        if !is_joined && let Some(batch) = self.batches.first_mut() {
            std::mem::swap(&mut block, &mut batch.lines);
        }
        self.block = block;
        written?;
        self.flows();
        let lines = self.batches.iter().map(|batch| u64::from(batch.line_count)).sum();
        self.telemetry.lines_written.add(lines);
        self.receiver.acknowledge(&mut self.batches);
        Ok(())
    }

    /// Writes a block from its start until all of it is taken, however often that breaks.
    fn write_whole(&mut self, block: &[u8]) -> Result<(), Stop> {
        while let Err(trouble) = self.try_write(block) {
            match trouble {
                Trouble::Ended(error) => return Err(Stop::OutputEnded(error)),
                Trouble::Blocked => {}
                Trouble::Broken(error) => {
                    let pause = self.fail(&error);
                    self.pause(pause);
                }
            }
            self.check_deadline()?;
        }
        Ok(())
    }

    fn try_write(&mut self, block: &[u8]) -> Result<(), Trouble> {
        self.sink.begin()?;
        let mut rest = block;
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    self.receiver.is_flowing();
                    self.receiver.is_trying();
                }
                Err(Trouble::Blocked) => {
                    if self.check_deadline().is_err() {
                        return Err(Trouble::Broken(io::Error::from(io::ErrorKind::TimedOut)));
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        self.sink.finish(block)
    }

    fn check_deadline(&self) -> Result<(), Stop> {
        match self.receiver.close_deadline() {
            Some(deadline) if Instant::now() >= deadline => Err(Stop::OutOfTime),
            _ => Ok(()),
        }
    }

    /// Notes a failure; returns how long to pause: doubled each time, capped, and a random part of
    /// it taken off, so that many hosts do not come back to one consumer at once.
    fn fail(&mut self, error: &io::Error) -> Duration {
        if self.failures == 0 {
            self.log.warn("the output fails, trying again", &[("error", error)]);
        } else {
            self.log.debug("the output still fails", &[("error", error)]);
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
                self.receiver.refuse(batch, Refusal::OutputEnded);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::queue::{self, Acknowledge, Options};
    use crate::observe::log::{Format, Level};
    use std::sync::mpsc::{self, Sender};

    /// An output that takes nothing, and tells when it was asked to.
    struct Stuck(Sender<()>);

    impl Sink for Stuck {
        fn begin(&mut self) -> Result<(), Trouble> {
            Ok(())
        }

        fn write(&mut self, _: &[u8]) -> Result<usize, Trouble> {
            if self.0.send(()).is_err() {
                // OK because the test has seen enough.
            }
            thread::yield_now();
            Err(Trouble::Blocked)
        }

        fn finish(&mut self, _: &[u8]) -> Result<(), Trouble> {
            Ok(())
        }

        fn idle(&mut self) -> Result<(), Trouble> {
            Ok(())
        }

        fn reopen(&mut self) {}
    }

    /// Hands lines over by `hand_over`, waits until the writer has them in its hand, and closes the
    /// queue: how the writer ends.
    fn ended(hand_over: impl FnOnce(&queue::Sender<()>)) -> Outcome {
        let telemetry = Arc::new(Telemetry::new());
        let (acknowledge, ack_timeout) = (Acknowledge::Queued, Duration::from_secs(20));
        let options = Options { bytes_max: 10_000, acknowledge, ack_timeout };
        let (sender, receiver, _) = queue::channel(options, Arc::clone(&telemetry));
        let (asked, was_asked) = mpsc::channel();
        let log = Arc::new(Log::new(Level::Error, Format::Logfmt));
        let writer = spawn(receiver, Box::new(Stuck(asked)), telemetry, log, |_| {}).unwrap();
        hand_over(&sender);
        was_asked.recv().unwrap();
        sender.close(Instant::now() + Duration::from_millis(20));
        writer.join().unwrap()
    }

    #[test]
    fn a_push_that_is_left_is_told_but_lines_of_our_own_are_not() {
        let own = ended(|sender| assert!(sender.offer(b"own\n".to_vec(), 1)));
        assert!(matches!(own, Outcome::Drained), "{own:?}");
        let push = ended(|sender| sender.submit(b"a\n".to_vec(), 1, ()));
        assert!(matches!(push, Outcome::Undrained { batch_count: 1 }), "{push:?}");
    }
}
