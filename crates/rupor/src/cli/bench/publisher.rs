//! Who publishes in `broadcast` and `push`: lines to an inlet, as a site writes them, and every answer compared; or
//! messages on a connection, which nobody answers.
//!
//! Invariant: at most the window's number of publications have not reached everybody yet, whatever the rate.

use super::connection::OPEN_DEADLINE;
use super::course::{Course, Phase};
use super::expected::{Intake, Pattern};
use super::failure::Failure;
use super::plan::{Plan, WayIn, write_pong};
use super::publications::Publications;
use crate::config::InletAddress;
use crate::system::connect_unix_mio;
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rupor_proto::handshake::ClientHandshake;
use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// How much one read of answers takes in, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// Lines that are made ahead of what the inlet takes, in bytes.
const LINES_AHEAD: usize = 1024 * 1024;

/// Longest answer to an upgrade request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A connection by TCP or by a Unix socket.
trait Stream: Read + Write + Source + Debug + Send {}

impl<S: Read + Write + Source + Debug + Send> Stream for S {}

/// What is read where it is published.
#[derive(Debug)]
enum Answers {
    /// One line for each publication.
    Lines { expected: Pattern, offset: usize },
    /// Pings, and what is not asked for.
    Frames {
        intake: Intake,
        publication: Vec<u8>,
    },
    /// Nothing.
    Bare { publication: Vec<u8> },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Publisher {
    stream: Box<dyn Stream>,
    lines: Vec<u8>,
    written: usize,
    /// Whether there may be answers to read.
    readable: bool,
    buffer: Vec<u8>,
    answers: Answers,
    answered: u64,
    /// The next publication's number: so many have begun.
    next: u64,
    /// The first that is not known to have reached everybody.
    oldest: u64,
}

impl Publisher {
    /// Connects to where it is published.
    pub(super) fn connect(plan: &Plan, way_in: &WayIn) -> Result<Self, Failure> {
        let (place, connected) = match way_in {
            WayIn::Inlet(address) => (address.to_string(), connect(address)),
            WayIn::Connection {
                server,
                handshake,
                place,
            } => (place.clone(), open(*server, handshake.clone())),
        };
        let (stream, behind) = connected.map_err(|error| Failure::Inlet { place, error })?;
        let answers = match way_in {
            WayIn::Inlet(_) => {
                let line = format!("{{\"ok\":true,\"connections\":{}}}\n", plan.deliveries());
                Answers::Lines {
                    expected: Pattern::new(line.as_bytes(), ANSWER_BYTES),
                    offset: 0,
                }
            }
            WayIn::Connection { .. } if plan.is_bare() => Answers::Bare {
                publication: plan.request()?,
            },
            WayIn::Connection { .. } => Answers::Frames {
                intake: Intake::default(),
                publication: plan.request()?,
            },
        };
        let mut publisher = Self {
            stream,
            lines: Vec::new(),
            written: 0,
            readable: true,
            buffer: vec![0; ANSWER_BYTES],
            answers,
            answered: 0,
            next: 0,
            oldest: 0,
        };
        publisher.on_bytes(&behind).map_err(Failure::Broken)?;
        Ok(publisher)
    }

    /// Registers it for everything.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.stream.register(registry, token, interest)
    }

    /// The poller has seen something: answers, or room for lines.
    pub(super) fn on_event(&mut self) {
        self.readable = true;
    }

    /// Publications that have begun.
    pub(super) fn published(&self) -> u64 {
        self.next
    }

    /// Publications that the inlet has answered; all of them where nobody answers.
    pub(super) fn answered(&self) -> u64 {
        match self.answers {
            Answers::Lines { .. } => self.answered,
            Answers::Frames { .. } | Answers::Bare { .. } => self.next,
        }
    }

    /// Whether everything was delivered and answered.
    pub(super) fn is_finished(&self) -> bool {
        self.oldest == self.next && self.answered() == self.next
    }

    /// When the next publication is meant to leave, when a rate says so.
    pub(super) fn next_ns(&self, plan: &Plan, course: &Course) -> Option<u64> {
        let rate = plan.rate?;
        Some(course.start_ns() + self.next.saturating_mul(1_000_000_000) / rate)
    }

