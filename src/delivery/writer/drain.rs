//! What a writer does besides while it has a spool: it lends each block to the spooler while it
//! offers it, and drains the spool while the spooler takes pushes from the queue (see `handover`).

use super::handover::{Back, Hand, Handover, Intake};
use super::offering::{GivenUp, Offering};
use super::refused;
use crate::delivery::queue::{Batch, Receiver, Reply, Undelivered};
use crate::delivery::sink::Block;
use crate::delivery::spool::{Drained, Drainer};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::system::Moment;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait after a spool could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How long a writer rests at once beside an empty spool.
const REST_MAX: Duration = Duration::from_millis(200);

/// The writer's end of a spool.
pub(super) struct Draining {
    handover: Arc<Handover>,
    drainer: Drainer,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    /// The pushes that were taken from the spool last.
    drained: Drained,
    /// The spool could not be read when that was tried last.
    is_unreadable: bool,
    /// When an output that is offered nothing is looked after next.
    next_look: Instant,
}

/// What became of a block that was lent.
pub(super) struct Lent {
    /// The block, where it has come back; empty where the spooler has it for a moment more.
    pub(super) block: Block,
    /// Its batches that are not answered.
    pub(super) batches: Vec<Batch>,
    /// For each of them, why its push is not answered with 200; nothing where all of them are.
    pub(super) undelivered: Vec<Option<Undelivered>>,
}

impl Drop for Draining {
    /// However the writer ends, also in a panic.
    fn drop(&mut self) {
        self.handover.writer_ends();
    }
}

impl Draining {
    /// Of a spool that may already hold something.
    pub(super) fn new(
        drainer: Drainer,
        handover: Arc<Handover>,
        telemetry: Arc<Telemetry>,
        log: Arc<Log>,
    ) -> Draining {
        Draining {
            handover,
            drainer,
            telemetry,
            log,
            drained: Drained::default(),
            is_unreadable: false,
            next_look: Instant::now(),
        }
    }

    /// Whether something waits in the spool.
    pub(super) fn has_waiting(&self) -> bool {
        !self.drainer.is_empty()
    }

    /// Offers a block, lent to the spooler meanwhile.
    pub(super) fn offer_lent(
        &mut self,
        block: Block,
        batches: Vec<Batch>,
        offering: &mut Offering,
    ) -> Result<Lent, GivenUp> {
        let block = Arc::new(block);
        self.handover.lend(Hand { block: Arc::clone(&block), batches });
        self.drainer.begins_offer();
        let pushes = block.pushes().count() as u64;
        let (handover, drainer) = (&self.handover, &self.drainer);
        // Once all of it is in the spool, with more after it, it comes again from there.
        let has_more = || handover.is_all_spooled() && drainer.waiting() > pushes;
        let Some(taken) = offering.deliver_or_grow(&block, has_more)? else {
            let Back { batches, .. } = self.handover.take_back();
            return Ok(Lent { block: Block::default(), batches, undelivered: Vec::new() });
        };
        let Back { batches, span } = self.handover.take_back();
        if let Some(span) = span {
            self.drainer.pass_over(span, offering.unsettled());
        }
        self.drainer.settle(offering.unsettled());
        let mut undelivered = refused::count(&self.telemetry, &block, &taken);
        let answered = block.pushes().count() - batches.len();
        undelivered.drain(..answered.min(undelivered.len()));
        // The spooler lets go of it a moment after it is answered.
        let block = Arc::into_inner(block).unwrap_or_default();
        Ok(Lent { block, batches, undelivered })
    }

    /// The output, which is offered nothing, was looked after.
    pub(super) fn settle(&mut self, offering: &Offering) {
        self.drainer.settle(offering.unsettled());
    }

    /// Takes the batches that the spooler has returned.
    pub(super) fn take_returned(&self) -> Vec<Batch> {
        self.handover.take_returned()
    }

    /// Delivers what is in the spool, as long as the spooler takes pushes from the queue.
    pub(super) fn drain<R: Reply>(
        &mut self,
        offering: &mut Offering,
        receiver: &Receiver<R>,
    ) -> Result<(), GivenUp> {
        while self.handover.intake() == Intake::Spooler {
            if !self.drain_block(offering, receiver)? {
                self.rest(offering, receiver)?;
            }
        }
        Ok(())
    }

    /// Delivers some pushes of the spool; returns whether there were some.
    fn drain_block<R: Reply>(
        &mut self,
        offering: &mut Offering,
        receiver: &Receiver<R>,
    ) -> Result<bool, GivenUp> {
        receiver.beat().work();
        let bytes_max = offering.gathering().bytes_max;
        match self.drainer.take(bytes_max, Moment::now(), &mut self.drained) {
            Ok(true) => {
                self.is_unreadable = false;
                self.handover.begins_offer();
                // What it waits for there is the consumer's.
                receiver.beat().rest();
                self.drainer.begins_offer();
                let (drained, drainer) = (&self.drained, &self.drainer);
                let pushes = drained.block.pushes().count() as u64;
                let has_more = || pushes == 1 && drainer.waiting() > pushes;
                let taken = offering.deliver_or_grow(&drained.block, has_more)?;
                receiver.beat().work();
                // With more lines in it, it is taken from the spool once more.
                let Some(taken) = taken else { return Ok(true) };
                refused::count(&self.telemetry, &self.drained.block, &taken);
                self.drainer.delivered(&self.drained, offering.unsettled());
                if self.drainer.persist_when_due().is_err() {
                    // OK because the spooler tries again every second, and tells of a failure.
                }
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                if !std::mem::replace(&mut self.is_unreadable, true) {
                    self.log.error("the spool cannot be read, trying again", &[("error", &error)]);
                }
                receiver.beat().idle();
                std::thread::sleep(READ_AGAIN);
                Ok(true)
            }
        }
    }

    /// Waits for more to drain, or for the queue, and looks after the output.
    fn rest<R: Reply>(
        &mut self,
        offering: &mut Offering,
        receiver: &Receiver<R>,
    ) -> Result<(), GivenUp> {
        let now = Instant::now();
        receiver.beat().rest();
        if self.next_look <= now {
            self.next_look = now + offering.look_after()?;
            self.drainer.settle(offering.unsettled());
        }
        receiver.beat().idle();
        let patience = self.next_look.saturating_duration_since(Instant::now()).min(REST_MAX);
        self.handover.rest(|| self.drainer.is_empty(), || receiver.wake(), patience);
        Ok(())
    }
}
