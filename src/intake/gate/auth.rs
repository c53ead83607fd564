//! Credentials of a request → allowed or not (SPEC 1, 401).
//!
//! The file has one credential a line, `basic user:password` or `bearer token`; blank lines and
//! lines that begin with `#` are skipped. It must not be readable by others. Credentials are
//! compared in constant time.
//!
//! An [`Auth`] never changes: SIGHUP puts another one in its place, unless the file is bad.

use crate::bytes::base64::decode_base64;
use crate::push::sample::Quoted;
use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// Who may push.
#[derive(Debug, PartialEq, Eq)]
pub struct Auth {
    /// None: open to all.
    allowed: Option<Vec<Credential>>,
}

/// One line of the file.
#[derive(Clone, PartialEq, Eq)]
struct Credential {
    scheme: Scheme,
    /// `user:password`, or the token.
    secret: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer,
}

/// Why credentials cannot be used.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    kind: CredentialsProblem,
}

#[derive(Debug)]
enum CredentialsProblem {
    Read(io::Error),
    ReadableByOthers { mode: u32 },
    Line { number: usize, found: String },
    Empty,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            CredentialsProblem::Read(error) => {
                write!(f, "{path}: cannot read the credentials: {error}")
            }
            CredentialsProblem::ReadableByOthers { mode } => write!(
                f,
                "{path}: its mode is {:04o}, others can read the credentials; chmod o-rwx it",
                mode & 0o7777
            ),
            CredentialsProblem::Line { number, found } => write!(
                f,
                "{path}:{number}: begins with {}, must be \"basic user:password\" or \
                 \"bearer token\"",
                Quoted(found.as_bytes())
            ),
            CredentialsProblem::Empty => write!(f, "{path}: has no credentials, nobody could push"),
        }
    }
}

impl std::error::Error for Error {}

impl Auth {
    /// Reads the file; without one, everybody is admitted.
    ///
    /// # Errors
    /// The file cannot be read, others can read it, or it has a malformed line.
    pub fn open(path: Option<&Path>) -> Result<Auth, Error> {
        Ok(Auth { allowed: path.map(read).transpose()? })
    }

    /// Whether the value of an `Authorization` header is one of the credentials.
    pub(crate) fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(allowed) = &self.allowed else { return true };
        let Some((scheme, secret)) = authorization.and_then(split) else { return false };
        // Every credential is compared, so that the time does not tell which of them came close.
        allowed
            .iter()
            .filter(|credential| credential.scheme == scheme)
            .fold(false, |found, credential| {
                found | bool::from(credential.secret.as_bytes().ct_eq(&secret))
            })
    }

    /// The `WWW-Authenticate` lines of a 401, each with its CRLF.
    pub(crate) fn challenges(&self) -> String {
        let allowed = self.allowed.as_deref().unwrap_or_default();
        [
            (Scheme::Basic, "WWW-Authenticate: Basic realm=\"pushline\", charset=\"UTF-8\"\r\n"),
            (Scheme::Bearer, "WWW-Authenticate: Bearer realm=\"pushline\"\r\n"),
        ]
        .into_iter()
        .filter(|(scheme, _)| allowed.iter().any(|credential| credential.scheme == *scheme))
        .map(|(_, line)| line)
        .collect()
    }
}

/// `scheme 1*SP value` (RFC 9110, section 11.4): the scheme, and the secret that the value holds.
fn split(authorization: &[u8]) -> Option<(Scheme, Cow<'_, [u8]>)> {
    let blank = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, value) = authorization.split_at(blank);
    let value = value.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"basic") {
        let secret = decode_base64(std::str::from_utf8(value).ok()?)?;
        Some((Scheme::Basic, Cow::Owned(secret)))
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        Some((Scheme::Bearer, Cow::Borrowed(value)))
    } else {
        None
    }
}

fn read(path: &Path) -> Result<Vec<Credential>, Error> {
    const OTHERS: u32 = 0o007;
    let error = |kind| Error { path: path.to_owned(), kind };
    let metadata = fs::metadata(path).map_err(|io| error(CredentialsProblem::Read(io)))?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(error(CredentialsProblem::ReadableByOthers { mode }));
    }
    let text = fs::read_to_string(path).map_err(|io| error(CredentialsProblem::Read(io)))?;
    let is_entry = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
    let credentials = (1..)
        .zip(text.lines().map(str::trim))
        .filter(is_entry)
        .map(|(number, line)| {
            // The secret itself stays out of the message.
            let found = line.split_whitespace().next().unwrap_or_default().to_owned();
            credential(line).ok_or_else(|| error(CredentialsProblem::Line { number, found }))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if credentials.is_empty() { Err(error(CredentialsProblem::Empty)) } else { Ok(credentials) }
}

fn credential(line: &str) -> Option<Credential> {
    let (scheme, secret) = line.split_once(char::is_whitespace)?;
    let secret = secret.trim();
    match scheme {
        "basic" if secret.contains(':') => {
            Some(Credential { scheme: Scheme::Basic, secret: secret.to_owned() })
        }
        "bearer" if !secret.is_empty() && !secret.contains(char::is_whitespace) => {
            Some(Credential { scheme: Scheme::Bearer, secret: secret.to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str, mode: u32) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("pushline-auth-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn only_the_credentials_of_the_file_are_admitted() {
        let path = file("ok", "# who\n\nbasic Aladdin:open sesame\n  bearer t0k.en\n", 0o640);
        let auth = Auth::open(Some(&path)).unwrap();
        for (header, want) in [
            (Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), true),
            (Some("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), true),
            (Some("Bearer t0k.en"), true),
            (Some("Bearer t0k.e"), false),
            (Some("Bearer t0k.en2"), false),
            (Some("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), false),
            (Some("Basic t0k.en"), false),
            (Some("Digest t0k.en"), false),
            (Some("Bearer"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(auth.admits(header.map(str::as_bytes)), want, "{header:?}");
        }
        assert_eq!(auth.challenges().matches("WWW-Authenticate").count(), 2);
        assert_eq!(Auth::open(Some(&path)).unwrap(), auth, "the same file");
        fs::write(&path, "bearer other\n").unwrap();
        assert_ne!(Auth::open(Some(&path)).unwrap(), auth, "another file");
        assert!(auth.admits(Some(b"Bearer t0k.en")), "what was read stays");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_unsafe_or_malformed_is_refused_with_the_remedy() {
        for (name, text, mode, want) in [
            (
                "open",
                "bearer x\n",
                0o644,
                "its mode is 0644, others can read the credentials; chmod o-rwx it",
            ),
            (
                "word",
                "bearer a\ntoken secret\n",
                0o600,
                ":2: begins with \"token\", must be \"basic user:password\" or \"bearer token\"",
            ),
            ("colon", "basic user\n", 0o600, ":1: begins with \"basic\""),
            ("empty", "# none\n", 0o600, "has no credentials, nobody could push"),
        ] {
            let path = file(name, text, mode);
            let message = Auth::open(Some(&path)).unwrap_err().to_string();
            assert!(message.contains(want), "{message}");
            assert!(!message.contains("secret"), "{message}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn without_a_file_everybody_is_admitted() {
        assert!(Auth::open(None).unwrap().admits(None));
    }
}
