//! What is wrong with the arguments, and what to write instead.

use super::hint::Hint;
use crate::push::sample::Quoted;
use std::ffi::OsStr;
use std::fmt;

/// What is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// As it is written: `pushline`, or `pushline convert`.
    pub(super) command: &'static str,
    pub(super) mistake: ArgumentMistake,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ArgumentMistake {
    /// A flag that does not exist, or a word that is neither a flag nor a command.
    Unknown { argument: String, hint: Option<Hint> },
    /// A flag without its value.
    NoValue { flag: &'static str, value: &'static str },
    /// A value for a flag that takes none.
    ExtraValue(&'static str),
    /// A flag with a value that it does not take.
    Value { flag: &'static str, found: Vec<u8>, allowed: &'static str },
    /// A file after the first one.
    SecondFile(String),
    /// Not a word of what is to be shown of a spool.
    NoView,
}

impl ArgumentMistake {
    /// An argument that is not known.
    pub(super) fn unknown(argument: &OsStr, hint: Option<Hint>) -> ArgumentMistake {
        ArgumentMistake::Unknown { argument: argument.to_string_lossy().into_owned(), hint }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command;
        match &self.mistake {
            ArgumentMistake::Unknown { argument, hint } => {
                write!(f, "{} is not an argument of {command}", Quoted(argument.as_bytes()))?;
                if let Some(hint) = hint {
                    return write!(f, "; {hint}");
                }
            }
            ArgumentMistake::NoValue { flag, value } => {
                write!(f, "{flag} needs a value: {flag} {value}")?;
            }
            ArgumentMistake::ExtraValue(flag) => write!(f, "{flag} takes no value")?,
            ArgumentMistake::Value { flag, found, allowed } => {
                write!(f, "{flag} is {}, must be {allowed}", Quoted(found))?;
            }
            ArgumentMistake::NoView => f.write_str("spool needs one of list and print")?,
            ArgumentMistake::SecondFile(file) => {
                write!(f, "{} is a second FILE, only one is read", Quoted(file.as_bytes()))?;
            }
        }
        write!(f, "; see {command} --help")
    }
}

impl std::error::Error for Error {}
