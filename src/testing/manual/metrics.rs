//! `pushline-metrics(7)`: `scripts/packaging/metrics.md` as a manual page.

use super::file;
use super::roff::Page;

pub(super) fn page() -> String {
    let markdown = std::fs::read_to_string(file("scripts/packaging/metrics.md")).unwrap();
    let about = "metrics, status and messages of pushline";
    let mut page = Page::new("pushline-metrics", 7, about);
    page.section("DESCRIPTION");
    let (_, body) = markdown.split_once("\n\n").unwrap();
    let mut is_code = false;
    // Code keeps its empty lines, so it is told from text before blocks are.
    for part in body.split("```") {
        if is_code {
            let (_, code) = part.split_once('\n').unwrap();
            page.literal(code);
        } else {
            part.split("\n\n").for_each(|block| push_block(&mut page, block.trim_matches('\n')));
        }
        is_code = !is_code;
    }
    page.section("SEE ALSO");
    page.paragraph("`pushline`(1), `pushline.toml`(5)");
    page.into_text()
}

/// A heading, a table, a list or a paragraph.
fn push_block(page: &mut Page, block: &str) {
    if block.is_empty() || block.starts_with("![") || block.starts_with("<!--") {
        return;
    }
    if let Some(heading) = block.strip_prefix("## ") {
        page.section(&heading.to_uppercase());
    } else if block.starts_with("| ") {
        block.lines().skip(2).for_each(|row| push_row(page, row));
    } else if block.starts_with("- ") {
        for item in format!("\n{block}").split("\n- ").skip(1) {
            page.bullet(&joined(item));
        }
    } else {
        page.paragraph(&joined(block));
    }
}

/// A row of a table: its last cell explains the others.
fn push_row(page: &mut Page, row: &str) {
    let mut cells = cells(row);
    let last = cells.pop().unwrap();
    let term: Vec<_> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
    page.entry(&term.join("  "), last);
}

/// The cells of a row: a bar within code is none of its bars.
fn cells(row: &str) -> Vec<&str> {
    let mut is_code = false;
    let is_bar = |char| {
        is_code ^= char == '`';
        char == '|' && !is_code
    };
    let inner = row.trim().trim_matches('|');
    inner.split(is_bar).map(str::trim).collect()
}

fn joined(lines: &str) -> String {
    lines.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
