//! `rupor connect`: opens a WebSocket from a shell.
//!
//! What comes is printed to standard output, one line a text message; a binary message is shown by its length and first
//! bytes. What stands on standard input is sent, one text message a line. Everything else goes to standard error.
//!
//! It ends when the server closes, on Ctrl-C or SIGTERM, and when standard input ends, after everything that was written has been
//! answered by a pong. Standard input that ends before its first line (`/dev/null`, as a service or a background job has
//! it) only means that there is nothing to send: it goes on listening.
//!
//! Exit codes: 0 closed in order; 1 refused, or broken off; 2 wrong arguments.

mod conversation;
mod input;
mod show;

use super::say;
use super::url::{Address, ConnectError, Stream, TlsArgs};
use conversation::{Conversation, Interrupts};
use rupor_proto::handshake::{ClientHandshake, HandshakeError};
use rupor_proto::{ApiMisuse, Close};
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long the server may take to answer the upgrade request.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer to the upgrade request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Arguments of `rupor connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// The server, as in ws://127.0.0.1:8000/?user=tester01 or wss://example.org/chat
    url: String,
    /// Offer this subprotocol; may come several times, the preferred one first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Send this header with the request, as in "Cookie: PHPSESSID=q1w2e3"; may come several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    header: Vec<(String, String)>,
    /// Say that a page of this origin connects, as in `https://example.org`
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Only listen: do not read standard input
    #[arg(long, short = 'n')]
    no_input: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

fn parse_header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Why there is no WebSocket.
#[derive(Debug)]
enum Failure {
    /// The runtime.
    System(io::Error),
    /// No connection.
    Connect(ConnectError),
    /// A subprotocol or a header that cannot be sent.
    Request(ApiMisuse),
    /// The server does not open a WebSocket, and the begin of what it says instead.
    Refused {
        error: HandshakeError,
        answer: String,
    },
    /// The connection ended, or brought nothing in time, before the WebSocket was open.
    NoAnswer(&'static str),
    /// The connection broke off before the WebSocket was open.
    Broken(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(formatter, "the system refuses: {error}"),
            Self::Connect(error) => error.fmt(formatter),
            Self::Request(error) => write!(formatter, "the request cannot be sent: {error}"),
            Self::Refused { error, answer } if answer.is_empty() => {
                write!(formatter, "not opened: {error}")
            }
            Self::Refused { error, answer } => write!(formatter, "not opened: {error}: {answer}"),
            Self::NoAnswer(what) => write!(formatter, "not opened: {what}"),
            Self::Broken(error) => write!(formatter, "not opened: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs the command.
pub(crate) fn run(arguments: ConnectArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let closed = match runtime {
        Ok(runtime) => runtime.block_on(connect(&arguments)),
        Err(error) => Err(Failure::System(error)),
    };
    match closed {
        Ok(close) => {
            say(&show::close(&close));
            if close.clean {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(failure) => {
            say(&format!("rupor: {failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn connect(arguments: &ConnectArgs) -> Result<Close, Failure> {
    let expected = "ws://127.0.0.1:8000/?user=tester01 or wss://example.org/chat";
    let address = Address::parse(&arguments.url, "ws", expected).map_err(Failure::Connect)?;
    let handshake = handshake(arguments, &address)?;
    let mut stream = address
        .connect(&arguments.tls)
        .await
        .map_err(Failure::Connect)?;
    let opening = timeout(OPEN_DEADLINE, open(&mut stream, handshake)).await;
    let (subprotocol, rest) = opening.map_err(|_| Failure::NoAnswer("no answer in 10 s"))??;
    let subprotocol = subprotocol
        .map(|name| format!(", subprotocol {name}"))
        .unwrap_or_default();
    // From here on a Ctrl-C closes in order; it must not find nobody listening once this is said.
    let interrupts = Interrupts::new().map_err(Failure::System)?;
    say(&format!(
        "connected to {}{subprotocol}",
        address.host_header
    ));
    let lines = (!arguments.no_input).then(input::lines);
    let output = show::Output {
        for_people: io::stdout().is_terminal(),
    };
    Ok(Conversation::new(stream, rest, output)
        .run(lines, interrupts)
        .await)
}

fn handshake(arguments: &ConnectArgs, address: &Address) -> Result<ClientHandshake, Failure> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|error| Failure::System(io::Error::other(error.to_string())))?;
    let subprotocols: Vec<&str> = arguments.subprotocol.iter().map(String::as_str).collect();
    let mut headers: Vec<(&str, &str)> = arguments
        .header
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    if let Some(origin) = &arguments.origin {
        headers.push(("Origin", origin));
    }
    ClientHandshake::new(
        &address.host_header,
        &address.target,
        nonce,
        &subprotocols,
        &headers,
    )
    .map_err(Failure::Request)
}

/// Asks for the WebSocket. Gives the subprotocol, and what came behind the answer.
async fn open(
    stream: &mut Box<dyn Stream>,
    mut handshake: ClientHandshake,
) -> Result<(Option<String>, Vec<u8>), Failure> {
    stream
        .write_all(handshake.request())
        .await
        .map_err(Failure::Broken)?;
    stream.flush().await.map_err(Failure::Broken)?;
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.map_err(Failure::Broken)? == 0 {
            return Err(Failure::NoAnswer("the server closed without an answer"));
        }
        match handshake.receive(&bytes) {
            Ok(Some((accepted, used))) => {
                bytes.drain(..used);
                return Ok((accepted.subprotocol, bytes));
            }
            Ok(None) if bytes.len() < HEAD_BYTES_MAX => {}
            Ok(None) => return Err(Failure::NoAnswer("the answer does not end")),
            Err(error) => {
                let answer = refusal_text(stream, bytes).await;
                return Err(Failure::Refused { error, answer });
            }
        }
    }
}

/// The begin of a refusal's body, which says why, as far as it is there.
async fn refusal_text(stream: &mut Box<dyn Stream>, mut bytes: Vec<u8>) -> String {
    let more = async {
        while bytes.len() < HEAD_BYTES_MAX && stream.read_buf(&mut bytes).await.is_ok_and(|n| n > 0)
        {
        }
    };
    // A refusal closes; one that does not has been waited for long enough.
    let _ = timeout(Duration::from_millis(500), more).await;
    let text = String::from_utf8_lossy(&bytes);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let first = body.lines().next().unwrap_or_default();
    show::printable(first.trim()).chars().take(200).collect()
}

#[cfg(test)]
mod tests;
