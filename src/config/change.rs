//! Two configurations → what differs, key by key (SIGHUP).
//!
//! What is printed reads back as the same configuration (`print.rs`, a test holds it), so the two
//! printed texts say all there is to compare: a new key is compared as soon as it is printed. An
//! input is known by its `route_prefix`, which no two share: inputs may change their order.
//!
//! Every key can change at run time but those of [`FIXED`], which name what is opened or started
//! once. A test asks for each key what becomes of a change to it.

use super::Config;
use super::file;
use std::collections::BTreeSet;
use std::fmt;

/// The keys that need a restart: sockets, threads and the output stay as they are.
const FIXED: [&str; 4] = ["server.listen", "server.workers", "output.target", "output.fsync"];

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The key, such as `server.head_timeout` or `inputs.pushgateway[/a].utf8_names`, or a whole
    /// input, `inputs.pushgateway[/a]`.
    pub key: String,
    /// Its value before, as TOML without needless quotes; `none` where there was none.
    pub old: String,
    /// Its value now.
    pub new: String,
}

impl Change {
    /// Whether it has to wait for a restart.
    pub(crate) fn needs_restart(&self) -> bool {
        FIXED.contains(&self.key.as_str())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { key, old, new } = self;
        write!(f, "{key} {old} -> {new}")
    }
}

/// How a log says that an input, or a value, is not there.
const NONE: &str = "none";
/// How it says that an input is there.
const PRESENT: &str = "present";

impl Config {
    /// What differs in `new`, sorted by table and key.
    pub(crate) fn changes(&self, new: &Config) -> Vec<Change> {
        let (old, new) = (file::tables(&self.to_string()), file::tables(&new.to_string()));
        let mut changes = Vec::new();
        for table in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let mut note = |key: String, [old, new]: [&str; 2]| {
                if old != new {
                    changes.push(Change { key, old: old.to_owned(), new: new.to_owned() });
                }
            };
            match (old.get(table), new.get(table)) {
                (Some(old), Some(new)) => {
                    let value = |values: &file::Values, key| {
                        values.get(key).map_or_else(|| NONE.to_owned(), |text| plain(text))
                    };
                    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                        note(format!("{table}.{key}"), [&value(old, key), &value(new, key)]);
                    }
                }
                (Some(_), None) => note(table.clone(), [PRESENT, NONE]),
                (None, _) => note(table.clone(), [NONE, PRESENT]),
            }
        }
        changes
    }

    /// This configuration, but for what needs a restart: that stays as in `running`.
    pub(crate) fn keeping_fixed(mut self, running: &Config) -> Config {
        self.server.gate.listen.clone_from(&running.server.gate.listen);
        self.server.workers = running.server.workers;
        self.output.target.clone_from(&running.output.target);
        self.output.durability = running.output.durability;
        self
    }
}

