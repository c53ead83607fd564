//! What waits in a spool, for an operator: `pushline spool list` and `pushline spool print`, beside
//! a running server too.

use crate::config::{Config, Sources};
use crate::delivery::spool::{self, ShowError};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolView {
    /// Segments, sizes, times, damage.
    List,
    /// The lines themselves.
    Print,
}

/// Which folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolPlace {
    /// The one of the configuration.
    Configured(Sources),
    /// `--dir`
    Dir(PathBuf),
}

/// Why nothing, or not all, is shown.
#[derive(Debug)]
pub enum Error {
    /// The configuration has no spool.
    NotConfigured,
    /// The folder cannot be shown.
    Show(ShowError),
    /// Some of it is damaged, as its list says.
    Damaged,
    /// Some of it is missing.
    Incomplete {
        /// Records that are missing or damaged.
        lost_records: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotConfigured => {
                f.write_str("the configuration has no spool.dir, and there is no --dir DIR")
            }
            Error::Show(error) => error.fmt(f),
            Error::Damaged => f.write_str("the spool is damaged, see its list"),
            Error::Incomplete { lost_records } => {
                write!(f, "{lost_records} records are missing or damaged, see pushline spool list")
            }
        }
    }
}

impl std::error::Error for Error {}

/// The folder that the configuration names.
///
/// # Errors
/// [`Error::NotConfigured`]
pub fn configured(config: &Config) -> Result<PathBuf, Error> {
    config.spool.dir.clone().ok_or(Error::NotConfigured)
}

/// Shows a spool.
///
/// # Errors
/// See [`Error`]; what can be shown is shown before.
pub fn show(view: SpoolView, dir: &Path, to: &mut dyn Write) -> Result<(), Error> {
    match view {
        SpoolView::List => {
            let overview = spool::list(dir).map_err(Error::Show)?;
            let written = write!(to, "{overview}").and_then(|()| to.flush());
            written.map_err(|error| Error::Show(ShowError::Untaken(error)))?;
            if overview.is_damaged() { Err(Error::Damaged) } else { Ok(()) }
        }
        SpoolView::Print => match spool::print(dir, to).map_err(Error::Show)? {
            0 => Ok(()),
            lost_records => Err(Error::Incomplete { lost_records }),
        },
    }
}
