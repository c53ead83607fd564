//! Two configurations → what differs, key by key (SIGHUP).
//!
//! Two values are the same when they are printed the same: what is printed reads back as the same
//! configuration (a test holds it). An input is known by its `route_prefix`, which no two share:
//! inputs may change their order. What a reload does with a change, the entry of the key says.

use super::key::{Reload, Section};
use super::keys::{INPUT, SECTIONS};
use super::options::{Config, InputConfig};
use std::fmt;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyChange {
    /// The key, such as `server.head_timeout` or `inputs.pushgateway[/a].utf8_names`, or a whole
    /// input, `inputs.pushgateway[/a]`.
    pub key: String,
    /// Its value before, as TOML without needless quotes and without what may be secret; `none`
    /// where there was none.
    pub old: String,
    /// Its value now.
    pub new: String,
    reload: Reload,
}

impl KeyChange {
    /// Whether it has to wait for a restart.
    pub(crate) fn needs_restart(&self) -> bool {
        self.reload == Reload::NeedsRestart
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyChange { key, old, new, .. } = self;
        write!(f, "{key} {old} -> {new}")
    }
}

/// How a log says that an input is not there.
const NONE: &str = "none";
/// How it says that an input is there.
const PRESENT: &str = "present";

impl Config {
    /// What differs in `new`: keys in the order of their table, then inputs that are there in both,
    /// that went, and that came.
    pub(crate) fn changes(&self, new: &Config) -> Vec<KeyChange> {
        let mut changes = Vec::new();
        for section in SECTIONS {
            compare(section, section.name, [self, new], &mut changes);
        }
        for old in &self.inputs {
            match new.input_at(&old.route_prefix) {
                Some(new) => compare(&INPUT, &name(old), [old, new], &mut changes),
                None => changes.push(whole(old, [PRESENT, NONE])),
            }
        }
        let is_new = |input: &&InputConfig| self.input_at(&input.route_prefix).is_none();
        changes.extend(new.inputs.iter().filter(is_new).map(|it| whole(it, [NONE, PRESENT])));
        changes
    }

    fn input_at(&self, route_prefix: &str) -> Option<&InputConfig> {
        self.inputs.iter().find(|input| input.route_prefix == route_prefix)
    }

    /// This configuration, but for what needs a restart: that stays as in `running`.
    pub(crate) fn keeping_fixed(mut self, running: &Config) -> Config {
        let keys = SECTIONS.into_iter().flat_map(|section| section.keys);
        for key in keys.filter(|key| key.reload == Reload::NeedsRestart) {
            key.value.copy(&mut self, running);
        }
        self
    }
}

/// Adds the keys of a table whose values differ.
fn compare<C>(
    section: &Section<C>,
    table: &str,
    [old, new]: [&C; 2],
    changes: &mut Vec<KeyChange>,
) {
    for key in section.keys {
        let [before, after] = [old, new].map(|config| key.value.print(config));
        if before != after {
            let [old, new] = [old, new].map(|config| plain(&key.value.show(config)).to_owned());
            // What differs is not shown: that it does is told all the same.
            let new = if old == new { new + " with another query" } else { new };
            let name = format!("{table}.{}", key.name);
            changes.push(KeyChange { key: name, old, new, reload: key.reload });
        }
    }
}

/// The name of an input.
fn name(input: &InputConfig) -> String {
    format!("{}[{}]", INPUT.name, input.route_prefix)
}

/// An input that comes or goes, which is always taken.
fn whole(input: &InputConfig, [old, new]: [&str; 2]) -> KeyChange {
    let (old, new) = (old.to_owned(), new.to_owned());
    KeyChange { key: name(input), old, new, reload: Reload::Taken }
}

/// The text of a value without its quotes, where it is one word without them.
fn plain(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let is_word = |inner: &&str| {
        let is_plain = |char: char| char.is_ascii_graphic() && !matches!(char, '"' | '\\' | ',');
        !inner.is_empty() && inner.chars().all(is_plain)
    };
    inner.filter(is_word).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn load(toml: &str) -> Config {
        let path = std::env::temp_dir().join(format!(
            "pushline-change-{}-{:?}.toml",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, toml).unwrap();
        let loaded = Config::load(
            &Sources { file: Some(path.clone()), shortcuts: vec![] },
            std::iter::empty(),
        );
        std::fs::remove_file(&path).unwrap();
        loaded.unwrap()
    }

    fn told(old: &str, new: &str) -> Vec<String> {
        load(old).changes(&load(new)).iter().map(KeyChange::to_string).collect()
    }

    #[test]
    fn a_change_names_its_key_the_old_and_the_new_value() {
        for (old, new, want) in [
            ("", "", &[][..]),
            ("log.level = \"info\"", "", &[]),
            ("", "log.level = \"debug\"", &["log.level info -> debug"]),
            (
                "server.max_body_bytes = \"1MiB\"",
                "server.auth_file = \"/etc/a b\"",
                &["server.max_body_bytes 1MiB -> 16MiB", "server.auth_file \"\" -> \"/etc/a b\""],
            ),
            (
                "output.target = 'http://db/write?p=s3cret\\\"'",
                "output.target = 'http://db/write?p=0ther'",
                &[
                    "output.target \"http://db/write?…\" -> \"http://db/write?…\" with another query",
                ],
            ),
            (
                "output.target = 'http://db/write?p=s3cret'",
                "output.target = 'http://db:1/write?p=s3cret'",
                &["output.target \"http://db/write?…\" -> \"http://db:1/write?…\""],
            ),
            (
                "",
                "server.listen = [\"a:1\", \"unix:/b\"]",
                &["server.listen [\"127.0.0.1:9091\"] -> [\"a:1\", \"unix:/b\"]"],
            ),
        ] {
            assert_eq!(told(old, new), want, "{old} and {new}");
        }
    }

    #[test]
    fn an_input_is_known_by_its_prefix() {
        let a = "[[inputs.pushgateway]]\nroute_prefix = \"/a\"\n";
        let b = "[[inputs.pushgateway]]\nroute_prefix = \"/b\"\n";
        for (old, new, want) in [
            (format!("{a}{b}"), format!("{b}{a}"), &[][..]),
            (a.to_owned(), format!("{b}{a}"), &["inputs.pushgateway[/b] none -> present"]),
            (format!("{a}{b}"), b.to_owned(), &["inputs.pushgateway[/a] present -> none"]),
            (
                String::new(),
                format!("{a}{b}utf8_names = true\n"),
                &[
                    "inputs.pushgateway[] present -> none",
                    "inputs.pushgateway[/a] none -> present",
                    "inputs.pushgateway[/b] none -> present",
                ],
            ),
            (
                format!("{a}{b}"),
                format!("{b}utf8_names = true\n{a}measurement_name = \"m, n\"\n"),
                &[
                    "inputs.pushgateway[/a].measurement_name \"\" -> \"m, n\"",
                    "inputs.pushgateway[/b].utf8_names false -> true",
                ],
            ),
        ] {
            assert_eq!(told(&old, &new), want, "{old} and {new}");
        }
    }
}
