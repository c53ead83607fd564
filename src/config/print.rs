//! The effective configuration → TOML that reads back as the same (`--print-config`).

use super::key::Section;
use super::keys::{INPUT, SECTIONS};
use super::options::Config;
use std::fmt;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in SECTIONS {
            writeln!(f, "[{}]", section.name)?;
            fmt_keys(f, section, self)?;
            writeln!(f)?;
        }
        for (index, input) in self.inputs.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            writeln!(f, "{separator}[[{}]]", INPUT.name)?;
            fmt_keys(f, &INPUT, input)?;
        }
        Ok(())
    }
}

fn fmt_keys<C>(f: &mut fmt::Formatter<'_>, section: &Section<C>, config: &C) -> fmt::Result {
    section
        .keys
        .iter()
        .try_for_each(|key| writeln!(f, "{} = {}", key.name, key.value.print(config)))
}
