//! What is to be measured: the arguments, checked and made ready.

mod way_in;

use super::failure::{DESCRIPTORS_BESIDE, Failure};
use super::{BenchArgs, PAYLOAD_BYTES_MAX, Scenario, process};
use crate::cli::url::{Address, ConnectError, tls_config};
use crate::system::open_files_max;
use rupor_proto::handshake::ClientHandshake;
use rupor_proto::{CloseCode, Config, Connection, DeflateConfig, Frame, Message, Time};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
pub(super) use way_in::WayIn;
use way_in::way_in;

/// The channel of `broadcast`, and the begin of the users' names of `push`.
const NAME: &str = "bench";
/// What messages are made of, again and again: characters that are themselves in JSON.
const PAYLOAD: &str = "rupor-bench-0123456789";
/// Messages on their way at a time, when a rate says when they leave.
const IN_FLIGHT_WITH_RATE: usize = 1024;
/// Connections from one address to one other: a little less than Linux has ports for (32768 to 60999).
const CONNECTIONS_PER_SOURCE: usize = 28_000;
/// What is said with one masking key, which is no secret: frames are made once, and the server has to unmask anyway.
const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) scenario: Scenario,
    pub(super) url: String,
    /// Whether the server speaks no WebSocket and sends the bytes back as they are.
    bare: bool,
    pub(super) connections: usize,
    pub(super) payload: String,
    /// The same as a line has it.
    payload_in_json: String,
    pub(super) binary: bool,
    /// Whether permessage-deflate has to be agreed to.
    pub(super) deflate: bool,
    /// Per connection for `echo`, altogether for `broadcast` and `push`.
    pub(super) in_flight: usize,
    /// Messages or publications per second; none: as fast as they are answered.
    pub(super) rate: Option<u64>,
    /// Messages of a rate, altogether.
    pub(super) messages_max: u64,
    pub(super) duration: Duration,
    pub(super) warmup: Duration,
    pub(super) threads: usize,
    pub(super) pids: Vec<u32>,
    pub(super) way_in: Option<WayIn>,
    /// Where connections go.
    pub(super) server: SocketAddr,
    host_header: String,
    target: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Plan {
    /// Checks the arguments, and looks up the server's name.
    pub(super) fn new(arguments: &BenchArgs) -> Result<Self, Failure> {
        let (address, bare) = address(&arguments.url)?;
        let way_in = way_in(arguments, bare)?;
        if bare && arguments.deflate {
            return Err(Failure::Arguments("--deflate is for ws:// and wss://"));
        }
        if arguments.messages.is_some() && arguments.scenario != Scenario::Echo {
            return Err(Failure::Arguments("--messages is for echo"));
        }
        let (wanted, allowed) = (arguments.connections, open_files_max());
        if let Some(allowed) = allowed
            && wanted.saturating_add(DESCRIPTORS_BESIDE) > allowed
        {
            return Err(Failure::Descriptors { wanted, allowed });
        }
        for &pid in &arguments.pid {
            process::usage(&[pid]).map_err(|error| Failure::Process { pid, error })?;
        }
        let tls = tls(&address, arguments)?;
        let in_flight = match (arguments.in_flight, arguments.rate) {
            (Some(in_flight), _) => in_flight,
            (None, Some(_)) => IN_FLIGHT_WITH_RATE,
            (None, None) => 1,
        };
        let payload = payload(arguments)?;
        Ok(Self {
            scenario: arguments.scenario,
            url: arguments.url.clone(),
            bare,
            connections: arguments.connections,
            payload_in_json: serde_json::Value::from(payload.as_str()).to_string(),
            payload,
            binary: arguments.binary,
            deflate: arguments.deflate,
            in_flight,
            rate: arguments.rate,
            messages_max: arguments.messages.unwrap_or(u64::MAX),
            duration: arguments.duration,
            warmup: arguments.warmup,
            threads: arguments.threads.min(arguments.connections),
            pids: arguments.pid.clone(),
            way_in,
            server: look_up(&address)?,
            host_header: address.host_header,
            target: address.target,
            tls,
        })
    }

    /// Whether the server speaks no WebSocket and sends the bytes back as they are.
    pub(super) fn is_bare(&self) -> bool {
        self.bare
    }

    /// The handshake of connection `index`, with a new nonce; none with a server that speaks no WebSocket.
    pub(super) fn handshake(&self, index: usize) -> Result<Option<ClientHandshake>, Failure> {
        if self.bare {
            return Ok(None);
        }
        let and = if self.target.contains('?') { '&' } else { '?' };
        let target = match self.scenario {
            Scenario::Echo | Scenario::Idle => self.target.clone(),
            Scenario::Broadcast => format!("{}{and}channel={NAME}", self.target),
            Scenario::Push => format!("{}{and}user={NAME}-{index}", self.target),
        };
        let handshake = handshake(&self.host_header, &target)?;
        if !self.deflate {
            return Ok(Some(handshake));
        }
        // Each message on its own: the same message is the same bytes then. The window is for the server to choose.
        let config = DeflateConfig {
            server_window_bits_max: 15,
            client_window_bits_max: 15,
            ..DeflateConfig::default()
        };
        Ok(Some(handshake.offer_deflate(&config)))
    }

    /// The TLS side of a new connection, for `wss://`.
    pub(super) fn tls(&self) -> Result<Option<rustls::ClientConnection>, Failure> {
        let made = self
            .tls
            .as_ref()
            .map(|(config, name)| rustls::ClientConnection::new(Arc::clone(config), name.clone()));
        made.transpose()
            .map_err(|error| Failure::System(io::Error::other(error)))
    }

    /// Where connection `index` comes from, when one loopback address has not enough ports for all.
    pub(super) fn source(&self, index: usize) -> Option<IpAddr> {
        source(self.server.ip(), self.connections, index)
    }

    /// The message, as it travels to a server: masked.
    pub(super) fn request(&self) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        let sent = encoder().send(self.message(), &mut out);
        sent.map_err(Failure::Request).map(|()| out)
    }

    /// The message, as it comes from a server.
    pub(super) fn reply(&self) -> Result<Vec<u8>, Failure> {
        if self.bare {
            return self.request();
        }
        Ok(Frame::new(self.message()).as_bytes().to_vec())
    }

    /// The line that publishes for number `number` of the connections, with its line end.
    pub(super) fn write_line(&self, number: u64, out: &mut Vec<u8>) {
        let target = if self.scenario == Scenario::Push {
            format!("{{\"user\":\"{NAME}-{number}\",\"message\":")
        } else {
            format!("{{\"channel\":\"{NAME}\",\"message\":")
        };
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(self.payload_in_json.as_bytes());
        out.extend_from_slice(b"}\n");
    }

    /// How many receive one publication.
    pub(super) fn deliveries(&self) -> u64 {
        if self.scenario == Scenario::Push {
            1
        } else {
            self.connections as u64
        }
    }

    /// What is sent.
    pub(super) fn message(&self) -> Message<'_> {
        if self.binary {
            Message::Binary(self.payload.as_bytes())
        } else {
            Message::Text(&self.payload)
        }
    }
}

