//! A flag that pushline does not have → what does what it is meant for.
//!
//! People type what they know: a flag of ours with a slip, the flags of the Pushgateway, or a key
//! of the configuration as a flag.

use crate::config::{NamedKey, key_named, nearest};
use std::fmt;

/// What to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// This flag is near.
    Flag(String),
    /// This key does it, and so does a flag where there is one.
    Key { key: NamedKey, flag: Option<&'static str> },
    /// Something else does it, or nothing needs to.
    Note(&'static str),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::Flag(flag) => write!(f, "did you mean {flag}?"),
            Hint::Key { key: NamedKey { key, variable }, flag } => {
                if let Some(flag) = flag {
                    write!(f, "use {flag}, or ")?;
                }
                write!(f, "set {key} in the file, or {variable} in the environment")
            }
            Hint::Note(note) => f.write_str(note),
        }
    }
}

/// The keys that have a flag.
const SHORTCUTS: [(&str, &str); 2] =
    [("server.listen", "--listen ADDRESS"), ("output.target", "--output TARGET")];

/// Flags that others have, without their dashes, and what does it here.
const FOREIGN: &[(&str, Foreign)] = &[
    // The Pushgateway's.
    ("web.listen-address", Foreign::Key("server.listen")),
    ("web.route-prefix", Foreign::Key("inputs.pushgateway.route_prefix")),
    ("web.config.file", Foreign::Key("server.auth_file")),
    ("web.telemetry-path", Foreign::Note("its own metrics are always at /metrics")),
    ("web.external-url", Foreign::Note("it has no links to itself that would need it")),
    ("web.enable-lifecycle", Foreign::Note("end it with SIGTERM")),
    ("web.enable-admin-api", Foreign::Note("no metrics are kept that could be wiped")),
    ("persistence.file", Foreign::Note("no metrics are kept once they are delivered")),
    ("persistence.interval", Foreign::Note("no metrics are kept once they are delivered")),
    ("push.disable-consistency-check", Foreign::Note("there is no such check")),
    ("push.enable-utf8-names", Foreign::Key("inputs.pushgateway.utf8_names")),
    // What many programs call these.
    ("port", Foreign::Key("server.listen")),
    ("bind", Foreign::Key("server.listen")),
    ("address", Foreign::Key("server.listen")),
    ("httpListenAddr", Foreign::Key("server.listen")),
    ("l", Foreign::Key("server.listen")),
    ("o", Foreign::Key("output.target")),
    ("url", Foreign::Key("output.target")),
    ("c", Foreign::Flag("--config")),
    ("f", Foreign::Flag("--config")),
    ("config.file", Foreign::Flag("--config")),
    ("config-file", Foreign::Flag("--config")),
    ("t", Foreign::Flag("--check")),
    ("test", Foreign::Flag("--check")),
    ("v", Foreign::Key("log.level")),
    ("verbose", Foreign::Key("log.level")),
    ("debug", Foreign::Key("log.level")),
    ("daemon", Foreign::Note("a supervisor such as systemd runs it in the background")),
];

/// What a flag of others is here.
enum Foreign {
    /// This flag.
    Flag(&'static str),
    /// This key.
    Key(&'static str),
    /// Nothing of the two.
    Note(&'static str),
}

/// What to do instead of giving the flag `name`, of a command that has `flags`.
pub(super) fn hint<'f>(name: &str, flags: impl Iterator<Item = &'f str>) -> Option<Hint> {
    let bare = name.trim_start_matches('-');
    let known = FOREIGN.iter().find(|(foreign, _)| *foreign == bare).map(|(_, known)| known);
    let foreign = known.and_then(|known| match known {
        Foreign::Flag(flag) => Some(Hint::Flag((*flag).to_owned())),
        Foreign::Key(key) => key_named(key).map(of_key),
        Foreign::Note(note) => Some(Hint::Note(note)),
    });
    // Without the dashes, which would make every two flags alike.
    let flags = flags.map(|flag| flag.trim_start_matches('-'));
    let near = || nearest(bare, flags).map(|flag| Hint::Flag(format!("--{flag}")));
    foreign.or_else(near).or_else(|| key_named(bare).map(of_key))
}

/// What a file that is given without its flag is.
pub(super) fn of_file(name: &str) -> Option<Hint> {
    let is_config = [".toml", ".conf"].iter().any(|end| name.ends_with(end));
    is_config.then(|| Hint::Flag(format!("--config {name}")))
}

fn of_key(key: NamedKey) -> Hint {
    let flag = SHORTCUTS.iter().find(|(shortcut, _)| *shortcut == key.key).map(|(_, flag)| *flag);
    Hint::Key { key, flag }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<String> {
        hint(name, ["--config", "--check", "--listen"].into_iter()).map(|hint| hint.to_string())
    }

    #[test]
    fn every_foreign_flag_has_an_answer() {
        for (name, _) in FOREIGN {
            assert!(told(&format!("--{name}")).is_some(), "{name}");
        }
        for (key, _) in SHORTCUTS {
            assert_eq!(key_named(key).unwrap().key, key);
        }
    }

    #[test]
    fn a_flag_that_is_not_known_is_told_what_does_it() {
        for (name, want) in [
            ("--confg", Some("did you mean --config?")),
            ("-c", Some("did you mean --config?")),
            (
                "--web.listen-address",
                Some(
                    "use --listen ADDRESS, or set server.listen in the file, or \
                     PUSHLINE_SERVER_LISTEN in the environment",
                ),
            ),
            ("--web.telemetry-path", Some("its own metrics are always at /metrics")),
            (
                "--log.level",
                Some("set log.level in the file, or PUSHLINE_LOG_LEVEL in the environment"),
            ),
            (
                "--max-body-bytes",
                Some(
                    "set server.max_body_bytes in the file, or PUSHLINE_SERVER_MAX_BODY_BYTES in \
                     the environment",
                ),
            ),
            (
                "--utf8-names",
                Some(
                    "set inputs.pushgateway.utf8_names in the file, or \
                     ENV_INPUT_PUSHGATEWAY_UTF8_NAMES in the environment",
                ),
            ),
            ("--nothing", None),
        ] {
            assert_eq!(told(name).as_deref(), want, "{name}");
        }
    }
}
