//! Board, telemetry, queue and facts → the JSON of `GET /api/v1/status`.
//!
//! Names are stable and end in their unit; times are milliseconds since the Unix epoch. The
//! table of them is in `scripts/packaging/metrics.md`.

use super::{Facts, Status};
use crate::delivery::condition::{Condition, NotReady};
use crate::delivery::spool::SpoolFigures;
use crate::json::Json;
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX, STATUS_GROUPS_MAX, STATUS_SEEN_MAX};
use crate::observe::telemetry::resident_bytes;
use std::sync::PoisonError;
use std::time::Duration;

/// An output that takes nothing for so long is worth a word, long before it counts as stalled.
const SLOW_AFTER: Duration = Duration::from_secs(1);

impl Status {
    /// Everything as one JSON object; `scripts/packaging/metrics.md` tells what each name means.
    pub fn report(&self, now_ns: i64) -> String {
        render(self, now_ns)
    }
}

fn render(status: &Status, now_ns: i64) -> String {
    let started_ns = status.setup.started_ns;
    let ms = |time_ns: i64| u64::try_from(time_ns / 1_000_000).unwrap_or_default();
    let facts = status.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let condition = status.setup.output.look();
    let spool = status.spool(now_ns);
    let headline = Headline::of(status, &condition, spool.as_ref());
    let mut json = Json::default();
    json.object(|json| {
        json.key("version").text(env!("CARGO_PKG_VERSION"));
        json.key("now_ms").number(ms(now_ns));
        json.key("start_ms").number(ms(started_ns));
        json.key("uptime_ms").number(ms(now_ns.saturating_sub(started_ns)));
        json.key("state").text(headline.state);
        json.key("reason").text(&headline.reason);
        json.key("output").object(|json| {
            output(json, status, &condition);
            failure(json, status, ms(now_ns));
            match &spool {
                None => json.key("spool").null(),
                Some(figures) => {
                    json.key("spool").object(|json| spool_figures(json, status, figures));
                }
            }
        });
        json.key("server").object(|json| server(json, status));
        json.key("limits").object(|json| limits(json, &facts));
        json.key("route_prefixes")
            .array(|json| facts.route_prefixes.iter().for_each(|prefix| json.text(prefix)));
        json.key("configuration").text(&facts.configuration);
        json.key("samples_skipped").number(skipped(status));
        let telemetry = &status.setup.telemetry;
        json.key("labels_overruled").number(telemetry.labels_overruled.get());
        json.key("timestamps_implausible").number(telemetry.timestamps_implausible.get());
        status.board.report(json, ms(now_ns));
        let history = status.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.report(json, ms(now_ns), status.figures());
    });
    json.into_text()
}

/// One word for a glance, and a sentence for its reader.
struct Headline {
    state: &'static str,
    reason: String,
}

impl Headline {
    fn of(status: &Status, condition: &Condition, spool: Option<&SpoolFigures>) -> Headline {
        let target = &status.setup.target;
        let is_draining = status.ready() == Err(NotReady::ShuttingDown);
        let (state, reason) = match condition {
            Condition::NotReady(NotReady::OutputEnded) => (
                NotReady::OutputEnded.word(),
                format!("The reader of {target} has gone away; the process ends."),
            ),
            Condition::NotReady(defect @ NotReady::Defect) => {
                let words =
                    "A thread of pushline has failed; the log says which. The process ends.";
                (defect.word(), words.to_owned())
            }
            _ if is_draining => draining(),
            Condition::NotReady(NotReady::ShuttingDown) => draining(),
            // Pushes are let in meanwhile: everything but what it refuses arrives.
            Condition::NotReady(refuses @ NotReady::ReaderRefuses { .. }) => (
                refuses.word(),
                format!("{} Pushes wait for their turn.", refuses.sentence(target)),
            ),
            Condition::NotReady(not_ready) => (
                not_ready.word(),
                format!("{} Pushes are answered 503.", not_ready.sentence(target)),
            ),
            Condition::Spooling { because, .. } => {
                let waits = spool.and_then(|spool| spool.sentence(target)).unwrap_or_default();
                let why = because.as_ref().map(|because| because.sentence(target));
                // An output that fails is not stalled yet: it is away all the same.
                let fails = || {
                    let failure = status.setup.output.failure()?;
                    Some(format!("{target} takes no lines ({}).", failure.words))
                };
                let why = why.or_else(fails);
                let why = why.unwrap_or_else(|| format!("They are being sent to {target}."));
                ("spooling", format!("{waits}. {why}"))
            }
            Condition::Flowing { waited } if *waited > SLOW_AFTER => {
                let seconds = waited.as_secs_f64();
                let reason = format!("{target} has taken nothing for {seconds:.0} s. ");
                ("slow", reason + "Pushes wait for it.")
            }
            Condition::Flowing { .. } => {
                ("healthy", format!("Pushes are taken, lines flow to {target}."))
            }
        };
        Headline { state, reason }
    }
}

