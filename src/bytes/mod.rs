//! Fixed-size blocks and short texts, the tools of the hot path; gzip and base64.

pub(crate) mod base64;
pub mod chunk;
pub(crate) mod deflate;
pub(crate) mod recent;
pub mod short;
pub mod text;
