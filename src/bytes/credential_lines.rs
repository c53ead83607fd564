//! A file of credentials → its lines: what the credentials of clients and that of a store have in
//! common.
//!
//! Blank lines and lines that begin with `#` are skipped. The file must not be readable by others.
//! No message has a word of it but a scheme that is known: a line without one may be the secret
//! itself.

use crate::system;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Schemes that a line may begin with, here or elsewhere.
const SCHEMES: [&str; 3] = ["basic", "bearer", "token"];

/// Why the lines of a file cannot be had.
#[derive(Debug)]
pub(crate) enum UnfitFile {
    /// It cannot be read.
    Read(io::Error),
    /// It is not UTF-8.
    Text,
    /// Others can read it.
    ReadableByOthers {
        /// What it is.
        mode: u32,
    },
}

impl fmt::Display for UnfitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnfitFile::Read(error) => write!(f, "cannot read the credentials: {error}"),
            UnfitFile::Text => f.write_str("cannot read the credentials: they are not UTF-8"),
            UnfitFile::ReadableByOthers { mode } => write!(
                f,
                "its mode is {:04o}, others can read the credentials; chmod o-rwx it",
                mode & 0o7777
            ),
        }
    }
}

/// How a malformed line begins, as far as that is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning(Option<&'static str>);

impl Beginning {
    /// Of this line.
    pub(crate) fn of(line: &str) -> Beginning {
        let word = line.split_whitespace().next().unwrap_or_default();
        Beginning(SCHEMES.into_iter().find(|scheme| scheme.eq_ignore_ascii_case(word)))
    }
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(scheme) => write!(f, "begins with \"{scheme}\""),
            None => f.write_str("begins with no scheme that is known"),
        }
    }
}

/// The lines of a file with credentials, each with its number, from 1.
///
/// # Errors
/// The file cannot be read, or others can read it.
pub(crate) fn credential_lines(path: &Path) -> Result<Vec<(usize, String)>, UnfitFile> {
    const OTHERS: u32 = 0o007;
    let (bytes, metadata) = system::read_file(path).map_err(UnfitFile::Read)?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(UnfitFile::ReadableByOthers { mode });
    }
    let text = String::from_utf8(bytes).map_err(|_| UnfitFile::Text)?;
    let is_entry = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
    let entries = (1..).zip(text.lines().map(str::trim)).filter(is_entry);
    Ok(entries.map(|(number, line)| (number, line.to_owned())).collect())
}
