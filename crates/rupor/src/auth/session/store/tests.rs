//! Files that are sessions, and what is none.

use super::*;
use std::fs::File;

const ID: &str = "abcdefghijklmnopqrstuv";

fn id() -> SessionId {
    SessionId::of_php(ID).expect("an id")
}

fn files(folder: &Path, levels: usize) -> Files {
    Files {
        folder: folder.to_owned(),
        levels,
        prefix: "sess_",
        lifetime: None,
    }
}

#[test]
fn a_session_is_where_php_writes_it() {
    let path = |levels| files(Path::new("/x"), levels).path(&id());
    assert_eq!(path(0), Path::new("/x/sess_abcdefghijklmnopqrstuv"));
    assert_eq!(path(2), Path::new("/x/a/b/sess_abcdefghijklmnopqrstuv"));
}

#[test]
fn what_is_there_is_read_and_what_is_not_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sess_x");
    assert!(matches!(read_file(&path, None), Ok(None)));
    std::fs::write(&path, "u|i:1;").expect("written");
    let read = read_file(&path, None).expect("read");
    assert_eq!(read.as_deref(), Some(&b"u|i:1;"[..]));

    let hour = Duration::from_secs(3600);
    let old = SystemTime::now() - hour;
    let file = File::options().write(true).open(&path).expect("opened");
    file.set_modified(old).expect("aged");
    assert!(matches!(read_file(&path, Some(hour / 2)), Ok(None)));
    assert!(matches!(read_file(&path, Some(2 * hour)), Ok(Some(_))));
}

#[test]
fn a_session_is_no_longer_than_its_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sess_x");
    std::fs::write(&path, vec![b'x'; SESSION_BYTES_MAX]).expect("written");
    let whole = read_file(&path, None).expect("read").expect("there");
    assert_eq!(whole.len(), SESSION_BYTES_MAX);
    std::fs::write(&path, vec![b'x'; SESSION_BYTES_MAX + 1]).expect("written");
    assert!(matches!(read_file(&path, None), Err(StoreError::TooLong)));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read_and_not_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "u|i:1;").expect("written");
    let link = folder.path().join("sess_link");
    std::os::unix::fs::symlink(&secret, &link).expect("linked");
    for path in [&link, &folder.path().to_owned()] {
        match read_file(path, None) {
            Err(StoreError::Unavailable(text)) => assert!(!text.contains("sess_"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Nor does a pipe hold up a thread until somebody writes into it.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_no_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sess_pipe");
    let mode = rustix::fs::Mode::RUSR;
    let file_type = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, file_type, mode, 0).expect("made");
    assert!(matches!(
        read_file(&path, None),
        Err(StoreError::Unavailable(_))
    ));
}

/// Debian's folder of sessions is writable to everybody (1733), so that a user of the machine could write himself one.
#[cfg(unix)]
#[test]
fn where_everybody_writes_a_session_is_of_who_runs_this() {
    const PHP: u32 = 33;
    const STRANGER: u32 = 1000;
    for (own, owner, folder_mode, is_anothers) in [
        (PHP, PHP, 0o1733, false),
        (PHP, 0, 0o1733, false),
        (PHP, STRANGER, 0o1733, true),
        (PHP, STRANGER, 0o1777, true),
        // Another user that a group lets read, in a folder of the site's.
        (998, PHP, 0o2750, false),
        (998, PHP, 0o1770, false),
        (0, STRANGER, 0o1733, false),
    ] {
        assert_eq!(
            crate::system::is_of_another(own, owner, folder_mode),
            is_anothers,
            "{own} {owner} {folder_mode:o}"
        );
    }
}

/// Redis repeats a command that it does not know, with what it was given.
#[test]
fn what_redis_says_of_a_session_does_not_name_it() {
    let said = |text: &str| {
        let answer = format!("-{text}\r\n");
        let error = match ::redis::parse_redis_value(answer.as_bytes()) {
            Ok(::redis::Value::ServerError(error)) => error.into(),
            Ok(_) => panic!("no error"),
            Err(error) => error,
        };
        match unread(&error) {
            StoreError::Unavailable(text) => text,
            StoreError::TooLong => String::new(),
        }
    };
    let unknown =
        "ERR unknown command 'GETRANGE', with args beginning with: 'PHPREDIS_SESSION:abcdef'";
    assert_eq!(said(unknown), "Redis: ERR");
    assert_eq!(said("NOPERM no permission for 'abcdef'"), "Redis: NOPERM");
}
