//! The table of keys → `conf.sample`, the one reference, which a test compares with the file.

use super::environment::variable_of;
use super::key::{Key, Reload, Section};
use super::keys::{INPUT, SECTIONS, default_input};
use super::options::Config;

/// What is at the head of `conf.sample`.
const SAMPLE_HEAD: &str = "\
# pushline: every key with its default.
# Give it with `pushline --config FILE`; check it with `--check`.
# Sizes: \"64KiB\", \"16MiB\", \"1GiB\" or bytes. Durations: \"500ms\", \"10s\", \"1m\", \"1h\".
# On a host of 32 bits, a bound of memory is at most 2GiB.
# The environment wins over this file, and a flag over both. Above each key is its variable; in a
# variable, lists are a,b and tables a=b,c=d. Those of [[inputs.pushgateway]] set the first input.
# DataKit's pushgateway.conf is read as it is; where a default is not DataKit's, the key says so.
# SIGHUP reads this file again, and takes all of it while pushes go on, except the keys that say
# that they need a restart: another value of these waits for one.
";

/// The longest line of a comment.
const COLUMNS_MAX: usize = 100;

/// A key as a reference tells of it.
pub(crate) struct KeyEntry {
    pub(crate) name: &'static str,
    /// What it is for, its bounds, and whether it needs a restart: sentences.
    pub(crate) about: String,
    /// More of it, as lines.
    pub(crate) more: Vec<&'static str>,
    /// Its variable in the environment.
    pub(crate) variable: String,
    /// Its default, as TOML.
    pub(crate) default: String,
}

/// A table of the configuration.
pub(crate) struct SectionEntry {
    /// `[server]`
    pub(crate) header: String,
    /// A sentence, or nothing.
    pub(crate) about: String,
    pub(crate) keys: Vec<KeyEntry>,
}

/// Every table, in the order of `conf.sample`.
pub(crate) fn sections() -> Vec<SectionEntry> {
    let (config, input) = (Config::default(), default_input());
    let own = SECTIONS.into_iter();
    let own = own.map(|section| entry(section, format!("[{}]", section.name), &config));
    own.chain([entry(&INPUT, format!("[[{}]]", INPUT.name), &input)]).collect()
}

fn entry<C>(section: &Section<C>, header: String, config: &C) -> SectionEntry {
    let keys = section.keys.iter().map(|key| {
        let (first, more) = parts(key);
        let restart = if key.reload == Reload::NeedsRestart { ". Needs a restart" } else { "" };
        let bounds = bounds(key).map(|bounds| format!(". {bounds}")).unwrap_or_default();
        KeyEntry {
            name: key.name,
            about: sentences(&format!("{first}{bounds}{restart}")),
            more: more.collect(),
            variable: variable_of(section.name, key.name),
            default: key.value.print(config),
        }
    });
    SectionEntry { header, about: sentences(section.about), keys: keys.collect() }
}

/// `conf.sample`.
pub(super) fn sample() -> String {
    let mut text = SAMPLE_HEAD.to_owned();
    for section in sections() {
        text.push('\n');
        push_comment(&mut text, &section.about);
        text.push_str(&format!("{}\n", section.header));
        for key in section.keys {
            push_comment(&mut text, &key.about);
            for line in key.more {
                text.push_str(&format!("# {line}\n"));
            }
            let KeyEntry { name, variable, default, .. } = key;
            text.push_str(&format!("# {variable}\n{name} = {default}\n"));
        }
    }
    text
}

/// The first line of what a key is for, and the others.
fn parts<C>(key: &Key<C>) -> (&'static str, impl Iterator<Item = &'static str>) {
    let mut lines = key.about.lines();
    (lines.next().unwrap_or_default(), lines)
}

/// The bounds of a number, as a sentence.
fn bounds<C>(key: &Key<C>) -> Option<String> {
    use super::allowed::Allowed::{Count, Duration, OptionalDuration, Size};
    let allowed = key.value.allowed();
    let is_bounded =
        matches!(allowed, Count { .. } | Duration { .. } | OptionalDuration { .. } | Size { .. });
    is_bounded.then(|| {
        let text = allowed.to_string();
        let text = text.strip_prefix("an integer ").unwrap_or(&text);
        capitalised(text)
    })
}

/// A text as sentences, the last with its full stop.
fn sentences(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{}.", capitalised(text)) }
}

/// Sentences as a comment, broken into lines.
fn push_comment(text: &mut String, about: &str) {
    if about.is_empty() {
        return;
    }
    let mut line = String::from("#");
    for word in about.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS_MAX {
            text.push_str(&format!("{line}\n"));
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&format!("{line}\n"));
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|char| char.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}
