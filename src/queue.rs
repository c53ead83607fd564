//! Batches on their way to the writer, bounded in bytes, and the answers to their pushers (SPEC 3).
//!
//! Workers submit, one writer receives, in the order in which the batches were accepted. A batch is
//! accepted when its bytes fit under the bound; then its pusher is answered at once, or when the
//! writer has written it. Nobody waits for that: the [`Reply`] stands here until it is its turn, and
//! a worker is free for the next push. One that stands here for `ack_timeout` is answered with 503
//! by [`Warden`], and its batch is withdrawn: the writer passes over it, since its pusher will come
//! again. While the output has been stuck for longer than `ack_timeout`, pushes are refused at once.

use crate::limits::KEPT_BUFFER_BYTES_MAX;
use crate::live::Live;
use crate::telemetry::Telemetry;
use crossbeam_channel::RecvTimeoutError;
use std::collections::VecDeque;
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

/// The way back to a pusher.
pub trait Reply: Send + fmt::Debug + 'static {
    /// Answers: the push is acknowledged, or why it is not. Only after [`Refusal::TimedOut`] may it
    /// be written all the same.
    fn answer(self, outcome: Result<(), Refusal>);
}

/// What a batch takes in the queue besides its lines, in bytes.
const BATCH_OVERHEAD_BYTES: usize = 128;
/// Buffers of written batches that are kept for later ones.
const SPARES_MAX: usize = 8;

/// The lines of one push, on their way.
#[derive(Debug)]
pub struct Batch {
    /// Whole lines, each with its LF.
    pub lines: Vec<u8>,
    /// How many lines.
    pub line_count: u32,
    /// Where its reply stands, and until when; none where it was acknowledged already.
    reply: Option<(u64, Instant)>,
}

impl Batch {
    /// Whether its pusher has been told 503, or is about to be.
    pub fn is_withdrawn(&self, now: Instant) -> bool {
        self.reply.is_some_and(|(_, deadline)| now >= deadline)
    }

    fn cost(&self) -> usize {
        self.lines.len().saturating_add(BATCH_OVERHEAD_BYTES)
    }
}

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

/// What all ends know.
#[derive(Debug)]
struct Shared<R> {
    options: Live<Options>,
    /// Workers that may wait for room.
    workers_max: usize,
    telemetry: Arc<Telemetry>,
    started: Instant,
    /// [`OPEN`], [`CLOSED`] or [`ENDED`].
    state: AtomicU8,
    /// Since when the output has taken nothing though it should, in microseconds after `started`,
    /// plus one; 0 while it flows.
    stuck_since: AtomicU64,
    /// The latest end, once the queue is closed.
    close_deadline: OnceLock<Instant>,
    waiting: Mutex<Waiting<R>>,
    has_room: Condvar,
    /// Tells the warden of new options.
    look_again: Condvar,
    spares: Mutex<Vec<Vec<u8>>>,
}

/// What waits for the writer.
#[derive(Debug)]
struct Waiting<R> {
    /// The cost of all batches, in bytes.
    bytes: usize,
    /// Workers that wait for room.
    workers: usize,
    /// Replies in the order of their numbers; one that was answered left its place empty.
    replies: VecDeque<Option<(Instant, R)>>,
    /// The number of the first of them.
    first_number: u64,
}

impl<R> Waiting<R> {
    fn put(&mut self, deadline: Instant, reply: R) -> u64 {
        let number = self.first_number + self.replies.len() as u64;
        self.replies.push_back(Some((deadline, reply)));
        number
    }

    /// The reply of that number, unless it was answered.
    fn take(&mut self, number: u64) -> Option<R> {
        let index = usize::try_from(number.checked_sub(self.first_number)?).ok()?;
        let (_, reply) = self.replies.get_mut(index)?.take()?;
        while let Some(None) = self.replies.front() {
            self.replies.pop_front();
            self.first_number += 1;
        }
        Some(reply)
    }

    /// The first reply whose time is over.
    fn take_late(&mut self, now: Instant) -> Option<R> {
        match self.replies.front() {
            Some(Some((deadline, _))) if *deadline <= now => self.take(self.first_number),
            _ => None,
        }
    }

    fn first_deadline(&self) -> Option<Instant> {
        self.replies.front()?.as_ref().map(|(deadline, _)| *deadline)
    }
}

