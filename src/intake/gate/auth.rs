//! Credentials of a request → allowed or not (SPEC 1, 401).
//!
//! A file has one credential a line; blank lines and lines that begin with `#` are skipped. It must
//! not be readable by others.
//!
//! ```text
//! credential = "basic" user ":" password | "basic" user ":{sha256}" salt ":" hex
//!            | "bearer" token            | "bearer {sha256}" hex
//! hex        = 64 hexadecimal digits: SHA-256 of the salt and the password, or of the token
//! ```
//!
//! The scheme may be in any case, as in a request.
//!
//! Secrets are compared in constant time, hashed ones by their digests. Only lines of the same user
//! are hashed for: who the users are is no secret, and a file of many lines costs no more than one
//! of few.
//!
//! An [`Auth`] never changes: SIGHUP puts another one in its place, unless a file is bad.

use crate::bytes::base64::decode_base64;
use crate::bytes::credential_lines::{
    Beginning, Scheme, SecretMistake, UnfitFile, credential_lines, one_token, split_scheme,
    user_and_password,
};
use crate::bytes::sha256::{SHA256_BYTES, sha256, sha256_of_hex};
use crate::push::route::{self, Endpoint};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// Who may push, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Auth {
    /// Of whatever is asked but of an input with credentials of its own.
    server: Credentials,
    /// Where the inputs take pushes, in their order.
    endpoints: Vec<Endpoint>,
    /// The credentials that those inputs have of their own.
    inputs: Vec<Option<Credentials>>,
}

/// The files of an [`Auth`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CredentialFiles {
    /// `server.auth_file`
    pub(crate) server: Option<PathBuf>,
    /// The inputs in their order, and the `auth_file` of each.
    pub(crate) inputs: Vec<(Endpoint, Option<PathBuf>)>,
}

/// The credentials of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// None: open to all.
    allowed: Option<Vec<Credential>>,
}

/// One line of a file.
#[derive(Clone, PartialEq, Eq)]
enum Credential {
    Basic { user: String, password: KnownSecret },
    Bearer(KnownSecret),
}

/// What is to be shown.
#[derive(Clone, PartialEq, Eq)]
enum KnownSecret {
    Plain(String),
    Sha256 { salt: String, digest: [u8; SHA256_BYTES] },
}

/// What a request shows.
enum Shown<'r> {
    Basic { user: Cow<'r, [u8]>, password: Cow<'r, [u8]> },
    Bearer(&'r [u8]),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Basic { .. } => "basic …",
            Credential::Bearer(_) => "bearer …",
        })
    }
}

/// Why credentials cannot be used.
#[derive(Debug)]
pub struct Error {
    /// The key that names the file.
    key: String,
    path: PathBuf,
    kind: CredentialsProblem,
}

#[derive(Debug)]
enum CredentialsProblem {
    File(UnfitFile),
    Scheme { number: usize, found: Beginning },
    Secret { number: usize, mistake: SecretMistake },
    Hash { number: usize },
    UnknownHash { number: usize },
    Empty,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "{}: ", self.key)?;
        match &self.kind {
            CredentialsProblem::File(unfit) => write!(f, "{path}: {unfit}"),
            CredentialsProblem::Scheme { number, found } => write!(
                f,
                "{path}:{number}: {found}, must be \"basic user:password\" or \"bearer token\""
            ),
            CredentialsProblem::Secret { number, mistake } => {
                write!(f, "{path}:{number}: {mistake}")
            }
            CredentialsProblem::Hash { number } => write!(
                f,
                "{path}:{number}: what follows {{sha256}} must be salt:hex after a user, or hex \
                 after \"bearer\", with 64 hexadecimal digits"
            ),
            CredentialsProblem::UnknownHash { number } => write!(
                f,
                "{path}:{number}: is hashed in a form that is not known, must be \
                 plain, {{sha256}}salt:hex after a user, or {{sha256}}hex after \"bearer\""
            ),
            CredentialsProblem::Empty => write!(f, "{path}: has no credentials, nobody could push"),
        }
    }
}

