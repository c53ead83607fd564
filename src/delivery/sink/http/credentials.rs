//! `output.http.auth_file` → the value of the `Authorization` header (SPEC 3.2).
//!
//! The file has one credential: `token …` (InfluxDB 2), `bearer …` or `basic user:password`; blank
//! lines and lines that begin with `#` are skipped. It must not be readable by others.

use crate::bytes::base64::encode_base64;
use crate::bytes::credential_lines::{
    Beginning, Scheme, SecretMistake, UnfitFile, credential_lines, one_token, split_scheme,
    user_and_password,
};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a credential cannot be used.
#[derive(Debug)]
pub(crate) struct CredentialError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    File(UnfitFile),
    Scheme {
        number: usize,
    },
    Secret {
        number: usize,
        mistake: SecretMistake,
    },
    /// A header cannot have the token.
    NotAscii {
        number: usize,
    },
    Several {
        number: usize,
    },
    Empty,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::File(unfit) => write!(f, "{path}: {unfit}"),
            Fault::Scheme { number } => write!(
                f,
                "{path}:{number}: {}, must be \"token …\", \"bearer …\" or \
                 \"basic user:password\"",
                Beginning(None)
            ),
            Fault::Secret { number, mistake } => write!(f, "{path}:{number}: {mistake}"),
            Fault::NotAscii { number } => write!(
                f,
                "{path}:{number}: the token has a character in it that is not printable ASCII"
            ),
            Fault::Several { number } => {
                write!(f, "{path}:{number}: a second credential, only one can be sent")
            }
            Fault::Empty => write!(f, "{path}: has no credential"),
        }
    }
}

impl std::error::Error for CredentialError {}

/// Reads the file; returns the value of the header, which must be kept out of logs.
///
/// # Errors
/// The file cannot be read, others can read it, or it is not one credential.
pub(crate) fn read(path: &Path) -> Result<String, CredentialError> {
    let error = |fault| CredentialError { path: path.to_owned(), fault };
    let lines = credential_lines(path).map_err(|unfit| error(Fault::File(unfit)))?;
    match lines.as_slice() {
        [] => Err(error(Fault::Empty)),
        [(number, line)] => header(*number, line).map_err(error),
        [_, (number, _), ..] => Err(error(Fault::Several { number: *number })),
    }
}

fn header(number: usize, line: &str) -> Result<String, Fault> {
    let secret_mistake = |mistake| Fault::Secret { number, mistake };
    let token = |scheme, rest| {
        let token = one_token(scheme, rest).map_err(secret_mistake)?;
        let is_printable = token.bytes().all(|byte| byte.is_ascii_graphic());
        if is_printable { Ok(token) } else { Err(Fault::NotAscii { number }) }
    };
    match split_scheme(line) {
        (Some(Scheme::Basic), secret) => {
            user_and_password(secret).map_err(secret_mistake)?;
            Ok(format!("Basic {}", encode_base64(secret.as_bytes())))
        }
        (Some(Scheme::Bearer), rest) => Ok(format!("Bearer {}", token(Scheme::Bearer, rest)?)),
        (Some(Scheme::Token), rest) => Ok(format!("Token {}", token(Scheme::Token, rest)?)),
        (None, _) => Err(Fault::Scheme { number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(name: &str, text: &str, mode: u32) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("pushline-credential-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn one_line_becomes_the_header() {
        for (text, want) in [
            ("token abc==\n", "Token abc=="),
            ("# of the store\n\n  Bearer a.b-c \n", "Bearer a.b-c"),
            ("basic Aladdin:open sesame\n", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("basic u:", "Basic dTo="),
        ] {
            let path = file("good", text, 0o640);
            assert_eq!(read(&path).unwrap(), want);
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_bad_file_is_refused_without_telling_its_secret() {
        for (text, mode, want) in [
            (
                "token s3cret\n",
                0o644,
                ": its mode is 0644, others can read the credentials; chmod o-rwx it",
            ),
            ("", 0o600, ": has no credential"),
            ("# none\n", 0o600, ": has no credential"),
            (
                "\ns3cret\n",
                0o600,
                ":2: begins with no scheme that is known, must be \"token …\", \"bearer …\" or \"basic user:password\"",
            ),
            (
                "admin:s3cret\n",
                0o600,
                ":1: begins with no scheme that is known, must be \"token …\", \"bearer …\" or \"basic user:password\"",
            ),
            (
                "basic s3cret\n",
                0o600,
                ":1: no \":\" follows the user, must be \"basic user:password\"",
            ),
            (
                "bearer two s3crets\n",
                0o600,
                ":1: the token after \"bearer\" has a blank in it, must be one word; a comment needs a line of its own",
            ),
            ("Token \n", 0o600, ":1: no token follows \"token\""),
            (
                "token s3creté\n",
                0o600,
                ":1: the token has a character in it that is not printable ASCII",
            ),
            ("token a\ntoken s3cret\n", 0o600, ":2: a second credential, only one can be sent"),
        ] {
            let path = file("bad", text, mode);
            let message = read(&path).unwrap_err().to_string();
            assert!(!message.contains("s3cret"), "{message}");
            assert_eq!(message, format!("{}{want}", path.display()));
            fs::remove_file(path).unwrap();
        }
        let missing = read(Path::new("/nowhere/credential")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/credential: cannot read the credentials: "));
    }
}
