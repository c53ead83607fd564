//! Bytes that come as a chunked body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pushline_fuzz::chunked(bytes));
