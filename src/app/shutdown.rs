//! The end in order: accept nothing more, answer the requests that have arrived, close the queue,
//! let the writer empty it; all of it within `drain_timeout`. The gate has a little less than that,
//! so that one slow body does not leave the writer without time for what was acknowledged.

use super::error::Error;
use super::event::{Event, tell};
use super::running::{DRAIN_PATIENCE, Running};
use super::signals::SignalRequest;
use crate::delivery::queue;
use crate::delivery::writer::WriterEnd;
use crate::intake::gate::Gate;
use crate::intake::worker::Pending;
use crate::observe::telemetry::Telemetry;
use crate::supervise::notify::Supervisor;
use crate::supervise::watchdog::Liveness;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a slow request leaves the writer of the time to drain at most: an eighth of it, up to this.
const WRITER_SHARE_MAX: Duration = Duration::from_secs(1);

impl Running {
    /// Ends everything in order.
    pub(super) fn drain(self) -> Result<(), Error> {
        self.status.drains();
        let Running { config, log, telemetry, queue, writer, gate, inbox, mut supervisor, .. } =
            self;
        let (emitter, events) = (self.emitter, self.events);
        let after = config.output.drain_timeout;
        supervisor
            .stopping(after + 2 * DRAIN_PATIENCE, "draining: no new pushes, writing the rest");
        let deadline = Instant::now() + after;
        log.info("draining", &[("at_most_s", &after.as_secs_f64())]);
        if let Some(emitter) = emitter {
            emitter.stop();
        }
        let gate_deadline = deadline - (after / 8).min(WRITER_SHARE_MAX);
        let closed = Closing { gate, queue, gate_deadline, deadline, events }.begin();
        let left = wait_for_writer(&inbox, &telemetry, &supervisor, deadline);
        let batch_count = telemetry.queue_batches.get();
        match left {
            Left::Ended => {}
            Left::Impatient => return Err(Error::Impatient),
            Left::Hanging if batch_count > 0 => {
                return Err(Error::Undrained { batch_count, after });
            }
            Left::Hanging => {
                log.info("stopped, the output did not take our own figures", &[]);
                return Ok(());
            }
        }
        let cut_off = closed.recv().unwrap_or_default();
        match writer.join() {
            Ok(WriterEnd::Drained) => {
                log.info("stopped", &[("connections_cut_off", &cut_off)]);
                Ok(())
            }
            Ok(WriterEnd::Undrained { batch_count }) => {
                Err(Error::Undrained { batch_count, after })
            }
            Ok(WriterEnd::OutputEnded(error)) => Err(Error::OutputEnded(error)),
            Ok(WriterEnd::Panicked) | Err(_) => Err(Error::ThreadLost("the writer panicked")),
        }
    }
}

/// What the writer does when the wait for it ends.
enum Left {
    /// It has ended.
    Ended,
    /// It has not: it hangs in a write that never returns.
    Hanging,
    /// A second signal came.
    Impatient,
}

/// Waits for the writer to end: until `deadline` and [`DRAIN_PATIENCE`] more, since its write may
/// never return. Where only lines of our own are left, it waits for [`DRAIN_PATIENCE`] alone.
fn wait_for_writer(
    inbox: &Receiver<Event>,
    telemetry: &Telemetry,
    supervisor: &Supervisor,
    deadline: Instant,
) -> Left {
    let mut end = deadline + DRAIN_PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match inbox.recv_timeout(left) {
            Ok(Event::WriterEnded) => return Left::Ended,
            Ok(Event::Signal(SignalRequest::Stop)) => return Left::Impatient,
            Ok(Event::Closed) if telemetry.queue_batches.get() == 0 => {
                end = end.min(Instant::now() + DRAIN_PATIENCE);
            }
            Ok(Event::Watched(Liveness::Good)) => supervisor.alive(),
            Ok(_) => {}
            Err(_) => return Left::Hanging,
        }
    }
}

/// What has to be closed before the writer ends.
struct Closing {
    gate: Gate,
    queue: queue::QueueSender<Pending>,
    /// When the gate cuts off what is still coming in.
    gate_deadline: Instant,
    /// When the writer gives up.
    deadline: Instant,
    /// Where the end of the closing is told.
    events: Sender<Event>,
}

impl Closing {
    /// Closes in a thread of its own, so that the caller sees a second signal meanwhile; where the
    /// system has no thread left, it closes before it returns. Once all is closed, the number of
    /// connections that were cut off is received.
    fn begin(self) -> Receiver<usize> {
        let (done, closed) = mpsc::channel();
        // Held outside the thread, too: one that cannot be started does not give it back.
        let held = Arc::new(Mutex::new(Some((self, done))));
        let held_by_thread = Arc::clone(&held);
        let closer = thread::Builder::new().name("closer".to_owned());
        if closer.spawn(move || close_once(&held_by_thread)).is_err() {
            close_once(&held);
        }
        closed
    }

    fn close(self, done: &Sender<usize>) {
        let cut_off = self.gate.close(self.gate_deadline);
        self.queue.close(self.deadline);
        tell(&self.events, Event::Closed);
        if done.send(cut_off).is_err() {
            // OK because the deadline has passed, and the caller no longer waits.
        }
    }
}

/// Closes what is held, and tells when that is done.
fn close_once(held: &Mutex<Option<(Closing, Sender<usize>)>>) {
    let closing = held.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((closing, done)) = closing {
        closing.close(&done);
    }
}
