//! The counts → text format 0.0.4: HELP, TYPE and series of each family.
//!
//! Series whose labels are known from the start are there from the start, at 0, so that the first
//! increase is seen as one. Only answers are shown as they occur: most pairs of method and status
//! never do.

use super::number::{Counter, Gauge};
use super::page::Page;
use super::reason::{HandshakeOutcome, Reason, RejectReason};
use super::{CODINGS, FORMATS, METHODS, STATUSES, Telemetry};
use crate::system;

impl Telemetry {
    /// Renders everything in the Prometheus text format 0.0.4.
    pub(crate) fn render(&self) -> String {
        let mut page = Page::with_room();
        self.render_answers(&mut page);
        self.render_pushes(&mut page);
        self.render_samples(&mut page);
        self.render_output(&mut page);
        for (name, help, counter) in self.counters().into_iter().chain(self.output_counters()) {
            page.counter(name, help);
            page.series(&[], counter.get());
        }
        for (name, help, gauge) in self.gauges() {
            page.gauge(name, help);
            page.series(&[], gauge.get());
        }
        self.render_spool(&mut page);
        if self.tls_ends_s.get() > 0 {
            self.render_tls(&mut page);
        }
        page.gauge("pushline_build_info", "What runs: always 1.");
        let version = env!("CARGO_PKG_VERSION");
        page.series(&[("arch", std::env::consts::ARCH), ("version", version)], 1);
        self.process.render(&mut page);
        page.into_text()
    }

    fn render_answers(&self, page: &mut Page) {
        page.counter("pushline_http_requests_total", "Requests, by what they were answered.");
        for (method, row) in METHODS.iter().zip(&self.answered) {
            let codes = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
            for (code, counter) in codes.zip(row).filter(|(_, counter)| counter.get() > 0) {
                page.series(&[("code", &code), ("method", method)], counter.get());
            }
        }
        let help = "Time from the first byte of a request to its answer.";
        let times = (self.answer_time_us.get(), self.answer_count.get());
        page.histogram("pushline_http_answer_seconds", help, &self.answer_buckets, times);
    }

    fn render_output(&self, page: &mut Page) {
        let help = "Requests to the store, by the status of the answer; none is without one.";
        page.counter("pushline_output_requests_total", help);
        for (code, count) in self.output.codes() {
            page.series(&[("code", &code)], count);
        }
        let help = "Time from a request to the store to the end of its answer.";
        let (buckets, times) = self.output.times();
        page.histogram("pushline_output_request_seconds", help, buckets, times);
    }

    fn render_pushes(&self, page: &mut Page) {
        page.counter("pushline_pushes_total", "Pushes accepted, by format and content coding.");
        for (format, row) in FORMATS.iter().zip(&self.accepted) {
            for (coding, counter) in CODINGS.iter().zip(row) {
                page.series(&[("coding", coding), ("format", format)], counter.get());
            }
        }
        page.counter("pushline_pushes_refused_total", "Pushes refused, by reason.");
        for (reason, counter) in Reason::ALL.iter().zip(&self.refused) {
            page.series(&[("reason", reason.name())], counter.get());
        }
        let help = "Lines sent again after a connection broke.";
        page.counter("pushline_lines_resent_total", help);
        page.series(&[], self.lines_resent.get());
        page.counter("pushline_lines_rejected_total", "Lines that the consumer refused for good.");
        for (reason, counter) in RejectReason::ALL.iter().zip(&self.rejected) {
            page.series(&[("reason", reason.name())], counter.get());
        }
    }

    fn render_samples(&self, page: &mut Page) {
        let help = "Samples of accepted pushes that have no line.";
        page.counter("pushline_samples_skipped_total", help);
        for (reason, counter) in [
            ("not_finite", &self.skipped_not_finite),
            ("bound_nan", &self.skipped_bound_nan),
            ("filtered", &self.skipped_filtered),
        ] {
            page.series(&[("reason", reason)], counter.get());
        }
        let help = "Labels of samples that the URL overruled with another value.";
        page.counter("pushline_labels_overruled_total", help);
        page.series(&[], self.labels_overruled.get());
        let help = "Timestamps of samples before 2000 or more than a day ahead.";
        page.counter("pushline_timestamps_implausible_total", help);
        page.series(&[], self.timestamps_implausible.get());
    }

