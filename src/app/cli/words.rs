//! Raw arguments → flags with their values, and other words, by the table of a command.

use super::error::ArgumentMistake;
use super::hint;
use super::spec::CommandSpec;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// One argument, or two where the second is the value of the first.
#[derive(Debug)]
pub(super) enum Word<F> {
    /// A flag without a value.
    Flag(F),
    /// A flag and its value, which is not empty.
    Valued(F, OsString),
    /// Anything that is not a flag.
    Other(OsString),
}

/// The next word; `None` after the last one.
///
/// # Errors
/// It is not a flag of `command`, or its value is missing, or one too many.
pub(super) fn next<F: Copy>(
    command: &CommandSpec<F>,
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<Option<Word<F>>, ArgumentMistake> {
    let Some(argument) = arguments.next() else { return Ok(None) };
    let (name, value) = split(&argument);
    let is_it = |known: &str| known == name;
    let known = command.flags.iter().find(|flag| is_it(flag.name) || flag.short.is_some_and(is_it));
    let word = match (known, value) {
        (None, _) if !name.starts_with('-') || name == "-" => Word::Other(argument),
        (None, _) => {
            let flags = command.flags.iter().map(|flag| flag.name);
            return Err(ArgumentMistake::unknown(&argument, hint::hint(&name, flags)));
        }
        (Some(flag), value) => match (flag.value, value) {
            (None, None) => Word::Flag(flag.flag),
            (None, Some(_)) => return Err(ArgumentMistake::ExtraValue(flag.name)),
            (Some(value_name), value) => {
                let value = value.or_else(|| arguments.next()).filter(|value| !value.is_empty());
                let missing = ArgumentMistake::NoValue { flag: flag.name, value: value_name };
                Word::Valued(flag.flag, value.ok_or(missing)?)
            }
        },
    };
    Ok(Some(word))
}

/// A flag and the value after its `=`, where it has one.
fn split(argument: &OsStr) -> (Cow<'_, str>, Option<OsString>) {
    match split_at_equals(argument.as_bytes()) {
        Some((flag, value)) if flag.starts_with(b"--") => {
            (String::from_utf8_lossy(flag), Some(OsStr::from_bytes(value).to_owned()))
        }
        _ => (argument.to_string_lossy(), None),
    }
}

/// What is before the first `=`, and what is after it.
pub(super) fn split_at_equals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
