//! What a source says: one value for one key, and where it says so.

use super::allowed::Allowed;
use super::error::{Location, Mistake, MistakeKind};
use super::key::Key;
use super::keys::default_input;
use super::options::{Config, InputConfig};
use super::raw::Raw;

/// One value for one key.
pub(super) struct Setting {
    pub(super) location: Location,
    /// The key as the source writes it, for messages.
    pub(super) name: String,
    pub(super) key: AnyKey,
    pub(super) raw: Raw,
}

/// A key, and of which input.
#[derive(Clone, Copy)]
pub(super) enum AnyKey {
    /// A key that is there once.
    Once(&'static Key<Config>),
    /// A key of the input of that number.
    Input(usize, &'static Key<InputConfig>),
}

impl Setting {
    /// Puts the value in its place, or says what is wrong with it.
    pub(super) fn apply(self, config: &mut Config) -> Option<Mistake> {
        let allowed = self.key.set(config, &self.raw).err()?;
        let found = self.raw.to_string();
        let what = MistakeKind::Value { key: self.name, found, allowed };
        Some(Mistake { location: self.location, what })
    }
}

impl AnyKey {
    /// Its name, without its table.
    pub(super) fn name(self) -> &'static str {
        match self {
            AnyKey::Once(key) => key.name,
            AnyKey::Input(_, key) => key.name,
        }
    }

    /// Whether an empty variable says nothing about it, rather than that it is empty.
    pub(super) fn is_unset_by_empty(self) -> bool {
        let allowed = match self {
            AnyKey::Once(key) => key.value.allowed(),
            AnyKey::Input(_, key) => key.value.allowed(),
        };
        allowed == Allowed::Flag
    }

    fn set(self, config: &mut Config, raw: &Raw) -> Result<(), Allowed> {
        match self {
            AnyKey::Once(key) => key.value.set(config, raw),
            AnyKey::Input(number, key) => {
                if config.inputs.len() <= number {
                    config.inputs.resize_with(number + 1, default_input);
                }
                config.inputs.get_mut(number).map_or(Ok(()), |input| key.value.set(input, raw))
            }
        }
    }
}
