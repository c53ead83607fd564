//! A TOML file → settings, each with its line and column. The only file that names toml.
//!
//! What is printed of a configuration is TOML too: it is taken apart here to be compared.

use super::Setting;
use super::error::{Mistake, Place, What};
use super::keys::{INPUT_KEYS, Key, LOG_KEYS, OUTPUT_KEYS, SERVER_KEYS, TELEMETRY_KEYS};
use super::raw::Raw;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the file. What is wrong with it is added to `mistakes`.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> Vec<Setting> {
    let path_text = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mut reader =
                Reader { path: path_text, text: &text, settings: Vec::new(), mistakes };
            reader.read();
            reader.settings
        }
        Err(error) => {
            let what = What::Unreadable { path: path_text, error: error.to_string() };
            mistakes.push(Mistake { place: Place::Whole, what });
            Vec::new()
        }
    }
}

/// The values of a table by their keys, each as it stands in the text.
pub(super) type Values = BTreeMap<String, String>;

/// The tables of a printed configuration by their names; an input is named by its prefix. Tables in
/// tables become keys with dots.
pub(super) fn tables(text: &str) -> BTreeMap<String, Values> {
    let mut tables = BTreeMap::new();
    // OK because what is printed is TOML: a test reads it back.
    let Ok(document) = DeTable::parse(text) else { return tables };
    for (name, value) in document.get_ref() {
        let Some(table) = value.get_ref().as_table() else { continue };
        if name.get_ref() != "inputs" {
            tables.insert(name.get_ref().to_string(), values(table, text));
            continue;
        }
        let inputs = table.values().filter_map(|kind| kind.get_ref().as_array()).flatten();
        for input in inputs.filter_map(|input| input.get_ref().as_table()) {
            let prefix = input.get("route_prefix").and_then(|prefix| prefix.get_ref().as_str());
            let name = format!("inputs.pushgateway[{}]", prefix.unwrap_or_default());
            tables.insert(name, values(input, text));
        }
    }
    tables
}

fn values(table: &DeTable<'_>, text: &str) -> Values {
    let mut found = Values::new();
    for (name, value) in table {
        let name = name.get_ref();
        match value.get_ref().as_table() {
            Some(inner) => {
                let inner = values(inner, text);
                found.extend(inner.into_iter().map(|(key, text)| (format!("{name}.{key}"), text)));
            }
            None => {
                let text = text.get(value.span()).unwrap_or_default();
                found.insert(name.to_string(), text.to_owned());
            }
        }
    }
    found
}

struct Reader<'a> {
    path: String,
    text: &'a str,
    settings: Vec<Setting>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    fn read(&mut self) {
        match DeTable::parse(self.text) {
            Ok(document) => self.document(document.get_ref()),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let message = error.message().replace('\n', ", ");
                self.mistake(offset, What::Syntax { message });
            }
        }
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            match &**name.get_ref() {
                "server" => self.table("server", value, &SERVER_KEYS, Key::Server),
                "output" => self.table("output", value, &OUTPUT_KEYS, Key::Output),
                "log" => self.table("log", value, &LOG_KEYS, Key::Log),
                "telemetry" => self.table("telemetry", value, &TELEMETRY_KEYS, Key::Telemetry),
                "inputs" => self.inputs(value),
                other => {
                    let allowed =
                        "[server], [output], [log], [telemetry] and [[inputs.pushgateway]]"
                            .to_owned();
                    let key = other.to_owned();
                    self.mistake(name.span().start, What::Unknown { key, allowed });
                }
            }
        }
    }

    fn inputs(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(inputs) = self.as_table("inputs", value) else { return };
        for (name, value) in inputs {
            if name.get_ref() != "pushgateway" {
                let key = format!("inputs.{}", name.get_ref());
                let allowed = "[[inputs.pushgateway]]".to_owned();
                self.mistake(name.span().start, What::Unknown { key, allowed });
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
        // A table without keys is an input with the defaults all the same.
        let place = self.place(value.span().start);
        let (name, key) = ("inputs.pushgateway".to_owned(), Key::Input(number, "route_prefix"));
        let value_of_default = Raw::Text(String::new());
        self.settings.push(Setting { place, name, key, value: value_of_default });
        self.table("inputs.pushgateway", value, &INPUT_KEYS, |name| Key::Input(number, name));
    }

    fn table(
        &mut self,
        table_name: &str,
        value: &Spanned<DeValue<'_>>,
        known: &[&'static str],
        key: impl Fn(&'static str) -> Key,
    ) {
        let Some(table) = self.as_table(table_name, value) else { return };
        for (name, value) in table {
            let full_name = format!("{table_name}.{}", name.get_ref());
            match known.iter().find(|known| *known == name.get_ref()) {
                Some(known) => {
                    let place = self.place(value.span().start);
                    let (key, value) = (key(known), raw(value.get_ref()));
                    self.settings.push(Setting { place, name: full_name, key, value });
                }
                None => {
                    let what = What::Unknown { key: full_name, allowed: known.join(", ") };
                    self.mistake(name.span().start, what);
                }
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
            let found = raw(value.get_ref()).to_string();
            let what = What::Value { key: name.to_owned(), found, allowed: "a table".to_owned() };
            self.mistake(value.span().start, what);
        }
        table
    }

    fn mistake(&mut self, offset: usize, what: What) {
        let place = self.place(offset);
        self.mistakes.push(Mistake { place, what });
    }

    /// Line and column, both from 1; the column counts characters.
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        Place::File { path: self.path.clone(), line, column }
    }
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
