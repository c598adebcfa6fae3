//! permessage-deflate (RFC 7692) over real sockets, read and written by the C zlib.

use std::io::Write;

use rupor_server::{Admit, Admitted, DeflateConfig, Refusal};
use rupor_testkit::{Event, Frame as RawFrame, opcode, wait_until};

use super::*;

/// With takeover both ways and windows of 12 bits.
fn takeover() -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..DeflateConfig::default()
    }
}

fn unlimited() -> Limits {
    Limits {
        messages_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    }
}

fn with_deflate(deflate: DeflateConfig) -> Up {
    let server = server(unlimited()).deflate(deflate);
    Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap())
}

const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// A text that compresses well, unlike its neighbours.
fn long(n: usize) -> String {
    format!("message {n} of many; ").repeat(30)
}

#[test]
fn what_is_offered_is_answered_or_declined() {
    let up = with_deflate(takeover());
    let agreed = |offers: &str| {
        let client = up.opening("/").extensions(offers).open();
        client.extensions().map(str::to_owned)
    };
    let plain = "permessage-deflate";
    for (offers, expected) in [
        (plain, "permessage-deflate; client_no_context_takeover"),
        (OFFER, "permessage-deflate; client_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits=15; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=\"9\"",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
        ),
        // The first that can be agreed to counts, whatever stands before it.
        (
            "x-other, permessage-deflate; mystery, permessage-deflate; server_max_window_bits=8, \
             permessage-deflate; client_max_window_bits=11",
            "permessage-deflate; client_max_window_bits=11",
        ),
    ] {
        assert_eq!(agreed(offers).as_deref(), Some(expected), "{offers}");
    }
    for offers in [
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; x",
    ] {
        assert_eq!(agreed(offers), None, "{offers}");
    }
    let lines = up
        .opening("/")
        .extensions("permessage-deflate; mystery")
        .another_header("sec-websocket-extensions", "x-other")
        .another_header("Sec-WebSocket-Extensions", OFFER)
        .open();
    assert_eq!(
        lines.extensions(),
        Some("permessage-deflate; client_max_window_bits=12")
    );
}

#[test]
fn without_being_asked_for_it_is_never_agreed_to() {
    let up = up(Limits::default());
    assert_eq!(up.opening("/").extensions(OFFER).open().extensions(), None);
    let up = with_deflate(takeover());
    assert_eq!(up.connect("/").extensions(), None);
}

#[test]
fn both_sides_compress_with_takeover_and_without() {
    for (offer, deflate) in [
        (OFFER, takeover()),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            takeover(),
        ),
        (OFFER, DeflateConfig::default()),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
            takeover(),
        ),
    ] {
        let up = with_deflate(deflate);
        let mut client = up.opening("/").extensions(offer).open();
        assert!(client.extensions().is_some());
        for n in 0..50 {
            client.send_text_compressed(&long(n));
            client.expect_text(&long(n));
            assert!(client.was_compressed());
            client.send_text(&long(n));
            client.expect_text(&long(n));
            client.send_binary(&[1, 2, 3]);
            assert_eq!(client.receive(), Event::Binary(vec![1, 2, 3]));
            assert!(!client.was_compressed(), "too short to be worth it");
        }
        let stats = up.handle().stats();
        assert_eq!(stats.deflate_connections, 1);
        client.close(1000, "");
        wait_until("all is counted", || {
            let stats = up.handle().stats();
            stats.deflated_messages_out == 100 && stats.deflate_connections == 0
        });
        let stats = up.handle().stats();
        assert_eq!((stats.deflated_messages_in, stats.compressions), (50, 100));
        assert_eq!(
            stats.deflated_plain_bytes_out,
            2 * stats.deflated_plain_bytes_in
        );
        assert!(stats.deflated_wire_bytes_out * 4 < stats.deflated_plain_bytes_out);
        assert!(stats.deflated_wire_bytes_in * 4 < stats.deflated_plain_bytes_in);
    }
}

#[test]
fn upgrade_behind_other_requests_may_agree_too() {
    let server = server(unlimited()).deflate(takeover());
    let server = server.http(super::http::Says).listen("127.0.0.1:0");
    let up = Up::of(server.unwrap().start().unwrap());
    let mut stream = up.tcp();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    super::http::answer(&mut stream);
    let early = RawFrame {
        rsv: 4,
        ..RawFrame::new(opcode::TEXT, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])
    };
    let opening = up.opening("/").extensions(OFFER).early(&early.encode());
    let mut client = opening.open_over(stream);
    assert_eq!(
        client.extensions(),
        Some("permessage-deflate; client_max_window_bits=12")
    );
    client.expect_text("Hello");
    client.send_text_compressed(&long(1));
    client.expect_text(&long(1));
    assert!(client.was_compressed());
}