impl std::error::Error for Error {}

impl Auth {
    /// Reads the files. Where there is none, everybody is admitted; an input without one of its own
    /// has that of the server.
    ///
    /// # Errors
    /// A file cannot be read, others can read it, or it has a malformed line.
    pub(crate) fn open(files: &CredentialFiles) -> Result<Auth, Error> {
        let mut auth = Auth {
            server: Credentials::open("server.auth_file", files.server.as_deref())?,
            endpoints: Vec::new(),
            inputs: Vec::new(),
        };
        for (endpoint, path) in &files.inputs {
            let key = format!("inputs.pushgateway[{}].auth_file", endpoint.prefix);
            let own = path.as_deref().map(|path| Credentials::open(&key, Some(path)));
            auth.inputs.push(own.transpose()?);
            auth.endpoints.push(endpoint.clone());
        }
        Ok(auth)
    }

    /// The credentials that a request for this target needs.
    pub(crate) fn of(&self, target: &str) -> &Credentials {
        let is_same_for_all = self.inputs.iter().all(Option::is_none);
        if is_same_for_all {
            return &self.server;
        }
        let input = route::input_of(target.as_bytes(), &self.endpoints);
        let own = input.and_then(|input| self.inputs.get(input)?.as_ref());
        own.unwrap_or(&self.server)
    }
}

impl Credentials {
    fn open(key: &str, path: Option<&Path>) -> Result<Credentials, Error> {
        Ok(Credentials { allowed: path.map(|path| read(key, path)).transpose()? })
    }

    /// Whether the value of an `Authorization` header is one of them.
    pub(crate) fn admit(&self, authorization: Option<&[u8]>) -> bool {
        let Some(allowed) = &self.allowed else { return true };
        let Some(shown) = authorization.and_then(split) else { return false };
        // Every one is compared, so that the time does not tell which of them came close.
        match shown {
            Shown::Bearer(token) => {
                let digest = std::cell::OnceCell::new();
                let is_it = |secret: &KnownSecret| match secret {
                    KnownSecret::Plain(text) => bool::from(text.as_bytes().ct_eq(token)),
                    KnownSecret::Sha256 { digest: wanted, .. } => {
                        wanted.ct_eq(digest.get_or_init(|| sha256(&[token]))).into()
                    }
                };
                allowed.iter().fold(false, |found, credential| match credential {
                    Credential::Bearer(secret) => found | is_it(secret),
                    Credential::Basic { .. } => found,
                })
            }
            Shown::Basic { user, password } => {
                allowed.iter().fold(false, |found, credential| match credential {
                    Credential::Basic { user: wanted, password: secret }
                        if wanted.as_bytes().ct_eq(&user).into() =>
                    {
                        found | secret.is_password(&password)
                    }
                    _ => found,
                })
            }
        }
    }

    /// The `WWW-Authenticate` lines of a 401, each with its CRLF.
    pub(crate) fn challenges(&self) -> String {
        const BASIC: &str = "WWW-Authenticate: Basic realm=\"pushline\", charset=\"UTF-8\"\r\n";
        const BEARER: &str = "WWW-Authenticate: Bearer realm=\"pushline\"\r\n";
        let allowed = self.allowed.as_deref().unwrap_or_default();
        let is_basic = |credential: &Credential| matches!(credential, Credential::Basic { .. });
        let (has_basic, has_bearer) = (allowed.iter().any(is_basic), !allowed.iter().all(is_basic));
        [(has_basic, BASIC), (has_bearer, BEARER)]
            .into_iter()
            .filter_map(|(is_there, line)| is_there.then_some(line))
            .collect()
    }
}

impl KnownSecret {
    fn is_password(&self, password: &[u8]) -> bool {
        match self {
            KnownSecret::Plain(text) => text.as_bytes().ct_eq(password).into(),
            KnownSecret::Sha256 { salt, digest } => {
                digest.ct_eq(&sha256(&[salt.as_bytes(), password])).into()
            }
        }
    }
}