impl<R> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        // Each change is whole before anything can panic, so a poisoned lock is as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
        if for_time > self.options.read().ack_timeout {
            return Err(Refusal::Stalled { for_time });
        }
        Ok(())
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
    channel: crossbeam_channel::Sender<Message>,
    shared: Arc<Shared<R>>,
}

impl<R> Clone for Sender<R> {
    fn clone(&self) -> Sender<R> {
        Sender { channel: self.channel.clone(), shared: Arc::clone(&self.shared) }
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

/// Answers the replies that have waited too long.
#[derive(Debug)]
pub struct Warden<R> {
    shared: Arc<Shared<R>>,
}

/// Makes a queue. Up to `workers_max` workers may wait for room in it; one more is refused at once.
pub fn channel<R: Reply>(
    options: Options,
    workers_max: usize,
    telemetry: Arc<Telemetry>,
) -> (Sender<R>, Receiver<R>, Warden<R>) {
    // Unbounded in messages: what it may hold is bounded in bytes, before a batch is sent.
    let (sender, receiver) = crossbeam_channel::unbounded();
    let shared = Arc::new(Shared {
        options: Live::new(options),
        workers_max,
        telemetry,
        started: Instant::now(),
        state: AtomicU8::new(OPEN),
        stuck_since: AtomicU64::new(0),
        close_deadline: OnceLock::new(),
        waiting: Mutex::new(Waiting {
            bytes: 0,
            workers: 0,
            replies: VecDeque::new(),
            first_number: 0,
        }),
        has_room: Condvar::new(),
        look_again: Condvar::new(),
        spares: Mutex::default(),
    });
    let sender = Sender { channel: sender, shared: Arc::clone(&shared) };
    let warden = Warden { shared: Arc::clone(&shared) };
    (sender, Receiver { channel: receiver, shared, replies: Vec::new() }, warden)
}

impl<R: Reply> Sender<R> {
    /// Whether a push would be accepted now (`/-/ready`).
    ///
    /// # Errors
    /// Why it would not.
    pub fn ready(&self) -> Result<(), Refusal> {
        self.shared.ready()
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

    /// Takes these options from here on. A push keeps the acknowledgement and the time that it
    /// began with; whatever stands in the queue stays, though a lowered bound may be below it.
    pub fn replace(&self, options: Options) {
        self.shared.options.replace(options);
        // Under the lock: nobody is between the look at the old options and the wait.
        let _waiting = self.shared.lock();
        self.shared.has_room.notify_all();
        self.shared.look_again.notify_all();
    }

    /// A buffer for lines.
    pub fn spare(&self) -> Vec<u8> {
        self.shared.spares().pop().unwrap_or_default()
    }

    /// Takes back a buffer whose lines are not submitted.
    pub fn give_back(&self, buffer: Vec<u8>) {
        self.shared.give_back([buffer]);
    }

    /// Hands lines over. `reply` is answered as the queue's [`Acknowledge`] says: here, or by the
    /// writer, or by the warden.
    pub fn submit(&self, lines: Vec<u8>, line_count: u32, reply: R) {
        let shared = &*self.shared;
        if let Err(refusal) = shared.ready() {
            shared.give_back([lines]);
            return reply.answer(Err(refusal));
        }
        if lines.is_empty() {
            shared.give_back([lines]);
            return reply.answer(Ok(()));
        }
        let Options { acknowledge, ack_timeout, .. } = *shared.options.read();
        let deadline = Instant::now() + ack_timeout;
        let mut batch = Batch { lines, line_count, reply: None };
        let cost = batch.cost();
        let mut waiting = match reserve(shared, cost, deadline) {
            Ok(waiting) => waiting,
            Err(refusal) => {
                shared.give_back([batch.lines]);
                return reply.answer(Err(refusal));
            }
        };
        let unanswered = match acknowledge {
            Acknowledge::Queued => Some(reply),
            Acknowledge::Written => {
                batch.reply = Some((waiting.put(deadline, reply), deadline));
                None
            }
        };
        drop(waiting);
        shared.telemetry.queue_batches.raise(1);
        shared.telemetry.queue_bytes.raise(cost as u64);
        self.tell(Message::Batch(batch));
        if let Some(reply) = unanswered {
            reply.answer(Ok(()));
        }
    }

    fn tell(&self, message: Message) {
        if self.channel.send(message).is_err() {
            // OK because a writer that has ended has nothing left to be told, and a reply that
            // waits for it gets its answer from the warden.
        }
    }
}

/// Takes `cost` bytes of the queue, or waits for them. A batch that alone is larger than the queue
/// may have an empty one. A worker must stay free for what is no push, so the last one does not
/// wait.
fn reserve<R>(
    shared: &Shared<R>,
    cost: usize,
    deadline: Instant,
) -> Result<MutexGuard<'_, Waiting<R>>, Refusal> {
    let mut waiting = shared.lock();
    loop {
        // Read anew each time: a raised bound makes room for who is waiting already.
        let bytes_max = shared.options.read().bytes_max;
        if waiting.bytes == 0 || waiting.bytes.saturating_add(cost) <= bytes_max {
            break;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || waiting.workers >= shared.workers_max {
            return Err(Refusal::Full { bytes_max });
        }
        waiting.workers += 1;
        waiting =
            shared.has_room.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        waiting.workers -= 1;
    }
    waiting.bytes = waiting.bytes.saturating_add(cost);
    Ok(waiting)
}

impl<R: Reply> Receiver<R> {
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

    /// Acknowledges batches that are written, all of them.
    pub fn acknowledge(&mut self, batches: &mut Vec<Batch>) {
        let mut waiting = self.shared.lock();
        let numbers = batches.iter().filter_map(|batch| batch.reply);
        self.replies.extend(numbers.filter_map(|(number, _)| waiting.take(number)));
        let cost = batches.iter().map(Batch::cost).sum();
        self.let_go(waiting, cost, batches.len() as u64);
        for reply in self.replies.drain(..) {
            reply.answer(Ok(()));
        }
        self.shared.give_back(batches.drain(..).map(|batch| batch.lines));
    }

    /// Lets a batch go that is not written: its pusher is told why.
    pub fn refuse(&self, batch: Batch, refusal: Refusal) {
        let mut waiting = self.shared.lock();
        let reply = batch.reply.and_then(|(number, _)| waiting.take(number));
        self.let_go(waiting, batch.cost(), 1);
        self.shared.give_back([batch.lines]);
        if let Some(reply) = reply {
            reply.answer(Err(refusal));
        }
    }

    /// Lets a batch go whose time is over.
    pub fn withdraw(&self, batch: Batch) {
        let after = self.shared.options.read().ack_timeout;
        self.refuse(batch, Refusal::TimedOut { after });
    }

    fn let_go(&self, mut waiting: MutexGuard<'_, Waiting<R>>, cost: usize, count: u64) {
        waiting.bytes -= cost;
        let is_waited_for = waiting.workers > 0;
        drop(waiting);
        if is_waited_for {
            self.shared.has_room.notify_all();
        }
        self.shared.telemetry.queue_batches.lower(count);
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
        let was_stalled = self.shared.stuck_for() > self.shared.options.read().ack_timeout;
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

impl<R: Reply> Warden<R> {
    /// Answers with 503 whatever has waited for `ack_timeout`, as long as the process lives.
    ///
    /// It need not be told of new replies: the time of each is over `ack_timeout` after it came, and
    /// that is as long as the warden waits at most.
    pub fn run(self) {
        let mut waiting = self.shared.lock();
        loop {
            let now = Instant::now();
            let after = self.shared.options.read().ack_timeout;
            if let Some(reply) = waiting.take_late(now) {
                drop(waiting);
                reply.answer(Err(Refusal::TimedOut { after }));
                waiting = self.shared.lock();
                continue;
            }
            let next = waiting.first_deadline().unwrap_or(now + after);
            let patience = next.saturating_duration_since(now).min(after);
            let waited = self.shared.look_again.wait_timeout(waiting, patience);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Nobody is left to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendersGone;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    /// Tells its outcome.
    #[derive(Debug)]
    struct Told(mpsc::Sender<Result<(), Refusal>>);

    impl Reply for Told {
        fn answer(self, outcome: Result<(), Refusal>) {
            self.0.send(outcome).unwrap();
        }
    }

    /// A queue with room for two waiting workers, and its warden at work.
    fn queue(acknowledge: Acknowledge, ack_timeout: Duration) -> (Sender<Told>, Receiver<Told>) {
        let options = Options { bytes_max: 10_000, acknowledge, ack_timeout };
        let (sender, receiver, warden) = channel(options, 2, Arc::new(Telemetry::new()));
        thread::spawn(|| warden.run());
        (sender, receiver)
    }

    /// Submits lines; where the outcome will be told.
    fn submit(sender: &Sender<Told>, lines: Vec<u8>) -> mpsc::Receiver<Result<(), Refusal>> {
        let (told, outcome) = mpsc::channel();
        sender.submit(lines, 1, Told(told));
        outcome
    }

    fn next_batch(receiver: &Receiver<Told>) -> Batch {
        match receiver.receive(LONG) {
            Ok(Some(Message::Batch(batch))) => batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn batches_come_out_in_the_order_in_which_they_were_accepted() {
        let (sender, mut receiver) = queue(Acknowledge::Queued, LONG);
        for number in 0..50_u8 {
            assert_eq!(submit(&sender, vec![number]).recv(), Ok(Ok(())));
        }
        for number in 0..50_u8 {
            let batch = next_batch(&receiver);
            assert_eq!(batch.lines, [number]);
            receiver.acknowledge(&mut vec![batch]);
        }
    }

    #[test]
    fn a_written_push_is_answered_once_it_is_written_and_not_before() {
        let (sender, mut receiver) = queue(Acknowledge::Written, LONG);
        let outcomes = [1, 2, 3].map(|number| submit(&sender, vec![number]));
        let [one, two, three] = [(); 3].map(|()| next_batch(&receiver));
        receiver.acknowledge(&mut vec![two]);
        assert_eq!(outcomes[1].recv(), Ok(Ok(())), "whatever stands before it");
        assert!(outcomes[0].try_recv().is_err() && outcomes[2].try_recv().is_err());
        receiver.acknowledge(&mut vec![one, three]);
        assert_eq!((outcomes[0].recv(), outcomes[2].recv()), (Ok(Ok(())), Ok(Ok(()))));
        assert!(receiver.shared.lock().replies.is_empty());
        assert_eq!(receiver.shared.lock().bytes, 0);
    }

    #[test]
    fn a_push_that_timed_out_is_withdrawn_and_told_once() {
        let (sender, mut receiver) = queue(Acknowledge::Written, SHORT);
        let late = submit(&sender, b"late".to_vec());
        assert_eq!(late.recv(), Ok(Err(Refusal::TimedOut { after: SHORT })));
        let batch = next_batch(&receiver);
        assert!(batch.is_withdrawn(Instant::now()));
        // Whether the writer passes over it or had it in hand already: its pusher knows.
        receiver.withdraw(batch);
        let other = submit(&sender, b"other".to_vec());
        assert_eq!(other.recv(), Ok(Err(Refusal::TimedOut { after: SHORT })));
        receiver.acknowledge(&mut vec![next_batch(&receiver)]);
        assert!(late.recv().is_err() && other.recv().is_err(), "nothing more is told");
        let next = submit(&sender, b"next".to_vec());
        receiver.acknowledge(&mut vec![next_batch(&receiver)]);
        assert_eq!(next.recv(), Ok(Ok(())));
    }

    #[test]
    fn the_queue_holds_so_many_bytes_and_no_more() {
        let (sender, mut receiver) = queue(Acknowledge::Queued, SHORT);
        let full = Ok(Err(Refusal::Full { bytes_max: 10_000 }));
        let lines = vec![b'x'; 4000];
        assert_eq!(submit(&sender, lines.clone()).recv(), Ok(Ok(())));
        assert_eq!(submit(&sender, lines.clone()).recv(), Ok(Ok(())));
        assert_eq!(submit(&sender, lines.clone()).recv(), full);
        receiver.acknowledge(&mut vec![next_batch(&receiver)]);
        assert_eq!(submit(&sender, lines).recv(), Ok(Ok(())));
        receiver.acknowledge(&mut vec![next_batch(&receiver), next_batch(&receiver)]);
        // One that alone is larger than the bound passes when it is alone.
        assert_eq!(submit(&sender, vec![b'x'; 20_000]).recv(), Ok(Ok(())));
        assert_eq!(submit(&sender, vec![b'x']).recv(), full);
    }

    #[test]
    fn a_worker_stays_free_while_others_wait_for_room() {
        let (sender, mut receiver) = queue(Acknowledge::Queued, LONG);
        let wait = || {
            let sender = sender.clone();
            thread::spawn(move || submit(&sender, vec![b'x'; 4000]).recv())
        };
        assert_eq!(submit(&sender, vec![b'x'; 9000]).recv(), Ok(Ok(())));
        let waiting = [wait(), wait()];
        while receiver.shared.lock().workers < 2 {
            thread::yield_now();
        }
        let refused = submit(&sender, vec![b'x'; 4000]).recv();
        assert_eq!(refused, Ok(Err(Refusal::Full { bytes_max: 10_000 })));
        receiver.acknowledge(&mut vec![next_batch(&receiver)]);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Ok(Ok(())));
        }
    }

    #[test]
    fn a_raised_bound_lets_in_who_is_waiting_for_room() {
        let (sender, receiver) = queue(Acknowledge::Queued, LONG);
        assert_eq!(submit(&sender, vec![b'x'; 8000]).recv(), Ok(Ok(())));
        let other = sender.clone();
        let waiting = thread::spawn(move || submit(&other, vec![b'y'; 8000]).recv());
        while receiver.shared.lock().workers == 0 {
            thread::yield_now();
        }
        let acknowledge = Acknowledge::Queued;
        sender.replace(Options { bytes_max: 20_000, acknowledge, ack_timeout: LONG });
        assert_eq!(waiting.join().unwrap(), Ok(Ok(())));
        assert_eq!(next_batch(&receiver).lines.len(), 8000);
    }

    #[test]
    fn a_lowered_bound_keeps_what_is_in_the_queue_and_refuses_what_comes() {
        let (sender, mut receiver) = queue(Acknowledge::Queued, SHORT);
        assert_eq!(submit(&sender, vec![b'x'; 8000]).recv(), Ok(Ok(())));
        let acknowledge = Acknowledge::Queued;
        sender.replace(Options { bytes_max: 4000, acknowledge, ack_timeout: SHORT });
        let full = Ok(Err(Refusal::Full { bytes_max: 4000 }));
        assert_eq!(submit(&sender, vec![b'y']).recv(), full);
        let batch = next_batch(&receiver);
        assert_eq!(batch.lines.len(), 8000);
        receiver.acknowledge(&mut vec![batch]);
        assert_eq!(submit(&sender, vec![b'y']).recv(), Ok(Ok(())));
    }

    #[test]
    fn a_push_after_the_change_is_acknowledged_as_the_new_options_say() {
        let (sender, receiver) = queue(Acknowledge::Queued, LONG);
        assert_eq!(submit(&sender, vec![b'x']).recv(), Ok(Ok(())));
        let acknowledge = Acknowledge::Written;
        sender.replace(Options { bytes_max: 10_000, acknowledge, ack_timeout: SHORT });
        let timed_out = Ok(Err(Refusal::TimedOut { after: SHORT }));
        assert_eq!(submit(&sender, vec![b'y']).recv(), timed_out, "nobody writes");
        assert!(next_batch(&receiver).reply.is_none() && next_batch(&receiver).reply.is_some());
    }

    #[test]
    fn a_stuck_output_refuses_at_once_and_takes_again_when_it_flows() {
        let (sender, receiver) = queue(Acknowledge::Queued, SHORT);
        receiver.is_trying();
        assert_eq!(sender.ready(), Ok(()), "not yet");
        while sender.ready().is_ok() {
            thread::yield_now();
        }
        let refused = submit(&sender, vec![b'x']).recv();
        assert!(matches!(refused, Ok(Err(Refusal::Stalled { .. }))), "{refused:?}");
        assert!(receiver.is_flowing(), "it was stalled");
        assert_eq!(submit(&sender, vec![b'x']).recv(), Ok(Ok(())));
        sender.close(Instant::now());
        assert_eq!(sender.ready(), Err(Refusal::ShuttingDown));
        receiver.end();
        assert_eq!(sender.ready(), Err(Refusal::OutputEnded));
    }

    #[test]
    fn the_buffers_of_written_batches_are_used_again() {
        let (sender, mut receiver) = queue(Acknowledge::Queued, LONG);
        let mut lines = sender.spare();
        lines.extend_from_slice(&[b'x'; 4000]);
        let place = lines.as_ptr();
        assert_eq!(submit(&sender, lines).recv(), Ok(Ok(())));
        receiver.acknowledge(&mut vec![next_batch(&receiver)]);
        let again = sender.spare();
        assert!(again.is_empty() && again.as_ptr() == place);
    }
}
