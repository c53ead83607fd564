//! Requests → pushes → answers: the fixed worker pool. The only file that names tiny_http.
//!
//! tiny_http trusts its peers, so it meets none: it listens on a private socket with a random
//! abstract name, the gate's connections to it are made here, one after the other, each proven by a
//! probe, and the listener is shut. Every request carries the key that only this process knows; one
//! without it is not answered. The `Server` is never dropped: it panics on an abstract listener.
//!
//! Requests come through tiny_http, answers go past it (`answers`): through its sockets an answer
//! would cost more than the push itself, and hold up the requests behind it.
//!
//! A worker serves one request at a time, by the settings that hold when it takes it. A panic is
//! answered with 500, counted and logged, and the worker goes on.

mod known_urls;
mod pending;

use crate::current::Live;
use crate::delivery::queue;
use crate::heartbeat::{Beat, Pulse};
use crate::intake::bridge::{Answers, KEY_HEADER, Lifeline, Private};
use crate::limits::KEPT_BUFFER_BYTES_MAX;
use crate::observe::log::Log;
use crate::observe::telemetry::{Reason, Telemetry};
use crate::push::route::{self, Delivery, PushPaths, Route};
use crate::push::sample::Quoted;
use crate::push::{self, Input, PushHeaders, Pusher};
use crate::status::{self, Status};
use crate::system;
use known_urls::{Groups, Target};
use pending::{Accepted, Answer, DEFECT, Way, unavailable};
use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

pub(crate) use pending::Pending;

/// Private connections: pushes that may stand between the gate and the output at once. Each costs a
/// thread of tiny_http and three descriptors.
const CONNECTIONS: usize = 17;

/// What can be replaced while the workers serve.
#[derive(Debug)]
pub struct Settings {
    inputs: Vec<Input>,
    /// Those of the inputs, in the same order.
    endpoints: Vec<route::Endpoint>,
    push: push::PushLimits,
}

impl Settings {
    /// Where pushes arrive and how they are mapped, and the bounds of a push.
    pub fn new(inputs: Vec<Input>, push: push::PushLimits) -> Settings {
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
    pub(crate) queue: queue::Sender<Pending>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Who is told of each push, and shows it.
    pub status: Arc<Status>,
    /// Where events go.
    pub log: Arc<Log>,
}

/// Starts the workers, and makes the connections to them. `on_lost` is called by a worker that
/// ends, which none does by itself.
///
/// # Errors
/// What the system says: no thread, no descriptor.
pub(crate) fn start(
    workers: usize,
    service: Service,
    on_lost: impl Fn(&'static str) + Clone + Send + 'static,
) -> io::Result<(Private, Lifeline)> {
    // Short, as tiny_http takes memory for each of its bytes; nobody can try keys for long.
    let key = format!("{:016x}", random());
    let address = SocketAddr::from_abstract_name(format!("pushline-{key}"))?;
    let listener = UnixListener::bind_addr(&address)?;
    let shut = listener.try_clone()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let (server, service) = (Arc::new(server), Arc::new(service));
    service.telemetry.workers.set(workers as u64);
    let answers = Arc::new(Answers::new()?);
    let pulse = Arc::new(Pulse::new(workers));
    for (number, beat) in pulse.beats().iter().enumerate() {
        let (server, service, beat) = (Arc::clone(&server), Arc::clone(&service), Arc::clone(beat));
        let door = Door { server, key: key.clone(), answers: Arc::clone(&answers) };
        let worker = Worker::new(door, service, beat);
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
    Ok((Private { streams, key, answers }, lifeline))
}

fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}

/// Where requests come in and answers go out.
struct Door {
    server: Arc<tiny_http::Server>,
    key: String,
    answers: Arc<Answers>,
}

impl Door {
    /// The next request that carries the key, and the connection of the gate that it is for.
    fn receive(&self) -> (tiny_http::Request, Option<u64>) {
        loop {
            // The one error is that of the listener that was shut.
            let Ok(request) = self.server.recv() else { continue };
            let behind_key =
                header(&request, KEY_HEADER).and_then(|it| it.strip_prefix(&*self.key));
            match behind_key {
                Some("") => return (request, None),
                Some(number) => {
                    let connection = number.trim_ascii().parse().ok();
                    return (request, connection);
                }
                None => {}
            }
        }
    }

    /// The way back; the request is over.
    fn way(&self, request: tiny_http::Request, connection: Option<u64>) -> Way {
        // Dropped unused, it would write an answer of its own.
        let writer = request.into_writer();
        match connection {
            Some(connection) => Way::Gate(Arc::clone(&self.answers), connection),
            None => Way::Private(writer),
        }
    }
}

/// A request in a worker's hand. Where the worker is lost with it, its client is told.
struct InHand<'d> {
    door: &'d Door,
    connection: Option<u64>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(connection) = self.connection
        {
            let text = Answer::text(500, DEFECT).render(true);
            self.door.answers.post(connection, Cow::Owned(text));
        }
    }
}

