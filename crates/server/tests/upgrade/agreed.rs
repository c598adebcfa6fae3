//! What an upgrade agrees to, and the WebSocket that comes out of it.

use rupor_testkit::{Event, Frame, opcode};

use super::*;

fn on_both(agree: Agree, check: fn(SocketAddr)) {
    for parser in PARSERS {
        check(serve(parser, agree));
    }
}

#[test]
fn messages_go_both_ways_and_close_codes_too() {
    on_both(
        |upgrade| upgrade,
        |address| {
            let early = Frame::new(opcode::TEXT, "early").encode();
            let mut client = Opening::new(address, "/chat?x=1").early(&early).open();
            assert_eq!(client.subprotocol(), None);
            client.expect_text("early");
            let long = "ж".repeat(30_000);
            client.send_text(&long);
            client.expect_text(&long);
            client.send_binary(&[0, 255]);
            assert_eq!(client.receive(), Event::Binary(vec![0, 255]));
            client.send_text("close");
            assert_eq!(client.expect_close(), (4001, "as asked".to_owned()));

            let mut client = Opening::new(address, "/").open();
            assert_eq!(client.close(1000, "bye").0, 1000);

            // Without a closing handshake, since the program wants it so.
            let mut client = Opening::new(address, "/").open();
            client.send_text("drop");
            assert_eq!(client.receive(), Event::End);
        },
    );
}

#[test]
fn first_offered_subprotocol_that_is_known_is_chosen() {
    on_both(
        |upgrade| upgrade.subprotocols(["v1", "v2"]),
        |address| {
            let chosen = |offered: &[&str]| {
                let opening = Opening::new(address, "/").subprotocols(offered);
                opening.open().subprotocol().map(str::to_owned)
            };
            assert_eq!(chosen(&["v2", "v1"]).as_deref(), Some("v2"));
            assert_eq!(chosen(&["V1", "v3", "v1"]).as_deref(), Some("v1"));
            assert_eq!(chosen(&["v3"]), None);
            assert_eq!(Opening::new(address, "/").open().subprotocol(), None);
        },
    );
}

#[test]
fn foreign_pages_are_refused_and_programs_are_not() {
    on_both(
        |upgrade| upgrade.origins(["https://example.org", "http://localhost:3000"]),
        |address| {
            let opening = || Opening::new(address, "/");
            for origin in [
                "https://example.org",
                "HTTPS://EXAMPLE.ORG",
                "http://localhost:3000",
            ] {
                opening().origin(origin).open();
            }
            opening().open();
            for origin in [
                "null",
                "file://",
                "http://example.org",
                "https://example.org:444",
                "https://example.org.evil.example",
                "https://evil.example/https://example.org",
                "https://example.org@evil.example",
                "https://sub.example.org",
                "https://xexample.org",
                "https://example.org.",
                "http://localhost:30000",
                "http://localhost",
            ] {
                let refused = opening().origin(origin).refused();
                assert_eq!(refused.status, 403, "{origin}");
                assert_eq!(refused.header("connection"), Some("close"));
            }
            let two = opening().another_header("Origin", "https://example.org");
            let two = two.another_header("Origin", "https://evil.example");
            assert_eq!(two.refused().status, 400);
        },
    );
}

#[test]
fn compression_is_agreed_to_if_both_want_it() {
    on_both(
        |upgrade| upgrade.deflate(&DeflateConfig::default()),
        |address| {
            let offer = "permessage-deflate; client_max_window_bits";
            let opening = Opening::new(address, "/").header("Sec-WebSocket-Extensions", offer);
            let mut client = opening.open();
            let answer = client
                .response()
                .header("sec-websocket-extensions")
                .unwrap();
            assert!(answer.starts_with("permessage-deflate; "), "{answer}");
            let text = "again and ".repeat(100);
            client.send_text(&text);
            let frame = client.receive_frame().unwrap();
            assert_eq!(frame.rsv, 4);
            assert!(frame.payload.len() < 100);

            let plain = Opening::new(address, "/").open();
            assert_eq!(plain.response().header("sec-websocket-extensions"), None);
            let vetoed = opening
                .header("User-Agent", "Mozilla/5.0 Version/15.1 Safari/605")
                .open();
            assert_eq!(vetoed.response().header("sec-websocket-extensions"), None);
        },
    );
}

#[test]
fn headers_of_the_program_are_in_the_101_or_it_fails() {
    on_both(
        |upgrade| upgrade.header("Set-Cookie", "seen=1").header("X-Two", "2"),
        |address| {
            let client = Opening::new(address, "/").open();
            assert_eq!(client.response().header("set-cookie"), Some("seen=1"));
            assert_eq!(client.response().header("x-two"), Some("2"));
        },
    );
    for agree in [
        (|upgrade| upgrade.header("X", "a\r\nY: b")) as Agree,
        |upgrade| upgrade.header("Sec-WebSocket-Accept", "mine"),
        |upgrade| upgrade.header("X Y", "z"),
    ] {
        on_both(agree, |address| {
            assert_eq!(Opening::new(address, "/").refused().status, 500);
        });
    }
}

#[test]
fn limits_are_those_that_were_given() {
    on_both(
        |upgrade| {
            let mut config = rupor_server::proto::Config::default();
            config.limits.message_bytes_max = 10;
            upgrade.limits(&WebSocketLimits::with_protocol(config))
        },
        |address| {
            let mut client = Opening::new(address, "/").open();
            client.send_text("0123456789");
            client.expect_text("0123456789");
            client.send_text("0123456789x");
            assert_eq!(client.expect_close().0, 1009);
        },
    );
}

/// A server that was not told to let connections be upgraded.
#[tokio::test]
async fn what_cannot_be_upgraded_is_refused() {
    let mut request = Request::get("/").body(()).unwrap();
    for (name, value) in [
        ("host", "a"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-key", rupor_testkit::SAMPLE_KEY),
        ("sec-websocket-version", "13"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let refusal = WebSocketUpgrade::from_request(&mut request).unwrap_err();
    assert_eq!(refusal.status, 500);
}
