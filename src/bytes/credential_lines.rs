//! A file of credentials → its lines, and the parts of a line: what the credentials of clients and
//! that of a store have in common.
//!
//! Blank lines and lines that begin with `#` are skipped. The file must not be readable by others.
//! No message has a word of it but a scheme that is known: a line without one may be the secret
//! itself. A scheme is read in any case (RFC 9110, section 11.1).

use crate::system;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A scheme that a line may begin with, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `basic user:password`
    Basic,
    /// `bearer token`
    Bearer,
    /// `token token`, which only the file of a store has.
    Token,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Basic => "basic",
            Scheme::Bearer => "bearer",
            Scheme::Token => "token",
        })
    }
}

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

/// How a line begins that has none of the schemes of its file, as far as that is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning(pub(crate) Option<Scheme>);

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(scheme) => write!(f, "begins with \"{scheme}\""),
            None => f.write_str("begins with no scheme that is known"),
        }
    }
}

/// What is wrong with what follows a scheme, without a word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretMistake {
    /// `bearer` or `token` alone.
    NoToken(Scheme),
    /// More than one word follows.
    Blank(Scheme),
    /// `basic` without a user and a password.
    NoColon,
}

impl fmt::Display for SecretMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretMistake::NoToken(scheme) => write!(f, "no token follows \"{scheme}\""),
            SecretMistake::Blank(scheme) => write!(
                f,
                "the token after \"{scheme}\" has a blank in it, must be one word; a comment needs \
                 a line of its own"
            ),
            SecretMistake::NoColon => {
                f.write_str("no \":\" follows the user, must be \"basic user:password\"")
            }
        }
    }
}

/// Splits a line into its scheme, if it has one that is known, and what follows that, trimmed.
pub(crate) fn split_scheme(line: &str) -> (Option<Scheme>, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let known = [Scheme::Basic, Scheme::Bearer, Scheme::Token];
    let scheme = known.into_iter().find(|it| it.to_string().eq_ignore_ascii_case(word));
    (scheme, rest.trim())
}

/// What follows `basic`, as user and password: a user has no colon (RFC 7617, section 2).
///
/// # Errors
/// There is no colon.
pub(crate) fn user_and_password(rest: &str) -> Result<(&str, &str), SecretMistake> {
    rest.split_once(':').ok_or(SecretMistake::NoColon)
}

/// What follows `bearer` or `token`, as a token.
///
/// # Errors
/// It is not one word.
pub(crate) fn one_token(scheme: Scheme, rest: &str) -> Result<&str, SecretMistake> {
    if rest.is_empty() {
        return Err(SecretMistake::NoToken(scheme));
    }
    if rest.contains(char::is_whitespace) {
        return Err(SecretMistake::Blank(scheme));
    }
    Ok(rest)
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
