//! Who publishes in `broadcast` and `push`: lines to an inlet, as a site writes them, and every answer compared.
//!
//! Invariant: at most the window's number of publications have not reached everybody yet, whatever the rate.

use super::connection::OPEN_DEADLINE;
use super::course::{Course, Phase};
use super::expected::Pattern;
use super::plan::{Failure, Plan};
use super::publications::Publications;
use crate::config::InletAddress;
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};

/// How much one read of answers takes in, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// Lines that are made ahead of what the inlet takes, in bytes.
const LINES_AHEAD: usize = 1024 * 1024;

/// A line inlet.
#[derive(Debug)]
enum Inlet {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Publisher {
    inlet: Inlet,
    lines: Vec<u8>,
    written: usize,
    /// Whether there may be answers to read.
    readable: bool,
    buffer: Vec<u8>,
    answers: Pattern,
    offset: usize,
    answered: u64,
    /// The next publication's number: so many have begun.
    next: u64,
    /// The first that is not known to have reached everybody.
    oldest: u64,
}

impl Publisher {
    /// Connects to the inlet.
    pub(super) fn connect(plan: &Plan, address: &InletAddress) -> Result<Self, Failure> {
        let place = address.to_string();
        let inlet = connect(address).map_err(|error| Failure::Inlet { place, error })?;
        let answer = format!("{{\"ok\":true,\"connections\":{}}}\n", plan.deliveries());
        Ok(Self {
            inlet,
            lines: Vec::new(),
            written: 0,
            readable: true,
            buffer: vec![0; ANSWER_BYTES],
            answers: Pattern::new(answer.as_bytes(), ANSWER_BYTES),
            offset: 0,
            answered: 0,
            next: 0,
            oldest: 0,
        })
    }

    /// Registers it for everything.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.inlet {
            Inlet::Tcp(stream) => stream.register(registry, token, interest),
            Inlet::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    /// The poller has seen something: answers, or room for lines.
    pub(super) fn on_event(&mut self) {
        self.readable = true;
    }

    /// Publications that have begun.
    pub(super) fn published(&self) -> u64 {
        self.next
    }

    /// Publications that the inlet has answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether everything was delivered and answered.
    pub(super) fn is_finished(&self) -> bool {
        self.oldest == self.next && self.answered == self.next
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
            plan.write_line(self.next % plan.connections as u64, &mut self.lines);
            self.next += 1;
        }
        self.write()
            .map_err(|error| format!("the inlet takes no more lines: {error}"))?;
        self.read()
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.lines.get(self.written..)
            && !rest.is_empty()
        {
            let written = match &mut self.inlet {
                Inlet::Tcp(stream) => stream.write(rest),
                Inlet::Unix(stream) => stream.write(rest),
            };
            match written {
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
            let read = match &mut self.inlet {
                Inlet::Tcp(stream) => stream.read(&mut self.buffer),
                Inlet::Unix(stream) => stream.read(&mut self.buffer),
            };
            let count = match read {
                Ok(0) => return Err("the inlet closed".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(());
                }
                Err(error) => return Err(format!("no answer from the inlet: {error}")),
            };
            let bytes = self.buffer.get(..count).unwrap_or_default();
            let expected = self.answers.from(self.offset, bytes.len());
            if bytes != expected {
                return Err(unexpected(bytes, expected));
            }
            self.answered += self.answers.advance(&mut self.offset, count);
        }
        Ok(())
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

fn connect(address: &InletAddress) -> io::Result<Inlet> {
    Ok(match address {
        InletAddress::Tcp(address) => {
            let stream = std::net::TcpStream::connect_timeout(address, OPEN_DEADLINE)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Inlet::Tcp(TcpStream::from_std(stream))
        }
        InletAddress::Unix(path) => {
            let stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            Inlet::Unix(UnixStream::from_std(stream))
        }
    })
}
