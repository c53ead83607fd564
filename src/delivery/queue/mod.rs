//! Batches on their way to the writer, bounded in the memory that they hold, and the answers to
//! their pushers (SPEC 3).
//!
//! Workers submit, one writer receives, in the order in which the batches were accepted. A batch is
//! accepted when it fits under the bound, and waits outside until it does; then its pusher is
//! answered at once, or when the writer has delivered it. No worker waits for any of that: the
//! [`Reply`] is kept here until it is its turn. One that has waited for `ack_timeout` is answered
//! with 503 by the [`Warden`]; its lines are delivered all the same, as stock clients do not push
//! again. While the output has been stuck for longer than `ack_timeout`, pushes are refused at
//! once. What waits outside is bounded like the queue itself.

mod batch;
mod channel;
mod options;
mod receiver;
mod sender;
mod shared;
mod spares;
#[cfg(test)]
mod tests;
mod undelivered;
mod waiting;
mod warden;

use crate::current::Current;
use crate::delivery::condition::OutputState;
use crate::observe::telemetry::Telemetry;
use shared::Queue;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex};

pub use batch::Reply;
pub(crate) use batch::{Batch, WriterOrder};
pub(crate) use options::Acknowledge;
pub use options::QueueOptions;
pub use receiver::Receiver;
pub use sender::QueueSender;
pub use undelivered::Undelivered;
pub(crate) use warden::Warden;

/// Makes a queue.
pub(crate) fn channel<R: Reply>(
    options: QueueOptions,
    telemetry: Arc<Telemetry>,
) -> (QueueSender<R>, Receiver<R>, Warden<R>) {
    let (sender, receiver) = channel::open();
    let queue = Arc::new(Queue {
        options: Current::new(options),
        state: Arc::new(OutputState::new(options.ack_timeout, Arc::clone(&telemetry))),
        channel: sender,
        telemetry,
        waiting: Mutex::default(),
        look_again: Condvar::new(),
        spares: spares::Spares::default(),
        has_own: AtomicBool::new(false),
        writer_beat: Arc::default(),
        spooler_beat: Arc::default(),
        warden_beat: Arc::default(),
    });
    let sender = QueueSender { queue: Arc::clone(&queue) };
    let warden = Warden { queue: Arc::clone(&queue) };
    let beat = Arc::clone(&queue.writer_beat);
    (sender, Receiver { channel: receiver, queue, replies: Vec::new(), beat }, warden)
}
