//! A coding and a compressed body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pushline_fuzz::decode(bytes));