/// Takes a URL apart, and says whether it is bare TCP or TLS.
fn address(url: &str) -> Result<(Address, bool), Failure> {
    let bare = url
        .get(..3)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("tcp"));
    let plain = if bare { "tcp" } else { "ws" };
    let expected = "ws://127.0.0.1:8000/ or wss://example.org/echo";
    let address = Address::parse(url, plain, expected).map_err(Failure::Connect)?;
    Ok((address, bare))
}

/// A handshake with a new nonce.
fn handshake(host: &str, target: &str) -> Result<ClientHandshake, Failure> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|error| Failure::System(io::Error::other(error.to_string())))?;
    ClientHandshake::new(host, target, nonce, &[], &[]).map_err(Failure::Request)
}

/// The message's text: of a file, or made up.
fn payload(arguments: &BenchArgs) -> Result<String, Failure> {
    let Some(path) = &arguments.payload_file else {
        return Ok(PAYLOAD.chars().cycle().take(arguments.payload).collect());
    };
    let unreadable = |error| Failure::Payload {
        path: path.clone(),
        error,
    };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    if text.len() as u64 > PAYLOAD_BYTES_MAX {
        let error = format!("longer than {PAYLOAD_BYTES_MAX} bytes");
        return Err(unreadable(io::Error::other(error)));
    }
    Ok(text)
}

