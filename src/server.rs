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
use crate::push::{self, Head, Input, Pusher};
use crate::queue;
use crate::route::{self, Delivery, Group, Route};
use crate::system;
use crate::telemetry::Telemetry;
use std::collections::hash_map::RandomState;
use std::fmt::{self, Write as _};
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

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

/// Starts the workers. `on_lost` is called by a worker that ends, which none does by itself.
///
/// # Errors
/// What the system says: no thread, no descriptor.
pub fn start(
    workers: usize,
    service: Service,
    on_lost: impl Fn(&'static str) + Clone + Send + 'static,
) -> io::Result<Private> {
    let key = format!("{:016x}{:016x}", random(), random());
    let address = SocketAddr::from_abstract_name(format!("pushline-{key}"))?;
    let listener = UnixListener::bind_addr(&address)?;
    let shut = listener.try_clone()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let (server, service) = (Arc::new(server), Arc::new(service));
    for number in 0..workers {
        let worker = Worker::new(Arc::clone(&server), Arc::clone(&service), key.clone());
        let on_lost = on_lost.clone();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| worker.run()));
            on_lost(if outcome.is_err() { "a worker panicked" } else { "a worker ended" });
        })?;
    }
    // Each worker holds the server too, and none ends: it is never dropped.
    std::mem::forget(server);
    let connect = || -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect_addr(&address)?;
        probe(&mut stream, &key)?;
        Ok(stream)
    };
    let streams = (0..CONNECTIONS).map(|_| connect()).collect::<io::Result<_>>()?;
    system::shut_listener(&shut)?;
    Ok(Private { streams, key })
}

fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}

/// tiny_http counts a pool thread that was notified as idle until it runs, and would leave every
/// second connection unserved if they came at once: so each is answered before the next is made.
fn probe(stream: &mut UnixStream, key: &str) -> io::Result<()> {
    let request = format!("GET /-/healthy HTTP/1.1\r\n{KEY_HEADER}: {key}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") || !answer.ends_with(b"\n") {
        match stream.read(&mut chunk)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            count => answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    Ok(())
}

/// One thread of the pool, and what it uses again for each request.
struct Worker {
    server: Arc<tiny_http::Server>,
    service: Arc<Service>,
    key: String,
    pusher: Pusher,
    body: Vec<u8>,
}

/// The way back to the client of a push whose lines are on their way.
pub struct Pending {
    writer: Box<dyn Write + Send>,
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
            Ok(()) => send(&mut *self.writer, ACCEPTED),
            Err(refusal) => send(&mut *self.writer, &unavailable(refusal).render(true)),
        }
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
    /// Lines of an accepted push, and how many: the queue answers it.
    Lines(Vec<u8>, u32),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Outcome {
        Outcome::Answer(answer)
    }
}

