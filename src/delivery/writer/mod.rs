//! The one thread that owns the output: batches → blocks → sink → answers (SPEC 3).
//!
//! It takes what is waiting, gathers small batches into one block, offers the block until the
//! output is done with it, and answers the pushes in it. It writes when there is something to
//! write, never on a timer; while there is nothing it looks after the other end.
//!
//! With a spool there is a second thread, the spooler, which takes over what the output does not
//! take in time; `handover` tells how the two share the work.

mod backoff;
mod drain;
mod handover;
mod offering;
mod outage;
mod refused;
#[cfg(test)]
mod spool_tests;
mod spooler;

use crate::delivery::condition::{FinalEnd, SpoolCondition};
use crate::delivery::queue::{Batch, Receiver, Reply, Undelivered, WriterOrder};
use crate::delivery::sink::{Block, Gathering, Sink};
use crate::delivery::spool::{Appender, Drainer};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use drain::{Draining, Lent};
use handover::{Handover, Intake};
use offering::{GivenUp, Offering};
use outage::Outage;
use spooler::{Spooler, SpoolerEnd};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a start takes at most, on a small host.
const SERVES_AFTER: Duration = Duration::from_millis(100);

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

/// What a writer works with.
pub(crate) struct WriterParts<R> {
    /// Where pushes come from.
    pub(crate) receiver: Receiver<R>,
    /// Where their lines go.
    pub(crate) sink: Box<dyn Sink>,
    /// What the log calls that.
    pub(crate) target: String,
    /// Where they wait while the sink does not take them; none: they wait in the queue.
    pub(crate) spool: Option<SpoolParts>,
    /// What is counted.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Where events go.
    pub(crate) log: Arc<Log>,
}

/// Both ends of a spool.
pub(crate) struct SpoolParts {
    pub(crate) appender: Appender,
    pub(crate) drainer: Drainer,
    /// How long a block may wait for the sink (`spool.after`).
    pub(crate) after: Duration,
}

/// Starts the thread, and one more where there is a spool: its end is the writer's then.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn spawn<R: Reply>(
    parts: WriterParts<R>,
    on_end: impl FnOnce(&WriterEnd) + Send + 'static,
) -> io::Result<JoinHandle<WriterEnd>> {
    let WriterParts { receiver, sink, target, spool, telemetry, log } = parts;
    let records = (Arc::clone(&telemetry), Arc::clone(&log));
    let offering = Offering::new(sink, target, receiver.state(), records);
    let (block, batches, draining) = (Block::default(), Vec::new(), None);
    let mut writer = Writer { receiver, offering, telemetry, block, batches, draining };
    let Some(spool) = spool else {
        return named("writer", move || {
            let end = writer.run_to_end();
            on_end(&end);
            end
        });
    };
    let mut spooler = writer.share(spool, &log);
    let receiver = writer.receiver.share();
    let writer = named("writer", move || writer.run_to_end())?;
    named("spooler", move || {
        // OK because of what a panic leaves, only the queue is used, whose every change is whole.
        let end = match catch_unwind(AssertUnwindSafe(|| spooler.run())) {
            Ok(SpoolerEnd { has_writer_ended, batch_count }) => {
                // A writer that hangs is not waited for.
                let end = if has_writer_ended { writer.join() } else { Ok(WriterEnd::Drained) };
                match end.unwrap_or(WriterEnd::Panicked) {
                    WriterEnd::Drained if batch_count > 0 => WriterEnd::Undrained { batch_count },
                    end => end,
                }
            }
            Err(_) => {
                receiver.end(FinalEnd::Defect);
                WriterEnd::Panicked
            }
        };
        on_end(&end);
        end
    })
}

fn named<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

struct Writer<R> {
    receiver: Receiver<R>,
    offering: Offering,
    telemetry: Arc<Telemetry>,
    /// The lines of the batches in hand, while they are offered.
    block: Block,
    /// The batches of the block in hand.
    batches: Vec<Batch>,
    /// Its end of a spool.
    draining: Option<Draining>,
}

impl<R: Reply> Writer<R> {
    /// Takes its end of a spool; returns who has the other one.
    fn share(&mut self, spool: SpoolParts, log: &Arc<Log>) -> Spooler<R> {
        let SpoolParts { appender, drainer, after } = spool;
        let intake = if drainer.is_empty() { Intake::Writer } else { Intake::Spooler };
        let handover = Arc::new(Handover::new(intake, after));
        self.offering.tell(Arc::clone(&handover));
        self.receiver.state().spool(SpoolCondition::Empty);
        let (telemetry, log) = (Arc::clone(&self.telemetry), Arc::clone(log));
        let outage = Outage::new(self.receiver.state(), Arc::clone(&telemetry), Arc::clone(&log));
        let draining = Draining::new(drainer, Arc::clone(&handover), telemetry, Arc::clone(&log));
        self.draining = Some(draining);
        Spooler {
            receiver: self.receiver.share(),
            appender,
            handover,
            after,
            outage,
            batches: Vec::new(),
            log,
            next_tick: Instant::now(),
            is_untidy: false,
        }
    }

