//! Ranges of addresses, as configuration names them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that begin with the same bits, written `192.0.2.0/24`, `2001:db8::/32`, or one address
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether `address` lies in it. An IPv4 address may come written as an IPv6 one.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                Ipv4Addr::to_bits(network) & mask == Ipv4Addr::to_bits(address) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                Ipv6Addr::to_bits(network) & mask == Ipv6Addr::to_bits(address) & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// The text is no [`AddressRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnAddressRange;

impl fmt::Display for NotAnAddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address range is an IP address, or one with a prefix length: 192.0.2.0/24")
    }
}

impl std::error::Error for NotAnAddressRange {}

impl FromStr for AddressRange {
    type Err = NotAnAddressRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (network, prefix) = text
            .split_once('/')
            .map_or((text, None), |(network, prefix)| (network, Some(prefix)));
        let network: IpAddr = network.parse().map_err(|_| NotAnAddressRange)?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NotAnAddressRange)?
            }
            Some(_) => return Err(NotAnAddressRange),
        };
        if prefix > longest {
            return Err(NotAnAddressRange);
        }
        Ok(Self { network, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        range
            .parse::<AddressRange>()
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn ranges_contain_what_begins_alike() {
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.1"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "/",
            "192.0.2.0/",
            "192.0.2.0/33",
            "::/129",
            "192.0.2/24",
            "a/8",
            "::/+8",
            "::/8/8",
        ] {
            assert_eq!(
                text.parse::<AddressRange>(),
                Err(NotAnAddressRange),
                "{text}"
            );
        }
        assert_eq!(
            "10.0.0.0/8".parse::<AddressRange>().unwrap().to_string(),
            "10.0.0.0/8"
        );
    }
}
