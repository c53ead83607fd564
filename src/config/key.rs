//! A key of the configuration: all that there is to say about it, in one entry of `keys`.

use super::allowed::Allowed;
use super::raw::Raw;
use super::value_types::ValueType;

/// A table of the file, and the keys in it. `C` is what holds their values.
pub(super) struct Section<C: 'static> {
    /// As between its brackets: `server`, or `output.http` within `output`.
    pub(super) name: &'static str,
    /// What is above it in `conf.sample`; empty: nothing.
    #[cfg_attr(not(test), expect(dead_code, reason = "read where tests make the reference"))]
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key<C>],
}

/// One key.
pub(super) struct Key<C: 'static> {
    pub(super) name: &'static str,
    /// What it is for: a sentence in the first line; further lines are printed as they are.
    #[cfg_attr(not(test), expect(dead_code, reason = "read where tests make the reference"))]
    pub(super) about: &'static str,
    pub(super) reload: Reload,
    pub(super) value: &'static dyn KeyValue<C>,
}

/// What SIGHUP does with a change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// It is taken.
    Taken,
    /// It waits for a restart, and the log says so.
    NeedsRestart,
}

/// The value of a key: its type, its default, and where it is kept.
pub(super) struct Stored<C: 'static, T: ValueType> {
    pub(super) is: T,
    pub(super) default: fn() -> T::Value,
    pub(super) field: Accessor<C, T::Value>,
}

/// A field of `C`, made by [`field!`].
pub(super) struct Accessor<C, V> {
    pub(super) get: fn(&C) -> &V,
    pub(super) get_mut: fn(&mut C) -> &mut V,
}

/// `field!(Config, server.workers)`: the field `server.workers` of a `Config`.
macro_rules! field {
    ($config:ty, $($path:ident).+) => {
        $crate::config::key::Accessor {
            get: |config: &$config| &config.$($path).+,
            get_mut: |config: &mut $config| &mut config.$($path).+,
        }
    };
}
pub(super) use field;

/// What can be done with the value of a key, whatever its type.
pub(super) trait KeyValue<C>: Sync {
    /// What may be written.
    fn allowed(&self) -> Allowed;

    /// Puts the default in its place.
    fn reset(&self, config: &mut C);

    /// Reads a value and puts it in its place.
    ///
    /// # Errors
    /// What is allowed; nothing has changed.
    fn set(&self, config: &mut C, raw: &Raw) -> Result<(), Allowed>;

    /// The value as TOML.
    fn print(&self, config: &C) -> String;

    /// The same without what may be secret in it, for the log and the status page.
    fn show(&self, config: &C) -> String;

    /// Takes over the value that it has in `other`.
    fn copy(&self, config: &mut C, other: &C);
}

impl<C, T: ValueType> KeyValue<C> for Stored<C, T> {
    fn allowed(&self) -> Allowed {
        self.is.allowed()
    }

    fn reset(&self, config: &mut C) {
        *(self.field.get_mut)(config) = (self.default)();
    }

    fn set(&self, config: &mut C, raw: &Raw) -> Result<(), Allowed> {
        self.is.read(raw).map(|value| *(self.field.get_mut)(config) = value)
    }

    fn print(&self, config: &C) -> String {
        self.is.print((self.field.get)(config))
    }

    fn show(&self, config: &C) -> String {
        self.is.show((self.field.get)(config))
    }

    fn copy(&self, config: &mut C, other: &C) {
        (self.field.get_mut)(config).clone_from((self.field.get)(other));
    }
}
