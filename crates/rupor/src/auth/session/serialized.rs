//! What PHP writes into a session, read strictly and without making anything of it: a reader walks over it once and picks
//! out the one value that a path leads to.
//!
//! Nothing is created: objects (`O:`, `C:`), enumerations (`E:`) and references (`R:`, `r:`) are walked over by their
//! grammar, are never followed, and can be no user. What PHP does not write is refused, `S:` too. How deep values stand in
//! one another and how many they are is bounded ([`DEPTH_MAX`], [`VALUES_MAX`]); how long all of it may be is for whoever
//! reads it.
//!
//! It uses nothing of the program's: the fuzz targets take this file as it is.

use std::fmt;

/// How deep values may stand in one another.
pub(crate) const DEPTH_MAX: usize = 64;
/// How many values there may be, those in one another counted too.
pub(crate) const VALUES_MAX: usize = 100_000;
/// Longest name of a variable in [`Format::Php`], in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// Longest number, in bytes: those of 64 bits, and floats of 17 digits, fit.
const NUMBER_BYTES_MAX: usize = 40;

/// How a session is written: `session.serialize_handler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `name|value` for each variable.
    Php,
    /// One array.
    PhpSerialize,
}

/// Where a value stands: keys of arrays in one another. One that ends with `*` stands for any that begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// Reads `user.id`; `None`: one of its keys is empty, or there are more than [`DEPTH_MAX`].
    pub(crate) fn new(text: &str) -> Option<Self> {
        let keys: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_whole = keys.len() < DEPTH_MAX && keys.iter().all(|key| !key.is_empty());
        is_whole.then_some(Self(keys))
    }
}

/// What stands where the path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Nothing, or `null` or `false`.
    Nothing,
    /// A string.
    Text(&'a [u8]),
    /// A whole number.
    Integer(i64),
    /// `true`, a float, an array, an object, a reference.
    Other,
}

/// Why a session cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SerializedError {
    /// It ends before its end.
    Truncated,
    /// PHP does not write this.
    Malformed,
    /// Values stand in one another more than [`DEPTH_MAX`] deep.
    TooDeep,
    /// There are more than [`VALUES_MAX`] values.
    TooMany,
    /// Several keys begin as the path says.
    Ambiguous,
}

impl fmt::Display for SerializedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => formatter.write_str("it breaks off"),
            Self::Malformed => formatter.write_str("it is not written as PHP writes it"),
            Self::TooDeep => write!(
                formatter,
                "values stand in one another over {DEPTH_MAX} deep"
            ),
            Self::TooMany => write!(formatter, "it has more than {VALUES_MAX} values"),
            Self::Ambiguous => formatter.write_str("several of its keys begin as the path says"),
        }
    }
}

/// The value in a session that the path leads to. All of the session is read, behind that value too.
///
/// # Errors
/// Why the session cannot be read.
pub(crate) fn find<'a>(
    session: &'a [u8],
    format: Format,
    path: &Path,
) -> Result<Value<'a>, SerializedError> {
    let mut reader = Reader {
        bytes: session,
        values_left: VALUES_MAX,
    };
    match format {
        Format::Php => {
            let mut choice = Choice::new(&path.0);
            while !reader.bytes.is_empty() {
                let name = reader.until(b'|', NAME_BYTES_MAX)?;
                if name.is_empty() {
                    return Err(SerializedError::Malformed);
                }
                let value = reader.value(choice.below(name), 0)?;
                choice.take(name, value)?;
            }
            Ok(choice.chosen())
        }
        Format::PhpSerialize => {
            let found = reader.value(Some(&path.0), 0)?;
            reader.end()?;
            Ok(found)
        }
    }
}

