//! What the output does not take → the spool (SPEC 3.4): the second thread of a writer that has
//! one.
//!
//! It sleeps while all is well. Once it has taken over (see `handover`), it takes pushes from the
//! queue, appends them, one sync for all that wait, and answers them, until the writer has drained
//! the spool. Once a second it looks after the folder. It is the thread that says how the writer
//! has ended: with pushes safe on disk, the end need not wait for an output that hangs.

use super::handover::{Call, Hand, Handover, Intake};
use super::outage::Outage;
use crate::delivery::queue::{Batch, Receiver, Reply, Undelivered, WriterOrder};
use crate::delivery::spool::{Appended, Appender, PushLines};
use crate::limits::SPOOL_GATHERED_BYTES_MAX;
use crate::observe::log::Log;
use crate::system::now_ms;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the folder is looked after.
const TICK: Duration = Duration::from_secs(1);
/// A spool with fewer pushes may be empty in a moment.
const FEW_PUSHES: u64 = 1000;

/// How a spooler ends.
pub(super) enum SpoolerEnd {
    /// The queue is closed, and what was in it is delivered or on disk.
    Drained,
    /// The writer has ended, and says how.
    WriterEnded,
}

/// The thread that writes to the spool.
pub(super) struct Spooler<R> {
    pub(super) receiver: Receiver<R>,
    pub(super) appender: Appender,
    pub(super) handover: Arc<Handover>,
    /// How long a block may wait for the output (`spool.after`).
    pub(super) after: Duration,
    pub(super) outage: Outage,
    pub(super) log: Arc<Log>,
    /// When the folder is looked after next.
    pub(super) next_tick: Instant,
    /// The folder could not be looked after.
    pub(super) is_untidy: bool,
}

impl<R: Reply> Spooler<R> {
    /// Runs until the queue is closed and what was in it is written or spooled, or the writer has
    /// ended.
    pub(super) fn run(&mut self) -> SpoolerEnd {
        let end = self.serve();
        if let Err(error) = self.appender.close() {
            self.log.warn(
                "the cursor of the spool is not written, some lines will be delivered again",
                &[("error", &error)],
            );
        }
        end
    }

    fn serve(&mut self) -> SpoolerEnd {
        if self.handover.intake() == Intake::Spooler {
            self.outage.begins();
            if self.spool_until_empty() {
                return SpoolerEnd::Drained;
            }
        }
        loop {
            let patience = self.next_tick.saturating_duration_since(Instant::now());
            self.receiver.beat().idle();
            let call = self.handover.stand_by(self.patience(), patience);
            self.receiver.beat().work();
            match call {
                Call::Tick => self.tick(),
                Call::WriterEnded => return SpoolerEnd::WriterEnded,
                Call::Spool(hand) => {
                    self.outage.begins();
                    self.take_over(hand);
                    if self.spool_until_empty() {
                        return SpoolerEnd::Drained;
                    }
                }
            }
        }
    }

    /// How long the block in hand may wait: while the process ends, half of the time that is left.
    fn patience(&self) -> Duration {
        let left = self
            .receiver
            .state()
            .close_deadline()
            .map(|deadline| deadline.saturating_duration_since(Instant::now()) / 2);
        left.map_or(self.after, |left| left.min(self.after))
    }

    /// Spools the block that the writer has in its hand.
    fn take_over(&mut self, hand: Hand) {
        let Hand { block, mut batches } = hand;
        let pushes: Vec<PushLines<'_>> = block
            .pushes()
            .map(|(bytes, line_count)| PushLines { lines: block.slice(bytes), line_count })
            .collect();
        let appended = self.appender.append(&pushes, now_ms());
        self.handover.spooled((appended.count > 0).then_some(appended.span));
        self.conclude(appended, &mut batches);
    }

    /// Takes pushes from the queue and appends them, until the spool is empty and the writer has
    /// nothing to do; returns whether the queue is closed and nothing is left in it.
    fn spool_until_empty(&mut self) -> bool {
        let mut batches = Vec::new();
        loop {
            if Instant::now() >= self.next_tick {
                self.tick();
            }
            if self.appender.waiting() <= FEW_PUSHES {
                self.receiver.beat().rest();
                self.handover.wait_for_writer(self.patience());
                self.receiver.beat().work();
                let appender = &self.appender;
                if self.handover.give_back(|| appender.waiting() == 0) {
                    self.outage.ends();
                    return false;
                }
            }
            if self.handover.has_writer_ended() {
                return false;
            }
            // Looked at first: what was sent before the queue was closed is waiting by then.
            let is_closed = self.receiver.state().close_deadline().is_some();
            let patience = self.next_tick.saturating_duration_since(Instant::now());
            match self.receiver.take_waiting() {
                Some(order) => take(order, &mut batches),
                None if is_closed => return true,
                None => {
                    if let Some(order) = self.receiver.receive(patience) {
                        take(order, &mut batches);
                    }
                }
            }
            self.gather(&mut batches);
            if !batches.is_empty() {
                self.append(&mut batches);
            }
        }
    }

    /// Takes what is waiting: one sync serves all of it.
    fn gather(&mut self, batches: &mut Vec<Batch>) {
        let mut bytes: usize = batches.iter().map(|batch| batch.lines.len()).sum();
        while bytes < SPOOL_GATHERED_BYTES_MAX
            && let Some(order) = self.receiver.take_waiting()
        {
            let count = batches.len();
            take(order, batches);
            bytes += batches.get(count).map_or(0, |batch| batch.lines.len());
        }
    }

    fn append(&mut self, batches: &mut Vec<Batch>) {
        let pushes: Vec<PushLines<'_>> = batches
            .iter()
            .map(|batch| PushLines { lines: &batch.lines, line_count: batch.line_count })
            .collect();
        let appended = self.appender.append(&pushes, now_ms());
        self.conclude(appended, batches);
        self.handover.wake_writer();
    }

    /// Answers pushes: those that are on disk, and those that have no room.
    fn conclude(&mut self, appended: Appended, batches: &mut Vec<Batch>) {
        let Appended { count, failure, .. } = appended;
        let words: Option<Arc<str>> = failure.map(|error| error.to_string().into());
        let why = |index| {
            let words = words.clone().filter(|_| index >= count)?;
            Some(Undelivered::SpoolFull { words })
        };
        let undelivered = (0..batches.len()).map(why).collect();
        match &words {
            None => self.outage.has_room(),
            // One large push that has no room does not make the spool full.
            Some(words) if !self.appender.may_have_room() => self.outage.fills(words),
            Some(_) => {}
        }
        self.receiver.conclude(batches, undelivered);
        self.outage.grows();
    }

    /// Looks after the folder, and whether there is room again.
    fn tick(&mut self) {
        self.next_tick = Instant::now() + TICK;
        let tidied = self.appender.tidy(Instant::now(), now_ms());
        if let Err(error) = &tidied
            && !self.is_untidy
        {
            self.log.warn("the folder of the spool cannot be tidied", &[("error", error)]);
        }
        self.is_untidy = tidied.is_err();
        if self.outage.is_full() && self.appender.may_have_room() {
            self.outage.has_room();
        }
    }
}

fn take(order: WriterOrder, batches: &mut Vec<Batch>) {
    match order {
        WriterOrder::Deliver(batch) => batches.push(batch),
        // What it is about is looked at in each round.
        WriterOrder::LookUp => {}
    }
}
