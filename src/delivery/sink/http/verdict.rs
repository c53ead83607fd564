//! A store's answer to a POST → what it means for the lines that were sent (SPEC 3.2).
//!
//! [`judge`] is pure, and is the only place that knows what statuses mean. A status alone does not
//! tell everything: several stores say 400 both of a bad line and of a URL that names no database.
//! Were the second taken for the first, every line would be dropped because of one mistake of the
//! operator, so the words of such answers are known ([`OPERATOR_WORDS`]).
//!
//! Some stores name the lines that they refuse, by number: InfluxDB 3 all of them, QuestDB the
//! first. The numbers are a hint where to take the block apart: lines are only refused because they
//! are named where every line of a request is (see `take_apart`).

use crate::limits::STORE_WORDS_BYTES_MAX;
use crate::push::sample::Quoted;
use std::fmt;
use std::time::Duration;

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every line is taken.
    Taken,
    /// Something in the request is refused.
    Refused {
        /// The lines that the store names, counted from 0 within the request.
        named: Vec<usize>,
    },
    /// The request is too large.
    TooLarge,
    /// The store does not want requests like this one: nothing but the operator can change that.
    Misconfigured,
    /// The store failed over this request, or fails over every one: 500.
    Faulty,
    /// The store cannot take the request now.
    Busy,
}

/// What a store answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StoreAnswer {
    /// The final status, never a 1xx.
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect leads, without the query, which may have secrets.
    pub(super) location: Option<Vec<u8>>,
    /// The beginning of its body.
    pub(super) body: Vec<u8>,
}

impl StoreAnswer {
    /// Where it leads, if it is a redirect (RFC 9110, section 15.4).
    fn redirect(&self) -> Option<&[u8]> {
        self.location.as_deref().filter(|_| (300..=399).contains(&self.status))
    }
}

impl fmt::Display for StoreAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from the store", self.status)?;
        if let Some(location) = self.redirect() {
            write!(f, ", a redirect to {}, which is not followed", Quoted(location))?;
        }
        match words(&self.body) {
            words if words.is_empty() => Ok(()),
            words => write!(f, ": \"{words}\""),
        }
    }
}

/// What stores say with a 400 when the operator has made a mistake, in lower case.
const OPERATOR_WORDS: [&str; 9] = [
    // InfluxDB 1: influxdata/influxdb services/httpd/handler.go, serveWrite.
    "database is required",
    // GreptimeDB: StatusCode::DatabaseNotFound is a 400, GreptimeTeam/greptimedb
    // src/servers/src/error.rs, status_code_to_http_status.
    "database not found",
    // VictoriaMetrics: VictoriaMetrics/VictoriaMetrics lib/httpserver/httpserver.go.
    "unsupported path requested",
    "missing -http.pathprefix",
    // vmauth: VictoriaMetrics/VictoriaMetrics app/vmauth/main.go, processRequest.
    "missing route for",
    // DataKit: GuanceCloud/datakit internal/httpapi/err.go; InfluxDB 2 says the same.
    "invalid precision",
    "invalid category",
    // InfluxDB 3: influxdata/influxdb influxdb3_server/src/http.rs, MissingWriteParams.
    "missing query param",
    // vminsert: VictoriaMetrics/VictoriaMetrics lib/auth/auth.go, NewToken.
    "cannot parse accountid",
];

/// What an answer means.
pub(super) fn judge(answer: &StoreAnswer) -> Verdict {
    match answer.status {
        200..=299 => Verdict::Taken,
        400 if is_mistake_of_operator(&answer.body) => Verdict::Misconfigured,
        400 | 422 => Verdict::Refused { named: named_lines(&answer.body) },
        413 => Verdict::TooLarge,
        500 => Verdict::Faulty,
        408 | 425 | 429 | 501..=599 => Verdict::Busy,
        _ => Verdict::Misconfigured,
    }
}

fn is_mistake_of_operator(body: &[u8]) -> bool {
    let words = words(body).to_lowercase();
    OPERATOR_WORDS.iter().any(|mistake| words.contains(mistake))
}

