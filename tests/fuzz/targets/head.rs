//! Bytes that reach the gate as the head of a request.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pushline_fuzz::head(bytes));
