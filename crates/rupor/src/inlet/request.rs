//! What the site asks for: the one parser of a publish object, for lines and for HTTP.
//!
//! ```json
//! {"user":"tester01","message":"test"}
//! ```
//!
//! - exactly one target: `user` (a string, or a number, which stands for its text), `users` (an array of them),
//!   `connection`, `channel`, `all` (which is `true`), or as the article's library spells it `userId`, `clientId` (our
//!   connection id) and `PHPSESSID` (the value of the cookie that the connection came with);
//! - `message`: a string arrives as its text, anything else as its JSON text exactly as it was written;
//! - perhaps `exclude` (a connection id that is left out), `compress` (`false` for a message that must not be), `key`
//!   (what it is the newest state of, for slow readers) and `id` (a string or a number that the answer repeats); `null` in these is the same as leaving them out.
//!
//! Invariants: an unknown or repeated field is an error, so a misspelt one cannot change who receives a message; no tree
//! of values is built; no input makes the parser recurse or panic; memory is bounded by the input's length. An object
//! that is wrong still has its `id` answered when that could be read.
//!
//! Start at [`publish`].

use super::field::{Field, Shape};
use crate::gateway::{ConnectionId, Publish, Target};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Deepest nesting of a `message` that is not a string: what browsers, PHP and others read without special measures.
pub(crate) const MESSAGE_DEPTH_MAX: usize = 128;
/// Longest `id`, in bytes of JSON text.
pub(crate) const ID_BYTES_MAX: usize = 256;
/// Longest `key`, in bytes of its text.
pub(crate) const KEY_BYTES_MAX: usize = 256;
/// How much of an unknown field's name an error repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;
/// The close code of a disconnect that names none: a normal end (RFC 6455 §7.4.1).
const CLOSE_CODE_DEFAULT: u16 = 1000;

/// What is wrong with a request. Its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Not JSON. What the parser says of it.
    BadJson(String),
    /// JSON, but not an object.
    NotAnObject,
    /// A field that is not known here.
    UnknownField {
        /// Its name, cut.
        name: String,
        /// A valid name that looks like it.
        nearest: Option<&'static str>,
        /// What the object is for.
        shape: Shape,
    },
    /// A field came twice.
    RepeatedField(&'static str),
    /// No target.
    NoTarget,
    /// Two targets.
    SeveralTargets(&'static str, &'static str),
    /// No message.
    NoMessage,
    /// A value that the field cannot have.
    BadValue {
        /// The field.
        field: &'static str,
        /// What it can have.
        expected: &'static str,
    },
}

impl RequestError {
    /// A word for programs; part of the inlets' contract.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotUtf8 | Self::BadJson(_) => "bad_json",
            Self::NotAnObject | Self::RepeatedField(_) | Self::BadValue { .. } => "bad_value",
            Self::UnknownField { .. } => "unknown_field",
            Self::NoTarget => "no_target",
            Self::SeveralTargets(..) => "several_targets",
            Self::NoMessage => "no_message",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => formatter.write_str("not UTF-8: JSON is written in UTF-8"),
            Self::BadJson(problem) => write!(formatter, "not JSON: {problem}"),
            Self::NotAnObject => formatter
                .write_str(r#"an object is expected, as in {"user":"tester01","message":"test"}"#),
            Self::UnknownField {
                name,
                nearest: Some(nearest),
                ..
            } => {
                write!(
                    formatter,
                    "unknown field `{name}`: did you mean `{nearest}`?"
                )
            }
            Self::UnknownField {
                name,
                nearest: None,
                shape,
            } => {
                write!(formatter, "unknown field `{name}`: the fields are ")?;
                for (place, field) in shape.fields().iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{}", field.name())?;
                }
                Ok(())
            }
            Self::RepeatedField(name) => write!(formatter, "the field `{name}` is there twice"),
            Self::NoTarget => formatter.write_str(
                "to whom? one of `user`, `users`, `connection`, `channel` or `all` is needed",
            ),
            Self::SeveralTargets(first, second) => write!(
                formatter,
                "both `{first}` and `{second}`: one object has one target, send two objects"
            ),
            Self::NoMessage => formatter.write_str("what? `message` is needed"),
            Self::BadValue { field, expected } => write!(formatter, "`{field}` must be {expected}"),
        }
    }
}