/// The lines that the answer names, from 0, in ascending order.
fn named_lines(body: &[u8]) -> Vec<usize> {
    let body = String::from_utf8_lossy(body);
    let mut lines = numbers(&body, "line_number");
    if lines.is_empty() {
        lines = numbers(&body, "line");
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The values of a key whose values are numbers from 1, each less one.
fn numbers(json: &str, key: &str) -> Vec<usize> {
    let number = |text: &str| {
        let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse::<usize>().ok()?.checked_sub(1)
    };
    values(json, key).filter_map(number).collect()
}

/// What follows each `"key":`. Found without a parser: within a JSON string the quote before the
/// colon would be escaped, and the key would not be followed by a bare quote.
fn values<'j>(json: &'j str, key: &str) -> impl Iterator<Item = &'j str> {
    let quoted = format!("\"{key}\"");
    let ends: Vec<usize> = json.match_indices(&quoted).map(|(at, it)| at + it.len()).collect();
    ends.into_iter()
        .filter_map(|end| json.get(end..)?.trim_start().strip_prefix(':'))
        .map(str::trim_start)
}

/// What the store says, on one line: the message of a JSON answer, the title of a page, or the text
/// as it is, cut to [`STORE_WORDS_BYTES_MAX`].
pub(super) fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let message = |key| values(text, key).find_map(json_string);
    let found = if text.starts_with('{') {
        match (message("error").or_else(|| message("message")), message("error_message")) {
            (Some(error), Some(first)) => format!("{error}: {first}"),
            (Some(error), None) => error,
            _ => text.to_owned(),
        }
    } else {
        title(text).unwrap_or(text).to_owned()
    };
    let mut found: String = found.split_whitespace().collect::<Vec<_>>().join(" ");
    found.retain(|char| !char.is_control());
    let mut end = STORE_WORDS_BYTES_MAX.min(found.len());
    while !found.is_char_boundary(end) {
        end -= 1;
    }
    found.truncate(end);
    found
}

/// The string that begins here, unescaped; one that is cut off ends where it is cut.
fn json_string(text: &str) -> Option<String> {
    let mut string = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => match chars.next() {
                Some('n' | 't' | 'r' | 'b' | 'f') => string.push(' '),
                Some('u') => {
                    let code: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&code, 16).ok();
                    string.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
                }
                other => string.extend(other),
            },
            other => string.push(other),
        }
    }
    Some(string)
}

