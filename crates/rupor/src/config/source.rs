//! Reading what was written: the file, the environment and the flags become layers of texts that know where they stood.
//!
//! Nothing is interpreted here; [`build`](super::build) does that. A later layer replaces an earlier one key by key.

use super::definition::{Definition, Field, Shape};
use super::error::{ConfigError, Origin, Problem, nearest};
use super::options;
use super::parse::shown;
use super::types::Mode;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest configuration file that is read, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A text and where it stood.
#[derive(Clone)]
pub(crate) struct Located {
    /// What was written.
    pub(crate) text: String,
    /// Where.
    pub(crate) origin: Origin,
}

/// One entry of an option of [`Shape::Tables`].
#[derive(Clone)]
pub(crate) struct Table {
    /// Where it begins.
    pub(crate) origin: Origin,
    /// What it says; several texts where the field is a list.
    pub(crate) fields: BTreeMap<&'static str, Vec<Located>>,
}

/// What one place says about one option.
#[derive(Clone)]
pub(crate) enum Value {
    /// One text, or the items of a list.
    Texts(Vec<Located>),
    /// Tables.
    Tables(Vec<Table>),
}

/// What is said about options, by key. It may hold secrets: it has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Layer(pub(crate) BTreeMap<&'static str, Value>);

impl Layer {
    /// Puts `above` over this layer.
    pub(crate) fn replace_with(&mut self, above: Self) {
        self.0.extend(above.0);
    }
}

/// Reads a file's text. `path` is only for the messages.
pub(crate) fn from_file(path: &Path, text: &str) -> Result<Layer, ConfigError> {
    let file = File { path, text };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: file.line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut layer = Layer::default();
    file.read_table("", table.get_ref(), &mut layer)?;
    Ok(layer)
}

/// Reads the environment. An empty variable counts as none.
pub(crate) fn from_environment(
    mode: Mode,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for definition in options::all().filter(|definition| definition.modes.contains(&mode)) {
        let read = |name: String| {
            let value = variable(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        };
        let alias = definition.alias().and_then(|alias| read(alias.variable()));
        let (name, value) = match (read(definition.variable()), alias) {
            (Some((name, _)), Some((other, _))) => {
                return Err(said_twice(&name, &other).at(&Origin::Environment(other)));
            }
            (None, None) => continue,
            (Some(said), None) | (None, Some(said)) => said,
        };
        let origin = Origin::Environment(name);
        let text = value.into_string().map_err(|_| {
            Problem::new("the value is not UTF-8", "set another value, or unset it").at(&origin)
        })?;
        let value = match definition.shape {
            Shape::Text | Shape::Number | Shape::Switch | Shape::Secret => {
                Value::Texts(vec![Located { text, origin }])
            }
            Shape::List => Value::Texts(split(&text, &origin, ',')),
            Shape::Tables(fields) => {
                let entries = split(&text, &origin, ';');
                let tables: Result<_, _> = entries
                    .iter()
                    .map(|entry| table_from_text(entry, fields))
                    .collect();
                Value::Tables(tables?)
            }
        };
        layer.0.insert(definition.key, value);
    }
    Ok(layer)
}

/// Reads the flags.
pub(crate) fn from_flags(mode: Mode, matches: &clap::ArgMatches) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for definition in options::all().filter(|definition| definition.modes.contains(&mode)) {
        if definition.shape == Shape::Secret {
            continue;
        }
        let Some(texts) = matches.get_many::<String>(definition.key) else {
            continue;
        };
        let origin = Origin::Flag(definition.flag());
        let texts: Vec<Located> = texts
            .map(|text| Located {
                text: text.clone(),
                origin: origin.clone(),
            })
            .collect();
        let value = match definition.shape {
            Shape::Tables(fields) => {
                let tables: Result<_, _> = texts
                    .iter()
                    .map(|entry| table_from_text(entry, fields))
                    .collect();
                Value::Tables(tables?)
            }
            _ => Value::Texts(texts),
        };
        layer.0.insert(definition.key, value);
    }
    Ok(layer)
}

