//! Lists and tables of an input → the rules of its mapping: patterns, names of tags, measurements.
//!
//! In a file they are lists and tables of texts, in the environment texts between commas:
//!
//! ```text
//! list  = [ text *( "," text ) ]
//! table = [ text "=" text *( "," text "=" text ) ]
//! ```
//!
//! The rules of measurements are such a table of prefixes, where the text after `=` may be empty.
//! Blanks around a text of the environment do not count. A text with a comma can only be written in
//! a file.

use super::allowed::{Allowed, RuleMistake, RuleType};
use super::raw::Raw;
use super::toml_text::{list, quoted, table};
use super::value_types::ValueType;
use crate::limits::{RULE_BYTES_MAX, RULES_MAX};
use crate::push::mapping::{MeasurementRule, Pattern};
use crate::push::sample::Label;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A list of patterns of names.
pub(super) struct Patterns;

impl ValueType for Patterns {
    type Value = Vec<Pattern>;

    fn allowed(&self) -> Allowed {
        Allowed::Rules(RuleType::Patterns, None)
    }

    fn read(&self, raw: &Raw) -> Result<Vec<Pattern>, Allowed> {
        let texts = match raw {
            Raw::List(texts) => texts.clone(),
            Raw::Variable(text) => items(text).map(str::to_owned).collect(),
            _ => return Err(self.allowed()),
        };
        let wrong = |mistake| Allowed::Rules(RuleType::Patterns, Some(mistake));
        check_count(texts.len()).map_err(wrong)?;
        let pattern = |text: String| check_length(&text).map(|()| Pattern::new(text));
        texts.into_iter().map(pattern).collect::<Result<_, _>>().map_err(wrong)
    }

    fn print(&self, value: &Vec<Pattern>) -> String {
        list(value.iter().map(|pattern| quoted(&pattern.to_string())))
    }
}

/// A table of texts, none of them empty.
pub(super) struct Texts;

impl ValueType for Texts {
    type Value = BTreeMap<String, String>;

    fn allowed(&self) -> Allowed {
        Allowed::Rules(RuleType::Texts, None)
    }

    fn read(&self, raw: &Raw) -> Result<BTreeMap<String, String>, Allowed> {
        let wrong = |mistake| Allowed::Rules(RuleType::Texts, Some(mistake));
        let pairs = match raw {
            Raw::Table(pairs) => pairs.clone(),
            Raw::Variable(text) => pairs(text, RuleMistake::Pair).map_err(wrong)?,
            _ => return Err(self.allowed()),
        };
        texts_by_name(pairs).map_err(wrong)
    }

    fn print(&self, value: &BTreeMap<String, String>) -> String {
        table(value.iter().map(|(name, text)| (&**name, &**text)))
    }
}

fn texts_by_name(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, RuleMistake> {
    check_count(pairs.len())?;
    let mut texts = BTreeMap::new();
    for (name, text) in pairs {
        check_length(&name)?;
        check_length(&text)?;
        if texts.contains_key(&name) {
            return Err(RuleMistake::Twice(name));
        }
        texts.insert(name, text);
    }
    Ok(texts)
}

/// The same table as labels.
pub(super) struct LabelTable;

impl ValueType for LabelTable {
    type Value = Vec<Label<'static>>;

    fn allowed(&self) -> Allowed {
        Texts.allowed()
    }

    fn read(&self, raw: &Raw) -> Result<Vec<Label<'static>>, Allowed> {
        let label =
            |(name, value): (String, String)| Label { name: Cow::Owned(name), value: value.into() };
        Ok(Texts.read(raw)?.into_iter().map(label).collect())
    }

    fn print(&self, value: &Vec<Label<'static>>) -> String {
        table(value.iter().map(|label| (&*label.name, &*label.value)))
    }
}

/// Rules for the names of measurements. A rule without a name has that of its prefix, without the
/// `_` at its end, as DataKit's.
pub(super) struct MeasurementRules;

impl ValueType for MeasurementRules {
    type Value = Vec<MeasurementRule>;

    fn allowed(&self) -> Allowed {
        Allowed::Rules(RuleType::Measurements, None)
    }

    fn read(&self, raw: &Raw) -> Result<Vec<MeasurementRule>, Allowed> {
        let wrong = |mistake| Allowed::Rules(RuleType::Measurements, Some(mistake));
        let pairs = match raw {
            Raw::List(texts) if texts.is_empty() => Ok(Vec::new()),
            Raw::Tables(tables) => tables.iter().map(|table| prefix_and_name(table)).collect(),
            Raw::Variable(text) => pairs(text, RuleMistake::RulePair),
            _ => return Err(self.allowed()),
        };
        pairs.and_then(measurement_rules).map_err(wrong)
    }

    fn print(&self, value: &Vec<MeasurementRule>) -> String {
        list(value.iter().map(|rule| table([("prefix", &*rule.prefix), ("name", &rule.name)])))
    }
}

/// Prefix and name of a rule's table; a text that is not there is empty.
fn prefix_and_name(table: &[(String, String)]) -> Result<(String, String), RuleMistake> {
    let (mut prefix, mut name) = (String::new(), String::new());
    for (key, text) in table {
        match &**key {
            "prefix" => prefix.clone_from(text),
            "name" => name.clone_from(text),
            other => return Err(RuleMistake::Key(other.to_owned())),
        }
    }
    Ok((prefix, name))
}

fn measurement_rules(pairs: Vec<(String, String)>) -> Result<Vec<MeasurementRule>, RuleMistake> {
    check_count(pairs.len())?;
    let rule = |(prefix, name): (String, String)| {
        if prefix.is_empty() {
            return Err(RuleMistake::NoPrefix { name });
        }
        let of_prefix = prefix.trim_end_matches('_');
        let name = if name.is_empty() { of_prefix.to_owned() } else { name };
        if name.is_empty() {
            return Err(RuleMistake::NoName { prefix });
        }
        check_length(&prefix)?;
        check_length(&name)?;
        Ok(MeasurementRule { prefix, name })
    };
    pairs.into_iter().map(rule).collect()
}

/// The texts between commas; an empty text has none.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let is_empty = text.trim().is_empty();
    text.split(',').map(str::trim).filter(move |_| !is_empty)
}

/// The pairs of a variable; `wrong` is what an item is that is not one.
fn pairs(
    text: &str,
    wrong: fn(String) -> RuleMistake,
) -> Result<Vec<(String, String)>, RuleMistake> {
    let pair = |item: &str| match item.split_once('=') {
        Some((name, text)) => Ok((name.trim().to_owned(), text.trim().to_owned())),
        None => Err(wrong(item.to_owned())),
    };
    items(text).map(pair).collect()
}

fn check_count(count: usize) -> Result<(), RuleMistake> {
    if count <= RULES_MAX { Ok(()) } else { Err(RuleMistake::Count(count)) }
}

fn check_length(text: &str) -> Result<(), RuleMistake> {
    let is_fit = (1..=RULE_BYTES_MAX).contains(&text.len());
    if is_fit { Ok(()) } else { Err(RuleMistake::Length(text.to_owned())) }
}
