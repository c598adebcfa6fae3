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
    for path in to_check(before, now) {
        if let Some(said) = fault_of(php, path).await {
            return Some(said);
        }
    }
    None
}

/// What has changed; none of them when they are too many.
fn to_check<'s>(before: &Seen, now: &'s Seen) -> Vec<&'s PathBuf> {
    let is_new = |(path, how): &(&PathBuf, &_)| before.get(*path) != Some(*how);
    let changed: Vec<_> = now.iter().filter(is_new).map(|(path, _)| path).collect();
    if changed.len() > CHECKED_MAX {
        return Vec::new();
    }
    changed
}

/// What PHP says against the syntax of one file; `None`: nothing, also where it does not answer.
pub(super) async fn fault_of(php: &str, path: &Path) -> Option<String> {
    let mut command = Command::new(php);
    command
        .args(["-d", "display_errors=stderr", "-d", "log_errors=0", "-l"])
        .arg(path)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let answer = timeout(CHECK_TIMEOUT, command.output()).await.ok()?.ok()?;
    said_against(&answer.stdout, &answer.stderr)
}

/// What such an answer says. Workers in other languages speak the protocol, too, and what runs those does not know the question.
fn said_against(stdout: &[u8], stderr: &[u8]) -> Option<String> {
    let is_fault = stdout.starts_with(b"Errors parsing");
    let said = String::from_utf8_lossy(stderr);
    is_fault.then(|| log::printed(said.trim()).chars().take(SAID_MAX).collect())
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

    fn files(count: usize, bytes: u64) -> Seen {
        let file = |number| (PathBuf::from(format!("{number:02}.php")), (None, bytes));
        (0..count).map(file).collect()
    }

    #[test]
    fn what_changed_is_checked_and_nothing_else() {
        let (before, mut now) = (files(3, 1), files(4, 1));
        assert_eq!(to_check(&before, &now), [Path::new("03.php")]);
        now.insert("01.php".into(), (None, 2));
        assert_eq!(to_check(&before, &now).len(), 2);
        assert!(to_check(&now, &now).is_empty());
    }

    #[test]
    fn of_more_than_checked_max_none_is_checked() {
        let now = files(CHECKED_MAX, 1);
        assert_eq!(to_check(&Seen::new(), &now).len(), CHECKED_MAX);
        assert!(to_check(&Seen::new(), &files(CHECKED_MAX + 1, 1)).is_empty());
    }

    #[test]
    fn only_php_finds_fault() {
        let fault = b"\nParse error: Unclosed '(' on line 1 in a.php on line 2\n";
        let said = said_against(b"Errors parsing a.php\n", fault).unwrap();
        assert_eq!(
            said,
            "Parse error: Unclosed '(' on line 1 in a.php on line 2"
        );
        let long = said_against(b"Errors parsing a.php\n", &[b'x'; SAID_MAX + 1]);
        assert_eq!(long.unwrap().len(), SAID_MAX);
        assert_eq!(said_against(b"", b"python3: can't open file"), None);
        assert_eq!(
            said_against(b"No syntax errors detected in a.php\n", b""),
            None
        );
    }
}