/// The defaults of a command.
pub(crate) fn from_defaults(mode: Mode) -> Layer {
    let mut layer = Layer::default();
    for definition in options::all() {
        let Some(text) = definition.default_for(mode) else {
            continue;
        };
        let origin = Origin::Default(definition.flag());
        let value = match definition.shape {
            Shape::List => split(&text, &origin, ','),
            _ => vec![Located { text, origin }],
        };
        layer.0.insert(definition.key, Value::Texts(value));
    }
    layer
}

/// What tests build parts of a configuration from: the defaults and a file that says this.
#[cfg(test)]
pub(crate) fn of_text(mode: Mode, text: &str) -> Result<Layer, ConfigError> {
    let mut layer = from_defaults(mode);
    layer.replace_with(from_file(Path::new("rupor.toml"), text)?);
    Ok(layer)
}

fn said_twice(one: &str, other: &str) -> Problem {
    let what = format!("`{one}` and `{other}` are the same");
    Problem::new(what, "leave one of them out")
}

fn split(text: &str, origin: &Origin, separator: char) -> Vec<Located> {
    text.split(|character: char| character.is_whitespace() || character == separator)
        .filter(|item| !item.is_empty())
        .map(|item| Located {
            text: item.to_owned(),
            origin: origin.clone(),
        })
        .collect()
}

/// Reads `name=news,subscribe=anyone`.
fn table_from_text(entry: &Located, fields: &'static [Field]) -> Result<Table, ConfigError> {
    let origin = &entry.origin;
    let names: Vec<&str> = fields.iter().map(|field| field.key).collect();
    let mut table = Table {
        origin: origin.clone(),
        fields: BTreeMap::new(),
    };
    for part in entry.text.split(',') {
        let known = part.split_once('=').and_then(|(key, text)| {
            let key = key.trim();
            let field = fields.iter().find(|field| field.is_called(key))?;
            Some((field, text))
        });
        let Some((field, text)) = known else {
            // The part is not repeated as a whole: it may hold a secret after a mistyped name.
            let key = part.split('=').next().unwrap_or_default();
            return Err(Problem::new(
                format!("{} is not one of its names", shown(key)),
                format!(
                    "write NAME=VALUE,NAME=VALUE with the names {}",
                    names.join(", ")
                ),
            )
            .at(origin));
        };
        if field.shape == Shape::Secret && matches!(origin, Origin::Flag(_)) {
            return Err(Problem::new(
                format!(
                    "`{}` is a secret, and other users can read a command line",
                    field.key
                ),
                format!(
                    "write it into a file and name the file with {}_file=FILE",
                    field.key
                ),
            )
            .at(origin));
        }
        let separators: &[char] = if field.shape == Shape::List {
            &['+']
        } else {
            &[]
        };
        let texts = text.split(separators).map(|text| Located {
            text: text.to_owned(),
            origin: origin.clone(),
        });
        if table.fields.insert(field.key, texts.collect()).is_some() {
            return Err(Problem::new(
                format!("`{}` stands there twice", field.key),
                "leave one of them out",
            )
            .at(origin));
        }
    }
    Ok(table)
}

