//! The server's `101` (RFC 6455 §4.2.2), and the `200` that stands for it in HTTP/2.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{
    Upgrade,
    syntax::{check_header, is_token},
};
use crate::{ApiMisuse, DeflateAgreement};

/// Appends the `101 Switching Protocols` that accepts `upgrade` to `out`. At an error nothing is
/// appended.
///
/// # Errors
///
/// [`ApiMisuse::Subprotocol`] for one that the client did not offer; [`ApiMisuse::HeaderName`] for
/// a header that the handshake writes itself or whose name is no token;
/// [`ApiMisuse::HeaderValue`] for a value with a CR, LF, NUL or other control character.
pub fn write_response(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    headers: &[(&str, &str)],
    out: &mut Vec<u8>,
) -> Result<(), ApiMisuse> {
    write_response_with(upgrade, subprotocol, None, headers, out)
}

/// [`write_response`] with the answer to an offer of permessage-deflate.
///
/// # Errors
///
/// As for [`write_response`], and [`ApiMisuse::Extension`] for an agreement that answers none of
/// this client's offers.
pub fn write_response_with(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    deflate: Option<&DeflateAgreement>,
    headers: &[(&str, &str)],
    out: &mut Vec<u8>,
) -> Result<(), ApiMisuse> {
    check(upgrade, subprotocol, deflate, headers)?;
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    write_header(out, "Sec-WebSocket-Accept", &upgrade.accept_key());
    if let Some(name) = subprotocol {
        write_header(out, "Sec-WebSocket-Protocol", name);
    }
    if let Some(agreed) = deflate {
        write_header(out, "Sec-WebSocket-Extensions", &agreed.to_string());
    }
    for (name, value) in headers {
        write_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The headers of the `200` that accepts an extended CONNECT (RFC 8441 §5), names in lower case as
/// HTTP/2 wants them: what a `101` would say, less what HTTP/2 has no place for.
///
/// # Errors
///
/// As for [`write_response_with`].
pub fn connect_response(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    deflate: Option<&DeflateAgreement>,
    headers: &[(&str, &str)],
) -> Result<Vec<(String, String)>, ApiMisuse> {
    check(upgrade, subprotocol, deflate, headers)?;
    let mut all = Vec::with_capacity(headers.len().saturating_add(2));
    if let Some(name) = subprotocol {
        all.push(("sec-websocket-protocol".into(), name.into()));
    }
    if let Some(agreed) = deflate {
        all.push(("sec-websocket-extensions".into(), agreed.to_string()));
    }
    let more = headers.iter();
    all.extend(more.map(|(name, value)| (name.to_ascii_lowercase(), String::from(*value))));
    Ok(all)
}

/// Whether the answer is one to this client's request, and can be written.
fn check(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    deflate: Option<&DeflateAgreement>,
    headers: &[(&str, &str)],
) -> Result<(), ApiMisuse> {
    if deflate.is_some_and(|agreed| !upgrade.deflate_offers.iter().any(|it| agreed.answers(it))) {
        return Err(ApiMisuse::Extension);
    }
    if let Some(name) = subprotocol
        && !(is_token(name.as_bytes()) && upgrade.subprotocols.iter().any(|it| it == name))
    {
        return Err(ApiMisuse::Subprotocol);
    }
    headers
        .iter()
        .try_for_each(|(name, value)| check_header(name, value))
}

pub(super) fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
