//! The types of values: how each is read from a file or a variable, checked, and printed as TOML.

use super::allowed::{Allowed, ListenMistake, SOCKET_PATH_BYTES_MAX};
use super::raw::Raw;
use super::toml_text::{list, quoted};
use super::units;
use crate::delivery::sink::{AddressError, StoreUrl, Target, check_host, split_address};
use crate::intake::gate::Listen;
use crate::push::route::normalise_prefix;
use std::path::PathBuf;
use std::time::Duration;

/// What the values of some keys have in common.
pub(super) trait ValueType: Sync {
    /// What a value becomes.
    type Value: Clone;

    /// What may be written, for messages and for the reference of the keys.
    fn allowed(&self) -> Allowed;

    /// Reads a value.
    ///
    /// # Errors
    /// What is allowed in its place.
    fn read(&self, raw: &Raw) -> Result<Self::Value, Allowed>;

    /// The TOML that reads back as `value`.
    fn print(&self, value: &Self::Value) -> String;

    /// The same without what may be secret in it, for the log and the status page.
    fn show(&self, value: &Self::Value) -> String {
        self.print(value)
    }
}

/// Any text.
pub(super) struct Words;

impl ValueType for Words {
    type Value = String;

    fn allowed(&self) -> Allowed {
        Allowed::Text
    }

    fn read(&self, raw: &Raw) -> Result<String, Allowed> {
        raw.as_text().map(str::to_owned).ok_or(Allowed::Text)
    }

    fn print(&self, value: &String) -> String {
        quoted(value)
    }
}

/// The path of a file or folder; the empty text is none.
pub(super) struct OptionalPath;

impl ValueType for OptionalPath {
    type Value = Option<PathBuf>;

    fn allowed(&self) -> Allowed {
        Allowed::Text
    }

    fn read(&self, raw: &Raw) -> Result<Option<PathBuf>, Allowed> {
        let path = raw.as_text().ok_or(Allowed::Text)?;
        Ok(Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()))
    }

    fn print(&self, value: &Option<PathBuf>) -> String {
        quoted(&value.as_ref().map(|path| path.display().to_string()).unwrap_or_default())
    }
}

/// `false` or `true`, and what each of them means.
pub(super) struct Switch<T> {
    pub(super) off: T,
    pub(super) on: T,
}

/// A switch that is a `bool`.
pub(super) const FLAG: Switch<bool> = Switch { off: false, on: true };

impl<T: Copy + PartialEq + Sync> ValueType for Switch<T> {
    type Value = T;

    fn allowed(&self) -> Allowed {
        Allowed::Flag
    }

    fn read(&self, raw: &Raw) -> Result<T, Allowed> {
        let is_on = match raw {
            Raw::Flag(flag) => *flag,
            Raw::Variable(text) => units::flag(text).ok_or(Allowed::FlagVariable)?,
            _ => return Err(Allowed::Flag),
        };
        Ok(if is_on { self.on } else { self.off })
    }

    fn print(&self, value: &T) -> String {
        (*value == self.on).to_string()
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq + Sync> ValueType for Choice<T> {
    type Value = T;

    fn allowed(&self) -> Allowed {
        Allowed::Choice(self.0.iter().map(|(word, _)| *word).collect())
    }

    fn read(&self, raw: &Raw) -> Result<T, Allowed> {
        let text = raw.as_text();
        let found = self.0.iter().find(|(word, _)| Some(*word) == text);
        found.map(|(_, value)| *value).ok_or_else(|| self.allowed())
    }

    fn print(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, known)| known == value).map(|(word, _)| *word);
        // OK because every variant is among the choices: a test prints each of them.
        quoted(word.unwrap_or_default())
    }
}

/// A count within bounds.
pub(super) struct Count {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl ValueType for Count {
    type Value = usize;

    fn allowed(&self) -> Allowed {
        Allowed::Count { min: self.min, max: self.max }
    }

    fn read(&self, raw: &Raw) -> Result<usize, Allowed> {
        let count = match raw {
            Raw::Integer(integer) => usize::try_from(*integer).ok(),
            Raw::Variable(text) => text.parse().ok(),
            _ => None,
        };
        count.filter(|count| (self.min..=self.max).contains(count)).ok_or_else(|| self.allowed())
    }

