//! A whole push: headers, options and body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pushline_fuzz::convert(bytes));