impl std::error::Error for RequestError {}

/// An `id` as the JSON text that it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(Box<str>);

impl Id {
    /// The JSON text.
    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }
}

/// A request, or why it is none, and the `id` that its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<T> {
    /// What to repeat.
    pub(crate) id: Option<Id>,
    /// What is asked.
    pub(crate) outcome: Result<T, RequestError>,
}

/// A request to close connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disconnect {
    /// Whose.
    pub(crate) target: Target,
    /// The close code (RFC 6455 §7.4).
    pub(crate) code: u16,
    /// The close reason.
    pub(crate) reason: String,
}

/// Reads a publish object.
pub(crate) fn publish(json: &[u8]) -> Request<Publish> {
    read(json, Shape::Publish, |slots| {
        let target = slots.target()?;
        let exclude = slots
            .optional(Field::Exclude)
            .map(|json| connection(Field::Exclude, json))
            .transpose()?;
        let message = slots.value(Field::Message).ok_or(RequestError::NoMessage)?;
        Ok(Publish {
            target,
            exclude,
            body: body(message)?,
            compress: slots.switch(Field::Compress)?.unwrap_or(true),
            key: slots.optional(Field::Key).map(key).transpose()?,
            id: None,
        })
    })
}

/// Reads a disconnect object: a target, and perhaps `code` and `reason`.
pub(crate) fn disconnect(json: &[u8]) -> Request<Disconnect> {
    read(json, Shape::Disconnect, |slots| {
        let target = slots.target()?;
        let bad = |field: Field, expected| RequestError::BadValue {
            field: field.name(),
            expected,
        };
        let code = match slots.optional(Field::Code) {
            Some(json) => json
                .parse()
                .map_err(|_| bad(Field::Code, "a close code: 1000, or 3000 to 4999"))?,
            None => CLOSE_CODE_DEFAULT,
        };
        let reason = match slots.optional(Field::Reason) {
            Some(json) => string(json)
                .ok_or_else(|| bad(Field::Reason, "a string"))?
                .into_owned(),
            None => String::new(),
        };
        Ok(Disconnect {
            target,
            code,
            reason,
        })
    })
}

fn read<'a, T>(
    json: &'a [u8],
    shape: Shape,
    build: impl FnOnce(&Slots<'a>) -> Result<T, RequestError>,
) -> Request<T> {
    let failed = |error| Request {
        id: None,
        outcome: Err(error),
    };
    let Ok(text) = str::from_utf8(json) else {
        return failed(RequestError::NotUtf8);
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut slots = Slots::default();
    let object = Object {
        shape,
        slots: &mut slots,
    };
    match object.deserialize(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => {}
        Err(error) if error.is_data() => return failed(RequestError::NotAnObject),
        Err(error) => return failed(RequestError::BadJson(error.to_string())),
    }
    let id = slots.optional(Field::Id).map(id).transpose();
    let outcome = match slots.problem.take() {
        Some(problem) => Err(problem),
        None => build(&slots),
    };
    match id {
        Ok(id) => Request { id, outcome },
        Err(error) => Request {
            id: None,
            outcome: outcome.and(Err(error)),
        },
    }
}

/// The values of an object's fields, each as the text that it was written as.
#[derive(Default)]
struct Slots<'a> {
    values: [Option<&'a str>; Field::COUNT],
    /// The first thing that is wrong with the fields' names.
    problem: Option<RequestError>,
}

impl<'a> Slots<'a> {
    fn value(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize]
    }

    /// The same, `null` counting as absent.
    fn optional(&self, field: Field) -> Option<&'a str> {
        self.value(field).filter(|json| *json != "null")
    }

    fn switch(&self, field: Field) -> Result<Option<bool>, RequestError> {
        match self.optional(field) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(RequestError::BadValue {
                field: field.name(),
                expected: "true or false",
            }),
        }
    }

    fn target(&self) -> Result<Target, RequestError> {
        let mut present = Field::TARGETS
            .iter()
            .filter_map(|field| self.value(*field).map(|json| (*field, json)));
        let (field, json) = present.next().ok_or(RequestError::NoTarget)?;
        if let Some((second, _)) = present.next() {
            return Err(RequestError::SeveralTargets(field.name(), second.name()));
        }
        let bad = |expected| RequestError::BadValue {
            field: field.name(),
            expected,
        };
        let name = || {
            text(json)
                .ok_or_else(|| bad("a string or a number"))
                .map(Arc::from)
        };
        Ok(match field {
            Field::Channel => Target::Channel(name()?),
            Field::PhpSessId => Target::Cookie(name()?),
            Field::Connection | Field::ClientId => Target::Connection(connection(field, json)?),
            Field::All if json == "true" => Target::All,
            Field::All => return Err(bad("true")),
            Field::Users => {
                Target::Users(users(json).ok_or_else(|| bad("an array of strings or numbers"))?)
            }
            _ => Target::User(name()?),
        })
    }
}

