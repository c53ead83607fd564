//! What the process counts of itself → its own exposition, text format 0.0.4 (SPEC 1, `/metrics`).
//!
//! A [`Telemetry`] is made once and passed by reference. Every label set is bounded and known at
//! compile time: never a path, a peer or anything else that a pusher chooses. Counters are relaxed
//! atomics; the hot path adds to them once a push, not once a sample.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down, never below zero.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Raises it by `amount`.
    pub fn raise(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Lowers it by `amount`, which was raised before.
    pub fn lower(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The methods that are told apart; every other method counts as `other`.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "other"];

/// The statuses that pushline answers with, by SPEC 1.
const STATUSES: [u16; 14] = [200, 202, 400, 401, 404, 405, 408, 413, 415, 431, 500, 501, 503, 505];

/// Upper bounds of the time to answer, in microseconds and as the label `le` in seconds.
const ANSWER_BOUNDS: [(u64, &str); 12] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (50_000, "0.05"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (30_000_000, "30"),
];

/// Everything that the process counts of itself.
#[derive(Debug, Default)]
pub struct Telemetry {
    answered: [[Counter; STATUSES.len()]; METHODS.len()],
    answer_buckets: [Counter; ANSWER_BOUNDS.len()],
    answer_count: Counter,
    answer_time_us: Counter,
    /// Bytes of push bodies as sent.
    pub body_bytes: Counter,
    /// Bytes of push bodies after decompression.
    pub decoded_bytes: Counter,
    /// Samples read from accepted pushes, the skipped ones included.
    pub samples_read: Counter,
    /// Samples skipped because their value is NaN or infinite (SPEC 2.2).
    pub skipped_not_finite: Counter,
    /// Samples skipped because their `le` or `quantile` is NaN (SPEC 2.2).
    pub skipped_bound_nan: Counter,
    /// Samples skipped because `metric_allow` and `metric_deny` do not keep their metric.
    pub skipped_filtered: Counter,
    /// Lines handed to the output.
    pub lines_written: Counter,
    /// Bytes handed to the output.
    pub bytes_written: Counter,
    /// Batches that wait for the writer, the one in its hand included.
    pub queue_batches: Gauge,
    /// Bytes of those batches.
    pub queue_bytes: Gauge,
    /// Times that the output stopped taking lines for longer than `ack_timeout`.
    pub writer_stalls: Counter,
    /// Times that the output was connected or opened again.
    pub reconnects: Counter,
    /// Bytes of bodies in hand, all connections together.
    pub buffered_bytes: Gauge,
    /// Connections open now.
    pub connections_open: Gauge,
    /// Connections accepted since the start.
    pub connections_accepted: Counter,
    /// Idle connections closed to make room for new ones.
    pub connections_evicted: Counter,
    /// Connections closed unserved, for want of room or threads.
    pub connections_refused: Counter,
    /// Errors of `accept` that were survived.
    pub accept_errors: Counter,
    /// Workers that serve a request now.
    pub workers_busy: Gauge,
    /// Panics of workers, each answered with 500.
    pub worker_panics: Counter,
}

impl Telemetry {
    /// All zero.
    pub fn new() -> Telemetry {
        Telemetry::default()
    }

    /// Counts one answer and the time that it took.
    pub fn answered(&self, method: &str, status: u16, time: Duration) {
        let other = METHODS.len() - 1;
        let row = METHODS.iter().position(|known| *known == method).unwrap_or(other);
        if let Some(column) = STATUSES.iter().position(|known| *known == status)
            && let Some(counter) = self.answered.get(row).and_then(|row| row.get(column))
        {
            counter.increment();
        }
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = ANSWER_BOUNDS.iter().position(|(bound, _)| time_us <= *bound);
        if let Some(counter) = bucket.and_then(|bucket| self.answer_buckets.get(bucket)) {
            counter.increment();
        }
        self.answer_count.increment();
        self.answer_time_us.add(time_us);
    }

    /// Renders everything in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        self.render_answers(&mut text);
        for (name, help, counter) in self.counters() {
            let count = counter.get();
            // OK because writing to a String never fails.
            write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}\n").ok();
        }
        self.render_skipped(&mut text);
        for (name, help, gauge) in self.gauges() {
            let value = gauge.get();
            write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n").ok();
        }
        let name = "pushline_build_info";
        let version = env!("CARGO_PKG_VERSION");
        write!(text, "# HELP {name} The version of this process.\n# TYPE {name} gauge\n").ok();
        writeln!(text, "{name}{{version=\"{version}\"}} 1").ok();
        text
    }

    fn render_answers(&self, text: &mut String) {
        let name = "pushline_http_requests_total";
        write!(text, "# HELP {name} Answered requests.\n# TYPE {name} counter\n").ok();
        for (method, row) in METHODS.iter().zip(&self.answered) {
            for (status, counter) in STATUSES.iter().zip(row).filter(|(_, c)| c.get() > 0) {
                let count = counter.get();
                writeln!(text, "{name}{{code=\"{status}\",method=\"{method}\"}} {count}").ok();
            }
        }
        let name = "pushline_http_answer_seconds";
        write!(text, "# HELP {name} Time from request to answer.\n# TYPE {name} histogram\n").ok();
        let mut cumulated = 0;
        for ((_, bound), counter) in ANSWER_BOUNDS.iter().zip(&self.answer_buckets) {
            cumulated += counter.get();
            writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {cumulated}").ok();
        }
        let count = self.answer_count.get().max(cumulated);
        let (seconds, micros) =
            (self.answer_time_us.get() / 1_000_000, self.answer_time_us.get() % 1_000_000);
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}").ok();
        writeln!(text, "{name}_sum {seconds}.{micros:06}\n{name}_count {count}").ok();
    }

    fn render_skipped(&self, text: &mut String) {
        let name = "pushline_samples_skipped_total";
        writeln!(text, "# HELP {name} Samples without a line, by reason.").ok();
        writeln!(text, "# TYPE {name} counter").ok();
        for (reason, counter) in [
            ("not_finite", &self.skipped_not_finite),
            ("bound_nan", &self.skipped_bound_nan),
            ("filtered", &self.skipped_filtered),
        ] {
            writeln!(text, "{name}{{reason=\"{reason}\"}} {}", counter.get()).ok();
        }
    }

    fn counters(&self) -> [(&'static str, &'static str, &Counter); 12] {
        [
            ("pushline_push_body_bytes_total", "Bytes of push bodies as sent.", &self.body_bytes),
            (
                "pushline_push_decoded_bytes_total",
                "Bytes of push bodies after decompression.",
                &self.decoded_bytes,
            ),
            ("pushline_samples_read_total", "Samples of accepted pushes.", &self.samples_read),
            ("pushline_lines_written_total", "Lines on the output.", &self.lines_written),
            ("pushline_written_bytes_total", "Bytes on the output.", &self.bytes_written),
            ("pushline_writer_stalls_total", "Stalls of the output.", &self.writer_stalls),
            ("pushline_output_reconnects_total", "Outputs opened again.", &self.reconnects),
            (
                "pushline_connections_accepted_total",
                "Connections accepted.",
                &self.connections_accepted,
            ),
            (
                "pushline_connections_evicted_total",
                "Idle connections closed to make room.",
                &self.connections_evicted,
            ),
            (
                "pushline_connections_refused_total",
                "Connections closed unserved.",
                &self.connections_refused,
            ),
            ("pushline_accept_errors_total", "Failed accepts survived.", &self.accept_errors),
            ("pushline_worker_panics_total", "Worker panics survived.", &self.worker_panics),
        ]
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Gauge); 5] {
        [
            ("pushline_queue_batches", "Batches that wait for the output.", &self.queue_batches),
            ("pushline_queue_bytes", "Bytes that wait for the output.", &self.queue_bytes),
            ("pushline_buffered_bytes", "Bytes of bodies in hand.", &self.buffered_bytes),
            ("pushline_connections_open", "Connections open now.", &self.connections_open),
            ("pushline_workers_busy", "Workers that serve a request.", &self.workers_busy),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_once_under_its_method_and_status() {
        let telemetry = Telemetry::new();
        telemetry.answered("POST", 200, Duration::from_micros(300));
        telemetry.answered("BREW", 405, Duration::from_secs(60));
        let text = telemetry.render();
        for line in [
            "pushline_http_requests_total{code=\"200\",method=\"POST\"} 1",
            "pushline_http_requests_total{code=\"405\",method=\"other\"} 1",
            "pushline_http_answer_seconds_bucket{le=\"0.0005\"} 1",
            "pushline_http_answer_seconds_bucket{le=\"30\"} 1",
            "pushline_http_answer_seconds_bucket{le=\"+Inf\"} 2",
            "pushline_http_answer_seconds_sum 60.000300",
            "pushline_http_answer_seconds_count 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
