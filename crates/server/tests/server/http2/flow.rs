//! Flow control from end to end: nobody waits for somebody else.

use std::future::poll_fn;
use std::io::Write;

use super::client::StreamLink;
use super::*;

/// A connection whose windows let few bytes through at a time.
fn narrow(up: &Up, pair: &Pair) -> Http2 {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    Http2::with(up, pair, &builder)
}

/// A stream that gives no credit for what it reads.
fn closed_window(http2: &Http2, target: &str) -> StreamLink {
    let mut answered = http2.ask(Http2::connect_request(target)).unwrap();
    answered.stream.gives_credit = false;
    answered.stream
}

fn send(stream: &mut StreamLink, text: &str) {
    let frame = rupor_testkit::Frame::new(rupor_testkit::opcode::TEXT, text);
    stream.write_all(&frame.encode()).unwrap();
}

#[test]
fn large_messages_pass_through_narrow_windows() {
    let pair = Pair::new();
    let up = up2(&pair, unlimited());
    let http2 = narrow(&up, &pair);
    let mut client = http2.open("/");
    client.send_text("flood 600000");
    client.send_text("flood 600000");
    for _ in 0..2 {
        assert_eq!(client.receive_text().len(), 600_000);
    }
    let payload = vec![7; 65_536];
    client.send_binary(&payload);
    assert_eq!(client.receive(), Event::Binary(payload));
}

#[test]
fn peer_that_opens_no_window_is_dropped_and_delays_nobody() {
    let pair = Pair::new();
    let limits = Limits {
        backlog_bytes_max: 80_000,
        ..unlimited()
    };
    let server = server(limits).workers(1).tls(pair.tls().unwrap());
    let up = Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap());
    let http2 = narrow(&up, &pair);
    let mut slow = closed_window(&http2, "/");
    let mut beside = http2.open("/");
    let mut elsewhere = Http2::connect(&up, &pair).open("/");
    for n in 0..3 {
        send(&mut slow, "flood 100000");
        for client in [&mut beside, &mut elsewhere] {
            client.send_text(&format!("here {n}"));
            client.expect_text(&format!("here {n}"));
        }
    }
    wait_until("it is dropped", || up.dropped("backlog_bytes") == 1);
    // It did not take even the close frame, so its stream is cut in the end.
    assert_eq!(slow.reset(), h2::Reason::CANCEL);
    wait_until("it is gone", || up.handle().stats().connections == 2);
    for client in [&mut beside, &mut elsewhere] {
        client.send_text("still here");
        client.expect_text("still here");
    }
}

#[test]
fn peer_may_send_no_more_than_its_window_ahead() {
    let pair = Pair::new();
    let limits = Limits {
        bytes_per_second: 1,
        rate_timeout_ms: 0,
        rate_burst_seconds: 1,
        http2_window_bytes: 10_000,
        receive_buffer_bytes: 1000,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let http2 = Http2::connect(&up, &pair);
    let mut full = http2.ask(Http2::connect_request("/")).unwrap().stream;
    send(&mut full, &"x".repeat(2000));
    // Over its rate for the next hours, it is not read from.
    let filler = [0x82; 1000];
    for _ in 0..7 {
        full.write_all(&filler).unwrap();
    }
    let sent = 2000 + 7 * 1000;
    full.send.reserve_capacity(20_000);
    // Others on the connection are served, which also shows that what was sent has arrived.
    let mut beside = http2.open("/");
    beside.send_text("a");
    beside.expect_text("a");
    for _ in 0..3 {
        assert_eq!(http2.http("POST", "/", &[0; 30_000]).0, 200);
    }
    let more = http2.in_time(poll_fn(|_| std::task::Poll::Ready(full.send.capacity())));
    assert!(sent + more <= 10_000 + 3 * 1000, "{more} bytes more");
}
