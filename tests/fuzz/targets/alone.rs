//! A text body: all lines in one push against each line alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pushline_fuzz::alone(bytes));
