//! Watching the handlers' files, so that new code runs when it is saved.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Files that are looked at; of more not all.
const FILES_MAX: usize = 5_000;
/// Folders below the script's.
const DEPTH_MAX: usize = 8;

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
