//! The client's side of the handshake (RFC 6455 §4.1), and both sides together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use rupor_proto::{
    ApiMisuse,
    handshake::{
        Accepted, ClientHandshake, HandshakeError, HeadLimits, HeadProgress, ResponseError,
        parse_request, select_subprotocol, write_response,
    },
};

const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn client() -> ClientHandshake {
    ClientHandshake::new(
        "example.com",
        "/",
        *b"the sample nonce",
        &["soap", "wamp"],
        &[],
    )
    .unwrap()
}

/// What the client makes of an answer, at once and a byte at a time.
fn answer(response: &str) -> Result<Option<(Accepted, usize)>, HandshakeError> {
    let whole = client().receive(response.as_bytes());
    let mut slow = client();
    let found = (1..=response.len())
        .map(|len| slow.receive(&response.as_bytes()[..len]))
        .find(|result| *result != Ok(None))
        .unwrap_or(Ok(None));
    assert_eq!(whole, found);
    whole
}

#[test]
fn request_bytes() {
    let headers = [("Origin", "https://example.com"), ("Cookie", "a=b")];
    let client = ClientHandshake::new(
        "example.com:8000",
        "/chat?a=b",
        *b"the sample nonce",
        &["soap", "wamp"],
        &headers,
    )
    .unwrap();
    assert_eq!(
        std::str::from_utf8(client.request()).unwrap(),
        "GET /chat?a=b HTTP/1.1\r\nHost: example.com:8000\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: soap, wamp\r\n\
        Origin: https://example.com\r\nCookie: a=b\r\n\r\n"
    );
    assert!(
        !format!("{client:?}").contains("a=b"),
        "no secrets in a log"
    );
}