/// `scheme 1*SP value` (RFC 9110, section 11.4): what the value shows. A user has no colon (RFC
/// 7617, section 2).
fn split(authorization: &[u8]) -> Option<Shown<'_>> {
    let blank = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, value) = authorization.split_at(blank);
    let value = value.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"basic") {
        let mut user = decode_base64(std::str::from_utf8(value).ok()?)?;
        let colon = user.iter().position(|byte| *byte == b':')?;
        let password = user.split_off(colon + 1);
        user.truncate(colon);
        Some(Shown::Basic { user: user.into(), password: password.into() })
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        Some(Shown::Bearer(value))
    } else {
        None
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<Credential>, Error> {
    let error = |kind| Error { key: key.to_owned(), path: path.to_owned(), kind };
    let lines = credential_lines(path).map_err(|unfit| error(CredentialsProblem::File(unfit)))?;
    let credentials = lines
        .iter()
        .map(|(number, line)| credential(*number, line).map_err(error))
        .collect::<Result<Vec<_>, _>>()?;
    if credentials.is_empty() { Err(error(CredentialsProblem::Empty)) } else { Ok(credentials) }
}

/// Whether a secret begins as those of other programs do that are hashed: `{SHA}…`, `$6$…`. Taken
/// for a plain one, the digest itself would be the password.
fn looks_hashed(secret: &str) -> bool {
    [('{', '}'), ('$', '$')].into_iter().any(|(open, close)| {
        let form = secret.strip_prefix(open).and_then(|rest| rest.split_once(close));
        form.is_some_and(|(name, _)| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !name.is_empty() && name.bytes().all(is_part)
        })
    })
}

/// How a secret that is hashed begins.
const SHA256: &str = "{sha256}";

fn credential(number: usize, line: &str) -> Result<Credential, CredentialsProblem> {
    let secret_mistake = |mistake| CredentialsProblem::Secret { number, mistake };
    match split_scheme(line) {
        (Some(Scheme::Basic), rest) => {
            let (user, password) = user_and_password(rest).map_err(secret_mistake)?;
            let password = known_password(number, password)?;
            Ok(Credential::Basic { user: user.to_owned(), password })
        }
        (Some(Scheme::Bearer), rest) => {
            let token = one_token(Scheme::Bearer, rest).map_err(secret_mistake)?;
            Ok(Credential::Bearer(known_token(number, token)?))
        }
        (found @ (Some(Scheme::Token) | None), _) => {
            Err(CredentialsProblem::Scheme { number, found: Beginning(found) })
        }
    }
}

fn known_password(number: usize, password: &str) -> Result<KnownSecret, CredentialsProblem> {
    let Some(hashed) = password.strip_prefix(SHA256) else { return plain(number, password) };
    let salt_and_digest = hashed.rsplit_once(':').and_then(|(salt, hex)| {
        Some((salt.to_owned(), sha256_of_hex(hex).filter(|_| !salt.is_empty())?))
    });
    let (salt, digest) = salt_and_digest.ok_or(CredentialsProblem::Hash { number })?;
    Ok(KnownSecret::Sha256 { salt, digest })
}

fn known_token(number: usize, token: &str) -> Result<KnownSecret, CredentialsProblem> {
    let Some(hex) = token.strip_prefix(SHA256) else { return plain(number, token) };
    let digest = sha256_of_hex(hex).ok_or(CredentialsProblem::Hash { number })?;
    Ok(KnownSecret::Sha256 { salt: String::new(), digest })
}