    fn render_spool(&self, page: &mut Page) {
        page.gauge("pushline_spool_bytes", "What the spool takes of the disk.");
        page.series(&[], self.spool_bytes.get());
        page.gauge("pushline_spool_lines", "Lines that wait in the spool.");
        page.series(&[], self.spool_lines.get());
        let age_ms = match self.spool_oldest_ms.get() {
            0 => 0,
            oldest_ms => system::now_ms().saturating_sub(oldest_ms),
        };
        page.gauge("pushline_spool_oldest_seconds", "How long the oldest of them has waited.");
        page.series(&[], format_args!("{}.{:03}", age_ms / 1000, age_ms % 1000));
        page.counter("pushline_spool_lines_total", "Lines that were written to the spool.");
        page.series(&[], self.spool_lines_total.get());
        let help = "Lines of the spool that were given up.";
        page.counter("pushline_spool_dropped_lines_total", help);
        page.series(&[("reason", "full")], self.spool_dropped_full.get());
        page.series(&[("reason", "expired")], self.spool_dropped_expired.get());
        let help = "Records of the spool that were lost to damage.";
        page.counter("pushline_spool_damaged_records_total", help);
        page.series(&[], self.spool_damaged_records.get());
    }

    fn render_tls(&self, page: &mut Page) {
        let help = "Handshakes of TLS clients, by what became of them.";
        page.counter("pushline_tls_handshakes_total", help);
        for (outcome, counter) in HandshakeOutcome::ALL.iter().zip(&self.handshakes) {
            page.series(&[("outcome", outcome.name())], counter.get());
        }
        let help = "The earliest end of the chain that the listeners send, in seconds since 1970.";
        page.gauge("pushline_tls_certificate_expiry_timestamp_seconds", help);
        page.series(&[], self.tls_ends_s.get());
    }

    fn counters(&self) -> [(&'static str, &'static str, &Counter); 14] {
        [
            (
                "pushline_push_body_bytes_total",
                "Bytes of the bodies of accepted pushes, as sent.",
                &self.body_bytes,
            ),
            (
                "pushline_push_decoded_bytes_total",
                "Bytes of the bodies of accepted pushes, after decompression.",
                &self.decoded_bytes,
            ),
            (
                "pushline_samples_read_total",
                "Samples of accepted pushes, the skipped ones included.",
                &self.samples_read,
            ),
            ("pushline_lines_written_total", "Lines on the output.", &self.lines_written),
            ("pushline_written_bytes_total", "Bytes on the output.", &self.bytes_written),
            (
                "pushline_writer_stalls_total",
                "Times that the output took nothing for longer than ack_timeout, at their ends.",
                &self.writer_stalls,
            ),
            (
                "pushline_output_reconnects_total",
                "Times that the output worked again after it had failed.",
                &self.reconnects,
            ),
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
            (
                "pushline_telemetry_emitted_total",
                "Times that these figures were handed to the output.",
                &self.emitted,
            ),
            (
                "pushline_telemetry_skipped_total",
                "Times that these figures were due and the output was not ready.",
                &self.emissions_skipped,
            ),
        ]
    }

    fn output_counters(&self) -> [(&'static str, &'static str, &Counter); 2] {
        [
            (
                "pushline_output_retries_total",
                "Requests that sent lines again after one that failed.",
                &self.output.retries,
            ),
            (
                "pushline_blocks_split_total",
                "Blocks of which the store refused something, so that they were taken apart.",
                &self.output.blocks_split,
            ),
        ]
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Gauge); 7] {
        [
            ("pushline_ready", "Whether the output takes pushes, as /-/ready says.", &self.ready),
            ("pushline_queue_batches", "Pushes that wait for the output.", &self.queue_batches),
            (
                "pushline_queue_bytes",
                "Bytes of the pushes that wait for the output.",
                &self.queue_bytes,
            ),
            ("pushline_buffered_bytes", "Bytes of bodies in hand.", &self.buffered_bytes),
            ("pushline_connections_open", "Connections open now.", &self.connections_open),
            ("pushline_workers", "Workers that there are.", &self.workers),
            ("pushline_workers_busy", "Workers that serve a request.", &self.workers_busy),
        ]
    }
}
