//! Who the client is, where proxies stand in between.
//!
//! `X-Forwarded-For` is a list to whose end each proxy adds whom it heard from, so only what trusted
//! proxies added is known: it is read from the end, past trusted proxies, to the first address that
//! is none. What stands before that, anybody may have written.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;

use super::AddressRange;

/// The header; several lines of it are one list (RFC 9110 §5.3).
const HEADER: &str = "x-forwarded-for";

/// Proxies in a row that are looked past. At it the walk ends where it is.
const HOPS_MAX: usize = 32;

/// The client's address: the peer's, unless that is a trusted proxy that says otherwise. The port is
/// 0 where the header has none. What is no address ends the walk at the last one.
pub(super) fn client(
    peer: SocketAddr,
    headers: &HeaderMap,
    trusted: &[AddressRange],
) -> SocketAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut hops = headers
        .get_all(HEADER)
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map(address)
        .take(HOPS_MAX);
    let mut client = peer;
    while is_trusted(client.ip())
        && let Some(Some(hop)) = hops.next()
    {
        client = hop;
    }
    client
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let in_brackets = || {
        text.strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
    };
    let ip = text.parse().ok().or_else(|| in_brackets().map(IpAddr::V6));
    let address = ip
        .map(|ip| SocketAddr::new(ip, 0))
        .or_else(|| text.parse().ok())?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1:5000";

    fn trusted() -> Vec<AddressRange> {
        ["10.0.0.0/8", "2001:db8:1::/48"]
            .map(|range| range.parse().unwrap())
            .into()
    }

    fn headers<T: AsRef<[u8]>>(lines: &[T]) -> HeaderMap {
        lines
            .iter()
            .filter_map(|line| HeaderValue::from_bytes(line.as_ref()).ok())
            .map(|value| (http::HeaderName::from_static(HEADER), value))
            .collect()
    }

    fn found(peer: &str, lines: &[&str]) -> String {
        client(peer.parse().unwrap(), &headers(lines), &trusted()).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_client() {
        for (lines, expected) in [
            // What the client claims stands to the left of what the proxy saw.
            (&["203.0.113.9"][..], "203.0.113.9:0"),
            (&["198.51.100.1, 203.0.113.9"], "203.0.113.9:0"),
            (&["10.9.9.9, 203.0.113.9"], "203.0.113.9:0"),
            (
                &["198.51.100.1,203.0.113.9,10.0.0.2 ,\t10.0.0.3"],
                "203.0.113.9:0",
            ),
            // Several lines are one list.
            (&["198.51.100.1", "203.0.113.9"], "203.0.113.9:0"),
            (&["198.51.100.1, 203.0.113.9", "10.0.0.2"], "203.0.113.9:0"),
            // Nobody but proxies: the first of them.
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
            (&[], PROXY),
            // Forms.
            (&["203.0.113.9:1234"], "203.0.113.9:1234"),
            (&["::ffff:203.0.113.9"], "203.0.113.9:0"),
            (&["2001:db8::9"], "[2001:db8::9]:0"),
            (&["[2001:db8::9]"], "[2001:db8::9]:0"),
            (&["[2001:db8::9]:1234"], "[2001:db8::9]:1234"),
            (&["2001:db8::9, 2001:db8:1::1"], "[2001:db8::9]:0"),
            // What is no address ends the walk.
            (&[""], PROXY),
            (&["unknown"], PROXY),
            (&["203.0.113.9, unknown"], PROXY),
            (&["203.0.113.9,"], PROXY),
            (&["203.0.113.9, _hidden, 10.0.0.2"], "10.0.0.2:0"),
            (&["010.0.0.1"], PROXY),
            (&["203.0.113.9 198.51.100.1"], PROXY),
            (&["[203.0.113.9]"], PROXY),
            (&["203.0.113.9:65536"], PROXY),
            (&["'203.0.113.9"], PROXY),
        ] {
            assert_eq!(found(PROXY, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        assert_eq!(found("192.0.2.7:1", &["203.0.113.9"]), "192.0.2.7:1");
        // A socket for both families shows an IPv4 proxy so.
        assert_eq!(
            found("[::ffff:10.0.0.1]:1", &["203.0.113.9"]),
            "203.0.113.9:0"
        );
        let peer = "127.0.0.1:1".parse().unwrap();
        assert_eq!(client(peer, &headers(&["203.0.113.9"]), &[]), peer);
    }

    #[test]
    fn the_walk_has_a_limit() {
        let behind = |proxies: usize| {
            let mut hops = vec!["203.0.113.9".to_owned()];
            hops.extend((0..proxies).rev().map(|n| format!("10.0.1.{n}")));
            found(PROXY, &[&hops.join(",")])
        };
        assert_eq!(behind(HOPS_MAX - 1), "203.0.113.9:0");
        assert_eq!(behind(HOPS_MAX), format!("10.0.1.{}:0", HOPS_MAX - 1));
    }

    /// Things that stand in such a list, and things that do not.
    fn hop() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<IpAddr>().prop_map(|address| address.to_string()),
            any::<SocketAddr>().prop_map(|address| address.to_string()),
            any::<[u8; 3]>().prop_map(|[a, b, c]| format!("10.{a}.{b}.{c}")),
            "[ -~]{0,12}",
        ]
    }

    proptest! {
        /// No bytes of a header make it panic, and from an untrusted peer none is looked at.
        #[test]
        fn an_untrusted_peer_is_the_client(
            peer: SocketAddr,
            lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5),
            hops in prop::collection::vec(hop(), 0..50),
        ) {
            let trusted = trusted();
            for headers in [headers(&lines), headers(&[hops.join(",")])] {
                let found = client(peer, &headers, &trusted);
                if !trusted.iter().any(|range| range.contains(peer.ip())) {
                    prop_assert_eq!(found, peer);
                }
                client(PROXY.parse().unwrap(), &headers, &trusted);
            }
        }

        /// Whatever a client writes into the header itself, it is known by what the proxy adds.
        #[test]
        fn what_a_client_claims_changes_nothing(
            claims in prop::collection::vec(hop(), 0..50),
            address: std::net::Ipv4Addr,
            proxies in prop::collection::vec(any::<[u8; 3]>(), 0..5),
        ) {
            prop_assume!(address.octets()[0] != 10);
            let mut hops = vec![address.to_string()];
            hops.extend(proxies.iter().map(|[a, b, c]| format!("10.{a}.{b}.{c}")));
            let lines = [claims.join(","), hops.join(", ")];
            let found = client(PROXY.parse().unwrap(), &headers(&lines), &trusted());
            prop_assert_eq!(found, SocketAddr::new(IpAddr::V4(address), 0));
        }
    }
}
