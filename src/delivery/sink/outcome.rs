//! What a sink answers when it is offered a block: one closed set.
//!
//! `Ok` means that the sink is done with the block, `Err` that the same block is offered again, but
//! for the end of the output.

use crate::observe::telemetry::RejectReason;
use std::io;
use std::ops::Range;
use std::time::Duration;

/// The consumer is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Every line of it.
    All,
    /// Every line but these, which it refuses for good: in ascending order, none twice, at least
    /// one. The sink has counted and logged them, and kept them where that is asked for.
    AllBut(Vec<RefusedLines>),
}

/// Lines that a consumer refuses, one after the other in their block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedLines {
    /// Whole lines: bytes of the block. They may be of several pushes, where those could not be
    /// told apart within the bound of requests.
    pub(crate) bytes: Range<usize>,
    /// How they are counted.
    pub(crate) reason: RejectReason,
    /// The status that the consumer answered with, where it speaks HTTP.
    pub(crate) status: Option<u16>,
    /// The consumer's words, or what it did; one line, escaped and bounded.
    pub(crate) words: String,
}

/// Why a block is not taken, or an idle output is not well.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The output takes nothing more now. Nothing is lost: the same block, offered again at once,
    /// goes on where it was.
    Blocked,
    /// The output failed, and may work again: the block is offered again after a pause.
    Broken {
        /// What went wrong.
        error: io::Error,
        /// How long the consumer asked to be left alone (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The operator has to mend something, so nothing is dropped; the block is offered again after
    /// a pause.
    Misconfigured {
        /// What is wrong, in the consumer's words where it has some: `401 from the store:
        /// "unauthorized access"`; one line, escaped and bounded.
        words: String,
    },
    /// The reader closes at something that it is sent, and the sink is finding out at what. The
    /// block is offered again at once, and is not taken before that is known.
    ReaderRefuses {
        /// What the reader does: a clause that begins with its name; one line.
        words: String,
    },
    /// Nobody will ever read this output again.
    Ended(io::Error),
}

impl Trouble {
    /// Whether it only takes nothing more now.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(self, Trouble::Blocked)
    }
}

impl From<io::Error> for Trouble {
    /// An error of a descriptor: [`Trouble::Blocked`] where it only has no room now.
    fn from(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::TimedOut => {
                Trouble::Blocked
            }
            _ => Trouble::Broken { error, retry_after: None },
        }
    }
}
