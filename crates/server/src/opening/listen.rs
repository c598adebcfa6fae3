//! Making listeners.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::StartError;

/// Binds and listens on everything that `address` names.
pub(crate) fn bind(
    address: impl ToSocketAddrs + fmt::Debug,
    backlog: i32,
) -> Result<Vec<TcpListener>, StartError> {
    let named = format!("{address:?}");
    let named = named.trim_matches('"').to_owned();
    let bad = |source| StartError::Address {
        address: named.clone(),
        source,
    };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(bad)?.collect();
    if addresses.is_empty() {
        return Err(bad(io::ErrorKind::NotFound.into()));
    }
    addresses
        .into_iter()
        .map(|address| listen(address, backlog))
        .collect()
}

fn listen(address: SocketAddr, backlog: i32) -> Result<TcpListener, StartError> {
    let listener = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for the last connections' TIME_WAIT. (On Windows it would let
        // two programs have one port.)
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // [::] and 0.0.0.0 are two addresses; who wants both says both.
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    listener().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressTaken { address },
        _ => StartError::Listen { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_address_is_named() {
        let first = bind("127.0.0.1:0", 16).unwrap();
        let address = first[0].local_addr().unwrap();
        let error = bind(address, 16).unwrap_err();
        assert!(matches!(error, StartError::AddressTaken { address: taken } if taken == address));
        assert!(error.to_string().contains(&address.to_string()));
    }

    #[test]
    fn what_is_no_address_is_named() {
        let error = bind("nonsense", 16).unwrap_err();
        assert!(error.to_string().contains("\"nonsense\""), "{error}");
    }
}
