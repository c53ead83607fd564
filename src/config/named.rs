//! A name as it may be given as a flag → the key of that name.

use super::environment::variables;
use super::keys::{INPUT, SECTIONS};

/// A key, and the variable that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedKey {
    /// With its table: `server.listen`.
    pub(crate) key: String,
    /// `PUSHLINE_SERVER_LISTEN`
    pub(crate) variable: String,
}

/// The key of that name: with its table or without, `-` being `_`. Without its table, the first
/// one.
pub(crate) fn key_named(name: &str) -> Option<NamedKey> {
    let name = name.replace('-', "_");
    let own = SECTIONS.into_iter().flat_map(|section| {
        section.keys.iter().map(move |key| (format!("{}.{}", section.name, key.name), key.name))
    });
    let input = INPUT.keys.iter().map(|key| (format!("{}.{}", INPUT.name, key.name), key.name));
    // OK because both go through all keys in one order.
    let all = own.chain(input).zip(variables());
    let is_it =
        |key: &str, bare: &str| key == name || key.replace('.', "_") == name || bare == name;
    let mut found = all.filter(|((key, bare), _)| is_it(key, bare));
    found.next().map(|((key, _), (variable, _))| NamedKey { key, variable })
}