    /// Publishes what may leave now, and reads the answers.
    ///
    /// # Errors
    /// The inlet is gone, or refuses; as text.
    pub(super) fn advance(
        &mut self,
        plan: &Plan,
        course: &Course,
        publications: &Publications,
    ) -> Result<(), String> {
        let now = course.now_ns();
        while self.oldest < self.next && publications.is_delivered(self.oldest) {
            self.oldest += 1;
        }
        while course.has_started()
            && self.next - self.oldest < publications.window()
            && self.lines.len() - self.written < LINES_AHEAD
        {
            let intended = self.next_ns(plan, course).unwrap_or(now);
            // With a rate, what was meant to leave before the end still does.
            let begins = match plan.rate {
                Some(_) => intended <= now && intended < course.until_ns(),
                None => course.phase() == Phase::Running,
            };
            if !begins {
                break;
            }
            publications.begin(self.next, intended, plan.deliveries());
            match &self.answers {
                Answers::Lines { .. } => {
                    plan.write_line(self.next % plan.connections as u64, &mut self.lines);
                }
                Answers::Frames { publication, .. } | Answers::Bare { publication } => {
                    self.lines.extend_from_slice(publication);
                }
            }
            self.next += 1;
        }
        self.write()
            .map_err(|error| format!("no more publications are taken: {error}"))?;
        self.read()
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.lines.get(self.written..)
            && !rest.is_empty()
        {
            match self.stream.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        // Half a mebibyte is moved at a time, not every line.
        if self.written == self.lines.len() || self.written > LINES_AHEAD / 2 {
            self.lines.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        while self.readable {
            let count = match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err("the connection that publishes was closed".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(());
                }
                Err(error) => return Err(format!("no answer to what is published: {error}")),
            };
            let buffer = std::mem::take(&mut self.buffer);
            let taken = self.on_bytes(buffer.get(..count).unwrap_or_default());
            self.buffer = buffer;
            taken?;
        }
        Ok(())
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.answers {
            Answers::Lines { expected, offset } => {
                let lines = expected.from(*offset, bytes.len());
                if bytes != lines {
                    return Err(unexpected(bytes, lines));
                }
                self.answered += expected.advance(offset, bytes.len());
                Ok(())
            }
            Answers::Frames { intake, .. } => {
                // Whole frames are what is queued, so a pong behind them is between two.
                let lines = &mut self.lines;
                let taken = intake.take_any(bytes, |ping| write_pong(ping, lines));
                taken.map_err(|error| format!("where it is published, {error}"))
            }
            Answers::Bare { .. } => Ok(()),
        }
    }
}

/// Says what came, from where it differs.
fn unexpected(bytes: &[u8], expected: &[u8]) -> String {
    let same = bytes.iter().zip(expected).take_while(|(a, b)| a == b);
    let differs = same.count();
    let line = bytes.get(..differs).unwrap_or_default();
    let begin = line
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = String::from_utf8_lossy(bytes.get(begin..).unwrap_or_default());
    let line: String = line
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    format!("the inlet answers otherwise than with every connection reached: {line}")
}

fn connect(address: &InletAddress) -> io::Result<(Box<dyn Stream>, Vec<u8>)> {
    match address {
        InletAddress::Tcp(address) => open(*address, None),
        InletAddress::Unix(path) => {
            let stream = connect_unix_mio(path)?;
            Ok((Box::new(stream), Vec::new()))
        }
    }
}

/// Connects, and opens a WebSocket if there is a handshake for it. Also gives what came behind its answer.
fn open(
    server: SocketAddr,
    handshake: Option<ClientHandshake>,
) -> io::Result<(Box<dyn Stream>, Vec<u8>)> {
    let mut stream = std::net::TcpStream::connect_timeout(&server, OPEN_DEADLINE)?;
    stream.set_nodelay(true)?;
    let mut answer = Vec::new();
    if let Some(mut handshake) = handshake {
        stream.set_read_timeout(Some(OPEN_DEADLINE))?;
        stream.write_all(handshake.request())?;
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
            let progress = handshake.receive(&answer);
            if let Some((_, used)) = progress.map_err(|why| io::Error::other(why.to_string()))? {
                answer.drain(..used);
                break;
            }
            if answer.len() > HEAD_BYTES_MAX {
                return Err(io::Error::other("the answer does not end"));
            }
        }
    }
    stream.set_nonblocking(true)?;
    Ok((Box::new(TcpStream::from_std(stream)), answer))
}
