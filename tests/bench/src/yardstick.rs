//! What the machine can do with the same bytes: the measure of everything else.

use std::hint::black_box;

/// Copies the body.
pub fn copy(body: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(black_box(body));
    black_box(into.as_slice());
}

/// Visits every line and does nothing with it: what any reader by lines costs at least.
pub fn walk_newlines(body: &[u8]) -> usize {
    let mut start = 0;
    let mut longest = 0;
    for end in memchr::memchr_iter(b'\n', black_box(body)) {
        longest = longest.max(end - start);
        start = end + 1;
    }
    black_box(longest)
}
