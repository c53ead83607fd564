//! The one thread that owns the output: batches → blocks → sink → answers (SPEC 3).
//!
//! It takes what is waiting, gathers small batches into one block, offers the block until the
//! output is done with it, and answers the pushes in it. It writes when there is something to
//! write, never on a timer; while there is nothing it looks after the other end.

mod backoff;
mod offering;
mod refused;

use crate::delivery::queue::{Batch, Receiver, Reply, Undelivered, WriterOrder};
use crate::delivery::sink::{Block, Gathering, Sink, Taken};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use offering::{GivenUp, Offering};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// How a writer ended.
#[derive(Debug)]
pub enum WriterEnd {
    /// Everything that was in the queue is delivered.
    Drained,
    /// The time to drain ended before that.
    Undrained {
        /// Batches that are not delivered.
        batch_count: u64,
    },
    /// The output has ended for good.
    OutputEnded(io::Error),
    /// The writer panicked, which is a defect: nothing more is accepted.
    Panicked,
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
    let offering = Offering::new(sink, receiver.state(), Arc::clone(&telemetry), log);
    let mut writer =
        Writer { receiver, offering, telemetry, block: Block::default(), batches: Vec::new() };
    thread::Builder::new().name("writer".to_owned()).spawn(move || {
        // OK because of what a panic leaves, only the queue is used, whose every change is whole.
        let end = catch_unwind(AssertUnwindSafe(|| writer.run()));
        let end = end.unwrap_or_else(|_| {
            writer.receiver.end();
            WriterEnd::Panicked
        });
        on_end(&end);
        end
    })
}

struct Writer<R> {
    receiver: Receiver<R>,
    offering: Offering,
    telemetry: Arc<Telemetry>,
    /// The lines of the batches in hand, while they are offered.
    block: Block,
    /// The batches of the block in hand.
    batches: Vec<Batch>,
}

impl<R: Reply> Writer<R> {
    fn run(&mut self) -> WriterEnd {
        let Err(given_up) = self.serve() else { return WriterEnd::Drained };
        self.receiver.end();
        let batch_count = self.abandon();
        match given_up {
            GivenUp::OutputEnded(error) => WriterEnd::OutputEnded(error),
            // Only lines of our own were left: nobody lost a push.
            GivenUp::OutOfTime if batch_count == 0 => WriterEnd::Drained,
            GivenUp::OutOfTime => WriterEnd::Undrained { batch_count },
        }
    }

    fn serve(&mut self) -> Result<(), GivenUp> {
        let state = self.receiver.state();
        loop {
            // Looked at first: what was sent before the queue was closed is waiting by then.
            let is_closed = state.close_deadline().is_some();
            match self.receiver.take_waiting() {
                Some(order) => self.take(order),
                // Once the queue is closed, nothing new comes: what waited was all there is.
                None if is_closed => return Ok(()),
                None => {
                    // What it waits for there is the consumer's.
                    self.receiver.beat().rest();
                    let patience = self.offering.look_after()?;
                    if let Some(order) = self.receiver.receive(patience) {
                        self.take(order);
                    }
                }
            }
            if !self.batches.is_empty() {
                self.gather(is_closed);
                self.write_block()?;
            }
        }
    }

    fn take(&mut self, order: WriterOrder) {
        match order {
            WriterOrder::Deliver(batch) => self.batches.push(batch),
            // OK because the state of the output was, or will be, looked at.
            WriterOrder::LookUp => {}
        }
    }

    /// Takes more batches while they are waiting, or come soon enough, and the block is small.
    fn gather(&mut self, is_closed: bool) {
        let Gathering { bytes_max, linger } = self.offering.gathering();
        let linger_end = (!linger.is_zero() && !is_closed).then(|| Instant::now() + linger);
        let mut bytes: usize = self.batches.iter().map(|batch| batch.lines.len()).sum();
        while bytes < bytes_max {
            let waiting = self.receiver.take_waiting();
            let order = waiting.or_else(|| {
                let left = linger_end?.saturating_duration_since(Instant::now());
                self.receiver.receive(left).filter(|_| !left.is_zero())
            });
            match order {
                Some(WriterOrder::Deliver(batch)) => {
                    bytes += batch.lines.len();
                    self.batches.push(batch);
                }
                // An end, or a reload, does not wait.
                Some(WriterOrder::LookUp) | None => return,
            }
        }
    }

    /// Delivers the batches in hand and answers their pushers.
    fn write_block(&mut self) -> Result<(), GivenUp> {
        let block = &mut self.block;
        match &mut *self.batches {
            [single] => block.swap_in(&mut single.lines, single.line_count),
            batches => {
                batches.iter().for_each(|batch| block.append(&batch.lines, batch.line_count));
            }
        }
        self.receiver.beat().rest();
        let taken = self.offering.deliver(block);
        self.receiver.beat().work();
        let mut bytes = block.bytes().len() as u64;
        let mut lines = block.line_count();
        let mut undelivered: Vec<Option<Undelivered>> = Vec::new();
        if let Ok(Taken::AllBut(refused)) = &taken {
            bytes -= refused.iter().map(|part| part.bytes.len() as u64).sum::<u64>();
            lines -= refused::line_count(block, refused);
            undelivered = refused::by_push(block, refused);
        }
        match &mut *self.batches {
            [single] => block.swap_back(&mut single.lines),
            _ => block.clear(),
        }
        taken?;
        self.telemetry.bytes_written.add(bytes);
        self.telemetry.lines_written.add(lines);
        self.receiver.conclude(&mut self.batches, undelivered);
        Ok(())
    }

    /// Lets go of everything that is not delivered; returns how many pushes that were. Those of the
    /// block in hand may be written in part: they get no answer but the end of their connection.
    fn abandon(&mut self) -> u64 {
        let mut count = self.batches.iter().map(|batch| u64::from(batch.is_push())).sum();
        while let Some(order) = self.receiver.take_waiting() {
            if let WriterOrder::Deliver(batch) = order {
                count += u64::from(batch.is_push());
                self.receiver.refuse(batch, Undelivered::OutputEnded);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests;
