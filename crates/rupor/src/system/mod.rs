//! What Unix has and Windows has not: Unix sockets, the signals of a service, modes and owners of files, process groups, limits.
//!
//! Both sides of the seam, `unix` and `other`, have the same names, so that nothing else asks which system this is. Where something is
//! not there, `other` says so by an error of the kind [`Unsupported`](std::io::ErrorKind::Unsupported); the configuration asks
//! [`HAS_UNIX_SOCKETS`] before, and refuses the options that come to nothing here, each with its reason and what there is instead.
//! A few names of systemd's and of a library's stand where they are used, behind `cfg(unix)`.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// Whether there are Unix sockets, and so whether a process of PHP can be handed its stream.
pub(crate) const HAS_UNIX_SOCKETS: bool = cfg!(unix);

/// Whether the system tells how much memory another process has.
pub(crate) const HAS_PROCESS_MEMORY: bool = cfg!(target_os = "linux");

/// Longest path of a Unix socket in bytes: `sun_path` has 108 on Linux, 104 on macOS and the BSDs, and ends with a zero.
pub(crate) const UNIX_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
