//! Defaults, then the file, then the environment, then flags → the whole configuration, or all its
//! mistakes.

use super::error::{Error, Location, Mistake, MistakeKind};
use super::options::Config;
use super::sources::{self, Sources};
use super::{check, environment, file};

impl Config {
    /// Reads the configuration: defaults, then the file, then `environment`, then the flags.
    ///
    /// # Errors
    /// Every mistake in them, so that an operator mends all of them at once.
    pub fn load(
        from: &Sources,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, Error> {
        let mut config = Config::default();
        let mut mistakes = Vec::new();
        let file = from.file.as_deref();
        let settings = file.map_or_else(Vec::new, |path| file::read(path, &mut mistakes));
        let from_environment = environment::read(environment, &mut mistakes);
        let from_flags = sources::read(&from.shortcuts);
        for setting in settings.into_iter().chain(from_environment).chain(from_flags) {
            mistakes.extend(setting.apply(&mut config));
        }
        let conflicts = check::conflicts(&config).into_iter().map(MistakeKind::Conflict);
        mistakes.extend(conflicts.map(|what| Mistake { location: Location::Whole, what }));
        mistakes.sort_by(|one, other| one.location.cmp(&other.location));
        if mistakes.is_empty() { Ok(config) } else { Err(Error(mistakes)) }
    }
}
