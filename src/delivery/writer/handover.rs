//! Between the writer and the spooler: whose turn it is to take pushes from the queue, and what is
//! in the writer's hand.
//!
//! ```text
//!              the block in hand is not taken within `spool.after`, or is known not to be
//!   ┌────────┐ ─────────────────────────────────────────────────────────────▶ ┌─────────┐
//!   │ writer │  takes from the queue, offers to the sink        takes from    │ spooler │
//!   └────────┘                                       the queue, appends       └─────────┘
//!              ◀─────────────────────────────────────────────────────────────
//!              the spool is empty, and the writer is free
//! ```
//! While all is well the spooler sleeps, and a block costs no switch of threads. The writer lends
//! its block and its batches before it offers them. If the spooler borrows them, it answers their
//! pushers once they are on disk, and returns the batches that the spool has no room for. The
//! writer goes on with its offer; when that succeeds, it passes over the records of the block and
//! answers the other batches. Then it drains the spool.
//!
//! A writer that ends leaves its block here, and the spooler spools what it can of it.
//!
//! Only one of the two takes from the queue at any time, so pushes keep their order: all that is in
//! the spool is older than all that is in the queue.

use crate::delivery::queue::Batch;
use crate::delivery::sink::Block;
use crate::delivery::spool::RecordSpan;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a block is, and whose pushes it has, while it is offered.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) block: Arc<Block>,
    /// The batches of its last pushes; those of the pushes before them are spooled.
    pub(super) batches: Vec<Batch>,
}

/// What the writer gets back once its block is taken.
#[derive(Debug)]
pub(super) struct Back {
    /// The batches of the last pushes of the block, which are not answered.
    pub(super) batches: Vec<Batch>,
    /// The records of all pushes before them, which are.
    pub(super) span: Option<RecordSpan>,
}

/// What the spooler is woken for.
#[derive(Debug)]
pub(super) enum Call {
    /// To spool what the output does not take.
    Spool(Hand),
    /// It is time to look after the folder.
    Tick,
    /// The writer has ended.
    WriterEnded,
}

/// Who takes pushes from the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Intake {
    #[default]
    Writer,
    Spooler,
}

#[derive(Debug, Default)]
struct HandoverState {
    intake: Intake,
    /// The block that is offered; none while the spooler is writing it.
    hand: Option<Hand>,
    /// The records that hold the first pushes of that block.
    span: Option<RecordSpan>,
    /// Batches that the spooler has taken from the queue, and returns to the writer.
    returned: Vec<Batch>,
    /// Since when the writer has offered the block that it offers now.
    offering_since: Option<Instant>,
    /// The last offer failed: nothing is taken before one succeeds.
    is_failing: bool,
    /// It is being found out what the reader refuses.
    is_searching: bool,
    /// The writer has nothing to do.
    is_idle: bool,
    has_writer_ended: bool,
    /// Until when the spooler sleeps; none while it does anything else.
    wake_at: Option<Instant>,
}

/// What both threads share.
#[derive(Debug)]
pub(super) struct Handover {
    /// How long a block may wait for the output (`spool.after`).
    after: Duration,
    state: Mutex<HandoverState>,
    changed: Condvar,
}

