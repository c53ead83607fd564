//! What the output does not take → the spool (SPEC 3.4): the second thread of a writer that has
//! one.
//!
//! It sleeps while all is well. Once it has taken over (see `handover`), it takes pushes from the
//! queue, appends them, one sync for all that wait, and answers them, until the writer has drained
//! the spool. Once a second it looks after the folder. It is the thread that says how the writer
//! has ended: with pushes safe on disk, the end need not wait for an output that hangs. Where the
//! writer ends first, out of time, it spools what the writer and the queue still hold.
//!
//! A push that was acknowledged when it entered the queue (`ack = "queued"`) is never refused.
//! Where the spool has no room for it, it stays in hand, and all others in the queue, until there
//! is some; one that is larger than the whole spool goes back to the writer once that is empty.

use super::handover::{Call, Hand, Handover, Intake};
use super::outage::{Outage, SpoolsBecause};
use crate::delivery::queue::{Batch, Receiver, Reply, Undelivered, WriterOrder};
use crate::delivery::spool::{Appended, Appender, PushLines};
use crate::limits::SPOOL_GATHERED_BYTES_MAX;
use crate::observe::log::Log;
use crate::system::Moment;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the folder is looked after.
const TICK: Duration = Duration::from_secs(1);
/// A spool with fewer pushes may be empty in a moment.
const FEW_PUSHES: u64 = 1000;

/// How a spooler ends.
pub(super) struct SpoolerEnd {
    /// The writer has ended before, and says how.
    pub(super) has_writer_ended: bool,
    /// Pushes that are neither delivered nor on disk, and were not refused either.
    pub(super) batch_count: u64,
}

