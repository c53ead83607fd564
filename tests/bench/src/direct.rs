//! The whole of pushline but for tiny_http: the same gate, whose private connections lead straight
//! to workers. What tiny_http costs is the difference.
//!
//! A worker reads one request of the gate from its end of a socket pair, converts it and hands its
//! lines to the queue with the way back, and whoever acknowledges them writes the answer, as with
//! pushline's own workers. The gate only ever sends complete requests that it wrote itself, so they
//! are read as plainly as can be. What pushline does besides for each push, its status page, is
//! left out.

use memchr::memmem;
use pushline::intake::gate::auth::Auth;
use pushline::config::Config;
use pushline::intake::gate::{Gate, Links, Listeners};
use pushline::current::Live;
use pushline::observe::log::Log;
use pushline::push::{Head, Input, Pusher};
use pushline::delivery::queue::{self, Refusal, Reply, Sender};
use pushline::push::route::{self, Endpoint, Route};
use pushline::intake::bridge::{Answers, KEY_HEADER, Private};
use pushline::status::{Setup, Status};
use pushline::observe::telemetry::Telemetry;
use pushline::app::signals;
use pushline::delivery::{sink, writer};
use pushline::system;
use std::borrow::Cow;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

/// What every request of the gate carries; nobody else holds the other ends of the pairs.
const KEY: &str = "bench";
/// As many private connections as pushline makes; each has a thread there too, of tiny_http.
const CONNECTIONS: usize = 17;
/// Bytes that one read asks for.
const READ_BYTES: usize = 16 * 1024;

