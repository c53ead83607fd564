//! Batches on their way to the writer, bounded in bytes, and the answers to their pushers (SPEC 3).
//!
//! Workers submit, one writer receives, in the order in which the batches were accepted. A batch is
//! accepted when its bytes fit under the bound, and waits outside until they do; then its pusher is
//! answered at once, or when the writer has written it. No worker waits for any of that: the
//! [`Reply`] stands here until it is its turn. One that stands here for `ack_timeout` is answered
//! with 503 by [`Warden`], and its batch is withdrawn: the writer passes over it, since its pusher
//! will come again. While the output has been stuck for longer than `ack_timeout`, pushes are
//! refused at once. What waits outside is bounded like the queue itself.

mod flow;
mod undelivered;
mod waiting;

use crate::limits::KEPT_BUFFER_BYTES_MAX;
use crate::observe::telemetry::Telemetry;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use waiting::{Entered, Outside, Waiting};

pub(crate) use flow::Flow;
pub use undelivered::Undelivered;
pub(crate) use waiting::Warden;

/// When a push is answered with 200 (`output.ack`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// After the output's write call has returned for the whole push.
    #[default]
    Written,
    /// After the push stands in the queue.
    Queued,
}

/// What the operator asks of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Lines that may wait, in bytes (`output.queue_bytes`).
    pub bytes_max: usize,
    /// When a push is acknowledged.
    pub(crate) acknowledge: Acknowledge,
    /// How long a push may wait for its acknowledgement (`output.ack_timeout`).
    pub ack_timeout: Duration,
}

/// The way back to a pusher.
pub trait Reply: Send + fmt::Debug + 'static {
    /// Answers: the push is acknowledged, or why it is not. Only after [`Undelivered::TimedOut`]
    /// may it be written all the same.
    fn answer(self, outcome: Result<(), Undelivered>);
}

impl Reply for () {
    /// Nobody waits for it.
    fn answer(self, _: Result<(), Undelivered>) {}
}

/// What a batch takes in the queue besides its lines, in bytes.
const BATCH_OVERHEAD_BYTES: usize = 128;
/// Buffers of written batches that are kept for later ones.
const SPARES_MAX: usize = 8;

/// Whose lines a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A push: they are owed to its pusher.
    Push,
    /// Our own figures: they are owed to nobody.
    Own,
}

/// The lines of one push, on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    origin: Origin,
    /// Whole lines, each with its LF.
    pub lines: Vec<u8>,
    /// How many lines.
    pub line_count: u32,
    /// Where its reply stands, and until when; none where it was acknowledged already.
    reply: Option<(u64, Instant)>,
}

impl Batch {
    /// Whether its pusher has been told 503, or is about to be.
    pub(crate) fn is_withdrawn(&self, now: Instant) -> bool {
        self.reply.is_some_and(|(_, deadline)| now >= deadline)
    }

    /// Whether somebody waits for it to be written.
    pub(crate) fn is_push(&self) -> bool {
        self.origin == Origin::Push
    }

    fn cost(&self) -> usize {
        match self.origin {
            Origin::Push => self.lines.len().saturating_add(BATCH_OVERHEAD_BYTES),
            // OK because there is one of them at most, of a size that we know.
            Origin::Own => 0,
        }
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Write this.
    Batch(Batch),
    /// Open the output anew (SIGHUP).
    Reopen,
    /// The queue is closed: see [`Receiver::close_deadline`].
    Close,
}

/// What all ends know.
#[derive(Debug)]
struct Shared<R> {
    flow: Arc<Flow>,
    channel: crossbeam_channel::Sender<Message>,
    telemetry: Arc<Telemetry>,
    /// The latest end, once the queue is closed.
    close_deadline: OnceLock<Instant>,
    waiting: Mutex<Waiting<R>>,
    /// Tells the warden of new options.
    look_again: Condvar,
    spares: Mutex<Vec<Vec<u8>>>,
    /// Lines of our own wait for the writer.
    has_own: AtomicBool,
}

impl<R> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        // Each change is whole before anything can panic, so a poisoned lock is as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        let mut spares = self.spares();
        for mut buffer in buffers {
            // One unusually large push must not hold its memory for good.
            buffer.clear();
            buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
            if spares.len() < SPARES_MAX {
                spares.push(buffer);
            }
        }
    }
}

/// The way into the queue.
#[derive(Debug)]
pub struct Sender<R> {
    shared: Arc<Shared<R>>,
}

impl<R> Clone for Sender<R> {
    fn clone(&self) -> Sender<R> {
        Sender { shared: Arc::clone(&self.shared) }
    }
}

