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
//! pushers once they are on disk; the writer goes on with its offer, and when that succeeds, the
//! records of the block are passed over. Then it drains the spool.
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
    pub(super) batches: Vec<Batch>,
}

/// What the writer gets back once its block is taken.
#[derive(Debug)]
pub(super) enum Back {
    /// What it lent: its pushers wait for an answer.
    Batches(Vec<Batch>),
    /// The pushes are answered; these records hold them.
    Spooled(Option<RecordSpan>),
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

/// What became of a block that the spooler has borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Borrowed {
    /// There is none, or it is being written.
    #[default]
    Pending,
    /// It is in these records, or nowhere.
    Done(Option<RecordSpan>),
}

#[derive(Debug, Default)]
struct HandoverState {
    intake: Intake,
    hand: Option<Hand>,
    borrowed: Borrowed,
    /// Since when the writer has offered the block that it offers now.
    offering_since: Option<Instant>,
    /// The last offer failed: nothing is taken before one succeeds.
    is_failing: bool,
    /// The writer has nothing to do.
    is_idle: bool,
    has_writer_ended: bool,
}

/// What both threads share.
#[derive(Debug, Default)]
pub(super) struct Handover {
    state: Mutex<HandoverState>,
    changed: Condvar,
}

impl Handover {
    /// Begins with what an earlier run left in the spool, if it left anything.
    pub(super) fn new(intake: Intake) -> Handover {
        let state = HandoverState { intake, ..HandoverState::default() };
        Handover { state: Mutex::new(state), changed: Condvar::new() }
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

    /// Lends a block that is about to be offered.
    pub(super) fn lend(&self, hand: Hand) {
        let mut state = self.state();
        state.hand = Some(hand);
        state.borrowed = Borrowed::Pending;
        state.offering_since = Some(Instant::now());
        if state.is_failing {
            self.changed.notify_all();
        }
    }

    /// Takes back what was lent, once the block is taken. Waits for a spooler that is just writing
    /// it.
    pub(super) fn take_back(&self) -> Back {
        let mut state = self.state();
        state.offering_since = None;
        if let Some(hand) = state.hand.take() {
            return Back::Batches(hand.batches);
        }
        loop {
            match state.borrowed {
                Borrowed::Done(span) => return Back::Spooled(span),
                Borrowed::Pending => state = self.wait(state, Duration::from_secs(1)),
            }
        }
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

    /// The output took what was offered.
    pub(super) fn works(&self) {
        let mut state = self.state();
        state.offering_since = None;
        if std::mem::take(&mut state.is_failing) {
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

    /// Sleeps until the writer's block has not been taken for `after`, is known not to be, or
    /// `patience` has passed. Takes the queue over together with the block.
    pub(super) fn stand_by(&self, after: Duration, patience: Duration) -> Call {
        let tick = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if state.has_writer_ended {
                return Call::WriterEnded;
            }
            let now = Instant::now();
            let due = match (&state.hand, state.offering_since) {
                (Some(_), _) if state.is_failing => Some(now),
                (Some(_), Some(since)) => Some(since + after),
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
            state = self.wait(state, until - now);
        }
    }

    /// The borrowed block is in these records, or nowhere.
    pub(super) fn spooled(&self, span: Option<RecordSpan>) {
        self.state().borrowed = Borrowed::Done(span);
        self.changed.notify_all();
    }

    /// Something is in the spool.
    pub(super) fn wake_writer(&self) {
        if self.state().is_idle {
            self.changed.notify_all();
        }
    }

    /// Gives the queue back to a writer that has nothing to do; `is_empty` says whether the spool
    /// is empty.
    pub(super) fn give_back(&self, is_empty: impl Fn() -> bool) -> bool {
        let mut state = self.state();
        if !state.is_idle || state.is_failing || !is_empty() {
            return false;
        }
        state.intake = Intake::Writer;
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