/// One thread of the pool, and what it uses again for each request.
struct Worker {
    door: Arc<Door>,
    service: Arc<Service>,
    beat: Arc<Beat>,
    pusher: Pusher,
    groups: Groups,
    body: Vec<u8>,
}

/// What a request comes to.
enum Outcome {
    Answer(Answer),
    /// A push that became lines: the queue answers it.
    Accepted(Accepted),
}

impl From<Accepted> for Outcome {
    fn from(accepted: Accepted) -> Outcome {
        Outcome::Accepted(accepted)
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Outcome {
        Outcome::Answer(answer)
    }
}

impl Worker {
    fn new(door: Door, service: Arc<Service>, beat: Arc<Beat>) -> Worker {
        let pusher = Pusher::new(service.settings.read().push);
        Worker {
            door: Arc::new(door),
            service,
            beat,
            pusher,
            groups: Groups::default(),
            body: Vec::new(),
        }
    }

    fn run(mut self) {
        loop {
            let door = Arc::clone(&self.door);
            let (mut request, connection) = door.receive();
            let _in_hand = InHand { door: &door, connection };
            #[cfg(test)]
            tests::fault_where_asked(request.url(), "/fault/worker");
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
            let way = door.way(request, connection);
            match outcome {
                Outcome::Answer(answer) => way.send(Cow::Owned(answer.render(with_body))),
                Outcome::Accepted(mut accepted) => {
                    let lines = std::mem::take(&mut accepted.converted.lines);
                    let line_count = accepted.converted.line_count;
                    let service = Arc::clone(&self.service);
                    let pending = Pending { way, service, accepted };
                    self.service.queue.submit(lines, line_count, pending);
                }
            }
        }
    }

    /// After a panic, which its hook has logged: what was in hand may be half-done, so it is made
    /// anew.
    fn recover(&mut self, method: &tiny_http::Method) -> Answer {
        self.service.telemetry.worker_panics.increment();
        if matches!(method, tiny_http::Method::Put | tiny_http::Method::Post) {
            self.service.telemetry.refused(Reason::Panic);
        }
        self.pusher = Pusher::new(self.service.settings.read().push);
        Answer::text(500, DEFECT)
    }

