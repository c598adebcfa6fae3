//! Sockets that were opened before the program started, by systemd's socket units or whoever else passes them (`LISTEN_FDS`).
//!
//! The configuration says where the program listens, with and without them: a socket stands in for the address that it has.
//! One that has no address of the configuration's is an error, because its connections would wait for ever.

use crate::config::InletAddress;
use crate::inlet::listener::Inlet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Sockets that nobody has asked for yet.
#[derive(Debug, Default)]
pub(crate) struct PassedSockets {
    tcp: Vec<(SocketAddr, TcpListener)>,
    inlets: Vec<Inlet>,
}

/// A socket that the configuration does not name.
#[derive(Debug)]
pub(crate) struct Unnamed(String);

impl fmt::Display for Unnamed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a socket on {} was passed to the program, and the configuration does not name that address. Fix: add it to `listen` \
             or `inlet` as it stands here, or take it out of the socket unit (ListenStream=)",
            self.0
        )
    }
}

impl PassedSockets {
    /// Takes over what was passed. To be called before there are other threads: it clears the variables, so that programs
    /// that are started by this one do not take the sockets for theirs.
    ///
    /// # Errors
    /// What was passed is no listening socket.
    #[cfg(unix)]
    pub(crate) fn from_environment() -> io::Result<Self> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self::default();
        for place in 0..passed.len() {
            // Which of both it is, the attempt tells.
            if let Ok(Some(listener)) = passed.take_tcp_listener(place) {
                listener.set_nonblocking(true)?;
                sockets.tcp.push((listener.local_addr()?, listener));
            } else if let Some(listener) = passed.take_unix_listener(place)? {
                sockets.inlets.push(Inlet::of_passed(listener)?);
            }
        }
        Ok(sockets)
    }

    /// Nobody passes sockets here.
    #[cfg(not(unix))]
    pub(crate) fn from_environment() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// The socket of browsers that has this address.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let place = self.tcp.iter().position(|(known, _)| *known == address)?;
        Some(self.tcp.swap_remove(place).1)
    }

    /// The socket of lines that has this address.
    pub(crate) fn take_inlet(&mut self, address: &InletAddress) -> Option<Inlet> {
        if let InletAddress::Tcp(tcp) = address {
            return Some(Inlet::of_listener(*tcp, self.take(*tcp)?));
        }
        let mut known = self.inlets.iter();
        let place = known.position(|inlet| inlet.address() == address)?;
        Some(self.inlets.swap_remove(place))
    }

    /// That all were asked for.
    ///
    /// # Errors
    /// One that was not.
    pub(crate) fn are_all_taken(&self) -> Result<(), Unnamed> {
        let tcp = self.tcp.first().map(|(address, _)| address.to_string());
        let inlet = || self.inlets.first().map(|inlet| inlet.address().to_string());
        match tcp.or_else(inlet) {
            Some(address) => Err(Unnamed(address)),
            None => Ok(()),
        }
    }
}
