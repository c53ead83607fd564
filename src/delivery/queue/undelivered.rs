//! Why a push is not answered with 200 after it became lines: what the queue, the writer or the
//! spool has to say to its pusher.

use crate::delivery::condition::NotReady;
use crate::observe::telemetry::Reason;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a push was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The output has taken nothing for longer than `ack_timeout`; the push was not accepted.
    Stalled {
        /// For how long.
        for_time: Duration,
        /// What is wrong with the output, where that is known.
        because: Option<Arc<str>>,
    },
    /// There was no room in the queue within `ack_timeout`; the push was not accepted.
    Full {
        /// The bound, in bytes.
        bytes_max: usize,
        /// What is wrong with the output, where that is known.
        because: Option<Arc<str>>,
    },
    /// The push was accepted, but not written within `ack_timeout`; it may be written.
    TimedOut {
        /// `ack_timeout`
        after: Duration,
        /// What is wrong with the output, where that is known.
        because: Option<Arc<str>>,
    },
    /// The process is shutting down.
    ShuttingDown,
    /// The output has ended for good.
    OutputEnded,
    /// The operator has to mend something; the push was not written.
    Misconfigured {
        /// What is wrong, in the consumer's words.
        words: Arc<str>,
    },
    /// The spool has no room; the push was not written.
    SpoolFull {
        /// What bounds it: `spool.max_bytes`, the disk.
        words: Arc<str>,
    },
    /// The consumer refused lines of this push for good; its other lines are written.
    LinesRefused {
        /// How many of its lines.
        refused: u64,
        /// How many lines it has.
        lines: u64,
        /// The first of those lines; escaped and bounded.
        first: Arc<str>,
        /// The consumer's words.
        words: Arc<str>,
    },
}

impl Undelivered {
    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Undelivered::LinesRefused { .. } => 422,
            Undelivered::Stalled { .. }
            | Undelivered::Full { .. }
            | Undelivered::TimedOut { .. }
            | Undelivered::ShuttingDown
            | Undelivered::OutputEnded
            | Undelivered::Misconfigured { .. }
            | Undelivered::SpoolFull { .. } => 503,
        }
    }

    /// How it is counted.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Undelivered::Stalled { .. } => Reason::Stalled,
            Undelivered::Full { .. } => Reason::QueueFull,
            Undelivered::TimedOut { .. } => Reason::AckTimedOut,
            Undelivered::ShuttingDown => Reason::ShuttingDown,
            Undelivered::OutputEnded => Reason::OutputEnded,
            Undelivered::Misconfigured { .. } => Reason::OutputMisconfigured,
            Undelivered::SpoolFull { .. } => Reason::SpoolFull,
            Undelivered::LinesRefused { .. } => Reason::LinesRefused,
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NOT_WRITTEN: &str = "this push was not written";
        match self {
            Undelivered::Stalled { for_time, because } => {
                let seconds = for_time.as_secs_f64();
                write!(f, "the output has taken nothing for {seconds:.1} s, {NOT_WRITTEN}")?;
                append(f, because.as_ref())
            }
            Undelivered::Full { bytes_max, because } => {
                write!(f, "the queue is full ({bytes_max} bytes, output.queue_bytes), ")?;
                f.write_str(NOT_WRITTEN)?;
                append(f, because.as_ref())
            }
            Undelivered::TimedOut { after, because } => {
                let seconds = after.as_secs_f64();
                write!(f, "the output did not take this push within {seconds:.1} s ")?;
                write!(f, "(output.ack_timeout), it may be written")?;
                append(f, because.as_ref())
            }
            Undelivered::ShuttingDown => write!(f, "shutting down, {NOT_WRITTEN}"),
            Undelivered::OutputEnded => write!(f, "the output has ended, {NOT_WRITTEN}"),
            Undelivered::Misconfigured { words } => {
                write!(f, "the output needs a change of configuration, {NOT_WRITTEN}: {words}")
            }
            Undelivered::SpoolFull { words } => {
                write!(f, "{words}, {NOT_WRITTEN}")
            }
            Undelivered::LinesRefused { refused, lines: 1, first, words } if *refused == 1 => {
                write!(f, "the line of this push was refused: {first}: {words}")
            }
            Undelivered::LinesRefused { refused, lines, first, words } if refused == lines => {
                write!(f, "all {lines} lines of this push were refused; ")?;
                write!(f, "the first is {first}: {words}")
            }
            Undelivered::LinesRefused { refused, lines, first, words } => {
                write!(f, "{refused} of the {lines} lines of this push were refused, ")?;
                write!(f, "the others are written; the first is {first}: {words}")
            }
        }
    }
}

