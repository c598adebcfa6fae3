//! Opens the line inlets: TCP ports and Unix socket files.
//!
//! Invariants of the socket file: nobody can connect before its mode is [`SOCKET_MODE`], because the socket listens only
//! afterwards; a socket that somebody still answers on is never replaced, a file that is no socket never removed; at the
//! end the file is removed only if it is still the one that was made here.

use crate::config::InletAddress;
use crate::system::{self, StdUnixListener};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Mode of the socket file: owner and group. The web server's user belongs into the group.
pub(crate) const SOCKET_MODE: u32 = 0o660;
/// Connections that wait to be accepted; a writer that closed already waits there too, with its lines.
const LISTEN_BACKLOG: i32 = 1024;

/// Why an inlet could not be opened. The text names the flag to change.
#[derive(Debug)]
pub(crate) struct InletError {
    address: InletAddress,
    problem: Problem,
    /// The flag that names another address.
    flag: &'static str,
}

/// What stands in the way.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Another program listens there.
    Taken,
    /// The file exists and is no socket.
    NotASocket,
    /// The folder of the socket file does not exist.
    NoFolder,
    /// Not allowed: a port below 1024, or a folder that is somebody else's.
    NotAllowed,
    /// This machine does not have that address.
    NotOurAddress,
    /// Something else.
    Io(io::Error),
}

#[cfg(test)]
impl InletError {
    /// What stands in the way.
    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for InletError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, flag, .. } = self;
        match (&self.problem, address) {
            (Problem::Taken, InletAddress::Tcp(_)) => write!(
                formatter,
                "{address} is taken by another program: choose another port with {flag} tcp://ADDRESS:PORT"
            ),
            (Problem::Taken, InletAddress::Unix(_)) => write!(
                formatter,
                "another program answers on {address}: end it, or choose another path with {flag} unix:///PATH"
            ),
            (Problem::NotASocket, _) => write!(
                formatter,
                "{address}: there is a file that is no socket, and it is left alone: choose another path with {flag} unix:///PATH"
            ),
            (Problem::NoFolder, _) => write!(
                formatter,
                "{address}: the folder does not exist: make it, or choose another path with {flag} unix:///PATH"
            ),
            (Problem::NotAllowed, InletAddress::Tcp(_)) => write!(
                formatter,
                "{address}: not allowed to listen there (ports below 1024 need a privilege): choose another with {flag} tcp://ADDRESS:PORT"
            ),
            (Problem::NotAllowed, InletAddress::Unix(_)) => write!(
                formatter,
                "{address}: not allowed to make a file there: choose another path with {flag} unix:///PATH"
            ),
            (Problem::NotOurAddress, _) => write!(
                formatter,
                "{address}: this machine does not have that address: choose another with {flag} tcp://ADDRESS:PORT"
            ),
            (Problem::Io(error), _) => write!(formatter, "{flag} {address}: {error}"),
        }
    }
}

impl std::error::Error for InletError {}

/// An inlet that listens and does not accept yet.
#[derive(Debug)]
pub(crate) struct Inlet {
    address: InletAddress,
    pub(crate) listener: Listener,
}

/// What it listens on. Both do not block.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(StdUnixListener, SocketFile),
}

impl Inlet {
    /// Opens an inlet that `flag` names. Port 0 becomes a free one: see [`Inlet::address`].
    ///
    /// # Errors
    /// What stands in the way, naming the address and the flag.
    pub(crate) fn open(address: &InletAddress, flag: &'static str) -> Result<Self, InletError> {
        let failed = |problem| InletError {
            address: address.clone(),
            problem,
            flag,
        };
        match address {
            InletAddress::Tcp(socket) => {
                let listener = open_tcp(*socket).map_err(|error| failed(tcp_problem(error)))?;
                let local = listener
                    .local_addr()
                    .map_err(|error| failed(Problem::Io(error)))?;
                Ok(Self {
                    address: InletAddress::Tcp(local),
                    listener: Listener::Tcp(listener),
                })
            }
            InletAddress::Unix(path) => {
                let (listener, file) = open_unix(path).map_err(failed)?;
                Ok(Self {
                    address: address.clone(),
                    listener: Listener::Unix(listener, file),
                })
            }
        }
    }

