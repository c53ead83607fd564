//! What a request is answered, and the way back to its client: at once by a worker, or when the
//! queue says so.

use super::{Service, Settings};
use crate::delivery::queue;
use crate::intake::bridge::{Answers, reason};
use crate::push::Converted;
use crate::push::route::Group;
use crate::status;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::Arc;

/// What a pusher is told of a defect.
pub(super) const DEFECT: &str = "a defect of pushline, see its log";

/// What a request is answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    /// Header lines, each with its CRLF.
    pub(super) headers: &'static str,
}

impl Answer {
    /// No body.
    pub(super) fn empty(status: u16) -> Answer {
        Answer { status, content_type: "", body: String::new(), headers: "" }
    }

    /// One line of text.
    pub(super) fn text(status: u16, line: impl fmt::Display) -> Answer {
        const NOT_SNIFFED: &str = "X-Content-Type-Options: nosniff\r\n";
        let content_type = "text/plain; charset=utf-8";
        Answer { status, content_type, body: format!("{line}\n"), headers: NOT_SNIFFED }
    }

    /// The lines of a dry run.
    pub(super) fn lines(lines: Vec<u8>) -> Answer {
        match String::from_utf8(lines) {
            Ok(body) => Answer { body, ..Answer::text(200, "") },
            // The encoder writes UTF-8 and nothing else.
            Err(_) => Answer::text(500, DEFECT),
        }
    }

    /// The whole answer, so that it leaves in one write. The head is put before the body, in its
    /// own memory: the lines of a dry run may be many.
    pub(super) fn render(self, with_body: bool) -> String {
        let Answer { status, content_type, mut body, headers } = self;
        let mut head = String::with_capacity(256);
        // OK because writing to a String never fails.
        write!(head, "HTTP/1.1 {status} {}\r\n{headers}", reason(status)).ok();
        if !content_type.is_empty() {
            write!(head, "Content-Type: {content_type}\r\n").ok();
        }
        write!(head, "Content-Length: {}\r\n\r\n", body.len()).ok();
        if !with_body || body.is_empty() {
            return head;
        }
        body.insert_str(0, &head);
        body
    }
}

/// Why a push was not delivered, and when to come again where that helps.
pub(super) fn unavailable(undelivered: &queue::Undelivered) -> Answer {
    const COME_AGAIN: &str = "Retry-After: 5\r\nX-Content-Type-Options: nosniff\r\n";
    let answer = Answer::text(undelivered.status(), undelivered);
    if answer.status == 503 { Answer { headers: COME_AGAIN, ..answer } } else { answer }
}

/// The way back to the client of a push whose lines are on their way.
pub(crate) struct Pending {
    pub(super) way: Way,
    pub(super) service: Arc<Service>,
    pub(super) accepted: Accepted,
}

/// Where an answer goes.
pub(super) enum Way {
    /// To a connection of the gate.
    Gate(Arc<Answers>, u64),
    /// Back over tiny_http, to who asked without the gate.
    Private(Box<dyn Write + Send>),
}

impl Way {
    /// Sends a whole answer.
    pub(super) fn send(self, text: Cow<'static, str>) {
        match self {
            Way::Gate(answers, connection) => answers.post(connection, text),
            Way::Private(mut writer) => {
                let sent = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
                if sent.is_err() {
                    // OK because who asked is gone.
                }
            }
        }
    }
}

/// A push that became lines.
#[derive(Debug)]
pub(super) struct Accepted {
    /// What it came to; its lines are on their way.
    pub(super) converted: Converted,
    /// Bytes that it was sent with.
    pub(super) body_bytes: usize,
    /// Those that it was converted by.
    pub(super) settings: Arc<Settings>,
    /// Which of their inputs took it.
    pub(super) input: usize,
    /// The labels of its URL.
    pub(super) group: Arc<Group>,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub(super) received_ns: i64,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl queue::Reply for Pending {
    fn answer(self, outcome: Result<(), queue::Undelivered>) {
        const ACCEPTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        match outcome {
            Ok(()) => {
                self.accepted.count(&self.service);
                self.way.send(Cow::Borrowed(ACCEPTED));
            }
            Err(undelivered) => {
                let answer = unavailable(&undelivered);
                self.service.telemetry.refused(undelivered.reason());
                self.service.status.refused(&self.accepted.seen(), answer.status, &undelivered);
                self.way.send(Cow::Owned(answer.render(true)));
            }
        }
    }
}

impl Accepted {
    /// Counts it, once it is answered with 200.
    fn count(&self, service: &Service) {
        let (telemetry, converted) = (&service.telemetry, &self.converted);
        telemetry.accepted(converted.format.name(), converted.coding.name());
        telemetry.body_bytes.add(self.body_bytes as u64);
        telemetry.decoded_bytes.add(converted.decoded_bytes as u64);
        telemetry.samples_read.add(converted.sample_count);
        telemetry.skipped_not_finite.add(converted.skipped.not_finite);
        telemetry.skipped_bound_nan.add(converted.skipped.bound_nan);
        telemetry.skipped_filtered.add(converted.skipped.filtered);
        let tally = status::Tally {
            format: converted.format,
            coding: converted.coding,
            sample_count: converted.sample_count,
            line_count: converted.line_count,
        };
        service.status.accepted(&self.seen(), &tally);
    }

    fn seen(&self) -> status::Push<'_> {
        let input = self.settings.inputs.get(self.input);
        let route_prefix = input.map_or("", |input| &*input.endpoint.prefix);
        status::Push { route_prefix, group: &self.group, received_ns: self.received_ns }
    }
}