    fn run_to_end(mut self) -> WriterEnd {
        // OK because of what a panic leaves, only the queue is used, whose every change is whole.
        catch_unwind(AssertUnwindSafe(|| self.run())).unwrap_or_else(|_| {
            self.receiver.end(FinalEnd::Defect);
            WriterEnd::Panicked
        })
    }

    fn run(&mut self) -> WriterEnd {
        let Err(given_up) = self.serve() else { return WriterEnd::Drained };
        match given_up {
            GivenUp::OutputEnded(error) => {
                self.receiver.end(FinalEnd::Output);
                self.abandon(&Undelivered::OutputEnded);
                WriterEnd::OutputEnded(error)
            }
            // The spooler takes what is not delivered, and says what it has no room for.
            GivenUp::OutOfTime if self.draining.is_some() => WriterEnd::Drained,
            GivenUp::OutOfTime => match self.abandon(&Undelivered::ShuttingDown) {
                // Only lines of our own were left: nobody lost a push.
                0 => WriterEnd::Drained,
                batch_count => WriterEnd::Undrained { batch_count },
            },
        }
    }

    fn serve(&mut self) -> Result<(), GivenUp> {
        let state = self.receiver.state();
        if self.draining.as_ref().is_some_and(Draining::has_waiting) {
            // What has waited since the last run can wait until this one serves: to read and pack
            // it takes a CPU, of which a small host has one.
            state.pause(SERVES_AFTER);
        }
        loop {
            if let Some(draining) = &mut self.draining {
                draining.drain(&mut self.offering, &self.receiver)?;
                self.batches.append(&mut draining.take_returned());
            }
            // Looked at first: what was sent before the queue was closed is waiting by then.
            let is_closed = state.close_deadline().is_some();
            match self.receiver.take_waiting() {
                Some(order) => self.take(order),
                None if !self.batches.is_empty() => {}
                // Once the queue is closed, nothing new comes: what waited was all there is.
                None if is_closed && !self.has_to_search() => return Ok(()),
                None => {
                    // What it waits for there is the consumer's.
                    self.receiver.beat().rest();
                    let patience = self.offering.look_after()?;
                    if let Some(draining) = &mut self.draining {
                        draining.settle(&self.offering);
                    }
                    if is_closed {
                        state.pause(patience);
                        continue;
                    }
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

    /// Whether it is to be found out yet what the reader refuses, among pushes that are answered
    /// already, and there is time.
    fn has_to_search(&self) -> bool {
        let deadline = self.receiver.state().close_deadline();
        self.offering.is_searching() && deadline.is_none_or(|deadline| Instant::now() < deadline)
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
        if let Some(draining) = &mut self.draining {
            self.receiver.beat().rest();
            let (block, batches) = (std::mem::take(block), std::mem::take(&mut self.batches));
            let Lent { block, batches, undelivered } =
                draining.offer_lent(block, batches, &mut self.offering)?;
            self.receiver.beat().work();
            (self.block, self.batches) = (block, batches);
            self.conclude(undelivered);
            return Ok(());
        }
        self.receiver.beat().rest();
        let taken = self.offering.deliver(block);
        self.receiver.beat().work();
        let undelivered = refused::count(&self.telemetry, &self.block, &taken?);
        self.conclude(undelivered);
        Ok(())
    }

    /// Answers the pushers of the batches in hand.
    fn conclude(&mut self, undelivered: Vec<Option<Undelivered>>) {
        match &mut *self.batches {
            [single] => self.block.swap_back(&mut single.lines),
            _ => self.block.clear(),
        }
        self.receiver.conclude(&mut self.batches, undelivered);
    }

    /// Lets go of everything that is not delivered; returns how many pushes that were. Those of the
    /// block in hand may be written in part: they get no answer but the end of their connection.
    fn abandon(&mut self, why: &Undelivered) -> u64 {
        let mut count = self.batches.iter().map(|batch| u64::from(batch.is_push())).sum();
        while let Some(order) = self.receiver.take_waiting() {
            if let WriterOrder::Deliver(batch) = order {
                count += u64::from(batch.is_push());
                self.receiver.refuse(batch, why.clone());
            }
        }
        count
    }
}

#[cfg(test)]
mod tests;
