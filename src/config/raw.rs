//! A value as a source gives it, before any key has read it.

use crate::push::sample::Quoted;
use std::fmt;

/// A value as a source gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// A string.
    Text(String),
    /// A boolean.
    Flag(bool),
    /// An integer.
    Integer(i64),
    /// A list of strings.
    List(Vec<String>),
    /// A table of strings.
    Table(Vec<(String, String)>),
    /// A list of tables of strings, at least one.
    Tables(Vec<Vec<(String, String)>>),
    /// A list or a table, by its name, with a value of another type in it.
    Mixed(&'static str, &'static str),
    /// A variable of the environment: any of the above, to be read as the key asks.
    Variable(String),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

impl Raw {
    /// The text of a string, or of a variable.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) | Raw::Variable(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Text(text) | Raw::Variable(text) => Quoted(text.as_bytes()).fmt(f),
            Raw::Flag(flag) => flag.fmt(f),
            Raw::Integer(integer) => integer.fmt(f),
            Raw::List(items) => write!(f, "{items:?}"),
            Raw::Table(pairs) => fmt_table(f, pairs),
            Raw::Tables(tables) => {
                f.write_str("[")?;
                for (index, pairs) in tables.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    fmt_table(f, pairs)?;
                }
                f.write_str("]")
            }
            Raw::Mixed(whole, kind) => write!(f, "a {whole} with a value of type {kind}"),
            Raw::Other(kind) => write!(f, "of type {kind}"),
        }
    }
}

fn fmt_table(f: &mut fmt::Formatter<'_>, pairs: &[(String, String)]) -> fmt::Result {
    f.write_str("{")?;
    for (index, (name, text)) in pairs.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let (name, text) = (Quoted(name.as_bytes()), Quoted(text.as_bytes()));
        write!(f, "{separator}{name} = {text}")?;
    }
    f.write_str("}")
}