#[test]
fn good_answers() {
    let (accepted, used) = answer(GOOD).unwrap().unwrap();
    assert_eq!((accepted.subprotocol, used), (None, GOOD.len()));
    let (_, used) = client()
        .receive(format!("{GOOD}\u{1}frames").as_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(used, GOOD.len(), "frames behind it are left");
    let wamp = GOOD.replace("Upgrade: w", "Sec-WebSocket-Protocol: wamp\r\nUpgrade: W");
    assert_eq!(
        answer(&wamp).unwrap().unwrap().0.subprotocol.as_deref(),
        Some("wamp")
    );
    assert_eq!(answer(&GOOD[..GOOD.len() - 1]), Ok(None));
}

/// RFC 6455 §4.1, one broken rule at a time.
#[test]
fn bad_answers() {
    use ResponseError as E;
    let plus = |line: &str| GOOD.replace("Upgrade: w", &format!("{line}\r\nUpgrade: w"));
    let table = [
        (GOOD.replace("101", "200"), E::Status(200)),
        (GOOD.replace("101", "426"), E::Status(426)),
        (GOOD.replace("HTTP/1.1", "HTTP/1.0"), E::Malformed),
        (GOOD.replace("HTTP/1.1", "ICY"), E::Malformed),
        (GOOD.replace("\r\n", "\n"), E::Malformed),
        (plus(" folded"), E::Malformed),
        (
            GOOD.replace("Upgrade: websocket", "Upgrade: h2c"),
            E::NotWebSocket,
        ),
        (
            GOOD.replace("Upgrade: websocket", "X: websocket"),
            E::NotWebSocket,
        ),
        (
            GOOD.replace("Upgrade: websocket", "Upgrade: websocket, h2c"),
            E::NotWebSocket,
        ),
        (plus("Upgrade: websocket"), E::NotWebSocket),
        (
            GOOD.replace("Connection: Upgrade", "Connection: close"),
            E::NoConnectionUpgrade,
        ),
        (GOOD.replace("s3pP", "S3pP"), E::BadAccept),
        (GOOD.replace("Sec-WebSocket-Accept", "X"), E::BadAccept),
        (
            plus("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            E::BadAccept,
        ),
        (
            plus("Sec-WebSocket-Extensions: permessage-deflate"),
            E::ExtensionNotOffered,
        ),
        (plus("Sec-WebSocket-Extensions:"), E::ExtensionNotOffered),
        (plus("Sec-WebSocket-Protocol:"), E::BadSubprotocol),
        (plus("Sec-WebSocket-Protocol: mqtt"), E::BadSubprotocol),
        (plus("Sec-WebSocket-Protocol: SOAP"), E::BadSubprotocol),
        (
            plus("Sec-WebSocket-Protocol: soap, wamp"),
            E::BadSubprotocol,
        ),
        (
            plus("Sec-WebSocket-Protocol: soap\r\nSec-WebSocket-Protocol: soap"),
            E::BadSubprotocol,
        ),
    ];
    for (response, error) in table {
        assert_eq!(
            answer(&response),
            Err(HandshakeError::Response(error)),
            "{response}"
        );
    }
    let endless = format!("HTTP/1.1 101 x\r\n{}", "X: y\r\n".repeat(65));
    assert_eq!(answer(&endless), Err(HandshakeError::TooManyHeaders));
    let long = format!("HTTP/1.1 101 x\r\nX: {}", "y".repeat(9000));
    assert_eq!(answer(&long), Err(HandshakeError::HeadTooLarge));
}

/// W-S5: nothing that ends a line, or that the handshake writes itself, gets into a request.
#[test]
fn w_s5_requests_that_are_refused() {
    let new = |host: &str, target: &str, subprotocols: &[&str], headers: &[(&str, &str)]| {
        ClientHandshake::new(host, target, [0; 16], subprotocols, headers).map(|_| ())
    };
    for (host, target) in [
        ("", "/"),
        ("a b", "/"),
        ("a\r\nX: y", "/"),
        ("a", ""),
        ("a", "b"),
        ("a", "/ b"),
        ("a", "/\r\nX: y"),
        ("a", "/#b"),
        ("a", "/\u{44f}"),
    ] {
        assert_eq!(
            new(host, target, &[], &[]),
            Err(ApiMisuse::HeaderValue),
            "{host} {target}"
        );
    }
    for names in [&[""][..], &["a b"], &["a,b"], &["a", "a"], &["a\r\n"]] {
        assert_eq!(
            new("a", "/", names, &[]),
            Err(ApiMisuse::Subprotocol),
            "{names:?}"
        );
    }
    for name in [
        "Host",
        "upgrade",
        "Sec-WebSocket-Key",
        "Content-Length",
        "a b",
    ] {
        assert_eq!(
            new("a", "/", &[], &[(name, "x")]),
            Err(ApiMisuse::HeaderName),
            "{name}"
        );
    }
    assert_eq!(
        new("a", "/", &[], &[("X", "a\r\nb")]),
        Err(ApiMisuse::HeaderValue)
    );
    assert_eq!(new("a", "/", &[], &[("X", "b")]), Ok(()));
}

proptest! {
    /// Whatever a client may ask for, our server understands; and our client its answer.
    #[test]
    fn both_sides(
        nonce: [u8; 16],
        target in "/[!-\"$-~]{0,100}",
        offered in prop::collection::btree_set("[a-z]{1,3}", 0..5),
        configured in prop::collection::vec("[a-z]{1,3}", 0..50),
        value in "[ -~]{0,50}",
    ) {
        let offered: Vec<_> = offered.iter().map(String::as_str).collect();
        let headers = [("X-Test", value.as_str())];
        let mut client = ClientHandshake::new("a", &target, nonce, &offered, &headers).unwrap();
        let (request, used) =
            parse_request(client.request(), &HeadLimits::default()).unwrap().unwrap();
        prop_assert_eq!(used, client.request().len());
        prop_assert_eq!(request.target(), target.as_str());
        let upgrade = request.upgrade().unwrap();
        let subprotocol = select_subprotocol(&upgrade.subprotocols, &configured);
        let mut response = Vec::new();
        write_response(&upgrade, subprotocol, &headers, &mut response).unwrap();
        let (accepted, used) = client.receive(&response).unwrap().unwrap();
        prop_assert_eq!(used, response.len());
        prop_assert_eq!(accepted.subprotocol.as_deref(), subprotocol);
    }

    /// W-H1: noise, and heads with noise in them, give the same verdict at any cut, and no panic.
    #[test]
    fn w_h1_same_verdict_for_any_cut(
        noise in prop::collection::vec(any::<u8>(), 0..30),
        at: prop::sample::Index,
        step in 1..50_usize,
    ) {
        let mut head = client().request().to_vec();
        let at = at.index(head.len());
        let end = (at + noise.len() / 2).min(head.len());
        head.splice(at..end, noise);
        let limits = HeadLimits::default();
        let verdict = |progress: &mut HeadProgress, bytes: &[u8]| {
            let parsed = progress.parse_request(bytes, &limits);
            parsed.map(|it| it.map(|(request, used)| (request.upgrade(), used)))
        };
        let whole = verdict(&mut HeadProgress::default(), &head);
        let mut progress = HeadProgress::default();
        let slow = (1..head.len())
            .step_by(step)
            .chain([head.len()])
            .map(|len| verdict(&mut progress, &head[..len]))
            .find(|result| *result != Ok(None))
            .unwrap_or(Ok(None));
        prop_assert_eq!(slow, whole);
    }
}
