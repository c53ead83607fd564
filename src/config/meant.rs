//! A name in a file that is not known → what may have been meant by it.

use super::key::Section;
use super::keys::{INPUT, SECTIONS, tables_with};
use super::nearest::nearest;
use std::fmt;

/// What may have been meant by a name that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// This one.
    Near(String),
    /// One of the few that are allowed there.
    OneOf(Vec<String>),
    /// Any of many.
    Any,
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Meant::Near(name) => write!(f, "did you mean {name}?"),
            Meant::OneOf(names) => write!(f, "allowed are {}", names.join(", ")),
            Meant::Any => f.write_str("conf.sample and pushline --print-config show every key"),
        }
    }
}

/// The table that was meant: one that is near, or else the table of the key of that name.
pub(super) fn table(name: &str) -> Meant {
    let tables = SECTIONS.map(|section| section.name);
    if let Some(near) = nearest(name, tables) {
        return Meant::Near(format!("[{near}]"));
    }
    if let Some(table) = tables_with(name).next() {
        return Meant::Near(format!("{table}.{name}"));
    }
    let tables = tables.iter().map(|table| format!("[{table}]"));
    Meant::OneOf(tables.chain([format!("[[{}]]", INPUT.name)]).collect())
}

/// The key that was meant in a table: one of its own that is near, or else one of that name in
/// another table.
pub(super) fn key<C>(section: &Section<C>, name: &str) -> Meant {
    let keys = || section.keys.iter().map(|key| key.name);
    let near = nearest(name, keys()).map(|near| format!("{}.{near}", section.name));
    let elsewhere = || tables_with(name).next().map(|table| format!("{table}.{name}"));
    let meant = near.or_else(elsewhere);
    meant.map_or_else(|| Meant::OneOf(keys().map(str::to_owned).collect()), Meant::Near)
}
