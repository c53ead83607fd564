//! Method and path → route and grouping labels (SPEC 1, 1.1).
//!
//! ```text
//! target  = [ scheme "://" authority ] path [ "?" query ]
//! path    = prefix "/metrics/job" [ "@base64" ] "/" job *( "/" name [ "@base64" ] "/" value ) [ "/" ]
//! ```
//!
//! The raw path is split on `/` first and each part is decoded then, so an encoded slash is a slash
//! in its part. Nothing is ever redirected.

use crate::bytes::base64::decode_base64;
use crate::observe::telemetry::Reason;
use crate::push::sample::{Label, Names, Quoted};
use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

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
    /// The status page, for who admits HTML.
    Page,
    /// What the status page shows.
    Status,
    /// Anything else.
    NotFound,
}

/// The labels of a URL: sorted by name in byte order, each name once, the job among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    job: String,
    labels: Vec<Label<'static>>,
}

impl Group {
    /// The job, never empty.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// All labels. An empty value is one that the URL gives: it removes the body's label.
    pub fn labels(&self) -> &[Label<'static>] {
        &self.labels
    }
}

/// What becomes of the lines of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// They go to the output.
    Output,
    /// They are the answer, and go nowhere else.
    DryRun,
}

/// What is wrong with the labels of a URL; always 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A `%` that two hexadecimal digits do not follow.
    Percent {
        /// The part of the path.
        part: Vec<u8>,
    },
    /// A part that is not UTF-8 once decoded.
    NotUtf8 {
        /// The part of the path.
        part: Vec<u8>,
    },
    /// A value that is not base64.
    Base64 {
        /// The label's name.
        name: String,
        /// The value as sent.
        value: String,
    },
    /// A label name that the input does not allow.
    Name {
        /// The name.
        name: String,
        /// What the input allows.
        names: Names,
    },
    /// A label name that begins with `__`.
    ReservedName {
        /// The name.
        name: String,
    },
    /// The job is empty.
    EmptyJob,
    /// A label without a value.
    NoValue {
        /// The label's name, as sent.
        name: Vec<u8>,
    },
}

