//! Whose address a connection has behind a proxy, trusted or not.

use std::io::{Read, Write};
use std::net::Shutdown;

use h2::client::Builder;
use rupor_server::ClientAddress;
use rupor_server::proto::proxied::PROXY_HEADER_BYTES_MAX;
use rupor_testkit::wait_until;

use super::http2::client::Http2;
use super::tls::{Pair, link_over};
use super::*;

/// Says the client's address when a connection opens.
#[derive(Debug)]
struct Whose;

impl Handler for Whose {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, connection: &mut Connection<'_>, request: UpgradeRequest) {
        assert_eq!(connection.remote(), request.remote);
        connection.send_text(&request.remote.to_string()).unwrap();
    }

    fn on_message(&mut self, _: &mut Connection<'_>, (): &mut (), _: Message<'_>) {}
}

fn server_behind(source: ClientAddress, proxy: &str, limits: Limits) -> Server<Whose> {
    Server::new(|_, _| Whose)
        .workers(1)
        .limits(limits)
        .client_address(source)
        .trusted_proxies([proxy.parse().unwrap()])
}

fn behind(source: ClientAddress, proxy: &str, limits: Limits) -> Up {
    let server = server_behind(source, proxy, limits);
    Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap())
}

fn behind_tls(source: ClientAddress, proxy: &str, pair: &Pair, limits: Limits) -> Up {
    let server = server_behind(source, proxy, limits).tls(pair.tls().unwrap());
    Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap())
}

/// A connection that begins with these bytes.
fn begun(up: &Up, front: &[u8]) -> TcpStream {
    let mut tcp = up.tcp();
    tcp.write_all(front).unwrap();
    tcp
}

/// Version 1, and the client that it names.
const LINE: (&[u8], &str) = (
    b"PROXY TCP4 192.0.2.1 192.0.2.2 258 443\r\n",
    "192.0.2.1:258",
);

/// Version 2 with this command and family, and these bytes behind its addresses.
fn binary(command: u8, family: u8, tlvs: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(12 + tlvs.len()).unwrap().to_be_bytes());
    bytes.extend([192, 0, 2, 9, 192, 0, 2, 2, 1, 2, 1, 187]);
    bytes.extend(tlvs);
    bytes
}

/// The client that [`binary`] names.
const OF_BINARY: &str = "192.0.2.9:258";

/// TLVs as long as they may be: PP2_TYPE_NOOP (section 2.2.5).
fn tlvs(length: usize) -> Vec<u8> {
    let value = u16::try_from(length - 3).unwrap().to_be_bytes();
    [&[0x04], &value[..], &vec![0; length - 3][..]].concat()
}

const TLV_BYTES_MAX: usize = PROXY_HEADER_BYTES_MAX - 16 - 12;

