//! Random metric families, rendered as text, as OpenMetrics and as protobuf: the same lines.
//!
//! The generator and the three writers share nothing with the readers.

use crate::lines;
use pushline::push::mapping;
use pushline::push::route::{self, Endpoint, Route};
use pushline::push::sample::Names;
use pushline::push::{Input, PushHeaders, PushLimits, Pusher};
use std::fmt::Write;

const NOW: i64 = 1_764_000_000_000_000_001;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<'t, T: ?Sized>(&mut self, choices: &[&'t T]) -> &'t T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn value(&mut self) -> f64 {
        match self.below(8) {
            0 => 0.0,
            1 => -0.0,
            2 => self.below(1000) as f64,
            3 => self.below(1 << 60) as f64,
            4 => self.below(100_000) as f64 / 1000.0,
            5 => -(self.below(1000) as f64) * 1e-9,
            6 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e21, 1e-7, f64::MAX, 5e-324]
                [self.below(7) as usize],
            _ => loop {
                let number = f64::from_bits(self.next());
                if number.is_finite() {
                    break number;
                }
            },
        }
    }
}

/// One series of a family.
struct Metric {
    labels: Vec<(String, String)>,
    timestamp_ms: Option<i64>,
    value: Valued,
}

enum Valued {
    Simple(f64),
    Summary { quantiles: Vec<(f64, f64)>, sum: f64, count: u64 },
    Histogram { buckets: Vec<(f64, u64)>, sum: f64, count: u64 },
}

struct Family {
    name: String,
    /// The number of its type in protobuf.
    kind: u8,
    metrics: Vec<Metric>,
}

/// The stem of families whose field would be `time`.
const TIME: &str = "time";

fn family(random: &mut Random, names: Names, number: usize) -> Family {
    let stem = match names {
        Names::Utf8 if random.below(3) == 0 => {
            random.one_of(&["a.b c", "温度_x", "#h_\"q\"", "x\\_y\n", "a=b,c"]).to_owned()
        }
        _ => random
            .one_of(&["up", "disk_free", "_x_y_", "job:rate", "le_quantile", "a", "__", TIME])
            .to_owned(),
    };
    let kind = [0, 1, 2, 3, 4, 5][random.below(6) as usize];
    let mut metrics: Vec<Metric> = Vec::new();
    for _ in 0..random.below(6) {
        let mut next = metric(random, names, kind);
        // Most metrics differ from the one before in one label.
        if let Some(last) = metrics.last().filter(|_| random.below(3) > 0) {
            next.labels = last.labels.clone();
            let at = random.below(4) as usize;
            if let Some((_, value)) = next.labels.get_mut(at) {
                *value = random.one_of(&["", "x", "y z", "日本"]).to_owned();
            }
        }
        metrics.push(next);
    }
    let name = if stem == TIME { format!("t{number}_time") } else { format!("{stem}{number}") };
    Family { name, kind, metrics }
}

