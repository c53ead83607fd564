//! What a key allows, in words: for messages, and for the reference of the keys.

use super::units::{duration_text, size_text};
use crate::delivery::sink::{AddressError, UrlError};
use crate::limits::{RULE_BYTES_MAX, RULES_MAX};
use crate::push::sample::Quoted;
use std::fmt;
use std::time::Duration;

/// The longest path that fits the address of a Unix socket, in bytes (unix(7): 108 with the closing
/// zero).
pub(super) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What is allowed where something else was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Any text.
    Text,
    /// A boolean of a file.
    Flag,
    /// A boolean of the environment.
    FlagVariable,
    /// One of these words.
    Choice(Vec<&'static str>),
    /// An integer.
    Count { min: usize, max: usize },
    /// A size, in bytes.
    Size { min: u64, max: u64 },
    /// The same, where what was found is not a size at all.
    SizeAsText { min: u64, max: u64 },
    /// A duration.
    Duration { min: Duration, max: Duration },
    /// The same, where what was found is not a duration at all.
    DurationAsText { min: Duration, max: Duration },
    /// A duration, or none.
    OptionalDuration { min: Duration, max: Duration },
    /// The same, where what was found is not a duration at all.
    OptionalDurationAsText { min: Duration, max: Duration },
    /// `route_prefix`
    RoutePrefix,
    /// `server.listen`
    Addresses,
    /// The same, where this one of them can never be bound, and what is wrong with it.
    ListenAddress { found: String, mistake: ListenMistake },
    /// `output.target`
    OutputTarget,
    /// The same, where it begins with `tcp://`, and what is wrong with the rest.
    TcpTarget(AddressError),
    /// The same, where it begins as a URL, and what is wrong with that.
    StoreUrl(UrlError),
    /// A list or table of rules, and what is wrong with the one that was found.
    Rules(RuleType, Option<RuleMistake>),
    /// A TOML table, where a table of keys belongs.
    Table,
}

/// What is wrong with one address of `server.listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListenMistake {
    /// Its host can never be bound, or it has no port.
    Address(AddressError),
    /// What follows the last colon is no port.
    Port(String),
    /// What follows `unix:` is no path of a socket.
    SocketPath,
}

/// The lists and tables of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleType {
    /// A list of patterns.
    Patterns,
    /// A table of texts.
    Texts,
    /// A list of names of measurements by prefix.
    Measurements,
}

/// What is wrong within a list or table that is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleMistake {
    /// It has so many entries.
    Count(usize),
    /// This text is empty or too long.
    Length(String),
    /// This name is there twice.
    Twice(String),
    /// A rule has no such key.
    Key(String),
    /// This part of a variable is not `name=text`.
    Pair(String),
    /// This part of a variable is not `prefix=name`.
    RulePair(String),
    /// The rule of this name has no prefix.
    NoPrefix { name: String },
    /// Nothing of this prefix is left for a name, and the rule has none of its own.
    NoName { prefix: String },
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Text => f.write_str("a string"),
            Allowed::Flag => f.write_str("true or false"),
            Allowed::FlagVariable => f.write_str("1 t T TRUE true True 0 f F FALSE false or False"),
            Allowed::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                f.write_str(&words.join(" or "))
            }
            Allowed::Count { min, max } => write!(f, "an integer between {min} and {max}"),
            Allowed::Size { min, max } => {
                write!(f, "between {} and {}", size_text(*min), size_text(*max))
            }
            &Allowed::SizeAsText { min, max } => {
                write!(f, "{}, as \"16MiB\" or bytes", Allowed::Size { min, max })
            }
            Allowed::Duration { min, max } => {
                write!(f, "between {} and {}", duration_text(*min), duration_text(*max))
            }
            &Allowed::DurationAsText { min, max } => {
                write!(f, "{}, as \"10s\" or \"500ms\"", Allowed::Duration { min, max })
            }
            &Allowed::OptionalDuration { min, max } => {
                write!(f, "\"0s\" (off) or {}", Allowed::Duration { min, max })
            }
            &Allowed::OptionalDurationAsText { min, max } => {
                write!(f, "\"0s\" (off) or {}", Allowed::DurationAsText { min, max })
            }
            Allowed::RoutePrefix => f.write_str("a path of printable ASCII without ? # % and //"),
            Allowed::Addresses => write!(
                f,
                "a list of \"host:port\", \":port\" and \"unix:/path\" (at most \
                 {SOCKET_PATH_BYTES_MAX} bytes), at least one"
            ),
            Allowed::ListenAddress { found, mistake } => {
                let found = quoted(found);
                write!(
                    f,
                    "a list of \"host:port\", \":port\" and \"unix:/path\", and {found} {mistake}"
                )
            }
            Allowed::OutputTarget => f.write_str(
                "stdout, file:/path, tcp://host:port, unix:/path, http://… or https://…",
            ),
            Allowed::TcpTarget(error) => write!(f, "tcp://host:port, and this one {error}"),
            Allowed::StoreUrl(error) => write!(f, "the URL of a store, and this one {error}"),
            Allowed::Rules(rule_type, mistake) => {
                rule_type.fmt(f)?;
                mistake.as_ref().map_or(Ok(()), |mistake| mistake.fmt(f))
            }
            Allowed::Table => f.write_str("a table"),
        }
    }
}

impl fmt::Display for ListenMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenMistake::Address(error) => error.fmt(f),
            ListenMistake::Port(port) => {
                write!(f, "has the port {}, must be 0 to 65535", quoted(port))
            }
            ListenMistake::SocketPath => {
                write!(
                    f,
                    "has a path that must begin with / and be at most {SOCKET_PATH_BYTES_MAX} bytes"
                )
            }
        }
    }
}

impl fmt::Display for RuleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = format_args!("of 1 to {RULE_BYTES_MAX} bytes each");
        match self {
            RuleType::Patterns => write!(f, "a list of at most {RULES_MAX} patterns {bytes}"),
            RuleType::Texts => {
                write!(f, "a table of at most {RULES_MAX} names, each with a text, {bytes}")
            }
            RuleType::Measurements => {
                write!(
                    f,
                    "a list of at most {RULES_MAX} tables with a prefix and perhaps a name, {bytes}"
                )
            }
        }
    }
}

impl fmt::Display for RuleMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleMistake::Count(count) => write!(f, ", not {count}"),
            RuleMistake::Length(text) => write!(f, ", which {} is not", quoted(text)),
            RuleMistake::Twice(name) => write!(f, ", and not {} twice", quoted(name)),
            RuleMistake::Key(key) => write!(f, ", and no {}", quoted(key)),
            RuleMistake::Pair(item) => write!(f, ", as a=b,c=d, which {} is not", quoted(item)),
            RuleMistake::RulePair(item) => write!(
                f,
                ", as prefix=name, or prefix= where the prefix names it, which {} is not",
                quoted(item)
            ),
            RuleMistake::NoPrefix { name } if name.is_empty() => {
                f.write_str(", and one has no prefix")
            }
            RuleMistake::NoPrefix { name } => {
                write!(f, ", and the one with the name {} has no prefix", quoted(name))
            }
            RuleMistake::NoName { prefix } => write!(
                f,
                ", and the one with the prefix {} needs a name, as the prefix gives none",
                quoted(prefix)
            ),
        }
    }
}

fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text.as_bytes())
}