/// What makes frames of a client.
fn encoder() -> Connection {
    let keys = Box::new(|| MASKING_KEY);
    Connection::client(Arc::new(Config::default()), Time::from_millis(0), 0, keys)
}

/// Appends the pong to a ping (RFC 6455 §5.5.3). A payload that is too long is no ping's; it is not answered.
pub(super) fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    let _ = encoder().send_pong(payload, out);
}

/// The Close frame with code 1000 with which a connection ends.
pub(super) fn close_frame() -> Vec<u8> {
    let mut out = Vec::new();
    // A new connection is open, and 1000 is a code that may be sent.
    let _ = encoder().close(CloseCode::NORMAL, "", Time::from_millis(0), &mut out);
    out
}

fn source(server: IpAddr, connections: usize, index: usize) -> Option<IpAddr> {
    if !server.is_ipv4() || !server.is_loopback() || connections <= CONNECTIONS_PER_SOURCE {
        return None;
    }
    let number = u32::try_from(index / CONNECTIONS_PER_SOURCE).unwrap_or(0);
    let first = u32::from(Ipv4Addr::new(127, 0, 0, 2));
    Some(IpAddr::V4(Ipv4Addr::from(first + number)))
}

fn look_up(address: &Address) -> Result<SocketAddr, Failure> {
    let failed = |error| {
        Failure::Connect(ConnectError::Io {
            place: address.host_header.clone(),
            error,
        })
    };
    let mut found = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(failed)?;
    let nothing = || failed(io::Error::other("this name has no address"));
    found.next().ok_or_else(nothing)
}

fn tls(
    address: &Address,
    arguments: &BenchArgs,
) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, Failure> {
    if !address.secure {
        return Ok(None);
    }
    let config = tls_config(&arguments.tls).map_err(Failure::Connect)?;
    let mut config = ClientConfig::clone(&config);
    // Every connection is another client's: none takes up what another one agreed on.
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| Failure::Arguments("the server's name in the URL is no name"))?;
    Ok(Some((Arc::new(config), name)))
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS_PER_SOURCE, close_frame, source, write_pong};

    #[test]
    fn more_connections_than_ports_come_from_several_addresses() {
        let from = |server: &str, connections, index| {
            source(server.parse().unwrap(), connections, index).map(|address| address.to_string())
        };
        let most = CONNECTIONS_PER_SOURCE;
        assert_eq!(from("127.0.0.1", most, most - 1), None);
        for (index, address) in [
            (0, "127.0.0.2"),
            (most - 1, "127.0.0.2"),
            (most, "127.0.0.3"),
            (300 * most, "127.0.1.46"),
        ] {
            assert_eq!(from("127.0.0.1", most + 1, index).unwrap(), address);
        }
        for server in ["::1", "192.0.2.1"] {
            assert_eq!(from(server, most + 1, 0), None, "{server}");
        }
    }

    #[test]
    fn control_frames_are_masked() {
        let mut pong = Vec::new();
        write_pong(b"hi", &mut pong);
        assert_eq!(pong[..6], *b"\x8a\x82\x37\xfa\x21\x3d");
        assert_eq!(pong[6..], [b'h' ^ 0x37, b'i' ^ 0xfa]);
        let close = close_frame();
        assert_eq!(close[..2], *b"\x88\x82");
        assert_eq!(close[6..], [0x03 ^ 0x37, 0xe8 ^ 0xfa]);
    }
}
