//! The end in order: accept no more, answer what is in hand, close the queue, let the writer write
//! what stands in it; all of it within `drain_timeout`.

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
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::thread;
use std::time::Instant;

impl Running {
    /// Ends everything.
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
        let closed = Closing { gate, queue, deadline, events }.begin();
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

/// How the writer is left at the end.
enum Left {
    /// It has ended.
    Ended,
    /// It has not: it hangs in a write that never returns.
    Hanging,
    /// A second signal came.
    Impatient,
}

/// Waits for the writer to end: until `deadline`, and a moment more, since its write may never
/// return; no longer than that moment where only lines of our own are left.
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
    deadline: Instant,
    /// Who is told once all is closed.
    events: Sender<Event>,
}

impl Closing {
    /// Closes beside the caller, who can see a second signal meanwhile, or before it returns where
    /// the system has no thread any more. How many connections were cut off is received when all
    /// is closed.
    fn begin(self) -> Receiver<usize> {
        let (done, closed) = mpsc::channel();
        let (hand_over, handed_over) = mpsc::channel::<Closing>();
        let from_beside = done.clone();
        let closer = thread::Builder::new().name("closer".to_owned()).spawn(move || {
            if let Ok(closing) = handed_over.recv() {
                closing.close(&from_beside);
            }
        });
        drop(closer);
        // Without the thread there is nobody to hand it over to: it comes back.
        if let Err(SendError(closing)) = hand_over.send(self) {
            closing.close(&done);
        }
        closed
    }

    fn close(self, done: &Sender<usize>) {
        let cut_off = self.gate.close(self.deadline);
        self.queue.close(self.deadline);
        tell(&self.events, Event::Closed);
        if done.send(cut_off).is_err() {
            // OK because the time was over, and nobody waits any more.
        }
    }
}
