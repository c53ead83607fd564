//! What waits for the output, on disk: a log of segments that survives a crash and a loss of power
//! (SPEC 3.4).
//!
//! ```text
//! pushes ─▶ appender ─▶ segments on disk ─▶ drainer ─▶ blocks of lines
//!              └─────────── ledger ───────────┘
//! ```
//! - `format` is the bytes, and their essay.
//! - `recovery` says what a folder's content is worth; it is pure. `headers` spares it most of the
//!   reading.
//! - `folder` does what is done to files, and holds the lock; `reading` reads them on a bad disk.
//! - `ledger` knows segments, cursor and bounds; both ends share it. `dropping` gives up what is
//!   too much, or too old.
//! - `show` is what an operator sees of a folder, beside a running server too.
//!
//! The room knows nothing of outputs and pushers: only records of lines.

mod appender;
mod drainer;
mod dropping;
mod figures;
mod folder;
mod format;
mod headers;
mod held;
mod ledger;
mod options;
mod reading;
mod recovery;
mod show;
mod state;
mod survey;
#[cfg(test)]
mod tests;

use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use ledger::{Ledger, Opened};
use std::sync::Arc;

pub(crate) use appender::{Appended, Appender, PushLines};
pub(crate) use drainer::{Drained, Drainer};
pub(crate) use figures::SpoolFigures;
pub use folder::UnusableSpool;
pub(crate) use options::{SpoolOptions, WhenFull};
pub use show::{Overview, ShowError, list, print};
pub(crate) use state::RecordSpan;

/// Takes the folder; both ends of the spool, and whatever an earlier run left in it.
///
/// # Errors
/// The folder cannot be made or opened, or another process has it. Nothing that is in it is an
/// error.
pub(crate) fn open(
    options: SpoolOptions,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
) -> Result<(Appender, Drainer), UnusableSpool> {
    let Opened { ledger, last } = Ledger::open(options, telemetry, log)?;
    Ok((Appender::new(Arc::clone(&ledger), last), Drainer::new(ledger)))
}