impl Handover {
    /// Begins with what an earlier run left in the spool, if it left anything.
    pub(super) fn new(intake: Intake, after: Duration) -> Handover {
        let state = HandoverState { intake, ..HandoverState::default() };
        Handover { after, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, HandoverState> {
        // Each change is whole before anything can panic, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, HandoverState>,
        patience: Duration,
    ) -> MutexGuard<'a, HandoverState> {
        self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Who takes pushes from the queue. Only who does may give that away.
    pub(super) fn intake(&self) -> Intake {
        self.state().intake
    }

    // What the writer calls.

    /// Lends a block that is about to be offered. Wakes a spooler that would sleep for too long.
    pub(super) fn lend(&self, hand: Hand) {
        let now = Instant::now();
        let mut state = self.state();
        state.hand = Some(hand);
        state.span = None;
        state.offering_since = Some(now);
        if state.is_failing || state.wake_at.is_some_and(|wake_at| now + self.after < wake_at) {
            self.changed.notify_all();
        }
    }

    /// Takes back what was lent, once the block is taken. Waits for a spooler that is just writing
    /// it.
    pub(super) fn take_back(&self) -> Back {
        let mut state = self.state();
        state.offering_since = None;
        loop {
            if let Some(Hand { batches, .. }) = state.hand.take() {
                // A spooler that sleeps is not woken for each block: it may wait for this one.
                if state.wake_at.is_none() {
                    self.changed.notify_all();
                }
                return Back { batches, span: state.span.take() };
            }
            state = self.wait(state, Duration::from_secs(1));
        }
    }

    /// Whether all pushes of the block in hand are in the spool.
    pub(super) fn is_all_spooled(&self) -> bool {
        let state = self.state();
        state.span.is_some() && state.hand.as_ref().is_some_and(|hand| hand.batches.is_empty())
    }

    /// Takes the batches that the spooler has returned, which are older than all in the queue.
    pub(super) fn take_returned(&self) -> Vec<Batch> {
        std::mem::take(&mut self.state().returned)
    }

    /// A block of the spool is about to be offered.
    pub(super) fn begins_offer(&self) {
        self.state().offering_since = Some(Instant::now());
    }

    /// The output does not take what is offered.
    pub(super) fn fails(&self) {
        self.state().is_failing = true;
        self.changed.notify_all();
    }

    /// It is being found out what the reader refuses, among pushes that are answered already.
    pub(super) fn searches(&self) {
        self.state().is_searching = true;
    }

    /// The output took what was offered.
    pub(super) fn works(&self) {
        let mut state = self.state();
        state.offering_since = None;
        if std::mem::take(&mut state.is_failing) | std::mem::take(&mut state.is_searching) {
            self.changed.notify_all();
        }
    }

    /// While the spool is empty, waits for the spooler to give the queue back, or for more to come,
    /// at most for `patience`. `wake` wakes a spooler that waits for pushes.
    pub(super) fn rest(&self, is_empty: impl Fn() -> bool, wake: impl Fn(), patience: Duration) {
        let mut state = self.state();
        if state.intake == Intake::Spooler && is_empty() {
            state.is_idle = true;
            self.changed.notify_all();
            wake();
            state = self.wait(state, patience);
            state.is_idle = false;
        }
    }

    /// The writer has ended, in whatever way.
    pub(super) fn writer_ends(&self) {
        self.state().has_writer_ended = true;
        self.changed.notify_all();
    }

    // What the spooler calls.

    /// Sleeps until the writer's block has not been taken for as long as `patience` says, is known
    /// not to be, or `tick` has come. Takes the queue over together with the block.
    pub(super) fn stand_by(&self, patience: impl Fn() -> Duration, tick: Instant) -> Call {
        let mut state = self.state();
        loop {
            state.wake_at = None;
            if state.has_writer_ended {
                return Call::WriterEnded;
            }
            let now = Instant::now();
            let due = match (&state.hand, state.offering_since) {
                (Some(_), _) if state.is_failing => Some(now),
                (Some(_), Some(since)) => Some(since + patience()),
                _ => None,
            };
            if due.is_some_and(|due| due <= now)
                && let Some(hand) = state.hand.take()
            {
                state.intake = Intake::Spooler;
                return Call::Spool(hand);
            }
            if tick <= now {
                return Call::Tick;
            }
            let until = due.map_or(tick, |due| due.min(tick));
            state.wake_at = Some(until);
            state = self.wait(state, until - now);
        }
    }

    /// The first pushes of the borrowed block are in these records; those of `left` have no room.
    pub(super) fn spooled(&self, span: Option<RecordSpan>, left: Hand) {
        let mut state = self.state();
        state.span = span;
        state.hand = Some(left);
        self.changed.notify_all();
    }

    /// Waits until all pushes of the block in hand are answered, or the writer has ended, at the
    /// latest until `deadline`.
    pub(super) fn wait_for_hand(&self, deadline: Instant) {
        let mut state = self.state();
        while !state.has_writer_ended
            && state.hand.as_ref().is_some_and(|hand| !hand.batches.is_empty())
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// Waits until it is known what the reader refuses, or the writer has ended, at the latest
    /// until `deadline`.
    pub(super) fn wait_for_search(&self, deadline: Instant) {
        let mut state = self.state();
        while state.is_searching && !state.has_writer_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// What a writer has left that has ended, or has no time any more: a block of which pushes are
    /// not spooled.
    pub(super) fn take_left(&self) -> Option<Hand> {
        self.state().hand.take_if(|hand| !hand.batches.is_empty())
    }

    /// Waits until something changes, at most for `patience`.
    pub(super) fn wait_for_change(&self, patience: Duration) {
        drop(self.wait(self.state(), patience));
    }

    /// Something is in the spool.
    pub(super) fn wake_writer(&self) {
        if self.state().is_idle {
            self.changed.notify_all();
        }
    }

    /// Gives the queue back to a writer that has nothing to do, and the batches in hand that had no
    /// room; `is_empty` says whether the spool is empty.
    pub(super) fn give_back(&self, is_empty: impl Fn() -> bool, batches: &mut Vec<Batch>) -> bool {
        let mut state = self.state();
        if !state.is_idle || state.is_failing || !is_empty() {
            return false;
        }
        state.intake = Intake::Writer;
        state.returned.append(batches);
        self.changed.notify_all();
        true
    }

    /// Waits until the writer has nothing to do, at most for `after`: while the output takes what
    /// it is offered, that is the shorter way.
    pub(super) fn wait_for_writer(&self, after: Duration) {
        let begin = Instant::now();
        let mut state = self.state();
        while !(state.is_failing || state.is_idle || state.has_writer_ended) {
            let since = state.offering_since.map_or(begin, |since| since.min(begin));
            let left = (since + after).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// Whether the writer has ended.
    pub(super) fn has_writer_ended(&self) -> bool {
        self.state().has_writer_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_spooler_that_would_sleep_longer_than_a_block_may_wait_is_woken_for_it() {
        let after = Duration::from_millis(10);
        let handover = Handover::new(Intake::Writer, after);
        let tick = Instant::now() + Duration::from_secs(60);
        thread::scope(|scope| {
            let spooler = scope.spawn(|| handover.stand_by(|| after, tick));
            while handover.state().wake_at.is_none() {
                thread::yield_now();
            }
            handover.lend(Hand { block: Arc::default(), batches: Vec::new() });
            let call = spooler.join().unwrap();
            assert!(matches!(call, Call::Spool(_)), "{call:?}");
            assert!(Instant::now() < tick, "it slept until its next tick");
        });
    }

    #[test]
    fn a_spooler_that_waits_for_the_block_in_hand_is_told_that_it_is_back() {
        let after = Duration::from_secs(60);
        let handover = Handover::new(Intake::Writer, after);
        let batches = vec![Batch::of_push(b"a 1\n".to_vec(), 1, 0)];
        handover.lend(Hand { block: Arc::default(), batches });
        let deadline = Instant::now() + Duration::from_secs(60);
        thread::scope(|scope| {
            let spooler = scope.spawn(|| handover.wait_for_hand(deadline));
            // Long enough for it to wait, mostly; where it does not yet, it finds the block back.
            thread::sleep(Duration::from_millis(50));
            assert_eq!(handover.take_back().batches.len(), 1);
            spooler.join().unwrap();
        });
        assert!(Instant::now() < deadline, "it waited for the deadline");
    }
}
