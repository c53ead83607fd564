//! The whole path of a push in-process, body to lines, as a worker runs it.

use crate::body::{Body, Notation, PATH, RECEIVED_NS};
use crate::figures::tell;
use crate::rounds::{Subject, interleave};
use crate::yardstick;
use pushline::limits::{DECODED_BYTES_MAX, QUEUE_BYTES};
use pushline::push::route::{Group, Route, route};
use pushline::push::{Input, PushHeaders, PushLimits, Pusher};
use std::time::Duration;

/// What a worker keeps from push to push.
#[derive(Debug)]
pub struct Path {
    inputs: [Input; 1],
    group: Group,
    pusher: Pusher,
    lines: Vec<u8>,
}

impl Path {
    /// With the default options and limits.
    pub fn new() -> Path {
        let input = Input::default();
        let found = route("POST", PATH.as_bytes(), std::slice::from_ref(&input.endpoint));
        let Ok(Route::Push { group, .. }) = found else { panic!("{PATH} is no push: {found:?}") };
        let options = PushLimits {
            decoded_bytes_max: DECODED_BYTES_MAX,
            line_bytes_max: 1 << 16,
            lines_bytes_max: QUEUE_BYTES,
        };
        Path { inputs: [input], group, pusher: Pusher::new(options), lines: Vec::new() }
    }

    /// Turns one body into lines; the buffer of the last ones is used again.
    pub fn convert(&mut self, body: &Body) -> &[u8] {
        let head = PushHeaders {
            group: &self.group,
            content_type: body.content_type,
            content_encoding: None,
            received_ns: RECEIVED_NS,
        };
        let buffer = std::mem::take(&mut self.lines);
        let converted = self.pusher.convert(&self.inputs[0], head, &body.bytes, buffer);
        self.lines = converted.unwrap_or_else(|error| panic!("a body is refused: {error}")).lines;
        &self.lines
    }
}

impl Default for Path {
    fn default() -> Path {
        Path::new()
    }
}

/// Ends the run unless exactly the expected lines come out, twice in a row.
pub fn confirm(name: &str, body: &Body) {
    let mut path = Path::new();
    for push in 1..=2 {
        let lines = path.convert(body);
        let differs =
            lines.split(|byte| *byte == b'\n').zip(body.lines.split(|byte| *byte == b'\n'));
        for (number, (found, want)) in differs.enumerate() {
            let (found, want) = (String::from_utf8_lossy(found), String::from_utf8_lossy(want));
            assert_eq!(found, want, "{name}, push {push}, line {}", number + 1);
        }
        assert_eq!(lines.len(), body.lines.len(), "{name}, push {push}: bytes of all lines");
    }
}

/// Measures a family in a notation against the yardsticks of its text body.
pub fn measure(notation: Notation, name: &str, duration: Duration) {
    let [Some(body), Some(text)] = [Body::named(name, notation), Body::named(name, Notation::Text)]
    else {
        panic!("there is no body {name}");
    };
    confirm(name, &body);
    let (mut path, mut copy) = (Path::new(), Vec::new());
    let mut subjects = [
        Subject::repeated(20, || yardstick::copy(&text.bytes, &mut copy)),
        Subject::repeated(5, || {
            yardstick::walk_newlines(&text.bytes);
        }),
        Subject::new(|| {
            path.convert(&body);
        }),
    ];
    interleave(&mut subjects, duration);
    let [copied, walked, converted] = &subjects;
    let samples = body.sample_count as f64;
    let label = format!("{}.{name}", notation.name());
    tell(format_args!("{label}.samples"), samples);
    tell(format_args!("{label}.copy_gb_per_s"), text.bytes.len() as f64 / copied.median_s() / 1e9);
    tell(format_args!("{label}.walk_gb_per_s"), text.bytes.len() as f64 / walked.median_s() / 1e9);
    tell(format_args!("{label}.walk_ns_per_sample"), walked.median_s() * 1e9 / samples);
    tell(format_args!("{label}.ns_per_sample"), converted.median_s() * 1e9 / samples);
    tell(format_args!("{label}.share_of_walk"), walked.median_ratio_to(converted));
}
