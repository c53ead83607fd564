//! TOML and environment → validated options of each room (SPEC 4).
//!
//! Every key is one entry of the table in `keys`, whose head says how to add one. A source (`file`,
//! `environment`) becomes a list of settings, each with its place; each is applied by the entry of
//! its key. The rooms own their options; this is the only room that knows all of them.

mod allowed;
mod change;
mod check;
mod environment;
mod error;
mod facts;
mod file;
mod key;
mod keys;
mod load;
mod meant;
mod named;
mod nearest;
mod options;
mod print;
mod raw;
#[cfg(test)]
pub(crate) mod reference;
mod rules;
mod setting;
mod sources;
mod toml_text;
mod units;
mod value_types;

pub(crate) use change::KeyChange;
pub use error::Error;
pub(crate) use named::{NamedKey, key_named};
pub(crate) use nearest::nearest;
pub use options::Config;
pub use sources::{Shortcut, Sources};

#[cfg(test)]
mod tests;
