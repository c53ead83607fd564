//! One measure at a time, told by name; `scripts/bench` calls it.

use bench::body::{Body, Notation};
use bench::figures::tell;
use bench::load::Plan;
use bench::rounds::median;
use bench::{conversion, drain, load, parsers, request, start, store, worst};
use std::io;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
bench convert text|protobuf BODY SECONDS     times body to lines beside the yardsticks
bench describe text|protobuf BODY            how large a body is
bench repeat text|protobuf BODY PUSHES       only converts, to be counted from outside
bench parsers BODY SECONDS                   times other parsers beside body to lines
bench worst SECONDS                          times each of the worst bodies that long
bench load ADDRESS PATH BODY CONNECTIONS SECONDS     pushes a text body over HTTP
bench drain                                  reads standard input and counts its lines
bench store ADDRESS                          takes what is posted, and counts its lines
bench start BINARY TIMES                     times a start up to the first answered push
BODY is node, hist, node100k, hist100k or small";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(Some(())) => ExitCode::SUCCESS,
        Ok(None) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("bench {}: {error}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// None where the arguments are not understood.
fn run(words: &[&str]) -> io::Result<Option<()>> {
    Ok(match words {
        ["drain"] => {
            let (lines, bytes) = drain::lines()?;
            tell("lines", lines as f64);
            tell("bytes", bytes as f64);
            Some(())
        }
        ["store", address] => Some(store::serve(address)?),
        ["start", binary, times] => match times.parse() {
            Ok(times) => {
                let times_ms = start::times_ms(binary, times)?;
                tell("slowest_ms", times_ms.iter().copied().fold(0.0, f64::max));
                tell("median_ms", median(times_ms));
                Some(())
            }
            Err(_) => None,
        },
        ["load", plan @ ..] => return load(plan),
        _ => in_process(words),
    })
}

fn in_process(words: &[&str]) -> Option<()> {
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
        ["worst", seconds] => worst::measure(duration(seconds)?),
        _ => return None,
    }
    Some(())
}

fn load(words: &[&str]) -> io::Result<Option<()>> {
    let [address, path, body, connections, seconds] = words else { return Ok(None) };
    let body = Body::named(body, Notation::Text);
    let parsed = (address.parse().ok(), connections.parse().ok(), duration(seconds), body);
    let (Some(address), Some(connections), Some(duration), Some(body)) = parsed else {
        return Ok(None);
    };
    let request = request::to(path, &body);
    load::run(Plan { address, connections, request: &request, duration })?.tell();
    Ok(Some(()))
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
