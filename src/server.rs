//! Requests → pushes → answers. The only file that names tiny_http.

use std::path::PathBuf;

/// What the operator asks of the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Size of the fixed worker pool, at least 1 (`server.workers`, already chosen).
    pub workers: usize,
    /// One credential a line; open where it is missing (`server.auth_file`).
    pub auth_file: Option<PathBuf>,
}
