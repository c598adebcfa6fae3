//! The server's side of the handshake (RFC 6455 §4.2): tables of heads, good and bad.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

use rupor_proto::{
    ApiMisuse,
    handshake::{
        HandshakeError, HeadLimits, HeadProgress, HttpVersion, Upgrade, parse_request,
        select_subprotocol, write_response,
    },
};

const GOOD: &str = "GET /chat?user=a HTTP/1.1\r\nHost: example.com:8000\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// `GOOD` with one line changed, or, if none begins so, added.
fn with(line: &str) -> String {
    let name = line.split_inclusive(':').next().unwrap();
    let lines: Vec<_> = GOOD
        .trim_end()
        .split("\r\n")
        .filter(|it| !it.starts_with(name))
        .collect();
    format!("{}\r\n{line}\r\n\r\n", lines.join("\r\n"))
}

fn without(name: &str) -> String {
    GOOD.split_inclusive("\r\n")
        .filter(|line| !line.starts_with(name))
        .collect()
}

fn plus(line: &str) -> String {
    format!("{}\r\n{line}\r\n\r\n", GOOD.trim_end())
}

/// Parses and checks a head; the same must come out when it comes a byte at a time.
fn check(head: impl AsRef<[u8]>) -> Result<Option<Upgrade>, HandshakeError> {
    let head = head.as_ref();
    let limits = HeadLimits::default();
    let upgrade = |bytes: &[u8], progress: &mut HeadProgress| {
        let Some((request, used)) = progress.parse_request(bytes, &limits)? else {
            return Ok(None);
        };
        assert_eq!(used, bytes.len());
        request.upgrade().map(Some)
    };
    let whole = upgrade(head, &mut HeadProgress::default());
    let mut progress = HeadProgress::default();
    let slow = (1..=head.len())
        .map(|len| upgrade(&head[..len], &mut progress))
        .find(|result| *result != Ok(None))
        .unwrap_or(Ok(None));
    assert_eq!(whole, slow, "{}", head.escape_ascii());
    whole
}

fn refused(head: impl AsRef<[u8]>) -> HandshakeError {
    let head = head.as_ref();
    check(head).expect_err(&head.escape_ascii().to_string())
}

fn accepted(head: impl AsRef<[u8]>) -> Upgrade {
    check(head).unwrap().unwrap()
}

