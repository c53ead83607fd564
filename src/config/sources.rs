//! Where the configuration is: a file, the environment, and flags for what everybody sets first.

use super::error::Location;
use super::key::Section;
use super::keys::SECTIONS;
use super::options::Config;
use super::raw::Raw;
use super::setting::{AnyKey, Setting};
use std::path::PathBuf;

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// `--config`
    pub file: Option<PathBuf>,
    /// Flags that set a key, with their values.
    pub shortcuts: Vec<(Shortcut, String)>,
}

/// A flag that sets a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// `--listen`: `server.listen`; given again, it adds an address.
    Listen,
    /// `--output`: `output.target`.
    Output,
}

impl Shortcut {
    /// All of them.
    pub(super) const ALL: [Shortcut; 2] = [Shortcut::Listen, Shortcut::Output];

    /// As it is written.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Shortcut::Listen => "--listen",
            Shortcut::Output => "--output",
        }
    }

    /// The table and the name of its key.
    fn key(self) -> (&'static str, &'static str) {
        match self {
            Shortcut::Listen => ("server", "listen"),
            Shortcut::Output => ("output", "target"),
        }
    }
}

/// What the flags set: as variables of the environment would, but after them.
pub(super) fn read(shortcuts: &[(Shortcut, String)]) -> Vec<Setting> {
    Shortcut::ALL.into_iter().filter_map(|shortcut| setting(shortcut, shortcuts)).collect()
}

fn setting(shortcut: Shortcut, shortcuts: &[(Shortcut, String)]) -> Option<Setting> {
    let mine = shortcuts.iter().filter(|(found, _)| *found == shortcut).map(|(_, text)| &**text);
    let texts: Vec<&str> = mine.collect();
    let text = match shortcut {
        Shortcut::Listen if !texts.is_empty() => texts.join(","),
        Shortcut::Listen => return None,
        Shortcut::Output => (*texts.last()?).to_owned(),
    };
    let (table, name) = shortcut.key();
    let of_table = |section: &&&'static Section<Config>| section.name == table;
    let section = SECTIONS.iter().find(of_table)?;
    let key = AnyKey::Once(section.keys.iter().find(|key| key.name == name)?);
    let (location, raw) = (Location::CommandLine, Raw::Variable(text));
    Some(Setting { location, name: shortcut.flag().to_owned(), key, raw })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shortcut_has_its_key() {
        for shortcut in Shortcut::ALL {
            assert!(setting(shortcut, &[(shortcut, "x".to_owned())]).is_some(), "{shortcut:?}");
        }
    }
}