    fn print(&self, value: &usize) -> String {
        value.to_string()
    }
}

/// A number of bytes in memory, within bounds.
pub(super) struct Size {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Size {
    fn on_disk(&self) -> DiskSize {
        DiskSize { min: self.min as u64, max: self.max as u64 }
    }
}

impl ValueType for Size {
    type Value = usize;

    fn allowed(&self) -> Allowed {
        self.on_disk().allowed()
    }

    fn read(&self, raw: &Raw) -> Result<usize, Allowed> {
        let bytes = self.on_disk().read(raw)?;
        // OK because what is within these bounds fits.
        usize::try_from(bytes).map_err(|_| self.allowed())
    }

    fn print(&self, value: &usize) -> String {
        self.on_disk().print(&(*value as u64))
    }
}

/// A number of bytes on disk, within bounds: 64 bits also where memory has 32.
pub(super) struct DiskSize {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl ValueType for DiskSize {
    type Value = u64;

    fn allowed(&self) -> Allowed {
        Allowed::Size { min: self.min, max: self.max }
    }

    fn read(&self, raw: &Raw) -> Result<u64, Allowed> {
        let bytes = match raw {
            Raw::Text(text) | Raw::Variable(text) => units::size(text),
            Raw::Integer(integer) => u64::try_from(*integer).ok(),
            _ => None,
        };
        match bytes {
            Some(bytes) if (self.min..=self.max).contains(&bytes) => Ok(bytes),
            Some(_) => Err(self.allowed()),
            None => Err(Allowed::SizeAsText { min: self.min, max: self.max }),
        }
    }

    fn print(&self, value: &u64) -> String {
        quoted(&units::size_text(*value))
    }
}

/// A duration within bounds.
pub(super) struct Period {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

impl Period {
    /// The longest that anything waits.
    const MAX: Duration = Duration::from_secs(24 * 3600);
    /// How long something may take: not nothing, and not for ever.
    pub(super) const TIMEOUT: Period = Period { min: Duration::from_millis(1), max: Period::MAX };
    /// How long something is done for, which may be not at all.
    pub(super) const FROM_ZERO: Period = Period { min: Duration::ZERO, max: Period::MAX };
    /// How often something is done.
    pub(super) const INTERVAL: Period = Period { min: Duration::from_secs(1), max: Period::MAX };
}

impl ValueType for Period {
    type Value = Duration;

    fn allowed(&self) -> Allowed {
        Allowed::Duration { min: self.min, max: self.max }
    }

    fn read(&self, raw: &Raw) -> Result<Duration, Allowed> {
        match raw.as_text().and_then(units::duration) {
            Some(duration) if (self.min..=self.max).contains(&duration) => Ok(duration),
            Some(_) => Err(self.allowed()),
            None => Err(Allowed::DurationAsText { min: self.min, max: self.max }),
        }
    }

    fn print(&self, value: &Duration) -> String {
        quoted(&units::duration_text(*value))
    }
}

/// A duration within bounds, or `"0s"`, which switches off what it is for.
pub(super) struct OptionalPeriod(pub(super) Period);

impl ValueType for OptionalPeriod {
    type Value = Option<Duration>;

    fn allowed(&self) -> Allowed {
        Allowed::OptionalDuration { min: self.0.min, max: self.0.max }
    }

    fn read(&self, raw: &Raw) -> Result<Option<Duration>, Allowed> {
        if raw.as_text().and_then(units::duration) == Some(Duration::ZERO) {
            return Ok(None);
        }
        self.0.read(raw).map(Some).map_err(|allowed| match allowed {
            Allowed::DurationAsText { min, max } => Allowed::OptionalDurationAsText { min, max },
            _ => self.allowed(),
        })
    }

    fn print(&self, value: &Option<Duration>) -> String {
        self.0.print(&value.unwrap_or_default())
    }
}

/// What is before `/metrics/job/…`, normalised.
pub(super) struct RoutePrefix;

impl ValueType for RoutePrefix {
    type Value = String;

    fn allowed(&self) -> Allowed {
        Allowed::RoutePrefix
    }