/// The writer's end.
#[derive(Debug)]
pub struct Receiver<R> {
    channel: crossbeam_channel::Receiver<Message>,
    shared: Arc<Shared<R>>,
    /// Used again for each block that is acknowledged.
    replies: Vec<R>,
}

/// Makes a queue.
pub(crate) fn channel<R: Reply>(
    options: QueueOptions,
    telemetry: Arc<Telemetry>,
) -> (Sender<R>, Receiver<R>, Warden<R>) {
    // Unbounded in messages: what it may hold is bounded in bytes, before a batch is sent.
    let (sender, receiver) = crossbeam_channel::unbounded();
    let shared = Arc::new(Shared {
        flow: Arc::new(Flow::new(options)),
        channel: sender,
        telemetry,
        close_deadline: OnceLock::new(),
        waiting: Mutex::default(),
        look_again: Condvar::new(),
        spares: Mutex::default(),
        has_own: AtomicBool::new(false),
    });
    let sender = Sender { shared: Arc::clone(&shared) };
    let warden = Warden { shared: Arc::clone(&shared) };
    (sender, Receiver { channel: receiver, shared, replies: Vec::new() }, warden)
}

impl<R: Reply> Sender<R> {
    /// Whether a push would be accepted now (`/-/ready`).
    ///
    /// # Errors
    /// Why it would not.
    pub fn ready(&self) -> Result<(), Undelivered> {
        self.shared.flow.ready()
    }

    /// How lines flow, for who only looks.
    pub(crate) fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.shared.flow)
    }

    /// Refuses pushes from here on, and lets the writer end once it has written what stands in the
    /// queue, at the latest at `deadline`.
    pub fn close(&self, deadline: Instant) {
        if self.shared.close_deadline.set(deadline).is_err() {
            // OK because the first deadline holds.
        }
        self.shared.flow.close();
        self.shared.refuse_outside(&Undelivered::ShuttingDown);
        self.shared.tell(Message::Close);
    }

    /// Asks the writer to open its output anew.
    pub(crate) fn reopen(&self) {
        self.shared.tell(Message::Reopen);
    }

    /// Takes these options from here on. A push keeps the acknowledgement and the time that it
    /// began with; whatever stands in the queue stays, though a lowered bound may be below it.
    pub fn replace(&self, options: QueueOptions) {
        self.shared.flow.options.replace(options);
        // A raised bound makes room for what waits already.
        let waiting = self.shared.lock();
        self.shared.look_again.notify_all();
        self.shared.let_enter(waiting);
    }

    /// A buffer for lines.
    pub fn spare(&self) -> Vec<u8> {
        self.shared.spares().pop().unwrap_or_default()
    }

    /// Hands lines over. `reply` is answered as the queue's [`Acknowledge`] says: here, or by the
    /// writer, or by the warden.
    pub fn submit(&self, lines: Vec<u8>, line_count: u32, reply: R) {
        let shared = &*self.shared;
        if let Err(why) = shared.flow.ready() {
            shared.give_back([lines]);
            return reply.answer(Err(why));
        }
        if lines.is_empty() {
            shared.give_back([lines]);
            return reply.answer(Ok(()));
        }
        let QueueOptions { acknowledge, ack_timeout, bytes_max } = *shared.flow.options.read();
        let deadline = Instant::now() + ack_timeout;
        let batch = Batch { origin: Origin::Push, lines, line_count, reply: None };
        let cost = batch.cost();
        let outside = Outside { batch, reply, deadline, acknowledge };
        let mut waiting = shared.lock();
        if waiting.outside.is_empty() && waiting.has_room(cost, bytes_max) {
            let entered = waiting.enter(outside);
            drop(waiting);
            return shared.send(entered);
        }
        let turned_away = waiting.wait(outside, bytes_max);
        drop(waiting);
        if let Some(outside) = turned_away {
            shared.refuse_full(outside);
        }
    }

    /// Hands over lines of our own, that nobody waits for and nothing is refused for. They are left
    /// out, and false is returned, where the output is not ready or has not taken the ones before.
    pub(crate) fn offer(&self, lines: Vec<u8>, line_count: u32) -> bool {
        let shared = &*self.shared;
        if shared.flow.ready().is_err() || shared.has_own.swap(true, Ordering::Relaxed) {
            return false;
        }
        let batch = Batch { origin: Origin::Own, lines, line_count, reply: None };
        shared.channel.send(Message::Batch(batch)).is_ok()
    }
}

impl<R: Reply> Shared<R> {
    fn tell(&self, message: Message) {
        if self.channel.send(message).is_err() {
            // OK because a writer that has ended has nothing left to be told, and a reply that
            // waits for it gets its answer from the warden.
        }
    }

