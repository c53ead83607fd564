//! Bytes of one exposition → samples, and what each has in common with the one before (SPEC 1.3,
//! 1.4).
//!
//! A reader hands each sample to a closure, in the order of the body, and stops at the first error,
//! its own or the closure's. The caller forgets samples that came before an error: a push is all or
//! nothing.

pub(crate) mod delta;
pub mod error;
mod midpoint;
mod name;
mod native;
mod number;
pub mod protobuf;
mod reuse;
mod slip;
pub mod text;
mod types;

#[cfg(test)]
mod tests;

pub use error::{Error, ErrorKind};

use crate::push::sample::{Format, Names, Sample};
use delta::Delta;

/// Reads `body` in `format` and hands each sample to `each`, in the order of the body.
///
/// # Errors
/// The first mistake of the body, as an [`Error`] with its offset, or what `each` returns.
pub fn read<E: From<Error>>(
    body: &[u8],
    format: Format,
    names: Names,
    mut each: impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    read_deltas(body, format, names, |sample, _| each(sample))
}

/// The same, with what each sample has in common with the one before.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_deltas<E: From<Error>>(
    body: &[u8],
    format: Format,
    names: Names,
    each: impl FnMut(&Sample<'_>, Delta) -> Result<(), E>,
) -> Result<(), E> {
    match text::Dialect::of(format) {
        Some(dialect) => text::TextReader::default().read(body, dialect, names, each),
        None => protobuf::ProtobufReader::default().read(body, names, each),
    }
}
