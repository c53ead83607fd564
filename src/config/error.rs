//! What is wrong with a configuration: where, which key, what was found, what is allowed.

use crate::push::sample::Quoted;
use std::fmt;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file.
    File { path: String, line: usize, column: usize },
    /// In the environment.
    Environment,
    /// Nowhere alone: it is the whole that does not fit.
    Whole,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) place: Place,
    pub(super) what: What,
}

/// What a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The file cannot be read.
    Unreadable { path: String, error: String },
    /// The file is no TOML.
    Syntax { message: String },
    /// A key or a table that does not exist.
    Unknown { key: String, allowed: String },
    /// A value that is of the wrong type, or impossible.
    Value { key: String, found: String, allowed: String },
    /// Two values that exclude each other.
    Conflict(String),
}

/// Why a configuration is refused: every mistake that was found, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub(super) Vec<Mistake>);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line, column } => write!(f, "{path}:{line}:{column}: ")?,
            Place::Environment => write!(f, "environment: ")?,
            Place::Whole => {}
        }
        match &self.what {
            What::Unreadable { path, error } => write!(f, "{path}: cannot be read: {error}"),
            What::Syntax { message } => f.write_str(message),
            What::Unknown { key, allowed } => {
                write!(f, "{} is not known, allowed are {allowed}", Quoted(key.as_bytes()))
            }
            What::Value { key, found, allowed } => write!(f, "{key} is {found}, must be {allowed}"),
            What::Conflict(what) => f.write_str(what),
        }
    }
}