/// Why the spooler takes no more pushes from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The writer takes them again.
    GivenBack,
    /// The queue is closed, and nothing is left in it.
    Drained,
    /// The writer has ended.
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
    /// Taken from the queue, and not in the spool yet.
    pub(super) batches: Vec<Batch>,
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
        self.serve();
        let batch_count = self.spool_what_is_left();
        if let Err(error) = self.appender.close() {
            self.log.warn(
                "the cursor of the spool is not written, some lines will be delivered again",
                &[("error", &error)],
            );
        }
        SpoolerEnd { has_writer_ended: self.handover.has_writer_ended(), batch_count }
    }

    fn serve(&mut self) {
        if self.handover.intake() == Intake::Spooler {
            self.outage.begins(SpoolsBecause::OthersWait);
            if self.spool_until_empty() != Stop::GivenBack {
                return;
            }
        }
        loop {
            self.receiver.beat().idle();
            let call = self.handover.stand_by(|| self.patience(), self.next_tick);
            self.receiver.beat().work();
            match call {
                Call::Tick => self.tick(),
                Call::WriterEnded => return,
                Call::Spool(hand) => {
                    self.outage.begins(SpoolsBecause::OutputIsSlow);
                    self.take_over(hand);
                    if self.spool_until_empty() != Stop::GivenBack {
                        return;
                    }
                }
            }
        }
    }

    /// Spools what the writer has left, and then what is in the queue; returns how many pushes had
    /// no room, which were acknowledged or may be written.
    fn spool_what_is_left(&mut self) -> u64 {
        if let Some(deadline) = self.receiver.state().close_deadline() {
            // Of a block that is in the spool in part, the rest is the writer's as long as it has
            // time.
            self.receiver.beat().rest();
            self.handover.wait_for_hand(deadline);
            // Pushes that were answered before anything went to the spool may be among those that
            // the sink searches.
            self.handover.wait_for_search(deadline);
            self.receiver.beat().work();
        }
        if let Some(hand) = self.handover.take_left() {
            self.take_over(hand);
        }
        // They may be written in part, so only the end of its connection tells a pusher.
        let left = self.handover.take_left().map_or_else(Vec::new, |left| left.batches);
        let left_of_block = count_pushes(&left);
        self.batches.splice(0..0, self.handover.take_returned());
        loop {
            self.gather();
            if self.batches.is_empty() {
                return left_of_block;
            }
            let count = self.batches.len();
            self.append();
            if self.batches.len() == count {
                break;
            }
        }
        while let Some(order) = self.receiver.take_waiting() {
            take(order, &mut self.batches);
        }
        self.append();
        left_of_block + count_pushes(&self.batches)
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

    /// Spools the block that the writer has in its hand, as far as there is room. The rest is still
    /// offered, so its pushers are answered once the output has taken it.
    fn take_over(&mut self, hand: Hand) {
        let Hand { block, mut batches } = hand;
        let spooled = block.pushes().count() - batches.len();
        let pushes: Vec<PushLines<'_>> = block
            .pushes()
            .skip(spooled)
            .map(|(bytes, line_count)| PushLines { lines: block.slice(bytes), line_count })
            .collect();
        let state = self.receiver.state();
        let appended = state.with_disk(|| self.appender.append_offered(&pushes, Moment::now()));
        let Appended { count, span, failure } = appended;
        let left = Hand { block: Arc::clone(&block), batches: batches.split_off(count) };
        self.handover.spooled((count > 0).then_some(span), left);
        self.note_room(failure.map(|error| error.to_string().into()).as_ref());
        self.receiver.acknowledge(&mut batches);
        self.outage.grows();
    }

    /// Takes pushes from the queue and appends them, until the spool is empty and the writer has
    /// nothing to do.
    fn spool_until_empty(&mut self) -> Stop {
        loop {
            if Instant::now() >= self.next_tick {
                self.tick();
            }
            if self.appender.waiting() <= FEW_PUSHES {
                self.receiver.beat().rest();
                self.handover.wait_for_writer(self.patience());
                self.receiver.beat().work();
                let appender = &self.appender;
                if self.handover.give_back(|| appender.waiting() == 0, &mut self.batches) {
                    self.outage.ends();
                    return Stop::GivenBack;
                }
            }
            if self.handover.has_writer_ended() {
                return Stop::WriterEnded;
            }
            // Looked at first: what was sent before the queue was closed is waiting by then.
            let deadline = self.receiver.state().close_deadline();
            let until = deadline.map_or(self.next_tick, |deadline| deadline.min(self.next_tick));
            let patience = until.saturating_duration_since(Instant::now());
            if !self.batches.is_empty() {
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Stop::Drained;
                }
                self.receiver.beat().idle();
                self.handover.wait_for_change(patience);
                self.receiver.beat().work();
                self.append();
                continue;
            }
            match self.receiver.take_waiting() {
                Some(order) => take(order, &mut self.batches),
                None if deadline.is_some() => return Stop::Drained,
                None => {
                    if let Some(order) = self.receiver.receive(patience) {
                        take(order, &mut self.batches);
                    }
                }
            }
            self.gather();
            self.append();
        }
    }

    /// Takes what is waiting: one sync serves all of it.
    fn gather(&mut self) {
        let mut bytes: usize = self.batches.iter().map(|batch| batch.lines.len()).sum();
        while bytes < SPOOL_GATHERED_BYTES_MAX
            && let Some(order) = self.receiver.take_waiting()
        {
            let count = self.batches.len();
            take(order, &mut self.batches);
            bytes += self.batches.get(count).map_or(0, |batch| batch.lines.len());
        }
    }

    /// Spools the batches in hand and answers their pushers; where the spool has no room, those
    /// that were acknowledged stay in hand.
    fn append(&mut self) {
        if self.batches.is_empty() {
            return;
        }
        let pushes: Vec<PushLines<'_>> = self
            .batches
            .iter()
            .map(|batch| PushLines { lines: &batch.lines, line_count: batch.line_count })
            .collect();
        let state = self.receiver.state();
        let appended = state.with_disk(|| self.appender.append(&pushes, Moment::now()));
        let Appended { count, failure, .. } = appended;
        let words: Option<Arc<str>> = failure.map(|error| error.to_string().into());
        self.note_room(words.as_ref());
        let left = self.batches.split_off(count);
        self.receiver.acknowledge(&mut self.batches);
        for batch in left {
            match &words {
                Some(words) if !batch.is_acknowledged() => {
                    let words = Arc::clone(words);
                    self.receiver.refuse(batch, Undelivered::SpoolFull { words });
                }
                _ => self.batches.push(batch),
            }
        }
        self.outage.grows();
        self.handover.wake_writer();
    }

    /// Tells whether the spool had room, or why not.
    fn note_room(&mut self, failure: Option<&Arc<str>>) {
        match failure {
            None => self.outage.has_room(),
            // One large push that has no room does not make the spool full.
            Some(words) if !self.appender.may_have_room() => self.outage.fills(words),
            Some(_) => {}
        }
    }

    /// Looks after the folder, and whether there is room again.
    fn tick(&mut self) {
        self.next_tick = Instant::now() + TICK;
        let state = self.receiver.state();
        let tidied = state.with_disk(|| self.appender.tidy(Moment::now()));
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

fn count_pushes(batches: &[Batch]) -> u64 {
    batches.iter().filter(|batch| batch.is_push()).count() as u64
}

fn take(order: WriterOrder, batches: &mut Vec<Batch>) {
    match order {
        WriterOrder::Deliver(batch) => batches.push(batch),
        // What it is about is looked at in each round.
        WriterOrder::LookUp => {}
    }
}
