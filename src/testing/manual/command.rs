//! `pushline(1)`: the commands and their flags.

use super::roff::Page;
use super::{Flag, Spec, commands};

pub(super) fn page() -> String {
    let [serve, convert, spool] = commands();
    let mut page = Page::new("pushline", 1, serve.about);
    page.section("SYNOPSIS");
    for usage in [serve.usage[0], convert.usage[0], spool.usage[0]] {
        page.paragraph(&format!("`{usage}`"));
    }
    page.section("DESCRIPTION");
    page.paragraph(
        "pushline takes metrics that are pushed in the Prometheus Pushgateway protocol and writes \
         them, at once, as InfluxDB line protocol to one output: a store's HTTP write API, a pipe, \
         a file or a socket. It aggregates nothing. A push that is answered with 200 is on the \
         output or, with a spool, on the disk until the output takes it.",
    );
    page.section("OPTIONS");
    flags(&mut page, &serve);
    notes(&mut page, serve.notes);
    for command in [convert, spool] {
        page.section(&command.name.to_uppercase());
        page.paragraph(&format!("`{}` tells {}.", command.name, command.about));
        page.paragraph(&joined(command.description));
        flags(&mut page, &command);
        notes(&mut page, command.notes);
    }
    page.section("EXAMPLES");
    page.literal(
        "pushline --output 'http://127.0.0.1:8086/write?db=metrics&precision=ns'\n\
         echo 'backup_duration_seconds 42.5' |\n  \
         curl --data-binary @- http://127.0.0.1:9091/metrics/job/backup/instance/db1\n\
         pushline --check --config /etc/pushline/pushline.toml\n\
         pushline convert --job backup --label instance=db1 metrics.txt",
    );
    page.section("FILES");
    page.entry("`/etc/pushline/pushline.toml`", "the configuration of the Debian package");
    page.entry(
        "`/usr/share/doc/pushline`",
        "how it is packaged and operated, `conf.sample`, and examples for each consumer",
    );
    page.section("SEE ALSO");
    page.paragraph("`pushline.toml`(5), `pushline-metrics`(7), `curl`(1), `systemd.service`(5)");
    page.into_text()
}

fn flags(page: &mut Page, command: &Spec) {
    for Flag { name, short, value, about, .. } in &command.flags {
        let short = short.map(|short| format!("`{short}`, ")).unwrap_or_default();
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        page.entry(&format!("{short}`{name}`{value}"), &format!("{about}."));
    }
}

/// Paragraphs; what is indented in them is two columns.
fn notes(page: &mut Page, notes: &str) {
    for part in notes.split("\n\n") {
        let (literal, running): (Vec<_>, Vec<_>) =
            part.lines().partition(|line| line.starts_with("  "));
        // "Exit status:" begins a sentence of its own.
        let running = running.join("\n").replace("\nExit status:", "\n\nExit status:");
        for paragraph in running.split("\n\n").filter(|it| !it.trim().is_empty()) {
            page.paragraph(&joined(paragraph));
        }
        for (term, text) in terms(&literal) {
            page.entry(&format!("`{term}`"), &text);
        }
    }
}

/// Two columns: the second may go on in further lines.
fn terms(lines: &[&str]) -> Vec<(String, String)> {
    let mut terms: Vec<(String, String)> = Vec::new();
    for line in lines {
        let line = line.strip_prefix("  ").unwrap();
        let (term, text) = line.split_once("  ").unwrap_or((line, ""));
        if term.is_empty() || term.starts_with(' ') {
            let (_, last) = terms.last_mut().unwrap();
            last.push(' ');
            last.push_str(line.trim());
        } else {
            terms.push((term.to_owned(), text.trim().to_owned()));
        }
    }
    terms
}

fn joined(lines: &str) -> String {
    lines.trim_end().replace('\n', " ")
}