/// The example of RFC 6455 §1.3, and what a browser sends.
#[test]
fn good_upgrades() {
    let upgrade = accepted(GOOD);
    assert_eq!(upgrade.accept_key(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(
        (upgrade.host.as_str(), upgrade.origin),
        ("example.com:8000", None)
    );
    assert!(upgrade.subprotocols.is_empty());

    let (request, used) = parse_request(format!("{GOOD}frames").as_bytes(), &HeadLimits::default())
        .map(|it| it.map(|(request, used)| (request.target().to_owned(), used)))
        .unwrap()
        .unwrap();
    assert_eq!((request.as_str(), used), ("/chat?user=a", GOOD.len()));

    let firefox = "GET / HTTP/1.1\r\nHost: [::1]:8000\r\nUser-Agent: Mozilla/5.0\r\n\
        Accept: */*\r\nOrigin: null\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\n\
        Cookie: PHPSESSID=1; a=\u{44b}\r\nPragma: no-cache\r\nUpgrade: websocket\r\n\r\n";
    let upgrade = accepted(firefox);
    assert_eq!(
        (upgrade.host.as_str(), upgrade.origin.as_deref()),
        ("[::1]:8000", Some("null"))
    );
}

/// RFC 6455 §4.2.1: lists, in any case, over several lines, with odd spaces.
#[test]
fn header_forms() {
    for line in [
        "Upgrade:WebSocket",
        "Upgrade: h2c,\twebsocket  ",
        "Upgrade: , websocket ,",
    ] {
        accepted(with(line));
    }
    for line in [
        "Connection:UPGRADE",
        "Connection: keep-alive, upgrade",
        "Connection: a,,uPgRaDe",
    ] {
        accepted(with(line));
    }
    accepted(plus("Connection: keep-alive"));
    accepted(plus("upgrade: h2c"));
    accepted(
        GOOD.to_lowercase()
            .replace("get", "GET")
            .replace("http/", "HTTP/")
            .replace("dghlihnhbxbszsbub25jzq==", "dGhlIHNhbXBsZSBub25jZQ=="),
    );
    for host in [
        "localhost",
        "127.0.0.1:1",
        "[2001:db8::1]",
        "a-b.example.:65535",
        "xn--e1afmkfd",
    ] {
        assert_eq!(accepted(with(&format!("Host: {host} "))).host, host);
    }
}

/// RFC 6455 §4.2.1, one broken rule at a time.
#[test]
fn bad_upgrades() {
    use HandshakeError as E;
    let table = [
        (GOOD.replace("GET", "POST"), E::MethodNotGet, 405),
        (GOOD.replace("GET", "get"), E::MethodNotGet, 405),
        (
            GOOD.replace("HTTP/1.1", "HTTP/1.0"),
            E::HttpVersionTooOld,
            400,
        ),
        (
            GOOD.replace("HTTP/1.1", "HTTP/2.0"),
            E::HttpVersionUnsupported,
            505,
        ),
        (without("Host"), E::BadHost, 400),
        (plus("Host: example.com:8000"), E::BadHost, 400),
        (without("Upgrade"), E::NotWebSocket, 400),
        (with("Upgrade: websockets"), E::NotWebSocket, 400),
        (with("Upgrade: web socket"), E::NotWebSocket, 400),
        (with("Upgrade:"), E::NotWebSocket, 400),
        (without("Connection"), E::NoConnectionUpgrade, 400),
        (with("Connection: keep-alive"), E::NoConnectionUpgrade, 400),
        (with("Connection: \"Upgrade\""), E::NoConnectionUpgrade, 400),
        (without("Sec-WebSocket-Version"), E::BadVersion, 400),
        (plus("Sec-WebSocket-Version: 13"), E::BadVersion, 400),
        (with("Sec-WebSocket-Version: 8"), E::VersionUnsupported, 426),
        (
            with("Sec-WebSocket-Version: 14"),
            E::VersionUnsupported,
            426,
        ),
        (
            with("Sec-WebSocket-Version: 013"),
            E::VersionUnsupported,
            426,
        ),
        (
            with("Sec-WebSocket-Version: 13, 8"),
            E::VersionUnsupported,
            426,
        ),
        (with("Sec-WebSocket-Version:"), E::VersionUnsupported, 426),
        (without("Sec-WebSocket-Key"), E::BadKey, 400),
        (
            plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
            E::BadKey,
            400,
        ),
        (plus("Content-Length: 0"), E::BodyNotAllowed, 400),
        (plus("Content-Length: 5"), E::BodyNotAllowed, 400),
        (plus("Transfer-Encoding: chunked"), E::BodyNotAllowed, 400),
        (
            plus("Origin: http://a\r\nOrigin: http://a"),
            E::BadOrigin,
            400,
        ),
        (plus("Origin: http://\u{430}"), E::BadOrigin, 400),
        (plus("Origin:"), E::BadOrigin, 400),
    ];
    for (head, error, status) in table {
        assert_eq!(refused(&head), error, "{head}");
        assert_eq!(error.status(), status, "{head}");
    }
    // RFC 6455 §4.2.2, §4.4: the version that would do is named.
    assert_eq!(
        E::VersionUnsupported.headers(),
        [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")]
    );
    assert_eq!(E::MethodNotGet.headers(), [("Allow", "GET")]);
    assert_eq!(E::BadKey.headers(), []);
}

/// RFC 6455 §4.2.1: the key is 16 bytes in base64, written in its one right way.
#[test]
fn bad_keys() {
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "dGhlIHNhbXBsZSBub25jZTEy",
        "dGhlIHNhbXBsZSBub25j====",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j ZQ==",
        "-_hlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_eq!(
            refused(with(&format!("Sec-WebSocket-Key: {key}"))),
            HandshakeError::BadKey,
            "{key}"
        );
    }
}

/// W-H5: what is compared with origins must be a host and nothing else.
#[test]
fn w_h5_hosts() {
    for host in [
        "", " ", "a b", "a/b", "a@b", "http://a", "a,b", "a:b", "a:123456", "a:1:2", "[::1", "[]",
        "[::1]x", "[::1]:x", "[g::]", "[", "]", "a\\b", "a?b", "a#b", "a;b", "<a>", "\u{44f}",
        "a\tb", ":80",
    ] {
        assert_eq!(
            refused(with(&format!("Host: {host}"))),
            HandshakeError::BadHost,
            "{host}"
        );
    }
}

/// W-S3: a whole URI is a target too, for the same host; others are not.
#[test]
fn w_s3_targets() {
    for target in ["/", "//", "/?", "/a?b=/c", "/%20", "/*", "/a:b@c"] {
        accepted(GOOD.replace("/chat?user=a", target));
    }
    for target in [
        "http://example.com:8000/a?b",
        "WS://EXAMPLE.com:8000",
        "wss://example.com:8000?",
    ] {
        accepted(GOOD.replace("/chat?user=a", target));
    }
    for target in [
        "*",
        "example.com:8000",
        "http://example.com/",
        "http://other:8000/",
        "http://user@example.com:8000/",
        "http:///",
        "ftp://example.com:8000/",
        "file:///etc/passwd",
        "a",
        "?a",
        "/a#b",
        "http://example.com:8000/#b",
    ] {
        let head = GOOD.replace("/chat?user=a", target);
        assert_eq!(refused(head), HandshakeError::BadTarget, "{target}");
    }
}

/// W-S1, W-S4: what different parsers would read differently is not HTTP here.
#[test]
fn w_s4_malformed_heads() {
    let bad: [Vec<u8>; 22] = [
        GOOD.replace("\r\n", "\n").into(),
        GOOD.replacen("\r\n", "\n", 1).into(),
        GOOD.replacen("\r\n", "\r", 1).into(),
        GOOD.replace("Host:", "Host :").into(),
        GOOD.replace("Host:", " Host:").into(),
        GOOD.replace("Host:", "\tHost:").into(),
        plus("X: a\r\n folded").into(),
        plus("X: a\r\n\tfolded").into(),
        plus("X: a\rb").into(),
        plus("X: a\nb").into(),
        plus("X: a\0b").into(),
        plus("X: a\x1bb").into(),
        plus("X: a\x7fb").into(),
        plus(": no name").into(),
        plus("no colon").into(),
        plus("bad name: x").into(),
        plus("bad\u{44f}: x").into(),
        format!("\r\n{GOOD}").into(),
        format!(" {GOOD}").into(),
        GOOD.replace(" HTTP/1.1", "").into(),
        GOOD.replace("GET ", "GET  ").into(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ];
    for head in bad {
        let error = refused(&head);
        assert_eq!((error, error.status()), (HandshakeError::Malformed, 400));
    }
    // What is wrong is refused at once, not only when the head is complete.
    for head in [
        "GET / HTTP/1.1\r\nX: a\0",
        "GET / HTTP/1.1\n",
        "GET /\x1b",
        "{",
    ] {
        assert_eq!(refused(head), HandshakeError::Malformed);
    }
    assert_eq!(check(&GOOD[..GOOD.len() - 1]), Ok(None));
    assert_eq!(check(""), Ok(None));
}

/// W-H2: limits on the head, each at it and one over it.
#[test]
fn w_h2_limits() {
    let limits = HeadLimits {
        head_bytes_max: 500,
        headers_max: 8,
        target_bytes_max: 40,
    };
    let parse = |head: &str, at_once: bool| {
        let mut progress = HeadProgress::default();
        let lens = if at_once {
            head.len()..=head.len()
        } else {
            0..=head.len()
        };
        for len in lens {
            let parsed = progress.parse_request(&head.as_bytes()[..len], &limits);
            match parsed {
                Ok(None) => {}
                Ok(Some((_, used))) => return Ok(Some(used)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    };
    let get = |target: &str, rest: &str| format!("GET {target} HTTP/1.1\r\n{rest}\r\n");
    let fill = |len: usize| get("/", &format!("X: {}\r\n", "x".repeat(len - 23)));
    let table = [
        (get(&"/".repeat(40), ""), Ok(())),
        (
            get(&"/".repeat(41), ""),
            Err((HandshakeError::TargetTooLong, 414)),
        ),
        (
            format!("GET {}", "/".repeat(41)),
            Err((HandshakeError::TargetTooLong, 414)),
        ),
        (get("/", &"A: b\r\n".repeat(8)), Ok(())),
        (
            get("/", &"A: b\r\n".repeat(9)),
            Err((HandshakeError::TooManyHeaders, 431)),
        ),
        (
            get("/", &"A: b\r\n".repeat(60)),
            Err((HandshakeError::TooManyHeaders, 431)),
        ),
        (fill(500), Ok(())),
        (fill(501), Err((HandshakeError::HeadTooLarge, 431))),
        ("G".repeat(500), Err((HandshakeError::HeadTooLarge, 431))),
    ];
    for (head, expected) in table {
        for at_once in [true, false] {
            let result = parse(&head, at_once);
            let expected = expected
                .map(|()| Some(head.len()))
                .map_err(|(error, _)| error);
            assert_eq!(result, expected, "{head} {at_once}");
        }
        if let Err((error, status)) = expected {
            assert_eq!(error.status(), status);
        }
    }
    assert_eq!(parse(&"G".repeat(499), true), Ok(None));

    // Endless headers, Upgrade last (CVE-2024-37890).
    let many = "X: y\r\n".repeat(10_000);
    let head = GOOD.replace("Host:", &format!("{many}Host:"));
    assert_eq!(refused(head), HandshakeError::TooManyHeaders);
}

/// W-H3, W-H4, W-S5: lists of subprotocols, odd ones among them.
#[test]
fn w_h4_subprotocols() {
    let offered = |value: &str| check(plus(&format!("Sec-WebSocket-Protocol: {value}")));
    let names = |value: &str| offered(value).unwrap().unwrap().subprotocols;
    assert_eq!(names("soap"), ["soap"]);
    assert_eq!(
        names("soap,wamp ,\t rupor.v1"),
        ["soap", "wamp", "rupor.v1"]
    );
    assert_eq!(names(", soap,, wamp,"), ["soap", "wamp"]);
    assert_eq!(
        names("soap\r\nSec-WebSocket-Protocol: wamp"),
        ["soap", "wamp"]
    );
    assert_eq!(
        names("__proto__, constructor, ~"),
        ["__proto__", "constructor", "~"]
    );
    for bad in [
        "",
        ",",
        "a b",
        "a;b",
        "\"a\"",
        "a, a",
        "a/b",
        "\u{44f}",
        "a\tb",
        "a\r\nSec-WebSocket-Protocol: a",
        "a\r\nSec-WebSocket-Protocol:",
    ] {
        assert_eq!(offered(bad), Err(HandshakeError::BadSubprotocols), "{bad}");
    }
    let many = |count: usize| {
        (0..count)
            .map(|i| format!("p{i}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(
        names(&many(Upgrade::SUBPROTOCOLS_MAX)).len(),
        Upgrade::SUBPROTOCOLS_MAX
    );
    let error = offered(&many(Upgrade::SUBPROTOCOLS_MAX + 1));
    assert_eq!(error, Err(HandshakeError::BadSubprotocols));
    assert_eq!(
        offered(&" ".repeat(7000)),
        Err(HandshakeError::BadSubprotocols)
    );
    assert_eq!(
        offered(&",".repeat(7000)),
        Err(HandshakeError::BadSubprotocols)
    );
}

/// RFC 6455 §9.1, §4.3: what is no list of extensions fails the handshake; what is one never does.
#[test]
fn extensions_conform_to_their_grammar() {
    let header = "Sec-WebSocket-Extensions";
    for good in [
        "constructor",
        "a;b",
        "a ; b\t=c , d",
        ", a,, d;b=c,",
        "a; b=\"c\"",
        "a; b=\"\\c\\d\"",
        "a; b=c; b=c",
        "permessage-deflate; x=0",
        &format!("\r\n{header}: a"),
        &format!("a\r\n{header}: ,"),
    ] {
        accepted(plus(&format!("{header}: {good}")));
    }
    for bad in [
        "",
        ",",
        &format!(",\r\n{header}:"),
        ",,;;==",
        "a b",
        "a/b",
        "\"a\"",
        "\u{44f}",
        ";b",
        "a;",
        "a;;b",
        "a; b c",
        "a; =c",
        "a; b=",
        "a; b==c",
        "a; b=c=d",
        "a; b=c d",
        "a; b=\"\"",
        "a; b=\"c",
        "a; b=c\"",
        "a; b=\"c\"d",
        "a; b=\"c d\"",
        "a; b=\"c,d\"",
        "a; b=\"c\\\"",
        "a; b=\"c\\\\\"",
        "a; b=\"c\\\"d\"",
        &format!("a\r\n{header}: @"),
        "permessage-deflate, @",
    ] {
        let error = refused(plus(&format!("{header}: {bad}")));
        assert_eq!(error, HandshakeError::BadExtensions, "{bad}");
    }
}

/// RFC 6455 §4.2.2: the client's order decides, and nothing that was not offered is chosen.
#[test]
fn subprotocol_selection() {
    let offered = ["soap", "wamp", "Chat"].map(String::from);
    assert_eq!(
        select_subprotocol(&offered, &["wamp", "soap"]),
        Some("soap")
    );
    assert_eq!(select_subprotocol(&offered, &["wamp"]), Some("wamp"));
    assert_eq!(select_subprotocol(&offered, &["chat"]), None);
    assert_eq!(select_subprotocol(&offered, &[] as &[&str]), None);
    assert_eq!(select_subprotocol(&[], &["wamp"]), None);
}

#[test]
fn responses() {
    let upgrade = accepted(plus("Sec-WebSocket-Protocol: soap, wamp"));
    let mut out = b"before".to_vec();
    write_response(
        &upgrade,
        Some("wamp"),
        &[("Server", "rupor"), ("X-Y", "\ta b")],
        &mut out,
    )
    .unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "beforeHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: wamp\r\n\
        Server: rupor\r\nX-Y: \ta b\r\n\r\n"
    );
    let mut out = Vec::new();
    write_response(&upgrade, None, &[], &mut out).unwrap();
    assert!(!String::from_utf8(out).unwrap().contains("Protocol:"));
}

/// W-S5: what would be injected or doubled is refused, and nothing is written.
#[test]
fn w_s5_responses_that_are_refused() {
    let upgrade = accepted(plus("Sec-WebSocket-Protocol: soap"));
    let mut out = Vec::new();
    for name in ["wamp", "SOAP", "", "soap\r\nX: y"] {
        let refused = write_response(&upgrade, Some(name), &[], &mut out);
        assert_eq!(refused, Err(ApiMisuse::Subprotocol), "{name}");
    }
    for name in [
        "",
        "a b",
        "a:",
        "a\r\n",
        "\u{44f}",
        "upgrade",
        "Connection",
        "Sec-WebSocket-Accept",
        "sec-websocket-protocol",
        "Sec-WebSocket-Extensions",
        "SEC-WEBSOCKET-X",
        "Transfer-Encoding",
        "Content-Length",
    ] {
        let refused = write_response(&upgrade, None, &[("A", "b"), (name, "x")], &mut out);
        assert_eq!(refused, Err(ApiMisuse::HeaderName), "{name}");
    }
    for value in ["a\r\nX: y", "a\rb", "a\nb", "a\0b", "\x1b[0m", "\x7f"] {
        let refused = write_response(&upgrade, None, &[("X", value)], &mut out);
        assert_eq!(
            refused,
            Err(ApiMisuse::HeaderValue),
            "{}",
            value.escape_debug()
        );
    }
    assert!(out.is_empty());
}

/// Requests that are no upgrades are parsed too; what asks for one, rightly or wrongly, is told
/// apart.
#[test]
fn other_requests() {
    let limits = HeadLimits::default();
    let head = "POST /api/publish HTTP/1.0\r\nAuthorization: Bearer k\r\nX: 1\r\nx:  2 \r\n\r\n{}";
    let (request, used) = parse_request(head.as_bytes(), &limits).unwrap().unwrap();
    assert_eq!(
        (request.method(), request.target()),
        ("POST", "/api/publish")
    );
    assert_eq!(
        (request.version(), used),
        (HttpVersion::Http10, head.len() - 2)
    );
    assert_eq!(request.header("X").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(request.headers().count(), 3);
    assert!(!request.is_upgrade());
    assert!(
        !format!("{request:?}").contains("Bearer"),
        "no secrets in a log"
    );
    for (head, is_upgrade) in [
        (GOOD.into(), true),
        (with("Upgrade: h2c, WEBSOCKET"), true),
        (without("Connection"), true),
        (GOOD.replace("GET", "POST"), true),
        (with("Upgrade: h2c"), false),
        (without("Upgrade"), false),
    ] {
        let (request, _) = parse_request(head.as_bytes(), &limits).unwrap().unwrap();
        assert_eq!(request.is_upgrade(), is_upgrade, "{head}");
    }
}
