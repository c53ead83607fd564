//! Text expositions of many similar lines, as exporters write them, and damages that know what a
//! line is.
//!
//! A reader that compares each line with the one before meets its borders where lines differ in
//! one label, one digit or one blank. Random bytes rarely come near: one of them refuses the body.
//! So most damages here leave a line that is read, and change what it has in common with others.

use super::random::Random;

/// One exposition: its lines, each with its end.
pub(crate) type Lines = Vec<Vec<u8>>;

const METRICS: [&str; 16] = [
    "node_cpu_seconds_total",
    "node_cpu_seconds",
    "node_network_receive_bytes_total",
    "http_request_duration_seconds",
    "h",
    "h_count",
    "le",
    "time_quantile",
    "_x_",
    "job:rate:sum",
    "memory_Active_bytes",
    "a_b_sum",
    // Their field would be `time`.
    "time",
    "response_time",
    "_cron_time",
    "a_time_",
];
const TYPES: [&str; 7] =
    ["counter", "gauge", "histogram", "summary", "untyped", "gaugehistogram", "Histogram"];
const LABELS: [&str; 15] = [
    "cpu",
    "device",
    "mode",
    "le",
    "quantile",
    "job",
    "zone",
    "time",
    "time_",
    "_field",
    "seconds_total",
    "count",
    "a_label_of_more_than_thirty_two_bytes",
    "a",
    "b",
];
const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.1", "1", "1.0", "2.5", "10", "1e6", "1000000", "+Inf", "NaN", "-0"];
const VALUES: [&str; 22] = [
    "0",
    "1",
    "17",
    "1.0",
    "0.10",
    "-0",
    "+5",
    "1027",
    "3.25",
    "12345.678",
    "1e3",
    "1.5e-9",
    "9007199254740993",
    "123456789012345678901234567890",
    "0.30000000000000004",
    "1e21",
    "1e-7",
    ".5",
    "5.",
    "NaN",
    "+Inf",
    "-Inf",
];
/// In seconds or milliseconds, as the format has it.
const TIMES: [&str; 7] = ["", "", "", "", " 1700000000", " 1700000001", " 1700000000.5"];
/// Texts of label values, escaped as a body has them.
const TEXTS: [&str; 16] = [
    "",
    "0",
    "1",
    "eth0",
    "idle",
    "user",
    "/var/lib/data/1",
    "exactly16bytes!!",
    "seventeen bytes!!",
    "a value that is longer than two blocks of sixteen",
    "C:\\\\dir",
    "q\\\"q",
    "n\\nn",
    "tail\\\\",
    "a b,c=d}",
    "日本 🚀",
];
/// Escapes that only OpenMetrics takes, as what they are.
const ODD_ESCAPES: [&str; 4] = ["C:\\dir", "\\x\\\\\\d", "\\\u{e9}", "a\\ b"];
/// What is inserted somewhere in a line.
const SPICE: [&str; 18] = [
    " ", "\t", "\r", "\r\n", "\n", "\\", "\\\\", "\\n", "é", "🚀", ",", "=", "{", "}", "\"", "#",
    "0", "_",
];

fn one_of<'t>(random: &mut Random, choices: &[&'t str]) -> &'t str {
    choices[random.below(choices.len())]
}

/// Families of similar lines.
pub(crate) fn exposition(random: &mut Random) -> Lines {
    let mut lines = Lines::new();
    for _ in 0..=random.below(3) {
        family(random, &mut lines);
    }
    if random.below(16) == 0 {
        lines.insert(0, "\u{feff}".into());
    }
    if random.below(8) == 0 {
        lines.push(b"# EOF\n".to_vec());
    }
    if random.below(4) == 0
        && let Some(last) = lines.last_mut()
    {
        last.pop();
    }
    lines
}

