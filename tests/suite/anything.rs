//! What holds for any bytes at all, through the public entry points: route, decoding and the whole
//! conversion. The fuzz targets (`tests/fuzz`) call the same functions; the tests here give them
//! the golden pushes, damaged with a fixed seed.
//!
//! The first bytes of an input choose what is asked, the rest is the target of the request or its
//! body; so every input asks something.

use crate::lines;
use crate::random::Random;
use pushline::push::body::{Coding, Decoder};
use pushline::push::mapping::{Measurement, Skipped, Timestamps};
use pushline::push::route::{self, Endpoint, Route};
use pushline::push::sample::Names;
use pushline::push::{Converted, Error, Input, PushHeaders, PushLimits, Pusher};

const NOW: i64 = 1_764_000_000_123_456_789;
/// Small, so that damaged bodies meet it and bombs cost little.
const DECODED_BYTES_MAX: usize = 1 << 16;
const LINES_BYTES_MAX: usize = 1 << 20;
/// A message quotes two pieces of 40 bytes at most, and each byte takes six once escaped.
const MESSAGE_BYTES_MAX: usize = 12 * 40 + 200;

const CONTENT_TYPES: [Option<&str>; 5] = [
    None,
    Some("application/openmetrics-text"),
    Some("application/vnd.google.protobuf"),
    Some("application/vnd.google.protobuf; encoding=text"),
    Some("text/plain; version=0.0.4"),
];
const CODINGS: [Option<&str>; 5] = [None, Some("gzip"), Some("deflate"), Some("snappy"), Some("x")];

/// Any target has a route or an error. The labels of a push are in order and may be what they are;
/// written again in the plainest way, they are the same labels. Tells whether it is a push.
pub(crate) fn route(target: &[u8]) -> bool {
    let [legacy, utf8] = [Names::Legacy, Names::Utf8].map(|names| is_push(target, names));
    // Either alone is right: `my-zone` is no legacy name, and `U__` unescapes to no name at all.
    legacy || utf8
}

fn is_push(target: &[u8], names: Names) -> bool {
    let endpoint = |prefix: &str| Endpoint { prefix: prefix.to_owned(), names };
    let endpoints = [endpoint("/v1/x"), endpoint("")];
    let group = match route::route("PUT", target, &endpoints) {
        Ok(Route::Push { group, input }) => {
            assert!(input < endpoints.len());
            group
        }
        Ok(_) => return false,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n') && message.len() < MESSAGE_BYTES_MAX, "{message}");
            return false;
        }
    };
    assert!(!group.job().is_empty());
    assert!(group.labels().is_sorted_by(|a, b| a.name < b.name));
    let mut again = format!("/metrics/job/{}", encoded(group.job()));
    for label in group.labels().iter().filter(|label| label.name != "job") {
        let is_start = |char: char| char.is_ascii_alphabetic() || char == '_';
        let is_legacy = label.name.starts_with(is_start)
            && label.name.chars().all(|char| is_start(char) || char.is_ascii_digit());
        assert!(is_legacy || names == Names::Utf8, "{label:?}");
        assert!(!label.name.is_empty() && !label.name.starts_with("__"), "{label:?}");
        // A name that looks escaped would be unescaped again.
        let is_plain = !label.name.starts_with("U__") && !label.name.ends_with("@base64");
        if !is_plain {
            return true;
        }
        again += &format!("/{}/{}", encoded(&label.name), encoded(&label.value));
    }
    let read_again = route::route("POST", again.as_bytes(), &endpoints);
    assert_eq!(read_again, Ok(Route::Push { input: 1, group }), "{again}");
    true
}

/// Every byte percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A body is decoded within its bound or refused, and a decoder that is used again finds what a new
/// one does. Tells whether it was decoded.
pub(crate) fn decode(input: &[u8]) -> bool {
    let Some((choice, sent)) = input.split_first() else { return false };
    let coding = [Coding::Gzip, Coding::Deflate, Coding::Snappy][usize::from(*choice) % 3];
    let mut decoder = Decoder::default();
    let decoded = match decoder.decode(coding, sent, DECODED_BYTES_MAX) {
        Ok(decoded) => decoded.to_vec(),
        Err(error) => {
            assert!(matches!(error.status(), 400 | 413), "{error}");
            assert_eq!(decoder.decode(coding, sent, DECODED_BYTES_MAX), Err(error));
            return false;
        }
    };
    assert!(decoded.len() <= DECODED_BYTES_MAX);
    assert_eq!(decoder.decode(coding, sent, decoded.len()), Ok(&*decoded));
    if let Some(bytes_max) = decoded.len().checked_sub(1) {
        let refused = decoder.decode(coding, sent, bytes_max);
        assert!(refused.is_err_and(|error| error.status() == 413));
    }
    true
}

