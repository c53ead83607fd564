//! Method and path → route (SPEC 1); the grouping labels are read in `group`.
//!
//! ```text
//! target  = [ scheme "://" authority ] path [ "?" query ]
//! path    = prefix "/metrics/job" [ "@base64" ] "/" job *( "/" name [ "@base64" ] "/" value ) [ "/" ]
//! ```
//!
//! The raw path is split on `/` first and each part is decoded then, so an encoded slash is a slash
//! in its part. Nothing is ever redirected.

mod group;

use crate::push::sample::Names;
use group::{Encoding, read_group};
use std::fmt;

pub use group::{Error, Group, group};

/// Where one input takes its pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Normalised: empty, or one leading `/` and no trailing one.
    pub prefix: String,
    /// Which label names its URLs may use.
    pub names: Names,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A push to the endpoint of that index.
    Push {
        /// The index of the endpoint.
        input: usize,
        /// The labels of the URL.
        group: Group,
    },
    /// A push to a path that no input takes.
    PushNotFound,
    /// `DELETE` of a group: there is nothing to delete.
    Delete,
    /// Which methods a group allows.
    Options,
    /// A group and another method.
    MethodNotAllowed,
    /// pushline's own metrics.
    OwnMetrics,
    /// The status page, for clients that admit HTML.
    Page,
    /// What the status page shows.
    Status,
    /// Anything else.
    NotFound,
}

/// What becomes of the lines of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// They go to the output.
    Output,
    /// They are the answer, and go nowhere else.
    DryRun,
}

/// Brings a `route_prefix` into its one form: one leading `/`, no trailing one, or empty.
pub fn normalise_prefix(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        inner => format!("/{inner}"),
    }
}

/// What a probe asks. The gate answers it: no push may hold it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HealthCheck {
    /// Whether the process serves.
    Healthy,
    /// Whether it can take pushes.
    Ready,
}

/// The health check that a request is.
pub(crate) fn health_check(method: &str, target: &[u8]) -> Option<HealthCheck> {
    if !matches!(method, "GET" | "HEAD") {
        return None;
    }
    match path_of(target) {
        b"/-/healthy" => Some(HealthCheck::Healthy),
        b"/-/ready" => Some(HealthCheck::Ready),
        _ => None,
    }
}

/// Finds the route of a request that is no [`health_check`]. `target` is the raw request target.
///
/// # Errors
/// The path of a push whose URL labels are wrong, whatever the method.
pub fn route(method: &str, target: &[u8], endpoints: &[Endpoint]) -> Result<Route, Error> {
    let path = path_of(target);
    if let Some(route) = own_route(method, path) {
        return Ok(route);
    }
    let Some((input, encoding, parts)) = find_input(path, endpoints) else {
        return Ok(not_found(method));
    };
    let names = endpoints.get(input).map(|endpoint| endpoint.names).unwrap_or_default();
    let group = read_group(parts, encoding, names)?;
    Ok(match method {
        "PUT" | "POST" => Route::Push { input, group },
        "DELETE" => Route::Delete,
        "OPTIONS" => Route::Options,
        _ => Route::MethodNotAllowed,
    })
}

/// Which endpoint takes a request, whatever its method and its labels; none where none does.
pub(crate) fn input_of(target: &[u8], endpoints: &[Endpoint]) -> Option<usize> {
    find_input(path_of(target), endpoints).map(|(input, ..)| input)
}

/// The first endpoint whose paths begin as this one does, how the job is written, and the parts.
fn find_input<'p>(path: &'p [u8], endpoints: &[Endpoint]) -> Option<(usize, Encoding, &'p [u8])> {
    endpoints.iter().enumerate().find_map(|(input, endpoint)| {
        let rest = path.strip_prefix(endpoint.prefix.as_bytes())?.strip_prefix(b"/metrics/")?;
        let encoding = match rest.strip_prefix(b"job")? {
            [b'/', ..] => Encoding::Plain,
            _ if rest.starts_with(b"job@base64/") => Encoding::Base64,
            _ => return None,
        };
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        Some((input, encoding, rest.get(slash + 1..)?))
    })
}

