//! What many clients may do at once and an operator must hear of: one line a minute of each kind,
//! with how many there were in between.

use crate::observe::log::{Field, Log};
use std::time::{Duration, Instant};

/// How long one line stands for all that follow.
const PAUSE: Duration = Duration::from_secs(60);

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A handshake of TLS failed.
    HandshakeFailed,
    /// A request without TLS came where TLS is spoken.
    PlainToTls,
    /// A hello of TLS came where none is spoken.
    TlsToPlain,
    /// A connection cannot be accepted.
    CannotAccept,
}

const KINDS: usize = 4;

impl Notice {
    fn message(self) -> &'static str {
        match self {
            Notice::HandshakeFailed => "a TLS handshake failed",
            Notice::PlainToTls => "plain HTTP came to a port that speaks TLS",
            Notice::TlsToPlain => "TLS came to a port that speaks plain HTTP (server.tls.cert)",
            Notice::CannotAccept => "cannot accept, trying again",
        }
    }
}

/// When each kind was told last.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    told: [Told; KINDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: Option<Instant>,
    /// How many were not told since.
    more: u64,
}

impl Notices {
    /// Tells of one, unless another of its kind was told of within the last minute: then at debug.
    pub(crate) fn tell(&mut self, notice: Notice, log: &Log, now: Instant, fields: &[Field<'_>]) {
        match self.note(notice, now) {
            Some(more) => {
                let suppressed: [Field<'_>; 1] = [("suppressed", &more)];
                log.warn(notice.message(), &[fields, &suppressed].concat());
            }
            None => log.debug(notice.message(), fields),
        }
    }

    /// Whether this one is told: how many were not, then.
    fn note(&mut self, notice: Notice, now: Instant) -> Option<u64> {
        let told = self.told.get_mut(notice as usize)?;
        if told.at.is_some_and(|at| now < at + PAUSE) {
            told.more += 1;
            return None;
        }
        told.at = Some(now);
        Some(std::mem::take(&mut told.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_is_told_a_minute_and_the_others_are_counted() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        assert_eq!(notices.note(Notice::TlsToPlain, start), Some(0));
        assert_eq!(notices.note(Notice::PlainToTls, start), Some(0), "of another kind");
        for _ in 0..5 {
            assert_eq!(notices.note(Notice::TlsToPlain, start + PAUSE / 2), None);
        }
        assert_eq!(notices.note(Notice::TlsToPlain, start + PAUSE), Some(5));
        assert_eq!(notices.note(Notice::TlsToPlain, start + PAUSE), None);
    }
}
