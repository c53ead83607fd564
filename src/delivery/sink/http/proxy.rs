//! The environment → the proxy that a store is reached through, by the variables that curl reads.
//!
//! `http_proxy` for `http://` (in lower case only: a CGI script has `HTTP_PROXY` from its client),
//! `https_proxy` or `HTTPS_PROXY` for `https://`, `all_proxy` or `ALL_PROXY` for both; hosts that
//! `no_proxy` or `NO_PROXY` lists are reached without one.

/// The proxy for a host, as its variable says it. `variable` looks a variable up.
pub(super) fn find(
    is_tls: bool,
    host: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let first = |names: &[&str]| {
        let values = names.iter().filter_map(|name| variable(name));
        values.map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
    };
    let none = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    if bypasses(&none, host) {
        return None;
    }
    match is_tls {
        true => first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        false => first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
    }
}

/// Whether the list names the host: `*`, the host, or a domain that it is in, with a leading dot or
/// without one.
fn bypasses(list: &str, host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.trim_start_matches('.').trim_matches(['[', ']']).to_ascii_lowercase();
        let domain = host.strip_suffix(&entry);
        entry == "*" || domain.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_curl_name_the_proxy() {
        const HTTP: bool = false;
        const TLS: bool = true;
        for (is_tls, host, variables, want) in [
            (HTTP, "store", &[("http_proxy", "http://p:1")][..], Some("http://p:1")),
            (HTTP, "store", &[("HTTP_PROXY", "http://p:1")], None),
            (HTTP, "store", &[("https_proxy", "http://p:1")], None),
            (
                TLS,
                "store",
                &[("https_proxy", "http://p:1"), ("HTTPS_PROXY", "x")],
                Some("http://p:1"),
            ),
            (TLS, "store", &[("HTTPS_PROXY", " p:1 ")], Some("p:1")),
            (HTTP, "store", &[("ALL_PROXY", "p:2")], Some("p:2")),
            (TLS, "store", &[("https_proxy", ""), ("all_proxy", "p:3")], Some("p:3")),
            (HTTP, "store", &[("http_proxy", "p"), ("no_proxy", "*")], None),
            (HTTP, "store", &[("http_proxy", "p"), ("NO_PROXY", "other, STORE")], None),
            (HTTP, "a.example.com", &[("http_proxy", "p"), ("no_proxy", ".example.com")], None),
            (HTTP, "a.example.com", &[("http_proxy", "p"), ("no_proxy", "example.com")], None),
            (
                HTTP,
                "badexample.com",
                &[("http_proxy", "p"), ("no_proxy", "example.com")],
                Some("p"),
            ),
            (HTTP, "[::1]", &[("http_proxy", "p"), ("no_proxy", "::1")], None),
            (HTTP, "store", &[], None),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(find(is_tls, host, variable).as_deref(), want, "{host} {variables:?}");
        }
    }
}
