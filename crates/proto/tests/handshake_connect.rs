//! The server's side of the handshake over HTTP/2 (RFC 8441): tables of requests, good and bad.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use rupor_proto::{
    ApiMisuse, DeflateConfig,
    handshake::{ConnectRequest, HandshakeError, Upgrade, connect_response},
};

/// The example of RFC 8441 §5.1.
const GOOD: ConnectRequest<'static> = ConnectRequest {
    protocol: Some("websocket"),
    scheme: Some("https"),
    authority: Some("server.example.com"),
    path: Some("/chat"),
};

const HEADERS: [(&str, &[u8]); 4] = [
    ("sec-websocket-protocol", b"chat, superchat"),
    ("sec-websocket-extensions", b"permessage-deflate"),
    ("sec-websocket-version", b"13"),
    ("origin", b"http://www.example.com"),
];

fn check(
    request: &ConnectRequest<'_>,
    headers: &[(&str, &[u8])],
) -> Result<Upgrade, HandshakeError> {
    Upgrade::from_connect(request, headers.iter().copied())
}

/// `HEADERS` with one more.
fn plus(name: &'static str, value: &'static [u8]) -> Result<Upgrade, HandshakeError> {
    check(&GOOD, &[&HEADERS[..], &[(name, value)]].concat())
}

/// `HEADERS` with another value of one, or without it.
fn with(name: &str, value: Option<&'static [u8]>) -> Result<Upgrade, HandshakeError> {
    let headers: Vec<(&str, &[u8])> = HEADERS
        .into_iter()
        .filter_map(|(other, old)| {
            let value = if other == name { value } else { Some(old) };
            value.map(|value| (other, value))
        })
        .collect();
    check(&GOOD, &headers)
}

#[test]
fn good_requests_of_rfc_8441_section_5() {
    let upgrade = check(&GOOD, &HEADERS).unwrap();
    assert_eq!(upgrade.host, "server.example.com");
    assert_eq!(upgrade.origin.as_deref(), Some("http://www.example.com"));
    assert_eq!(upgrade.subprotocols, ["chat", "superchat"]);
    assert_eq!(upgrade.deflate_offers.len(), 1);
    assert_eq!(upgrade.key, "");

    let bare = check(&GOOD, &[("sec-websocket-version", b"13")]).unwrap();
    assert_eq!((bare.origin, bare.subprotocols.len()), (None, 0));
    for authority in ["localhost:8000", "[::1]:443", "127.0.0.1"] {
        let request = ConnectRequest {
            authority: Some(authority),
            scheme: Some("http"),
            path: Some("/?user=a"),
            ..GOOD
        };
        assert_eq!(check(&request, &HEADERS).unwrap().host, authority);
    }
}

#[test]
fn key_and_equal_host_make_no_difference() {
    for (name, value) in [
        ("sec-websocket-key", &b"nonsense"[..]),
        ("host", b"Server.Example.com"),
    ] {
        assert!(plus(name, value).is_ok(), "{name}");
    }
}

#[test]
fn what_asks_for_no_websocket_is_not_implemented() {
    let no_protocol = ConnectRequest {
        protocol: None,
        ..GOOD
    };
    // A proxy request has the authority alone (RFC 9113 §8.5).
    let proxy = ConnectRequest {
        authority: Some("example.com:443"),
        ..ConnectRequest::default()
    };
    for request in [no_protocol, proxy] {
        let error = check(&request, &HEADERS).unwrap_err();
        assert_eq!(error, HandshakeError::ConnectWithoutProtocol);
        assert_eq!(error.http2_status(), 501);
    }
    for protocol in ["", "WebSocket", "websocket2", "connect-udp", "webtransport"] {
        let request = ConnectRequest {
            protocol: Some(protocol),
            ..GOOD
        };
        let error = check(&request, &HEADERS).unwrap_err();
        assert_eq!(error, HandshakeError::ProtocolUnknown, "{protocol}");
        assert_eq!(error.http2_status(), 501);
    }
}

#[test]
fn pseudo_headers_are_all_needed_and_well_formed() {
    use HandshakeError::{BadHost, BadTarget, MissingPseudoHeader};
    let none = |change: fn(&mut ConnectRequest<'static>)| {
        let mut request = GOOD;
        change(&mut request);
        check(&request, &HEADERS).unwrap_err()
    };
    assert_eq!(none(|it| it.scheme = None), MissingPseudoHeader);
    assert_eq!(none(|it| it.authority = None), MissingPseudoHeader);
    assert_eq!(none(|it| it.path = None), MissingPseudoHeader);
    assert_eq!(none(|it| it.scheme = Some("wss")), BadTarget);
    assert_eq!(none(|it| it.scheme = Some("HTTPS")), BadTarget);
    assert_eq!(none(|it| it.path = Some("")), BadTarget);
    assert_eq!(none(|it| it.path = Some("chat")), BadTarget);
    assert_eq!(none(|it| it.path = Some("*")), BadTarget);
    assert_eq!(none(|it| it.path = Some("https://x/")), BadTarget);
    assert_eq!(none(|it| it.path = Some("/a#b")), BadTarget);
    assert_eq!(none(|it| it.path = Some("/a b")), BadTarget);
    assert_eq!(none(|it| it.authority = Some("")), BadHost);
    assert_eq!(none(|it| it.authority = Some("user@example.com")), BadHost);
    assert_eq!(none(|it| it.authority = Some("a, b")), BadHost);
    for error in [BadHost, BadTarget, MissingPseudoHeader] {
        assert_eq!(error.http2_status(), 400);
    }
}

