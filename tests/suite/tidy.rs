//! Holds the structure: who may import whom, which file names which crate, how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms in tiers; a room may import only rooms of tiers before its own.
const TIERS: [&[&str]; 10] = [
    &["limits"],
    &["system", "json", "current", "heartbeat"],
    &["bytes", "observe", "tls"],
    &["push"],
    &["delivery"],
    &["status"],
    &["intake"],
    &["config", "supervise"],
    &["app"],
    &["lib", "main"],
];

/// The same inside the rooms that have rooms of their own; `mod` composes the others.
const INNER_TIERS: [(&str, &[&[&str]]); 3] = [
    (
        "push",
        &[
            &["sample"],
            &["exposition", "route", "body"],
            &["mapping"],
            &["line"],
            &["remarks"],
            &["mod"],
        ],
    ),
    (
        "delivery",
        &[&["condition"], &["queue"], &["sink"], &["spool"], &["writer", "emitter"], &["mod"]],
    ),
    ("intake", &[&["bridge"], &["worker", "gate"], &["mod"]]),
];

/// The one file that may name each crate.
const CRATES: [(&str, &str); 21] = [
    ("base64", "bytes/base64.rs"),
    ("crc32fast", "delivery/spool/format.rs"),
    ("crossbeam_channel", "delivery/queue/channel.rs"),
    ("flate2", "bytes/deflate.rs"),
    ("httparse", "intake/gate/head.rs"),
    ("httpdate", "delivery/sink/http/retry_after.rs"),
    ("listenfd", "intake/gate/listen.rs"),
    ("quick_protobuf", "push/exposition/protobuf/wire.rs"),
    ("rustix", "system.rs"),
    ("rustls", "tls/protocol.rs"),
    ("rustls_native_certs", "tls/protocol.rs"),
    ("sha2", "bytes/sha256.rs"),
    ("signal_hook", "app/signals.rs"),
    ("simdutf8", "push/exposition/text/reader.rs"),
    ("snap", "push/body.rs"),
    ("subtle", "intake/gate/auth.rs"),
    ("tiny_http", "intake/bridge/lane.rs"),
    ("toml", "config/file.rs"),
    ("ureq", "delivery/sink/http/client.rs"),
    ("wide", "bytes/chunk.rs"),
    ("zmij", "push/line/number.rs"),
];

/// Lines of a source file without its tests.
const LINES_MAX: usize = 450;

/// Every source file, by its path below `src`, without what only tests use.
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

/// The sources that are part of the product.
fn product() -> impl Iterator<Item = (String, String)> {
    let is_test = |file: &str| file.ends_with("tests.rs") || file.starts_with("testing/");
    sources().into_iter().filter(move |(file, _)| !is_test(file))
}

/// The source without comments and without the tests at its end.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The module that a file is: `push/line/mod.rs` is `push::line`.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    match path {
        "lib" | "main" => Vec::new(),
        _ => path.split('/').map(str::to_owned).collect(),
    }
}

/// All paths of the code, those of `use a::{b, c}` one by one.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        rest = path(rest, &[], &mut found);
    }
    found
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Reads one path, or one list of paths, at the start of `code`; returns what follows.
fn path<'c>(code: &'c str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'c str {
    let mut segments = prefix.to_vec();
    let mut rest = code;
    loop {
        if let Some(mut list) = rest.strip_prefix('{').filter(|_| !segments.is_empty()) {
            loop {
                list = list.trim_start_matches(|char: char| char.is_whitespace() || char == ',');
                if let Some(rest) = list.strip_prefix('}') {
                    return rest;
                }
                if !list.starts_with(is_word) && !list.starts_with('{') {
                    return list;
                }
                list = path(list, &segments, found);
            }
        }
        let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        if end > 0 {
            segments.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        match rest.strip_prefix("::") {
            Some(after) if after.starts_with(|char| is_word(char) || char == '{') => rest = after,
            _ => break,
        }
    }
    if segments.len() > 1 {
        found.push(segments);
    }
    rest
}

