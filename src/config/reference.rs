//! The table of keys → `conf.sample` and the README's table, which a test compares with the files.

use super::key::{Key, Reload, Section};
use super::keys::{INPUT, SECTIONS, default_input};
use super::options::Config;

/// What stands at the head of `conf.sample`.
const SAMPLE_HEAD: &str = "\
# pushline: every key with its default.
# Give it with `pushline --config FILE`; check it with `--check`.
# Sizes: \"64KiB\", \"16MiB\", \"1GiB\" or bytes. Durations: \"500ms\", \"10s\", \"1m\", \"1h\".
# The environment wins over this file: PUSHLINE_<TABLE>_<KEY>, for example PUSHLINE_OUTPUT_TARGET,
# and ENV_INPUT_PUSHGATEWAY_<KEY> for the first [[inputs.pushgateway]].
# SIGHUP reads this file again, and takes all of it while pushes go on, but for the keys that say
# that they need a restart.
";

/// The longest line of a comment.
const COLUMNS_MAX: usize = 100;

/// `conf.sample`.
pub(super) fn sample() -> String {
    let mut text = SAMPLE_HEAD.to_owned();
    let (config, input) = (Config::default(), default_input());
    for section in SECTIONS {
        let header = format!("[{}]", section.name);
        push_section(&mut text, section, &header, &config);
    }
    push_section(&mut text, &INPUT, &format!("[[{}]]", INPUT.name), &input);
    text
}

fn push_section<C>(text: &mut String, section: &Section<C>, header: &str, config: &C) {
    text.push('\n');
    push_comment(text, section.about);
    text.push_str(&format!("{header}\n"));
    for key in section.keys {
        let (first, more) = parts(key);
        let restart = if key.reload == Reload::NeedsRestart { ". Needs a restart" } else { "" };
        let bounds = bounds(key).map(|bounds| format!(". {bounds}")).unwrap_or_default();
        push_comment(text, &format!("{first}{bounds}{restart}"));
        for line in more {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("{} = {}\n", key.name, key.value.print(config)));
    }
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

/// A text as sentences in a comment, broken into lines.
fn push_comment(text: &mut String, about: &str) {
    if about.is_empty() {
        return;
    }
    let mut line = String::from("#");
    for word in format!("{}.", capitalised(about)).split(' ') {
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

/// The rows of the README's table.
pub(super) fn readme_rows() -> String {
    let (config, input) = (Config::default(), default_input());
    let own = SECTIONS.into_iter().flat_map(|section| rows(section, &config));
    own.chain(rows(&INPUT, &input)).collect()
}

fn rows<C>(section: &Section<C>, config: &C) -> Vec<String> {
    let row = |key: &Key<C>| {
        let mark = if key.reload == Reload::NeedsRestart { " ↻" } else { "" };
        let (about, _) = parts(key);
        let (table, name, default) = (section.name, key.name, key.value.print(config));
        format!("| `{table}.{name}`{mark} | `{default}` | {about} |\n")
    };
    section.keys.iter().map(row).collect()
}
