//! Our own figures → lines on the output, every interval (`[telemetry] emit_interval`), so that a
//! host without Prometheus sees them.
//!
//! They go the ordinary way: what `GET /metrics` answers is converted as a push of it to
//! `/metrics/job/pushline` would be, by the defaults of an input. So `pushline_samples_read_total`
//! is measurement `pushline`, field `samples_read_total`, tag `job=pushline`; `process_…` is
//! measurement `process`. They are offered to the queue, never waited for: where the output is not
//! ready, or has not taken the ones before, an interval is skipped and counted. They are not
//! counted as a push.

use crate::delivery::queue;
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::push::route::{self, Group, Route};
use crate::push::{self, Converted, Input, PushHeaders, Pusher};
use crate::system::now_ns;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where they would be pushed to.
const TARGET: &[u8] = b"/metrics/job/pushline";

/// What an emitter needs besides its interval.
#[derive(Debug)]
pub struct EmitterLinks<R> {
    /// The bounds of a push.
    pub push: push::PushLimits,
    /// Where lines go.
    pub queue: queue::QueueSender<R>,
    /// What is emitted.
    pub telemetry: Arc<Telemetry>,
    /// Where events go.
    pub log: Arc<Log>,
}

/// A running emitter.
#[derive(Debug)]
pub(crate) struct Emitter {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Emitter {
    /// Begins: the first figures come after one interval.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start<R: queue::Reply>(
        interval: Duration,
        links: EmitterLinks<R>,
    ) -> io::Result<Emitter> {
        let (stop, stopped) = mpsc::channel();
        let mut figures = OwnFigures::new(links);
        let thread = thread::Builder::new().name("emitter".to_owned()).spawn(move || {
            let mut due = Instant::now() + interval;
            while wait(&stopped, due) {
                figures.emit_or_recover(now_ns());
                let now = Instant::now();
                // Intervals that were missed (the machine slept) are not made up for.
                due = Some(due + interval).filter(|due| *due > now).unwrap_or(now + interval);
            }
        })?;
        Ok(Emitter { stop, thread })
    }

    /// Ends at once: it never waits for the output.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            // OK because a panic was told when it happened, and nobody needs the figures now.
        }
    }
}

/// Waits until `due`; false where it is to stop.
fn wait(stopped: &Receiver<()>, due: Instant) -> bool {
    let left = due.saturating_duration_since(Instant::now());
    stopped.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
}

/// Where the lines come from.
struct OwnFigures<R> {
    input: Input,
    pusher: Pusher,
    links: EmitterLinks<R>,
}

impl<R: queue::Reply> OwnFigures<R> {
    fn new(links: EmitterLinks<R>) -> OwnFigures<R> {
        OwnFigures { input: Input::default(), pusher: Pusher::new(links.push), links }
    }

    /// Emits; a panic, which its hook has logged, costs only this interval.
    fn emit_or_recover(&mut self, now_ns: i64) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.emit(now_ns)));
        if outcome.is_err() {
            self.pusher = Pusher::new(self.links.push);
            self.links.telemetry.emissions_skipped.increment();
        }
    }

    fn emit(&mut self, now_ns: i64) {
        let is_taken = match self.lines(now_ns) {
            Ok(Converted { lines, line_count, .. }) => self.links.queue.offer(lines, line_count),
            Err(error) => {
                self.links.log.error("own figures cannot be written", &[("error", &error)]);
                false
            }
        };
        let EmitterLinks { telemetry, .. } = &self.links;
        let counter = if is_taken { &telemetry.emitted } else { &telemetry.emissions_skipped };
        counter.increment();
    }

    fn lines(&mut self, received_ns: i64) -> Result<Converted, String> {
        let EmitterLinks { telemetry, queue, .. } = &self.links;
        telemetry.ready.set(u64::from(queue.ready().is_ok()));
        let text = telemetry.render();
        let group = group().ok_or("their labels are wrong")?;
        let head =
            PushHeaders { group: &group, content_type: None, content_encoding: None, received_ns };
        let converted = self.pusher.convert(&self.input, head, text.as_bytes(), Vec::new());
        converted.map_err(|error| error.to_string())
    }
}

fn group() -> Option<Group> {
    match route::route("POST", TARGET, &[route::Endpoint::default()]) {
        Ok(Route::Push { group, .. }) => Some(group),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::queue::{Acknowledge, WriterOrder};
    use crate::observe::log::{Level, LogFormat};

    const NOW_NS: i64 = 1_764_000_000_000_000_000;

    fn figures() -> (OwnFigures<()>, queue::Receiver<()>) {
        let telemetry = Arc::new(Telemetry::new());
        let (acknowledge, ack_timeout) = (Acknowledge::Written, Duration::from_secs(20));
        let options = queue::QueueOptions { bytes_max: 1 << 20, acknowledge, ack_timeout };
        let (queue, receiver, _) = queue::channel(options, Arc::clone(&telemetry));
        let push = push::PushLimits {
            decoded_bytes_max: 1 << 20,
            line_bytes_max: 1 << 16,
            lines_bytes_max: 1 << 20,
        };
        let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
        (OwnFigures::new(EmitterLinks { push, queue, telemetry, log }), receiver)
    }

    #[test]
    fn the_lines_are_those_of_a_push_of_our_own_metrics() {
        let (mut figures, receiver) = figures();
        figures.links.telemetry.answered("PUT", 200, Duration::from_micros(20));
        figures.links.telemetry.lines_written.add(7);
        figures.emit(NOW_NS);
        let Some(WriterOrder::Deliver(batch)) = receiver.take_waiting() else {
            panic!("nothing came")
        };
        let text = std::str::from_utf8(&batch.lines).unwrap();
        assert_eq!(text.lines().count(), batch.line_count as usize);
        for line in [
            "pushline,code=200,job=pushline,method=PUT http_requests_total=1",
            "pushline,job=pushline,le=0.0001 http_answer_seconds_bucket=1",
            "pushline,job=pushline http_answer_seconds_sum=0.00002,http_answer_seconds_count=1",
            "pushline,job=pushline lines_written_total=7",
            "pushline,job=pushline ready=1",
        ] {
            let line = format!("{line} {NOW_NS}");
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("\nprocess,job=pushline start_time_seconds="), "{text}");
    }

    #[test]
    fn an_interval_is_skipped_and_counted_while_the_lines_before_wait() {
        let (mut figures, mut receiver) = figures();
        let counts = |figures: &OwnFigures<()>| {
            let telemetry = &figures.links.telemetry;
            (telemetry.emitted.get(), telemetry.emissions_skipped.get())
        };
        figures.emit(NOW_NS);
        figures.emit(NOW_NS);
        figures.emit(NOW_NS);
        assert_eq!(counts(&figures), (1, 2));
        let Some(WriterOrder::Deliver(batch)) = receiver.take_waiting() else {
            panic!("nothing came")
        };
        receiver.acknowledge(&mut vec![batch]);
        figures.emit(NOW_NS);
        assert_eq!(counts(&figures), (2, 2));
    }

    #[test]
    fn an_emitter_ends_before_its_interval_does() {
        let (figures, _receiver) = figures();
        let emitter = Emitter::start(Duration::from_secs(24 * 3600), figures.links).unwrap();
        emitter.stop();
    }
}
