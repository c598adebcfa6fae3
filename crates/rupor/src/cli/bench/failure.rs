//! Why nothing could be measured.

use crate::cli::url::ConnectError;
use rupor_proto::ApiMisuse;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Descriptors beside the connections: standard streams, pollers, the inlet, what is read in `/proc`.
pub(super) const DESCRIPTORS_BESIDE: usize = 32;

/// Why nothing is measured. Not the server's fault but for [`Failure::Broken`].
#[derive(Debug)]
pub(super) enum Failure {
    /// The URL, or the certificate authorities.
    Connect(ConnectError),
    /// Arguments that do not go together; what to do.
    Arguments(&'static str),
    /// More connections than the system lets one process have.
    Descriptors { wanted: usize, allowed: usize },
    /// `--pid` is not there.
    Process { pid: u32, error: io::Error },
    /// Nobody takes publications at `--inlet` or `--publish-url`.
    Inlet { place: String, error: io::Error },
    /// `--payload-file` cannot be read.
    Payload { path: PathBuf, error: io::Error },
    /// A path or query that cannot be sent.
    Request(ApiMisuse),
    /// A poller or a thread.
    System(io::Error),
    /// A connection was not opened, or one that everybody waits for was lost.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(formatter),
            Self::Arguments(fix) => formatter.write_str(fix),
            Self::Descriptors { wanted, allowed } => write!(
                formatter,
                "{wanted} connections need more open files than the {allowed} that the system allows here: \
                 `ulimit -n {}` first, for the server too",
                wanted + 10 * DESCRIPTORS_BESIDE
            ),
            Self::Process { pid, error } => write!(
                formatter,
                "--pid {pid}: {error}. The server has to run on this machine, under Linux"
            ),
            Self::Inlet { place, error } => write!(
                formatter,
                "{place}: {error}. Is the server running, and is this where it takes publications?"
            ),
            Self::Payload { path, error } => {
                write!(formatter, "--payload-file {}: {error}", path.display())
            }
            Self::Request(error) => write!(formatter, "the request cannot be sent: {error}"),
            Self::System(error) => write!(formatter, "the system refuses: {error}"),
            Self::Broken(why) => formatter.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Whether the arguments are at fault, and not a server or this machine.
    pub(super) fn is_usage(&self) -> bool {
        match self {
            Self::Connect(error) => !matches!(error, ConnectError::Io { .. }),
            Self::Arguments(_)
            | Self::Descriptors { .. }
            | Self::Process { .. }
            | Self::Payload { .. }
            | Self::Request(_) => true,
            Self::Inlet { .. } | Self::System(_) | Self::Broken(_) => false,
        }
    }
}
