//! Who answers pushes that have waited too long, and tells of an output that takes nothing.
//!
//! The writer cannot do either: what it waits for may be what hangs.

use super::batch::Reply;
use super::shared::Queue;
use super::undelivered::Undelivered;
use crate::delivery::condition::{Condition, FinalEnd, NotReady, OutputState};
use crate::heartbeat::IDLE_MAX;
use crate::observe::log::Log;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks at the output, however long pushes may wait.
const LOOK_EVERY: Duration = IDLE_MAX;

/// Answers the replies that have waited too long.
#[derive(Debug)]
pub(crate) struct Warden<R> {
    pub(super) queue: Arc<Queue<R>>,
}

impl<R: Reply> Warden<R> {
    /// Starts its thread. `on_lost` is called where that ends, which it never does by itself: then
    /// nothing is accepted any more, as nobody would answer what waits too long.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn spawn(
        self,
        log: Arc<Log>,
        on_lost: impl FnOnce(&'static str) + Send + 'static,
    ) -> io::Result<()> {
        let state = Arc::clone(&self.queue.state);
        thread::Builder::new().name("warden".to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.run(&log)));
            state.end(FinalEnd::Defect);
            on_lost(if outcome.is_err() { "the warden panicked" } else { "the warden ended" });
        })?;
        Ok(())
    }

    /// Answers with 503 whatever has waited for `ack_timeout`, as long as the process lives.
    ///
    /// It need not be told of new replies: the deadline of each is `ack_timeout` after it came, and
    /// the warden waits for no longer than that.
    fn run(&self, log: &Log) {
        let mut stalls = Stalls::default();
        let mut waiting = self.queue.lock();
        loop {
            let now = Instant::now();
            let after = self.queue.options.read().ack_timeout;
            if let Some(reply) = waiting.take_late(now) {
                drop(waiting);
                let because = self.queue.state.words();
                reply.answer(Err(Undelivered::TimedOut { after, because }));
                waiting = self.queue.lock();
                continue;
            }
            if let Some(push) = waiting.take_late_outside(now) {
                drop(waiting);
                self.queue.refuse_full(push);
                waiting = self.queue.lock();
                continue;
            }
            drop(waiting);
            stalls.look(&self.queue.state, log, now);
            waiting = self.queue.lock();
            let next = waiting.first_deadline().unwrap_or(now + after);
            let patience = next.saturating_duration_since(now).min(after).min(LOOK_EVERY);
            self.queue.warden_beat.idle();
            let waited = self.queue.look_again.wait_timeout(waiting, patience);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            self.queue.warden_beat.work();
        }
    }
}

/// What was seen, and logged, of the output.
#[derive(Debug, Default)]
struct Stalls {
    /// Since when a stall is known, with what was said of it.
    known: Option<(Instant, &'static str)>,
    /// How many had ended when it was last looked.
    ended: u64,
}

impl Stalls {
    /// Logs what has begun and what has ended since the last look.
    fn look(&mut self, state: &OutputState, log: &Log, now: Instant) {
        let condition = state.look();
        let not_ready = match &condition {
            Condition::NotReady(not_ready) => Some(not_ready),
            Condition::Spooling { .. } | Condition::Flowing { .. } => None,
        };
        // How the process ends is logged by who ends it.
        if not_ready.is_some_and(NotReady::is_end) {
            return;
        }
        let ended = state.stalls();
        match (not_ready, self.known) {
            (Some(why), known) if known.is_none_or(|(_, word)| word != why.word()) => {
                log.warn("pushes cannot be delivered, they are answered 503", &[("why", why)]);
                self.known = Some((known.map_or(now, |(since, _)| since), why.word()));
            }
            (None, Some((since, _))) => {
                let seconds = now.saturating_duration_since(since).as_secs_f64();
                let what = match condition {
                    Condition::Spooling { .. } => "pushes are taken again, into the spool",
                    Condition::NotReady(_) | Condition::Flowing { .. } => {
                        "pushes are delivered again"
                    }
                };
                log.info(what, &[("after_s", &format!("{seconds:.1}"))]);
                self.known = None;
            }
            (None, None) if ended > self.ended => {
                let count = ended - self.ended;
                log.warn("the output took nothing for a while", &[("times", &count)]);
            }
            _ => {}
        }
        self.ended = ended;
    }
}
