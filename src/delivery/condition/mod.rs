//! What the output is doing: one state machine, of which readiness, status, supervisor and metrics
//! are told, so that none of them can say good while another one does not.
//!
//! ```text
//!              offered           longer than ack_timeout
//!   flowing ────────────▶ waiting ────────────▶ stalled         not ready
//!      ▲                     │ its operator has to mend something
//!      │                     ├────────────────▶ misconfigured   not ready
//!      │ taken, or it        │ its reader closes at something
//!      │ took new bytes      └────────────────▶ reader refuses  not ready
//!      └──────── from all of them
//! ```
//! Two things overrule that. Once the queue is closed, or the output has ended for good, nothing is
//! ready. While a spool takes lines, everything else is ready: pushes are acknowledged whatever the
//! output does, unless the disk of the spool hangs.
//!
//! Who offers blocks tells what happens; everybody else only looks. Looking is a few relaxed loads
//! while all is well, as every push looks.

mod lifecycle;
mod not_ready;
mod seen;

use crate::observe::telemetry::Telemetry;
pub(crate) use lifecycle::FinalEnd;
use lifecycle::{CLOSED, ENDED, OPEN};
pub(crate) use not_ready::NotReady;
pub(crate) use seen::{Condition, OutputFailure, SpoolCondition};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What is wrong where the spool waits for its disk.
const DISK_HANGS: &str = "the disk of the spool does not answer";

/// What is known of a failing output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Failure {
    #[default]
    None = 0,
    /// It fails, and is tried again.
    Broken = 1,
    /// Its operator has to mend something.
    Misconfigured = 2,
    /// Its reader closes at something.
    ReaderRefuses = 3,
}

/// What is known in words; only read and changed while something is wrong.
#[derive(Debug)]
struct Details {
    failure: Failure,
    words: Arc<str>,
    since: Instant,
    next_try: Instant,
    spool: SpoolCondition,
    spooling_since: Instant,
    /// Asked to look again at once: a pause ends.
    is_woken: bool,
}

/// What the output is doing.
#[derive(Debug)]
pub(crate) struct OutputState {
    started: Instant,
    /// [`OPEN`] and what follows it.
    lifecycle: AtomicU8,
    /// The process is shutting down; what was let in before is still taken.
    is_draining: AtomicBool,
    /// Since when the output has taken nothing new though something waits, in microseconds after
    /// `started`, plus one; 0 while it flows.
    stuck_since: AtomicU64,
    /// Since when the disk of the spool has been at work for one piece of work, likewise.
    disk_since: AtomicU64,
    /// `output.ack_timeout`, in microseconds.
    ack_timeout_us: AtomicU64,
    /// Where stalls are counted.
    telemetry: Arc<Telemetry>,
    /// The output fails in some way: see `details`.
    is_failing: AtomicBool,
    /// The spool takes lines, or is full: see `details`.
    is_spooling: AtomicBool,
    is_to_reopen: AtomicBool,
    /// The latest end, once the queue is closed.
    close_deadline: OnceLock<Instant>,
    details: Mutex<Details>,
    woken: Condvar,
}

impl OutputState {
    /// Nothing waits yet.
    pub(crate) fn new(ack_timeout: Duration, telemetry: Arc<Telemetry>) -> OutputState {
        let started = Instant::now();
        OutputState {
            started,
            lifecycle: AtomicU8::new(OPEN),
            is_draining: AtomicBool::new(false),
            stuck_since: AtomicU64::new(0),
            disk_since: AtomicU64::new(0),
            ack_timeout_us: AtomicU64::new(microseconds(ack_timeout)),
            telemetry,
            is_failing: AtomicBool::new(false),
            is_spooling: AtomicBool::new(false),
            is_to_reopen: AtomicBool::new(false),
            close_deadline: OnceLock::new(),
            details: Mutex::new(Details {
                failure: Failure::None,
                words: "".into(),
                since: started,
                next_try: started,
                spool: SpoolCondition::Absent,
                spooling_since: started,
                is_woken: false,
            }),
            woken: Condvar::new(),
        }
    }

    /// Another `output.ack_timeout` holds from here on.
    pub(crate) fn set_ack_timeout(&self, ack_timeout: Duration) {
        self.ack_timeout_us.store(microseconds(ack_timeout), Ordering::Relaxed);
    }

    /// `output.ack_timeout`
    pub(crate) fn ack_timeout(&self) -> Duration {
        Duration::from_micros(self.ack_timeout_us.load(Ordering::Relaxed))
    }

    // What happens: told by who offers blocks, by the spool, and by who ends it all.

    /// Does a piece of work that waits for the disk of the spool.
    pub(crate) fn with_disk<T>(&self, work: impl FnOnce() -> T) -> T {
        self.disk_since.store(self.now(), Ordering::Relaxed);
        let done = work();
        self.disk_since.store(0, Ordering::Relaxed);
        done
    }

