//! The writer's end of the queue.

use super::batch::{Batch, Reply, WriterOrder};
use super::channel::OrderReceiver;
use super::shared::Queue;
use super::undelivered::Undelivered;
use crate::delivery::condition::{FinalEnd, OutputState};
use crate::heartbeat::{Beat, IDLE_MAX};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The writer's end.
#[derive(Debug)]
pub struct Receiver<R> {
    pub(super) channel: OrderReceiver,
    pub(super) queue: Arc<Queue<R>>,
    /// Used again for each block that is acknowledged.
    pub(super) replies: Vec<R>,
    /// The beat of the thread that receives.
    pub(super) beat: Arc<Beat>,
}

impl<R: Reply> Receiver<R> {
    /// Another end of the same queue, for a spooler: only one of the two may receive at a time.
    pub(crate) fn share(&self) -> Receiver<R> {
        let (channel, queue) = (self.channel.clone(), Arc::clone(&self.queue));
        let beat = Arc::clone(&queue.spooler_beat);
        Receiver { channel, queue, replies: Vec::new(), beat }
    }

    /// Wakes whoever waits for an order.
    pub(crate) fn wake(&self) {
        self.queue.tell(WriterOrder::LookUp);
    }

    /// The next order; none after `timeout`.
    pub(crate) fn receive(&self, timeout: Duration) -> Option<WriterOrder> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.beat.idle();
            // OK because the other end never goes away: this one holds it too.
            let order = self.channel.recv_timeout(left.min(IDLE_MAX)).ok();
            if order.is_some() || left <= IDLE_MAX {
                self.beat.work();
                return order;
            }
        }
    }

    /// The beat of the thread that receives.
    pub(crate) fn beat(&self) -> &Beat {
        &self.beat
    }

    /// The next order, if one is waiting.
    pub(crate) fn take_waiting(&self) -> Option<WriterOrder> {
        self.channel.try_recv().ok()
    }

    /// What the output is doing.
    pub(crate) fn state(&self) -> Arc<OutputState> {
        Arc::clone(&self.queue.state)
    }

    /// Acknowledges batches that are delivered, all of them.
    pub(crate) fn acknowledge(&mut self, batches: &mut Vec<Batch>) {
        let mut waiting = self.queue.lock();
        let numbers = batches.iter().filter_map(|batch| batch.reply);
        self.replies.extend(numbers.filter_map(|(number, _)| waiting.take(number)));
        self.queue.let_go(waiting, batches);
        for reply in self.replies.drain(..) {
            reply.answer(Ok(()));
        }
        self.queue.spares.give_back(batches.drain(..).map(|batch| batch.lines));
    }

    /// The same where the consumer refused lines of some batches: for each batch, in order, why its
    /// push is not answered with 200.
    pub(crate) fn conclude(
        &mut self,
        batches: &mut Vec<Batch>,
        undelivered: Vec<Option<Undelivered>>,
    ) {
        if undelivered.iter().any(Option::is_some) {
            let all = std::mem::take(batches);
            for (batch, undelivered) in all.into_iter().zip(undelivered) {
                match undelivered {
                    None => batches.push(batch),
                    Some(why) => self.refuse(batch, why),
                }
            }
        }
        self.acknowledge(batches);
    }

    /// Lets a batch go that is not delivered: its pusher is told why, unless it was told before.
    pub(crate) fn refuse(&self, batch: Batch, why: Undelivered) {
        let mut waiting = self.queue.lock();
        let reply = batch.reply.and_then(|(number, _)| waiting.take(number));
        self.queue.let_go(waiting, std::slice::from_ref(&batch));
        self.queue.spares.give_back([batch.lines]);
        if let Some(reply) = reply {
            reply.answer(Err(why));
        }
    }

    /// Nothing is delivered any more: pushes are refused from here on.
    pub(crate) fn end(&self, why: FinalEnd) {
        self.queue.state.end(why);
        self.queue.refuse_outside(&Undelivered::OutputEnded);
    }
}