impl Error {
    /// How it is counted: as one reason, whatever is wrong with the labels.
    pub(crate) fn reason(&self) -> Reason {
        Reason::Url
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Percent { part } => {
                write!(f, "URL part {}: % must be followed by two hexadecimal digits", Quoted(part))
            }
            Error::NotUtf8 { part } => {
                write!(f, "URL part {}: must be UTF-8 once decoded", Quoted(part))
            }
            Error::Base64 { name, value } => {
                let (name, value) = (Quoted(name.as_bytes()), Quoted(value.as_bytes()));
                write!(f, "URL label {name}: {value} is not base64, URL-safe or standard")
            }
            Error::Name { name, names } => {
                let allowed = match names {
                    Names::Legacy => "[a-zA-Z_][a-zA-Z0-9_]* (or any name with utf8_names = true)",
                    Names::Utf8 => "not empty",
                };
                write!(f, "URL label {}: a label name must be {allowed}", Quoted(name.as_bytes()))
            }
            Error::ReservedName { name } => {
                let name = Quoted(name.as_bytes());
                write!(f, "URL label {name}: a label name must not begin with __")
            }
            Error::EmptyJob => write!(f, "URL: the job must not be empty"),
            Error::NoValue { name } => {
                let name = Quoted(name);
                write!(
                    f,
                    "URL label {name}: has no value, expected /<label>/<value> pairs behind the job"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

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

/// Where pushes go, for who pushed elsewhere: one path for each endpoint.
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

/// The group of a push that has no URL: what a URL with this job and these labels would give. They
/// are written into the path of one, percent-encoded, and read from there, so that the rules stand
/// only once.
///
/// # Errors
/// Those of the labels of a URL.
pub fn group(job: &[u8], labels: &[(Vec<u8>, Vec<u8>)], names: Names) -> Result<Group, Error> {
    let mut parts = Vec::new();
    encode(job, &mut parts);
    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
        parts.push(b'/');
        encode(part, &mut parts);
    }
    read_group(&parts, Encoding::Plain, names)
}

/// Percent-encodes one part of a path: every byte but letters, digits and `_`.
fn encode(part: &[u8], path: &mut Vec<u8>) {
    for byte in part {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => path.push(*byte),
            // OK because writing to a Vec never fails.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
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

/// How the value of a label is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Base64,
}

/// `job *( "/" name "/" value ) [ "/" ]`, where the trailing slash is right behind the job, or the
/// empty value of the last label.
fn read_group(parts: &[u8], encoding: Encoding, names: Names) -> Result<Group, Error> {
    let mut parts = parts.split(|byte| *byte == b'/');
    let job = read_value("job", parts.next().unwrap_or_default(), encoding)?;
    if job.is_empty() {
        return Err(Error::EmptyJob);
    }
    let mut labels = Vec::new();
    while let Some(name) = parts.next() {
        let Some(value) = parts.next() else {
            if name.is_empty() && labels.is_empty() {
                break;
            }
            return Err(Error::NoValue { name: name.to_vec() });
        };
        labels.push(read_label(name, value, names)?);
    }
    labels.push(Label { name: Cow::Borrowed("job"), value: job.clone().into() });
    // The sort keeps the order of equal names, so the last of them, which wins, stands last.
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    labels.reverse();
    labels.dedup_by(|earlier, later| earlier.name == later.name);
    labels.reverse();
    Ok(Group { job, labels })
}

fn read_label(name: &[u8], value: &[u8], names: Names) -> Result<Label<'static>, Error> {
    let name = decode(name)?;
    let (name, encoding) = match name.strip_suffix("@base64") {
        Some(name) => (name, Encoding::Base64),
        None => (&*name, Encoding::Plain),
    };
    let name = check_name(name, names)?;
    let value = read_value(&name, value, encoding)?;
    Ok(Label { name: Cow::Owned(name), value: value.into() })
}

fn check_name(name: &str, names: Names) -> Result<String, Error> {
    let name = match names {
        Names::Legacy => name.to_owned(),
        Names::Utf8 => unescape_name(name).unwrap_or_else(|| name.to_owned()),
    };
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_legacy = name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit());
    let is_allowed = is_legacy || (names == Names::Utf8 && !name.is_empty());
    if !is_allowed {
        return Err(Error::Name { name, names });
    }
    if name.starts_with("__") {
        return Err(Error::ReservedName { name });
    }
    Ok(name)
}

fn read_value(name: &str, value: &[u8], encoding: Encoding) -> Result<String, Error> {
    let text = decode(value)?;
    match encoding {
        Encoding::Plain => Ok(text.into_owned()),
        Encoding::Base64 => {
            let error =
                || Error::Base64 { name: name.to_owned(), value: text.clone().into_owned() };
            let bytes = decode_base64(&text).ok_or_else(error)?;
            String::from_utf8(bytes).map_err(|_| Error::NotUtf8 { part: value.to_vec() })
        }
    }
}

/// Percent-decodes one part of the path (RFC 3986, section 2.1); `+` is a plus.
fn decode(part: &[u8]) -> Result<Cow<'_, str>, Error> {
    let error = || Error::NotUtf8 { part: part.to_vec() };
    if !part.contains(&b'%') {
        return std::str::from_utf8(part).map(Cow::Borrowed).map_err(|_| error());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let [byte, behind @ ..] = rest {
        if *byte == b'%' {
            let (value, behind) = hex_pair(behind).ok_or(Error::Percent { part: part.to_vec() })?;
            bytes.push(value);
            rest = behind;
        } else {
            bytes.push(*byte);
            rest = behind;
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| error())
}

fn hex_pair(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

/// Prometheus' `U__` escaping undone (prometheus/common, `model.UnescapeName`, scheme `values`):
/// `__` is `_`, `_<hex>_` the character of that number. None where the name is not escaped, or not
/// well.
fn unescape_name(name: &str) -> Option<String> {
    // The largest code point has six digits.
    const HEX_DIGITS_MAX: usize = 6;
    let mut rest = name.strip_prefix("U__")?;
    let mut text = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        let (plain, behind) = rest.split_at_checked(at)?;
        text.push_str(plain);
        let behind = behind.strip_prefix('_')?;
        if let Some(behind) = behind.strip_prefix('_') {
            text.push('_');
            rest = behind;
            continue;
        }
        let (hex, behind) = behind.split_once('_')?;
        let is_hex = !hex.is_empty()
            && hex.len() <= HEX_DIGITS_MAX
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = is_hex.then(|| u32::from_str_radix(hex, 16).ok())??;
        text.push(char::from_u32(code)?);
        rest = behind;
    }
    text.push_str(rest);
    Some(text)
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
                "URL label \"x\": has no value, expected /<label>/<value> pairs behind the job",
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
