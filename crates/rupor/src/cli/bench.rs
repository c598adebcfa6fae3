//! `rupor bench`: measures a WebSocket server.
//!
//! A generator of its own, so that it is not what is measured: non-blocking sockets on one poller a thread, frames masked
//! and written from a buffer that was made once, replies compared with the bytes that should come. With a rate, latency is
//! counted from when a message was meant to leave, so that a server that stalls cannot hide it.
//!
//! - `plan`: the arguments, checked and made ready; `failure`: what is wrong with them; `conductor`: one run; `report`: what is printed;
//! - `worker`: a thread's loop, with `connection`, `link`, `expected` and `publisher` in its hands;
//! - `course`, `publications`: what the threads share; `process`: what Linux tells about the server.
//!
//! Exit codes: 0 everything came; 1 something did not, or nothing could be measured; 2 wrong arguments.

mod conductor;
mod connection;
mod course;
mod expected;
mod failure;
mod link;
mod plan;
mod process;
mod publications;
mod publisher;
mod report;
mod worker;

use super::url::TlsArgs;
use super::{announce, say};
use crate::config::{InletAddress, parse};
use failure::Failure;
use plan::Plan;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The long description.
pub(crate) const ABOUT: &str = "Measures a WebSocket server, rupor or another one, and prints a table.\n\n\
    echo: every connection sends messages and gets each one back (`rupor echo`). idle: connections are opened and \
    kept. broadcast: every connection listens to the channel `bench` (?channel=bench is added to the URL), and one \
    writer publishes there through --inlet or --publish-url. push: connection i is the user `bench-i` \
    (?user=bench-i is added), and one writer sends to one after the other through --inlet.\n\n\
    Ctrl-C ends it with what was measured. A load test is an attack where nobody agreed to it: measure your own servers.";

/// Longest message, in bytes: what `rupor echo` takes.
const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most messages a second: with the longest duration, all numbers stay within their 64 bits.
const RATE_MAX: u64 = 5_000_000;
/// Longest duration and longest warm-up.
const TIME_MAX: Duration = Duration::from_secs(1800);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Messages that come back
    Echo,
    /// Connections that are only kept
    Idle,
    /// One publication to all connections
    Broadcast,
    /// One publication to one user
    Push,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Idle => "idle",
            Self::Broadcast => "broadcast",
            Self::Push => "push",
        }
    }
}

/// Arguments of `rupor bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// What is measured
    #[arg(value_enum)]
    scenario: Scenario,
    /// The server, as in ws://127.0.0.1:8000/ or wss://example.org/echo. tcp://ADDRESS:PORT (with TLS: tcps://) is one
    /// that speaks no WebSocket and sends bytes back as they are: what the system alone costs
    url: String,
    /// Connections
    #[arg(long, short = 'c', value_name = "N", default_value_t = 100, value_parser = count::<1_000_000>)]
    connections: usize,
    /// Length of a message
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = payload)]
    payload: usize,
    /// The message, as it stands in this file, instead of made-up text
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    payload_file: Option<PathBuf>,
    /// Messages on their way at a time: of each connection for echo, publications altogether for broadcast and push
    /// [default: 1, with --rate 1024]
    #[arg(long, value_name = "N", value_parser = count::<65_536>)]
    in_flight: Option<usize>,
    /// Messages or publications a second, altogether; latency then counts from when a message was meant to leave.
    /// Without it the next one leaves when one has come back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    rate: Option<u64>,
    /// With --rate: so many messages altogether, for echo; then connections stay silent until the end
    #[arg(long, value_name = "N", requires = "rate", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// How long it is measured
    #[arg(long, short = 'd', value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// How long messages go before that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = warmup)]
    warmup: Duration,
    /// Text messages; the default
    #[arg(long, conflicts_with = "binary")]
    text: bool,
    /// Binary messages
    #[arg(long)]
    binary: bool,
    /// Ask for permessage-deflate, each message on its own, and measure only if the server agrees
    #[arg(long)]
    deflate: bool,
    /// Threads of the generator; more only if one is not enough, see `generator` in the table
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<256>)]
    threads: usize,
    /// Where rupor takes lines, for broadcast and push
    #[arg(long, value_name = "tcp://ADDRESS:PORT|unix://PATH")]
    inlet: Option<InletAddress>,
    /// A connection through which to publish, for broadcast: a server that gives every message there to all that listen
    #[arg(long, value_name = "URL", conflicts_with = "inlet")]
    publish_url: Option<String>,
    /// The server's process on this machine: also shows its CPU time and memory; may come several times
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

fn count<const MAX: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MAX).contains(&number) => Ok(number),
        _ => Err(format!("write a number from 1 to {MAX}")),
    }
}

fn payload(text: &str) -> Result<usize, String> {
    let bytes = text.parse::<u64>().ok();
    let bytes = bytes.filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("write a number from 0 to {PAYLOAD_BYTES_MAX}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(1);
    parse::duration(text, least, TIME_MAX).map_err(|problem| problem.fix)
}

fn warmup(text: &str) -> Result<Duration, String> {
    parse::duration(text, Duration::ZERO, TIME_MAX).map_err(|problem| problem.fix)
}

/// Runs the command.
pub(crate) fn run(arguments: BenchArgs) -> ExitCode {
    match measure(&arguments) {
        Ok(report) => {
            if arguments.json {
                announce(&report.json());
            } else {
                announce(&report.to_string());
            }
            if report.is_good() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(failure) => {
            say(&format!("rupor: {failure}"));
            if failure.is_usage() {
                ExitCode::from(super::EXIT_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn measure(arguments: &BenchArgs) -> Result<Report, Failure> {
    let plan = Arc::new(Plan::new(arguments)?);
    if !plan.server.ip().is_loopback() {
        say(&format!(
            "rupor: {} is not this machine: a load test needs its owner's consent",
            plan.server
        ));
    }
    let measured = conductor::conduct(&plan)?;
    Ok(Report::new(&plan, &measured))
}

#[cfg(test)]
mod tests {
    use super::{count, duration, payload, warmup};

    #[test]
    fn every_number_has_its_limits() {
        assert_eq!(count::<256>("256"), Ok(256));
        assert_eq!(payload("0"), Ok(0));
        assert_eq!(payload("16777216"), Ok(16 << 20));
        assert!(duration("1ms").is_ok() && duration("30m").is_ok() && warmup("0s").is_ok());
        for wrong in ["0", "257", "-1", "", "x"] {
            assert!(count::<256>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["-1", "16777217", "1k"] {
            assert!(payload(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0s", "1801s", "31m", "10"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(warmup("1801s").is_err());
    }
}
