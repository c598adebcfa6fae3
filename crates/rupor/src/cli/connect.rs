//! `rupor connect`: opens a WebSocket from a shell.
//!
//! What comes is printed to standard output, one line a text message; a binary message is shown by its length and first
//! bytes. What stands on standard input is sent, one text message a line. Everything else goes to standard error.
//!
//! It ends when the server closes, on Ctrl-C or SIGTERM, and when standard input ends, after everything that was written has been
//! answered by a pong. Standard input that ends before its first line (`/dev/null`, as a service or a background job has
//! it) only means that there is nothing to send: it goes on listening.
//!
//! A proxy that the environment names (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`) is used.
//!
//! Exit codes: 0 closed in order; 1 refused, or broken off; 2 wrong arguments.

mod conversation;
mod input;
mod show;

use super::say;
use super::url::{self, TlsArgs, tls_config};
use crate::system::EndSignals;
use conversation::Conversation;
use rupor_proto::Close;
use rupor_server::{Client, ConnectError};
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

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
    /// The runtime, or the signals.
    System(io::Error),
    /// Whom to believe.
    Tls(url::ConnectError),
    /// No connection, or one that the server does not make a WebSocket of.
    Connect(ConnectError),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(formatter, "the system refuses: {error}"),
            Self::Tls(error) => error.fmt(formatter),
            Self::Connect(error @ ConnectError::Url(_)) => {
                write!(
                    formatter,
                    "{error}; it is like ws://127.0.0.1:8000/?user=tester01"
                )
            }
            Self::Connect(error) => error.fmt(formatter),
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
    let client = client(arguments)?;
    let url = arguments.url.as_str();
    let socket = client.connect(url).await.map_err(Failure::Connect)?;
    let subprotocol = socket
        .subprotocol()
        .map(|name| format!(", subprotocol {name}"))
        .unwrap_or_default();
    // From here on a Ctrl-C closes in order; it must not find nobody listening once this is said.
    let interrupts = EndSignals::catch().map_err(Failure::System)?;
    // What stands behind may be a token.
    let place = url.split('?').next().unwrap_or_default();
    say(&format!("connected to {place}{subprotocol}"));
    let lines = (!arguments.no_input).then(input::lines);
    let output = show::Output {
        for_people: io::stdout().is_terminal(),
    };
    let conversation = Conversation::new(socket, output);
    let closed = conversation.run(lines, interrupts).await;
    closed.map_err(|error| Failure::Connect(error.into()))
}

fn client(arguments: &ConnectArgs) -> Result<Client, Failure> {
    let mut client = Client::new()
        .subprotocols(arguments.subprotocol.iter().map(String::as_str))
        .limits(&conversation::limits());
    for (name, value) in &arguments.header {
        client = client.header(name, value);
    }
    if let Some(origin) = &arguments.origin {
        client = client.header("Origin", origin);
    }
    if arguments.tls.is_given() {
        client = client.tls(tls_config(&arguments.tls).map_err(Failure::Tls)?);
    }
    Ok(client)
}

#[cfg(test)]
mod tests;
