//! Whose address a connection has behind a proxy, trusted or not.

use std::io::{Read, Write};

use rupor_server::ClientAddress;
use rupor_testkit::wait_until;

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

fn behind(source: ClientAddress, proxy: &str, limits: Limits) -> Up {
    let server = Server::new(|_, _| Whose)
        .workers(1)
        .limits(limits)
        .client_address(source)
        .trusted_proxies([proxy.parse().unwrap()]);
    Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap())
}

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
    assert_eq!(answer, "");
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
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 258 443\r\n";
    // A header in the request is not what is believed here.
    let (_tcp, address) = ask(&up, line, "X-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(address, "192.0.2.1:258");
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([192, 0, 2, 9, 192, 0, 2, 2, 1, 2, 1, 187]);
    assert_eq!(ask(&up, &binary, "").1, "192.0.2.9:258");
    for bad in [&b""[..], b"PROXY TCP4 nonsense\r\n"] {
        assert_eq!(ask(&up, bad, "").1, "", "{bad:?}");
    }
    assert_eq!(up.refused("proxy_header"), 2);
}

#[test]
fn a_proxy_header_that_never_ends_is_cut() {
    let limits = Limits {
        opening_timeout_ms: 50,
        ..Limits::default()
    };
    let up = behind(ClientAddress::ProxyProtocol, "127.0.0.1", limits);
    let mut tcp = up.tcp();
    tcp.write_all(b"PROXY TCP4 ").unwrap();
    assert_eq!(tcp.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(up.refused("slow"), 1);
}
