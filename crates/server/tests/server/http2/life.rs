//! How streams and connections end.

use std::time::Duration;

use h2::Reason;

use super::*;

/// The code that `on_close` was called with for a connection; once.
fn closed_with(id: ConnectionId) -> CloseCode {
    let codes = || -> Vec<CloseCode> {
        let closed = CLOSED.lock().unwrap();
        let mine = closed.iter().filter(|(other, _)| *other == id);
        mine.map(|(_, code)| *code).collect()
    };
    wait_until("on_close", || !codes().is_empty());
    let codes = codes();
    assert_eq!(codes.len(), 1, "{codes:?}");
    codes[0]
}

fn open_with_id(http2: &Http2) -> (client::Answered, ConnectionId) {
    let mut answered = http2.ask(Http2::connect_request("/id")).unwrap();
    let mut text = [0; 64];
    let count = std::io::Read::read(&mut answered.stream, &mut text).unwrap();
    // A frame of its own: two bytes of header, then the id.
    let id = std::str::from_utf8(&text[2..count]).unwrap();
    (answered, id.parse().unwrap())
}

#[test]
fn closing_handshake_ends_the_stream_both_ways() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let (answered, id) = open_with_id(&http2);
    let mut client = answered.open();
    // Our close frame, its answer, and then END_STREAM.
    assert_eq!(client.close(4321, "bye").0, 4321);
    assert_eq!(closed_with(id), CloseCode::new(4321));

    let (answered, id) = open_with_id(&http2);
    let mut client = answered.open();
    client.send_text("close enough");
    assert_eq!(client.expect_close(), (4000, "enough".to_owned()));
    assert_eq!(closed_with(id), CloseCode::new(4000));
    wait_until("both are gone", || up.handle().stats().connections == 0);
}

#[test]
fn end_stream_without_a_close_frame_is_1006() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let (answered, id) = open_with_id(&http2);
    let mut client = answered.open();
    client.send_text("last words");
    client.finish();
    client.expect_text("last words");
    assert_eq!(client.receive(), Event::End);
    assert_eq!(closed_with(id), CloseCode::ABNORMAL);
    assert_eq!(up.dropped("broken"), 0);
}

#[test]
fn reset_is_1006_and_ends_one_websocket_only() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let (mut answered, id) = open_with_id(&http2);
    let mut other = http2.open("/");
    answered.stream.send.send_reset(Reason::CANCEL);
    assert_eq!(closed_with(id), CloseCode::ABNORMAL);
    wait_until("it is counted", || up.dropped("broken") == 1);
    other.send_text("here");
    other.expect_text("here");
    assert_eq!(up.handle().stats().connections, 1);
}

#[test]
fn end_of_the_connection_ends_all_its_websockets() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let ids = [(); 3].map(|()| open_with_id(&http2));
    let names = ids.each_ref().map(|(_, id)| *id);
    drop(ids.map(|(answered, _)| answered.stream));
    drop(http2);
    for id in names {
        assert_eq!(closed_with(id), CloseCode::ABNORMAL);
    }
    wait_until("nobody is left", || {
        let stats = up.handle().stats();
        (stats.connections, stats.openings) == (0, 0)
    });
}

#[test]
fn reset_before_the_answer_opens_nothing() {
    let pair = Pair::new();
    let limits = Limits {
        http2_resets_max: 3,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut http2 = Http2::connect(&up, &pair);
    let never = || {
        let uri = "https://localhost/never";
        http2.begin(Request::get(uri).body(()).unwrap())
    };
    for _ in 0..3 {
        let (_response, mut stream) = never();
        stream.send_reset(Reason::CANCEL);
    }
    assert_eq!(http2.http("GET", "/", b"").0, 200);
    // One more, and it is enough.
    let (_response, mut stream) = never();
    stream.send_reset(Reason::CANCEL);
    assert_eq!(http2.end(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn drain_says_1001_and_goaway() {
    let pair = Pair::new();
    let mut up = up2(&pair, Limits::default());
    let mut http2 = Http2::connect(&up, &pair);
    let mut clients = [http2.open("/"), http2.open("/"), http2.open("/")];
    let mut silent = Http2::connect(&up, &pair);
    silent.wait_for_settings();
    let running = up.0.take().unwrap();
    running.handle().drain(Duration::from_millis(200));
    for client in &mut clients {
        assert_eq!(client.expect_close().0, 1001);
    }
    for http2 in [&mut http2, &mut silent] {
        assert_eq!(http2.end(), None, "GOAWAY with NO_ERROR");
    }
    running.wait();
}

#[test]
fn drain_ends_though_peers_do_not_answer() {
    let pair = Pair::new();
    let mut limits = Limits::default();
    limits.protocol.close_timeout_ms = 100;
    let mut up = up2(&pair, limits);
    let http2 = Http2::connect(&up, &pair);
    let mut deaf = http2.open("/");
    let (_unanswered, _stream) =
        http2.begin(Request::get("https://localhost/never").body(()).unwrap());
    let running = up.0.take().unwrap();
    running.handle().drain(Duration::from_millis(50));
    assert_eq!(deaf.expect_close().0, 1001);
    running.wait();
}

#[test]
fn stop_says_1001_before_it_ends() {
    let pair = Pair::new();
    let mut up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let mut clients = [http2.open("/"), http2.open("/")];
    let running = up.0.take().unwrap();
    running.handle().stop();
    running.wait();
    for client in &mut clients {
        assert_eq!(client.expect_close().0, 1001);
    }
}

#[test]
fn connection_without_streams_is_sent_away() {
    let pair = Pair::new();
    let limits = Limits {
        http_idle_timeout_ms: 100,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut http2 = Http2::connect(&up, &pair);
    assert_eq!(http2.http("GET", "/", b"").0, 200);
    assert_eq!(http2.end(), None, "GOAWAY with NO_ERROR");
    wait_until("its place is free", || up.handle().stats().openings == 0);
}

#[test]
fn first_request_has_a_deadline() {
    let pair = Pair::new();
    let limits = Limits {
        opening_timeout_ms: 300,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let mut http2 = Http2::connect(&up, &pair);
    assert_eq!(http2.end(), None, "GOAWAY with NO_ERROR");
    assert_eq!(up.refused("slow"), 1);
}

#[test]
fn request_body_that_does_not_come_is_given_up() {
    let pair = Pair::new();
    let limits = Limits {
        http_idle_timeout_ms: 100,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let http2 = Http2::connect(&up, &pair);
    let request = Request::post("https://localhost/").body(()).unwrap();
    let (response, _stream) = http2.begin(request);
    // The service of the test panics over it, which ends its stream.
    assert!(http2.in_time(response).is_err());
    drop(http2.open("/"));
}