#[test]
fn listed_user_agents_get_none() {
    let up = with_deflate(DeflateConfig {
        user_agents_vetoed: vec!["CFNetwork/".to_owned()],
        ..takeover()
    });
    let agreed = |agent: &str| {
        let opening = up
            .opening("/")
            .extensions(OFFER)
            .header("User-Agent", agent);
        opening.open().extensions().is_some()
    };
    assert!(!agreed("rupor/1 CFNetwork/1240.0.4 Darwin/20.6.0"));
    assert!(
        !agreed("Рупор/1 CFNetwork/1240.0.4 Darwin/20.6.0"),
        "not only ASCII"
    );
    assert!(agreed("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"));
}

/// Declines compression on a path.
struct Declines;

impl Admit for Declines {
    type Admission = UpgradeRequest;

    async fn admit(&self, request: UpgradeRequest) -> Result<Admitted<UpgradeRequest>, Refusal> {
        let secrets = request.path() == "/secrets";
        let admitted = Admitted::new(request);
        Ok(if secrets {
            admitted.without_deflate()
        } else {
            admitted
        })
    }
}

#[test]
fn admission_may_decline() {
    let server = server(unlimited()).deflate(takeover()).admit(Declines);
    let up = Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap());
    let open = |path| up.opening(path).extensions(OFFER).open();
    assert!(open("/").extensions().is_some());
    let mut secrets = open("/secrets");
    assert_eq!(secrets.extensions(), None);
    secrets.send_text(&long(1));
    secrets.expect_text(&long(1));
    assert!(!secrets.was_compressed());
}

#[test]
fn what_must_not_be_compressed_is_not() {
    let up = with_deflate(takeover());
    let mut client = up.opening("/id?news").extensions(OFFER).open();
    let id: ConnectionId = client.receive_text().parse().unwrap();
    let secret = text(&long(1)).uncompressed();
    for n in 0..5 {
        up.handle().send(id, &text(&long(n))).unwrap();
        client.expect_text(&long(n));
        assert!(client.was_compressed());
        up.handle().send(id, &secret).unwrap();
        client.expect_text(&long(1));
        assert!(!client.was_compressed());
        up.handle().publish(&"news".into(), &secret, None).unwrap();
        client.expect_text(&long(1));
        assert!(!client.was_compressed());
        client.send_text(&format!("uncompressed {}", long(n)));
        client.expect_text(&long(n));
        assert!(!client.was_compressed());
    }
}

#[test]
fn rsv1_without_negotiation_is_1002() {
    let up = with_deflate(takeover());
    let compressed = RawFrame {
        rsv: 4,
        ..RawFrame::new(opcode::TEXT, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])
    };
    let mut client = up.connect("/");
    client.send_frame(&compressed);
    assert_eq!(client.expect_close().0, 1002);
    // And where it was negotiated, on a control frame and on a frame that is not the first.
    let mut client = up.opening("/").extensions(OFFER).open();
    client.send_frame(&compressed);
    client.expect_text("Hello");
    let ping = RawFrame {
        rsv: 4,
        ..RawFrame::new(opcode::PING, b"x")
    };
    client.send_frame(&ping);
    assert_eq!(client.expect_close().0, 1002);
    let mut client = up.opening("/").extensions(OFFER).open();
    client.send_frame(&RawFrame::fragment(opcode::TEXT, "a", false));
    client.send_frame(&RawFrame {
        rsv: 4,
        ..RawFrame::new(opcode::CONTINUATION, b"b")
    });
    assert_eq!(client.expect_close().0, 1002);
}

#[test]
fn panic_in_a_handler_leaves_the_pool_to_the_others() {
    let up = with_deflate(takeover());
    let mut clients: Vec<Client> = (0..4)
        .map(|_| up.opening("/").extensions(OFFER).open())
        .collect();
    for n in 0..20 {
        for client in &mut clients {
            client.send_text_compressed(&long(n));
            client.expect_text(&long(n));
        }
        let mut victim = up.opening("/").extensions(OFFER).open();
        victim.send_text_compressed(&format!("panic {}", long(n)));
        assert_eq!(victim.expect_close().0, 1011);
    }
}

#[test]
fn broadcast_is_compressed_once_for_each_kind_of_receiver() {
    let server = Server::new(|_, _| Talk).workers(1).limits(unlimited());
    let server = server.deflate(takeover()).listen("127.0.0.1:0").unwrap();
    let up = Up::of(server.start().unwrap());
    let offers = [OFFER, "permessage-deflate; server_no_context_takeover", ""];
    let mut clients: Vec<Client> = (0..30)
        .map(|n| {
            let opening = up.opening("/?news");
            match offers[n % 3] {
                "" => opening.open(),
                offer => opening.extensions(offer).open(),
            }
        })
        .collect();
    for n in 0..20 {
        up.handle()
            .publish(&"news".into(), &text(&long(n)), None)
            .unwrap();
        for (index, client) in clients.iter_mut().enumerate() {
            client.expect_text(&long(n));
            assert_eq!(client.was_compressed(), index % 3 < 2);
        }
    }
    // A worker adds what it counted at the end of its turn.
    wait_until("all is counted", || {
        let stats = up.handle().stats();
        (stats.compressions, stats.deflated_messages_out) == (40, 400)
    });
}
