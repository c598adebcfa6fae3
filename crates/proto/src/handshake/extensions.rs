//! `Sec-WebSocket-Extensions` (RFC 6455 §9.1): a list of extensions, each with parameters.
//!
//! Nothing here fails a handshake. An element that breaks the grammar is left out, and the next
//! one is looked at; what the parameters mean is judged in [`crate::deflate`].

use super::syntax::{is_token, trim};

/// One extension of a list: its name, and its parameters in their order.
pub(crate) struct Extension<'v> {
    pub(crate) name: &'v [u8],
    parameters: &'v [u8],
}

/// One parameter: a name, and perhaps a value. Quotes are taken off the value.
pub(crate) type Parameter<'v> = (&'v [u8], Option<&'v [u8]>);

/// The elements of one header line, less empty ones. One that breaks the grammar has a name that is
/// no extension's, or a parameter that is `None`.
pub(crate) fn extensions(value: &[u8]) -> impl Iterator<Item = Extension<'_>> {
    let elements = split(value, b',').filter(|element| !trim(element).is_empty());
    elements.map(|element| {
        let name_len = element.iter().position(|byte| *byte == b';');
        let (name, parameters) = element.split_at(name_len.unwrap_or(element.len()));
        Extension {
            name: trim(name),
            parameters,
        }
    })
}

impl<'v> Extension<'v> {
    /// The parameters; `None` for one that breaks the grammar.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = Option<Parameter<'v>>> + use<'v> {
        // What is before the first semicolon is nothing: the name was cut off.
        split(self.parameters, b';').skip(1).map(parameter)
    }
}

fn parameter(bytes: &[u8]) -> Option<Parameter<'_>> {
    let Some(equals) = bytes.iter().position(|byte| *byte == b'=') else {
        let name = trim(bytes);
        return is_token(name).then_some((name, None));
    };
    let (name, value) = bytes.split_at(equals);
    let (name, value) = (trim(name), trim(value.get(1..).unwrap_or_default()));
    let value = match value {
        // The content of a quoted value must be a token too (RFC 6455 §9.1). Escapes are not
        // undone: a backslash is no part of a token, so such an element is left out.
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    (is_token(name) && is_token(value)).then_some((name, Some(value)))
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
