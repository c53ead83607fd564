//! Requests → pushes → answers: the fixed worker pool. The only file that names tiny_http.
//!
//! tiny_http trusts its peers, so it meets none: it listens on a private socket with a random
//! abstract name, the gate's connections to it are made here, one after the other, each proven by a
//! probe, and the listener is shut. Every request carries the key that only this process knows; one
//! without it is not answered. The `Server` is never dropped: it panics on an abstract listener.
//!
//! A worker serves one request at a time, by the settings that hold when it takes it. A panic is
//! answered with 500, counted and logged, and the worker goes on.

use crate::limits::KEPT_BUFFER_BYTES_MAX;
use crate::live::Live;
use crate::log::Log;
use crate::pulse::{Beat, Pulse};
use crate::push::{self, Converted, Head, Input, Pusher};
use crate::queue;
use crate::route::{self, Group, Route};
use crate::system;
use crate::telemetry::{Reason, Telemetry};
use std::collections::hash_map::RandomState;
use std::fmt::{self, Write as _};
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The header that carries the key of a private request.
pub const KEY_HEADER: &str = "K";

/// Private connections: pushes that may stand between the gate and the output at once. Each costs a
/// thread of tiny_http and three descriptors.
const CONNECTIONS: usize = 17;

/// What can be replaced while the workers serve.
#[derive(Debug)]
pub struct Settings {
    inputs: Vec<Input>,
    /// Those of the inputs, in the same order.
    endpoints: Vec<route::Endpoint>,
    push: push::Options,
}

impl Settings {
    /// Where pushes arrive and how they are mapped, and the bounds of a push.
    pub fn new(inputs: Vec<Input>, push: push::Options) -> Settings {
        let endpoints = inputs.iter().map(|input| input.endpoint.clone()).collect();
        Settings { inputs, endpoints, push }
    }
}

/// What the workers serve.
#[derive(Debug)]
pub struct Service {
    /// By which settings; each request keeps those that it began with.
    pub settings: Live<Settings>,
    /// Where lines go.
    pub queue: queue::Sender<Pending>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Where events go.
    pub log: Arc<Log>,
}

/// Connections to the workers: what is written to one of them must be a complete, well-formed
/// request with the key, one at a time.
#[derive(Debug)]
pub struct Private {
    /// The connections; the last one is to be kept for what is no push.
    pub streams: Vec<UnixStream>,
    /// The value of [`KEY_HEADER`].
    pub key: String,
}

/// A private connection besides those of the gate, over which a watchdog asks the workers.
#[derive(Debug)]
pub struct Lifeline {
    stream: UnixStream,
    pulse: Arc<Pulse>,
    request: String,
    /// What has come of the answer that is waited for.
    answer: Vec<u8>,
    /// Whether a question is not answered yet: a second one is not asked then.
    is_asked: bool,
}

/// Starts the workers, and makes the connections to them. `on_lost` is called by a worker that
/// ends, which none does by itself.
///
/// # Errors
/// What the system says: no thread, no descriptor.
pub fn start(
    workers: usize,
    service: Service,
    on_lost: impl Fn(&'static str) + Clone + Send + 'static,
) -> io::Result<(Private, Lifeline)> {
    let key = format!("{:016x}{:016x}", random(), random());
    let address = SocketAddr::from_abstract_name(format!("pushline-{key}"))?;
    let listener = UnixListener::bind_addr(&address)?;
    let shut = listener.try_clone()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let (server, service) = (Arc::new(server), Arc::new(service));
    service.telemetry.workers.set(workers as u64);
    let pulse = Arc::new(Pulse::new(workers));
    for (number, beat) in pulse.beats().iter().enumerate() {
        let (server, service, beat) = (Arc::clone(&server), Arc::clone(&service), Arc::clone(beat));
        let worker = Worker::new(server, service, key.clone(), beat);
        let on_lost = on_lost.clone();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| worker.run()));
            on_lost(if outcome.is_err() { "a worker panicked" } else { "a worker ended" });
        })?;
    }
    // Each worker holds the server too, and none ends: it is never dropped.
    std::mem::forget(server);
    // tiny_http counts a pool thread that was notified as idle until it runs, and would leave every
    // second connection unserved if they came at once: so each is answered before the next is made.
    let connect = || -> io::Result<Lifeline> {
        let stream = UnixStream::connect_addr(&address)?;
        let mut lifeline = Lifeline::new(stream, &key, Arc::clone(&pulse));
        lifeline.ask(None)?;
        Ok(lifeline)
    };
    let streams = (0..CONNECTIONS).map(|_| Ok(connect()?.stream)).collect::<io::Result<_>>()?;
    let lifeline = connect()?;
    system::shut_listener(&shut)?;
    Ok((Private { streams, key }, lifeline))
}

fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}

impl Lifeline {
    fn new(stream: UnixStream, key: &str, pulse: Arc<Pulse>) -> Lifeline {
        let request = format!("GET /-/healthy HTTP/1.1\r\n{KEY_HEADER}: {key}\r\n\r\n");
        Lifeline { stream, pulse, request, answer: Vec::new(), is_asked: false }
    }

