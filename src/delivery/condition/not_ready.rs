//! Why pushes cannot be delivered: what `/-/ready`, the status and the supervisor are told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why pushes cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// The output has taken nothing new for longer than `ack_timeout` though something waits.
    Stalled {
        /// For how long.
        for_time: Duration,
        /// The error that it failed with last.
        error: Option<Arc<str>>,
    },
    /// The operator has to mend something.
    Misconfigured {
        /// What is wrong, in the consumer's words.
        words: Arc<str>,
        /// For how long.
        for_time: Duration,
        /// When it is tried again.
        next_try: Duration,
    },
    /// The reader closes its connection at something that it is sent.
    ReaderRefuses {
        /// What it does.
        words: Arc<str>,
        /// For how long pushes have been offered one by one.
        for_time: Duration,
    },
    /// The spool has no room.
    SpoolFull {
        /// What bounds it.
        words: Arc<str>,
    },
    /// The process is shutting down.
    ShuttingDown,
    /// The output has ended for good.
    OutputEnded,
    /// A thread of ours has failed.
    Defect,
}

impl NotReady {
    /// Whether it is how the process ends, which is told by who ends it.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, NotReady::ShuttingDown | NotReady::OutputEnded | NotReady::Defect)
    }

    /// One word for it, as the status says it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            NotReady::Stalled { .. } => "stalled",
            NotReady::Misconfigured { .. } => "misconfigured",
            NotReady::ReaderRefuses { .. } => "reader_refuses",
            NotReady::SpoolFull { .. } => "spool_full",
            NotReady::ShuttingDown => "shutting_down",
            NotReady::OutputEnded => "output_ended",
            NotReady::Defect => "defect",
        }
    }

    /// What it is, without the times that change from one second to the next; `output` is what the
    /// output is called.
    pub(crate) fn in_short(&self, output: &dyn fmt::Display) -> String {
        match self {
            NotReady::Stalled { error: None, .. } => format!("{output} takes no lines"),
            NotReady::Stalled { error: Some(error), .. } => {
                format!("{output} takes no lines ({error})")
            }
            NotReady::Misconfigured { words, .. } => {
                format!("{output} needs a change of configuration: {words}")
            }
            NotReady::ReaderRefuses { words, .. } => {
                format!("{output}: {words}, so pushes are offered one by one")
            }
            NotReady::SpoolFull { words } => words.to_string(),
            NotReady::ShuttingDown => "shutting down".to_owned(),
            NotReady::OutputEnded => format!("{output} has ended: its reader went away"),
            NotReady::Defect => "a thread of pushline has failed, see the log".to_owned(),
        }
    }

    /// The same for its reader: with the times, and a full stop.
    pub(crate) fn sentence(&self, output: &dyn fmt::Display) -> String {
        match self {
            NotReady::Stalled { for_time, error } => {
                let error = error.as_ref().map_or(String::new(), |error| format!(" ({error})"));
                let seconds = for_time.as_secs_f64();
                format!("{output} has taken nothing for {seconds:.0} s{error}.")
            }
            NotReady::Misconfigured { for_time, next_try, .. } => {
                let (for_time, next_try) = (for_time.as_secs_f64(), next_try.as_secs_f64());
                let short = self.in_short(output);
                format!("{short}, for {for_time:.0} s. It is tried again in {next_try:.0} s.")
            }
            NotReady::ReaderRefuses { for_time, .. } => {
                let (short, seconds) = (self.in_short(output), for_time.as_secs_f64());
                format!("{short}, for {seconds:.0} s.")
            }
            NotReady::SpoolFull { .. }
            | NotReady::ShuttingDown
            | NotReady::OutputEnded
            | NotReady::Defect => {
                format!("{}.", self.in_short(output))
            }
        }
    }
}

impl fmt::Display for NotReady {
    /// Speaks of the output, not of a push.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence(&"the output").trim_end_matches('.'))
    }
}

impl std::error::Error for NotReady {}
