//! What all ends of the queue hold together.

use super::batch::{Batch, Reply, WriterOrder};
use super::channel::OrderSender;
use super::options::QueueOptions;
use super::spares::Spares;
use super::undelivered::Undelivered;
use super::waiting::{Entered, Waiting, WaitingPush};
use crate::current::Current;
use crate::delivery::condition::OutputState;
use crate::heartbeat::Beat;
use crate::observe::telemetry::Telemetry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The queue itself.
#[derive(Debug)]
pub(super) struct Queue<R> {
    pub(super) options: Current<QueueOptions>,
    pub(super) state: Arc<OutputState>,
    pub(super) channel: OrderSender,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) waiting: Mutex<Waiting<R>>,
    /// Tells the warden of new options.
    pub(super) look_again: Condvar,
    pub(super) spares: Spares,
    /// Lines of our own wait for the writer.
    pub(super) has_own: AtomicBool,
    pub(super) writer_beat: Arc<Beat>,
    pub(super) spooler_beat: Arc<Beat>,
    pub(super) warden_beat: Arc<Beat>,
}

impl<R> Queue<R> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        // Each change is whole before anything can panic, so a poisoned lock is as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Reply> Queue<R> {
    pub(super) fn tell(&self, order: WriterOrder) {
        if self.channel.send(order).is_err() {
            // OK because a writer that has ended has nothing left to be told, and a reply that
            // waits for it gets its answer from the warden.
        }
    }

    /// Sends what has entered on its way.
    pub(super) fn send(&self, (batch, reply): Entered<R>) {
        self.telemetry.queue_batches.raise(1);
        self.telemetry.queue_bytes.raise(batch.cost as u64);
        self.tell(WriterOrder::Deliver(batch));
        if let Some(reply) = reply {
            reply.answer(Ok(()));
        }
    }

    /// Lets in what has room now.
    pub(super) fn let_enter<'q>(&'q self, mut waiting: MutexGuard<'q, Waiting<R>>) {
        let bytes_max = self.options.read().bytes_max;
        while let Some(entered) = waiting.enter_next(bytes_max) {
            drop(waiting);
            self.send(entered);
            waiting = self.lock();
        }
    }

    /// There was no room in time, or no more can wait for it.
    pub(super) fn refuse_full(&self, push: WaitingPush<R>) {
        let bytes_max = self.options.read().bytes_max;
        drop(push.batch);
        let because = self.state.words();
        push.reply.answer(Err(Undelivered::Full { bytes_max, because }));
    }

    /// Nothing that waits for room will have it.
    pub(super) fn refuse_outside(&self, why: &Undelivered) {
        loop {
            let Some(push) = self.lock().take_outside() else { return };
            push.reply.answer(Err(why.clone()));
        }
    }

    /// Gives back what batches held that left the queue, and lets in who has room now.
    pub(super) fn let_go<'q>(&'q self, mut waiting: MutexGuard<'q, Waiting<R>>, batches: &[Batch]) {
        let cost: usize = batches.iter().map(|batch| batch.cost).sum();
        waiting.bytes -= cost;
        if waiting.outside.is_empty() {
            drop(waiting);
        } else {
            self.let_enter(waiting);
        }
        let pushes = batches.iter().filter(|batch| batch.is_push()).count();
        if pushes < batches.len() {
            self.has_own.store(false, Ordering::Relaxed);
        }
        self.telemetry.queue_batches.lower(pushes as u64);
        self.telemetry.queue_bytes.lower(cost as u64);
    }
}
