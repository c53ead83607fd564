//! The way into the queue.

use super::batch::{Batch, Reply, WriterOrder};
use super::options::{Acknowledge, QueueOptions};
use super::shared::Queue;
use super::spares::Backlog;
use super::undelivered::Undelivered;
use super::waiting::WaitingPush;
use crate::delivery::condition::{NotReady, OutputState};
use crate::heartbeat::Beat;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The way into the queue.
#[derive(Debug)]
pub struct QueueSender<R> {
    pub(super) queue: Arc<Queue<R>>,
}

impl<R> Clone for QueueSender<R> {
    fn clone(&self) -> QueueSender<R> {
        QueueSender { queue: Arc::clone(&self.queue) }
    }
}

impl<R: Reply> QueueSender<R> {
    /// Whether pushes can be delivered (`/-/ready`).
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) fn ready(&self) -> Result<(), NotReady> {
        self.queue.state.ready()
    }

    /// The beats of the writer, the spooler and the warden, for a watchdog. Without a spool there
    /// is no spooler, and its beat is at rest.
    pub(crate) fn beats(&self) -> [(&'static str, Arc<Beat>); 3] {
        let Queue { writer_beat, spooler_beat, warden_beat, .. } = &*self.queue;
        let beats = [("writer", writer_beat), ("spooler", spooler_beat), ("warden", warden_beat)];
        beats.map(|(name, beat)| (name, Arc::clone(beat)))
    }

    /// What the output is doing, for those who only look.
    pub(crate) fn state(&self) -> Arc<OutputState> {
        Arc::clone(&self.queue.state)
    }

    /// Refuses pushes from here on, and lets the writer end once it has delivered what is in the
    /// queue, at the latest at `deadline`.
    pub fn close(&self, deadline: Instant) {
        self.queue.state.close(deadline);
        self.queue.refuse_outside(&Undelivered::ShuttingDown);
        self.queue.tell(WriterOrder::LookUp);
    }

    /// Has the output opened anew.
    pub(crate) fn reopen(&self) {
        self.queue.state.ask_to_reopen();
        self.queue.tell(WriterOrder::LookUp);
    }

    /// Takes these options from here on. A push keeps the acknowledgement and the time that it
    /// began with; whatever is in the queue stays, though a lowered bound may be below it.
    pub fn replace(&self, options: QueueOptions) {
        self.queue.options.replace(options);
        self.queue.state.set_ack_timeout(options.ack_timeout);
        // A raised bound makes room for what waits already.
        let waiting = self.queue.lock();
        self.queue.look_again.notify_all();
        self.queue.let_enter(waiting);
    }

    /// A buffer for lines.
    pub fn spare(&self) -> Vec<u8> {
        self.queue.spares.take()
    }

    /// Hands lines over. `reply` is answered as `output.ack` says: here, or by the writer, or by
    /// the warden.
    pub fn submit(&self, lines: Vec<u8>, line_count: u32, reply: R) {
        let queue = &*self.queue;
        if let Err(why) = queue.state.accepts() {
            queue.spares.give_back([lines]);
            return reply.answer(Err(why.into()));
        }
        if lines.is_empty() {
            queue.spares.give_back([lines]);
            return reply.answer(Ok(()));
        }
        let QueueOptions { acknowledge, ack_timeout, bytes_max } = *queue.options.read();
        let deadline = Instant::now() + ack_timeout;
        // A tenth of what may wait is a few writes.
        let is_short = queue.telemetry.queue_bytes.get() < bytes_max as u64 / 10;
        let backlog = if is_short { Backlog::Short } else { Backlog::Long };
        let lines = queue.spares.fit(lines, backlog);
        // One that is acknowledged as it enters leaves no reply in the queue.
        let reply_bytes = match acknowledge {
            Acknowledge::Queued => 0,
            Acknowledge::Written => size_of::<Option<(Instant, R)>>(),
        };
        let batch = Batch::of_push(lines, line_count, reply_bytes);
        let cost = batch.cost;
        let push = WaitingPush { batch, reply, deadline, acknowledge };
        let mut waiting = queue.lock();
        if waiting.outside.is_empty() && waiting.has_room(cost, bytes_max) {
            let entered = waiting.enter(push);
            drop(waiting);
            return queue.send(entered);
        }
        let turned_away = waiting.wait(push, bytes_max);
        drop(waiting);
        if let Some(push) = turned_away {
            queue.refuse_full(push);
        }
    }

    /// Hands over lines of our own, that nobody waits for and nothing is refused for. They are left
    /// out, and false is returned, where the output is not ready or has not taken the ones before.
    pub(crate) fn offer(&self, lines: Vec<u8>, line_count: u32) -> bool {
        let queue = &*self.queue;
        if queue.state.delivers().is_err() || queue.has_own.swap(true, Ordering::Relaxed) {
            return false;
        }
        queue.channel.send(WriterOrder::Deliver(Batch::own(lines, line_count))).is_ok()
    }
}
