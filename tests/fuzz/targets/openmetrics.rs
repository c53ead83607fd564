//! An OpenMetrics body: the reader against its naive twin.
#![no_main]

use pushline::push::sample::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pushline_fuzz::exposition(bytes, Format::OpenMetrics));
