//! A valid configuration → whether the start finds what it needs (`--check`, and every start).
//!
//! What is tried here is what the operator must mend and no restart can: a file that is named and
//! missing, or that this process may not read or write. Addresses are not tried, as another process
//! may give them up. Every new key that names a file or folder is tried here.

use crate::config::Config;
use crate::delivery::sink::{self, OpenError, Target};
use crate::intake::gate::auth::{self, Auth};
use crate::intake::gate::{Listen, ListenerTlsError};
use crate::system;
use crate::tls::{self, TlsFile, TlsKey, TlsServer};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Why a valid configuration cannot be started with: every reason, one a line.
#[derive(Debug)]
pub struct Unfit(Vec<Reason>);

/// One reason.
#[derive(Debug)]
enum Reason {
    /// Credentials cannot be used.
    Auth(auth::Error),
    /// The certificate of the listeners cannot be used.
    Tls(ListenerTlsError),
    /// The credential or a certificate of the output cannot be used.
    Output(OpenError),
    /// The file of this key cannot be written to.
    File { key: &'static str, path: PathBuf, error: io::Error },
    /// It cannot be made in its folder.
    Folder { key: &'static str, folder: PathBuf, error: io::Error },
    /// Something else is where a socket of the file system should be.
    NoSocket { key: &'static str, path: PathBuf },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unfit {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Auth(error) => error.fmt(f),
            Reason::Tls(error) => error.fmt(f),
            Reason::Output(error) => error.fmt(f),
            Reason::File { key, path, error } => {
                write!(f, "{key}: cannot write to {}: {error}", path.display())
            }
            Reason::Folder { key, folder, error } => {
                write!(f, "{key}: cannot make a file in {}: {error}", folder.display())
            }
            Reason::NoSocket { key, path } => {
                write!(f, "{key}: {} is there already, and is no socket", path.display())
            }
        }
    }
}

/// Tries what the start needs. Nothing is made or changed.
///
/// # Errors
/// Everything that is not there.
pub fn check(config: &Config) -> Result<(), Unfit> {
    let mut reasons = Vec::new();
    reasons.extend(Auth::open(&config.credential_files()).err().map(Reason::Auth));
    reasons.extend(config.server.gate.tls.open(system::now_s()).err().map(Reason::Tls));
    let output = &config.output;
    for listen in &config.server.gate.listen {
        if let Listen::Unix(path) = listen {
            reasons.extend(check_socket("server.listen", path).err());
        }
    }
    match &output.target {
        Target::File(path) => reasons.extend(check_file("output.target", path).err()),
        Target::Unix(path) => reasons.extend(check_socket("output.target", path).err()),
        Target::Stdout | Target::Tcp(_) | Target::Http(_) => {}
    }
    if let Some(path) = &output.rejected.file {
        reasons.extend(check_file("output.rejected.file", path).err());
    }
    reasons.extend(sink::check(&output.target, &output.http).err().map(Reason::Output));
    if let Some(folder) = &config.spool.dir {
        reasons.extend(check_spool_folder(folder).err());
    }
    if reasons.is_empty() { Ok(()) } else { Err(Unfit(reasons)) }
}

/// Whether lines can be appended to a file that is there, or one can be made in its folder.
fn check_file(key: &'static str, path: &Path) -> Result<(), Reason> {
    match fs::metadata(path) {
        // Only a file of the disk is opened: to open a pipe may wait for its reader.
        Ok(found) if found.is_file() || found.is_dir() => {
            let opened = OpenOptions::new().append(true).open(path);
            opened.map(drop).map_err(|error| Reason::File { key, path: path.to_owned(), error })
        }
        Ok(_) => system::may_write(path).map_err(|error| Reason::File {
            key,
            path: path.to_owned(),
            error,
        }),
        Err(_) => {
            let folder = path.parent().unwrap_or(path);
            system::may_make_files_in(folder).map_err(|error| Reason::Folder {
                key,
                folder: folder.to_owned(),
                error,
            })
        }
    }
}

/// Whether nothing but a socket is where one should be.
fn check_socket(key: &'static str, path: &Path) -> Result<(), Reason> {
    match fs::metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(Reason::NoSocket { key, path: path.to_owned() })
        }
        // Nobody may be there yet.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether files can be made in the folder of a spool, or it can be made in its own. A folder on a
/// read-only disk will do: what is in it is delivered.
fn check_spool_folder(path: &Path) -> Result<(), Reason> {
    let folder = if path.exists() { path } else { path.parent().unwrap_or(path) };
    match system::may_make_files_in(folder) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && path.is_dir() => Ok(()),
        tried => tried.map_err(|error| {
            let (key, folder) = ("spool.dir", folder.to_owned());
            Reason::Folder { key, folder, error }
        }),
    }
}

/// What the start will do with and yet is most likely a mistake, or soon will be: certificates that
/// are not valid yet, or end within a month. Each is a sentence.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = config.warnings();
    let (listener, output) = (&config.server.gate.tls, &config.output.http.tls);
    let of_output = |path: &Option<PathBuf>| {
        let is_tls = matches!(&config.output.target, Target::Http(url) if url.is_tls());
        path.clone().filter(|_| is_tls)
    };
    for (key, path) in [
        (TlsKey::ServerCert, listener.cert.clone()),
        (TlsKey::ServerClientCa, listener.client_ca.clone()),
        (TlsKey::OutputCert, of_output(&output.cert)),
        (TlsKey::OutputCa, of_output(&output.ca)),
    ] {
        // What cannot be read is refused elsewhere.
        let validity = |path| tls::validity_of(TlsFile { key, path });
        let Some(Ok(validity)) = path.as_deref().map(validity) else { continue };
        let warning = validity.warning(system::now_s());
        warnings.extend(warning.map(|warning| format!("{key}: {warning}")));
    }
    warnings
}

/// The earliest end of the chain that the listeners send, in seconds since the Unix epoch; 0
/// without one.
pub(super) fn chain_ends_s(tls: Option<&TlsServer>) -> u64 {
    tls.map_or(0, |tls| u64::try_from(tls.chain_ends_s()).unwrap_or(0))
}
