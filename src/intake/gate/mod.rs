//! Foreign connections → complete, bounded, well-formed requests; answers → bytes.
//!
//! tiny_http trusts its peers, so it must not meet a stranger. The gate accepts, reads one whole
//! request at a time of each connection under deadlines and limits, sends what was understood of it
//! over the bridge to a worker, and renders the answer. One thread does all of it and never waits
//! for a peer: a slow client costs memory, but no thread and no worker.
//!
//! ```text
//! reactor: accept ─▶ connection: head ─▶ auth ─▶ body (budget, chunked) ─▶ bridge ─▶ worker
//!                                refusal ◀── whatever is wrong
//! ```
//!
//! A thread for each connection was simpler, but each of its waits is two switches of context, and
//! small pushes cost more in them than in everything else (measured: see the commit that replaced
//! it).

mod admission;
pub mod auth;
pub(crate) mod chunked;
mod connection;
mod context;
pub(crate) mod head;
mod listen;
mod notices;
mod options;
mod probe;
mod reactor;
mod read_buffer;
mod refusal;
mod render;
mod seats;
mod socket;
mod wire;

use crate::current::Current;
use crate::intake::bridge::{Budget, GateEnd, Letter, Mailbox};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use crate::tls::TlsServer;
use auth::Auth;
use context::GateContext;
use reactor::Reactor;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub(crate) use listen::Listen;
use listen::OwnPath;
pub use listen::{Error, Listeners};
pub use options::GateOptions;
pub use options::ListenerTlsError;

/// What the gate needs besides its options.
#[derive(Debug)]
pub struct GateLinks {
    /// The way to the workers.
    pub bridge: GateEnd,
    /// Who may push.
    pub auth: Current<Auth>,
    /// What TCP listeners speak TLS with; none where they do not.
    pub(crate) tls: Current<Option<TlsServer>>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Who is told of what is refused here.
    pub status: Arc<Status>,
    /// Where events go.
    pub log: Arc<Log>,
}

/// The open gate.
#[derive(Debug)]
pub struct Gate {
    mailbox: Arc<Mailbox>,
    options: Current<GateOptions>,
    thread: JoinHandle<usize>,
    own: Vec<OwnPath>,
}

impl Gate {
    /// Begins to serve. `on_lost` is called when the gate ends though nobody closed it.
    ///
    /// # Errors
    /// The system has no thread or no descriptor for it.
    pub fn open(
        listeners: Listeners,
        options: GateOptions,
        links: GateLinks,
        on_lost: impl FnOnce(&'static str) + Send + 'static,
    ) -> io::Result<Gate> {
        let GateLinks { bridge, auth, tls, telemetry, status, log } = links;
        let options = Current::new(options);
        let budget = Arc::new(Budget::new(Arc::clone(&telemetry)));
        let context =
            GateContext { budget, options: options.clone(), auth, tls, telemetry, status, log };
        let Listeners { open, own } = listeners;
        let listeners = open.into_iter().map(|(listener, _)| listener).collect();
        let mailbox = Arc::clone(bridge.mailbox());
        let ending_log = Arc::clone(&context.log);
        let reactor = Reactor::new(context, listeners, bridge)?;
        let thread = thread::Builder::new().name("gate".to_owned()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| reactor.run()));
            match ended {
                Ok(Ok(cut_off)) => return cut_off,
                Ok(Err(error)) => ending_log.error("the gate failed", &[("error", &error)]),
                // What a panic says is logged where it happens.
                Err(_) => {}
            }
            on_lost("the gate ended");
            0
        })?;
        Ok(Gate { mailbox, options, thread, own })
    }

    /// Serves by these options from here on: a request by those that it began with, an idle
    /// connection's wait likewise. Where it listens does not change.
    pub fn replace(&self, options: GateOptions) {
        self.options.replace(options);
        self.mailbox.post(Letter::KeepBound);
    }

    /// Closes in order: no new connections, idle ones closed, requests in hand answered, at the
    /// latest at `deadline`. Returns how many connections had to be cut off then.
    pub fn close(self, deadline: Instant) -> usize {
        self.mailbox.post(Letter::Close { deadline });
        let cut_off = self.thread.join().unwrap_or_default();
        self.own.into_iter().for_each(OwnPath::remove);
        cut_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::queue::{self, Acknowledge, QueueOptions};
    use crate::intake::bridge::{self, Answer, WorkerEnd};
    use crate::observe::log::{Level, LogFormat};
    use crate::status::{Facts, Setup};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::time::Duration;

    /// An open gate at a path, and what its requests come out of. Nobody works there.
    fn opened(path: &Path) -> (Gate, WorkerEnd) {
        let telemetry = Arc::new(Telemetry::new());
        let options = QueueOptions {
            bytes_max: 1 << 20,
            acknowledge: Acknowledge::Queued,
            ack_timeout: Duration::from_secs(30),
        };
        let (queue, receiver, warden) = queue::channel::<()>(options, Arc::clone(&telemetry));
        // They outlive the gate.
        std::mem::forget((receiver, warden));
        let setup = Setup {
            started_ns: 1,
            listen: Vec::new(),
            target: String::new(),
            workers: 0,
            telemetry: Arc::clone(&telemetry),
            spool_bytes_max: None,
            output: queue.state(),
        };
        let (gate_end, worker_end) = bridge::open().unwrap();
        let links = GateLinks {
            bridge: gate_end,
            auth: Current::new(Auth::open(&auth::CredentialFiles::default()).unwrap()),
            tls: Current::new(None),
            telemetry,
            status: Arc::new(Status::new(setup, Facts::default())),
            log: Arc::new(Log::new(Level::Error, LogFormat::Logfmt)),
        };
        let (second, listen) = (Duration::from_secs(1), vec![Listen::Unix(path.to_owned())]);
        let options = GateOptions {
            listen,
            connections_max: 8,
            body_bytes_max: 1 << 20,
            buffered_bytes_max: 1 << 20,
            head_timeout: 100 * second,
            body_timeout: 100 * second,
            idle_timeout: 100 * second,
            tls: options::ListenerTls::default(),
        };
        let listeners = Listeners::open(&options.listen).unwrap();
        (Gate::open(listeners, options, links, |_| {}).unwrap(), worker_end)
    }

    fn ask(path: &Path, request: &str) -> UnixStream {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn answer(mut stream: UnixStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn probes_are_answered_without_a_worker_and_pushes_wait_for_one() {
        let path = std::env::temp_dir().join(format!("pushline-gate-{}", std::process::id()));
        let (gate, end) = opened(&path);
        let push = "POST /metrics/job/x HTTP/1.0\r\nContent-Length: 6\r\n\r\na_b 1\n";
        let pushers: Vec<_> = (0..20).map(|_| ask(&path, push)).collect();
        for (target, want) in [("/-/healthy", "healthy\n"), ("/-/ready", "ready\n")] {
            let told = answer(ask(&path, &format!("GET {target} HTTP/1.0\r\n\r\n")));
            assert!(told.starts_with("HTTP/1.1 200 OK\r\n") && told.ends_with(want), "{told}");
        }
        for number in 0..pushers.len() {
            let (request, reply_to) = end.receive();
            assert_eq!(request.body.bytes, b"a_b 1\n", "push {number}");
            reply_to.answer(Answer::empty(202));
        }
        for pusher in pushers {
            let told = answer(pusher);
            assert!(told.starts_with("HTTP/1.1 202 Accepted\r\n"), "{told}");
        }
        assert_eq!(gate.close(Instant::now()), 0);
    }
}