/// Reads an object of that shape into the slots.
struct Object<'s, 'de> {
    shape: Shape,
    slots: &'s mut Slots<'de>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { shape, slots } = self;
        while let Some(name) = map.next_key_seed(FieldName(shape))? {
            match name {
                Ok(field) => {
                    let json = map.next_value::<&RawValue>()?.get();
                    let slot = &mut slots.values[field as usize];
                    if slot.is_some() {
                        slots
                            .problem
                            .get_or_insert(RequestError::RepeatedField(field.name()));
                    }
                    slot.get_or_insert(json);
                }
                Err(unknown) => {
                    map.next_value::<IgnoredAny>()?;
                    slots.problem.get_or_insert(unknown);
                }
            }
        }
        Ok(())
    }
}

/// Reads one name: the field, or the problem that it is none.
struct FieldName(Shape);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Result<Field, RequestError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Result<Field, RequestError>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let shape = self.0;
        Ok(shape.field(name).ok_or_else(|| RequestError::UnknownField {
            name: name.chars().take(NAME_SHOWN_MAX).collect(),
            nearest: shape.nearest(name),
            shape,
        }))
    }
}

/// A JSON string's text; `None` for anything else.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        // Fails at half of a surrogate pair, which no text can hold.
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// A string's text, or a number's: `42` is `42`.
fn text(json: &str) -> Option<Cow<'_, str>> {
    if is_number(json) {
        Some(Cow::Borrowed(json))
    } else {
        string(json)
    }
}

fn users(json: &str) -> Option<Vec<Arc<str>>> {
    let names: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    names
        .iter()
        .map(|name| text(name.get()).map(Arc::from))
        .collect()
}

fn connection(field: Field, json: &str) -> Result<ConnectionId, RequestError> {
    text(json)
        .and_then(|text| text.parse().ok())
        .ok_or(RequestError::BadValue {
            field: field.name(),
            expected: "a connection id, 16 hexadecimal digits",
        })
}

fn id(json: &str) -> Result<Id, RequestError> {
    let right = json.len() <= ID_BYTES_MAX && (is_number(json) || json.starts_with('"'));
    if right {
        return Ok(Id(json.into()));
    }
    let expected = "a string or a number of at most 256 bytes";
    Err(RequestError::BadValue {
        field: Field::Id.name(),
        expected,
    })
}

fn key(json: &str) -> Result<Arc<str>, RequestError> {
    text(json)
        .filter(|text| text.len() <= KEY_BYTES_MAX)
        .map(Arc::from)
        .ok_or(RequestError::BadValue {
            field: Field::Key.name(),
            expected: "a string or a number of at most 256 bytes",
        })
}

fn body(json: &str) -> Result<Arc<str>, RequestError> {
    let bad = |expected| RequestError::BadValue {
        field: Field::Message.name(),
        expected,
    };
    if json.starts_with('"') {
        return match string(json) {
            Some(text) => Ok(Arc::from(text)),
            None => Err(bad("text: there is half of a surrogate pair in it")),
        };
    }
    if depth(json) > MESSAGE_DEPTH_MAX {
        return Err(bad("nested at most 128 deep"));
    }
    Ok(Arc::from(json))
}

/// How deep arrays and objects lie in each other in a text that is JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