/// Where pushes go, for those who pushed elsewhere: one path for each endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushPaths<'e>(pub(crate) &'e [Endpoint]);

impl fmt::Display for PushPaths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, endpoint) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { " or " };
            write!(f, "{separator}{}/metrics/job/<job>{{/<label>/<value>}}", endpoint.prefix)?;
        }
        Ok(())
    }
}

/// What the query of a push says of its lines: `dry_run`, `dry_run=1` and `dry_run=true` ask for a
/// dry run. The rest of the query, and every other spelling, is ignored, as SPEC 1 has it.
pub(crate) fn delivery(target: &[u8]) -> Delivery {
    let without_fragment = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let query = without_fragment.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
    let asks = |pair: &[u8]| matches!(pair, b"dry_run" | b"dry_run=1" | b"dry_run=true");
    if query.split(|byte| *byte == b'&').any(asks) { Delivery::DryRun } else { Delivery::Output }
}

/// The path of a request target (RFC 9112, section 3.2): without a query, and without scheme and
/// authority where a client sends the absolute form.
fn path_of(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    let absolute = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        path.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme))?;
        path.get(scheme.len()..)
    });
    match absolute {
        Some(rest) => {
            let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            rest.get(slash..).unwrap_or_default()
        }
        None => path,
    }
}

fn own_route(method: &str, path: &[u8]) -> Option<Route> {
    let route = match path {
        b"/" => Route::Page,
        b"/api/v1/status" => Route::Status,
        b"/metrics" => Route::OwnMetrics,
        _ => return None,
    };
    Some(if matches!(method, "GET" | "HEAD") { route } else { not_found(method) })
}

