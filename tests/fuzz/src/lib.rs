//! What each fuzz target asks of its input. The claims themselves stand where the seeded tests of
//! every run make them too: in the suite, and for what is private in the crate.

// The suite's files are taken as they are: not all of each is needed here.
#![allow(dead_code, reason = "the tests of these files use the rest of them")]

#[path = "../../suite/alone.rs"]
mod alone;
#[path = "../../suite/anything.rs"]
mod anything;
#[path = "../../suite/lines.rs"]
mod lines;
#[path = "../../../src/testing/random.rs"]
mod random;
#[path = "../../suite/similar.rs"]
mod similar;

use pushline::push::sample::{Format, Names};

/// Any bytes that reach the gate as a head.
pub fn head(received: &[u8]) {
    pushline::testing::gate_claims::head(received);
}

/// Any bytes that come as a chunked body.
pub fn chunked(sent: &[u8]) {
    pushline::testing::gate_claims::chunked(sent);
}

/// Any request target.
pub fn route(target: &[u8]) {
    anything::route(target);
}

/// Any compressed body; the first byte chooses the coding.
pub fn decode(input: &[u8]) {
    anything::decode(input);
}

/// Any body, read as each of the names allows.
pub fn exposition(body: &[u8], format: Format) {
    for names in [Names::Legacy, Names::Utf8] {
        pushline::testing::reader_claims::twins(body, format, names);
    }
}

/// Any push; the first two bytes choose its headers, path and options.
pub fn convert(input: &[u8]) {
    anything::convert(input);
}

/// Any text body, each line of it also alone; the first byte chooses the rest of the push.
pub fn alone(input: &[u8]) {
    if let Some((choice, body)) = input.split_first() {
        alone::assert_alone(u64::from(*choice), body);
    }
}
