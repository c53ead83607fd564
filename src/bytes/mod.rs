//! Fixed-size blocks and short texts, the tools of the hot path; gzip, base64 and SHA-256,
//! and the lines of files with credentials.

pub(crate) mod base64;
pub mod chunk;
pub(crate) mod credential_lines;
pub(crate) mod deflate;
pub(crate) mod hex;
pub(crate) mod recent;
pub(crate) mod sha256;
pub mod short;
pub mod text;
