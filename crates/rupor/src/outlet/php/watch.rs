//! Watching the handlers' files, so that new code runs when it is saved, and code that cannot run does not replace what runs.

use crate::log;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Files that are looked at; of more not all.
const FILES_MAX: usize = 5_000;
/// Folders below the script's.
const DEPTH_MAX: usize = 8;

/// Files that PHP is asked about before they are run; when more have changed, about none.
const CHECKED_MAX: usize = 20;
/// How long it may take to answer about one. Then the file is taken for sound: a process tells in its own way.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest part of its answer that is told, in characters.
const SAID_MAX: usize = 500;

/// When files were written, and how long they are.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Waits until a PHP file in the script's folder, or below it, is there, gone or otherwise than it was `before`; how all of them are
/// then.
pub(super) async fn changed(script: &Path, before: Seen) -> Seen {
    loop {
        sleep(LOOK).await;
        let now = look(script).await;
        if now != before {
            return now;
        }
    }
}

/// What PHP says against the syntax of a file that is there `now` and was otherwise `before`; `None`: nothing.
pub(super) async fn fault(php: &str, before: &Seen, now: &Seen) -> Option<String> {
    let is_new = |(path, how): &(&PathBuf, &_)| before.get(*path) != Some(*how);
    let changed: Vec<_> = now.iter().filter(is_new).map(|(path, _)| path).collect();
    if changed.len() > CHECKED_MAX {
        return None;
    }
    for path in changed {
        if let Some(said) = fault_of(php, path).await {
            return Some(said);
        }
    }
    None
}

async fn fault_of(php: &str, path: &Path) -> Option<String> {
    let mut command = Command::new(php);
    command
        .args(["-d", "display_errors=stderr", "-d", "log_errors=0", "-l"])
        .arg(path)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let answer = timeout(CHECK_TIMEOUT, command.output()).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&answer.stderr);
    let said = said.trim();
    let is_fault = !answer.status.success() && !said.is_empty();
    is_fault.then(|| log::printed(said).chars().take(SAID_MAX).collect())
}

/// How all files are.
pub(super) async fn look(script: &Path) -> Seen {
    let script = script.to_owned();
    let looked = spawn_blocking(move || {
        let mut seen = Seen::new();
        // The parent of a plain name is nothing, which stands for here.
        let folder = script
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        add(folder.unwrap_or(Path::new(".")), DEPTH_MAX, &mut seen);
        seen
    });
    // It does not panic; if it did, nothing would have changed.
    looked.await.unwrap_or_default()
}

fn add(folder: &Path, depth: usize, seen: &mut Seen) {
    // What cannot be read is not there.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if is_hidden || seen.len() >= FILES_MAX {
            continue;
        }
        // Links are not followed, so this ends.
        match entry.metadata() {
            Ok(data) if data.is_dir() && depth > 0 => add(&path, depth - 1, seen),
            Ok(data) if path.extension().is_some_and(|extension| extension == "php") => {
                seen.insert(path, (data.modified().ok(), data.len()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// It does not know PHP's flags and says so, which is as good as a PHP that finds fault with each file.
    const FINDS_FAULT: &str = "sh";

    async fn files(folder: &TempDir, count: usize) -> Seen {
        for number in 0..count {
            fs::write(folder.path().join(format!("{number}.php")), "<?php").unwrap();
        }
        look(&folder.path().join("0.php")).await
    }

    #[tokio::test]
    async fn a_fault_is_told_of_what_changed_only() {
        let folder = TempDir::new().unwrap();
        let seen = files(&folder, 1).await;
        assert!(fault(FINDS_FAULT, &Seen::new(), &seen).await.is_some());
        assert_eq!(fault(FINDS_FAULT, &seen, &seen).await, None);
        // That there is no PHP, whoever starts the processes tells.
        assert_eq!(fault("/no/php", &Seen::new(), &seen).await, None);
    }

    #[tokio::test]
    async fn of_more_than_checked_max_none_is_checked() {
        let folder = TempDir::new().unwrap();
        let seen = files(&folder, CHECKED_MAX).await;
        assert!(fault(FINDS_FAULT, &Seen::new(), &seen).await.is_some());
        let seen = files(&folder, CHECKED_MAX + 1).await;
        assert_eq!(fault(FINDS_FAULT, &Seen::new(), &seen).await, None);
    }
}
