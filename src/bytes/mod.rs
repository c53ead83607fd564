//! Fixed-size blocks and short texts: the tools of the hot path.

pub mod chunk;
pub(crate) mod recent;
pub mod short;
