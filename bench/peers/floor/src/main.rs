//! What the system alone costs: one thread, one poller, one pair of buffers. Bytes go back as they came, through TLS if a
//! certificate is given; what comes to a second port goes to everybody on the first.
//!
//! ```text
//! peer-floor PORT                  echo
//! peer-floor PORT CERT KEY         echo through TLS
//! peer-floor PORT PUBLISH_PORT     fan-out
//! ```
//!
//! Edge-triggered; a short read is not followed by another; one write for one read.

mod tls;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use tls::{Buffers, Config, Tls};

const BUFFER_BYTES: usize = 256 * 1024;
const EVENTS: usize = 1024;
const LISTENER: Token = Token(usize::MAX);
const PUBLISHERS: Token = Token(usize::MAX - 1);

struct Peer {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    publishes: bool,
    /// What the system did not take.
    unsent: Vec<u8>,
}

impl Peer {
    /// Writes, behind what waits. `false`: the connection is broken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut bytes = bytes;
        if self.unsent.is_empty() {
            while !bytes.is_empty() {
                match self.stream.write(bytes) {
                    Ok(count) => bytes = &bytes[count..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return false,
                }
            }
        }
        self.unsent.extend_from_slice(bytes);
        true
    }

    /// Writes what waits.
    fn flush(&mut self) -> bool {
        let unsent = std::mem::take(&mut self.unsent);
        unsent.is_empty() || self.send(&unsent)
    }
}

struct Server {
    poll: Poll,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    tls: Option<Config>,
    fan_out: bool,
    buffers: Buffers,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, publishes: bool) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry.register(&mut stream, Token(place), interest)?;
            let tls = match &self.tls {
                Some(config) => Some(Box::new(Tls::new(config).map_err(io::Error::other)?)),
                None => None,
            };
            self.peers[place] = Some(Peer {
                stream,
                tls,
                publishes,
                unsent: Vec::new(),
            });
        }
    }

    fn serve(&mut self, place: usize) {
        let Some(mut peer) = self.peers[place].take() else {
            return;
        };
        if self.exchange(&mut peer) {
            self.peers[place] = Some(peer);
        } else {
            self.free.push(place);
        }
    }

    /// `false`: the connection is over.
    fn exchange(&mut self, peer: &mut Peer) -> bool {
        if let Some(tls) = &mut peer.tls {
            return tls.echo(&mut peer.stream, &mut self.buffers).is_ok();
        }
        if !peer.flush() {
            return false;
        }
        let buffer = &mut self.buffers.plain;
        // Who does not read is not read from.
        while peer.unsent.is_empty() {
            let count = match peer.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            };
            let bytes = &buffer[..count];
            if !self.fan_out {
                if !peer.send(bytes) {
                    return false;
                }
            } else if peer.publishes {
                for other in self.peers.iter_mut().flatten() {
                    // A broken one is found out when it is read from.
                    let _ = other.publishes || other.send(bytes);
                }
            }
            if count < buffer.len() {
                return true;
            }
        }
        true
    }
}

fn listen(port: &str) -> Result<TcpListener, Box<dyn Error>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    Ok(TcpListener::bind(address)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (port, publish_port, tls) = match arguments[..] {
        [port] => (port, None, None),
        [port, publish_port] => (port, Some(publish_port), None),
        [port, cert, key] => (port, None, Some(tls::config(cert, key)?)),
        _ => return Err("usage: PORT [PUBLISH_PORT | CERT KEY]".into()),
    };
    let mut listener = listen(port)?;
    let mut publishers = publish_port.map(listen).transpose()?;
    let mut server = Server {
        poll: Poll::new()?,
        peers: Vec::new(),
        free: Vec::new(),
        tls,
        fan_out: publishers.is_some(),
        buffers: Buffers {
            cipher: vec![0; BUFFER_BYTES],
            plain: vec![0; BUFFER_BYTES],
        },
    };
    let registry = server.poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    if let Some(publishers) = &mut publishers {
        registry.register(publishers, PUBLISHERS, Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match (event.token(), &publishers) {
                (LISTENER, _) => server.accept(&listener, false)?,
                (PUBLISHERS, Some(publishers)) => server.accept(publishers, true)?,
                (Token(place), _) => server.serve(place),
            }
        }
    }
}
