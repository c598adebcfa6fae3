//! `Sec-WebSocket-Extensions` (RFC 6455 §9.1): a list of extensions, each with parameters.
//!
//! Who sends what breaks the grammar fails the handshake, as the RFC has it. What parameters mean,
//! and which of a well-formed list are agreed to, is judged in [`crate::deflate`].

use alloc::{borrow::Cow, vec::Vec};

use super::syntax::{is_token, trim};

/// The value does not conform to the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One extension of a list: its name, and its parameters in their order.
pub(crate) struct Extension<'v> {
    pub(crate) name: &'v [u8],
    parameters: &'v [u8],
}

/// One parameter: a name, and perhaps a value. Quotes and escapes are undone.
pub(crate) type Parameter<'v> = (&'v [u8], Option<Cow<'v, [u8]>>);

/// The elements of one header line, less empty ones (RFC 9110 §5.6.1).
pub(crate) fn extensions(value: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, Malformed>> {
    let elements = split(value, b',').filter(|element| !trim(element).is_empty());
    elements.map(|element| {
        let name_len = element.iter().position(|byte| *byte == b';');
        let (name, parameters) = element.split_at(name_len.unwrap_or(element.len()));
        let name = trim(name);
        if is_token(name) {
            Ok(Extension { name, parameters })
        } else {
            Err(Malformed)
        }
    })
}

impl<'v> Extension<'v> {
    /// The parameters.
    pub(crate) fn parameters(
        &self,
    ) -> impl Iterator<Item = Result<Parameter<'v>, Malformed>> + use<'v> {
        // What is before the first semicolon is nothing: the name was cut off.
        split(self.parameters, b';').skip(1).map(parameter)
    }
}

fn parameter(bytes: &[u8]) -> Result<Parameter<'_>, Malformed> {
    let equals = bytes.iter().position(|byte| *byte == b'=');
    let (name, value) = bytes.split_at(equals.unwrap_or(bytes.len()));
    let name = trim(name);
    let value = match value {
        [b'=', value @ ..] => Some(unquoted(trim(value))?),
        _ => None,
    };
    // The content of a quoted value must be a token too (RFC 6455 §9.1).
    if is_token(name) && value.as_ref().is_none_or(|value| is_token(value)) {
        Ok((name, value))
    } else {
        Err(Malformed)
    }
}

/// The value without its quotes and escapes, if it has them (RFC 9110 §5.6.4).
fn unquoted(value: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    let [b'"', inner @ .., b'"'] = value else {
        return Ok(value.into());
    };
    if !inner.contains(&b'\\') {
        return Ok(inner.into());
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(byte) = rest.next() {
        plain.push(*match byte {
            b'\\' => rest.next().ok_or(Malformed)?,
            byte => byte,
        });
    }
    Ok(plain.into())
}

/// The parts between separators that are not inside quotes. A quote that is not closed reaches to
/// the end of the line.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match *byte {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte => return byte == separator && !quoted,
        }
        false
    })
}
