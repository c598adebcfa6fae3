//! What names the client behind a trusted proxy: the option, and what is made of it.

use super::build::Values;
use super::definition::{Default, Definition, SERVE, Shape};
use super::error::{ConfigError, Problem};
use super::parse;
use rupor_server::ClientAddress;

static OPTIONS: [Definition; 1] = [Definition {
    key: "client_address",
    shape: Shape::Text,
    form: "x-forwarded-for|forwarded|proxy-protocol|none",
    default: Default::Explained("x-forwarded-for"),
    modes: SERVE,
    section: "What browsers may do",
    help: "What tells the client's address where a `trusted_proxy` connects: `x-forwarded-for` or `forwarded` (RFC 7239), a \
           header that is walked from its end to the first address that is no trusted proxy's; or `proxy-protocol`, version \
           1 or 2, which a trusted proxy then has to send in front of each connection. Nobody else is believed. Handlers, the \
           log and the limits per address have that address. `none`: that of the proxy",
    example: "client_address = \"x-forwarded-for\"",
}];

/// The option.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What is believed; that needs somebody to believe.
pub(super) fn client_address(values: &Values<'_>) -> Result<ClientAddress, ConfigError> {
    let choices = [
        ("x-forwarded-for", ClientAddress::XForwardedFor),
        ("forwarded", ClientAddress::Forwarded),
        ("proxy-protocol", ClientAddress::ProxyProtocol),
        ("none", ClientAddress::Peer),
    ];
    let Some(located) = values.located("client_address") else {
        return Ok(ClientAddress::default());
    };
    let source = located.parse(|text| parse::choice(text, &choices))?;
    if source != ClientAddress::Peer && values.texts("trusted_proxy").is_empty() {
        return Err(Problem::new(
            "no proxy is trusted, so nobody's word on the client's address would be taken",
            "name the proxy's address too: trusted_proxy = [\"127.0.0.1\"]",
        )
        .at(&located.origin));
    }
    Ok(source)
}