/// Serves until a signal, with the defaults and the settings of the environment.
///
/// # Errors
/// What the system says, and lines that were not written when it was over.
pub fn serve() -> io::Result<()> {
    let config = Config::load(None, std::env::vars()).map_err(io::Error::other)?;
    let log = Arc::new(Log::new(config.log.level, config.log.format));
    let telemetry = Arc::new(Telemetry::new());
    system::raise_descriptor_limit()?;
    let listeners = Listeners::open(&config.server.gate.listen).map_err(io::Error::other)?;
    let output = &config.output;
    let sink = sink::open(&output.target, output.durability, Arc::clone(&log));
    let sink = sink.map_err(io::Error::other)?;
    let (sender, receiver, warden) = queue::channel(output.queue, Arc::clone(&telemetry));
    thread::Builder::new().name("warden".to_owned()).spawn(|| warden.run())?;
    let writer = writer::spawn(receiver, sink, Arc::clone(&telemetry), Arc::clone(&log), |_| {})?;
    let private = workers(&config, &sender)?;
    let (stop, stopped) = mpsc::channel();
    signals::listen(move |_| _ = stop.send(()))?;
    let status = status(&config, &telemetry, &sender);
    let auth = Live::new(Auth::open(None).map_err(io::Error::other)?);
    let links = Links { private, auth, telemetry, status, log };
    let gate = Gate::open(listeners, config.server.gate.clone(), links, |_| {})?;
    stopped.recv().map_err(io::Error::other)?;
    let deadline = Instant::now() + output.drain_timeout;
    gate.close(deadline);
    sender.close(deadline);
    match writer.join() {
        Ok(writer::Outcome::Drained) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

/// What the gate tells of refusals.
fn status(config: &Config, telemetry: &Arc<Telemetry>, queue: &Sender<Way>) -> Arc<Status> {
    let setup = Setup {
        started_ns: system::now_ns(),
        listen: Vec::new(),
        target: String::new(),
        workers: CONNECTIONS,
        telemetry: Arc::clone(telemetry),
        flow: queue.flow(),
    };
    Arc::new(Status::new(setup, config.facts()))
}

fn workers(config: &Config, queue: &Sender<Way>) -> io::Result<Private> {
    let mut streams = Vec::new();
    let answers = Arc::new(Answers::new()?);
    for _ in 0..CONNECTIONS {
        let (gates, own) = UnixStream::pair()?;
        let worker = Worker::new(config, queue.clone(), own, Arc::clone(&answers));
        thread::Builder::new().name("worker".to_owned()).spawn(move || worker.run())?;
        streams.push(gates);
    }
    Ok(Private { streams, key: KEY.to_owned(), answers })
}

/// The way back to a connection of the gate.
#[derive(Clone, Debug)]
struct Way {
    answers: Arc<Answers>,
    connection: u64,
}

impl Way {
    fn send(&self, status: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        self.answers.post(self.connection, Cow::Owned(answer));
    }
}

impl Reply for Way {
    fn answer(self, outcome: Result<(), Refusal>) {
        self.send(if outcome.is_ok() { "200 OK" } else { "503 Service Unavailable" });
    }
}

/// One thread, and what it uses again for each request.
struct Worker {
    stream: UnixStream,
    answers: Arc<Answers>,
    queue: Sender<Way>,
    inputs: Vec<Input>,
    endpoints: Vec<Endpoint>,
    pusher: Pusher,
    request: Vec<u8>,
}

/// Where a request has what.
struct Request<'r> {
    head: &'r str,
    body: &'r [u8],
}

impl Worker {
    fn new(
        config: &Config,
        queue: Sender<Way>,
        stream: UnixStream,
        answers: Arc<Answers>,
    ) -> Worker {
        let inputs = config.inputs();
        Worker {
            stream,
            answers,
            queue,
            endpoints: inputs.iter().map(|input| input.endpoint.clone()).collect(),
            inputs,
            pusher: Pusher::new(config.push()),
            request: Vec::new(),
        }
    }

    /// Ends when the gate is gone.
    fn run(mut self) {
        while let Ok(len) = self.receive() {
            self.serve();
            self.request.drain(..len);
        }
    }

    /// Reads a whole request; its length. Others may have come behind it.
    fn receive(&mut self) -> io::Result<usize> {
        loop {
            if let Some(request) = whole(&self.request) {
                return Ok(request.head.len() + request.body.len());
            }
            let at = self.request.len();
            self.request.resize(at + READ_BYTES, 0);
            let count = (&self.stream).read(self.request.get_mut(at..).unwrap_or_default())?;
            self.request.truncate(at + count);
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn serve(&mut self) -> Option<()> {
        let sender = field(whole(&self.request)?.head, KEY_HEADER)?.strip_prefix(KEY)?;
        let connection = sender.trim().parse().ok()?;
        let way = Way { answers: Arc::clone(&self.answers), connection };
        if self.serve_one(&way).is_none() {
            way.send("400 Bad Request");
        }
        Some(())
    }

    /// Answers, or lets the queue answer; none where the request is refused.
    fn serve_one(&mut self, way: &Way) -> Option<()> {
        let Request { head, body } = whole(&self.request)?;
        let mut words = head.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (input, group) = match route::route(method, target.as_bytes(), &self.endpoints).ok()? {
            Route::Push { input, group } => (input, group),
            Route::Healthy | Route::Ready => {
                way.send("200 OK");
                return Some(());
            }
            _ => return None,
        };
        let push = Head {
            group: &group,
            content_type: field(head, "Content-Type"),
            content_encoding: field(head, "Content-Encoding"),
            received_ns: system::now_ns(),
        };
        let (input, buffer) = (self.inputs.get(input)?, self.queue.spare());
        let converted = self.pusher.convert(input, push, body, buffer).ok()?;
        self.queue.submit(converted.lines, converted.line_count, way.clone());
        Some(())
    }
}

/// The request at the start of `received`, once all of it came.
fn whole(received: &[u8]) -> Option<Request<'_>> {
    let head_bytes = memmem::find(received, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(received.get(..head_bytes)?).ok()?;
    let body_bytes: usize = field(head, "Content-Length")?.parse().ok()?;
    let body = received.get(head_bytes..head_bytes + body_bytes)?;
    Some(Request { head, body })
}

/// The value of a header of the gate, which writes its names in one way.
fn field<'r>(head: &'r str, name: &str) -> Option<&'r str> {
    let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{field, whole};

    #[test]
    fn a_request_is_there_once_all_of_it_came() {
        let sent = b"PUT /metrics/job/x HTTP/1.1\r\nK: bench\r\nContent-Length: 3\r\n\r\na 1";
        for end in 0..sent.len() {
            assert!(whole(&sent[..end]).is_none(), "after {end} bytes");
        }
        let request = whole(sent).unwrap();
        assert_eq!((request.body, field(request.head, "K")), (&b"a 1"[..], Some("bench")));
    }
}
