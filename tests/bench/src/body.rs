//! The bodies that are pushed, by name, each with what must come out.

use crate::figures::tell;
use crate::lines;
use crate::model::{Family, sample_count};
use crate::{families, protobuf, text};

/// Where all of them are pushed.
pub const PATH: &str = "/metrics/job/bench/instance/host-1";
/// The labels that the path gives.
pub const URL_LABELS: [(&str, &str); 2] = [("instance", "host-1"), ("job", "bench")];
/// When an in-process push is received.
pub const RECEIVED_NS: i64 = 1_700_000_000_000_000_000;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Prometheus text 0.0.4.
    Text,
    /// Delimited protobuf.
    Protobuf,
}

impl Notation {
    /// As arguments and figures name it.
    pub fn name(self) -> &'static str {
        match self {
            Notation::Text => "text",
            Notation::Protobuf => "protobuf",
        }
    }
}

/// The body of a push.
#[derive(Clone, Debug)]
pub struct Body {
    /// As sent.
    pub bytes: Vec<u8>,
    /// Its header, where it needs one.
    pub content_type: Option<&'static str>,
    /// Samples, counted as a text body has them.
    pub sample_count: u64,
    /// The lines that must come out.
    pub lines: Vec<u8>,
}

impl Body {
    /// The body of that name: `node`, `hist`, `small`, `node100k`, `hist100k`.
    pub fn named(name: &str, notation: Notation) -> Option<Body> {
        let families = match name {
            "node" => families::node(1),
            "hist" => families::hist(1),
            "small" => families::small(),
            "node100k" => families::node(10),
            "hist100k" => families::hist(10),
            _ => return None,
        };
        Some(Body::of(&families, notation))
    }

    fn of(families: &[Family], notation: Notation) -> Body {
        let (bytes, content_type) = match notation {
            Notation::Text => (text::write(families).into_bytes(), None),
            Notation::Protobuf => (protobuf::write(families), Some(protobuf::CONTENT_TYPE)),
        };
        let lines = lines::expect(families, &URL_LABELS, RECEIVED_NS).into_bytes();
        Body { bytes, content_type, sample_count: sample_count(families), lines }
    }

    /// Tells its size.
    pub fn describe(&self) {
        tell("body_bytes", self.bytes.len() as f64);
        tell("samples", self.sample_count as f64);
        tell("lines", self.line_count() as f64);
        tell("lines_bytes", self.lines.len() as f64);
    }

    /// How many lines come out.
    pub fn line_count(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.lines).count() as u64
    }
}
