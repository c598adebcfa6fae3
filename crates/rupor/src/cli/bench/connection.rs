//! One connection: how it is opened, what it has to write, what it has read.

use super::expected::{Intake, Pattern, Unexpected};
use super::failure::Failure;
use super::link::Link;
use super::plan::{Plan, close_frame, write_pong};
use mio::net::TcpStream;
use rupor_proto::DeflateAgreement;
use rupor_proto::handshake::ClientHandshake;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a server may take to open a connection.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer to an upgrade request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pongs that a server does not read, in bytes.
const PONG_BYTES_MAX: usize = 64 * 1024;

/// What came with the end of the opening.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// What came behind the answer.
    pub(super) behind: Vec<u8>,
    /// What the server agreed to.
    pub(super) deflate: Option<DeflateAgreement>,
}

/// A connection that is being opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) link: Link,
    /// None: bare TCP or TLS, which is open once it is connected.
    handshake: Option<ClientHandshake>,
    connected: bool,
    written: usize,
    answer: Vec<u8>,
    pub(super) deadline_ns: u64,
}

impl Opening {
    /// Begins to connect.
    pub(super) fn begin(plan: &Plan, index: usize, deadline_ns: u64) -> Result<Self, Failure> {
        let stream = connect(plan, index).map_err(|error| not_opened(plan, index, &error))?;
        let link = match plan.tls()? {
            Some(tls) => Link::Tls(Box::new((tls, stream))),
            None => Link::Plain(stream),
        };
        Ok(Self {
            link,
            handshake: plan.handshake(index)?,
            connected: false,
            written: 0,
            answer: Vec::new(),
            deadline_ns,
        })
    }

    /// Goes on as far as it can. `Some`: it is open.
    ///
    /// # Errors
    /// The connection broke off, or the server does not open a WebSocket; as text.
    pub(super) fn drive(&mut self) -> Result<Option<Opened>, String> {
        let advanced = self.advance();
        let Some(handshake) = &mut self.handshake else {
            return match advanced {
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.to_string()),
                _ if !self.connected || self.link.is_handshaking() => Ok(None),
                _ => Ok(Some(Opened::default())),
            };
        };
        // A refusal is followed by the end of the connection: the answer says more than that.
        match handshake.receive(&self.answer) {
            Ok(Some((accepted, used))) => {
                return Ok(Some(Opened {
                    behind: self.answer.split_off(used),
                    deflate: accepted.deflate,
                }));
            }
            Ok(None) if self.answer.len() < HEAD_BYTES_MAX => {}
            Ok(None) => return Err("the answer does not end".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        match advanced {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err("the server closed without an answer".to_owned())
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.to_string()),
            _ => Ok(None),
        }
    }

    fn advance(&mut self) -> io::Result<()> {
        if !self.connected {
            if self.link.connected()?.is_none() {
                return Ok(());
            }
            self.connected = true;
        }
        let request = self.handshake.as_ref().map(ClientHandshake::request);
        while let Some(rest) = request.and_then(|request| request.get(self.written..))
            && !rest.is_empty()
        {
            self.written += self.link.write(rest)?;
        }
        self.link.flush()?;
        let mut buffer = [0; 4096];
        // An answer that does not end is given up by the caller.
        while self.answer.len() < HEAD_BYTES_MAX {
            match self.link.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self
                    .answer
                    .extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
        }
        Ok(())
    }
}