    /// A Unix socket that listens already. Its file belongs to whoever made it.
    ///
    /// # Errors
    /// It has no path.
    #[cfg(unix)]
    pub(crate) fn of_passed(listener: StdUnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let path = address
            .as_pathname()
            .ok_or_else(|| io::Error::other("a Unix socket without a path was passed"))?;
        Ok(Self {
            address: InletAddress::Unix(path.to_path_buf()),
            listener: Listener::Unix(listener, SocketFile { made: None }),
        })
    }

    /// A TCP socket that listens already and does not block.
    pub(crate) fn of_listener(address: SocketAddr, listener: TcpListener) -> Self {
        Self {
            address: InletAddress::Tcp(address),
            listener: Listener::Tcp(listener),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &InletAddress {
        &self.address
    }
}

fn open_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Without it a restart fails for a minute because of connections of the time before (TIME_WAIT). On Windows it would let
    // two programs have one port.
    if cfg!(not(windows)) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn tcp_problem(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::AddrInUse => Problem::Taken,
        io::ErrorKind::PermissionDenied => Problem::NotAllowed,
        io::ErrorKind::AddrNotAvailable => Problem::NotOurAddress,
        _ => Problem::Io(error),
    }
}

fn open_unix(path: &Path) -> Result<(StdUnixListener, SocketFile), Problem> {
    remove_stale(path)?;
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // From here on the file is ours to remove, whatever fails.
        let file = SocketFile::made_at(path)?;
        // Until `listen` whoever connects is refused, so the mode that the umask left is never in force.
        system::set_mode(path, SOCKET_MODE)?;
        socket.listen(LISTEN_BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok((socket.into(), file))
    };
    open().map_err(|error: io::Error| match error.kind() {
        // Somebody was faster between the look and the bind.
        io::ErrorKind::AddrInUse => Problem::Taken,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Problem::NoFolder,
        io::ErrorKind::PermissionDenied => Problem::NotAllowed,
        _ => Problem::Io(error),
    })
}

/// Makes room for a new socket file: removes one that nobody answers on.
fn remove_stale(path: &Path) -> Result<(), Problem> {
    // Not following links: what a link points at is not ours to remove.
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Problem::NoFolder);
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Problem::NotAllowed);
        }
        Err(error) => return Err(Problem::Io(error)),
    };
    if !system::is_socket(metadata.file_type()) {
        return Err(Problem::NotASocket);
    }
    if is_answered(path)? {
        return Err(Problem::Taken);
    }
    tracing::info!(path = %path.display(), "replacing a socket file that nobody answers on");
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Problem::NotAllowed),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Problem::Io(error)),
        _ => Ok(()),
    }
}

fn is_answered(path: &Path) -> Result<bool, Problem> {
    // Not blocking: a live one whose backlog is full would let a connect wait.
    let connect = || -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Problem::NotAllowed),
        // A socket of another type (EPROTOTYPE) is somebody's too.
        Err(_) => Ok(true),
    }
}

/// A socket file; removes it at the end, unless it is somebody else's.
#[derive(Debug)]
pub(crate) struct SocketFile {
    made: Option<MadeFile>,
}