fn metric(random: &mut Random, names: Names, kind: u8) -> Metric {
    let mut labels: Vec<(String, String)> = Vec::new();
    for _ in 0..random.below(5) {
        let name = match names {
            Names::Utf8 if random.below(4) == 0 => {
                random.one_of(&["k.k", "a b", "日", "q\"", "a:b"])
            }
            _ => {
                random.one_of(&["a", "zone", "job", "time", "time_", "free", "_field", "Z9_", "c_"])
            }
        };
        let value = random.one_of(&[
            "",
            "x",
            "a b",
            "C:\\dir",
            "\\x\\\\y\\é",
            "q\"q",
            "n\nn",
            "tail\\",
            "a,b=c",
            "日本 🚀",
            "\u{7f}\t",
            "le",
        ]);
        if !labels.iter().any(|(known, _)| known == name) {
            labels.push((name.to_owned(), value.to_owned()));
        }
    }
    let timestamp_ms = (random.below(2) == 0)
        .then(|| [0, -5, 1, 1_700_000_000_123, 9_223_372_036_854][random.below(5) as usize]);
    let bounds = [-1.5, 0.0, 0.005, 0.3, 1.0, 10.0, 1e6, 123_456_789.5, f64::INFINITY];
    let value = match kind {
        2 => Valued::Summary {
            quantiles: [0.5, 0.99, 1.0, f64::NAN]
                .iter()
                .take(random.below(5) as usize)
                .map(|quantile| (*quantile, random.value()))
                .collect(),
            sum: random.value(),
            count: random.below(1 << 50),
        },
        4 | 5 => Valued::Histogram {
            buckets: bounds
                .iter()
                .filter(|_| random.below(2) == 0)
                .enumerate()
                .map(|(index, bound)| (*bound, index as u64 * 7))
                .collect(),
            sum: random.value(),
            count: random.below(1 << 50),
        },
        _ => Valued::Simple(random.value()),
    };
    Metric { labels, timestamp_ms, value }
}

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Text,
    OpenMetrics,
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value if value == 0.0 || (1e-3..1e6).contains(&value.abs()) => format!("{value}"),
        value => format!("{value:e}"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// As OpenMetrics takes it too: a backslash stays as it is where it begins no escape.
fn sparingly_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let is_odd = rest.peek().is_some_and(|next| !matches!(next, '\\' | '"' | 'n' | '\n'));
        match char {
            '\\' if is_odd => quoted.push('\\'),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

fn is_legacy(name: &str, colon: bool) -> bool {
    name.chars().enumerate().all(|(at, char)| {
        char.is_ascii_alphabetic()
            || char == '_'
            || (colon && char == ':')
            || (at > 0 && char.is_ascii_digit())
    })
}

struct Writer {
    dialect: Dialect,
    /// How the values of labels are written.
    quoted: fn(&str) -> String,
    text: String,
}

impl Writer {
    fn sample(&mut self, name: &str, metric: &Metric, extra: Option<(&str, f64)>, value: f64) {
        let mut parts = Vec::new();
        for (label, value) in &metric.labels {
            let label = if is_legacy(label, false) { label.clone() } else { quoted(label) };
            parts.push(format!("{label}={}", (self.quoted)(value)));
        }
        if let Some((label, bound)) = extra {
            parts.push(format!("{label}=\"{}\"", number(bound)));
        }
        // A quoted name may stand anywhere in its braces, and any name may be quoted.
        if is_legacy(name, true) && !(self.text.len() + value.to_bits() as usize).is_multiple_of(8)
        {
            self.text.push_str(name);
        } else {
            parts.insert(self.text.len() % (parts.len() + 1), quoted(name));
        }
        if !parts.is_empty() {
            write!(self.text, "{{{}}}", parts.join(",")).unwrap();
        }
        write!(self.text, " {}", number(value)).unwrap();
        match (metric.timestamp_ms, self.dialect) {
            (None, _) => {}
            (Some(millis), Dialect::Text) => write!(self.text, " {millis}").unwrap(),
            (Some(millis), Dialect::OpenMetrics) => {
                let sign = if millis < 0 { "-" } else { "" };
                let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
                write!(self.text, " {sign}{seconds}.{rest:03}").unwrap();
            }
        }
        self.text.push('\n');
    }

    fn family(&mut self, family: &Family) {
        let kind = ["counter", "gauge", "summary", "untyped", "histogram", "gaugehistogram"]
            [usize::from(family.kind)];
        let name = &family.name;
        let shown = if is_legacy(name, true) { name.clone() } else { quoted(name) };
        writeln!(self.text, "# TYPE {shown} {kind}").unwrap();
        let gauge = if family.kind == 5 && self.dialect == Dialect::OpenMetrics { "g" } else { "" };
        for metric in &family.metrics {
            let (sum, count) = match &metric.value {
                Valued::Simple(value) => {
                    self.sample(name, metric, None, *value);
                    continue;
                }
                Valued::Summary { quantiles, sum, count } => {
                    for (quantile, value) in quantiles {
                        self.sample(name, metric, Some(("quantile", *quantile)), *value);
                    }
                    (*sum, *count)
                }
                Valued::Histogram { buckets, sum, count } => {
                    for (bound, count) in buckets {
                        let name = format!("{name}_bucket");
                        self.sample(&name, metric, Some(("le", *bound)), *count as f64);
                    }
                    (*sum, *count)
                }
            };
            self.sample(&format!("{name}_{gauge}sum"), metric, None, sum);
            self.sample(&format!("{name}_{gauge}count"), metric, None, count as f64);
        }
    }
}

fn text(families: &[Family], dialect: Dialect) -> Vec<u8> {
    let is_sparing = dialect == Dialect::OpenMetrics && families.len() > 1;
    let quoted = if is_sparing { sparingly_quoted } else { quoted };
    let mut writer = Writer { dialect, quoted, text: String::new() };
    families.iter().for_each(|family| writer.family(family));
    if dialect == Dialect::OpenMetrics {
        writer.text.push_str("# EOF\n");
    }
    writer.text.into_bytes()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn bytes_field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn int_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn double_field(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

/// The fields of a message, in any order among fields of different numbers.
fn shuffled(random: &mut Random, mut fields: Vec<(u64, Vec<u8>)>) -> Vec<u8> {
    let order: Vec<u64> = (0..20).map(|_| random.next()).collect();
    fields.sort_by_key(|(number, _)| order[*number as usize]);
    fields.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn protobuf(families: &[Family], random: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    for family in families {
        let mut fields = vec![
            (1, bytes_field(1, family.name.as_bytes())),
            (2, bytes_field(2, b"Help.")),
            (3, int_field(3, u64::from(family.kind))),
        ];
        for metric in &family.metrics {
            fields.push((4, bytes_field(4, &protobuf_metric(metric, family.kind, random))));
        }
        let message = shuffled(random, fields);
        body.extend(varint(message.len() as u64));
        body.extend(message);
    }
    body
}

fn protobuf_metric(metric: &Metric, kind: u8, random: &mut Random) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in &metric.labels {
        let pair = shuffled(
            random,
            vec![(1, bytes_field(1, name.as_bytes())), (2, bytes_field(2, value.as_bytes()))],
        );
        fields.push((1, bytes_field(1, &pair)));
    }
    if let Some(millis) = metric.timestamp_ms {
        fields.push((6, int_field(6, millis as u64)));
    }
    let number = [3, 2, 4, 5, 7, 7][usize::from(kind)];
    let value = match &metric.value {
        Valued::Simple(value) => double_field(1, *value),
        Valued::Summary { quantiles, sum, count } => {
            let mut fields = vec![(1, int_field(1, *count)), (2, double_field(2, *sum))];
            for (quantile, value) in quantiles {
                let pair = [double_field(1, *quantile), double_field(2, *value)].concat();
                fields.push((3, bytes_field(3, &pair)));
            }
            shuffled(random, fields)
        }
        Valued::Histogram { buckets, sum, count } => {
            let mut fields = vec![(1, int_field(1, *count)), (2, double_field(2, *sum))];
            for (bound, count) in buckets {
                let bucket = [int_field(1, *count), double_field(2, *bound)].concat();
                fields.push((3, bytes_field(3, &bucket)));
            }
            shuffled(random, fields)
        }
    };
    fields.push((7, bytes_field(number, &value)));
    shuffled(random, fields)
}

fn convert(body: &[u8], content_type: &str, names: Names) -> Vec<u8> {
    let endpoint = Endpoint { prefix: String::new(), names };
    let input = Input { endpoint: endpoint.clone(), mapping: mapping::MappingOptions::default() };
    let Ok(Route::Push { group, .. }) =
        route::route("POST", b"/metrics/job/j/zone/eu", &[endpoint])
    else {
        panic!("no push")
    };
    let mut pusher = Pusher::new(PushLimits {
        decoded_bytes_max: 1 << 24,
        line_bytes_max: 1 << 16,
        lines_bytes_max: 1 << 24,
    });
    let head = PushHeaders {
        group: &group,
        content_type: Some(content_type),
        content_encoding: None,
        received_ns: NOW,
    };
    let converted = pusher.convert(&input, head, body, Vec::new());
    converted.unwrap_or_else(|error| panic!("{error}\n{}", body.escape_ascii())).lines
}

#[test]
fn text_openmetrics_and_protobuf_of_the_same_values_give_the_same_lines() {
    let cases = match std::env::var("DIFFERENTIAL_CASES") {
        Ok(count) => count.parse().unwrap(),
        Err(_) => 4000,
    };
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut line_count = 0;
    for case in 0..cases {
        let names = if case % 3 == 0 { Names::Utf8 } else { Names::Legacy };
        let families: Vec<_> = (0..1 + random.below(4) as usize)
            .map(|number| family(&mut random, names, number))
            .collect();
        let as_text = text(&families, Dialect::Text);
        let want = lines::read(&convert(&as_text, "text/plain", names));
        let as_openmetrics = text(&families, Dialect::OpenMetrics);
        let openmetrics =
            lines::read(&convert(&as_openmetrics, "application/openmetrics-text", names));
        assert_eq!(openmetrics, want, "case {case}\n{}", String::from_utf8_lossy(&as_text));
        let as_protobuf = protobuf(&families, &mut random);
        let found = lines::read(&convert(&as_protobuf, "application/vnd.google.protobuf", names));
        let sorted = |mut fields: Vec<lines::Field>| {
            fields.sort();
            fields
        };
        assert_eq!(
            sorted(found),
            sorted(want.clone()),
            "case {case}\n{}",
            String::from_utf8_lossy(&as_text)
        );
        line_count += want.len();
    }
    println!("{cases} cases, {line_count} fields, the same in three formats");
    assert!(line_count > 5 * cases);
}
