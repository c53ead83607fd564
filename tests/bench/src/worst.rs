//! The most expensive bodies that we can build, beside the usual ones: nanoseconds for each byte.
//!
//! What a push costs has to follow from its bytes, whatever they are: else a few of them stop all
//! workers. A byte is one that is sent, one that it becomes once decoded, or one of a line: a short
//! body may well become long lines, as each of them has the labels of the URL.

use crate::body::{Body, Notation, RECEIVED_NS};
use crate::figures::tell;
use crate::hostile;
use crate::rounds::{Subject, interleave};
use pushline::limits::{DECODED_BYTES_MAX, QUEUE_BYTES};
use pushline::push::route::{Group, Route, route};
use pushline::push::{Input, PushHeaders, PushLimits, Pusher};
use std::time::Duration;

/// A push.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// Its path.
    pub path: String,
    /// The options of its input.
    pub input: Input,
    /// Its `Content-Type`.
    pub content_type: Option<&'static str>,
    /// Its `Content-Encoding`.
    pub coding: Option<&'static str>,
    /// Its body.
    pub body: Vec<u8>,
    /// Bytes of its body once decoded.
    pub decoded_bytes: usize,
}

impl Case {
    fn group(&self) -> Group {
        let endpoint = std::slice::from_ref(&self.input.endpoint);
        match route("POST", self.path.as_bytes(), endpoint) {
            Ok(Route::Push { group, .. }) => group,
            other => panic!("{}: no push: {other:?}", self.name),
        }
    }

    /// Bytes of its lines, 0 where it is refused; the buffer of the last ones is used again.
    fn convert(&self, pusher: &mut Pusher, group: &Group, lines: &mut Vec<u8>) -> usize {
        let headers = PushHeaders {
            group,
            content_type: self.content_type,
            content_encoding: self.coding,
            received_ns: RECEIVED_NS,
        };
        let buffer = std::mem::take(lines);
        match pusher.convert(&self.input, headers, &self.body, buffer) {
            Ok(converted) => {
                *lines = converted.lines;
                lines.len()
            }
            Err(_) => 0,
        }
    }
}

/// The usual bodies, which the others are held against.
fn usual() -> [Case; 2] {
    [Notation::Text, Notation::Protobuf].map(|notation| {
        let Some(body) = Body::named("node", notation) else { panic!("there is no body node") };
        Case {
            name: format!("usual {}", notation.name()),
            path: crate::body::PATH.to_owned(),
            input: Input::default(),
            content_type: body.content_type,
            coding: None,
            decoded_bytes: body.bytes.len(),
            body: body.bytes,
        }
    })
}

/// Measures all of them, each for so long, and tells `NAME nanoseconds-a-byte`, the usual ones
/// first; the names have underscores for blanks.
pub fn measure(duration: Duration) {
    for case in usual().into_iter().chain(hostile::cases()) {
        let limits = PushLimits {
            decoded_bytes_max: DECODED_BYTES_MAX,
            line_bytes_max: 1 << 16,
            lines_bytes_max: QUEUE_BYTES,
        };
        let (mut pusher, mut lines, group) = (Pusher::new(limits), Vec::new(), case.group());
        let written = case.convert(&mut pusher, &group, &mut lines);
        let sent = if case.coding.is_some() { case.body.len() } else { 0 };
        let bytes = sent + case.decoded_bytes + written;
        let mut subjects = [Subject::new(|| {
            case.convert(&mut pusher, &group, &mut lines);
        })];
        interleave(&mut subjects, duration);
        tell(case.name.replace(' ', "_"), subjects[0].median_s() * 1e9 / bytes as f64);
    }
}
