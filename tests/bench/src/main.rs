//! One measure at a time, told by name; `scripts/bench` calls it.

use bench::body::{Body, Notation};
use bench::{conversion, parsers};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
bench convert text|protobuf BODY SECONDS     times body to lines beside the yardsticks
bench describe text|protobuf BODY            how large a body is
bench repeat text|protobuf BODY PUSHES       only converts, to be counted from outside
bench parsers BODY SECONDS                   times other parsers beside body to lines
BODY is node, hist, node100k, hist100k or small";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// None where the arguments are not understood.
fn run(words: &[&str]) -> Option<()> {
    match words {
        ["convert", format, body, seconds] => {
            conversion::measure(notation(format)?, body, duration(seconds)?);
        }
        ["describe", format, body] => Body::named(body, notation(format)?)?.describe(),
        ["repeat", format, body, pushes] => {
            let body = Body::named(body, notation(format)?)?;
            let mut path = conversion::Path::new();
            for _ in 0..pushes.parse().ok()? {
                path.convert(&body);
            }
        }
        ["parsers", body, seconds] => parsers::measure(body, duration(seconds)?),
        _ => return None,
    }
    Some(())
}

fn notation(word: &str) -> Option<Notation> {
    match word {
        "text" => Some(Notation::Text),
        "protobuf" => Some(Notation::Protobuf),
        _ => None,
    }
}

fn duration(word: &str) -> Option<Duration> {
    Some(Duration::from_secs_f64(word.parse().ok()?))
}
