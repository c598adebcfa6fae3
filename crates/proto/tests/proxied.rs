//! What proxies say of the client: tables of headers, good and bad, and any cut of a PROXY header.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use rupor_proto::proxied::{
    Client, ForwardedError, PROXIES_MAX, PROXY_HEADER_BYTES_MAX, ProxyHeaderError,
    client_in_forwarded, client_in_x_forwarded_for, parse_proxy_header,
};

fn trusted(address: IpAddr) -> bool {
    address.to_string().starts_with("10.")
}

type Found = Result<Option<String>, ForwardedError>;

fn found(client: Result<Client, ForwardedError>) -> Found {
    client.map(|client| match client {
        Client::At(address) => Some(address.to_string()),
        Client::Hidden => Some("hidden".to_owned()),
        Client::NotNamed => None,
    })
}

fn x_forwarded_for(lines: &[&str]) -> Found {
    let lines = lines.iter().map(|line| line.as_bytes());
    found(client_in_x_forwarded_for(lines, trusted))
}

fn forwarded(lines: &[&str]) -> Found {
    let lines = lines.iter().map(|line| line.as_bytes());
    found(client_in_forwarded(lines, trusted))
}

fn at(address: &str) -> Found {
    Ok(Some(address.to_owned()))
}

#[test]
fn x_forwarded_for_is_walked_from_the_right() {
    for (lines, expected) in [
        (&[][..], Ok(None)),
        (&["192.0.2.1"], at("192.0.2.1:0")),
        (&["192.0.2.1:47"], at("192.0.2.1:47")),
        (&["2001:db8::1"], at("[2001:db8::1]:0")),
        (&["[2001:db8::1]"], at("[2001:db8::1]:0")),
        (&["[2001:db8::1]:47"], at("[2001:db8::1]:47")),
        (&["::ffff:192.0.2.1"], at("192.0.2.1:0")),
        (&["192.0.2.9, 10.0.0.1 ,10.0.0.2"], at("192.0.2.9:0")),
        // What the client wrote itself is not looked at, whatever it is.
        (&["forged\"; drop, 192.0.2.1"], at("192.0.2.1:0")),
        (&["10.0.0.9, 192.0.2.1, 10.0.0.2"], at("192.0.2.1:0")),
        (&["6.6.6.6", "192.0.2.1"], at("192.0.2.1:0")),
        (&["10.0.0.1, 10.0.0.2"], at("10.0.0.1:0")),
        (&["unknown"], at("hidden")),
        (&["192.0.2.1, Unknown, 10.0.0.2"], at("10.0.0.2:0")),
    ] {
        assert_eq!(x_forwarded_for(lines), expected, "{lines:?}");
    }
    for bad in [
        "",
        ",",
        "192.0.2.1,",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:99999",
        "192.0.2.01",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]",
        "fe80::1%eth0",
        "[fe80::1%2]:1",
        "localhost",
        "192.0.2.1 192.0.2.2",
        "\"192.0.2.1\"",
        "192.0.2.1\0",
    ] {
        assert_eq!(
            x_forwarded_for(&[bad]),
            Err(ForwardedError::Malformed),
            "{bad:?}"
        );
    }
}

#[test]
fn forwarded_is_walked_from_the_right() {
    for (lines, expected) in [
        (&[][..], Ok(None)),
        (&["for=192.0.2.1"], at("192.0.2.1:0")),
        (
            &["For=\"192.0.2.1:47\";proto=https;by=_x;host=\"a.example:443\""],
            at("192.0.2.1:47"),
        ),
        (&["for=192.0.2.1:47"], at("192.0.2.1:47")),
        (&["for=\"[2001:db8::1]:47\""], at("[2001:db8::1]:47")),
        (
            &["for=192.0.2.9, for=10.0.0.1;by=10.0.0.2, for=10.0.0.3"],
            at("192.0.2.9:0"),
        ),
        (&["for=unknown"], at("hidden")),
        (&["for=_hidden, for=10.0.0.1"], at("10.0.0.1:0")),
        // Half of a quoted string does not swallow what the proxy appends.
        (&["for=\"6.6.6.6, for=192.0.2.1"], at("192.0.2.1:0")),
        (
            &["for=\"6.6.6.6", "for=\"[2001:db8::1]\""],
            at("[2001:db8::1]:0"),
        ),
    ] {
        assert_eq!(forwarded(lines), expected, "{lines:?}");
    }
    for bad in [
        "",
        "192.0.2.1",
        "for=",
        "for",
        "proto=https",
        "for=192.0.2.1;for=192.0.2.2",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=2001:db8::1",
        "for=\"192.0.2.1\\\"\"",
        "for=192.0.2.1; proto=https",
        "for=_",
        "for=\"\"",
        "for=[2001:db8::1]",
        "for=192.0.2.1;",
        "for =192.0.2.1",
    ] {
        assert_eq!(forwarded(&[bad]), Err(ForwardedError::Malformed), "{bad:?}");
    }
}

#[test]
fn a_chain_of_proxies_has_its_limit() {
    let chain = |proxies| format!("192.0.2.1{}", ", 10.0.0.1".repeat(proxies));
    assert_eq!(x_forwarded_for(&[&chain(PROXIES_MAX)]), at("192.0.2.1:0"));
    let longer = chain(PROXIES_MAX + 1);
    assert_eq!(x_forwarded_for(&[&longer]), Err(ForwardedError::TooMany));
}

/// Version 2 with this version and command, family, and rest.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 1, 187];

