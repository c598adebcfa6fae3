//! Whether the site's sessions can be read, where they say who somebody is.

use super::Subject;
use super::findings::Findings;
use crate::auth::session::Sessions;
use crate::config::SessionPlace;
use std::io::ErrorKind;
use std::path::Path;

const CHECK: &str = "sessions";
/// Files of a folder that are looked at, to find one that is a session's.
const ENTRIES_MAX: usize = 1000;

/// Looks where the configuration has sessions.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(session) = &subject.config.auth.session else {
        return;
    };
    let fix = "look at the table [session]: docs/howto/sessions.md";
    if let Err(error) = Sessions::new(session).probe().await {
        return findings.problem(CHECK, error, fix);
    }
    let SessionPlace::Files { folder, prefix, .. } = &session.place else {
        return findings.ok(CHECK, "their Redis answers");
    };
    match readable(folder, prefix) {
        Some(false) => findings.problem(
            CHECK,
            format!("files in {} may not be read", folder.display()),
            "run rupor as the user that PHP runs as, or let a group read them: session.save_path = \"0;0640;/PATH\"",
        ),
        Some(true) => findings.ok(CHECK, "their files can be read"),
        // PHP's own folder shows nobody what is in it.
        None => findings.ok(CHECK, "their folder is there"),
    }
}

/// Whether a file in the folder can be read; `None`: there is none, or that cannot be seen.
fn readable(folder: &Path, prefix: &str) -> Option<bool> {
    let entries = std::fs::read_dir(folder).ok()?.take(ENTRIES_MAX);
    let is_session = |entry: &std::fs::DirEntry| {
        let is_named = entry.file_name().to_string_lossy().starts_with(prefix);
        is_named && entry.file_type().is_ok_and(|kind| kind.is_file())
    };
    let session = entries.flatten().find(is_session)?;
    match std::fs::File::open(session.path()) {
        Ok(_) => Some(true),
        Err(error) => (error.kind() == ErrorKind::PermissionDenied).then_some(false),
    }
}
