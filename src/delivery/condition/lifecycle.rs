//! How far the delivery of pushes has come, from its start to its end: it only moves on.

/// Pushes are let in.
pub(super) const OPEN: u8 = 0;
/// Nothing more is let in; what is in hand is delivered.
pub(super) const CLOSED: u8 = 1;
/// The output has ended.
pub(super) const ENDED: u8 = 2;
/// A thread of ours has failed.
pub(super) const DEFECT: u8 = 3;

/// Why nothing is delivered any more, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinalEnd {
    /// The output has ended: its reader went away.
    Output,
    /// A thread of ours has failed.
    Defect,
}

impl FinalEnd {
    pub(super) fn lifecycle(self) -> u8 {
        match self {
            FinalEnd::Output => ENDED,
            FinalEnd::Defect => DEFECT,
        }
    }
}
