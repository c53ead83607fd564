//! What an output that asks and is answered counts: requests by status and their time (SPEC 3.4).

use super::number::{ANSWER_BOUNDS, Counter};
use std::time::Duration;

/// Statuses that are told apart. Others count as `other`, and a request without an answer as
/// `none`.
const CODES: [u16; 20] = [
    200, 202, 204, 301, 307, 308, 400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 501, 502, 503,
    504,
];

/// What an output counts.
#[derive(Debug, Default)]
pub(crate) struct OutputCounters {
    /// By status, then other ones, then none.
    requests: [Counter; CODES.len() + 2],
    buckets: [Counter; ANSWER_BOUNDS.len()],
    count: Counter,
    time_us: Counter,
    /// Requests that sent lines again after one that failed.
    pub(crate) retries: Counter,
    /// Blocks of which something was refused, so that they were taken apart.
    pub(crate) blocks_split: Counter,
}

impl OutputCounters {
    /// Counts one request; `status` is what was answered, if anything was.
    pub(crate) fn requested(&self, status: Option<u16>, time: Duration) {
        let known = status.map(|status| CODES.iter().position(|code| *code == status));
        let index = known.map_or(CODES.len() + 1, |known| known.unwrap_or(CODES.len()));
        if let Some(counter) = self.requests.get(index) {
            counter.increment();
        }
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = ANSWER_BOUNDS.iter().position(|(bound, _)| time_us <= *bound);
        if let Some(counter) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            counter.increment();
        }
        self.count.increment();
        self.time_us.add(time_us);
    }

    /// The codes with their counts.
    pub(super) fn codes(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let codes = CODES.iter().map(u16::to_string);
        let codes = codes.chain(["other".to_owned(), "none".to_owned()]);
        codes.zip(self.requests.iter().map(Counter::get))
    }

    /// The counters of the time by bucket; its sum in microseconds, and the count.
    pub(super) fn times(&self) -> (&[Counter], (u64, u64)) {
        (&self.buckets, (self.time_us.get(), self.count.get()))
    }
}