/// What comes when this is sent in front of and inside a request; empty if the connection ends.
fn ask(up: &Up, front: &[u8], headers: &str) -> (TcpStream, String) {
    let mut tcp = up.tcp();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let _ = tcp.write_all(&[front, request.as_bytes()].concat());
    let mut text = Vec::new();
    let mut byte = [0];
    while let Ok(1) = tcp.read(&mut byte) {
        text.push(byte[0]);
        // The text frame after the 101 has its length in its second byte.
        if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n")
            && text.starts_with(b"HTTP/1.1 101")
            && let Some(len) = text.get(at + 5)
            && text.len() == at + 6 + usize::from(*len)
        {
            let address = String::from_utf8_lossy(&text[at + 6..]).into_owned();
            return (tcp, address);
        }
    }
    (tcp, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_trusted_proxy_names_its_client() {
    let up = behind(ClientAddress::XForwardedFor, "127.0.0.1", Limits::default());
    let (_tcp, address) = ask(&up, b"", "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n");
    assert_eq!(address, "192.0.2.1:0");
    let (_tcp, address) = ask(&up, b"", "");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let (_tcp, answer) = ask(&up, b"", "X-Forwarded-For: nonsense\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(up.refused("proxy_header"), 1);
    let up = behind(ClientAddress::Forwarded, "127.0.0.1", Limits::default());
    let headers = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=\"[2001:db8::1]:47\"\r\n";
    assert_eq!(ask(&up, b"", headers).1, "[2001:db8::1]:47");
}

#[test]
fn a_header_of_somebody_else_is_ignored_and_counted() {
    let up = behind(ClientAddress::XForwardedFor, "192.0.2.7", Limits::default());
    let (_tcp, address) = ask(&up, b"", "X-Forwarded-For: 192.0.2.1\r\n");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert_eq!(up.handle().stats().proxy_headers_ignored, 1);
    let up = behind(ClientAddress::ProxyProtocol, "192.0.2.7", Limits::default());
    let (_tcp, answer) = ask(&up, b"PROXY UNKNOWN\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(up.handle().stats().proxy_headers_ignored, 1);
    let (_tcp, address) = ask(&up, b"", "");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
}

#[test]
fn limits_per_address_count_the_client() {
    let limits = Limits {
        connections_per_address_max: 1,
        ..Limits::default()
    };
    let up = behind(ClientAddress::XForwardedFor, "127.0.0.1", limits);
    let header = "X-Forwarded-For: 192.0.2.1\r\n";
    let (first, address) = ask(&up, b"", header);
    assert_eq!(address, "192.0.2.1:0");
    let (_tcp, answer) = ask(&up, b"", header);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(up.refused("address_connections"), 1);
    let (_tcp, other) = ask(&up, b"", "X-Forwarded-For: 192.0.2.2\r\n");
    assert_eq!(other, "192.0.2.2:0");
    drop(first);
    wait_until("the first is gone", || up.handle().stats().connections == 1);
    wait_until("there is room again", || ask(&up, b"", header).1 == address);
}

#[test]
fn the_proxy_protocol_names_the_client_before_anything_else() {
    let up = behind(ClientAddress::ProxyProtocol, "127.0.0.1", Limits::default());
    // A header in the request is not what is believed here.
    let (_tcp, address) = ask(&up, LINE.0, "X-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(address, LINE.1);
    for tlvs in [vec![], tlvs(3), tlvs(TLV_BYTES_MAX), b"garbage".to_vec()] {
        assert_eq!(ask(&up, &binary(0x21, 0x11, &tlvs), "").1, OF_BINARY);
    }
    // The proxy itself: a health check.
    for own in [b"PROXY UNKNOWN\r\n".to_vec(), binary(0x20, 0x00, b"")] {
        let (_tcp, address) = ask(&up, &own, "");
        assert!(address.starts_with("127.0.0.1:"), "{address}");
    }
    // A check that only connects is nobody's fault.
    drop(up.tcp());
    assert_eq!(ask(&up, LINE.0, "").1, LINE.1);
    assert_eq!(up.refused("proxy_header"), 0);
}

#[test]
fn a_proxy_header_may_come_in_pieces() {
    let up = behind(ClientAddress::ProxyProtocol, "127.0.0.1", Limits::default());
    for (header, client) in [
        (LINE.0.to_vec(), LINE.1),
        (binary(0x21, 0x11, &tlvs(40)), OF_BINARY),
    ] {
        let mut tcp = up.tcp();
        tcp.set_nodelay(true).unwrap();
        for byte in &header {
            tcp.write_all(&[*byte]).unwrap();
        }
        let mut client_side = up.opening("/").open_over(tcp);
        client_side.expect_text(client);
    }
}

#[test]
fn what_is_no_proxy_header_ends_the_connection() {
    let up = behind(ClientAddress::ProxyProtocol, "127.0.0.1", Limits::default());
    let bad = [
        b"".to_vec(),
        b"PROXY TCP4 nonsense\r\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).into_bytes(),
        binary(0x21, 0x11, &tlvs(TLV_BYTES_MAX + 1)),
        binary(0x31, 0x11, b""),
        binary(0x22, 0x11, b""),
        binary(0x21, 0x12, b""),
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        vec![0xff; 9000],
    ];
    for header in &bad {
        assert_eq!(ask(&up, header, "").1, "", "{header:?}");
    }
    assert_eq!(up.refused("proxy_header"), bad.len() as u64);
    // Cut off in the middle.
    let mut tcp = begun(&up, &LINE.0[..9]);
    tcp.shutdown(Shutdown::Write).unwrap();
    assert_eq!(tcp.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(up.refused("proxy_header"), bad.len() as u64 + 1);
    assert_eq!(ask(&up, LINE.0, "").1, LINE.1);
}

#[test]
fn a_proxy_header_that_never_ends_is_cut() {
    let limits = Limits {
        opening_timeout_ms: 50,
        ..Limits::default()
    };
    let up = behind(ClientAddress::ProxyProtocol, "127.0.0.1", limits);
    for begin in [LINE.0, &binary(0x21, 0x11, b"")] {
        let mut tcp = begun(&up, &begin[..13]);
        assert_eq!(tcp.read(&mut [0]).unwrap_or(0), 0);
    }
    assert_eq!(up.refused("slow"), 2);
}

#[test]
fn a_proxy_header_that_nobody_asked_for_is_refused_and_counted() {
    let up = behind(ClientAddress::XForwardedFor, "127.0.0.1", Limits::default());
    for header in [LINE.0, &binary(0x21, 0x11, b"")] {
        let (_tcp, answer) = ask(&up, header, "");
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(up.handle().stats().proxy_headers_ignored, 2);

    // Also from who is not trusted, and in pieces.
    let up = behind(ClientAddress::ProxyProtocol, "192.0.2.7", Limits::default());
    let mut tcp = up.tcp();
    tcp.set_nodelay(true).unwrap();
    for byte in [LINE.0, b"GET / HTTP/1.1\r\n\r\n"].concat() {
        // It may be refused before its last byte.
        let _ = tcp.write_all(&[byte]);
    }
    wait_until("it is noticed", || {
        up.handle().stats().proxy_headers_ignored == 1
    });
    let pair = Pair::new();
    for (source, trusted) in [
        (ClientAddress::XForwardedFor, "127.0.0.1"),
        (ClientAddress::ProxyProtocol, "192.0.2.7"),
    ] {
        let up = behind_tls(source, trusted, &pair, Limits::default());
        for header in [LINE.0, &binary(0x21, 0x11, b"")] {
            assert_eq!(ask(&up, header, "").1, "");
        }
        assert_eq!(up.handle().stats().proxy_headers_ignored, 2);
    }
}

#[test]
fn tls_and_http2_come_behind_a_proxy_header() {
    let pair = Pair::new();
    let up = behind_tls(
        ClientAddress::ProxyProtocol,
        "127.0.0.1",
        &pair,
        Limits::default(),
    );
    let headers = [
        (LINE.0.to_vec(), LINE.1),
        (binary(0x21, 0x11, &tlvs(99)), OF_BINARY),
    ];
    for (header, client) in &headers {
        let link = link_over(begun(&up, header), &pair.certificate);
        up.opening("/").open_over(link).expect_text(client);
        let http2 = Http2::over(begun(&up, header), &pair, &Builder::new());
        http2.open("/").expect_text(client);
    }
    // Without one TLS is not even begun.
    let mut link = link_over(up.tcp(), &pair.certificate);
    let _ = link.write_all(b"GET");
    assert_eq!(link.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(up.refused("proxy_header"), 1);
}

#[test]
fn each_request_of_an_http2_connection_has_its_client() {
    let pair = Pair::new();
    // The proxy is exempt from the rate of new connections, also for streams.
    let limits = Limits {
        accepts_per_second: 1,
        ..Limits::default()
    };
    let up = behind_tls(ClientAddress::XForwardedFor, "127.0.0.1", &pair, limits);
    let http2 = Http2::connect(&up, &pair);
    let open = |address: &str| {
        let mut request = Http2::connect_request("/");
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", address.parse().unwrap());
        http2.ask(request).unwrap()
    };
    let mut first = open("192.0.2.1").open();
    first.expect_text("192.0.2.1:0");
    let mut second = open("192.0.2.2").open();
    second.expect_text("192.0.2.2:0");
    assert_eq!(open("nonsense").response.status, 400);
    assert_eq!(up.refused("proxy_header"), 1);
}
