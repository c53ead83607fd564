//! What an operator sees: the status page at `GET /`, and the JSON that it shows, at
//! `GET /api/v1/status`.
//!
//! ```text
//! worker, gate ─▶ board ─┐
//! telemetry, queue ──────┼─▶ report ─▶ JSON ─▶ page, in the browser
//! app: setup, facts ─────┘
//! ```
//!
//! A [`Status`] is made once and passed to who tells it something. What it keeps is bounded
//! whatever pushers send (`board`), and every foreign text leaves it as a JSON string; the page
//! puts it on the screen as text and never as markup.

mod board;
mod group;
mod history;
mod pace;
mod page;
mod report;

use crate::delivery::condition::{NotReady, OutputState};
use crate::delivery::spool::SpoolFigures;
use crate::observe::telemetry::Telemetry;
use board::Board;
use history::{Figures, History};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use group::to_ms;
pub use group::{Push, Tally};
pub use page::CONTENT_TYPE;
pub(crate) use page::{HEADERS, PAGE, is_admitted};

/// The content type of a report.
pub(crate) const REPORT_CONTENT_TYPE: &str = "application/json";
/// Header lines of a report, each with its CRLF.
pub(crate) const REPORT_HEADERS: &str = "Cache-Control: no-store\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Referrer-Policy: no-referrer\r\n\
    X-Content-Type-Options: nosniff\r\n";

/// What holds from the start of the process to its end.
#[derive(Debug)]
pub struct Setup {
    /// When it started, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// Where it listens.
    pub listen: Vec<String>,
    /// Where lines go.
    pub target: String,
    /// The size of the worker pool.
    pub workers: usize,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// What the spool may take, in bytes; none where there is no spool.
    pub(crate) spool_bytes_max: Option<u64>,
    /// What waits for the output.
    pub(crate) output: Arc<OutputState>,
}

/// What the configuration says, as text and numbers: no stage knows its types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The prefix of each input.
    pub route_prefixes: Vec<String>,
    /// Names, each ending in its unit, and bounds.
    pub limits: Vec<(&'static str, u64)>,
    /// The effective configuration as TOML, without secrets.
    pub configuration: String,
}

/// What the page shows.
#[derive(Debug)]
pub struct Status {
    setup: Setup,
    facts: Mutex<Facts>,
    board: Board,
    history: Mutex<History>,
}

impl Status {
    /// A status without a push.
    pub(crate) fn new(setup: Setup, facts: Facts) -> Status {
        Status {
            setup,
            facts: Mutex::new(facts),
            board: Board::default(),
            history: Mutex::default(),
        }
    }

    /// Replaces what the configuration says.
    pub(crate) fn set_facts(&self, facts: Facts) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// From here on the process is shutting down.
    pub(crate) fn drains(&self) {
        self.setup.output.drains();
    }

    /// Whether pushes can be delivered now (`/-/ready`).
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) fn ready(&self) -> Result<(), NotReady> {
        self.setup.output.ready()
    }

    /// Notes the figures of this moment, which is to be done every second.
    pub(crate) fn note(&self, now_ns: i64) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.note(to_ms(now_ns), self.figures());
    }

    /// How the spool is, where there is one.
    fn spool(&self, now_ns: i64) -> Option<SpoolFigures> {
        let bytes_max = self.setup.spool_bytes_max?;
        Some(SpoolFigures::read(&self.setup.telemetry, bytes_max, to_ms(now_ns)))
    }

    fn figures(&self) -> Figures {
        let (pushes, refused) = self.board.pushes();
        let Telemetry { lines_written, spool_lines, .. } = &*self.setup.telemetry;
        let (lines, spool_lines) = (lines_written.get(), spool_lines.get());
        Figures { pushes, refused, lines, spool_lines }
    }

    /// A push became these lines, which are not delivered yet.
    pub(crate) fn converted(&self, push: &Push<'_>, lines: &[u8]) {
        self.board.converted(push, lines);
    }

    /// A push is answered with 200.
    pub fn accepted(&self, push: &Push<'_>, tally: &Tally) {
        self.board.accepted(push, tally);
    }

    /// A push is answered with `status`, for this reason.
    pub fn refused(&self, push: &Push<'_>, status: u16, error: &dyn Display) {
        self.board.refused(push, status, error);
    }

    /// A request is answered with `status` before it is known for which group it came.
    pub fn turned_away(&self, status: u16, error: &dyn Display, time_ns: i64) {
        self.board.turned_away(status, error, time_ns);
    }
}
