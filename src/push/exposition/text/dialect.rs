//! Which of the two text formats a body is in.

use crate::push::sample::Format;

/// They differ in what an integer timestamp counts, in what may follow `# EOF`, and in what an
/// unknown escape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus text format: milliseconds; `# EOF` is a comment.
    Text,
    /// OpenMetrics 1.0: seconds; only blank lines may follow `# EOF`.
    OpenMetrics,
}

impl Dialect {
    /// The dialect of a format, if it is one of text.
    pub fn of(format: Format) -> Option<Dialect> {
        match format {
            Format::Text => Some(Dialect::Text),
            Format::OpenMetrics => Some(Dialect::OpenMetrics),
            Format::Protobuf => None,
        }
    }
}
