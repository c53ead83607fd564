//! Defaults, then the file, then the environment → the whole configuration, or all its mistakes.

use super::error::{Error, Location, Mistake, MistakeKind};
use super::options::Config;
use super::{check, environment, file};
use std::path::Path;

impl Config {
    /// Reads the configuration: defaults, then `file`, then `environment`.
    ///
    /// # Errors
    /// Every mistake in them, so that an operator mends all of them at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, Error> {
        let mut config = Config::default();
        let mut mistakes = Vec::new();
        let settings = file.map_or_else(Vec::new, |path| file::read(path, &mut mistakes));
        let from_environment = environment::read(environment, &mut mistakes);
        for setting in settings.into_iter().chain(from_environment) {
            mistakes.extend(setting.apply(&mut config));
        }
        let conflicts = check::conflicts(&config).into_iter().map(MistakeKind::Conflict);
        mistakes.extend(conflicts.map(|what| Mistake { location: Location::Whole, what }));
        mistakes.sort_by(|one, other| one.location.cmp(&other.location));
        if mistakes.is_empty() { Ok(config) } else { Err(Error(mistakes)) }
    }
}
