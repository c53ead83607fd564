//! Variables of the environment → settings: DataKit's names for the first input, ours for the rest.

use super::error::{Location, Mistake, MistakeKind};
use super::keys::{INPUT, SECTIONS};
use super::raw::Raw;
use super::setting::{AnyKey, Setting};

/// DataKit's: `ENV_INPUT_PUSHGATEWAY_<KEY>`.
const INPUT_PREFIX: &str = "ENV_INPUT_PUSHGATEWAY";
/// Ours: `PUSHLINE_<TABLE>_<KEY>`, a dot within the table being `_` too.
const OWN_PREFIX: &str = "PUSHLINE";

/// Picks the variables that are for pushline. A name with one of its prefixes that names no key is
/// added to `mistakes`.
pub(super) fn read(
    environment: impl Iterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Setting> {
    let mut mine: Vec<_> = environment.filter(|(name, _)| is_mine(name)).collect();
    // Sorted, since the order of the environment means nothing.
    mine.sort();
    let mut settings = Vec::new();
    for (name, value) in mine {
        match variables().find(|(known, _)| *known == name) {
            Some((_, key)) => {
                let raw = Raw::Variable(value);
                settings.push(Setting { location: Location::Environment, name, key, raw });
            }
            None => {
                let allowed = variables().map(|(name, _)| name).collect();
                let what = MistakeKind::Unknown { key: name, allowed };
                mistakes.push(Mistake { location: Location::Environment, what });
            }
        }
    }
    settings
}

fn is_mine(name: &str) -> bool {
    let has = |prefix| name.strip_prefix(prefix).is_some_and(|rest: &str| rest.starts_with('_'));
    has(INPUT_PREFIX) || has(OWN_PREFIX)
}

/// Every name, with its key.
pub(super) fn variables() -> impl Iterator<Item = (String, AnyKey)> {
    let own = SECTIONS.into_iter().flat_map(|section| {
        let table = format!("{OWN_PREFIX}_{}", section.name);
        section.keys.iter().map(move |key| (variable(&table, key.name), AnyKey::Once(key)))
    });
    let input = INPUT.keys.iter();
    own.chain(input.map(|key| (variable(INPUT_PREFIX, key.name), AnyKey::Input(0, key))))
}

fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}_{key}").replace('.', "_").to_ascii_uppercase()
}