/// The files that a file imports.
fn imports(file: &str, code: &str, modules: &BTreeMap<Vec<String>, String>) -> BTreeSet<String> {
    let own = module(file);
    let mut imports = BTreeSet::new();
    for path in paths(code) {
        let mut at = own.clone();
        let mut segments = path.iter().map(String::as_str).peekable();
        match segments.peek().copied() {
            Some("crate" | "pushline") => at.clear(),
            Some("self" | "super") => {}
            // A module below this one, or nothing of ours.
            Some(first) => {
                let below: Vec<_> = own.iter().cloned().chain([first.to_owned()]).collect();
                if !modules.contains_key(&below) {
                    continue;
                }
            }
            None => continue,
        }
        for segment in segments {
            match segment {
                "crate" | "pushline" | "self" => {}
                "super" => drop(at.pop()),
                name => {
                    at.push(name.to_owned());
                    if !modules.contains_key(&at) {
                        at.pop();
                        break;
                    }
                }
            }
        }
        if let Some(found) = modules.get(&at).filter(|found| *found != file) {
            imports.insert(found.clone());
        }
    }
    imports
}

/// Which file imports which.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let modules = product().map(|(file, _)| (module(&file), file)).filter(|(at, _)| !at.is_empty());
    let modules: BTreeMap<_, _> = modules.collect();
    product()
        .map(|(file, source)| {
            let imports = imports(&file, &code(&source), &modules);
            (file, imports)
        })
        .collect()
}

/// The tier of a room.
fn tier(tiers: &[&[&str]], room: &str) -> usize {
    let found = tiers.iter().position(|rooms| rooms.contains(&room));
    found.unwrap_or_else(|| panic!("in which tier is {room}?"))
}

/// The room of a file, or, below `parent`, the room inside it.
fn room<'f>(file: &'f str, parent: Option<&str>) -> &'f str {
    let path = parent.map_or(file, |parent| &file[parent.len() + 1..]);
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn data_flows_one_way() {
    let mut checked = 0;
    for (file, imports) in graph() {
        let own = room(&file, None);
        for import in imports {
            let its = room(&import, None);
            checked += 1;
            if its != own {
                let flows = tier(&TIERS, its) < tier(&TIERS, own);
                assert!(flows, "{file} must not import {import}");
            } else if let Some((_, tiers)) = INNER_TIERS.iter().find(|(name, _)| *name == own) {
                let (inner, its) = (room(&file, Some(own)), room(&import, Some(own)));
                let flows = its == inner || tier(tiers, its) < tier(tiers, inner);
                assert!(flows, "{file} must not import {import}");
            }
        }
    }
    assert!(checked > 200, "only {checked} imports were seen");
}

