//! What only tests and fuzzing use: claims that hold for any bytes, the naive twin of the reader,
//! child processes, random bodies; what makes the manual.

#[cfg(test)]
pub(crate) mod child_process;
pub mod gate_claims;
#[cfg(test)]
pub(crate) mod manual;
mod naive_reader;
#[cfg(test)]
pub mod random;
pub mod reader_claims;
#[cfg(test)]
pub(crate) mod store;