/// The text of a value without its quotes, where it is one word without them.
fn plain(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let is_word = |inner: &&str| {
        let is_plain = |char: char| char.is_ascii_graphic() && !matches!(char, '"' | '\\' | ',');
        !inner.is_empty() && inner.chars().all(is_plain)
    };
    inner.filter(is_word).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::keys::{INPUT_KEYS, LOG_KEYS, OUTPUT_KEYS, SERVER_KEYS, TELEMETRY_KEYS};
    use super::*;

    fn load(toml: &str) -> Config {
        let path = std::env::temp_dir().join(format!(
            "pushline-change-{}-{:?}.toml",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, toml).unwrap();
        let loaded = Config::load(Some(&path), std::iter::empty());
        std::fs::remove_file(&path).unwrap();
        loaded.unwrap()
    }

    fn told(old: &str, new: &str) -> Vec<String> {
        load(old).changes(&load(new)).iter().map(Change::to_string).collect()
    }

    /// Each key with another value than its default, and what else that value needs.
    const OTHERS: [(&str, &str, &str); 32] = [
        ("server.listen", r#"["127.0.0.1:1"]"#, ""),
        ("server.workers", "3", ""),
        ("server.max_body_bytes", r#""1MiB""#, ""),
        ("server.max_decoded_bytes", r#""1MiB""#, ""),
        ("server.max_buffered_bytes", r#""1GiB""#, ""),
        ("server.max_connections", "9", ""),
        ("server.head_timeout", r#""1s""#, ""),
        ("server.body_timeout", r#""1s""#, ""),
        ("server.idle_timeout", r#""1s""#, ""),
        ("server.auth_file", r#""/x""#, ""),
        ("output.target", r#""file:/x""#, ""),
        ("output.ack", r#""queued""#, ""),
        ("output.ack_timeout", r#""1s""#, ""),
        ("output.drain_timeout", r#""1s""#, ""),
        ("output.queue_bytes", r#""1MiB""#, ""),
        ("output.fsync", "true", "output.target = \"file:/x\"\n"),
        ("log.level", r#""debug""#, ""),
        ("log.format", r#""json""#, ""),
        ("telemetry.emit_interval", r#""1s""#, ""),
        ("inputs.pushgateway.route_prefix", r#""/x""#, ""),
        ("inputs.pushgateway.measurement_name", r#""x""#, ""),
        ("inputs.pushgateway.job_as_measurement", "true", ""),
        ("inputs.pushgateway.keep_exist_metric_name", "true", ""),
        ("inputs.pushgateway.honor_timestamps", "false", ""),
        ("inputs.pushgateway.utf8_names", "true", ""),
        ("inputs.pushgateway.metric_allow", r#"["x*"]"#, ""),
        ("inputs.pushgateway.metric_deny", r#"["x*"]"#, ""),
        ("inputs.pushgateway.tags_rename", r#"{ x = "y" }"#, ""),
        ("inputs.pushgateway.tags_drop", r#"["x"]"#, ""),
        ("inputs.pushgateway.tags_add", r#"{ x = "y" }"#, ""),
        ("inputs.pushgateway.measurements", r#"[{ prefix = "x_", name = "y" }]"#, ""),
        ("inputs.pushgateway.measurement_prefix", r#""x""#, ""),
    ];

    #[test]
    fn each_key_is_either_taken_or_named_as_fixed() {
        let table = |name: &'static str| move |key: &&str| format!("{name}.{key}");
        let keys: Vec<String> = SERVER_KEYS
            .iter()
            .map(table("server"))
            .chain(OUTPUT_KEYS.iter().map(table("output")))
            .chain(LOG_KEYS.iter().map(table("log")))
            .chain(TELEMETRY_KEYS.iter().map(table("telemetry")))
            .chain(INPUT_KEYS.iter().map(table("inputs.pushgateway")))
            .collect();
        for key in &keys {
            assert!(OTHERS.iter().any(|(known, ..)| known == key), "{key}: can it change?");
        }
        // Also what keys.rs does not list by those names, but print.rs prints.
        for (table, values) in file::tables(&Config::default().to_string()) {
            let table = table.split('[').next().unwrap();
            for key in values.keys() {
                let key = format!("{table}.{key}");
                assert!(OTHERS.iter().any(|(known, ..)| *known == key), "{key}: can it change?");
            }
        }
        for (key, value, more) in OTHERS {
            let old = load(more);
            let new = load(&format!("{more}{key} = {value}\n"));
            let changes = old.changes(&new);
            assert!(!changes.is_empty(), "{key}: no change is seen");
            let is_fixed = FIXED.contains(&key);
            for change in &changes {
                assert_eq!(change.needs_restart(), is_fixed, "{key}: {change}");
            }
            let taken = new.clone().keeping_fixed(&old);
            assert_eq!(taken == old, is_fixed, "{key}: kept as it was");
            assert_eq!(taken == new, !is_fixed, "{key}: taken as it is");
        }
    }

    #[test]
    fn conf_sample_says_which_keys_need_a_restart() {
        let mut table = String::new();
        let mut comment = String::new();
        for line in include_str!("../../conf.sample").lines() {
            if let Some(text) = line.strip_prefix('#') {
                comment.push_str(text);
            } else if line.starts_with('[') {
                table = line.trim_matches(['[', ']']).to_owned();
                comment.clear();
            } else if let Some((key, _)) = line.split_once(" = ") {
                let key = format!("{table}.{key}");
                assert_eq!(comment.contains("restart"), FIXED.contains(&&*key), "{key}: {comment}");
                comment.clear();
            }
        }
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
                &["server.auth_file \"\" -> \"/etc/a b\"", "server.max_body_bytes 1MiB -> 16MiB"],
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
                    "inputs.pushgateway[/a] none -> present",
                    "inputs.pushgateway[/b] none -> present",
                    "inputs.pushgateway[] present -> none",
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