/// The title of a page, as proxies answer with one.
fn title(text: &str) -> Option<&str> {
    let (_, rest) = text.strip_prefix('<')?.split_once("<title>")?;
    Some(rest.split_once("</title>")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a store answers: where its source says so, the status, the body, what it means, and
    /// the words for the log.
    type Row = (&'static str, u16, &'static str, Want, &'static str);

    /// A [`Verdict`] in a constant.
    #[derive(Clone, Copy)]
    enum Want {
        Taken,
        Refused(&'static [usize]),
        TooLarge,
        Misconfigured,
        Faulty,
        Busy,
    }

    impl Want {
        fn verdict(self) -> Verdict {
            match self {
                Want::Taken => Verdict::Taken,
                Want::Refused(named) => Verdict::Refused { named: named.to_vec() },
                Want::TooLarge => Verdict::TooLarge,
                Want::Misconfigured => Verdict::Misconfigured,
                Want::Faulty => Verdict::Faulty,
                Want::Busy => Verdict::Busy,
            }
        }
    }

    fn check(rows: &[Row]) {
        for (source, status, body, want, said) in rows {
            let body_bytes = body.as_bytes().to_vec();
            let answer =
                StoreAnswer { status: *status, body: body_bytes, ..StoreAnswer::default() };
            assert_eq!(judge(&answer), want.verdict(), "{source}: {status} {body}");
            assert_eq!(words(body.as_bytes()), *said, "{source}: {status} {body}");
        }
    }

    const INFLUXDB: &[Row] = &[
        ("influxdb 1 services/httpd/handler.go", 204, "", Want::Taken, ""),
        (
            "influxdb 1 services/httpd/handler.go",
            400,
            r#"{"error":"unable to parse 'cpu value': invalid field format"}"#,
            Want::Refused(&[]),
            "unable to parse 'cpu value': invalid field format",
        ),
        (
            "influxdb 1 services/httpd/handler.go",
            400,
            r#"{"error":"partial write: unable to parse 'cpu': missing fields dropped=0"}"#,
            Want::Refused(&[]),
            "partial write: unable to parse 'cpu': missing fields dropped=0",
        ),
        (
            "influxdb 1 tsdb/shard.go",
            400,
            r#"{"error":"partial write: field type conflict: input field \"value\" on measurement \"cpu\" is type float, already exists as type integer dropped=1"}"#,
            Want::Refused(&[]),
            "partial write: field type conflict: input field \"value\" on measurement \"cpu\" is type float, already exists as type integer dropped=1",
        ),
        (
            "influxdb 1 tsdb/shard.go",
            400,
            r#"{"error":"partial write: max-values-per-tag limit exceeded (100000/100000): measurement=\"cpu\" tag=\"host\" value=\"a\" dropped=3"}"#,
            Want::Refused(&[]),
            "partial write: max-values-per-tag limit exceeded (100000/100000): measurement=\"cpu\" tag=\"host\" value=\"a\" dropped=3",
        ),
        (
            "influxdb 1 coordinator/points_writer.go",
            400,
            r#"{"error":"partial write: points beyond retention policy dropped=2"}"#,
            Want::Refused(&[]),
            "partial write: points beyond retention policy dropped=2",
        ),
        (
            "influxdb 1 services/httpd/handler.go",
            400,
            r#"{"error":"database is required"}"#,
            Want::Misconfigured,
            "database is required",
        ),
        (
            "influxdb 1 services/httpd/handler.go",
            404,
            r#"{"error":"database not found: \"metrics\""}"#,
            Want::Misconfigured,
            "database not found: \"metrics\"",
        ),
        (
            "influxdb 1 services/httpd/handler.go",
            401,
            r#"{"error":"unable to parse authentication credentials"}"#,
            Want::Misconfigured,
            "unable to parse authentication credentials",
        ),
        (
            "influxdb 1 services/httpd/handler.go",
            403,
            r#"{"error":"\"u\" user is not authorized to write to database \"metrics\""}"#,
            Want::Misconfigured,
            "\"u\" user is not authorized to write to database \"metrics\"",
        ),
        (
            "influxdb 1 services/httpd/handler.go",
            413,
            r#"{"error":"Request Entity Too Large"}"#,
            Want::TooLarge,
            "Request Entity Too Large",
        ),
        (
            "influxdb 1 tsdb/engine/tsm1/cache.go",
            500,
            r#"{"error":"engine: cache-max-memory-size exceeded: (1073741834/1073741824)"}"#,
            Want::Faulty,
            "engine: cache-max-memory-size exceeded: (1073741834/1073741824)",
        ),
        (
            "influxdb 1 coordinator/points_writer.go",
            500,
            r#"{"error":"timeout"}"#,
            Want::Faulty,
            "timeout",
        ),
        (
            "influxdb 1 services/httpd/handler.go, throttler",
            503,
            r#"{"error":"request throttled, exceeds timeouts"}"#,
            Want::Busy,
            "request throttled, exceeds timeouts",
        ),
        (
            "influxdb 2 http/write_handler.go",
            400,
            r#"{"code":"invalid","message":"unable to parse 'cpu': missing fields"}"#,
            Want::Refused(&[]),
            "unable to parse 'cpu': missing fields",
        ),
        (
            "influxdb 2 http/write_handler.go",
            400,
            r#"{"code":"invalid","message":"invalid precision; valid precision units are ns, us, ms, and s"}"#,
            Want::Misconfigured,
            "invalid precision; valid precision units are ns, us, ms, and s",
        ),
        (
            "influxdb 2 http/legacy/write_handler.go",
            422,
            r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped=1"}"#,
            Want::Refused(&[]),
            "failure writing points to database: partial write: points beyond retention policy dropped=1",
        ),
        (
            "influxdb 2 http/auth_handler.go",
            401,
            r#"{"code":"unauthorized","message":"unauthorized access"}"#,
            Want::Misconfigured,
            "unauthorized access",
        ),
        (
            "influxdb 2 http/write_handler.go",
            404,
            r#"{"code":"not found","message":"bucket \"metrics\" not found"}"#,
            Want::Misconfigured,
            "bucket \"metrics\" not found",
        ),
        (
            "influxdb 2 http/points/points_parser.go",
            413,
            r#"{"code":"request too large","message":"cannot read data: points batch is too large"}"#,
            Want::TooLarge,
            "cannot read data: points batch is too large",
        ),
        (
            "influxdb 2 http/write_handler.go",
            500,
            r#"{"code":"internal error","message":"unexpected error writing points to database: timeout"}"#,
            Want::Faulty,
            "unexpected error writing points to database: timeout",
        ),
        (
            "influxdb 3 influxdb3_server/src/http.rs, PartialLpWrite",
            400,
            r#"{"error":"partial write of line protocol occurred","data":[{"original_line":"a \"line_number\":9","line_number":2,"error_message":"No fields were provided"},{"original_line":"b","line_number":5,"error_message":"x"}]}"#,
            Want::Refused(&[1, 4]),
            "partial write of line protocol occurred: No fields were provided",
        ),
        (
            "influxdb 3 influxdb3_server/src/http.rs, ParseError",
            400,
            r#"{"error":"parsing failed for write_lp endpoint","data":{"original_line":"cpu,host=a val= 123","line_number":1,"error_message":"No fields were provided"}}"#,
            Want::Refused(&[0]),
            "parsing failed for write_lp endpoint: No fields were provided",
        ),
        (
            "influxdb 3 influxdb3_server/src/http.rs, limits",
            422,
            r#"{"error":"partial write of line protocol occurred","data":[{"original_line":"t f=1","line_number":1,"error_message":"Update to schema would exceed number of tables per database limit of 2000 tables"}]}"#,
            Want::Refused(&[0]),
            "partial write of line protocol occurred: Update to schema would exceed number of tables per database limit of 2000 tables",
        ),
        (
            "influxdb 3 influxdb3_server/src/http.rs",
            400,
            "missing query parameters 'db'",
            Want::Misconfigured,
            "missing query parameters 'db'",
        ),
        (
            "influxdb 3 influxdb3_server/src/http.rs",
            401,
            r#"{"error": "the request was not authenticated"}"#,
            Want::Misconfigured,
            "the request was not authenticated",
        ),
    ];

    #[test]
    fn answers_of_influxdb_are_understood() {
        check(INFLUXDB);
    }

    const OTHERS: &[Row] = &[
        ("VictoriaMetrics lib/protoparser/influx/stream", 204, "", Want::Taken, ""),
        (
            "VictoriaMetrics lib/protoparser/common/lines_reader.go",
            400,
            "remoteAddr: \"127.0.0.1:1\"; cannot read influx line protocol data: too long line: more than 262144 bytes\n",
            Want::Refused(&[]),
            "remoteAddr: \"127.0.0.1:1\"; cannot read influx line protocol data: too long line: more than 262144 bytes",
        ),
        (
            "VictoriaMetrics lib/httpserver/httpserver.go",
            400,
            "remoteAddr: \"127.0.0.1:1\"; requestURI: /writ; unsupported path requested: \"/writ\"",
            Want::Misconfigured,
            "remoteAddr: \"127.0.0.1:1\"; requestURI: /writ; unsupported path requested: \"/writ\"",
        ),
        (
            "VictoriaMetrics lib/writeconcurrencylimiter",
            503,
            "cannot process insert request for 60.000 seconds because 16 concurrent insert requests are executed",
            Want::Busy,
            "cannot process insert request for 60.000 seconds because 16 concurrent insert requests are executed",
        ),
        (
            "vminsert lib/auth/auth.go",
            400,
            "auth error: cannot parse accountID from \"x\"",
            Want::Misconfigured,
            "auth error: cannot parse accountID from \"x\"",
        ),
        (
            "vminsert app/vminsert/netstorage",
            503,
            "cannot send 4 rows because all the storage nodes are unavailable",
            Want::Busy,
            "cannot send 4 rows because all the storage nodes are unavailable",
        ),
        (
            "vmauth app/vmauth/main.go",
            401,
            "missing `Authorization` request header\n",
            Want::Misconfigured,
            "missing `Authorization` request header",
        ),
        (
            "vmauth app/vmauth/main.go",
            400,
            "missing route for \"/write\"",
            Want::Misconfigured,
            "missing route for \"/write\"",
        ),
        (
            "vmauth app/vmauth/main.go",
            429,
            "cannot serve more than -maxConcurrentRequests=1000 concurrent requests",
            Want::Busy,
            "cannot serve more than -maxConcurrentRequests=1000 concurrent requests",
        ),
        (
            "vmauth app/vmauth/main.go",
            503,
            "all the backends for the user \"u\" are unavailable",
            Want::Busy,
            "all the backends for the user \"u\" are unavailable",
        ),
        (
            "questdb LineHttpProcessorState.java",
            400,
            "{\"code\":\"invalid\",\"message\":\"failed to parse line protocol:errors encountered on line(s):\\nerror in line 3: table: cpu; invalid column name: a:b\",\"line\":3,\"errorId\":\"a-1\"}",
            Want::Refused(&[2]),
            "failed to parse line protocol:errors encountered on line(s): error in line 3: table: cpu; invalid column name: a:b",
        ),
        (
            "questdb LineHttpProcessorState.java",
            413,
            r#"{"code":"request too large","message":"failed to parse line protocol:errors encountered on line(s):unable to read data: ILP line does not fit QuestDB ILP buffer size","line":1,"errorId":"a-2"}"#,
            Want::TooLarge,
            "failed to parse line protocol:errors encountered on line(s):unable to read data: ILP line does not fit QuestDB ILP buffer size",
        ),
        (
            "questdb LineHttpProcessorState.java",
            415,
            r#"{"code":"not supported","message":"gzip encoding is not supported","errorId":"a-3"}"#,
            Want::Misconfigured,
            "gzip encoding is not supported",
        ),
        (
            "questdb LineHttpProcessorState.java",
            403,
            r#"{"code":"unauthorised","message":"write error: cpu, errno: -1, error: Access denied","line":1,"errorId":"a-4"}"#,
            Want::Misconfigured,
            "write error: cpu, errno: -1, error: Access denied",
        ),
        (
            "questdb LineHttpProcessorState.java",
            500,
            r#"{"code":"internal error","message":"commit error for table: cpu, errno: 28, error: No space left","errorId":"a-5"}"#,
            Want::Faulty,
            "commit error for table: cpu, errno: 28, error: No space left",
        ),
        (
            "greptimedb src/servers/src/http/result/error_result.rs",
            400,
            r#"{"code":1004,"error":"Failed to parse InfluxDB line protocol: a generic parsing error occurred","execution_time_ms":0}"#,
            Want::Refused(&[]),
            "Failed to parse InfluxDB line protocol: a generic parsing error occurred",
        ),
        (
            "greptimedb src/servers/src/error.rs",
            400,
            r#"{"code":4003,"error":"Database not found: metrics","execution_time_ms":0}"#,
            Want::Misconfigured,
            "Database not found: metrics",
        ),
        (
            "greptimedb src/servers/src/error.rs",
            401,
            r#"{"code":7003,"error":"Not found http or grpc authorization header","execution_time_ms":0}"#,
            Want::Misconfigured,
            "Not found http or grpc authorization header",
        ),
        (
            "greptimedb src/servers/src/error.rs",
            429,
            r#"{"code":6001,"error":"rate limited","execution_time_ms":0}"#,
            Want::Busy,
            "rate limited",
        ),
        (
            "greptimedb src/servers/src/error.rs",
            503,
            r#"{"code":5003,"error":"region busy","execution_time_ms":0}"#,
            Want::Busy,
            "region busy",
        ),
        ("datakit internal/httpapi/api_write.go", 200, "", Want::Taken, ""),
        (
            "datakit internal/httpapi/api_write.go",
            400,
            r#"{"error_code":"datakit.invalidLinePoint","message":"invalid lineprotocol: unable to parse 'a b': invalid field format: body(4 bytes)"}"#,
            Want::Refused(&[]),
            "invalid lineprotocol: unable to parse 'a b': invalid field format: body(4 bytes)",
        ),
        (
            "datakit internal/httpapi/err.go",
            400,
            r#"{"error_code":"datakit.invalidCategory","message":"invalid category"}"#,
            Want::Misconfigured,
            "invalid category",
        ),
        (
            "datakit internal/httpapi/err.go",
            403,
            r#"{"error_code":"datakit.publicAccessDisabled","message":"api /v1/write/metric disabled from IP 10.0.0.1"}"#,
            Want::Misconfigured,
            "api /v1/write/metric disabled from IP 10.0.0.1",
        ),
        (
            "datakit internal/httpapi/err.go",
            429,
            r#"{"error_code":"datakit.reachLimit","message":"reach max API limit"}"#,
            Want::Busy,
            "reach max API limit",
        ),
        ("telegraf plugins/inputs/influxdb_listener", 204, "", Want::Taken, ""),
        (
            "telegraf plugins/inputs/influxdb_listener",
            400,
            r#"{"error":"metric parse error: expected field at 1:4: \"cpu\" (and 2 other parse errors)"}"#,
            Want::Refused(&[]),
            "metric parse error: expected field at 1:4: \"cpu\" (and 2 other parse errors)",
        ),
        (
            "telegraf plugins/inputs/influxdb_listener",
            413,
            r#"{"error":"http: request body too large"}"#,
            Want::TooLarge,
            "http: request body too large",
        ),
        (
            "nginx",
            413,
            "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body></body></html>",
            Want::TooLarge,
            "413 Request Entity Too Large",
        ),
        (
            "nginx",
            502,
            "<html><head><title>502 Bad Gateway</title></head></html>",
            Want::Busy,
            "502 Bad Gateway",
        ),
    ];

    #[test]
    fn answers_of_other_stores_are_understood() {
        check(OTHERS);
    }

    #[test]
    fn every_status_has_its_meaning() {
        for (statuses, want) in [
            (vec![200, 201, 202, 204, 206, 299], Want::Taken),
            (vec![400, 422], Want::Refused(&[])),
            (vec![413], Want::TooLarge),
            (
                vec![301, 302, 304, 307, 308, 401, 403, 404, 405, 406, 410, 411, 415, 431, 451],
                Want::Misconfigured,
            ),
            (vec![408, 425, 429, 501, 502, 503, 504, 599], Want::Busy),
            (vec![500], Want::Faulty),
        ] {
            for status in statuses {
                let answer = StoreAnswer { status, ..StoreAnswer::default() };
                assert_eq!(judge(&answer), want.verdict(), "{status}");
            }
        }
    }

    #[test]
    fn words_are_one_bounded_line_whatever_the_store_sends() {
        for (body, want) in [
            (&b""[..], ""),
            (b" two\r\nlines\x00\x1b[1m ", "two lines[1m"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (br#"{"error":"\u0041\q\"#, "Aq"),
            (br#"{"error":"cut off"#, "cut off"),
            (br#"{"error":7,"message" : "second"}"#, "second"),
            (br#"{"other":"x"}"#, r#"{"other":"x"}"#),
            (b"<html><title>never closed", "<html><title>never closed"),
        ] {
            assert_eq!(words(body), want, "{}", body.escape_ascii());
        }
        let long = "é".repeat(STORE_WORDS_BYTES_MAX);
        assert_eq!(words(long.as_bytes()).len(), STORE_WORDS_BYTES_MAX);
        let answer = StoreAnswer { status: 401, body: b"no".to_vec(), ..StoreAnswer::default() };
        assert_eq!(answer.to_string(), "401 from the store: \"no\"");
        assert_eq!(
            StoreAnswer { status: 502, ..StoreAnswer::default() }.to_string(),
            "502 from the store"
        );
    }

    #[test]
    fn a_redirect_tells_where_it_leads_and_that_it_is_not_followed() {
        for (status, location, want) in [
            (
                302,
                Some("https://store/write"),
                ", a redirect to \"https://store/write\", which is not followed",
            ),
            (
                307,
                Some("/\x1b\"login"),
                ", a redirect to \"/\\u{1b}\\\"login\", which is not followed",
            ),
            (302, None, ""),
            // Where something was made, or is to be asked for: no redirect.
            (401, Some("/login"), ""),
        ] {
            let location = location.map(|it| it.as_bytes().to_vec());
            let answer = StoreAnswer { status, location, ..StoreAnswer::default() };
            assert_eq!(answer.to_string(), format!("{status} from the store{want}"));
        }
        let long =
            StoreAnswer { status: 308, location: Some(vec![b'x'; 4096]), ..StoreAnswer::default() };
        assert!(long.to_string().len() < 128, "{long}");
    }
}
