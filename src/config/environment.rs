//! Variables of the environment → settings: DataKit's names for the first input, ours for the rest.

use super::Setting;
use super::error::{Mistake, Place, What};
use super::keys::{INPUT_KEYS, Key, LOG_KEYS, OUTPUT_KEYS, SERVER_KEYS, TELEMETRY_KEYS};
use super::raw::Raw;

const INPUT_PREFIX: &str = "ENV_INPUT_PUSHGATEWAY_";
const OWN_PREFIX: &str = "PUSHLINE_";

/// Picks the variables that are for pushline. A name with one of its prefixes that names no key is
/// added to `mistakes`.
pub(super) fn read(
    environment: impl Iterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut mine: Vec<_> = environment
        .filter(|(name, _)| name.starts_with(INPUT_PREFIX) || name.starts_with(OWN_PREFIX))
        .collect();
    // The order of the environment is nobody's intention.
    mine.sort();
    for (name, value) in mine {
        match key(&name) {
            Some(key) => {
                let value = Raw::Variable(value);
                settings.push(Setting { place: Place::Environment, name, key, value });
            }
            None => {
                let what = What::Unknown { key: name, allowed: names().join(", ") };
                mistakes.push(Mistake { place: Place::Environment, what });
            }
        }
    }
    settings
}

/// Every name, with its key.
fn all() -> impl Iterator<Item = (String, Key)> {
    let own = |table: &'static str, name: &'static str| {
        format!("{OWN_PREFIX}{table}_{}", name.to_ascii_uppercase())
    };
    let server = SERVER_KEYS.into_iter().map(move |name| (own("SERVER", name), Key::Server(name)));
    let output = OUTPUT_KEYS.into_iter().map(move |name| (own("OUTPUT", name), Key::Output(name)));
    let log = LOG_KEYS.into_iter().map(move |name| (own("LOG", name), Key::Log(name)));
    let telemetry =
        TELEMETRY_KEYS.into_iter().map(move |name| (own("TELEMETRY", name), Key::Telemetry(name)));
    let input = INPUT_KEYS
        .into_iter()
        .map(|name| (format!("{INPUT_PREFIX}{}", name.to_ascii_uppercase()), Key::Input(0, name)));
    server.chain(output).chain(log).chain(telemetry).chain(input)
}

fn key(name: &str) -> Option<Key> {
    all().find(|(known, _)| known == name).map(|(_, key)| key)
}

fn names() -> Vec<String> {
    all().map(|(name, _)| name).collect()
}
