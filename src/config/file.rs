//! A TOML file → settings, each with its line and column. The only file that names toml.

use super::allowed::Allowed;
use super::error::{Location, Mistake, MistakeKind};
use super::key::{Key, Section};
use super::keys::{INPUT, SECTIONS};
use super::meant::{Meant, key as meant_key, table as meant_table};
use super::options::Config;
use super::raw::Raw;
use super::setting::{AnyKey, Setting};
use std::borrow::Cow;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the file. What is wrong with it is added to `mistakes`.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> Vec<Setting> {
    let path_text = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mut reader =
                FileReader { path: path_text, text: &text, settings: Vec::new(), mistakes };
            reader.read();
            reader.settings
        }
        Err(error) => {
            let what = MistakeKind::Unreadable { path: path_text, error };
            mistakes.push(Mistake { location: Location::Whole, what });
            Vec::new()
        }
    }
}

/// The table that holds the tables of the inputs, and no key.
const INPUTS: &str = "inputs";

struct FileReader<'a> {
    path: String,
    text: &'a str,
    settings: Vec<Setting>,
    mistakes: &'a mut Vec<Mistake>,
}

/// A name in a table, and its value, both with their place in the text.
type Item<'v, 'i> = (&'v Spanned<Cow<'i, str>>, &'v Spanned<DeValue<'i>>);

impl FileReader<'_> {
    fn read(&mut self) {
        match DeTable::parse(self.text) {
            Ok(document) => self.document(document.get_ref()),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let message = error.message().replace('\n', ", ");
                self.mistake(offset, MistakeKind::Syntax(message));
            }
        }
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let table = name.get_ref();
            if table == INPUTS {
                self.inputs(value);
            } else if let Some(section) = section(table) {
                self.section(section, value);
            } else {
                self.unknown(name, table, meant_table(table));
            }
        }
    }

    /// The keys of a table, and the tables in it.
    fn section(&mut self, outer: &'static Section<Config>, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.as_table(outer.name, value) else { return };
        for (name, value) in table {
            let full_name = format!("{}.{}", outer.name, name.get_ref());
            match section(&full_name) {
                Some(inner) => self.section(inner, value),
                None => self.key(outer, (name, value), AnyKey::Once),
            }
        }
    }

    fn inputs(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(inputs) = self.as_table(INPUTS, value) else { return };
        for (name, value) in inputs {
            let full_name = format!("{INPUTS}.{}", name.get_ref());
            if full_name != INPUT.name {
                let meant = Meant::OneOf(vec![format!("[[{}]]", INPUT.name)]);
                self.unknown(name, &full_name, meant);
                continue;
            }
            match value.get_ref() {
                DeValue::Array(tables) => {
                    for (number, table) in tables.iter().enumerate() {
                        self.input(number, table);
                    }
                }
                _ => self.input(0, value),
            }
        }
    }

    fn input(&mut self, number: usize, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.as_table(INPUT.name, value) else { return };
        // A table without keys is an input with the defaults all the same: that it is there is
        // told by its first key.
        if let (Some(key), true) = (INPUT.keys.first(), table.is_empty()) {
            let (location, name) = (self.location(value.span().start), INPUT.name.to_owned());
            let (key, raw) = (AnyKey::Input(number, key), Raw::Text(String::new()));
            self.settings.push(Setting { location, name, key, raw });
        }
        for item in table {
            self.key(&INPUT, item, |key| AnyKey::Input(number, key));
        }
    }

    fn key<C>(
        &mut self,
        section: &'static Section<C>,
        (name, value): Item<'_, '_>,
        any: impl Fn(&'static Key<C>) -> AnyKey,
    ) {
        let full_name = format!("{}.{}", section.name, name.get_ref());
        match section.keys.iter().find(|key| key.name == name.get_ref()) {
            Some(key) => {
                let location = self.location(value.span().start);
                let (key, raw) = (any(key), raw(value.get_ref()));
                self.settings.push(Setting { location, name: full_name, key, raw });
            }
            None => {
                self.unknown(name, &full_name, meant_key(section, name.get_ref()));
            }
        }
    }

    fn as_table<'v, 'i>(
        &mut self,
        name: &str,
        value: &'v Spanned<DeValue<'i>>,
    ) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let (key, found) = (name.to_owned(), raw(value.get_ref()).to_string());
            let what = MistakeKind::Value { key, found, allowed: Allowed::Table };
            self.mistake(value.span().start, what);
        }
        table
    }

    fn unknown(&mut self, name: &Spanned<Cow<'_, str>>, full_name: &str, meant: Meant) {
        let key = full_name.to_owned();
        self.mistake(name.span().start, MistakeKind::Unknown { key, meant });
    }

    fn mistake(&mut self, offset: usize, what: MistakeKind) {
        let location = self.location(offset);
        self.mistakes.push(Mistake { location, what });
    }

    /// Line and column, both from 1; the column counts characters.
    fn location(&self, offset: usize) -> Location {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        Location::File { path: self.path.clone(), line, column }
    }
}

/// The table of that name.
fn section(name: &str) -> Option<&'static Section<Config>> {
    SECTIONS.into_iter().find(|section| section.name == name)
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Integer(integer) => {
            let digits = integer.as_str().replace('_', "");
            i64::from_str_radix(&digits, integer.radix())
                .map_or(Raw::Other("integer"), Raw::Integer)
        }
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            let tables = items.iter().map(|item| pairs(item.get_ref().as_table()?));
            let list = texts.collect::<Option<_>>().map(Raw::List);
            list.or_else(|| tables.collect::<Option<_>>().map(Raw::Tables))
                .unwrap_or_else(|| mixed("list", items))
        }
        DeValue::Table(table) => {
            pairs(table).map_or_else(|| mixed("table", table.values()), Raw::Table)
        }
        other => Raw::Other(other.type_str()),
    }
}

/// The texts of a table by name; none where a value is no text.
fn pairs(table: &DeTable<'_>) -> Option<Vec<(String, String)>> {
    let pair = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        Some((name.get_ref().to_string(), value.get_ref().as_str()?.to_owned()))
    };
    table.iter().map(pair).collect()
}

/// What a list or table is that holds more than texts.
fn mixed<'v, 'i: 'v>(
    whole: &'static str,
    values: impl IntoIterator<Item = &'v Spanned<DeValue<'i>>>,
) -> Raw {
    let is_other = |value: &&Spanned<DeValue<'_>>| value.get_ref().as_str().is_none();
    let other = values.into_iter().find(is_other).map(|other| {
        let within = other.get_ref().as_table().and_then(|table| table.values().find(is_other));
        within.unwrap_or(other).get_ref().type_str()
    });
    Raw::Mixed(whole, other.unwrap_or("string"))
}
