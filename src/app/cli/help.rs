//! The table of a command → what its `--help` prints.

use super::spec::{CommandSpec, FlagSpec};

/// The help of a command.
pub(super) fn text<F>(command: &CommandSpec<F>) -> String {
    let CommandSpec { name, about, description, notes, .. } = command;
    let usage = command.usage.join("\n       ");
    let mut text = format!("{name}: {about}\n\nUsage: {usage}\n\n");
    if !description.is_empty() {
        text.push_str(description);
        text.push('\n');
    }
    let width = command.flags.iter().map(|flag| form(flag).len()).max().unwrap_or_default();
    for flag in command.flags {
        text.push_str(&format!("  {:width$}  {}\n", form(flag), flag.about));
    }
    text.push('\n');
    text.push_str(notes);
    text
}

/// A flag, its short form first, with its value.
fn form<F>(flag: &FlagSpec<F>) -> String {
    let short = flag.short.map(|short| format!("{short}, ")).unwrap_or_default();
    let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
    format!("{short}{}{value}", flag.name)
}
