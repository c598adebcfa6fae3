//! Linux, macOS and their relatives.

use rustix::fs::OFlags;
use rustix::process::{Resource, geteuid, getrlimit};
use std::fs::{self, File, FileType, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use std::os::unix::net::UnixListener as StdUnixListener;
pub(crate) use std::os::unix::process::parent_id;
pub(crate) use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
pub(crate) use tokio::net::{UnixListener, UnixStream};

/// For this user alone.
const PRIVATE: u32 = 0o700;

/// Connects to a Unix socket.
pub(crate) async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// The same, for a loop of mio.
pub(crate) fn connect_unix_mio(path: &Path) -> io::Result<mio::net::UnixStream> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(mio::net::UnixStream::from_std(stream))
}

/// A stream, and its other end as the standard input of a program that is to be started.
pub(crate) fn stream_for_program() -> io::Result<(UnixStream, Stdio)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((
        UnixStream::from_std(ours)?,
        Stdio::from(OwnedFd::from(theirs)),
    ))
}

/// Gives the program a process group of its own: Ctrl-C in a terminal does not reach it.
pub(crate) fn apart(program: &mut Command) -> &mut Command {
    program.process_group(0)
}

/// This process becomes that program, and keeps its number and its descriptors. Returns only when that fails.
pub(crate) fn replace_with(program: &mut std::process::Command) -> io::Error {
    program.exec()
}

/// Asks the system to kill this process when its parent is gone. Where the system cannot, the process is one that may outlive
/// its parent, which is no reason not to run it.
pub(crate) fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}

/// Who ends the program: SIGINT, which Ctrl-C sends, and SIGTERM, which services are stopped with. Both are caught as long as this lives.
#[derive(Debug)]
pub(crate) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Catches them from now on. To be called in a runtime.
    ///
    /// # Errors
    /// The system gives no signal handler.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP: the program is to read again what it can.
#[derive(Debug)]
pub(crate) struct ReloadSignal(Signal);

impl ReloadSignal {
    /// Catches it from now on. To be called in a runtime.
    ///
    /// # Errors
    /// The system gives no signal handler.
    pub(crate) fn catch() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Whether a file is a socket.
pub(crate) fn is_socket(kind: FileType) -> bool {
    kind.is_socket()
}

/// Says who may do what with a file.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// What tells a file from every other that is there at the same time.
pub(crate) fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Opens a file to be read. As PHP does, no link is followed; a pipe is not waited for.
pub(crate) fn open_without_links(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

/// Whether a file may be of somebody who is not the site, and makes himself its user by it: many folders of sessions are
/// writable to every user of the machine.
pub(crate) fn is_foreign(path: &Path, found: &Metadata) -> io::Result<bool> {
    let folder = path.parent().map(fs::metadata).transpose()?;
    let folder_mode = folder.map_or(0, |folder| folder.mode());
    Ok(is_of_another(geteuid().as_raw(), found.uid(), folder_mode))
}

/// PHP's own rule, where everybody may write: a file is one's own, or root's, and root believes all of them.
pub(crate) fn is_of_another(own: u32, owner: u32, folder_mode: u32) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    folder_mode & OTHERS_WRITE != 0 && own != 0 && ![own, 0].contains(&owner)
}

/// A temporary folder is made for this user alone: whoever could write there could run programs as this user.
pub(crate) fn private<'a, 'n>(
    folder: &'a mut tempfile::Builder<'n, 'n>,
) -> &'a mut tempfile::Builder<'n, 'n> {
    folder.permissions(Permissions::from_mode(PRIVATE))
}

/// How many descriptors this process may have; `None`: there is no bound.
pub(crate) fn open_files_max() -> Option<usize> {
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
}
