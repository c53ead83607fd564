//! Lists and tables of an input → the rules of its mapping: patterns, names of tags, measurements.
//!
//! In a file they are lists and tables of texts, in the environment texts between commas:
//!
//! ```text
//! list  = [ text *( "," text ) ]
//! table = [ text "=" text *( "," text "=" text ) ]
//! ```
//!
//! Blanks around a text of the environment do not count. What holds a comma has to stand in a file.

use super::raw::Raw;
use crate::limits::{RULE_BYTES_MAX, RULES_MAX};
use crate::push::mapping::{MeasurementRule, Pattern};
use crate::push::sample::{Label, Quoted, Text};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Patterns of names, or what is allowed.
pub(super) fn patterns(raw: &Raw) -> Result<Vec<Pattern>, String> {
    let allowed =
        || format!("a list of at most {RULES_MAX} patterns of 1 to {RULE_BYTES_MAX} bytes each");
    let texts = match raw {
        Raw::List(texts) => texts.clone(),
        Raw::Variable(text) => items(text).map(str::to_owned).collect(),
        _ => return Err(allowed()),
    };
    check_count(texts.len(), allowed)?;
    let pattern = |text: String| fit(&text, allowed).map(|()| Pattern::new(text));
    texts.into_iter().map(pattern).collect()
}

/// A table of texts, none of them empty, or what is allowed.
pub(super) fn table(raw: &Raw) -> Result<BTreeMap<String, String>, String> {
    let allowed = || {
        format!(
            "a table of at most {RULES_MAX} names, each with a text, of 1 to {RULE_BYTES_MAX} bytes each"
        )
    };
    let pairs = match raw {
        Raw::Table(pairs) => pairs.clone(),
        Raw::Variable(text) => pairs(text, allowed)?,
        _ => return Err(allowed()),
    };
    check_count(pairs.len(), allowed)?;
    let mut table = BTreeMap::new();
    for (name, text) in pairs {
        fit(&name, allowed)?;
        fit(&text, allowed)?;
        if table.contains_key(&name) {
            return Err(format!("{}, and not {} twice", allowed(), quoted(&name)));
        }
        table.insert(name, text);
    }
    Ok(table)
}

/// The same table as labels.
pub(super) fn labels(raw: &Raw) -> Result<Vec<Label<'static>>, String> {
    let label = |(name, value)| Label { name: Cow::Owned(name), value: Text::Owned(value) };
    Ok(table(raw)?.into_iter().map(label).collect())
}

/// Rules for the names of measurements, or what is allowed. A rule without a name has that of its
/// prefix, without the `_` at its end, as DataKit's.
pub(super) fn measurements(raw: &Raw) -> Result<Vec<MeasurementRule>, String> {
    let allowed = || {
        format!(
            "a list of at most {RULES_MAX} tables with a prefix and a name of 1 to {RULE_BYTES_MAX} bytes each"
        )
    };
    let rules = match raw {
        Raw::List(texts) if texts.is_empty() => Vec::new(),
        Raw::Tables(tables) => {
            tables.iter().map(|table| rule(table, allowed)).collect::<Result<_, _>>()?
        }
        Raw::Variable(text) => pairs(text, allowed)?,
        _ => return Err(allowed()),
    };
    check_count(rules.len(), allowed)?;
    let measurement_rule = |(prefix, name): (String, String)| {
        let of_prefix = prefix.trim_end_matches('_');
        let name = if name.is_empty() { of_prefix.to_owned() } else { name };
        fit(&prefix, allowed)?;
        fit(&name, allowed)?;
        Ok(MeasurementRule { prefix, name })
    };
    rules.into_iter().map(measurement_rule).collect()
}

/// Prefix and name of a rule's table; a text that is not there is empty.
fn rule(
    table: &[(String, String)],
    allowed: impl Fn() -> String,
) -> Result<(String, String), String> {
    let (mut prefix, mut name) = (String::new(), String::new());
    for (key, text) in table {
        match &**key {
            "prefix" => prefix.clone_from(text),
            "name" => name.clone_from(text),
            other => return Err(format!("{}, and no {}", allowed(), quoted(other))),
        }
    }
    Ok((prefix, name))
}

/// What stands between commas; nothing in an empty text.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let is_empty = text.trim().is_empty();
    text.split(',').map(str::trim).filter(move |_| !is_empty)
}

fn pairs(text: &str, allowed: impl Fn() -> String) -> Result<Vec<(String, String)>, String> {
    let pair = |item: &str| match item.split_once('=') {
        Some((name, text)) => Ok((name.trim().to_owned(), text.trim().to_owned())),
        None => Err(format!("{}, as a=b,c=d, which {} is not", allowed(), quoted(item))),
    };
    items(text).map(pair).collect()
}

fn check_count(count: usize, allowed: impl Fn() -> String) -> Result<(), String> {
    if count <= RULES_MAX { Ok(()) } else { Err(format!("{}, not {count}", allowed())) }
}

fn fit(text: &str, allowed: impl Fn() -> String) -> Result<(), String> {
    if (1..=RULE_BYTES_MAX).contains(&text.len()) {
        Ok(())
    } else {
        Err(format!("{}, which {} is not", allowed(), quoted(text)))
    }
}

fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text.as_bytes())
}