fn v6() -> Vec<u8> {
    let mut rest = "2001:db8::1"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets()
        .to_vec();
    rest.extend([0; 16]);
    rest.extend([1, 2, 1, 187]);
    rest
}

/// Headers, and the client in each.
fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut with_tlv = V4.to_vec();
    with_tlv.extend([0x04, 0, 1, 0]);
    vec![
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 258 443\r\n".to_vec(),
            Some("192.0.2.1:258"),
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 258 443\r\n".to_vec(),
            Some("[2001:db8::1]:258"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN whatever 1 2\r\n".to_vec(), None),
        (binary(0x21, 0x11, &V4), Some("192.0.2.1:258")),
        (binary(0x21, 0x11, &with_tlv), Some("192.0.2.1:258")),
        (binary(0x21, 0x21, &v6()), Some("[2001:db8::1]:258")),
        (binary(0x21, 0x31, &[0; 216]), None),
        (binary(0x21, 0x00, &[]), None),
        (binary(0x20, 0x00, &[]), None),
        (binary(0x20, 0x11, &V4), None),
        (binary(0x20, 0x99, b"any"), None),
        (binary(0x21, 0x00, &[0; PROXY_HEADER_BYTES_MAX - 16]), None),
    ]
}

#[test]
fn proxy_headers_are_read_to_their_last_byte() {
    for (header, client) in good() {
        let mut bytes = header.clone();
        bytes.extend(b"GET / HTTP/1.1\r\n");
        let (read, used) = parse_proxy_header(&bytes).unwrap().unwrap();
        assert_eq!(used, header.len());
        assert_eq!(
            read.client,
            client.map(|it| it.parse::<SocketAddr>().unwrap())
        );
        for end in 0..header.len() {
            assert_eq!(
                parse_proxy_header(&header[..end]),
                Ok(None),
                "{end} of {header:?}"
            );
        }
    }
}

#[test]
fn what_is_no_proxy_header_is_refused() {
    use ProxyHeaderError::{Malformed, Missing, TooLong};
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    for (bytes, expected) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), Missing),
        (b"P\0".to_vec(), Missing),
        (b"proxy TCP4".to_vec(), Missing),
        (vec![0x16, 3, 1], Missing),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 258 443\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 258\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 258 443 1\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP4 192.0.2.1  192.0.2.2 258 443\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP4 2001:db8::1 ::1 258 443\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP6 192.0.2.1 192.0.2.2 258 443\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 0258 443\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n".to_vec(),
            Malformed,
        ),
        (
            b"PROXY UDP4 192.0.2.1 192.0.2.2 258 443\r\n".to_vec(),
            Malformed,
        ),
        (b"PROXY \r\n".to_vec(), Malformed),
        (long.into_bytes(), TooLong),
        (binary(0x11, 0x11, &V4), Malformed),
        (binary(0x22, 0x11, &V4), Malformed),
        (binary(0x21, 0x12, &V4), Malformed),
        (binary(0x21, 0x41, &V4), Malformed),
        (binary(0x21, 0x11, &V4[..11]), Malformed),
        (binary(0x21, 0x21, &v6()[..35]), Malformed),
        (binary(0x21, 0x31, &[0; 215]), Malformed),
        (
            binary(0x21, 0x00, &[0; PROXY_HEADER_BYTES_MAX - 15]),
            TooLong,
        ),
    ] {
        assert_eq!(parse_proxy_header(&bytes), Err(expected), "{bytes:?}");
    }
}

proptest! {
    /// Whatever comes: a verdict, once there, does not change with what follows.
    #[test]
    fn a_verdict_does_not_depend_on_cuts(
        front in prop_oneof![Just(Vec::new()), Just(b"PROXY TCP4 ".to_vec()), Just(binary(0x21, 0x11, b"")[..12].to_vec()), Just(binary(0x21, 0x11, &V4)[..14].to_vec())],
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [front, rest].concat();
        let mut first = None;
        for end in 0..=bytes.len() {
            let verdict = parse_proxy_header(&bytes[..end]);
            match (&first, verdict) {
                (None, Ok(None)) => {}
                (None, verdict) => first = Some(verdict),
                (Some(Ok(before)), verdict) => prop_assert_eq!(Ok(*before), verdict),
                (Some(Err(before)), verdict) => prop_assert_eq!(Err(*before), verdict),
            }
        }
    }

    /// Whatever a client writes into the header itself, it is known by what the proxy adds.
    #[test]
    fn what_a_client_claims_changes_nothing(
        claim in "[ -~]{0,80}",
        address: std::net::Ipv4Addr,
        proxies in prop::collection::vec(any::<[u8; 3]>(), 0..5),
    ) {
        prop_assume!(address.octets()[0] != 10);
        let list = |prefix: &str| {
            let proxies = proxies.iter().map(|[a, b, c]| format!("10.{a}.{b}.{c}"));
            let hops = std::iter::once(address.to_string()).chain(proxies);
            hops.map(|hop| format!("{prefix}{hop}")).collect::<Vec<_>>().join(", ")
        };
        let expected = at(&format!("{address}:0"));
        prop_assert_eq!(x_forwarded_for(&[&claim, &list("")]), expected.clone());
        prop_assert_eq!(forwarded(&[&claim, &list("for=")]), expected.clone());
        prop_assert_eq!(forwarded(&[&format!("{claim}, {}", list("for="))]), expected);
    }

    #[test]
    fn lists_never_panic(line in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = client_in_forwarded([&line[..]].into_iter(), trusted);
        let _ = client_in_x_forwarded_for([&line[..]].into_iter(), trusted);
    }
}
