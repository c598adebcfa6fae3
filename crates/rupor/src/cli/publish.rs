//! `rupor publish`: sends one message from a shell, by the line inlet or by the HTTP API.
//!
//! Prints how many connections it reached. Exit codes: 0 it was taken, also when nobody was there to receive it; 1 it was
//! refused, or there was nobody to give it to; 2 wrong arguments.

mod http_call;

use super::url::{ConnectError, TlsArgs};
use super::{announce, say};
use crate::config::InletAddress;
use clap::ArgGroup;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long the inlet may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Longest message that is read from standard input, in bytes: what an inlet can be set to, at most.
const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Arguments of `rupor publish`.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("target").required(true))]
pub(crate) struct PublishArgs {
    /// Send to all connections of this user; may come several times
    #[arg(long, value_name = "NAME", group = "target")]
    user: Vec<String>,
    /// Send to all subscribers of this channel
    #[arg(long, value_name = "NAME", group = "target")]
    channel: Option<String>,
    /// Send to this connection
    #[arg(long, value_name = "ID", group = "target")]
    connection: Option<String>,
    /// Send to everybody
    #[arg(long, group = "target")]
    all: bool,
    /// Leave this connection out
    #[arg(long, value_name = "ID")]
    exclude: Option<String>,
    /// Compress the message for nobody: it has a secret beside text that others choose
    #[arg(long)]
    no_compress: bool,
    /// The message is JSON, and arrives as it is written
    #[arg(long)]
    json: bool,
    /// The line inlet of the server
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:1234")]
    inlet: InletAddress,
    /// Send by the HTTP API of this server instead, as in `https://example.org`
    #[arg(long, value_name = "URL", conflicts_with = "inlet")]
    url: Option<String>,
    /// The key of the HTTP API; other users of this machine can read a command line, so better in the environment
    #[arg(
        long,
        value_name = "KEY",
        env = "RUPOR_API_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    /// A file with the key
    #[arg(long, value_name = "FILE", env = "RUPOR_API_KEY_FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
    /// The message; `-` reads it from standard input, without the line end at its end
    message: String,
}

/// Why nothing was sent.
#[derive(Debug)]
enum Failure {
    /// Standard input, or the key's file.
    Unreadable { what: String, error: io::Error },
    /// The message is too long.
    TooLong,
    /// `--json`, and it is not.
    NotJson(serde_json::Error),
    /// Nobody listens there.
    Unreachable { place: String, error: io::Error },
    /// The HTTP API cannot be reached.
    Connect(ConnectError),
    /// No answer, or none of ours.
    NoAnswer { place: String, problem: String },
    /// The server says no.
    Refused { code: String, error: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { what, error } => write!(formatter, "{what}: {error}"),
            Self::TooLong => write!(
                formatter,
                "the message is longer than {MESSAGE_BYTES_MAX} bytes"
            ),
            Self::NotJson(error) => write!(formatter, "the message is not JSON: {error}"),
            Self::Unreachable { place, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "Fix: put the user who publishes into the group of that socket, and start what runs as him again"
                    }
                    _ => "Is rupor running, and is --inlet where it takes lines?",
                };
                write!(formatter, "{place}: {error}. {advice}")
            }
            Self::Connect(error) => error.fmt(formatter),
            Self::NoAnswer { place, problem } => write!(formatter, "{place}: {problem}"),
            Self::Refused { code, error } => write!(formatter, "refused: {error} ({code})"),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs the command.
