//! The pages for readers: each TOML block is a good configuration, and each link leads
//! somewhere. `page_commands` runs their commands.

use crate::process::{command, folder};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown page of the tree.
pub(crate) fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && name != ".git" && name != "node_modules" {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The fenced blocks of a page in that language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(found)) => open = Some((found == language, String::new())),
            (Some((is_wanted, text)), Some(_)) => {
                if *is_wanted {
                    blocks.push(std::mem::take(text));
                }
                open = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn every_toml_block_of_every_page_is_a_good_configuration() {
    let (folder, mut count) = (folder(), 0);
    let (path, credentials) = (folder.join("page.toml"), folder.join("credentials"));
    std::fs::write(&credentials, "bearer abc\n").unwrap();
    std::fs::set_permissions(&credentials, Permissions::from_mode(0o600)).unwrap();
    for page in pages() {
        for toml in blocks(&std::fs::read_to_string(&page).unwrap(), "toml") {
            // The folder of a spool, certificates and credentials must be there.
            let mut toml = toml.replace("/var/lib/pushline/spool", folder.to_str().unwrap());
            let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
            for (named, found) in [
                ("tls.crt", tls.join("server.pem")),
                ("tls.key", tls.join("server.key")),
                ("clients.crt", tls.join("ca.pem")),
                ("credentials", credentials.clone()),
            ] {
                toml = toml.replace(&format!("/etc/pushline/{named}"), found.to_str().unwrap());
            }
            std::fs::write(&path, &toml).unwrap();
            let output = command().arg("--check").arg("--config").arg(&path).output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{}: {message}\n{toml}", page.display());
            count += 1;
        }
    }
    assert!(count >= 2, "only {count}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(path.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() && path.extension().is_some_and(|it| it == "md") {
                let found = std::fs::read_to_string(&path).unwrap();
                let headings = found.lines().filter(|line| line.starts_with('#'));
                let anchors: Vec<_> = headings.map(anchor_of).collect();
                assert!(anchors.iter().any(|it| it == anchor), "{}: {target}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 20, "only {count}");
}

/// The anchor of a heading, as GitHub makes it.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn the_variables_of_the_page_for_users_of_datakit_are_known() {
    let page =
        std::fs::read_to_string(root().join("scripts/examples/datakit/README.zh.md")).unwrap();
    // The variables that the page names are the ones that pushline knows.
    for line in page.lines().filter(|line| line.starts_with("| `ENV_")) {
        let name = line.split('`').nth(1).unwrap();
        let value = if name.contains("ROUTE") || name.contains("NAME") && !name.contains("METRIC") {
            "/a"
        } else {
            "True"
        };
        let output = command().arg("--check").env(name, value).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
