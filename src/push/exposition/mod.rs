//! Bytes of one exposition → samples (SPEC 1.3, 1.4).
//!
//! A reader hands each sample to a closure, in the order of the body, and stops at the first error,
//! its own or the closure's. Samples that were handed over before an error are the caller's to
//! forget: a push is all or nothing.

pub mod error;
mod name;
mod native;
mod number;
pub mod protobuf;
mod reuse;
pub mod text;
mod types;

#[cfg(test)]
mod tests;

pub use error::{Error, ErrorKind};

use crate::push::sample::{Format, Names, Sample};

/// Reads `body` in `format` and hands each sample to `each`, in the order of the body.
///
/// # Errors
/// The first mistake of the body, as an [`Error`] with its offset, or what `each` returns.
pub fn read<E: From<Error>>(
    body: &[u8],
    format: Format,
    names: Names,
    each: impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    match text::Dialect::of(format) {
        Some(dialect) => text::read(body, dialect, names, each),
        None => protobuf::read(body, names, each),
    }
}