fn draining() -> (&'static str, String) {
    ("shutting_down", "What is in hand is being written. New pushes are refused.".to_owned())
}

fn output(json: &mut Json, status: &Status, condition: &Condition) {
    let telemetry = &status.setup.telemetry;
    let waited_ms = match condition {
        Condition::Flowing { waited } => waited.as_millis(),
        Condition::NotReady(NotReady::Stalled { for_time, .. }) => for_time.as_millis(),
        Condition::NotReady(_) | Condition::Spooling { .. } => 0,
    };
    json.key("target").text(&status.setup.target);
    json.key("lines").number(telemetry.lines_written.get());
    json.key("bytes").number(telemetry.bytes_written.get());
    json.key("queue_batches").number(telemetry.queue_batches.get());
    json.key("queue_bytes").number(telemetry.queue_bytes.get());
    json.key("waiting_ms").number(u64::try_from(waited_ms).unwrap_or(u64::MAX));
    json.key("stalls").number(telemetry.writer_stalls.get());
    json.key("reconnects").number(telemetry.reconnects.get());
    json.key("lines_rejected").number(telemetry.rejected_lines());
    json.key("rejected").array(|json| {
        for line in telemetry.last_rejected.newest_first() {
            json.object(|json| {
                json.key("time_ms").number(line.time_ms);
                json.key("reason").text(line.reason.name());
                json.key("status").number_or_null(line.status.map(u64::from));
                json.key("text").text(&line.words);
                json.key("line").text(&line.line);
            });
        }
    });
}

/// What is wrong with the output, since when, and when it is tried again: all null while it works.
fn failure(json: &mut Json, status: &Status, now_ms: u64) {
    let failure = status.setup.output.failure();
    let whole_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let since_ms =
        failure.as_ref().map(|failure| now_ms.saturating_sub(whole_ms(failure.for_time)));
    let next_try_s = failure.as_ref().map(|failure| whole_ms(failure.next_try).div_ceil(1000));
    match &failure {
        None => json.key("error").null(),
        Some(failure) => json.key("error").text(&failure.words),
    }
    json.key("since_ms").number_or_null(since_ms);
    json.key("next_try_seconds").number_or_null(next_try_s);
}

fn spool_figures(json: &mut Json, status: &Status, spool: &SpoolFigures) {
    let telemetry = &status.setup.telemetry;
    let dropped = telemetry.spool_dropped_full.get() + telemetry.spool_dropped_expired.get();
    json.key("lines").number(spool.lines);
    json.key("lines_in_memory_only").number(spool.memory_lines);
    json.key("bytes").number(spool.bytes);
    json.key("bytes_max").number(spool.bytes_max);
    json.key("since_ms").number_or_null(spool.since_ms);
    json.key("oldest_ms").number_or_null(spool.oldest_ms);
    json.key("room_ms").number_or_null(spool.room_ms);
    json.key("lines_total").number(telemetry.spool_lines_total.get());
    json.key("lines_dropped").number(dropped);
    json.key("records_damaged").number(telemetry.spool_damaged_records.get());
}

