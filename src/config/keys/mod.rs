//! Every key of the configuration: the one table that file, environment, `--print-config`, the diff
//! of a reload, `conf.sample` and the manual are made of.
//!
//! # How to add a key
//! 1. Give it a field: in the options of the room that needs it (which `options.rs` holds), or in
//!    a struct of `options.rs`. `#[derive(Default)]` gives it a blank.
//! 2. Write its entry into the list of its section (`server.rs`, `output.rs`, `input.rs`,
//!    `rest.rs`): name, what it is for, what a reload does, type, default, field. For a new table,
//!    add a [`Section`] to [`SECTIONS`]; a table in a table has a dotted name, as `output.http`,
//!    and comes after the outer one. `value_types.rs` has the types: `Words`, `OptionalPath`,
//!    `Switch`, `Choice`, `Count`, `Size`, `Period` and so on.
//! 3. Add its name and a value other than the default to `OTHERS` in `tests.rs`, then run
//!    `BLESS=1 cargo test --lib config::`, which writes the key into `conf.sample` and the
//!    manual. Without that, the tests fail.
//!
//! What no key alone can tell, as two keys that exclude each other, belongs in `check.rs`.

mod input;
mod output;
mod rest;
mod server;
mod spool;

use super::key::{Key, Section};
use super::options::{Config, InputConfig};

pub(super) use input::INPUT;

/// The tables that are there once, in the order in which they are printed.
pub(super) static SECTIONS: [&Section<Config>; 9] = [
    &server::SERVER,
    &server::TLS,
    &output::OUTPUT,
    &output::HTTP,
    &output::TLS,
    &output::REJECTED,
    &spool::SPOOL,
    &rest::LOG,
    &rest::TELEMETRY,
];

impl Default for Config {
    /// Every key has its default, and so has the one input.
    fn default() -> Config {
        let mut config = Config::blank();
        for section in SECTIONS {
            reset(section.keys, &mut config);
        }
        config.inputs.push(default_input());
        config
    }
}

/// An input with the defaults.
pub(super) fn default_input() -> InputConfig {
    let mut input = InputConfig::default();
    reset(INPUT.keys, &mut input);
    input
}

/// The tables that have a key of that name.
pub(super) fn tables_with(name: &str) -> impl Iterator<Item = &'static str> {
    let own = SECTIONS.into_iter().filter(move |section| has(section.keys, name));
    let input = [&INPUT].into_iter().filter(move |section| has(section.keys, name));
    own.map(|section| section.name).chain(input.map(|section| section.name))
}

fn has<C>(keys: &[Key<C>], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}

fn reset<C>(keys: &[Key<C>], config: &mut C) {
    for key in keys {
        key.value.reset(config);
    }
}
