//! Finished lines → the consumer: the queue, the writer, and one output.

pub(crate) mod condition;
pub mod queue;
pub mod sink;
pub mod spool;
pub mod writer;

pub mod emitter;
