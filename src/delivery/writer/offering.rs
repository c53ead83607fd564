//! One block → the output, however often that fails: who owns a sink offers blocks through this.
//!
//! What the sink answers decides how long to wait, what is logged, and what the
//! [state](OutputState) of the output says. The sink knows its protocol, and nothing of that.

use super::backoff::Backoff;
use super::handover::Handover;
use crate::delivery::condition::OutputState;
use crate::delivery::sink::{Block, Gathering, Progress, Sink, Taken, Trouble, Unsettled};
use crate::observe::log::{Field, Log};
use crate::observe::telemetry::Telemetry;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often an idle output is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a block is not delivered.
#[derive(Debug)]
pub(crate) enum GivenUp {
    /// Nobody will ever read the output again.
    OutputEnded(io::Error),
    /// The deadline of the end has passed.
    OutOfTime,
}

/// A sink, and how it has been.
pub(crate) struct Offering {
    sink: Box<dyn Sink>,
    /// What the log calls it.
    target: String,
    state: Arc<OutputState>,
    progress: Progress,
    backoff: Backoff,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    /// The reader refuses something, and it is not known yet what.
    is_searching: bool,
    /// A spooler that is to know of failures at once.
    handover: Option<Arc<Handover>>,
}

impl Offering {
    /// Of a sink that has not been offered anything.
    pub(crate) fn new(
        sink: Box<dyn Sink>,
        target: String,
        state: Arc<OutputState>,
        (telemetry, log): (Arc<Telemetry>, Arc<Log>),
    ) -> Offering {
        let progress = Progress::new(Arc::clone(&state));
        let backoff = Backoff::new(sink.pauses());
        let (is_searching, handover) = (false, None);
        Offering { sink, target, state, progress, backoff, telemetry, log, is_searching, handover }
    }

    /// Has the spooler know of failures at once, and of their end.
    pub(crate) fn tell(&mut self, handover: Arc<Handover>) {
        self.handover = Some(handover);
    }

    /// How blocks are made for the sink.
    pub(crate) fn gathering(&self) -> Gathering {
        self.sink.gathering()
    }

    /// What of the blocks that the sink took may still have to be sent again.
    pub(crate) fn unsettled(&self) -> Unsettled {
        self.sink.unsettled()
    }

    /// Whether it is being found out what the reader refuses.
    pub(crate) fn is_searching(&self) -> bool {
        self.is_searching
    }

    /// Offers a block until the output is done with it.
    ///
    /// # Errors
    /// It will not be, or not in time.
    pub(crate) fn deliver(&mut self, block: &Block) -> Result<Taken, GivenUp> {
        loop {
            if let Some(taken) = self.deliver_or_grow(block, || false)? {
                return Ok(taken);
            }
        }
    }

    /// The same, but nothing where the sink needs a larger block and `has_more` says that there
    /// will be one.
    ///
    /// # Errors
    /// See [`Offering::deliver`].
    pub(crate) fn deliver_or_grow(
        &mut self,
        block: &Block,
        has_more: impl Fn() -> bool,
    ) -> Result<Option<Taken>, GivenUp> {
        self.state.waits();
        self.progress.begin();
        loop {
            self.reopen_where_asked();
            let furthest = self.progress.furthest();
            match self.sink.offer(block, &mut self.progress) {
                Ok(taken) => {
                    self.works();
                    return Ok(Some(taken));
                }
                Err(trouble) => {
                    if self.progress.furthest() > furthest {
                        self.backoff.advances();
                    }
                    let pause = self.note(trouble)?;
                    // A close that comes within the pause ends it.
                    self.state.pause(pause);
                }
            }
            if self.state.close_deadline().is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(GivenUp::OutOfTime);
            }
            if self.sink.wants_more() && has_more() {
                return Ok(None);
            }
        }
    }

    /// Looks after an idle output; returns how long to wait until the next look.
    ///
    /// # Errors
    /// The output has ended.
    pub(crate) fn look_after(&mut self) -> Result<Duration, GivenUp> {
        self.reopen_where_asked();
        match self.sink.idle() {
            Ok(()) => {
                self.works();
                Ok(LOOK_EVERY)
            }
            Err(Trouble::Blocked) => Ok(LOOK_EVERY),
            Err(trouble) => self.note(trouble),
        }
    }

    fn reopen_where_asked(&mut self) {
        if self.state.take_reopen() {
            self.sink.reopen();
        }
    }

    /// Notes what is wrong; returns how long to pause.
    fn note(&mut self, trouble: Trouble) -> Result<Duration, GivenUp> {
        if let Some(handover) = self.handover.as_ref().filter(|_| !trouble.is_blocked()) {
            handover.fails();
        }
        match trouble {
            Trouble::Blocked => Ok(Duration::ZERO),
            Trouble::Broken { error, retry_after } => {
                let words = error.to_string();
                if self.backoff.is_failing() {
                    self.log.debug("the output still fails", &[("error", &words)]);
                } else {
                    let fields: [Field<'_>; 2] = [("output", &self.target), ("error", &words)];
                    self.log.warn("the output fails, trying again", &fields);
                }
                let pause = self.backoff.fails(retry_after);
                self.state.fails(&words, pause);
                Ok(pause)
            }
            Trouble::Misconfigured { words } => {
                // Who watches the state logs it, once.
                self.log.debug("the output needs a change of configuration", &[("error", &words)]);
                let pause = self.backoff.is_misconfigured();
                self.state.is_misconfigured(&words, pause);
                Ok(pause)
            }
            Trouble::ReaderRefuses { words } => {
                self.is_searching = true;
                if let Some(handover) = &self.handover {
                    handover.searches();
                }
                self.state.reader_refuses(&words);
                Ok(Duration::ZERO)
            }
            Trouble::Ended(error) => Err(GivenUp::OutputEnded(error)),
        }
    }

    fn works(&mut self) {
        self.state.flows();
        self.is_searching = false;
        if let Some(handover) = &self.handover {
            handover.works();
        }
        if self.backoff.works() {
            self.telemetry.reconnects.increment();
            self.log.info("the output works again", &[("output", &self.target)]);
        }
    }
}
