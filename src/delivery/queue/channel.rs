//! The channel between the workers and the writer. The only file that names crossbeam-channel.

use super::batch::WriterOrder;

/// The end of those who hand over.
pub(super) type OrderSender = crossbeam_channel::Sender<WriterOrder>;
/// The end of the writer.
pub(super) type OrderReceiver = crossbeam_channel::Receiver<WriterOrder>;

/// A channel that is unbounded in orders: what it may hold is bounded in bytes, before anything is
/// sent.
pub(super) fn open() -> (OrderSender, OrderReceiver) {
    crossbeam_channel::unbounded()
}