fn server(json: &mut Json, status: &Status) {
    let telemetry = &status.setup.telemetry;
    json.key("listen")
        .array(|json| status.setup.listen.iter().for_each(|address| json.text(address)));
    json.key("connections").number(telemetry.connections_open.get());
    json.key("connections_accepted").number(telemetry.connections_accepted.get());
    json.key("connections_evicted").number(telemetry.connections_evicted.get());
    json.key("connections_refused").number(telemetry.connections_refused.get());
    json.key("workers").number(status.setup.workers as u64);
    // Who asks keeps one busy: that one is not told of.
    json.key("workers_busy").number(telemetry.workers_busy.get().saturating_sub(1));
    json.key("worker_panics").number(telemetry.worker_panics.get());
    json.key("bodies_bytes").number(telemetry.buffered_bytes.get());
    json.key("resident_bytes").number_or_null(resident_bytes());
    let end_s = telemetry.tls_ends_s.get();
    json.key("certificate_end_ms").number_or_null((end_s > 0).then(|| end_s.saturating_mul(1000)));
}

fn limits(json: &mut Json, facts: &Facts) {
    for (name, bound) in &facts.limits {
        json.key(name).number(*bound);
    }
    json.key("head_bytes").number(HEAD_BYTES_MAX as u64);
    json.key("head_fields").number(HEADERS_MAX as u64);
    json.key("groups_shown").number(STATUS_GROUPS_MAX as u64);
    json.key("groups_seen").number(STATUS_SEEN_MAX as u64);
}

fn skipped(status: &Status) -> u64 {
    let telemetry = &status.setup.telemetry;
    telemetry.skipped_not_finite.get() + telemetry.skipped_bound_nan.get()
}

#[cfg(test)]
mod tests {
    use super::super::Setup;
    use super::*;
    use crate::delivery::condition::{FinalEnd, SpoolCondition};
    use crate::delivery::queue::{self, Acknowledge};
    use crate::observe::telemetry::Telemetry;
    use serde_json::Value;
    use std::sync::Arc;
    use std::time::Instant;

    fn status(ack_timeout: Duration) -> (Status, queue::QueueSender<()>, queue::Receiver<()>) {
        let telemetry = Arc::new(Telemetry::new());
        let options = queue::QueueOptions {
            bytes_max: 1 << 20,
            acknowledge: Acknowledge::Queued,
            ack_timeout,
        };
        let (sender, receiver, _) = queue::channel(options, Arc::clone(&telemetry));
        let setup = Setup {
            started_ns: 1_000_000_000,
            listen: vec!["127.0.0.1:9091".to_owned()],
            target: "tcp://\"<db>\":1".to_owned(),
            workers: 9,
            telemetry,
            spool_bytes_max: None,
            output: sender.state(),
        };
        let facts = Facts {
            route_prefixes: vec![String::new(), "/v1".to_owned()],
            limits: vec![("max_body_bytes", 16)],
            configuration: "[server]\n".to_owned(),
        };
        (Status::new(setup, facts), sender, receiver)
    }