fn connect(plan: &Plan, index: usize) -> io::Result<TcpStream> {
    let Some(source) = plan.source(index) else {
        return TcpStream::connect(plan.server);
    };
    let socket = Socket::new(
        Domain::for_address(plan.server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    // On loopback this takes no time.
    socket.connect_timeout(&plan.server.into(), OPEN_DEADLINE)?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// Says which connection was not opened, and why.
pub(super) fn not_opened(plan: &Plan, index: usize, why: &dyn std::fmt::Display) -> Failure {
    let (number, all) = (index + 1, plan.connections);
    Failure::Broken(format!(
        "connection {number} of {all} to {} was not opened: {why}",
        plan.server
    ))
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) link: Link,
    pub(super) index: usize,
    intake: Intake,
    /// Frames to be written, the one that is begun among them.
    queued: u64,
    /// Bytes of the first of them that are out.
    offset: usize,
    /// Pongs, to be written between two frames.
    pongs: Vec<u8>,
    /// Messages that were handed over to be written.
    pub(super) sent: u64,
    /// Replies or deliveries.
    pub(super) received: u64,
    /// Messages that should have left by now, when a rate says so.
    pub(super) due: u64,
    /// When messages left that are not answered yet, and how many at a time.
    left: VecDeque<(u64, u64)>,
    /// What came before it was known what should come.
    pub(super) early: Vec<u8>,
}

impl Open {
    /// A connection on which nothing was sent yet.
    pub(super) fn new(link: Link, index: usize) -> Self {
        Self {
            link,
            index,
            intake: Intake::default(),
            queued: 0,
            offset: 0,
            pongs: Vec::new(),
            sent: 0,
            received: 0,
            due: 0,
            left: VecDeque::new(),
            early: Vec::new(),
        }
    }

    /// Messages that are not answered yet.
    pub(super) fn outstanding(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Takes what was read: how many messages became whole. Without `expected` anything may come.
    ///
    /// # Errors
    /// It was not what was expected.
    pub(super) fn take(
        &mut self,
        expected: Option<&Pattern>,
        bytes: &[u8],
    ) -> Result<u64, Unexpected> {
        let pongs = &mut self.pongs;
        let on_ping = |payload: &[u8]| {
            // A server that reads no pongs gets no more of them.
            if pongs.len() < PONG_BYTES_MAX {
                write_pong(payload, pongs);
            }
        };
        match expected {
            Some(expected) => self.intake.take(expected, bytes, on_ping),
            None => self.intake.take_any(bytes, on_ping).map(|()| 0),
        }
    }

    /// Hands over `count` messages to be written.
    pub(super) fn queue(&mut self, count: u64) {
        self.queued += count;
        self.sent += count;
    }

    /// Hands over what is due, as far as that many may be on their way.
    pub(super) fn queue_due(&mut self, in_flight: u64) {
        let room = in_flight.saturating_sub(self.outstanding());
        self.queue(self.due.saturating_sub(self.sent).min(room));
    }

    /// Remembers when `count` messages left.
    pub(super) fn remember(&mut self, now_ns: u64, count: u64) {
        self.left.push_back((now_ns, count));
    }

    /// Gives up to `count` of the messages that left first: when that was, and how many.
    pub(super) fn recall(&mut self, count: u64) -> Option<(u64, u64)> {
        let (left_ns, together) = self.left.front_mut()?;
        let (left_ns, taken) = (*left_ns, count.min(*together));
        *together -= taken;
        if *together == 0 {
            self.left.pop_front();
        }
        Some((left_ns, taken))
    }

    /// Writes as much as the system takes.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn write(&mut self, requests: &Pattern) -> io::Result<()> {
        match self.write_all(requests).and_then(|()| self.link.flush()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    fn write_all(&mut self, requests: &Pattern) -> io::Result<()> {
        loop {
            if self.offset == 0 && !self.pongs.is_empty() {
                let written = self.link.write(&self.pongs)?;
                self.pongs.drain(..written);
            } else if self.queued > 0 {
                let frames = usize::try_from(self.queued).unwrap_or(usize::MAX);
                let bytes = frames.saturating_mul(requests.unit_bytes()) - self.offset;
                let written = self.link.write(requests.from(self.offset, bytes))?;
                self.queued -= requests.advance(&mut self.offset, written);
            } else {
                return Ok(());
            }
        }
    }

    /// Ends it; a WebSocket is closed with code 1000, without waiting for the answer.
    pub(super) fn close(&mut self, is_websocket: bool) {
        if is_websocket && self.queued == 0 && self.pongs.is_empty() {
            // A server that reads no more does not read this either.
            let _ = self.link.write(&close_frame());
            let _ = self.link.flush();
        }
        self.link.end();
    }
}