/// Files that reach each other, however far around.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Vec<String>> {
    let reach = |start: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(file) = next.pop() {
            for import in &graph[&file] {
                if seen.insert(import.clone()) {
                    next.push(import.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = graph.keys().map(|file| (file.clone(), reach(file))).collect();
    let circle = |file: &String| {
        let back = reached[file].iter().filter(|other| reached[*other].contains(file));
        back.cloned().collect::<Vec<_>>()
    };
    graph.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_files_import_each_other() {
    let found = circles(&graph());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn imports_are_read_out_of_every_way_to_write_them() {
    let files = ["a/mod.rs", "a/b.rs", "a/c/mod.rs", "a/c/d.rs", "e.rs"];
    let modules: BTreeMap<_, _> =
        files.iter().map(|file| (module(file), (*file).to_owned())).collect();
    for (file, code, want) in [
        ("e.rs", "use crate::a::b::Thing;", vec!["a/b.rs"]),
        (
            "e.rs",
            "use crate::a::{b::{One, Two}, c::d, Three};",
            vec!["a/b.rs", "a/c/d.rs", "a/mod.rs"],
        ),
        ("e.rs", "fn f() { crate::a::c::run(1) }", vec!["a/c/mod.rs"]),
        ("a/b.rs", "use super::c::d::X; use super::Y;", vec!["a/c/d.rs", "a/mod.rs"]),
        ("a/mod.rs", "use c::d; let x = b::new();", vec!["a/b.rs", "a/c/d.rs"]),
        ("a/c/d.rs", "impl Trait for super::super::b::Z {}", vec!["a/b.rs"]),
        ("a/b.rs", "use std::io; b::c(); io::e::f()", vec![]),
    ] {
        let found: Vec<_> = imports(file, code, &modules).into_iter().collect();
        assert_eq!(found, want, "{file}: {code}");
    }
    let circle = BTreeMap::from([
        ("x".to_owned(), BTreeSet::from(["y".to_owned()])),
        ("y".to_owned(), BTreeSet::from(["z".to_owned()])),
        ("z".to_owned(), BTreeSet::from(["x".to_owned()])),
        ("w".to_owned(), BTreeSet::from(["x".to_owned()])),
    ]);
    assert_eq!(circles(&circle), BTreeSet::from([vec!["x".into(), "y".into(), "z".into()]]));
}

#[test]
fn one_noun_names_one_type() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, source) in product() {
        for line in code(&source).lines() {
            let words: Vec<_> =
                line.split(|char| !is_word(char)).filter(|it| !it.is_empty()).collect();
            let words =
                words.iter().skip_while(|word| matches!(**word, "pub" | "crate" | "super" | "in"));
            let words: Vec<_> = words.collect();
            if let [&"struct" | &"enum" | &"trait", name, ..] = words[..] {
                files.entry((*name).to_owned()).or_default().insert(file.clone());
            }
        }
    }
    // OK because `Error` is what every room calls its own, and is written with the room's name.
    let is_shared = |(name, files): &(String, BTreeSet<String>)| files.len() > 1 && name != "Error";
    let shared: BTreeMap<_, _> = files.into_iter().filter(is_shared).collect();
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn each_crate_is_named_in_one_file() {
    let manifest = include_str!("../../Cargo.toml");
    let own = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names = own.lines().filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")));
    assert_eq!(names.collect::<Vec<_>>(), CRATES.map(|(name, _)| name));
    for (name, file) in CRATES {
        let users: Vec<_> = product()
            .filter(|(_, source)| {
                let code = code(source);
                let starts_with_it = |path: &Vec<String>| path[0] == name;
                paths(&code).iter().any(starts_with_it) || code.contains(&format!("use {name};"))
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
        let is_test = file.ends_with("tests.rs") || file.starts_with("testing/");
        assert!(source.starts_with("//! ") || is_test, "{file}: no introduction");
        let lines = source.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        assert!(lines <= LINES_MAX || is_test, "{file}: {lines} lines");
        for (number, line) in source.lines().enumerate() {
            // A table of a test may be as wide as its cases.
            let is_wide = line.chars().count() > 100 && !line.contains('"');
            assert!(!is_wide, "{file}:{}: wider than 100", number + 1);
        }
    }
}

#[test]
fn no_script_installs_anything_on_the_machine_of_who_runs_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut looked_at = 0;
    let mut folders = vec![root.join("scripts"), root.join("tests"), root.join(".ci")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let is_built = ["target", "node_modules"].iter().any(|name| entry.ends_with(name));
            if entry.is_dir() && !is_built {
                folders.push(entry);
                continue;
            }
            let is_script = entry.extension().is_none_or(|kind| kind == "py" || kind == "sh");
            let Some(text) = std::fs::read_to_string(&entry).ok().filter(|_| is_script) else {
                continue;
            };
            looked_at += 1;
            // Words apart, as in a list of arguments too.
            let words = text.replace(['"', '\'', ','], " ");
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            for command in ["apt-get install", "apt-get -y install", "dpkg -i", "dpkg --install"] {
                assert!(!words.contains(command), "{}: {command}", entry.display());
            }
        }
    }
    assert!(looked_at > 15, "{looked_at} scripts");
}
