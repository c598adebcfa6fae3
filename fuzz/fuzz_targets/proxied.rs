//! What proxies say: a PROXY header read again from what it means is the same header, no cut changes
//! the verdict, and whatever stands in front of a list's end changes nothing.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use rupor_proto::proxied::{
    Client, PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError, begins_proxy_header,
    client_in_forwarded, client_in_x_forwarded_for, parse_proxy_header,
};

const PROXY: &str = "10.0.0.1";
const CLIENT: &str = "192.0.2.1";

fuzz_target!(|bytes: &[u8]| {
    cuts(bytes);
    lists(bytes);
});

/// The verdict comes once and stays, whatever follows.
fn cuts(bytes: &[u8]) {
    let whole = parse_proxy_header(bytes);
    let first = (0..=bytes.len())
        .map(|end| parse_proxy_header(&bytes[..end]))
        .find(|verdict| *verdict != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole);
    match whole {
        Ok(Some((header, used))) => {
            assert!(begins_proxy_header(bytes));
            assert!(used <= bytes.len().min(PROXY_HEADER_BYTES_MAX));
            assert_eq!(whole, parse_proxy_header(&bytes[..used]));
            reference(&bytes[..used], header);
        }
        Ok(None) => assert!(bytes.len() < PROXY_HEADER_BYTES_MAX),
        Err(ProxyHeaderError::Missing) => assert!(!begins_proxy_header(bytes)),
        Err(_) => {}
    }
}

/// Means what the bytes mean by the specification, read another way.
fn reference(bytes: &[u8], header: ProxyHeader) {
    if let Some(line) = bytes.strip_prefix(b"PROXY ") {
        let line = std::str::from_utf8(line).expect("text");
        let words: Vec<&str> = line
            .strip_suffix("\r\n")
            .expect("a line")
            .split(' ')
            .collect();
        match header.client {
            None => assert_eq!(words[0], "UNKNOWN"),
            Some(client) => {
                let source: IpAddr = words[1].parse().expect("an address");
                assert_eq!(
                    client,
                    SocketAddr::new(source.to_canonical(), words[3].parse().expect("a port"))
                );
                assert_eq!(words[0], if source.is_ipv4() { "TCP4" } else { "TCP6" });
                assert_eq!(words.len(), 5);
            }
        }
        return;
    }
    assert_eq!(&bytes[..12], b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(
        bytes.len(),
        16 + usize::from(bytes[14]) * 256 + usize::from(bytes[15])
    );
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let client = match (bytes[12], bytes[13]) {
        (0x21, 0x11) => Some((
            IpAddr::from(<[u8; 4]>::try_from(&bytes[16..20]).expect("4")),
            port(24),
        )),
        (0x21, 0x21) => Some((
            IpAddr::from(<[u8; 16]>::try_from(&bytes[16..32]).expect("16")),
            port(48),
        )),
        _ => None,
    };
    let client = client.map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port));
    assert_eq!(header.client, client);
}

/// What a client writes itself, in lines and at the begin of the line that the proxies go on with.
fn lists(claimed: &[u8]) {
    let trusted = |address: IpAddr| address.to_string() == PROXY;
    let client = Ok(Client::At(SocketAddr::new(
        CLIENT.parse().expect("an address"),
        0,
    )));
    let lines = || claimed.split(|byte| *byte == b'\n');
    let _ = client_in_x_forwarded_for(lines(), trusted);
    let _ = client_in_forwarded(lines(), trusted);

    let own = format!("{CLIENT}, {PROXY}");
    assert_eq!(
        client_in_x_forwarded_for(lines().chain([own.as_bytes()]), trusted),
        client
    );
    let longer = [claimed, b",", own.as_bytes()].concat();
    assert_eq!(
        client_in_x_forwarded_for([&longer[..]].into_iter(), trusted),
        client
    );

    let own = format!("for={CLIENT};proto=https, for={PROXY}");
    assert_eq!(
        client_in_forwarded(lines().chain([own.as_bytes()]), trusted),
        client
    );
    let longer = [claimed, b",", own.as_bytes()].concat();
    assert_eq!(
        client_in_forwarded([&longer[..]].into_iter(), trusted),
        client
    );
}