fn family(random: &mut Random, lines: &mut Lines) {
    let metric = one_of(random, &METRICS);
    let kind = one_of(random, &TYPES);
    if random.below(8) > 0 {
        if random.below(4) == 0 {
            lines.push(format!("# HELP {metric} What it is.\n").into());
        }
        lines.push(format!("# TYPE {metric} {kind}\n").into());
    }
    let mut labels = labels(random);
    for _ in 0..=random.below(6) {
        series(random, (metric, kind), &labels, lines);
        change(random, &mut labels);
    }
}

/// Pairs of a label and its value, both as the body has them.
type Labels = Vec<(&'static str, String)>;

fn labels(random: &mut Random) -> Labels {
    let mut labels = Labels::new();
    for _ in 0..random.below(5) {
        let name = one_of(random, &LABELS);
        if !labels.iter().any(|(known, _)| *known == name) {
            labels.push((name, text(random)));
        }
    }
    labels
}

/// A value: mostly of the pool, else of any length up to three blocks of sixteen bytes.
fn text(random: &mut Random) -> String {
    match random.below(4) {
        0 => "0123456789abcdef".chars().cycle().take(random.below(50)).collect(),
        1 if random.below(16) == 0 => one_of(random, &ODD_ESCAPES).to_owned(),
        _ => one_of(random, &TEXTS).to_owned(),
    }
}

/// What the next series has otherwise: mostly one value.
fn change(random: &mut Random, labels: &mut Labels) {
    let at = random.below(labels.len().max(1));
    match random.below(8) {
        0 => *labels = self::labels(random),
        1 if !labels.is_empty() => {
            labels.remove(at);
        }
        2 => {}
        _ => {
            if let Some((_, value)) = labels.get_mut(at) {
                *value = text(random);
            }
        }
    }
}

/// The lines of one series: one, or the parts of a histogram or summary.
fn series(random: &mut Random, (metric, kind): (&str, &str), labels: &Labels, lines: &mut Lines) {
    let (bound, suffix) = match kind {
        "summary" => ("quantile", ""),
        "histogram" | "gaugehistogram" | "Histogram" => ("le", "_bucket"),
        _ => return lines.push(sample(random, metric, labels)),
    };
    let is_first = random.below(2) == 0;
    for _ in 0..random.below(5) {
        let mut labels = labels.clone();
        labels.retain(|(name, _)| *name != bound);
        let at = if is_first { 0 } else { labels.len() };
        labels.insert(at, (bound, one_of(random, &BOUNDS).to_owned()));
        lines.push(sample(random, &format!("{metric}{suffix}"), &labels));
    }
    let gauge = if kind == "gaugehistogram" && random.below(2) == 0 { "g" } else { "" };
    for part in ["sum", "count"] {
        if random.below(4) > 0 {
            lines.push(sample(random, &format!("{metric}_{gauge}{part}"), labels));
        }
    }
}

fn sample(random: &mut Random, name: &str, labels: &Labels) -> Vec<u8> {
    let mut pairs: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    // A quoted name may stand anywhere in its braces.
    let is_quoted = random.below(32) == 0;
    if is_quoted {
        pairs.insert(random.below(pairs.len() + 1), format!("\"{name}\""));
    }
    let comma = if random.below(16) == 0 && !pairs.is_empty() { "," } else { "" };
    let pairs = pairs.join(",") + comma;
    let value = one_of(random, &VALUES);
    let time = one_of(random, &TIMES);
    let exemplar = if random.below(32) == 0 { " # {a=\"1\"} 1" } else { "" };
    let rest = format!(" {value}{time}{exemplar}\n");
    let head = match pairs.is_empty() {
        _ if is_quoted => format!("{{{pairs}}}"),
        true if random.below(4) > 0 => name.to_owned(),
        _ => format!("{name}{{{pairs}}}"),
    };
    (head + &rest).into_bytes()
}

/// Damages some lines, none or several.
pub(crate) fn damage(random: &mut Random, lines: &mut Lines) {
    for _ in 0..random.below(4) {
        if lines.is_empty() {
            return;
        }
        if random.below(2) == 0 {
            damage_order(random, lines);
        } else {
            let at = random.below(lines.len());
            damage_line(random, &mut lines[at]);
        }
    }
}

/// Damages that need more than one line.
fn damage_order(random: &mut Random, lines: &mut Lines) {
    let (one, other) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(6) {
        0 => lines.insert(one, lines[one].clone()),
        1 => lines.insert(other, lines[one].clone()),
        2 => lines.swap(one, other),
        3 => {
            lines.remove(one);
        }
        4 => {
            // The start of one line and the end of another.
            let kept = random.below(lines[one].len() + 1);
            let from = kept.min(lines[other].len());
            let end = lines[other][from..].to_vec();
            lines[one].truncate(kept);
            lines[one].extend(end);
        }
        _ => {
            let (metric, kind) = (one_of(random, &METRICS), one_of(random, &TYPES));
            lines.insert(one, format!("# TYPE {metric} {kind}\n").into());
        }
    }
}

/// Damages within a line: most of them leave one that is read.
fn damage_line(random: &mut Random, line: &mut Vec<u8>) {
    match random.below(16) {
        0 | 1 => swap_labels(random, line),
        2 | 3 => change_value(random, line),
        4 => replace(random, line, b"\"", ""),
        5 => {
            let spice = one_of(random, &SPICE);
            let at = random.below(line.len() + 1);
            line.splice(at..at, spice.bytes());
        }
        6 => {
            let comma = one_of(random, &[", ", " ,", "\t,", ",,"]);
            replace(random, line, b",", comma);
        }
        7 => {
            let end = one_of(random, &["\r\n", " \n", "\t\r\n", "\r\r\n", "\n\n", ""]);
            replace(random, line, b"\n", end);
        }
        8 => {
            let label = one_of(random, &["{le=\"1\",", "{a=\"1\",", "{ ", "{\"x\"=\"1\",", " {"]);
            replace(random, line, b"{", label);
        }
        9 | 10 => {
            let text = text(random);
            replace(random, line, b"\"", &format!("\"{text}"));
        }
        11 if !line.is_empty() => {
            let at = random.below(line.len());
            line[at] = random.byte();
        }
        _ => change_letter(random, line),
    }
}

/// Replaces one of the places where `byte` is.
fn replace(random: &mut Random, line: &mut Vec<u8>, byte: &[u8; 1], by: &str) {
    let places: Vec<usize> = (0..line.len()).filter(|at| line[*at] == byte[0]).collect();
    if !places.is_empty() {
        let at = places[random.below(places.len())];
        line.splice(at..=at, by.bytes());
    }
}

/// Swaps two pairs, or whatever is between commas and braces.
fn swap_labels(random: &mut Random, line: &mut Vec<u8>) {
    let places: Vec<usize> = (0..line.len()).filter(|at| b"{,}".contains(&line[*at])).collect();
    if places.len() > 2 {
        let at = random.below(places.len() - 2);
        let [start, middle, end] = [places[at], places[at + 1], places[at + 2]];
        let second = line[middle + 1..end].to_vec();
        let first = line[start + 1..middle].to_vec();
        line.splice(start + 1..end, [second, first].join(&b','));
    }
}

/// Changes one byte of the last word, which is the value or the time.
fn change_value(random: &mut Random, line: &mut [u8]) {
    let blank = line.iter().rposition(|byte| *byte == b' ').unwrap_or(0);
    let len = line.len() - blank;
    if len > 2 {
        line[blank + 1 + random.below(len - 2)] = b"01234567890123456789.e-x"[random.below(24)];
    }
}

/// Changes one letter or digit into another, so that the line stays what it is.
fn change_letter(random: &mut Random, line: &mut [u8]) {
    let places: Vec<usize> =
        (0..line.len()).filter(|at| line[*at].is_ascii_alphanumeric()).collect();
    if !places.is_empty() {
        line[places[random.below(places.len())]] = b"019aezAZ"[random.below(8)];
    }
}
