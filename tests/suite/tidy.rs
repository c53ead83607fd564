//! Holds the structure: who may import whom, which file names which crate, how long a file may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms in tiers; a room may import only rooms of tiers before its own.
const TIERS: [&[&str]; 12] = [
    &["limits", "chunk", "json", "live", "system", "alone", "short"],
    &["sample", "cycle", "telemetry", "log", "random", "pulse"],
    &["exposition", "mapping", "route", "body"],
    &["line"],
    &["push"],
    &["queue"],
    &["sink"],
    &["writer", "status"],
    &["server", "auth", "shutdown", "supervisor", "convert"],
    &["gate", "watchdog", "emitter"],
    &["config", "cli"],
    &["app"],
];

/// The one file that may name each crate.
const CRATES: [(&str, &str); 15] = [
    ("base64", "route.rs"),
    ("crossbeam_channel", "queue/mod.rs"),
    ("flate2", "body.rs"),
    ("httparse", "gate/head.rs"),
    ("listenfd", "gate/mod.rs"),
    ("quick_protobuf", "exposition/protobuf/wire.rs"),
    ("rustix", "system.rs"),
    ("signal_hook", "shutdown.rs"),
    ("simdutf8", "exposition/text/mod.rs"),
    ("snap", "body.rs"),
    ("subtle", "auth.rs"),
    ("tiny_http", "server/mod.rs"),
    ("toml", "config/file.rs"),
    ("wide", "chunk.rs"),
    ("zmij", "line/number.rs"),
];

/// Lines of a source file without its tests.
const LINES_MAX: usize = 450;

fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

/// The source without comments and without what stands behind `#[cfg(test)]`.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn tier(room: &str) -> Option<usize> {
    TIERS.iter().position(|rooms| rooms.contains(&room))
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.ends_with("oracle.rs")
}

/// Words that follow `crate::` in the code, also those of `use crate::{a, b}`.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| {
        let end =
            text.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let behind = &code[at + "crate::".len()..];
        match behind.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find('}').unwrap()];
                found.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => found.push(word(behind)),
        }
    }
    found
}

#[test]
fn data_flows_one_way() {
    let mut checked = 0;
    for (file, source) in sources() {
        let own = room(&file);
        if matches!(own, "main" | "lib") || is_test(&file) {
            continue;
        }
        let own_tier = tier(own).unwrap_or_else(|| panic!("{file}: in which tier is this room?"));
        for import in imports(&code(&source)) {
            if import == own || import.is_empty() {
                continue;
            }
            let its_tier = tier(&import).unwrap_or_else(|| panic!("{file}: crate::{import}?"));
            assert!(its_tier < own_tier, "{file} must not import crate::{import}");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} imports were seen");
}

#[test]
fn each_crate_is_named_in_one_file() {
    for (name, file) in CRATES {
        let paths = [format!("{name}::"), format!("use {name}")];
        let users: Vec<_> = sources()
            .into_iter()
            .filter(|(_, source)| {
                let code = code(source);
                paths.iter().any(|path| {
                    code.match_indices(path.as_str()).any(|(at, _)| {
                        !code[..at].ends_with(|char: char| {
                            char.is_alphanumeric() || char == '_' || char == ':'
                        })
                    })
                })
            })
            .map(|(file, _)| file)
            .collect();
        assert_eq!(users, [file], "{name}");
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = include_str!("../../Cargo.toml");
    let tables = manifest.split("[dependencies]").nth(1).unwrap().split("[profile").next().unwrap();
    let lines: Vec<_> = tables.lines().filter(|line| line.contains('=')).collect();
    assert!(lines.len() > CRATES.len());
    for line in lines {
        assert!(line.contains(" # "), "{line}");
    }
}

#[test]
fn every_file_is_introduced_and_not_too_long() {
    for (file, source) in sources() {
        assert!(
            source.starts_with("//! ") || is_test(&file) || file.ends_with("tests.rs"),
            "{file}: no introduction"
        );
        let lines = source.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        assert!(lines <= LINES_MAX || is_test(&file), "{file}: {lines} lines");
        for (number, line) in source.lines().enumerate() {
            // A table of a test may be as wide as its cases.
            let is_wide = line.chars().count() > 100 && !line.contains('"');
            assert!(!is_wide, "{file}:{}: wider than 100", number + 1);
        }
    }
}