    fn serve(&mut self, request: &mut tiny_http::Request) -> Outcome {
        const ALLOW: &str = "Allow: DELETE, OPTIONS, POST, PUT\r\n";
        #[cfg(test)]
        tests::fault_where_asked(request.url(), "/fault/request");
        #[cfg(test)]
        tests::hang_where_asked(request.url(), "/fault/hang");
        let method = request.method().as_str();
        let settings = self.service.settings.read();
        if matches!(method, "PUT" | "POST")
            && let Some(target) = self.groups.find(&settings, request.url())
        {
            return self.push(request, settings, target);
        }
        let route = route::route(method, request.url().as_bytes(), &settings.endpoints);
        let answer = match route {
            Ok(Route::Push { input, group }) => {
                let target = Target { input, group: Arc::new(group) };
                self.groups.note(&settings, request.url(), &target);
                return self.push(request, settings, target);
            }
            Ok(Route::Delete) => Answer::empty(202),
            Ok(Route::Options) => Answer { headers: ALLOW, ..Answer::empty(200) },
            Ok(Route::MethodNotAllowed) => Answer { headers: ALLOW, ..Answer::empty(405) },
            Ok(Route::OwnMetrics) => self.own_metrics(),
            Ok(Route::Page) if status::is_admitted(header(request, "Accept")) => Answer {
                status: 200,
                content_type: status::CONTENT_TYPE,
                body: status::PAGE.to_owned(),
                headers: status::HEADERS,
            },
            Ok(Route::Status) => Answer {
                status: 200,
                content_type: status::REPORT_CONTENT_TYPE,
                body: self.service.status.report(system::now_ns()),
                headers: status::REPORT_HEADERS,
            },
            Ok(Route::Healthy) => Answer::text(200, "healthy"),
            Ok(Route::Ready) => match self.service.queue.ready() {
                Ok(()) => Answer::text(200, "ready"),
                Err(undelivered) => unavailable(&undelivered),
            },
            Ok(Route::PushNotFound) => self.push_not_found(request, &settings.endpoints),
            Ok(Route::Page | Route::NotFound) => Answer::text(404, "not found"),
            Err(error) => {
                if matches!(method, "PUT" | "POST") {
                    self.service.telemetry.refused(error.reason());
                }
                self.service.status.turned_away(400, &error, system::now_ns());
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

    /// A push that no input takes is a mistake that somebody looks for; any other path is not.
    fn push_not_found(
        &self,
        request: &tiny_http::Request,
        endpoints: &[route::Endpoint],
    ) -> Answer {
        let url = Quoted(request.url().as_bytes());
        let paths = PushPaths(endpoints);
        let error = format_args!("no input takes a push to {url}, expected {paths}");
        self.service.status.turned_away(404, &error, system::now_ns());
        Answer::text(404, error)
    }

    fn push(
        &mut self,
        request: &mut tiny_http::Request,
        settings: Arc<Settings>,
        target: Target,
    ) -> Outcome {
        let Target { input, group } = target;
        let Some(options) = settings.inputs.get(input) else {
            return Answer::text(404, "not found").into();
        };
        self.pusher.set_options(settings.push);
        self.body.reserve(request.body_length().unwrap_or_default());
        if let Err(error) = request.as_reader().read_to_end(&mut self.body) {
            self.service.telemetry.refused(Reason::Internal);
            return Answer::text(400, format_args!("the body cannot be read: {error}")).into();
        }
        let received_ns = system::now_ns();
        let head = PushHeaders {
            group: &group,
            content_type: header(request, "Content-Type"),
            content_encoding: header(request, "Content-Encoding"),
            received_ns,
        };
        let Service { telemetry, queue, log, status, .. } = &*self.service;
        match self.pusher.convert(options, head, &self.body, queue.spare()) {
            // Nothing of it counts as pushed.
            Ok(converted) if route::delivery(request.url().as_bytes()) == Delivery::DryRun => {
                Answer::lines(converted.lines).into()
            }
            Ok(converted) => {
                let route_prefix = &options.endpoint.prefix;
                let seen = status::Push { route_prefix, group: &group, received_ns };
                status.converted(&seen, &converted.lines);
                let body_bytes = self.body.len();
                Accepted { converted, body_bytes, settings, input, group, received_ns }.into()
            }
            Err(error) => {
                telemetry.refused(error.reason());
                log.debug("push refused", &[("url", &request.url()), ("error", &error)]);
                let route_prefix = &options.endpoint.prefix;
                let seen = status::Push { route_prefix, group: &group, received_ns };
                status.refused(&seen, error.status(), &error);
                Answer::text(error.status(), error).into()
            }
        }
    }
}

fn header<'r>(request: &'r tiny_http::Request, name: &'static str) -> Option<&'r str> {
    let is_it = |header: &&tiny_http::Header| header.field.equiv(name);
    request.headers().iter().find(is_it).map(|header| header.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::queue::Acknowledge;
    use crate::heartbeat::Examiner;
    use crate::testing::child_process;
    use std::io::{Read, Write};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    /// Panics in a request for that path. No request is known to make a worker panic, so this is
    /// the way to what is there for the unknown one.
    pub(super) fn fault_where_asked(url: &str, path: &str) {
        assert!(url != path, "a fault was asked for");
    }

    /// Never comes back from a request for that path.
    pub(super) fn hang_where_asked(url: &str, path: &str) {
        if url == path {
            loop {
                thread::park();
            }
        }
    }

    /// Workers, what they count, and word of their loss.
    fn started(
        workers: usize,
    ) -> (Private, Lifeline, Arc<Telemetry>, mpsc::Receiver<&'static str>) {
        let telemetry = Arc::new(Telemetry::new());
        let log = Arc::new(Log::new(
            crate::observe::log::Level::Error,
            crate::observe::log::LogFormat::Logfmt,
        ));
        crate::observe::log::take_panics(&log);
        let options = queue::QueueOptions {
            bytes_max: 1 << 20,
            acknowledge: Acknowledge::Queued,
            ack_timeout: Duration::from_secs(30),
        };
        let ends = queue::channel(options, Arc::clone(&telemetry));
        let (queue, receiver, warden) = ends;
        // They outlive the workers, which never end.
        std::mem::forget((receiver, warden));
        let push = push::PushLimits { decoded_bytes_max: 1 << 20, lines_bytes_max: 1 << 20 };
        let setup = status::Setup {
            started_ns: 1,
            listen: Vec::new(),
            target: String::new(),
            workers,
            telemetry: Arc::clone(&telemetry),
            flow: queue.flow(),
        };
        let service = Service {
            settings: Live::new(Settings::new(vec![Input::default()], push)),
            queue,
            telemetry: Arc::clone(&telemetry),
            status: Arc::new(Status::new(setup, status::Facts::default())),
            log,
        };
        let (lost, losses) = mpsc::channel();
        let started = start(workers, service, move |what| lost.send(what).unwrap());
        let (private, lifeline) = started.unwrap();
        (private, lifeline, telemetry, losses)
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
        let name = "intake::worker::tests::\
                    a_panic_is_answered_with_500_counted_and_logged_once_and_its_worker_goes_on";
        if let Some(stderr) = child_process::stderr_of(name) {
            let logged: Vec<_> =
                stderr.lines().filter(|line| line.contains("a fault was asked for")).collect();
            assert_eq!(logged.len() as u64, PANICS, "{stderr}");
            for line in logged {
                for part in [
                    "level=error msg=\"a thread panicked",
                    "thread=worker-0 at=src/intake/worker/mod.rs:",
                ] {
                    assert!(line.contains(part), "{part} is not in {line}");
                }
            }
            assert_eq!(stderr.matches("panicked").count() as u64, PANICS, "{stderr}");
            return;
        }
        let (Private { mut streams, key, .. }, _, telemetry, losses) = started(1);
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

    #[test]
    fn workers_that_hang_are_seen_once_all_of_them_do() {
        let soon = Some(Duration::from_millis(100));
        let now = Instant::now();
        let (Private { mut streams, key, .. }, mut lifeline, ..) = started(2);
        let mut examiner = Examiner::new(lifeline.pulse(), Duration::ZERO, now);
        for (hanging, stream) in streams.iter_mut().enumerate().take(3) {
            let deadline = Instant::now() + Duration::from_secs(30);
            while examiner.stuck(lifeline.pulse(), Instant::now()) < hanging {
                assert!(Instant::now() < deadline, "{hanging} hang, and are not seen");
                thread::yield_now();
            }
            assert_eq!(lifeline.ask(soon).is_ok(), hanging < 2, "{hanging} hang");
            let request = format!("GET /fault/hang HTTP/1.1\r\n{KEY_HEADER}: {key}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
        }
    }
}
