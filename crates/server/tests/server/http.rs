//! Requests that are no upgrades, and upgrades behind them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{Read, Write};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use rupor_server::{RemoteAddr, RequestBody};
use rupor_testkit::{http, wait_until};
use tower_service::Service;

use super::*;

/// Says the path and who asks; `/big` is answered with [`BIG_BYTES`].
#[derive(Clone)]
pub(super) struct Says;

/// More than all buffers between the two ends have room for.
const BIG_BYTES: usize = 32 * 1024 * 1024;

impl Service<::http::Request<RequestBody>> for Says {
    type Response = ::http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<RequestBody>) -> Self::Future {
        let RemoteAddr(remote) = request.extensions().get().copied().unwrap();
        if request.uri() == "/big" {
            let big = Bytes::from(vec![b'x'; BIG_BYTES]);
            return ready(Ok(::http::Response::new(Full::new(big))));
        }
        let text = format!("{} {} {}", request.method(), request.uri(), remote.ip());
        ready(Ok(::http::Response::new(Full::new(Bytes::from(text)))))
    }
}

pub(crate) fn with_service(limits: Limits) -> Up {
    let server = server(limits).http(Says).listen("127.0.0.1:0").unwrap();
    Up::of(server.start().unwrap())
}

#[test]
fn service_answers_what_is_no_upgrade() {
    let up = with_service(Limits::default());
    let response = http(up.address(), "GET", "/page?x=1", &[], b"");
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "GET /page?x=1 127.0.0.1")
    );
    let response = http(up.address(), "POST", "/api", &[], &[b'x'; 100_000]);
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "POST /api 127.0.0.1")
    );
}

#[test]
fn without_a_service_it_says_what_it_is() {
    let up = up(Limits::default());
    let response = http(up.address(), "GET", "/", &[], b"");
    assert_eq!(response.status, 426);
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert_eq!(response.header("connection"), Some("close, upgrade"));
    assert_eq!(http(up.address(), "POST", "/", &[], b"x").status, 404);
}

/// Reads one answer with a `Content-Length`.
pub(super) fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let length = text
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

#[test]
fn upgrade_may_be_a_later_request_of_the_connection() {
    let up = with_service(Limits::default());
    let mut stream = up.tcp();
    for n in 0..3 {
        write!(stream, "GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(answer(&mut stream).ends_with(&format!("GET /{n} 127.0.0.1")));
    }
    let early = rupor_testkit::Frame::new(rupor_testkit::opcode::TEXT, "early").encode();
    let mut client = up.opening("/id").early(&early).open_over(stream);
    let id: ConnectionId = client.receive_text().parse().unwrap();
    client.expect_text("early");
    up.handle().send(id, &text("found")).unwrap();
    client.expect_text("found");
    client.close(1000, "");
    wait_until("its place is free", || {
        let stats = up.handle().stats();
        (stats.connections, stats.openings) == (0, 0)
    });
}

#[test]
fn pipelined_requests_before_an_upgrade_are_answered_first() {
    let up = with_service(Limits::default());
    let mut stream = up.tcp();
    let mut bytes =
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    bytes.extend(up.opening("/id").bytes());
    stream.write_all(&bytes).unwrap();
    assert!(answer(&mut stream).ends_with("GET /a 127.0.0.1"));
    assert!(answer(&mut stream).ends_with("GET /b 127.0.0.1"));
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
}

#[test]
fn later_upgrade_passes_the_same_checks() {
    let up = with_service(Limits::default());
    for (name, value, status) in [
        ("Sec-WebSocket-Version", "8", 426),
        ("Sec-WebSocket-Key", "short", 400),
        ("Connection", "close", 400),
    ] {
        // Who names an upgrade says so in Connection too (RFC 9110 §7.8).
        let connection = if status == 426 {
            "close, upgrade"
        } else {
            "close"
        };
        let mut stream = up.tcp();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream);
        let (response, client) = up.opening("/").header(name, value).ask(stream);
        assert!(client.is_none());
        assert_eq!(response.status, status, "{name}: {value}");
        assert_eq!(response.header("connection"), Some(connection));
    }
}

/// Where a body in chunks ends, only hyper knows: what follows it is nobody's request.
#[test]
fn w_s2_nothing_behind_a_body_in_chunks_is_read() {
    let up = with_service(Limits::default());
    let mut stream = up.tcp();
    let mut bytes = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
        4\r\nbody\r\n0\r\n\r\n"
        .to_vec();
    bytes.extend(up.opening("/id").bytes());
    stream.write_all(&bytes).unwrap();
    let mut all = String::new();
    let _ = stream.read_to_string(&mut all);
    assert!(
        all.to_lowercase().contains("\r\nconnection: close\r\n"),
        "{all}"
    );
    assert!(all.ends_with("POST /a 127.0.0.1"), "{all}");
}

/// A body that nobody read is not read as requests either.
#[test]
fn w_s2_a_body_is_never_read_as_a_request() {
    let up = with_service(Limits::default());
    let mut stream = up.tcp();
    let body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5000);
    let head = format!(
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // It may be answered, and closed, before all of it was sent.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
    let mut all = String::new();
    let _ = stream.read_to_string(&mut all);
    assert!(all.ends_with("POST /a 127.0.0.1"), "{all}");
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
}

/// The deadlines of a first head hold for a later one.
#[test]
fn later_head_that_dribbles_is_cut_too() {
    let up = with_service(Limits {
        head_grace_ms: 50,
        ..Limits::default()
    });
    let mut stream = up.tcp();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    answer(&mut stream);
    stream.write_all(b"GET /").unwrap();
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest);
    assert!(rest.starts_with("HTTP/1.1 408 "), "{rest}");
    assert_eq!(up.refused("slow"), 1);
}

/// All of a large answer comes, also when the socket took it piece by piece, and the connection
/// goes on behind it.
#[test]
fn large_answer_comes_whole_and_the_connection_is_kept() {
    let up = with_service(Limits::default());
    let mut stream = up.tcp();
    for _ in 0..2 {
        stream
            .write_all(b"POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            .unwrap();
        assert!(answer(&mut stream).ends_with("xx"));
    }
    up.opening("/").open_over(stream);
}

#[test]
fn registration_precedes_the_101_of_a_later_upgrade_too() {
    let up = with_service(Limits::default());
    for n in 0..50 {
        let mut stream = up.tcp();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream);
        let mut client = up.opening("/?news").open_over(stream);
        up.handle()
            .publish(&"news".into(), &text(&n.to_string()), None)
            .unwrap();
        client.expect_text(&n.to_string());
    }
}

#[test]
fn idle_http_connection_is_closed() {
    let up = with_service(Limits {
        http_idle_timeout_ms: 50,
        ..Limits::default()
    });
    let mut stream = up.tcp();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    answer(&mut stream);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn drain_ends_idle_http_connections() {
    let up = with_service(Limits::default());
    let mut stream = up.tcp();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    answer(&mut stream);
    up.handle().drain(std::time::Duration::from_secs(3600));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