/// Says at the end what is wrong with the output, where that is known.
fn append(f: &mut fmt::Formatter<'_>, because: Option<&Arc<str>>) -> fmt::Result {
    because.map_or(Ok(()), |because| write!(f, ": {because}"))
}

impl std::error::Error for Undelivered {}

impl From<NotReady> for Undelivered {
    /// Of a push that was not accepted.
    fn from(not_ready: NotReady) -> Undelivered {
        match not_ready {
            NotReady::Stalled { for_time, error } => {
                Undelivered::Stalled { for_time, because: error }
            }
            NotReady::ReaderRefuses { for_time, words } => {
                Undelivered::Stalled { for_time, because: Some(words) }
            }
            NotReady::Misconfigured { words, .. } => Undelivered::Misconfigured { words },
            NotReady::SpoolFull { words } => Undelivered::SpoolFull { words },
            NotReady::ShuttingDown => Undelivered::ShuttingDown,
            NotReady::OutputEnded | NotReady::Defect => Undelivered::OutputEnded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_says_what_became_of_the_push_and_which_key_bounds_it() {
        let second = Duration::from_secs(1);
        for (undelivered, status, want) in [
            (
                Undelivered::Stalled { for_time: 6 * second, because: None },
                503,
                "the output has taken nothing for 6.0 s, this push was not written",
            ),
            (
                Undelivered::Full { bytes_max: 1024, because: None },
                503,
                "the queue is full (1024 bytes, output.queue_bytes), this push was not written",
            ),
            (
                Undelivered::TimedOut { after: 5 * second, because: None },
                503,
                "the output did not take this push within 5.0 s (output.ack_timeout), \
                 it may be written",
            ),
            (Undelivered::ShuttingDown, 503, "shutting down, this push was not written"),
            (Undelivered::OutputEnded, 503, "the output has ended, this push was not written"),
            (
                Undelivered::Misconfigured { words: "401 from the store".into() },
                503,
                "the output needs a change of configuration, this push was not written: 401 from the store",
            ),
            (
                Undelivered::SpoolFull {
                    words: "the spool is full (1048576 bytes, spool.max_bytes)".into(),
                },
                503,
                "the spool is full (1048576 bytes, spool.max_bytes), this push was not written",
            ),
            (
                Undelivered::LinesRefused {
                    refused: 2,
                    lines: 7,
                    first: "\"a b=1 1\"".into(),
                    words: "field type conflict".into(),
                },
                422,
                "2 of the 7 lines of this push were refused, the others are written; \
                 the first is \"a b=1 1\": field type conflict",
            ),
        ] {
            assert_eq!((undelivered.status(), undelivered.to_string()), (status, want.to_owned()));
        }
    }

    #[test]
    fn a_push_whose_lines_are_all_refused_is_not_told_that_others_are_written() {
        let refused = |count| Undelivered::LinesRefused {
            refused: count,
            lines: count,
            first: "\"a b=1 1\"".into(),
            words: "no".into(),
        };
        for (count, want) in [
            (1, "the line of this push was refused: \"a b=1 1\": no"),
            (7, "all 7 lines of this push were refused; the first is \"a b=1 1\": no"),
        ] {
            assert_eq!(refused(count).to_string(), want);
        }
    }

    #[test]
    fn what_is_wrong_with_the_output_is_said_at_the_end_where_it_is_known() {
        for undelivered in [
            |because| Undelivered::Stalled { for_time: Duration::from_secs(6), because },
            |because| Undelivered::Full { bytes_max: 1024, because },
            |because| Undelivered::TimedOut { after: Duration::from_secs(1), because },
        ] {
            let bare = undelivered(None).to_string();
            let told = undelivered(Some("no route".into())).to_string();
            assert_eq!(told, format!("{bare}: no route"));
        }
    }
}