fn plain(number: usize, secret: &str) -> Result<KnownSecret, CredentialsProblem> {
    if looks_hashed(secret) {
        return Err(CredentialsProblem::UnknownHash { number });
    }
    Ok(KnownSecret::Plain(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(name: &str, text: &str, mode: u32) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("pushline-auth-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn open(server: Option<&Path>) -> Result<Auth, Error> {
        let server = server.map(Path::to_owned);
        Auth::open(&CredentialFiles { server, inputs: Vec::new() })
    }

    /// The value of an `Authorization` header.
    fn basic(user: &str, password: &str) -> Vec<u8> {
        let both = format!("{user}:{password}");
        format!("Basic {}", crate::bytes::base64::encode_base64(both.as_bytes())).into_bytes()
    }

    #[test]
    fn hashed_lines_admit_what_they_were_made_of_and_nothing_else() {
        // printf %s 'pepperopen sesame' | sha256sum; printf %s t0k.en | sha256sum
        let salted = "1a62cb3bb3ecfcd0e49236c037d100f64ec07a1a3c5964db8d0bfb8a31a221fa";
        let token = "df37664f973e5609596c8018461a045bd0fc9419d5d9f9bbd44e5b66f62dc18f";
        let text = format!(
            "basic Aladdin:{{sha256}}pepper:{salted}\nbasic Aladdin:plain: too\n\
             basic b:{{sha256}}sa:lt:{}\nbearer {{sha256}}{token}\n",
            digest("sa:ltpw")
        );
        let path = file("hashed", &text, 0o600);
        let auth = open(Some(&path)).unwrap();
        let secrets = auth.of("/");
        for (shown, want) in [
            (basic("Aladdin", "open sesame"), true),
            (basic("Aladdin", "plain: too"), true),
            (basic("Aladdin", "open sesam"), false),
            (basic("Aladdin", &format!("{{sha256}}pepper:{salted}")), false),
            (basic("Aladdin", salted), false),
            (basic("aladdin", "open sesame"), false),
            (basic("b", "pw"), true),
            (basic("b", "open sesame"), false),
            (b"Bearer t0k.en".to_vec(), true),
            (b"Bearer t0k.em".to_vec(), false),
            (format!("Bearer {token}").into_bytes(), false),
            (format!("Bearer {{sha256}}{token}").into_bytes(), false),
        ] {
            assert_eq!(secrets.admit(Some(&shown)), want, "{}", shown.escape_ascii());
        }
        fs::remove_file(path).unwrap();
    }

    fn digest(text: &str) -> String {
        sha256(&[text.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn an_input_with_a_file_of_its_own_admits_nobody_else() {
        let (server, own) = (file("server", "bearer s\n", 0o600), file("own", "bearer o\n", 0o600));
        let endpoint = |prefix: &str| Endpoint { prefix: prefix.to_owned(), ..Endpoint::default() };
        let inputs = vec![(endpoint(""), None), (endpoint("/a"), Some(own.clone()))];
        let auth = Auth::open(&CredentialFiles { server: Some(server.clone()), inputs }).unwrap();
        for (target, of_server, of_own) in [
            ("/a/metrics/job/x", false, true),
            ("/a/metrics/job@base64/eA/b/c", false, true),
            ("http://h:1/a/metrics/job/x?dry_run", false, true),
            ("HTTPS://h/a/metrics/job/x", false, true),
            ("/metrics/job/x", true, false),
            ("/metrics/job/a/metrics/job/x", true, false),
            ("/%61/metrics/job/x", true, false),
            ("//a/metrics/job/x", true, false),
            ("/a/metrics", true, false),
            ("/metrics", true, false),
            ("/", true, false),
        ] {
            let secrets = auth.of(target);
            assert_eq!(secrets.admit(Some(b"Bearer s")), of_server, "{target}");
            assert_eq!(secrets.admit(Some(b"Bearer o")), of_own, "{target}");
            assert!(!secrets.admit(None), "{target}");
        }
        // Where the server has none, the other inputs and the page are open.
        let inputs = vec![(endpoint(""), None), (endpoint("/a"), Some(own.clone()))];
        let auth = Auth::open(&CredentialFiles { server: None, inputs }).unwrap();
        assert!(auth.of("/metrics/job/x").admit(None) && auth.of("/").admit(None));
        assert!(!auth.of("/a/metrics/job/x").admit(None));
        let missing = vec![(endpoint("/a"), Some("/nowhere".into()))];
        let error = Auth::open(&CredentialFiles { server: None, inputs: missing }).unwrap_err();
        let want = "inputs.pushgateway[/a].auth_file: /nowhere: cannot read the credentials: ";
        assert!(error.to_string().starts_with(want), "{error}");
        for path in [server, own] {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn only_the_credentials_of_the_file_are_admitted() {
        let path = file("ok", "# who\n\nBASIC Aladdin:open sesame\n  Bearer t0k.en\n", 0o640);
        let auth = open(Some(&path)).unwrap();
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
            assert_eq!(
                auth.of("/metrics/job/x").admit(header.map(str::as_bytes)),
                want,
                "{header:?}"
            );
        }
        assert_eq!(auth.of("/").challenges().matches("WWW-Authenticate").count(), 2);
        assert_eq!(open(Some(&path)).unwrap(), auth, "the same file");
        fs::write(&path, "bearer other\n").unwrap();
        assert_ne!(open(Some(&path)).unwrap(), auth, "another file");
        assert!(auth.of("/metrics/job/x").admit(Some(b"Bearer t0k.en")), "what was read stays");
        fs::remove_file(path).unwrap();
    }

    /// Files that are refused: a name, what is in it, its mode, a part of the message.
    const FILES: [(&str, &str, u32, &str); 18] = [
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
        (
            "colon",
            "basic secret\n",
            0o600,
            ":1: no \":\" follows the user, must be \"basic user:password\"",
        ),
        ("no user", "Basic\n", 0o600, ":1: no \":\" follows the user"),
        ("no token", "bearer \n", 0o600, ":1: no token follows \"bearer\""),
        (
            "two words",
            "Bearer secret one\n",
            0o600,
            ":1: the token after \"bearer\" has a blank in it, must be one word",
        ),
        (
            "a comment",
            "bearer secret # of the shop\n",
            0o600,
            "must be one word; a comment needs a line of its own",
        ),
        (
            "bare token",
            "# of the shop\nsecret\n",
            0o600,
            ":2: begins with no scheme that is known, must be \"basic user:password\" or",
        ),
        ("no scheme", "user:secret\n", 0o600, ":1: begins with no scheme"),
        ("a wrong scheme", "secret: x\n", 0o600, ":1: begins with no scheme"),
        (
            "hash",
            "basic u:{sha256}secret:12\n",
            0o600,
            ":1: what follows {sha256} must be salt:hex",
        ),
        (
            "no salt",
            "basic u:{sha256}:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n",
            0o600,
            ":1: what follows",
        ),
        ("bearer hash", "bearer {sha256}secret\n", 0o600, ":1: what follows {sha256}"),
        ("case", "basic u:{SHA256}secret\n", 0o600, ":1: is hashed in a form"),
        ("other", "bearer {sha512}secret\n", 0o600, ":1: is hashed in a form"),
        ("crypt", "basic u:$6$secret\n", 0o600, ":1: is hashed in a form"),
        ("bcrypt", "basic u:$2y$10$secret\n", 0o600, "{sha256}salt:hex after a user"),
        ("empty", "# none\n", 0o600, "has no credentials, nobody could push"),
    ];

    #[test]
    fn a_file_that_is_unsafe_or_malformed_is_refused_with_the_remedy() {
        for (name, text, mode, want) in FILES {
            let path = file(name, text, mode);
            let message = open(Some(&path)).unwrap_err().to_string();
            assert!(message.starts_with("server.auth_file: /"), "{message}");
            assert!(message.contains(want), "{message}");
            assert!(!message.contains("secret"), "{message}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn without_a_file_everybody_is_admitted() {
        assert!(open(None).unwrap().of("/").admit(None));
    }
}