/// The bytes of a session that is one string, as a cache of Laravel's wraps it; `None`: it is no string.
///
/// # Errors
/// It is one, and is not whole.
pub(crate) fn unwrap_text(bytes: &[u8]) -> Result<Option<&[u8]>, SerializedError> {
    if !bytes.starts_with(b"s:") {
        return Ok(None);
    }
    let mut reader = Reader {
        bytes,
        values_left: 1,
    };
    let value = reader.value(Some(&[]), 0)?;
    reader.end()?;
    match value {
        Value::Text(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

/// Which of an array's values is the one.
struct Choice<'p, 'a> {
    path: &'p [String],
    chosen: Option<(Key<'a>, Value<'a>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key<'a> {
    Text(&'a [u8]),
    Integer(i64),
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self::Text(text)
    }
}

impl<'p, 'a> Choice<'p, 'a> {
    fn new(path: &'p [String]) -> Self {
        Self { path, chosen: None }
    }

    /// The rest of the path for the value of a key; `None`: it does not lead there.
    fn below(&self, key: impl Into<Key<'a>>) -> Option<&'p [String]> {
        let (wanted, rest) = self.path.split_first()?;
        let matches = |key: &[u8]| match wanted.strip_suffix('*') {
            Some(begin) => key.starts_with(begin.as_bytes()),
            None => key == wanted.as_bytes(),
        };
        let is_wanted = match key.into() {
            Key::Text(text) => matches(text),
            Key::Integer(number) => matches(number.to_string().as_bytes()),
        };
        is_wanted.then_some(rest)
    }

    /// Takes in a value. As in PHP, of two with the same key the last counts.
    fn take(&mut self, key: impl Into<Key<'a>>, value: Value<'a>) -> Result<(), SerializedError> {
        let key = key.into();
        if self.below(key).is_none() {
            return Ok(());
        }
        match self.chosen {
            Some((other, old)) if other != key => match (old, value) {
                (_, Value::Nothing) => return Ok(()),
                (Value::Nothing, _) => {}
                _ => return Err(SerializedError::Ambiguous),
            },
            _ => {}
        }
        self.chosen = Some((key, value));
        Ok(())
    }

    fn chosen(&self) -> Value<'a> {
        self.chosen.map_or(Value::Nothing, |(_, value)| value)
    }
}

/// What is still to be read.
struct Reader<'a> {
    bytes: &'a [u8],
    values_left: usize,
}

impl<'a> Reader<'a> {
    /// Reads a value. `path`: what of it is looked for, all of it where that is empty; `None`: it is walked over.
    fn value(
        &mut self,
        path: Option<&[String]>,
        depth: usize,
    ) -> Result<Value<'a>, SerializedError> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or(SerializedError::TooMany)?;
        let tag = self.tag(b"NbidsaOCERr")?;
        if tag == b'N' {
            self.expect(b";")?;
            return Ok(Value::Nothing);
        }
        self.expect(b":")?;
        let found = match tag {
            b'b' => match self.until(b';', 1)? {
                b"0" => Value::Nothing,
                b"1" => Value::Other,
                _ => return Err(SerializedError::Malformed),
            },
            b'i' => Value::Integer(self.integer()?),
            b'd' => self.float()?,
            b's' => {
                let text = self.text()?;
                self.expect(b";")?;
                Value::Text(text)
            }
            b'a' => return self.array(path, depth),
            b'O' => {
                self.text()?;
                self.expect(b":")?;
                // What stands in an object is never looked for.
                self.array(None, depth)?;
                Value::Other
            }
            b'C' => self.custom()?,
            b'E' => {
                self.text()?;
                self.expect(b";")?;
                Value::Other
            }
            b'R' | b'r' => match self.integer()? {
                1.. => Value::Other,
                _ => return Err(SerializedError::Malformed),
            },
            _ => return Err(SerializedError::Malformed),
        };
        // A path that goes on leads into nothing here.
        Ok(match path {
            Some([]) => found,
            _ => Value::Nothing,
        })
    }

    /// `2:{…}`, of an array or an object.
    fn array(
        &mut self,
        path: Option<&[String]>,
        depth: usize,
    ) -> Result<Value<'a>, SerializedError> {
        if depth >= DEPTH_MAX {
            return Err(SerializedError::TooDeep);
        }
        let count = self.count(b':')?;
        self.expect(b"{")?;
        let mut choice = Choice::new(path.unwrap_or_default());
        for _ in 0..count {
            let key = self.key()?;
            let value = self.value(choice.below(key), depth + 1)?;
            choice.take(key, value)?;
        }
        self.expect(b"}")?;
        Ok(match path {
            Some([]) => Value::Other,
            _ => choice.chosen(),
        })
    }

    fn key(&mut self) -> Result<Key<'a>, SerializedError> {
        let tag = self.tag(b"is")?;
        self.expect(b":")?;
        if tag == b'i' {
            return Ok(Key::Integer(self.integer()?));
        }
        let text = self.text()?;
        self.expect(b";")?;
        Ok(Key::Text(text))
    }

    /// The letter that a value begins with.
    fn tag(&mut self, tags: &[u8]) -> Result<u8, SerializedError> {
        let tag = self.byte()?;
        let is_known = tags.contains(&tag);
        is_known.then_some(tag).ok_or(SerializedError::Malformed)
    }

    /// `3:"Foo":5:{bytes}`, of an object that writes itself.
    fn custom(&mut self) -> Result<Value<'a>, SerializedError> {
        self.text()?;
        self.expect(b":")?;
        let length = self.count(b':')?;
        self.expect(b"{")?;
        self.take(length)?;
        self.expect(b"}")?;
        Ok(Value::Other)
    }

    /// `5:"bytes"`.
    fn text(&mut self) -> Result<&'a [u8], SerializedError> {
        let length = self.count(b':')?;
        self.expect(b"\"")?;
        let text = self.take(length)?;
        self.expect(b"\"")?;
        Ok(text)
    }

    /// A number of things, up to `end`.
    fn count(&mut self, end: u8) -> Result<usize, SerializedError> {
        let digits = self.until(end, NUMBER_BYTES_MAX)?;
        let is_count = match digits {
            [] => false,
            [b'0', more @ ..] => more.is_empty(),
            digits => digits.iter().all(u8::is_ascii_digit),
        };
        parsed(is_count, digits)
    }

    fn integer(&mut self) -> Result<i64, SerializedError> {
        let digits = self.until(b';', NUMBER_BYTES_MAX)?;
        let (sign, unsigned) = match digits {
            [b'-', unsigned @ ..] => (true, unsigned),
            unsigned => (false, unsigned),
        };
        let is_integer = match unsigned {
            [] => false,
            [b'0', more @ ..] => more.is_empty() && !sign,
            unsigned => unsigned.iter().all(u8::is_ascii_digit),
        };
        parsed(is_integer, digits)
    }

    fn float(&mut self) -> Result<Value<'a>, SerializedError> {
        let digits = self.until(b';', NUMBER_BYTES_MAX)?;
        let is_named = matches!(digits, b"INF" | b"-INF" | b"NAN");
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'E' | b'e');
        if is_named {
            return Ok(Value::Other);
        }
        let _: f64 = parsed(digits.iter().all(is_digit), digits)?;
        Ok(Value::Other)
    }

    fn byte(&mut self) -> Result<u8, SerializedError> {
        let (first, rest) = self.bytes.split_first().ok_or(SerializedError::Truncated)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn expect(&mut self, expected: &[u8]) -> Result<(), SerializedError> {
        for byte in expected {
            if self.byte()? != *byte {
                return Err(SerializedError::Malformed);
            }
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], SerializedError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(SerializedError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// What stands before the next `end`, which has at most `most` bytes.
    fn until(&mut self, end: u8, most: usize) -> Result<&'a [u8], SerializedError> {
        let place = self
            .bytes
            .iter()
            .take(most + 1)
            .position(|byte| *byte == end);
        let Some(place) = place else {
            return Err(if self.bytes.len() > most {
                SerializedError::Malformed
            } else {
                SerializedError::Truncated
            });
        };
        let before = self.take(place)?;
        self.byte()?;
        Ok(before)
    }

    fn end(&self) -> Result<(), SerializedError> {
        match self.bytes {
            [] => Ok(()),
            _ => Err(SerializedError::Malformed),
        }
    }
}

/// The number that ASCII digits are, where they were found to be one.
fn parsed<T: std::str::FromStr>(is_number: bool, digits: &[u8]) -> Result<T, SerializedError> {
    let text = str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| text.parse().ok())
        .ok_or(SerializedError::Malformed)
}

#[cfg(test)]
mod tests;
