//! What only tests and fuzzing use: claims that hold for any bytes, the naive twin of the reader,
//! child processes, random bodies.

#[cfg(test)]
pub(crate) mod child_process;
pub mod gate_claims;
mod naive_reader;
#[cfg(test)]
pub mod random;
pub mod reader_claims;
#[cfg(test)]
pub(crate) mod store;
