//! The status page: one HTML file with its style and script in it, and who is given it.
//!
//! `GET /` is not a path of the Pushgateway protocol, and a client that names no content type it
//! would take gets 404 there, as for any other path. A browser and curl name one (RFC 9110, section
//! 12.5.1), and get the page.
//!
//! The page may do nothing but run its own script, apply its own style and ask its own server:
//! both are named by their hashes, so nothing that a pusher sends could run even if it became
//! markup, which it never does.

/// The page.
pub(crate) const PAGE: &str = include_str!("page.html");

/// Its content type.
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// Its header lines, each with its CRLF. A test tells the hashes after a change of the page.
pub(crate) const HEADERS: &str = "Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; \
    style-src 'sha256-VGpsZlNtSvEemtbvlxnPF5P1bwXA/JEesf/VLt2HGxs='; \
    script-src 'sha256-CiJDianRAHXyKPg+UzOPcPGBEbQGj9imdAU9ILc2XMI='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Referrer-Policy: no-referrer\r\n\
    Vary: Accept\r\n\
    X-Content-Type-Options: nosniff\r\n";

/// Whether an `Accept` header admits HTML. The most specific of its ranges decides (RFC 9110,
/// section 12.5.1): `text/html;q=0, */*` takes anything but a page.
pub(crate) fn is_admitted(accept: Option<&str>) -> bool {
    const RANGES: [&str; 3] = ["*/*", "text/*", "text/html"];
    let ranges = accept.unwrap_or_default().split(',').filter_map(|range| {
        let mut parts = range.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next()?;
        let specificity = RANGES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some((specificity, !parts.any(is_zero_weight)))
    });
    ranges.max_by_key(|(specificity, _)| *specificity).is_some_and(|(_, is_wanted)| is_wanted)
}

/// `weight = OWS ";" OWS "q=" qvalue`, a qvalue of zero (RFC 9110, section 12.4.2)
fn is_zero_weight(parameter: &str) -> bool {
    let value = parameter.strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
    value.is_some_and(|value| value.starts_with('0') && value.bytes().all(|b| b"0.".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::condition::NotReady;
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn who_admits_html_is_given_the_page() {
        for (accept, want) in [
            (None, false),
            (Some(""), false),
            (Some("*/*"), true),
            (Some("text/html"), true),
            (Some("TEXT/HTML;Q=0.1"), true),
            (Some("text/*;q=0.5"), true),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), true),
            (Some("application/json, text/html;level=1"), true),
            (Some("application/json, */*; q=0.001"), true),
            (Some("application/json"), false),
            (Some("text/plain"), false),
            (Some("text/html;q=0"), false),
            (Some("text/html; q=0.000"), false),
            (Some("*/*, text/html;q=0"), false),
            (Some("text/html;q=0, text/*"), false),
            (Some("*/*;q=0, text/html"), true),
            (Some("text/htmlx, xtext/html, text"), false),
        ] {
            assert_eq!(is_admitted(accept), want, "{accept:?}");
        }
    }

    fn element(name: &str) -> &'static str {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        assert_eq!(PAGE.matches(&open).count(), 1);
        let inner = PAGE.split(&open).nth(1).unwrap();
        inner.split(&close).next().unwrap()
    }

    /// The hash of a source expression (CSP 3, section 2.3.1), by coreutils.
    fn hash(text: &str) -> String {
        let script = "sha256sum | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        format!("'sha256-{}'", String::from_utf8(output.stdout).unwrap().trim())
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_of_the_page_and_nothing_else() {
        let (style, script) = (hash(element("style")), hash(element("script")));
        let want = format!("style-src {style}; script-src {script}; ");
        assert!(HEADERS.contains(&want), "the hashes are now\n{style}\n{script}");
        assert!(!HEADERS.contains("unsafe"));
    }

    #[test]
    fn the_page_asks_nobody_else_and_makes_no_markup_of_text() {
        for forbidden in [
            "http:",
            "https:",
            "//",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "write(",
            "eval(",
            " style=",
            "onclick",
            "src=",
            "@import",
        ] {
            // The name of an XML vocabulary is no request.
            let page =
                PAGE.replace("http://www.w3.org/2000/svg", "").replace("location.origin", "");
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(PAGE.len() < 40 * 1024, "{} bytes", PAGE.len());
        assert!(PAGE.is_ascii());
    }

    #[test]
    fn the_page_has_words_for_each_state_and_for_no_other() {
        let words: Arc<str> = "x".into();
        let (for_time, next_try) = (Duration::ZERO, Duration::ZERO);
        let not_ready = [
            NotReady::Stalled { for_time, error: None },
            NotReady::Misconfigured { words: Arc::clone(&words), for_time, next_try },
            NotReady::ReaderRefuses { words: Arc::clone(&words), for_time },
            NotReady::SpoolFull { words },
            NotReady::ShuttingDown,
            NotReady::OutputEnded,
            NotReady::Defect,
        ];
        let others = ["healthy", "slow", "spooling"];
        let want: BTreeSet<_> = not_ready.iter().map(NotReady::word).chain(others).collect();
        let table = PAGE.split("const WORDS = {").nth(1).unwrap().split("};").next().unwrap();
        let found = table.split(": [").map(|part| part.rsplit([' ', ',']).next().unwrap());
        let found: BTreeSet<_> = found.filter(|name| !name.is_empty() && *name != "\n").collect();
        assert_eq!(found, want);
    }
}