#[derive(Debug)]
struct MadeFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn made_at(path: &Path) -> io::Result<Self> {
        let identity = system::identity(&fs::symlink_metadata(path)?);
        Ok(Self {
            made: Some(MadeFile {
                path: path.to_path_buf(),
                identity,
            }),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Some(MadeFile { path, identity }) = &self.made else {
            return;
        };
        let ours =
            fs::symlink_metadata(path).is_ok_and(|found| system::identity(&found) == *identity);
        if ours && let Err(error) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "the socket file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inlet, Problem, SOCKET_MODE};
    use crate::config::InletAddress;
    use std::fs;
    use std::net::TcpListener;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;

    fn unix(path: &Path) -> InletAddress {
        InletAddress::Unix(path.to_path_buf())
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = InletAddress::Tcp(taken.local_addr().expect("its address"));
        let error = Inlet::open(&address, "--inlet").expect_err("taken");
        assert!(matches!(error.problem(), Problem::Taken));
        let text = error.to_string();
        assert!(
            text.contains("--inlet") && text.contains(&address.to_string()),
            "{text}"
        );
        let elsewhere = "tcp://192.0.2.1:1".parse().expect("an address");
        let error = Inlet::open(&elsewhere, "--inlet").expect_err("not ours");
        assert!(matches!(error.problem(), Problem::NotOurAddress), "{error}");
    }

    #[test]
    fn port_0_becomes_a_port() {
        let inlet = Inlet::open(&"tcp://127.0.0.1:0".parse().expect("an address"), "--inlet");
        let address = inlet.expect("a port").address().to_string();
        assert!(!address.ends_with(":0"), "{address}");
    }

    #[test]
    fn the_socket_file_is_for_owner_and_group_and_goes_with_the_inlet() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rupor.sock");
        let inlet = Inlet::open(&unix(&path), "--inlet").expect("open");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, SOCKET_MODE);
        UnixStream::connect(&path).expect("it listens");
        drop(inlet);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rupor.sock");
        // Dropping a std listener leaves its file behind.
        drop(UnixListener::bind(&path).expect("bind"));
        assert!(path.exists());
        let live = Inlet::open(&unix(&path), "--inlet").expect("a stale one is replaced");
        let error = Inlet::open(&unix(&path), "--inlet").expect_err("live");
        assert!(matches!(error.problem(), Problem::Taken), "{error}");
        assert!(error.to_string().contains("--inlet"), "{error}");
        UnixStream::connect(&path).expect("the live one still answers");
        drop(live);
        // One that does not accept, and whose backlog is full, is live too.
        let busy = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let busy = busy.expect("a socket");
        busy.bind(&socket2::SockAddr::unix(&path).expect("a path"))
            .expect("bind");
        busy.listen(0).expect("listen");
        let _waiting = UnixStream::connect(&path).expect("in the backlog");
        let error = Inlet::open(&unix(&path), "--inlet").expect_err("busy");
        assert!(matches!(error.problem(), Problem::Taken), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("precious");
        fs::write(&file, "text").expect("written");
        let link = folder.path().join("link");
        symlink(&file, &link).expect("linked");
        let socket = folder.path().join("stale.sock");
        drop(UnixListener::bind(&socket).expect("bind"));
        let link_to_socket = folder.path().join("link.sock");
        symlink(&socket, &link_to_socket).expect("linked");
        for path in [&file, &link, &link_to_socket, &folder.path().to_path_buf()] {
            let error = Inlet::open(&unix(path), "--inlet").expect_err("no socket");
            assert!(matches!(error.problem(), Problem::NotASocket), "{error}");
            assert!(path.exists(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(&file).expect("still there"), "text");
    }

    #[test]
    fn a_path_without_a_folder_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        for path in [
            folder.path().join("none/rupor.sock"),
            file.join("rupor.sock"),
        ] {
            let error = Inlet::open(&unix(&path), "--inlet").expect_err("no folder");
            assert!(matches!(error.problem(), Problem::NoFolder), "{error}");
        }
    }

    #[test]
    fn a_file_that_took_its_place_is_not_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rupor.sock");
        let first = Inlet::open(&unix(&path), "--inlet").expect("open");
        fs::rename(&path, folder.path().join("moved")).expect("moved away");
        let second = Inlet::open(&unix(&path), "--inlet").expect("open");
        drop(first);
        UnixStream::connect(&path).expect("the second one is still there");
        drop(second);
    }
}