/// A push becomes whole lines of UTF-8 as SPEC 2.3 and 2.4 have them, or is refused with a message
/// of one line; a pusher that is used again does the same. Tells whether it became lines.
pub(crate) fn convert(input: &[u8]) -> bool {
    let [choice, setting, body @ ..] = input else { return false };
    let content_type = CONTENT_TYPES[usize::from(choice & 0xf) % CONTENT_TYPES.len()];
    let content_encoding = CODINGS[usize::from(choice >> 4) % CODINGS.len()];
    let (input, path) = setting_of(*setting);
    let Ok(Route::Push { group, .. }) =
        route::route("PUT", path, std::slice::from_ref(&input.endpoint))
    else {
        panic!("{} is no push", path.escape_ascii())
    };
    let head = PushHeaders { group: &group, content_type, content_encoding, received_ns: NOW };
    let mut pusher = Pusher::new(PushLimits {
        decoded_bytes_max: DECODED_BYTES_MAX,
        line_bytes_max: 1 << 16,
        lines_bytes_max: LINES_BYTES_MAX,
    });
    let first = pusher.convert(&input, head, body, b"what was there before".to_vec());
    let second = pusher.convert(&input, head, body, Vec::new());
    let bytes = |converted: &Result<Converted, Error>| {
        converted.as_ref().map(|converted| converted.lines.clone()).map_err(Error::clone)
    };
    assert_eq!(bytes(&first), bytes(&second));
    match first {
        Ok(converted) => {
            assert_accounts(&converted);
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n') && message.len() < MESSAGE_BYTES_MAX, "{message}");
            assert!(matches!(error.status(), 400 | 413 | 415), "{message}");
            false
        }
    }
}

/// What the first byte chooses besides the headers.
fn setting_of(choice: u8) -> (Input, &'static [u8]) {
    let mut input = Input::default();
    input.mapping.measurement = match choice % 4 {
        0 => Measurement::Cut,
        1 => Measurement::CutAndKeep,
        2 => Measurement::Job,
        _ => Measurement::Fixed("#fixed, name\\".to_owned()),
    };
    input.mapping.timestamps =
        [Timestamps::Honor, Timestamps::Ignore][usize::from(choice >> 2) % 2];
    input.endpoint.names = [Names::Legacy, Names::Utf8][usize::from(choice >> 3) % 2];
    let paths: [&[u8]; 2] =
        [b"/metrics/job/web", b"/metrics/job/a%20b%5C/le/x%2Cy/zone//time/%22/instance/h%0A1"];
    (input, paths[usize::from(choice >> 4) % 2])
}

/// Each sample has its field or was skipped, and each line is counted.
fn assert_accounts(converted: &Converted) {
    let fields = lines::read(&converted.lines);
    let line_count = converted.lines.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(line_count, converted.line_count as usize);
    let Skipped { not_finite, bound_nan, filtered } = converted.skipped;
    let skipped = not_finite + bound_nan + filtered;
    assert_eq!(fields.len() as u64 + skipped, converted.sample_count);
    assert!(converted.lines.len() <= LINES_BYTES_MAX);
    assert!(converted.decoded_bytes <= DECODED_BYTES_MAX);
}

/// Up to three damages of any kind.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(4) {
            0 if at < bytes.len() => bytes[at] = random.byte(),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.insert(at, b"%/@=_\"\\{},# \n\r\t\0\x7f\xc3\xa9\xff"[random.below(20)]),
            _ => {
                let end = (at + random.below(16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Damages inputs, the same way in every run; some must be taken, and some must not.
fn assert_answered(inputs: &[Vec<u8>], count: u64, take: fn(&[u8]) -> bool) {
    let mut random = Random::new(0x5851_f42d_4c95_7f2d);
    let mut taken = 0;
    for _ in 0..count {
        let mut input = inputs[random.below(inputs.len())].clone();
        damage(&mut random, &mut input);
        taken += u64::from(take(&input));
    }
    println!("{taken} of {count} damaged inputs were taken");
    assert!((count / 50..count).contains(&taken), "{taken} of {count} were taken");
}

#[test]
fn damaged_targets_have_a_route_or_an_error() {
    let cases = crate::vectors::all();
    let paths: Vec<_> = cases.into_iter().map(|case| case.path).collect();
    assert_answered(&paths, 40_000, route);
}

#[test]
fn damaged_codings_are_decoded_or_refused() {
    let inputs: Vec<Vec<u8>> = crate::vectors::all()
        .iter()
        .filter(|case| case.body.len() < 20_000)
        .filter_map(|case| {
            let coding = case.header("content-encoding")?;
            let index = CODINGS.iter().flatten().position(|known| coding.contains(known))?;
            Some([&[u8::try_from(index).unwrap()], &*case.body].concat())
        })
        .collect();
    assert!(inputs.len() > 10, "only {} golden bodies are compressed", inputs.len());
    assert_answered(&inputs, 10_000, decode);
}

#[test]
fn damaged_pushes_become_whole_lines_or_nothing() {
    let mut inputs = Vec::new();
    for case in crate::vectors::all().iter().filter(|case| case.body.len() < 4_000) {
        let content_type = case.header("content-type").unwrap_or_default();
        let is_it = |known: &Option<&str>| known.is_some_and(|known| content_type == known);
        let format = if content_type.contains("protobuf") {
            2
        } else if content_type.contains("openmetrics") {
            1
        } else {
            CONTENT_TYPES.iter().position(is_it).unwrap_or_default()
        };
        let coding = case.header("content-encoding").unwrap_or_default();
        let coding = CODINGS.iter().position(|known| *known == Some(coding)).unwrap_or_default();
        let choice = u8::try_from(coding << 4 | format).unwrap();
        for setting in [0, 0x19, 0x0e, 0x1b] {
            inputs.push([&[choice, setting], &*case.body].concat());
        }
    }
    assert_answered(&inputs, 20_000, convert);
}