/// A file while it is read.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn origin(&self, key: &str, offset: usize) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line: self.line(offset),
            key: key.to_owned(),
        }
    }

    fn unknown<'b>(
        &self,
        key: String,
        offset: usize,
        known: impl Iterator<Item = &'b str>,
    ) -> ConfigError {
        ConfigError::UnknownKey {
            path: self.path.to_owned(),
            line: self.line(offset),
            nearest: nearest(&key, known).map(str::to_owned),
            key,
        }
    }

    fn read_table(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        layer: &mut Layer,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let offset = name.span().start;
            let is_named = |definition: &&Definition| {
                definition.key == key || definition.alias().is_some_and(|alias| alias.0 == key)
            };
            if let Some(definition) = options::all().find(is_named) {
                let value = self.value(definition, offset, value)?;
                if layer.0.insert(definition.key, value).is_some() {
                    let other = definition.alias().map_or("", |alias| alias.0);
                    let problem = said_twice(definition.key, other);
                    return Err(problem.at(&self.origin(&key, offset)));
                }
                continue;
            }
            let below = format!("{key}.");
            if !options::all().any(|definition| definition.key.starts_with(&below)) {
                let known = options::all().map(|definition| definition.key);
                return Err(self.unknown(key, offset, known));
            }
            match value.get_ref() {
                DeValue::Table(table) => self.read_table(&below, table, layer)?,
                other => {
                    let problem = Problem::new(
                        format!("a table is expected, not a {}", other.type_str()),
                        format!("write [{key}] on a line of its own and its keys below"),
                    );
                    return Err(problem.at(&self.origin(&key, offset)));
                }
            }
        }
        Ok(())
    }

    fn value(
        &self,
        definition: &Definition,
        offset: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Value, ConfigError> {
        let key = definition.key;
        let Shape::Tables(fields) = definition.shape else {
            return Ok(Value::Texts(self.texts(
                key,
                definition.shape,
                offset,
                value,
            )?));
        };
        let origin = self.origin(key, offset);
        let problem = || {
            Problem::new(
                "tables are expected",
                format!("write [[{key}]] on a line of its own"),
            )
            .at(&origin)
        };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(problem());
        };
        let mut tables = Vec::new();
        for item in items {
            let DeValue::Table(table) = item.get_ref() else {
                return Err(problem());
            };
            tables.push(self.fields(key, fields, item.span().start, table)?);
        }
        Ok(Value::Tables(tables))
    }

    fn fields(
        &self,
        key: &str,
        fields: &'static [Field],
        offset: usize,
        table: &DeTable<'_>,
    ) -> Result<Table, ConfigError> {
        let mut read = Table {
            origin: self.origin(key, offset),
            fields: BTreeMap::new(),
        };
        for (name, value) in table {
            let offset = name.span().start;
            let full = format!("{key}.{}", name.get_ref());
            let Some(field) = fields.iter().find(|field| field.is_called(name.get_ref())) else {
                let known: Vec<String> = fields
                    .iter()
                    .map(|field| format!("{key}.{}", field.key))
                    .collect();
                return Err(self.unknown(full, offset, known.iter().map(String::as_str)));
            };
            let texts = self.texts(&full, field.shape, offset, value)?;
            if read.fields.insert(field.key, texts).is_some() {
                let problem = said_twice(field.key, name.get_ref());
                return Err(problem.at(&self.origin(&full, offset)));
            }
        }
        Ok(read)
    }

    /// A value that is no table, as its text or texts.
    fn texts(
        &self,
        key: &str,
        shape: Shape,
        offset: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Located>, ConfigError> {
        let located = |text: String, offset: usize| Located {
            text,
            origin: self.origin(key, offset),
        };
        let fix = match (shape, value.get_ref()) {
            (Shape::Text | Shape::Secret | Shape::Number | Shape::List, DeValue::String(text)) => {
                return Ok(vec![located(text.to_string(), offset)]);
            }
            (Shape::Switch, DeValue::Boolean(on)) => {
                return Ok(vec![located(on.to_string(), offset)]);
            }
            (Shape::Number, DeValue::Integer(number)) => {
                // Out of i64's range, the digits go on and are refused as a number out of range.
                let text = i64::from_str_radix(number.as_str(), number.radix())
                    .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string());
                return Ok(vec![located(text, offset)]);
            }
            (Shape::List, DeValue::Array(items)) => {
                let mut texts = Vec::new();
                for item in items {
                    let at = item.span().start;
                    texts.extend(self.texts(key, Shape::Text, at, item)?);
                }
                return Ok(texts);
            }
            (Shape::Switch, _) => "write true or false, without quotes",
            (Shape::Number, _) => "write a whole number",
            (Shape::List, _) => "write a list of texts, [\"one\", \"two\"]",
            _ => "write a text in double quotes",
        };
        let what = format!("this does not fit here: {}", value.get_ref().type_str());
        Err(Problem::new(what, fix).at(&self.origin(key, offset)))
    }
}
