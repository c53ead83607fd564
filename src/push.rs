//! One push: route, body, exposition, mapping and line → batch (SPEC 1).

use crate::{mapping, route};

/// One `[[inputs.pushgateway]]`: where it listens and how it maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Where its pushes arrive.
    pub endpoint: route::Endpoint,
    /// How its samples become points.
    pub mapping: mapping::Options,
}

/// The bounds of one push, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The body after decompression (`server.max_decoded_bytes`).
    pub decoded_bytes_max: usize,
    /// The lines of one push: it must fit the queue (`output.queue_bytes`).
    pub lines_bytes_max: usize,
}