    /// The beats of the workers.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Has a worker answer a question, or the one that it has not answered yet.
    ///
    /// # Errors
    /// None has answered within `patience`, or the connection is broken.
    pub fn ask(&mut self, patience: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(patience)?;
        if !self.is_asked {
            self.answer.clear();
            self.stream.write_all(self.request.as_bytes())?;
            self.is_asked = true;
        }
        let mut chunk = [0; 512];
        let is_head_end = |window: &[u8]| window == b"\r\n\r\n";
        while !self.answer.windows(4).any(is_head_end) || !self.answer.ends_with(b"\n") {
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                count => self.answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
        self.is_asked = false;
        Ok(())
    }
}

/// One thread of the pool, and what it uses again for each request.
struct Worker {
    server: Arc<tiny_http::Server>,
    service: Arc<Service>,
    key: String,
    beat: Arc<Beat>,
    pusher: Pusher,
    body: Vec<u8>,
}

/// The way back to the client of a push whose lines are on their way.
pub struct Pending {
    writer: Box<dyn Write + Send>,
    service: Arc<Service>,
    /// The push, without its lines.
    converted: Converted,
    /// Bytes that it was sent with.
    body_bytes: usize,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl queue::Reply for Pending {
    fn answer(mut self, outcome: Result<(), queue::Refusal>) {
        const ACCEPTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        match outcome {
            Ok(()) => {
                self.count();
                send(&mut *self.writer, ACCEPTED);
            }
            Err(refusal) => {
                self.service.telemetry.refused(refusal.reason());
                send(&mut *self.writer, &unavailable(refusal).render(true));
            }
        }
    }
}

impl Pending {
    /// Counts an accepted push.
    fn count(&self) {
        let (telemetry, converted) = (&self.service.telemetry, &self.converted);
        telemetry.accepted(converted.format.name(), converted.coding.name());
        telemetry.body_bytes.add(self.body_bytes as u64);
        telemetry.decoded_bytes.add(converted.decoded_bytes as u64);
        telemetry.samples_read.add(converted.sample_count);
        telemetry.skipped_not_finite.add(converted.skipped.not_finite);
        telemetry.skipped_bound_nan.add(converted.skipped.bound_nan);
        telemetry.skipped_filtered.add(converted.skipped.filtered);
    }
}

/// Sends a whole answer in one write.
fn send(writer: &mut dyn Write, answer: &str) {
    if writer.write_all(answer.as_bytes()).and_then(|()| writer.flush()).is_err() {
        // OK because the gate ends only with the process.
    }
}

/// What a request comes to.
enum Outcome {
    Answer(Answer),
    /// A push that became lines, and how many bytes it was sent with: the queue answers it.
    Accepted(Converted, usize),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Outcome {
        Outcome::Answer(answer)
    }
}

/// What a request is answered.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    /// Header lines, each with its CRLF.
    headers: &'static str,
}

impl Answer {
    fn empty(status: u16) -> Answer {
        Answer { status, content_type: "", body: String::new(), headers: "" }
    }

    /// One line of text.
    fn text(status: u16, line: impl fmt::Display) -> Answer {
        const NOT_SNIFFED: &str = "X-Content-Type-Options: nosniff\r\n";
        let content_type = "text/plain; charset=utf-8";
        Answer { status, content_type, body: format!("{line}\n"), headers: NOT_SNIFFED }
    }

    /// The whole answer, so that it leaves in one write.
    fn render(&self, with_body: bool) -> String {
        let Answer { status, content_type, body, headers } = self;
        let mut text = String::with_capacity(256 + body.len());
        // OK because writing to a String never fails.
        write!(text, "HTTP/1.1 {status} {}\r\n{headers}", reason(*status)).ok();
        if !content_type.is_empty() {
            write!(text, "Content-Type: {content_type}\r\n").ok();
        }
        write!(text, "Content-Length: {}\r\n\r\n", body.len()).ok();
        if with_body {
            text.push_str(body);
        }
        text
    }
}

/// The reason phrases of the statuses of SPEC 1 (RFC 9110, section 15; RFC 6585).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

impl Worker {
    fn new(
        server: Arc<tiny_http::Server>,
        service: Arc<Service>,
        key: String,
        beat: Arc<Beat>,
    ) -> Worker {
        Worker {
            pusher: Pusher::new(service.settings.read().push),
            body: Vec::new(),
            server,
            service,
            key,
            beat,
        }
    }