    fn read(&self, raw: &Raw) -> Result<String, Allowed> {
        let prefix = normalise_prefix(raw.as_text().ok_or(Allowed::Text)?);
        let is_fit = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%');
        let is_path = prefix.bytes().all(is_fit) && !prefix.contains("//");
        if is_path { Ok(prefix) } else { Err(Allowed::RoutePrefix) }
    }

    fn print(&self, value: &String) -> String {
        quoted(value)
    }
}

/// Where to listen: one address or several, in a variable between commas.
pub(super) struct Addresses;

impl ValueType for Addresses {
    type Value = Vec<Listen>;

    fn allowed(&self) -> Allowed {
        Allowed::Addresses
    }

    fn read(&self, raw: &Raw) -> Result<Vec<Listen>, Allowed> {
        let items: Vec<&str> = match raw {
            Raw::List(items) => items.iter().map(String::as_str).collect(),
            Raw::Text(text) => vec![text],
            Raw::Variable(text) => text.split(',').map(str::trim).collect(),
            _ => Vec::new(),
        };
        let addresses = items.into_iter().map(address).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() { Err(Allowed::Addresses) } else { Ok(addresses) }
    }

    fn print(&self, value: &Vec<Listen>) -> String {
        list(value.iter().map(|address| quoted(&address.to_string())))
    }
}

fn address(text: &str) -> Result<Listen, Allowed> {
    let listen = match text.strip_prefix("unix:") {
        Some(path) => socket_path(path).map(Listen::Unix).ok_or(ListenMistake::SocketPath),
        None => tcp_listen(text),
    };
    listen.map_err(|mistake| Allowed::ListenAddress { found: text.to_owned(), mistake })
}

/// `host:port`, or `:port`, which is every address. What can never be bound is refused here;
/// whether this host has such an address is seen at the start.
fn tcp_listen(text: &str) -> Result<Listen, ListenMistake> {
    // Not one of the colons in brackets.
    let parts = text.rsplit_once(':').filter(|_| !text.ends_with(']'));
    let (host, port) = parts.ok_or(ListenMistake::Address(AddressError::NoPort))?;
    if port.parse::<u16>().is_err() {
        return Err(ListenMistake::Port(port.to_owned()));
    }
    if !host.is_empty() {
        check_host(host).map_err(ListenMistake::Address)?;
    }
    Ok(Listen::Tcp(text.to_owned()))
}

/// A path that fits the address of a Unix socket.
fn socket_path(path: &str) -> Option<PathBuf> {
    let is_fit = path.starts_with('/') && path.len() <= SOCKET_PATH_BYTES_MAX;
    is_fit.then(|| PathBuf::from(path))
}

fn tcp_target(address: &str) -> Result<Target, AddressError> {
    match split_address(address)? {
        (_, None) => Err(AddressError::NoPort),
        (_, Some(_)) => Ok(Target::Tcp(address.to_owned())),
    }
}

/// Where lines go.
pub(super) struct OutputTarget;

impl ValueType for OutputTarget {
    type Value = Target;

    fn allowed(&self) -> Allowed {
        Allowed::OutputTarget
    }

    fn read(&self, raw: &Raw) -> Result<Target, Allowed> {
        let text = raw.as_text().ok_or(Allowed::Text)?;
        let target = if text == "stdout" {
            Some(Target::Stdout)
        } else if let Some(path) = text.strip_prefix("file:") {
            path.starts_with('/').then(|| Target::File(PathBuf::from(path)))
        } else if let Some(address) = text.strip_prefix("tcp://") {
            return tcp_target(address).map_err(Allowed::TcpTarget);
        } else if let Some(path) = text.strip_prefix("unix:") {
            socket_path(path).map(Target::Unix)
        } else if text.starts_with("http://") || text.starts_with("https://") {
            return StoreUrl::read(text).map(Target::Http).map_err(Allowed::StoreUrl);
        } else {
            None
        };
        target.ok_or(Allowed::OutputTarget)
    }

    fn print(&self, value: &Target) -> String {
        match value {
            // Whole, as it has to be read back: its query may have secrets.
            Target::Http(url) => quoted(url.as_str()),
            other => quoted(&other.to_string()),
        }
    }

    fn show(&self, value: &Target) -> String {
        match value {
            Target::Http(url) if url.as_str() != url.to_string() => quoted(&format!("{url}?…")),
            other => quoted(&other.to_string()),
        }
    }
}
