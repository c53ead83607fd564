//! Variables of the environment → settings: DataKit's names for the first input, ours for the rest.

use super::error::{Location, Mistake, MistakeKind};
use super::keys::{INPUT, SECTIONS};
use super::meant::Meant;
use super::nearest::nearest;
use super::raw::Raw;
use super::setting::{AnyKey, Setting};

/// DataKit's: `ENV_INPUT_PUSHGATEWAY_<KEY>`.
const INPUT_PREFIX: &str = "ENV_INPUT_PUSHGATEWAY";
/// Ours: `PUSHLINE_<TABLE>_<KEY>`, a dot within the table being `_` too.
const OWN_PREFIX: &str = "PUSHLINE";

/// What Kubernetes sets for a service called pushline: `PUSHLINE_SERVICE_HOST`,
/// `PUSHLINE_PORT_9091_TCP_ADDR` and so on. No key of ours begins so.
const OF_KUBERNETES: [&str; 2] = ["SERVICE_", "PORT"];

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
    for (name, text) in mine {
        match variables().find(|(known, _)| *known == name) {
            Some((_, key)) if text.is_empty() && key.is_unset_by_empty() => {}
            Some((_, key)) => {
                let raw = Raw::Variable(text);
                settings.push(Setting { location: Location::Environment, name, key, raw });
            }
            None => {
                let meant = meant(&name);
                let what = MistakeKind::Unknown { key: name, meant };
                mistakes.push(Mistake { location: Location::Environment, what });
            }
        }
    }
    settings
}

fn is_mine(name: &str) -> bool {
    let below = |prefix| name.strip_prefix(prefix).and_then(|rest: &str| rest.strip_prefix('_'));
    let is_own = |rest: &str| !OF_KUBERNETES.iter().any(|start| rest.starts_with(start));
    below(INPUT_PREFIX).is_some() || below(OWN_PREFIX).is_some_and(is_own)
}

/// The variable that was meant by a name: one that is near, or the one of the key at its end.
fn meant(name: &str) -> Meant {
    let known: Vec<_> = variables().map(|(name, _)| name).collect();
    let near = nearest(name, known.iter().map(String::as_str));
    let ends_so = |key: &str| name.to_ascii_lowercase().ends_with(&format!("_{key}"));
    let at_end = || variables().find(|(_, key)| ends_so(key.name())).map(|(name, _)| name);
    near.map(str::to_owned).or_else(at_end).map_or(Meant::Any, Meant::Near)
}

/// Every name, with its key.
pub(super) fn variables() -> impl Iterator<Item = (String, AnyKey)> {
    let own = SECTIONS.into_iter().flat_map(|section| {
        let name = section.name;
        section.keys.iter().map(move |key| (variable_of(name, key.name), AnyKey::Once(key)))
    });
    let input = INPUT.keys.iter();
    own.chain(input.map(|key| (variable_of(INPUT.name, key.name), AnyKey::Input(0, key))))
}

/// The variable of a key.
pub(super) fn variable_of(section: &str, key: &str) -> String {
    let name = match section == INPUT.name {
        true => format!("{INPUT_PREFIX}_{key}"),
        false => format!("{OWN_PREFIX}_{section}_{key}"),
    };
    name.replace('.', "_").to_ascii_uppercase()
}
