//! The effective configuration → TOML that reads back as the same (`--print-config`), or without
//! what may be secret (the status page).

use super::key::{KeyValue, Section};
use super::keys::{INPUT, SECTIONS};
use super::options::{Config, InputConfig};
use std::fmt;

/// How the value of a key becomes TOML.
type Print<C> = fn(&dyn KeyValue<C>, &C) -> String;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self, |key, config| key.print(config), |key, input| key.print(input)))
    }
}

impl Config {
    /// The configuration without what may be secret in it.
    pub(super) fn shown(&self) -> String {
        text(self, |key, config| key.show(config), |key, input| key.show(input))
    }
}

fn text(config: &Config, print: Print<Config>, print_input: Print<InputConfig>) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        text += &format!("[{}]\n{}\n", section.name, keys(section, config, print));
    }
    for (index, input) in config.inputs.iter().enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        let keys = keys(&INPUT, input, print_input);
        text += &format!("{separator}[[{}]]\n{keys}", INPUT.name);
    }
    text
}

/// The keys of a table, one a line.
fn keys<C>(section: &Section<C>, config: &C, print: Print<C>) -> String {
    let line = |key: &super::key::Key<C>| format!("{} = {}\n", key.name, print(key.value, config));
    section.keys.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn no_part_of_a_query_is_shown_whatever_is_escaped_in_it() {
        let path = std::env::temp_dir().join(format!("pushline-shown-{}.toml", std::process::id()));
        for query in ["p=s3cret", "p=s3cret\"", "p=s3cret\\", "p=s3\"cret\\#s3cret"] {
            let target = format!("output.target = 'http://db/write?{query}'\n");
            std::fs::write(&path, target).unwrap();
            let sources = Sources { file: Some(path.clone()), shortcuts: vec![] };
            let config = Config::load(&sources, std::iter::empty()).unwrap();
            let facts = config.facts().configuration;
            assert!(facts.contains("target = \"http://db/write?…\"\n"), "{query}: {facts}");
            assert!(!facts.contains("s3") && !facts.contains("cret"), "{query}: {facts}");
            assert!(config.to_string().contains("s3"), "{query}: it is printed whole");
        }
        std::fs::remove_file(path).unwrap();
    }
}
