//! The last lines that the consumer refused for good, as the status shows them: bounded in number
//! and in bytes, whatever is refused.

use super::reason::RejectReason;
use crate::limits::{STATUS_ERROR_BYTES_MAX, STATUS_REJECTED_MAX};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// A line that the consumer refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RejectedLine {
    /// When, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    pub(crate) reason: RejectReason,
    /// What it answered, where it answers in statuses.
    pub(crate) status: Option<u16>,
    /// Its words.
    pub(crate) words: String,
    /// The line, without its end.
    pub(crate) line: String,
}

/// The last of them.
#[derive(Debug, Default)]
pub(crate) struct LastRejected {
    lines: Mutex<VecDeque<RejectedLine>>,
}

impl LastRejected {
    /// Keeps a line, in the place of the oldest.
    pub(crate) fn note(&self, line: RejectedLine) {
        let (words, text) = (clipped(&line.words), clipped(&line.line));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == STATUS_REJECTED_MAX {
            lines.pop_front();
        }
        lines.push_back(RejectedLine { words, line: text, ..line });
    }

    /// The newest first.
    pub(crate) fn newest_first(&self) -> Vec<RejectedLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().rev().cloned().collect()
    }
}

/// At most [`STATUS_ERROR_BYTES_MAX`] bytes of a text, then `…`.
fn clipped(text: &str) -> String {
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = ends.take_while(|end| *end <= STATUS_ERROR_BYTES_MAX).last().unwrap_or_default();
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start}…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time_ms: u64, words: &str) -> RejectedLine {
        let (words, line) = (words.to_owned(), "a b=1 1".to_owned());
        RejectedLine { time_ms, reason: RejectReason::Refused, status: Some(400), words, line }
    }

    #[test]
    fn only_the_newest_are_kept_and_long_texts_are_cut_between_characters() {
        let last = LastRejected::default();
        for time_ms in 0..100 {
            last.note(line(time_ms, "no"));
        }
        let kept: Vec<_> = last.newest_first().iter().map(|line| line.time_ms).collect();
        assert_eq!(kept, (95..100).rev().collect::<Vec<_>>());
        last.note(line(100, &"ä".repeat(STATUS_ERROR_BYTES_MAX)));
        let newest = last.newest_first().remove(0);
        assert_eq!(newest.words, "ä".repeat(STATUS_ERROR_BYTES_MAX / 2) + "…");
        assert_eq!(newest.line, "a b=1 1");
    }
}
