//! Windows, as far as it goes: it is built, and was never run there. TCP, the HTTP API, TLS, php-fpm and webhooks by TCP need nothing of
//! this; Ctrl-C, Ctrl-Break and the end of the console or the machine stop the program as SIGTERM does elsewhere.
//!
//! The types of Unix sockets are here those of TCP, so that the code that takes them is the same: nobody ever gets one.

use std::fs::{File, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;
use tokio::signal::windows;

pub(crate) use std::net::TcpListener as StdUnixListener;
pub(crate) use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub(crate) use tokio::net::{TcpListener as UnixListener, TcpStream as UnixStream};

fn no_unix_sockets() -> io::Error {
    io::Error::new(
        ErrorKind::Unsupported,
        "this system has no Unix sockets: name a TCP address",
    )
}

/// There is nothing to connect to.
pub(crate) async fn connect_unix(_: &Path) -> io::Result<UnixStream> {
    Err(no_unix_sockets())
}

/// There is nothing to connect to.
pub(crate) fn connect_unix_mio(_: &Path) -> io::Result<mio::net::TcpStream> {
    Err(no_unix_sockets())
}

/// There is none.
pub(crate) fn stream_for_program() -> io::Result<(UnixStream, Stdio)> {
    Err(no_unix_sockets())
}

/// Nothing to do: no program is started that would need it.
pub(crate) fn apart(program: &mut Command) -> &mut Command {
    program
}

/// Nobody asks for it: `replace_with` comes to nothing.
pub(crate) fn parent_id() -> u32 {
    0
}

/// A process stays what it is.
pub(crate) fn replace_with(_: &mut std::process::Command) -> io::Error {
    ErrorKind::Unsupported.into()
}

/// A process may outlive its parent.
pub(crate) fn end_with_parent() {}

/// Who ends the program. All are caught as long as this lives.
#[derive(Debug)]
pub(crate) struct EndSignals {
    interrupt: windows::CtrlC,
    terminate: windows::CtrlBreak,
    close: windows::CtrlClose,
    shutdown: windows::CtrlShutdown,
}

impl EndSignals {
    /// Catches them from now on. To be called in a runtime.
    ///
    /// # Errors
    /// The system gives no handler.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            terminate: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

/// Nobody sends one: a new certificate needs a restart.
#[derive(Debug)]
pub(crate) struct ReloadSignal;

impl ReloadSignal {
    /// Nothing to catch.
    ///
    /// # Errors
    /// None.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for ever.
    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}

/// There are no sockets among files.
pub(crate) fn is_socket(_: FileType) -> bool {
    false
}

/// There are no modes: a file has the rights of its folder.
pub(crate) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Not asked of any file: there are no socket files.
pub(crate) fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Opens a file to be read.
pub(crate) fn open_without_links(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Whose a file is, is not known here.
pub(crate) fn is_foreign(_: &Path, _: &Metadata) -> io::Result<bool> {
    Ok(false)
}

/// The folder has the rights of its parent, which is the user's own.
pub(crate) fn private<'a, 'n>(
    folder: &'a mut tempfile::Builder<'n, 'n>,
) -> &'a mut tempfile::Builder<'n, 'n> {
    folder
}

/// There is no bound that the system tells of.
pub(crate) fn open_files_max() -> Option<usize> {
    None
}
