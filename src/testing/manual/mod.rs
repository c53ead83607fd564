//! The manual pages and the shell completions, made of the tables that the program itself reads:
//! `pushline(1)` of the commands, `pushline.toml(5)` of the keys, `pushline-metrics(7)` of
//! `scripts/packaging/metrics.md`. `BLESS=1 cargo test --lib manual` writes them.

mod command;
mod completions;
mod configuration;
mod metrics;
mod roff;

use crate::app::cli::spec::{CONVERT, CommandSpec, SERVE, SPOOL};
use std::path::{Path, PathBuf};

/// A file of the project.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file of the project with what it should be, or with `BLESS` set makes it that.
pub(crate) fn check_file(name: &str, want: &str) {
    let path = file(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, want).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let how = "is made by BLESS=1 cargo test --lib -- manual config::";
    for (found, want) in found.lines().zip(want.lines()) {
        assert_eq!(found, want, "{name}: {how}");
    }
    assert_eq!(found.len(), want.len(), "{name}: {how}");
}

/// A flag of any command, for code that only prints it.
pub(super) struct Flag {
    name: &'static str,
    short: Option<&'static str>,
    value: Option<&'static str>,
    choices: &'static [&'static str],
    about: &'static str,
}

/// A command, for code that only prints it.
pub(super) struct Spec {
    name: &'static str,
    about: &'static str,
    usage: &'static [&'static str],
    description: &'static str,
    flags: Vec<Flag>,
    notes: &'static str,
}

fn spec<F>(command: &CommandSpec<F>) -> Spec {
    let flags = command.flags.iter().map(|flag| Flag {
        name: flag.name,
        short: flag.short,
        value: flag.value,
        choices: flag.choices,
        about: flag.about,
    });
    let CommandSpec { name, about, usage, description, notes, .. } = *command;
    Spec { name, about, usage, description, flags: flags.collect(), notes }
}

/// Every command, the first of them without a word of its own.
pub(super) fn commands() -> [Spec; 3] {
    [spec(&SERVE), spec(&CONVERT), spec(&SPOOL)]
}

/// The pages and completions, by the files that they ship as.
fn made() -> Vec<(&'static str, String)> {
    vec![
        ("scripts/packaging/man/pushline.1", command::page()),
        ("scripts/packaging/man/pushline.toml.5", configuration::page()),
        ("scripts/packaging/man/pushline-metrics.7", metrics::page()),
        ("scripts/packaging/completions/pushline.bash", completions::bash()),
        ("scripts/packaging/completions/_pushline", completions::zsh()),
        ("scripts/packaging/completions/pushline.fish", completions::fish()),
    ]
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "the pages tell the bounds of 64-bit addresses")]
fn manual_and_completions_are_those_of_the_tables() {
    for (name, want) in made() {
        check_file(name, &want);
    }
}
