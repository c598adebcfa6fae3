//! Requests that are no upgrades, and upgrades behind them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{Read, Write};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use rupor_server::RemoteAddr;
use rupor_testkit::{http, wait_until};
use tower_service::Service;

use super::*;

/// Says the path and who asks.
#[derive(Clone)]
pub(super) struct Says;

impl Service<::http::Request<Incoming>> for Says {
    type Response = ::http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<Incoming>) -> Self::Future {
        let RemoteAddr(remote) = request.extensions().get().copied().unwrap();
        let text = format!("{} {} {}", request.method(), request.uri(), remote.ip());
        ready(Ok(::http::Response::new(Full::new(Bytes::from(text)))))
    }
}

fn with_service(limits: Limits) -> Up {
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
    assert_eq!(http(up.address(), "POST", "/", &[], b"x").status, 404);
}

/// Reads one answer with a `Content-Length`.
pub(super) fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    let mut wanted = None;
    while wanted.is_none_or(|wanted| text.len() < wanted) {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
        if wanted.is_none() && text.ends_with("\r\n\r\n") {
            let length = text
                .to_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
            wanted = Some(text.len() + length.unwrap().parse::<usize>().unwrap());
        }
    }
    text
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
        let mut stream = up.tcp();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream);
        let (response, client) = up.opening("/").header(name, value).ask(stream);
        assert!(client.is_none());
        assert_eq!(response.status, status, "{name}: {value}");
        assert_eq!(response.header("connection"), Some("close"));
    }
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