    fn read(status: &Status) -> Value {
        let text = status.report(3_500_000_000);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn a_report_tells_times_in_milliseconds_and_bounds_by_name() {
        let (status, ..) = status(Duration::from_secs(5));
        status.setup.telemetry.lines_written.add(4);
        status.setup.telemetry.workers_busy.raise(2);
        let report = read(&status);
        for (pointer, want) in [
            ("/version", env!("CARGO_PKG_VERSION").into()),
            ("/start_ms", 1_000.into()),
            ("/now_ms", 3_500.into()),
            ("/uptime_ms", 2_500.into()),
            ("/state", "healthy".into()),
            ("/output/target", "tcp://\"<db>\":1".into()),
            ("/output/lines", 4.into()),
            ("/server/workers", 9.into()),
            ("/server/workers_busy", 1.into()),
            ("/server/listen/0", "127.0.0.1:9091".into()),
            ("/limits/max_body_bytes", 16.into()),
            ("/limits/groups_shown", STATUS_GROUPS_MAX.into()),
            ("/route_prefixes/1", "/v1".into()),
            ("/configuration", Value::from("[server]\n")),
            ("/groups", Value::Array(Vec::new())),
        ] {
            assert_eq!(report.pointer(pointer), Some(&want), "{pointer} in {report}");
        }
        assert!(report["server"]["resident_bytes"].as_u64().unwrap() > 100_000);
        status.set_facts(Facts::default());
        assert_eq!(read(&status)["configuration"], "", "facts are replaced");
    }

    #[test]
    fn a_failing_output_is_told_with_its_words_its_beginning_and_the_next_try() {
        let (status, _sender, receiver) = status(Duration::from_secs(5));
        let told = |status: &Status| {
            let output = read(status)["output"].clone();
            ["error", "since_ms", "next_try_seconds"].map(|name| output[name].clone())
        };
        assert_eq!(told(&status), [Value::Null, Value::Null, Value::Null]);
        let output = receiver.state();
        output.is_misconfigured("401 from the store: \"no\"", Duration::from_secs(3600));
        let [error, since_ms, next_try] = told(&status);
        assert_eq!(error, "401 from the store: \"no\"");
        let (since_ms, next_try) = (since_ms.as_u64().unwrap(), next_try.as_u64().unwrap());
        assert!((1..=3_500).contains(&since_ms), "{since_ms}");
        assert!((3_000..=3_600).contains(&next_try), "{next_try}");
        output.flows();
        assert_eq!(told(&status), [Value::Null, Value::Null, Value::Null]);
    }

    #[test]
    fn a_reader_that_is_searched_lets_pushes_wait() {
        let (status, _sender, receiver) = status(Duration::from_secs(5));
        receiver.state().reader_refuses("closed the connection");
        let report = read(&status);
        assert_eq!(report["state"], "reader_refuses");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.ends_with(" Pushes wait for their turn."), "{reason}");
    }

    #[test]
    fn the_state_is_that_of_the_output_until_the_process_drains() {
        let (status, sender, receiver) = status(Duration::ZERO);
        assert_eq!(read(&status)["state"], "healthy");
        let output = receiver.state();
        output.waits();
        // OK because time goes on by itself: with no timeout, any wait is a stall.
        while sender.ready().is_ok() {
            std::thread::yield_now();
        }
        let report = read(&status);
        assert_eq!(report["state"], "stalled");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.starts_with("tcp://\"<db>\":1 has taken nothing for 0 s."), "{reason}");
        output.flows();
        assert_eq!(read(&status)["state"], "healthy");
        status.drains();
        assert_eq!(read(&status)["state"], "shutting_down");
        sender.close(Instant::now());
        assert_eq!(read(&status)["state"], "shutting_down");
        receiver.end(FinalEnd::Output);
        assert_eq!(read(&status)["state"], "output_ended");
    }

    #[test]
    fn a_thread_that_fails_is_not_told_as_a_reader_that_went_away() {
        let (status, _sender, receiver) = status(Duration::from_secs(5));
        status.drains();
        receiver.end(FinalEnd::Defect);
        let report = read(&status);
        assert_eq!(report["state"], "defect");
        assert!(!report["reason"].as_str().unwrap().contains("reader"), "{report}");
        assert_eq!(status.ready(), Err(NotReady::Defect));
    }

    #[test]
    fn while_it_spools_an_output_that_fails_is_not_said_to_take_lines() {
        let (status, _sender, receiver) = status(Duration::from_secs(5));
        let output = receiver.state();
        output.fails("connection refused", Duration::from_secs(1));
        output.spool(SpoolCondition::Spooling);
        let reason = read(&status)["reason"].as_str().unwrap().to_owned();
        assert!(reason.ends_with(" takes no lines (connection refused)."), "{reason}");
        output.flows();
        let reason = read(&status)["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(". They are being sent to "), "{reason}");
    }

    #[test]
    fn the_metric_and_the_probe_ask_the_same_state_while_the_process_drains() {
        let (status, sender, _receiver) = status(Duration::from_secs(5));
        status.drains();
        assert_eq!(status.ready(), Err(NotReady::ShuttingDown));
        assert_eq!(sender.ready(), status.ready());
        assert_eq!(sender.state().accepts(), Ok(()), "what is in hand is let in");
    }
}