pub(crate) fn run(arguments: PublishArgs) -> ExitCode {
    match publish(&arguments) {
        Ok(connections) => {
            announce(&connections.to_string());
            if connections == 0 {
                say("rupor: nobody is there to receive it");
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say(&format!("rupor: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn publish(arguments: &PublishArgs) -> Result<u64, Failure> {
    let message = match arguments.message.as_str() {
        "-" => read_message(io::stdin().lock())?,
        message => message.to_owned(),
    };
    let request = request(arguments, &message)?;
    let (place, answer) = match &arguments.url {
        Some(url) => {
            let key = key(arguments)?;
            (
                url.clone(),
                http_call::publish(url, key.as_deref(), &arguments.tls, request)?,
            )
        }
        None => (
            arguments.inlet.to_string(),
            exchange_line(&arguments.inlet, &request)?,
        ),
    };
    read_answer(&place, &answer)
}

fn read_message(input: impl Read) -> Result<String, Failure> {
    let mut message = String::new();
    input
        .take(MESSAGE_BYTES_MAX + 1)
        .read_to_string(&mut message)
        .map_err(|error| Failure::Unreadable {
            what: "standard input".to_owned(),
            error,
        })?;
    if message.len() as u64 > MESSAGE_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    // `echo test | rupor publish … -` means `test`.
    if message.ends_with('\n') {
        message.pop();
        if message.ends_with('\r') {
            message.pop();
        }
    }
    Ok(message)
}

/// The publish object, in one line.
fn request(arguments: &PublishArgs, message: &str) -> Result<String, Failure> {
    let mut object = Map::new();
    match arguments.user.as_slice() {
        [] => {}
        [user] => drop(object.insert("user".to_owned(), json!(user))),
        users => drop(object.insert("users".to_owned(), json!(users))),
    }
    for (name, value) in [
        ("channel", &arguments.channel),
        ("connection", &arguments.connection),
        ("exclude", &arguments.exclude),
    ] {
        if let Some(value) = value {
            object.insert(name.to_owned(), json!(value));
        }
    }
    if arguments.all {
        object.insert("all".to_owned(), json!(true));
    }
    if arguments.no_compress {
        object.insert("compress".to_owned(), json!(false));
    }
    if !arguments.json {
        object.insert("message".to_owned(), json!(message));
        return Ok(Value::Object(object).to_string());
    }
    // Between its values JSON may have line ends, and a line may not; inside strings it has none.
    let message: Box<RawValue> = serde_json::from_str(message).map_err(Failure::NotJson)?;
    let message = message.get().replace(['\n', '\r'], " ");
    let target = Value::Object(object).to_string();
    let target = target.strip_suffix('}').unwrap_or(&target);
    Ok(format!("{target},\"message\":{message}}}"))
}

fn key(arguments: &PublishArgs) -> Result<Option<String>, Failure> {
    match &arguments.key_file {
        Some(file) if arguments.key.is_none() => {
            let text = std::fs::read_to_string(file).map_err(|error| Failure::Unreadable {
                what: format!("--key-file {}", file.display()),
                error,
            })?;
            Ok(Some(text.trim().to_owned()))
        }
        _ => Ok(arguments.key.clone()),
    }
}

/// Writes a line to an inlet and reads its answer.
fn exchange_line(inlet: &InletAddress, line: &str) -> Result<String, Failure> {
    let place = inlet.to_string();
    let unreachable = |error| Failure::Unreachable {
        place: place.clone(),
        error,
    };
    converse(&place, connect(inlet).map_err(unreachable)?, line)
}

fn connect(inlet: &InletAddress) -> io::Result<Socket> {
    let socket = match inlet {
        InletAddress::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.connect_timeout(&SockAddr::from(*address), ANSWER_DEADLINE)?;
            socket
        }
        InletAddress::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.connect(&SockAddr::unix(path)?)?;
            socket
        }
    };
    socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
    socket.set_write_timeout(Some(ANSWER_DEADLINE))?;
    Ok(socket)
}

fn converse(place: &str, mut stream: impl Read + Write, line: &str) -> Result<String, Failure> {
    let no_answer = |problem: String| Failure::NoAnswer {
        place: place.to_owned(),
        problem,
    };
    stream
        .write_all(format!("{line}\n").as_bytes())
        .map_err(|error| no_answer(format!("the line could not be written: {error}")))?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX))
        .read_line(&mut answer)
        .map_err(|error| no_answer(format!("no answer: {error}")))?;
    Ok(answer)
}

fn read_answer(place: &str, answer: &str) -> Result<u64, Failure> {
    let value: Value = serde_json::from_str(answer).unwrap_or_default();
    match (value["ok"].as_bool(), value["connections"].as_u64()) {
        (Some(true), Some(connections)) => Ok(connections),
        (Some(false), _) => {
            let text = |name: &str| value[name].as_str().unwrap_or("?").to_owned();
            Err(Failure::Refused {
                code: text("code"),
                error: text("error"),
            })
        }
        _ => Err(Failure::NoAnswer {
            place: place.to_owned(),
            problem: "that is no answer of rupor's".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