    /// Something waits for the output from here on: unless it flows, it is stuck.
    pub(crate) fn waits(&self) {
        let (relaxed, since) = (Ordering::Relaxed, self.now());
        if self.stuck_since.compare_exchange(0, since, relaxed, relaxed).is_err() {
            // OK because it has been waiting since before.
        }
    }

    /// The output took bytes of the block in hand that it had not taken before; more wait.
    pub(crate) fn advances(&self) {
        self.end_stall(self.stuck_since.swap(self.now(), Ordering::Relaxed));
        self.end_failure();
    }

    /// The output is done with a block, or is well while nothing waits.
    pub(crate) fn flows(&self) {
        self.end_stall(self.stuck_since.swap(0, Ordering::Relaxed));
        self.end_failure();
    }

    fn end_failure(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            self.details().failure = Failure::None;
        }
    }

    fn end_stall(&self, stuck_since: u64) {
        if self.waited(stuck_since) > self.ack_timeout() {
            self.telemetry.writer_stalls.increment();
        }
    }

    /// The output failed, and is tried again after a pause. That alone does not make it
    /// unready, nor does it end what made it so.
    pub(crate) fn fails(&self, words: &str, pause: Duration) {
        self.waits();
        self.note(Failure::Broken, words, pause);
    }

    /// The operator has to mend something; the output is tried again after a pause.
    pub(crate) fn is_misconfigured(&self, words: &str, pause: Duration) {
        self.waits();
        self.note(Failure::Misconfigured, words, pause);
    }

    /// The reader closes at something that it is sent: pushes are offered one by one.
    pub(crate) fn reader_refuses(&self, words: &str) {
        self.waits();
        self.note(Failure::ReaderRefuses, words, Duration::ZERO);
    }

    fn note(&self, failure: Failure, words: &str, pause: Duration) {
        let now = Instant::now();
        let mut details = self.details();
        let is_worse = failure as u8 > details.failure as u8;
        if is_worse {
            details.since = now;
        }
        if is_worse || failure == details.failure {
            details.failure = failure;
            if *details.words != *words {
                details.words = words.into();
            }
        }
        details.next_try = now + pause;
        drop(details);
        self.is_failing.store(true, Ordering::Relaxed);
    }

    /// The spool is so from here on.
    pub(crate) fn spool(&self, condition: SpoolCondition) {
        let mut details = self.details();
        if !details.spool.is_used() {
            details.spooling_since = Instant::now();
        }
        self.is_spooling.store(condition.is_used(), Ordering::Relaxed);
        details.spool = condition;
    }

    /// Nothing more is accepted, and nothing is waited for beyond `deadline`; the first one holds.
    pub(crate) fn close(&self, deadline: Instant) {
        if self.close_deadline.set(deadline).is_err() {
            // OK because the first deadline holds.
        }
        self.move_on(CLOSED);
        self.wake();
    }

    /// From here on the process is shutting down. What is in hand is still let in, until the queue
    /// is closed.
    pub(crate) fn drains(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Nothing is delivered any more.
    pub(crate) fn end(&self, why: FinalEnd) {
        self.move_on(why.lifecycle());
    }

    /// An end is never taken back by a close that follows it.
    fn move_on(&self, lifecycle: u8) {
        self.lifecycle.fetch_max(lifecycle, Ordering::Release);
    }

    /// The output is to be opened anew (SIGHUP): at once, also within a pause.
    pub(crate) fn ask_to_reopen(&self) {
        self.is_to_reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the output is to be opened anew; told once.
    pub(crate) fn take_reopen(&self) -> bool {
        self.is_to_reopen.load(Ordering::Relaxed)
            && self.is_to_reopen.swap(false, Ordering::Acquire)
    }

    fn wake(&self) {
        self.details().is_woken = true;
        self.woken.notify_all();
    }

    /// Waits for so long, or until the queue is closed or the output is to be opened anew.
    pub(crate) fn pause(&self, pause: Duration) {
        let end = Instant::now() + pause;
        let end = self.close_deadline().map_or(end, |deadline| end.min(deadline));
        let mut details = self.details();
        while !std::mem::take(&mut details.is_woken) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.woken.wait_timeout(details, left);
            details = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    // What is seen of it.

    /// The latest end of who offers blocks, once the queue is closed: nothing new comes then.
    pub(crate) fn close_deadline(&self) -> Option<Instant> {
        self.close_deadline.get().copied()
    }

    /// How many stalls have ended.
    pub(crate) fn stalls(&self) -> u64 {
        self.telemetry.writer_stalls.get()
    }

    /// For how long the output has taken nothing though something waits; zero while it flows.
    fn stuck_for(&self) -> Duration {
        self.waited(self.stuck_since.load(Ordering::Relaxed))
    }

    /// For how long the disk of the spool has been at work for one piece of work.
    fn disk_for(&self) -> Duration {
        self.waited(self.disk_since.load(Ordering::Relaxed))
    }

    /// Microseconds after `started`, plus one.
    fn now(&self) -> u64 {
        microseconds(self.started.elapsed()) + 1
    }

    fn waited(&self, since: u64) -> Duration {
        match since {
            0 => Duration::ZERO,
            since => self.started.elapsed().saturating_sub(Duration::from_micros(since - 1)),
        }
    }

    /// Whether pushes are asked for and can be delivered (`/-/ready`, `pushline_ready`).
    ///
    /// # Errors
    /// Why they are not.
    pub(crate) fn ready(&self) -> Result<(), NotReady> {
        let delivers = self.delivers();
        if self.is_draining.load(Ordering::Relaxed)
            && !matches!(&delivers, Err(why) if why.is_end())
        {
            return Err(NotReady::ShuttingDown);
        }
        delivers
    }

    /// Whether pushes can be delivered.
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) fn delivers(&self) -> Result<(), NotReady> {
        if self.lifecycle.load(Ordering::Acquire) == OPEN
            && !self.is_failing.load(Ordering::Relaxed)
            && !self.is_spooling.load(Ordering::Relaxed)
            && self.stuck_for() <= self.ack_timeout()
        {
            return Ok(());
        }
        match self.look() {
            Condition::NotReady(not_ready) => Err(not_ready),
            Condition::Flowing { .. } | Condition::Spooling { .. } => Ok(()),
        }
    }

    /// Whether a push is let in now: it is where all is ready, and while the reader is searched for
    /// what it closes at, since everything else arrives in the end.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn accepts(&self) -> Result<(), NotReady> {
        match self.delivers() {
            Err(NotReady::ReaderRefuses { .. }) | Ok(()) => Ok(()),
            Err(not_ready) => Err(not_ready),
        }
    }

    /// What is wrong with the output, or the disk of its spool, in words, where something is known.
    pub(crate) fn words(&self) -> Option<Arc<str>> {
        // A push that waits for the disk came after that began to hang.
        let is_spooling = self.is_spooling.load(Ordering::Relaxed);
        if is_spooling && self.disk_for() > self.ack_timeout() / 2 {
            return Some(DISK_HANGS.into());
        }
        let is_failing = self.is_failing.load(Ordering::Relaxed);
        is_failing.then(|| Arc::clone(&self.details().words))
    }

    /// What is wrong with the output, if it fails: also before that makes it unready, and while a
    /// spool or the end of the process has another thing to say.
    pub(crate) fn failure(&self) -> Option<OutputFailure> {
        if !self.is_failing.load(Ordering::Relaxed) {
            return None;
        }
        let details = self.details();
        (details.failure != Failure::None).then(|| OutputFailure {
            words: Arc::clone(&details.words),
            for_time: details.since.elapsed(),
            next_try: details.next_try.saturating_duration_since(Instant::now()),
        })
    }

    /// How things are now.
    pub(crate) fn look(&self) -> Condition {
        match self.lifecycle.load(Ordering::Acquire) {
            OPEN => {}
            CLOSED => return Condition::NotReady(NotReady::ShuttingDown),
            ENDED => return Condition::NotReady(NotReady::OutputEnded),
            _ => return Condition::NotReady(NotReady::Defect),
        }
        let details = self.details();
        // An empty spool may hang: lines go straight to the output.
        let disk_for = self.disk_for();
        if details.spool.is_used() && disk_for > self.ack_timeout() {
            let error = Some(DISK_HANGS.into());
            return Condition::NotReady(NotReady::Stalled { for_time: disk_for, error });
        }
        let waited = self.stuck_for();
        let output = self.output(&details, waited);
        match &details.spool {
            SpoolCondition::Spooling => {
                Condition::Spooling { for_time: details.spooling_since.elapsed(), because: output }
            }
            SpoolCondition::Full { words } => {
                Condition::NotReady(NotReady::SpoolFull { words: Arc::clone(words) })
            }
            SpoolCondition::Absent | SpoolCondition::Empty => match output {
                None => Condition::Flowing { waited },
                // What comes next goes to the spool. An output that stalls is none of these: the
                // spool should have taken over before.
                Some(NotReady::Misconfigured { .. } | NotReady::ReaderRefuses { .. })
                    if details.spool == SpoolCondition::Empty =>
                {
                    Condition::Spooling { for_time: details.since.elapsed(), because: output }
                }
                Some(not_ready) => Condition::NotReady(not_ready),
            },
        }
    }

    /// What is wrong with the output.
    fn output(&self, details: &Details, waited: Duration) -> Option<NotReady> {
        let words = Arc::clone(&details.words);
        let for_time = details.since.elapsed();
        match details.failure {
            Failure::Misconfigured => {
                let next_try = details.next_try.saturating_duration_since(Instant::now());
                Some(NotReady::Misconfigured { words, for_time, next_try })
            }
            Failure::ReaderRefuses => Some(NotReady::ReaderRefuses { words, for_time }),
            Failure::None | Failure::Broken if waited <= self.ack_timeout() => None,
            Failure::None => Some(NotReady::Stalled { for_time: waited, error: None }),
            Failure::Broken => Some(NotReady::Stalled { for_time: waited, error: Some(words) }),
        }
    }

    fn details(&self) -> MutexGuard<'_, Details> {
        // Each change is whole before anything can panic, so a poisoned lock is as good as any.
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests;