/// What a pusher is told of a defect.
const DEFECT: &str = "a defect of pushline, see its log";

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

    /// The lines of a dry run.
    fn lines(lines: Vec<u8>) -> Answer {
        match String::from_utf8(lines) {
            Ok(body) => Answer { body, ..Answer::text(200, "") },
            // The encoder writes UTF-8 and nothing else.
            Err(_) => Answer::text(500, DEFECT),
        }
    }

    /// The whole answer, so that it leaves in one write. The head is put before the body, in its
    /// own memory: the lines of a dry run may be many.
    fn render(self, with_body: bool) -> String {
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
    fn new(server: Arc<tiny_http::Server>, service: Arc<Service>, key: String) -> Worker {
        Worker {
            pusher: Pusher::new(service.settings.read().push),
            body: Vec::new(),
            server,
            service,
            key,
        }
    }

    fn run(mut self) {
        loop {
            // The one error is that of the listener that was shut.
            let Ok(mut request) = self.server.recv() else { continue };
            if header(&request, KEY_HEADER) != Some(&self.key) {
                continue;
            }
            #[cfg(test)]
            tests::fault_where_asked(request.url(), "/fault/worker");
            self.service.telemetry.workers_busy.raise(1);
            let outcome = catch_unwind(AssertUnwindSafe(|| self.serve(&mut request)));
            // One unusually large push must not hold its memory until the next one.
            self.body.clear();
            self.body.shrink_to(KEPT_BUFFER_BYTES_MAX);
            let outcome = outcome.unwrap_or_else(|_| self.recover().into());
            let with_body = *request.method() != tiny_http::Method::Head;
            let mut writer = request.into_writer();
            match outcome {
                Outcome::Answer(answer) => {
                    let text = answer.render(with_body);
                    send(&mut *writer, &text);
                    // The lines of a dry run stand in a buffer of the queue, which cuts it. To be cut
                    // before it is dropped matters in itself: glibc keeps more of all that is freed
                    // once it has seen a large piece freed at once.
                    if text.capacity() > KEPT_BUFFER_BYTES_MAX {
                        self.service.queue.give_back(text.into_bytes());
                    }
                }
                Outcome::Lines(lines, count) => {
                    self.service.queue.submit(lines, count, Pending { writer });
                }
            }
            self.service.telemetry.workers_busy.lower(1);
        }
    }

    /// After a panic, which its hook has logged: what was in hand may be half-done, so it is made
    /// anew.
    fn recover(&mut self) -> Answer {
        self.service.telemetry.worker_panics.increment();
        self.pusher = Pusher::new(self.service.settings.read().push);
        Answer::text(500, DEFECT)
    }

    fn serve(&mut self, request: &mut tiny_http::Request) -> Outcome {
        const ALLOW: &str = "Allow: DELETE, OPTIONS, POST, PUT\r\n";
        #[cfg(test)]
        tests::fault_where_asked(request.url(), "/fault/request");
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
            Ok(Route::OwnMetrics) => Answer {
                status: 200,
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                body: self.service.telemetry.render(),
                headers: "",
            },
            Ok(Route::Healthy) => Answer::text(200, "healthy"),
            Ok(Route::Ready) => match self.service.queue.ready() {
                Ok(()) => Answer::text(200, "ready"),
                Err(refusal) => unavailable(refusal),
            },
            Ok(Route::NotFound) => Answer::text(404, "not found"),
            Err(error) => Answer::text(400, error),
        };
        answer.into()
    }

    fn push(&mut self, request: &mut tiny_http::Request, input: &Input, group: &Group) -> Outcome {
        self.body.reserve(request.body_length().unwrap_or_default());
        if let Err(error) = request.as_reader().read_to_end(&mut self.body) {
            return Answer::text(400, format_args!("the body cannot be read: {error}")).into();
        }
        let head = Head {
            group,
            content_type: header(request, "Content-Type"),
            content_encoding: header(request, "Content-Encoding"),
            received_ns: system::now_ns(),
        };
        let Service { telemetry, queue, log, .. } = &*self.service;
        telemetry.body_bytes.add(self.body.len() as u64);
        match self.pusher.convert(input, head, &self.body, queue.spare()) {
            // Nothing of it counts as pushed.
            Ok(converted) if route::delivery(request.url().as_bytes()) == Delivery::DryRun => {
                Answer::lines(converted.lines).into()
            }
            Ok(converted) => {
                telemetry.decoded_bytes.add(converted.decoded_bytes as u64);
                telemetry.samples_read.add(converted.sample_count);
                telemetry.skipped_not_finite.add(converted.skipped.not_finite);
                telemetry.skipped_bound_nan.add(converted.skipped.bound_nan);
                telemetry.skipped_filtered.add(converted.skipped.filtered);
                Outcome::Lines(converted.lines, converted.line_count)
            }
            Err(error) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone;
    use crate::queue::Acknowledge;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Panics in a request for that path. No request is known to make a worker panic, so this is
    /// the way to what is there for the unknown one.
    pub(super) fn fault_where_asked(url: &str, path: &str) {
        assert!(url != path, "a fault was asked for");
    }

    /// Workers, what they count, and word of their loss.
    fn started(workers: usize) -> (Private, Arc<Telemetry>, mpsc::Receiver<&'static str>) {
        let telemetry = Arc::new(Telemetry::new());
        let log = Arc::new(Log::new(crate::log::Level::Error, crate::log::Format::Logfmt));
        crate::log::take_panics(&log);
        let options = queue::Options {
            bytes_max: 1 << 20,
            acknowledge: Acknowledge::Queued,
            ack_timeout: Duration::from_secs(30),
        };
        let ends = queue::channel(options, workers, Arc::clone(&telemetry));
        let (queue, receiver, warden) = ends;
        // They outlive the workers, which never end.
        std::mem::forget((receiver, warden));
        let push = push::Options { decoded_bytes_max: 1 << 20, lines_bytes_max: 1 << 20 };
        let service = Service {
            settings: Live::new(Settings::new(vec![Input::default()], push)),
            queue,
            telemetry: Arc::clone(&telemetry),
            log,
        };
        let (lost, losses) = mpsc::channel();
        let private = start(workers, service, move |what| lost.send(what).unwrap()).unwrap();
        (private, telemetry, losses)
    }

    fn ask(stream: &mut UnixStream, key: &str, request_line: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{request_line} HTTP/1.1\r\n{KEY_HEADER}: {key}\r\n");
        let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = vec![0; 4096];
        // OK because an answer leaves in one write, and is small.
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8(answer[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_panic_is_answered_with_500_counted_and_logged_once_and_its_worker_goes_on() {
        const PANICS: u64 = 3;
        let name = "server::tests::\
                    a_panic_is_answered_with_500_counted_and_logged_once_and_its_worker_goes_on";
        if let Some(stderr) = alone::stderr_of(name) {
            let logged: Vec<_> =
                stderr.lines().filter(|line| line.contains("a fault was asked for")).collect();
            assert_eq!(logged.len() as u64, PANICS, "{stderr}");
            for line in logged {
                for part in
                    ["level=error msg=\"a thread panicked", "thread=worker-0 at=src/server.rs:"]
                {
                    assert!(line.contains(part), "{part} is not in {line}");
                }
            }
            assert_eq!(stderr.matches("panicked").count() as u64, PANICS, "{stderr}");
            return;
        }
        let (Private { mut streams, key }, telemetry, losses) = started(1);
        let stream = &mut streams[0];
        for count in 1..=PANICS {
            let answer = ask(stream, &key, "POST /fault/request", "a_b 1\n");
            assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\na defect of pushline, see its log\n"), "{answer}");
            assert_eq!(telemetry.worker_panics.get(), count);
            let answer = ask(stream, &key, "POST /metrics/job/x", "a_b 1\n");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert_eq!(telemetry.queue_batches.get(), count, "the push behind a panic");
        }
        assert_eq!(losses.try_recv(), Err(mpsc::TryRecvError::Empty));
    }
}