#[test]
fn headers_that_the_authority_or_http2_contradicts() {
    use HandshakeError::{BadHost, BodyNotAllowed, ConnectionHeader};
    for (name, value, wanted) in [
        ("host", &b"other.example.com"[..], BadHost),
        ("connection", b"Upgrade", ConnectionHeader),
        ("Upgrade", b"websocket", ConnectionHeader),
        ("keep-alive", b"timeout=5", ConnectionHeader),
        ("proxy-connection", b"keep-alive", ConnectionHeader),
        ("transfer-encoding", b"chunked", ConnectionHeader),
        ("content-length", b"0", BodyNotAllowed),
    ] {
        let error = plus(name, value).unwrap_err();
        assert_eq!(error, wanted, "{name}");
        assert_eq!(error.http2_status(), 400, "{name}");
    }
    let twice = [&HEADERS[..], &[("host", &b"server.example.com"[..]); 2]].concat();
    assert_eq!(check(&GOOD, &twice), Err(BadHost));
}

#[test]
fn headers_of_rfc_6455_keep_their_rules() {
    use HandshakeError::{
        BadExtensions, BadOrigin, BadSubprotocols, BadVersion, VersionUnsupported,
    };
    let version = "sec-websocket-version";
    assert_eq!(with(version, None), Err(BadVersion));
    assert_eq!(plus(version, b"13"), Err(BadVersion));
    for other in [&b"8"[..], b"", b"13, 8", b"013"] {
        assert_eq!(with(version, Some(other)), Err(VersionUnsupported));
    }
    // HTTP/1.1 has 426, which needs a header that HTTP/2 does not have.
    assert_eq!(VersionUnsupported.status(), 426);
    assert_eq!(VersionUnsupported.http2_status(), 400);
    assert_eq!(
        VersionUnsupported.headers(),
        [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")]
    );
    assert_eq!(plus("origin", b"https://other"), Err(BadOrigin));
    assert_eq!(with("origin", Some(b"")), Err(BadOrigin));
    let subprotocols = "sec-websocket-protocol";
    assert_eq!(with(subprotocols, Some(b"a, a")), Err(BadSubprotocols));
    assert_eq!(with(subprotocols, Some(b"a b")), Err(BadSubprotocols));
    let extensions = |value| with("sec-websocket-extensions", Some(value));
    assert_eq!(extensions(b"permessage-deflate; x=\""), Err(BadExtensions));
    let declined = extensions(b"permessage-deflate; x").unwrap();
    assert_eq!(declined.deflate_offers, []);
}

#[test]
fn response_says_what_was_agreed_and_nothing_else() {
    let upgrade = check(&GOOD, &HEADERS).unwrap();
    let said = |protocol, headers: &[(&str, &str)]| {
        connect_response(&upgrade, protocol, None, headers).map(|all| {
            let lines = all
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect::<Vec<_>>();
            lines.join("; ")
        })
    };
    assert_eq!(said(None, &[]), Ok(String::new()));
    assert_eq!(
        said(Some("superchat"), &[("X-Node", "a")]),
        Ok("sec-websocket-protocol: superchat; x-node: a".to_owned())
    );
    assert_eq!(said(Some("other"), &[]), Err(ApiMisuse::Subprotocol));
    for name in ["Upgrade", "connection", "Sec-WebSocket-Accept", "a b"] {
        assert_eq!(said(None, &[(name, "x")]), Err(ApiMisuse::HeaderName));
    }
    let broken = said(None, &[("x", "a\r\nb: c")]);
    assert_eq!(broken, Err(ApiMisuse::HeaderValue));
}

#[test]
fn response_agrees_to_deflate_only_as_offered() {
    let upgrade = check(&GOOD, &HEADERS).unwrap();
    let agreed = DeflateConfig::default()
        .accept(&upgrade.deflate_offers, None)
        .unwrap();
    let all = connect_response(&upgrade, None, Some(&agreed), &[]).unwrap();
    let (name, value) = all.first().unwrap();
    assert_eq!(name, "sec-websocket-extensions");
    assert!(value.starts_with("permessage-deflate"), "{value}");
    let without = with("sec-websocket-extensions", None).unwrap();
    assert_eq!(
        connect_response(&without, None, Some(&agreed), &[]),
        Err(ApiMisuse::Extension)
    );
}