fn not_found(method: &str) -> Route {
    if matches!(method, "PUT" | "POST") { Route::PushNotFound } else { Route::NotFound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    fn endpoints(names: Names) -> Vec<Endpoint> {
        [("", names), ("/v1/x", Names::Legacy)]
            .map(|(prefix, names)| Endpoint { prefix: prefix.to_owned(), names })
            .to_vec()
    }

    fn labels_of(target: &str) -> Result<String, String> {
        match route("POST", target.as_bytes(), &endpoints(Names::Utf8)) {
            Ok(Route::Push { group, .. }) => {
                let pairs =
                    group.labels().iter().map(|label| format!("{}={}", label.name, label.value));
                Ok(pairs.collect::<Vec<_>>().join(" "))
            }
            Ok(other) => Ok(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_method_and_a_path_have_one_route() {
        for (method, target, want) in [
            ("GET", "/", Route::Page),
            ("HEAD", "/?x", Route::Page),
            ("POST", "/", Route::PushNotFound),
            ("GET", "/api/v1/status", Route::Status),
            ("PUT", "/api/v1/status", Route::PushNotFound),
            ("DELETE", "/", Route::NotFound),
            ("DELETE", "/metrics/jobs/a", Route::NotFound),
            ("GET", "/api/v1/status/", Route::NotFound),
            ("GET", "/metrics", Route::OwnMetrics),
            ("HEAD", "/metrics?x", Route::OwnMetrics),
            ("POST", "/metrics", Route::PushNotFound),
            ("DELETE", "/metrics/job/a", Route::Delete),
            ("DELETE", "/v1/x/metrics/job/a/b/c", Route::Delete),
            ("OPTIONS", "/metrics/job@base64/YQ", Route::Options),
            ("GET", "/metrics/job/a", Route::MethodNotAllowed),
            ("post", "/metrics/job/a", Route::MethodNotAllowed),
            ("POST", "/metrics/job", Route::PushNotFound),
            ("POST", "/metrics/jobs/a", Route::PushNotFound),
            ("POST", "//metrics/job/a", Route::PushNotFound),
            ("GET", "http://host:1/metrics", Route::OwnMetrics),
            ("GET", "HTTPS://host", Route::NotFound),
            ("OPTIONS", "*", Route::NotFound),
            ("GET", "", Route::NotFound),
        ] {
            let found = route(method, target.as_bytes(), &endpoints(Names::Legacy));
            assert_eq!(found, Ok(want), "{method} {target}");
        }
    }

    #[test]
    fn labels_are_decoded_and_the_last_one_wins() {
        for (target, want) in [
            ("/metrics/job/a/z/1/b/2?c=3", "b=2 job=a z=1"),
            ("/metrics/job/a/x/1/x/2/job/b", "job=a x=2"),
            ("/metrics/job/a%2Fb/x@base64/YS9i/", "error"),
            ("/metrics/job/a%2Fb/x@base64/YS9i", "job=a/b x=a/b"),
            ("/metrics/job@base64/YQ==/x@base64/=", "job=a x="),
            ("/metrics/job@base64/YQ=/x@base64/YWI=====", "job=a x=ab"),
            ("/metrics/job@base64/YWJj=/x@base64/===", "job=abc x="),
            ("/metrics/job@base64/YQ=Yg==", "error"),
            ("/metrics/job/a/U__a_2e_b/1/U__c__d/2", "a.b=1 c_d=2 job=a"),
            ("/metrics/job/a/U__a_110000_b/1", "U__a_110000_b=1 job=a"),
            ("/metrics/job/a/", "job=a"),
            ("/metrics/job/a/x/", "job=a x="),
        ] {
            let found = labels_of(target).unwrap_or_else(|_| "error".to_owned());
            assert_eq!(found, want, "{target}");
        }
    }

    #[test]
    fn an_error_names_the_part_of_the_url_and_what_is_allowed() {
        for (target, want) in [
            (
                "/metrics/job/a%zz",
                "URL part \"a%zz\": % must be followed by two hexadecimal digits",
            ),
            ("/metrics/job/%ff", "URL part \"%ff\": must be UTF-8 once decoded"),
            (
                "/metrics/job/a/x@base64/!",
                "URL label \"x\": \"!\" is not base64, URL-safe or standard",
            ),
            ("/metrics/job/a/__x/1", "URL label \"__x\": a label name must not begin with __"),
            ("/metrics/job/a//1", "URL label \"\": a label name must be not empty"),
            ("/metrics/job//x", "URL: the job must not be empty"),
            (
                "/metrics/job/a/x",
                "URL label \"x\": has no value, expected /<label>/<value> pairs after the job",
            ),
        ] {
            assert_eq!(labels_of(target).unwrap_err(), want, "{target}");
        }
        let error =
            route("PUT", b"/metrics/job/a/my-zone/1", &endpoints(Names::Legacy)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "URL label \"my-zone\": a label name must be [a-zA-Z_][a-zA-Z0-9_]* (or any name with \
             utf8_names = true)"
        );
    }

    #[test]
    fn a_probe_asks_by_its_path_and_does_not_push() {
        for (method, target, want) in [
            ("GET", "/-/healthy", Some(HealthCheck::Healthy)),
            ("HEAD", "/-/ready?verbose", Some(HealthCheck::Ready)),
            ("GET", "http://host/-/healthy", Some(HealthCheck::Healthy)),
            ("GET", "/-/healthy/", None),
            ("POST", "/-/healthy", None),
            ("DELETE", "/-/ready", None),
        ] {
            assert_eq!(health_check(method, target.as_bytes()), want, "{method} {target}");
        }
    }

    #[test]
    fn wrong_labels_are_told_whatever_the_method() {
        for target in ["/metrics/job/a/x", "/metrics/job//x/1", "/metrics/job/a/my-zone/1"] {
            let of = |method| route(method, target.as_bytes(), &endpoints(Names::Legacy));
            let want = of("POST");
            assert!(want.is_err(), "{target}");
            for method in ["DELETE", "OPTIONS", "GET", "HEAD", "PATCH"] {
                assert_eq!(of(method), want, "{method} {target}");
            }
        }
    }

    #[test]
    fn a_push_elsewhere_is_told_the_path_of_every_input() {
        let want = "/metrics/job/<job>{/<label>/<value>} or \
                    /v1/x/metrics/job/<job>{/<label>/<value>}";
        assert_eq!(PushPaths(&endpoints(Names::Legacy)).to_string(), want);
    }

    #[test]
    fn a_group_without_a_url_has_the_rules_of_one() {
        let labels = |pairs: &[(&str, &str)]| -> Vec<(Vec<u8>, Vec<u8>)> {
            pairs
                .iter()
                .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()))
                .collect()
        };
        for (job, pairs, target) in [
            ("a", &[][..], "/metrics/job/a"),
            (
                "a/b ä%",
                &[("x", "1/2?#"), ("x", "")],
                "/metrics/job/a%2Fb%20%C3%A4%25/x/1%2F2%3F%23/x/",
            ),
            ("a", &[("job", "b"), ("z@base64", "YT0+")], "/metrics/job/a/job/b/z@base64/YT0+"),
            ("a", &[("", "")], "/metrics/job/a//"),
            ("", &[("x", "1")], "/metrics/job//x/1"),
            ("a", &[("my-zone", "1")], "/metrics/job/a/my-zone/1"),
            ("a", &[("__x", "1")], "/metrics/job/a/__x/1"),
            ("a", &[("x@base64", "!")], "/metrics/job/a/x@base64/!"),
        ] {
            let found = group(job.as_bytes(), &labels(pairs), Names::Legacy);
            let want = route("PUT", target.as_bytes(), &endpoints(Names::Legacy));
            let want = want.map(|route| match route {
                Route::Push { group, .. } => group,
                other => panic!("{target}: {other:?}"),
            });
            assert_eq!(found, want, "{target}");
        }
        assert!(group(b"\xff", &[], Names::Utf8).is_err());
    }

    #[test]
    fn only_the_spellings_of_a_dry_run_ask_for_one() {
        for query in ["?dry_run", "?dry_run=1", "?a=b&dry_run=true", "?dry_run=1&dry_run=0#x"] {
            let target = format!("/metrics/job/a{query}");
            assert_eq!(delivery(target.as_bytes()), Delivery::DryRun, "{query}");
        }
        for query in [
            "",
            "?",
            "?dry_run=0",
            "?dry_run=TRUE",
            "?dry_run=",
            "?dry-run",
            "?xdry_run=1",
            "#?dry_run",
        ] {
            let target = format!("/metrics/job/dry_run=1{query}");
            assert_eq!(delivery(target.as_bytes()), Delivery::Output, "{query}");
        }
    }

    #[test]
    fn any_target_has_a_route_or_an_error() {
        const PIECES: [&[u8]; 16] = [
            b"/",
            b"//",
            b"metrics",
            b"job",
            b"@base64",
            b"%2F",
            b"%",
            b"%zz",
            b"U__",
            b"_2e_",
            b"=",
            b"\xff",
            b"\xc3\xa9",
            b"a",
            b"?",
            b"http://h",
        ];
        let mut random = Random::new(0x2545_f491_4f6c_dd1d);
        let mut pushes = 0;
        for _ in 0..100_000 {
            let mut target =
                if random.below(4) > 0 { b"/metrics/job/".to_vec() } else { Vec::new() };
            for _ in 0..random.below(12) {
                target.extend_from_slice(PIECES[random.below(PIECES.len())]);
            }
            match route("POST", &target, &endpoints(Names::Utf8)) {
                Ok(Route::Push { group, .. }) => {
                    assert!(!group.job().is_empty());
                    assert!(group.labels().is_sorted_by(|a, b| a.name < b.name));
                    pushes += 1;
                }
                Ok(_) => {}
                Err(error) => assert!(!error.to_string().contains('\n')),
            }
        }
        assert!(pushes > 5000, "only {pushes} pushes");
    }

    #[test]
    fn a_prefix_has_one_form() {
        for (prefix, want) in [("", ""), ("/", ""), ("a", "/a"), ("//a/b//", "/a/b")] {
            assert_eq!(normalise_prefix(prefix), want);
        }
    }
}