    /// Sends what has entered on its way.
    fn send(&self, (batch, reply): Entered<R>) {
        self.telemetry.queue_batches.raise(1);
        self.telemetry.queue_bytes.raise(batch.cost() as u64);
        self.tell(Message::Batch(batch));
        if let Some(reply) = reply {
            reply.answer(Ok(()));
        }
    }

    /// Lets in what has room now.
    fn let_enter<'q>(&'q self, mut waiting: MutexGuard<'q, Waiting<R>>) {
        let bytes_max = self.flow.options.read().bytes_max;
        while let Some(entered) = waiting.enter_next(bytes_max) {
            drop(waiting);
            self.send(entered);
            waiting = self.lock();
        }
    }

    /// There was no room in time, or no more can wait for it.
    fn refuse_full(&self, outside: Outside<R>) {
        let bytes_max = self.flow.options.read().bytes_max;
        self.give_back([outside.batch.lines]);
        outside.reply.answer(Err(Undelivered::Full { bytes_max }));
    }

    /// Nothing that waits for room will have it.
    fn refuse_outside(&self, why: &Undelivered) {
        loop {
            let Some(outside) = self.lock().take_outside() else { return };
            outside.reply.answer(Err(why.clone()));
        }
    }
}

impl<R: Reply> Receiver<R> {
    /// The next message; none when `timeout` is over.
    pub(crate) fn receive(&self, timeout: Duration) -> Option<Message> {
        // OK because the other end never goes away: this one holds it too.
        self.channel.recv_timeout(timeout).ok()
    }

    /// The next message, if one is waiting.
    pub(crate) fn take_waiting(&self) -> Option<Message> {
        self.channel.try_recv().ok()
    }

    /// The latest end of the writer, once the queue is closed: nothing new comes then.
    pub(crate) fn close_deadline(&self) -> Option<Instant> {
        self.shared.close_deadline.get().copied()
    }

    /// Acknowledges batches that are written, all of them.
    pub(crate) fn acknowledge(&mut self, batches: &mut Vec<Batch>) {
        let mut waiting = self.shared.lock();
        let numbers = batches.iter().filter_map(|batch| batch.reply);
        self.replies.extend(numbers.filter_map(|(number, _)| waiting.take(number)));
        self.let_go(waiting, batches);
        for reply in self.replies.drain(..) {
            reply.answer(Ok(()));
        }
        self.shared.give_back(batches.drain(..).map(|batch| batch.lines));
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

    /// Lets a batch go that is not written: its pusher is told why.
    pub(crate) fn refuse(&self, batch: Batch, why: Undelivered) {
        let mut waiting = self.shared.lock();
        let reply = batch.reply.and_then(|(number, _)| waiting.take(number));
        self.let_go(waiting, std::slice::from_ref(&batch));
        self.shared.give_back([batch.lines]);
        if let Some(reply) = reply {
            reply.answer(Err(why));
        }
    }

    /// Lets a batch go whose time is over.
    pub(crate) fn withdraw(&self, batch: Batch) {
        let after = self.shared.flow.options.read().ack_timeout;
        self.refuse(batch, Undelivered::TimedOut { after });
    }

    fn let_go<'q>(&'q self, mut waiting: MutexGuard<'q, Waiting<R>>, batches: &[Batch]) {
        let cost: usize = batches.iter().map(Batch::cost).sum();
        waiting.bytes -= cost;
        if waiting.outside.is_empty() {
            drop(waiting);
        } else {
            self.shared.let_enter(waiting);
        }
        let pushes = batches.iter().filter(|batch| batch.is_push()).count();
        if pushes < batches.len() {
            self.shared.has_own.store(false, Ordering::Relaxed);
        }
        self.shared.telemetry.queue_batches.lower(pushes as u64);
        self.shared.telemetry.queue_bytes.lower(cost as u64);
    }

    /// How lines flow.
    pub(crate) fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.shared.flow)
    }

    /// The output should take bytes from here on: unless it flows, it is stuck.
    pub(crate) fn is_trying(&self) {
        self.shared.flow.is_trying();
    }

    /// The output took bytes, or has nothing to take; returns whether it was stalled.
    pub(crate) fn is_flowing(&self) -> bool {
        let was_stalled = self.shared.flow.is_flowing();
        if was_stalled {
            self.shared.telemetry.writer_stalls.increment();
        }
        was_stalled
    }

    /// The output has ended for good: pushes are refused from here on.
    pub fn end(&self) {
        self.shared.flow.end();
        self.shared.refuse_outside(&Undelivered::OutputEnded);
    }
}

#[cfg(test)]
mod tests;
