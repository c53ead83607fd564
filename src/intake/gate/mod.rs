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
mod options;
mod reactor;
mod read_buffer;
mod refusal;
mod render;
mod socket;

use crate::current::Current;
use crate::intake::bridge::{Budget, GateEnd, Letter, Mailbox};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use auth::Auth;
use context::GateContext;
use reactor::Reactor;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub(crate) use listen::Listen;
pub use listen::{Error, Listeners};
pub use options::GateOptions;

/// What the gate needs besides its options.
#[derive(Debug)]
pub struct GateLinks {
    /// The way to the workers.
    pub bridge: GateEnd,
    /// Who may push.
    pub auth: Current<Auth>,
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
    paths: Vec<PathBuf>,
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
        let GateLinks { bridge, auth, telemetry, status, log } = links;
        let options = Current::new(options);
        let budget = Arc::new(Budget::new(Arc::clone(&telemetry)));
        let context =
            GateContext { budget, options: options.clone(), auth, telemetry, status, log };
        let Listeners { open, paths } = listeners;
        let listeners = open.into_iter().map(|(listener, _)| listener).collect();
        let mailbox = Arc::clone(bridge.mailbox());
        let reactor = Reactor::new(context, listeners, bridge)?;
        let thread = thread::Builder::new().name("gate".to_owned()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| reactor.run()));
            if let Ok(Ok(cut_off)) = ended {
                return cut_off;
            }
            on_lost("the gate ended");
            0
        })?;
        Ok(Gate { mailbox, options, thread, paths })
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
        for path in self.paths {
            if fs::remove_file(path).is_err() {
                // OK because somebody else has removed it.
            }
        }
        cut_off
    }
}