    fn run(mut self) {
        loop {
            // The one error is that of the listener that was shut.
            let Ok(mut request) = self.server.recv() else { continue };
            if header(&request, KEY_HEADER) != Some(&self.key) {
                continue;
            }
            self.service.telemetry.workers_busy.raise(1);
            self.beat.work();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.serve(&mut request)));
            self.beat.rest();
            // One unusually large push must not hold its memory until the next one.
            self.body.clear();
            self.body.shrink_to(KEPT_BUFFER_BYTES_MAX);
            let outcome = outcome.unwrap_or_else(|_| self.recover(request.method()).into());
            let with_body = *request.method() != tiny_http::Method::Head;
            self.service.telemetry.workers_busy.lower(1);
            let mut writer = request.into_writer();
            match outcome {
                Outcome::Answer(answer) => send(&mut *writer, &answer.render(with_body)),
                Outcome::Accepted(mut converted, body_bytes) => {
                    let lines = std::mem::take(&mut converted.lines);
                    let count = converted.line_count;
                    let service = Arc::clone(&self.service);
                    let pending = Pending { writer, service, converted, body_bytes };
                    self.service.queue.submit(lines, count, pending);
                }
            }
        }
    }

    /// After a panic: what was in hand may be half-done, so it is made anew.
    fn recover(&mut self, method: &tiny_http::Method) -> Answer {
        self.service.telemetry.worker_panics.increment();
        if matches!(method, tiny_http::Method::Put | tiny_http::Method::Post) {
            self.service.telemetry.refused(Reason::Panic);
        }
        self.service.log.error("a worker panicked, the request is answered with 500", &[]);
        self.pusher = Pusher::new(self.service.settings.read().push);
        Answer::text(500, "a defect of pushline, see its log")
    }

    fn serve(&mut self, request: &mut tiny_http::Request) -> Outcome {
        const ALLOW: &str = "Allow: DELETE, OPTIONS, POST, PUT\r\n";
        let method = request.method().as_str();
        let settings = self.service.settings.read();
        let route = route::route(method, request.url().as_bytes(), &settings.endpoints);
        let answer = match route {
            Ok(Route::Push { input, group }) => {
                let Some(input) = settings.inputs.get(input) else {
                    return Answer::text(404, "not found").into();
                };
                self.pusher.set_options(settings.push);
                return self.push(request, input, &group);
            }
            Ok(Route::Delete) => Answer::empty(202),
            Ok(Route::Options) => Answer { headers: ALLOW, ..Answer::empty(200) },
            Ok(Route::MethodNotAllowed) => Answer { headers: ALLOW, ..Answer::empty(405) },
            Ok(Route::OwnMetrics) => self.own_metrics(),
            Ok(Route::Healthy) => Answer::text(200, "healthy"),
            Ok(Route::Ready) => match self.service.queue.ready() {
                Ok(()) => Answer::text(200, "ready"),
                Err(refusal) => unavailable(refusal),
            },
            Ok(Route::NotFound) => Answer::text(404, "not found"),
            Err(error) => {
                self.service.telemetry.refused(error.reason());
                Answer::text(400, error)
            }
        };
        answer.into()
    }

    fn own_metrics(&self) -> Answer {
        let Service { telemetry, queue, .. } = &*self.service;
        telemetry.ready.set(u64::from(queue.ready().is_ok()));
        Answer {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: telemetry.render(),
            headers: "",
        }
    }

    fn push(&mut self, request: &mut tiny_http::Request, input: &Input, group: &Group) -> Outcome {
        self.body.reserve(request.body_length().unwrap_or_default());
        if let Err(error) = request.as_reader().read_to_end(&mut self.body) {
            self.service.telemetry.refused(Reason::Internal);
            return Answer::text(400, format_args!("the body cannot be read: {error}")).into();
        }
        let head = Head {
            group,
            content_type: header(request, "Content-Type"),
            content_encoding: header(request, "Content-Encoding"),
            received_ns: now_ns(),
        };
        let Service { telemetry, queue, log, .. } = &*self.service;
        match self.pusher.convert(input, head, &self.body, queue.spare()) {
            Ok(converted) => Outcome::Accepted(converted, self.body.len()),
            Err(error) => {
                telemetry.refused(error.reason());
                log.debug("push refused", &[("url", &request.url()), ("error", &error)]);
                Answer::text(error.status(), error).into()
            }
        }
    }
}

fn unavailable(refusal: queue::Refusal) -> Answer {
    const HEADERS: &str = "Retry-After: 5\r\nX-Content-Type-Options: nosniff\r\n";
    Answer { headers: HEADERS, ..Answer::text(503, refusal) }
}

fn header<'r>(request: &'r tiny_http::Request, name: &'static str) -> Option<&'r str> {
    let is_it = |header: &&tiny_http::Header| header.field.equiv(name);
    request.headers().iter().find(is_it).map(|header| header.value.as_str())
}

/// The time now, in nanoseconds since the Unix epoch.
pub fn now_ns() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_not_answered_in_time_is_not_asked_twice() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lifeline = Lifeline::new(ours, "key", Arc::new(Pulse::new(1)));
        let soon = Some(Duration::from_millis(1));
        assert!(lifeline.ask(soon).is_err());
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n").unwrap();
        assert!(lifeline.ask(soon).is_err(), "half an answer is none");
        theirs.write_all(b"\r\nhealthy\n").unwrap();
        assert!(lifeline.ask(soon).is_ok());
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhealthy\n").unwrap();
        assert!(lifeline.ask(soon).is_ok());
        drop(lifeline);
        let mut asked = String::new();
        theirs.read_to_string(&mut asked).unwrap();
        assert_eq!(asked.matches("GET /-/healthy").count(), 2, "{asked}");
    }
}
