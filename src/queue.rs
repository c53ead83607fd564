//! Batches on their way to the writer, bounded in bytes, and their acknowledgements (SPEC 3).
//!
//! Workers submit, one writer receives, in the order in which the batches were accepted. A batch is
//! accepted when its bytes fit under the bound; then it either counts as acknowledged at once, or
//! its worker waits for the writer's word, at most `ack_timeout`. A batch that still waits when its
//! time is over is withdrawn: the writer passes over it, since its pusher was told 503 and will
//! come again. While the output has been stuck for longer than `ack_timeout`, pushes are refused at
//! once, so that workers do not fall asleep one after the other.

use crate::telemetry::Telemetry;
use crossbeam_channel::RecvTimeoutError;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// When a push is answered with 200 (`output.ack`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// After the output's write call has returned for the whole push.
    #[default]
    Written,
    /// After the push stands in the queue.
    Queued,
}

/// What the operator asks of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lines that may wait, in bytes (`output.queue_bytes`).
    pub bytes_max: usize,
    /// When a push is acknowledged.
    pub acknowledge: Acknowledge,
    /// How long a push may wait for its acknowledgement (`output.ack_timeout`).
    pub ack_timeout: Duration,
}

/// Why a push is answered with 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The output has taken nothing for longer than `ack_timeout`; the push was not accepted.
    Stalled {
        /// For how long.
        for_time: Duration,
    },
    /// There was no room in the queue within `ack_timeout`; the push was not accepted.
    Full {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The push was accepted, but not written within `ack_timeout`; it may be written.
    TimedOut {
        /// `ack_timeout`
        after: Duration,
    },
    /// The process is shutting down.
    ShuttingDown,
    /// The output has ended for good.
    OutputEnded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Stalled { for_time } => {
                write!(f, "the output has taken nothing for {:.1} s, ", for_time.as_secs_f64())?;
                write!(f, "this push was not written")
            }
            Refusal::Full { bytes_max } => {
                write!(f, "the queue is full ({bytes_max} bytes, output.queue_bytes), ")?;
                write!(f, "this push was not written")
            }
            Refusal::TimedOut { after } => {
                write!(
                    f,
                    "the output did not take this push within {:.1} s ",
                    after.as_secs_f64()
                )?;
                write!(f, "(output.ack_timeout), it may be written")
            }
            Refusal::ShuttingDown => write!(f, "shutting down, this push was not written"),
            Refusal::OutputEnded => write!(f, "the output has ended, this push was not written"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What a batch takes in the queue besides its lines, in bytes.
const BATCH_OVERHEAD_BYTES: usize = 128;

/// The lines of one push, on their way.
#[derive(Debug)]
pub struct Batch {
    /// Whole lines, each with its LF.
    pub lines: Vec<u8>,
    /// How many lines.
    pub line_count: u32,
    /// When it is withdrawn, unless it was taken before.
    deadline: Option<Instant>,
    reply: Option<(u64, crossbeam_channel::Sender<Reply>)>,
}

impl Batch {
    /// Whether its pusher has been told 503.
    pub fn is_withdrawn(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn cost(&self) -> usize {
        self.lines.len().saturating_add(BATCH_OVERHEAD_BYTES)
    }
}

/// The batch of that number is written; here is its buffer.
type Reply = (u64, Vec<u8>);

/// What the writer is told.
#[derive(Debug)]
pub enum Message {
    /// Write this.
    Batch(Batch),
    /// Open the output anew (SIGHUP).
    Reopen,
    /// The queue is closed: see [`Receiver::close_deadline`].
    Close,
}

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const ENDED: u8 = 2;

/// What both ends know.
#[derive(Debug)]
struct Shared {
    options: Options,
    telemetry: Arc<Telemetry>,
    started: Instant,
    /// [`OPEN`], [`CLOSED`] or [`ENDED`].
    state: AtomicU8,
    /// Since when the output has taken nothing though it should, in microseconds after `started`,
    /// plus one; 0 while it flows.
    stuck_since: AtomicU64,
    /// The latest end, once the queue is closed.
    close_deadline: OnceLock<Instant>,
    waiting_bytes: Mutex<usize>,
    has_room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, usize> {
        // A number is never left half-changed, so a poisoned lock is as good as any.
        self.waiting_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stuck_for(&self) -> Duration {
        match self.stuck_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => {
                let since = Duration::from_micros(since - 1);
                self.started.elapsed().saturating_sub(since)
            }
        }
    }

    fn ready(&self) -> Result<(), Refusal> {
        match self.state.load(Ordering::Acquire) {
            OPEN => {}
            CLOSED => return Err(Refusal::ShuttingDown),
            _ => return Err(Refusal::OutputEnded),
        }
        let for_time = self.stuck_for();
        if for_time > self.options.ack_timeout {
            return Err(Refusal::Stalled { for_time });
        }
        Ok(())
    }
}

/// The way into the queue.
#[derive(Clone, Debug)]
pub struct Sender {
    channel: crossbeam_channel::Sender<Message>,
    shared: Arc<Shared>,
}

/// A worker's own way into the queue: it waits for its own acknowledgements.
#[derive(Debug)]
pub struct Submitter {
    sender: Sender,
    reply: crossbeam_channel::Sender<Reply>,
    replies: crossbeam_channel::Receiver<Reply>,
    last_number: u64,
}

/// The writer's end.
#[derive(Debug)]
pub struct Receiver {
    channel: crossbeam_channel::Receiver<Message>,
    shared: Arc<Shared>,
}

/// Makes a queue.
pub fn channel(options: Options, telemetry: Arc<Telemetry>) -> (Sender, Receiver) {
    // Unbounded in messages: what it may hold is bounded in bytes, before a batch is sent.
    let (sender, receiver) = crossbeam_channel::unbounded();
    let shared = Arc::new(Shared {
        options,
        telemetry,
        started: Instant::now(),
        state: AtomicU8::new(OPEN),
        stuck_since: AtomicU64::new(0),
        close_deadline: OnceLock::new(),
        waiting_bytes: Mutex::new(0),
        has_room: Condvar::new(),
    });
    let sender = Sender { channel: sender, shared: Arc::clone(&shared) };
    (sender, Receiver { channel: receiver, shared })
}

impl Sender {
    /// Whether a push would be accepted now (`/-/ready`).
    ///
    /// # Errors
    /// Why it would not.
    pub fn ready(&self) -> Result<(), Refusal> {
        self.shared.ready()
    }

    /// For how long the output has taken nothing though it should; zero while it flows.
    pub fn stuck_for(&self) -> Duration {
        self.shared.stuck_for()
    }

    /// Refuses pushes from here on, and lets the writer end once it has written what stands in the
    /// queue, at the latest at `deadline`.
    pub fn close(&self, deadline: Instant) {
        if self.shared.close_deadline.set(deadline).is_err() {
            // OK because the first deadline holds.
        }
        self.shared.state.store(CLOSED, Ordering::Release);
        self.tell(Message::Close);
    }

    /// Asks the writer to open its output anew.
    pub fn reopen(&self) {
        self.tell(Message::Reopen);
    }

    /// A way in for one worker.
    pub fn submitter(&self) -> Submitter {
        // One is waited for; a late one of the push before may stand before it.
        let (reply, replies) = crossbeam_channel::unbounded();
        Submitter { sender: self.clone(), reply, replies, last_number: 0 }
    }

    fn tell(&self, message: Message) {
        if self.channel.send(message).is_err() {
            // OK because a writer that has ended has nothing left to be told.
        }
    }
}

impl Submitter {
    /// Hands lines over and waits as the queue's [`Acknowledge`] says. Returns a buffer for reuse.
    ///
    /// # Errors
    /// Why the push is not acknowledged; only after [`Refusal::TimedOut`] may it be written.
    pub fn submit(&mut self, lines: Vec<u8>, line_count: u32) -> Result<Vec<u8>, Refusal> {
        let shared = Arc::clone(&self.sender.shared);
        shared.ready()?;
        if lines.is_empty() {
            return Ok(lines);
        }
        let Options { acknowledge, ack_timeout, .. } = shared.options;
        let deadline = Instant::now() + ack_timeout;
        self.last_number += 1;
        let batch = Batch {
            lines,
            line_count,
            deadline: (acknowledge == Acknowledge::Written).then_some(deadline),
            reply: (acknowledge == Acknowledge::Written)
                .then(|| (self.last_number, self.reply.clone())),
        };
        let cost = batch.cost();
        reserve(&shared, cost, deadline)?;
        shared.telemetry.queue_batches.raise(1);
        shared.telemetry.queue_bytes.raise(cost as u64);
        if self.sender.channel.send(Message::Batch(batch)).is_err() {
            return Err(Refusal::OutputEnded);
        }
        match acknowledge {
            Acknowledge::Queued => Ok(Vec::new()),
            Acknowledge::Written => self.wait(deadline, ack_timeout),
        }
    }

    fn wait(&self, deadline: Instant, ack_timeout: Duration) -> Result<Vec<u8>, Refusal> {
        loop {
            match self.replies.recv_deadline(deadline) {
                Ok((number, buffer)) if number == self.last_number => return Ok(buffer),
                // The writer was late with a push that was answered already.
                Ok(_) => {}
                Err(_) => return Err(Refusal::TimedOut { after: ack_timeout }),
            }
        }
    }
}

/// Takes `cost` bytes of the queue, or waits for them. A batch that alone is larger than the queue
/// may have an empty one.
fn reserve(shared: &Shared, cost: usize, deadline: Instant) -> Result<(), Refusal> {
    let bytes_max = shared.options.bytes_max;
    let mut waiting = shared.lock();
    while *waiting > 0 && waiting.saturating_add(cost) > bytes_max {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refusal::Full { bytes_max });
        }
        waiting =
            shared.has_room.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    *waiting = waiting.saturating_add(cost);
    Ok(())
}

impl Receiver {
    /// The next message; none when `timeout` is over.
    ///
    /// # Errors
    /// All senders are gone.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Message>, SendersGone> {
        match self.channel.recv_timeout(timeout) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(SendersGone),
        }
    }

    /// The next message, if one is waiting.
    pub fn take_waiting(&self) -> Option<Message> {
        self.channel.try_recv().ok()
    }

    /// The latest end of the writer, once the queue is closed: nothing new comes then.
    pub fn close_deadline(&self) -> Option<Instant> {
        self.shared.close_deadline.get().copied()
    }

    /// Acknowledges a batch that is written.
    pub fn acknowledge(&self, batch: Batch) {
        self.release(&batch);
        if let Some((number, reply)) = batch.reply
            && reply.send((number, batch.lines)).is_err()
        {
            // OK because a worker that is gone waits for nothing.
        }
    }

    /// Lets a batch go that is not written.
    pub fn release(&self, batch: &Batch) {
        let cost = batch.cost();
        *self.shared.lock() -= cost;
        self.shared.has_room.notify_all();
        self.shared.telemetry.queue_batches.lower(1);
        self.shared.telemetry.queue_bytes.lower(cost as u64);
    }

    /// The output should take bytes from here on: unless it flows, it is stuck.
    pub fn is_trying(&self) {
        let now = u64::try_from(self.shared.started.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        let kept = self.shared.stuck_since.compare_exchange(
            0,
            now + 1,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if kept.is_err() {
            // OK because it has been trying since before.
        }
    }

    /// The output took bytes, or has nothing to take; returns whether it was stalled.
    pub fn is_flowing(&self) -> bool {
        let was_stalled = self.shared.stuck_for() > self.shared.options.ack_timeout;
        self.shared.stuck_since.store(0, Ordering::Relaxed);
        if was_stalled {
            self.shared.telemetry.writer_stalls.increment();
        }
        was_stalled
    }

    /// The output has ended for good: pushes are refused from here on.
    pub fn end(&self) {
        self.shared.state.store(ENDED, Ordering::Release);
    }
}

/// Nobody is left to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendersGone;

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    fn queue(acknowledge: Acknowledge, ack_timeout: Duration) -> (Sender, Receiver) {
        let options = Options { bytes_max: 10_000, acknowledge, ack_timeout };
        channel(options, Arc::new(Telemetry::new()))
    }

    fn next_batch(receiver: &Receiver) -> Batch {
        match receiver.receive(LONG) {
            Ok(Some(Message::Batch(batch))) => batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn batches_come_out_in_the_order_in_which_they_were_accepted() {
        let (sender, receiver) = queue(Acknowledge::Queued, LONG);
        let mut submitter = sender.submitter();
        for number in 0..50_u8 {
            submitter.submit(vec![number], 1).unwrap();
        }
        for number in 0..50_u8 {
            let batch = next_batch(&receiver);
            assert_eq!(batch.lines, [number]);
            receiver.acknowledge(batch);
        }
    }

    #[test]
    fn a_written_push_waits_for_its_own_acknowledgement() {
        let (sender, receiver) = queue(Acknowledge::Written, LONG);
        let writer = std::thread::spawn(move || {
            let batches = [next_batch(&receiver), next_batch(&receiver)];
            // The later one first: each worker still gets its own buffer back.
            batches.into_iter().rev().for_each(|batch| receiver.acknowledge(batch));
        });
        let pushers = [b"one".to_vec(), b"two".to_vec()].map(|lines| {
            let mut submitter = sender.submitter();
            std::thread::spawn(move || assert_eq!(submitter.submit(lines.clone(), 1), Ok(lines)))
        });
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        writer.join().unwrap();
    }

    #[test]
    fn a_push_that_timed_out_is_withdrawn_and_does_not_answer_the_next_one() {
        let (sender, receiver) = queue(Acknowledge::Written, SHORT);
        let mut submitter = sender.submitter();
        let refused = submitter.submit(b"late".to_vec(), 1);
        assert_eq!(refused, Err(Refusal::TimedOut { after: SHORT }));
        let late = next_batch(&receiver);
        assert!(late.is_withdrawn(Instant::now()));
        // Had it been written all the same, its reply would come now, before that of the next.
        receiver.acknowledge(late);
        let writer = std::thread::spawn(move || {
            let batch = next_batch(&receiver);
            receiver.acknowledge(batch);
        });
        assert_eq!(submitter.submit(b"next".to_vec(), 1), Ok(b"next".to_vec()));
        writer.join().unwrap();
    }

    #[test]
    fn the_queue_holds_so_many_bytes_and_no_more() {
        let (sender, receiver) = queue(Acknowledge::Queued, SHORT);
        let mut submitter = sender.submitter();
        let batch = vec![b'x'; 4000];
        submitter.submit(batch.clone(), 1).unwrap();
        submitter.submit(batch.clone(), 1).unwrap();
        assert_eq!(submitter.submit(batch.clone(), 1), Err(Refusal::Full { bytes_max: 10_000 }));
        receiver.acknowledge(next_batch(&receiver));
        submitter.submit(batch, 1).unwrap();
        receiver.acknowledge(next_batch(&receiver));
        receiver.acknowledge(next_batch(&receiver));
        // One that alone is larger than the bound passes when it is alone.
        submitter.submit(vec![b'x'; 20_000], 1).unwrap();
        assert_eq!(submitter.submit(vec![b'x'], 1), Err(Refusal::Full { bytes_max: 10_000 }));
    }

    #[test]
    fn a_stuck_output_refuses_at_once_and_takes_again_when_it_flows() {
        let (sender, receiver) = queue(Acknowledge::Queued, SHORT);
        receiver.is_trying();
        assert_eq!(sender.ready(), Ok(()), "not yet");
        while sender.ready().is_ok() {
            std::thread::yield_now();
        }
        let refused = sender.submitter().submit(vec![b'x'], 1);
        assert!(matches!(refused, Err(Refusal::Stalled { .. })), "{refused:?}");
        assert!(receiver.is_flowing(), "it was stalled");
        assert_eq!(sender.submitter().submit(vec![b'x'], 1), Ok(Vec::new()));
        sender.close(Instant::now());
        assert_eq!(sender.ready(), Err(Refusal::ShuttingDown));
        receiver.end();
        assert_eq!(sender.ready(), Err(Refusal::OutputEnded));
    }
}
