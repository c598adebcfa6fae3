//! A client's address as each connection keeps it: 20 bytes instead of 32. (The flow of an IPv6
//! address is not kept; systems do not tell it.)

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// All of an address but the scope of an IPv6 one, which only addresses of the own link have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Of IPv4 its mapped form (RFC 4291 §2.5.5.2).
    ip: [u8; 16],
    port: u16,
    is_v4: bool,
}

impl Remote {
    /// An address, and the scope that belongs to it.
    pub(crate) fn new(address: SocketAddr) -> (Self, u32) {
        let (ip, scope_id) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        let remote = Self {
            ip: ip.octets(),
            port: address.port(),
            is_v4: address.is_ipv4(),
        };
        (remote, scope_id)
    }

    /// The address, with its scope.
    pub(crate) fn address(self, scope_id: u32) -> SocketAddr {
        let ip = Ipv6Addr::from(self.ip);
        match ip.to_ipv4_mapped() {
            Some(v4) if self.is_v4 => SocketAddr::new(v4.into(), self.port),
            _ => SocketAddrV6::new(ip, self.port, 0, scope_id).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_comes_back() {
        for text in [
            "192.0.2.1:80",
            "0.0.0.0:0",
            "[2001:db8::1]:65535",
            "[::ffff:192.0.2.1]:1",
            "[::1]:443",
            "[fe80::1%7]:443",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let (remote, scope_id) = Remote::new(address);
            assert_eq!(remote.address(scope_id), address, "{text}");
        }
        assert_eq!(size_of::<Remote>(), 20);
    }
}
