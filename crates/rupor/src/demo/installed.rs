//! Whether there is a PHP that can run the handlers.

use crate::system::HAS_UNIX_SOCKETS;
use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// The oldest version that the PHP library takes, and its `PHP_VERSION_ID`.
pub(crate) const OLDEST: (&str, u32) = ("8.1", 80_100);
/// How long PHP may take to say which version it is.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why the handlers cannot run. Shown, it is a sentence with its fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// There is no such program.
    NotThere(String),
    /// It cannot be run, or does not say which version it is.
    Silent(String),
    /// It is too old: its `PHP_VERSION_ID`.
    TooOld(String, u32),
    /// No process could be handed its stream.
    NoUnixSockets,
}

impl fmt::Display for Lack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(binary) => write!(
                formatter,
                "There is no program {binary} here. Fix: install PHP (apt install php-cli), or name the program with \
                 --php-binary; then start rupor demo again."
            ),
            Self::Silent(binary) => write!(
                formatter,
                "The program {binary} does not say which version of PHP it is. Fix: name PHP's command line program with \
                 --php-binary; then start rupor demo again."
            ),
            Self::NoUnixSockets => formatter.write_str(
                "Handlers in processes of PHP need Unix sockets, which this system does not have.",
            ),
            Self::TooOld(binary, version) => write!(
                formatter,
                "The program {binary} is PHP {}.{}, and the examples need {} or newer. Fix: install a newer one, or name it \
                 with --php-binary; then start rupor demo again.",
                version / 10_000,
                version / 100 % 100,
                OLDEST.0
            ),
        }
    }
}

/// Asks this program for its version; `Ok`: it can run the handlers.
pub(crate) async fn look(binary: &str) -> Result<(), Lack> {
    if !HAS_UNIX_SOCKETS {
        return Err(Lack::NoUnixSockets);
    }
    let asked = Command::new(binary)
        // Without a php.ini, which may print things.
        .args(["-n", "-r", "echo PHP_VERSION_ID;"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = match timeout(ANSWER_MAX, asked).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Lack::NotThere(binary.to_owned()));
        }
        Ok(Ok(output)) => String::from_utf8(output.stdout).ok(),
        _ => None,
    };
    match said.and_then(|said| said.trim().parse().ok()) {
        Some(version) if version >= OLDEST.1 => Ok(()),
        Some(version) => Err(Lack::TooOld(binary.to_owned(), version)),
        None => Err(Lack::Silent(binary.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lack, look};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    /// What is found out about a program that does this.
    async fn found(script: &str) -> Result<(), Lack> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("php");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        look(path.to_str().unwrap()).await
    }

    #[tokio::test]
    async fn php_from_8_1_on_runs_the_handlers() {
        assert_eq!(found("echo 80100").await, Ok(()));
        assert_eq!(found("printf 90000").await, Ok(()));
        let old = found("echo 80099").await.unwrap_err();
        assert!(old.to_string().contains("is PHP 8.0, and"), "{old}");
        let old = found("echo 70433").await.unwrap_err();
        assert!(old.to_string().contains("is PHP 7.4, and"), "{old}");
    }

    #[tokio::test]
    async fn what_is_no_php_is_said_so() {
        for script in ["exit 1", "echo hello", "echo -1", "kill -9 $$"] {
            let lack = found(script).await.unwrap_err();
            assert!(matches!(lack, Lack::Silent(_)), "{script}: {lack}");
        }
        let lack = look("/nowhere/php").await.unwrap_err();
        assert_eq!(lack, Lack::NotThere("/nowhere/php".to_owned()));
        assert!(lack.to_string().contains("apt install php-cli"), "{lack}");
        // A folder can be named, but not be run.
        let lack = look("/").await.unwrap_err();
        assert!(matches!(lack, Lack::Silent(_)), "{lack}");
    }
}
