//! Tokens, lists and header values (RFC 9110 §5.5-5.6).

use crate::ApiMisuse;

/// Whether it may stand in a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Comma-separated lists (RFC 9110 §5.6.1).
pub(super) mod list {
    use super::trim;

    /// The elements, trimmed; empty ones are left out, as the RFC has it.
    pub(in super::super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
        value
            .split(|byte| *byte == b',')
            .map(trim)
            .filter(|element| !element.is_empty())
    }

    /// Whether `token` is among the elements, in any case.
    pub(in super::super) fn contains(value: &[u8], token: &str) -> bool {
        elements(value).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// Without the spaces and tabs at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Headers that the handshake writes itself or that have no place in one. All that begin with
/// `Sec-WebSocket-` are reserved too.
const RESERVED_HEADERS: [&str; 9] = [
    "Connection",
    "Content-Length",
    "Host",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
];

/// Checks a header that the caller adds to a handshake: no name that the handshake writes itself,
/// no byte that ends or breaks a line.
pub(super) fn check_header(name: &str, value: &str) -> Result<(), ApiMisuse> {
    let prefix = name.as_bytes().first_chunk::<14>();
    if !is_token(name.as_bytes())
        || RESERVED_HEADERS
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(name))
        || prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"sec-websocket-"))
    {
        return Err(ApiMisuse::HeaderName);
    }
    if !is_header_value(value.as_bytes()) {
        return Err(ApiMisuse::HeaderValue);
    }
    Ok(())
}

/// Whether it may stand behind a header's name: no control character but the tab.
pub(super) fn is_header_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// Whether all of it is printable ASCII without a space.
pub(super) fn is_visible(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_graphic)
}
