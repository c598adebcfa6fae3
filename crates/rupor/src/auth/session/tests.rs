//! Sessions in files, right and wrong.

use super::*;
use crate::config::{Session, SessionPlace};
use std::path::Path as FilePath;

const ID: &str = "abcdefghijklmnopqrstuvwxyz";

fn sessions(folder: &FilePath, user: &str) -> Sessions {
    Sessions::new(&Session {
        cookie: "PHPSESSID".to_owned(),
        place: SessionPlace::Files {
            folder: folder.to_owned(),
            levels: 0,
            prefix: "sess_",
        },
        format: Format::Php,
        laravel: None,
        user: Path::new(user).expect("a path"),
        recheck: Duration::from_secs(60),
        lifetime: None,
    })
}

fn headers(cookie: &str) -> HeaderMap {
    let value = HeaderValue::from_str(cookie).expect("a header");
    HeaderMap::from_iter([(header::COOKIE, value)])
}

/// Who a cookie is with this session.
fn found(cookie: &str, session: Option<&[u8]>) -> Result<Option<String>, SessionError> {
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(session) = session {
        std::fs::write(folder.path().join(format!("sess_{ID}")), session).expect("written");
    }
    let sessions = sessions(folder.path(), "user.id");
    let Some(cookie) = sessions.shown(&headers(cookie)) else {
        return Ok(None);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let found = runtime.expect("a runtime").block_on(sessions.find(&cookie));
    found.map(|ticket| ticket.ok().map(|ticket| ticket.user.to_string()))
}

fn of(session: &str) -> Result<Option<String>, SessionError> {
    found(&format!("PHPSESSID={ID}"), Some(session.as_bytes()))
}

#[test]
fn who_is_signed_in_is_found_and_who_is_not_is_nobody() {
    let anna = || Ok(Some("anna".to_owned()));
    assert_eq!(of("user|a:1:{s:2:\"id\";s:4:\"anna\";}"), anna());
    assert_eq!(of("user|a:1:{s:2:\"id\";i:7;}"), Ok(Some("7".to_owned())));
    for nobody in [
        "",
        "user|a:0:{}",
        "user|N;",
        "a|i:1;",
        "user|a:1:{s:2:\"id\";i:0;}",
        "user|a:1:{s:2:\"id\";s:0:\"\";}",
    ] {
        assert_eq!(of(nobody), Ok(None), "{nobody}");
    }
    assert_eq!(found(&format!("PHPSESSID={ID}"), None), Ok(None));
    for none in [
        "",
        "PHPSESSID=",
        "phpsessid=abcdefghijklmnopqrstuvwxyz",
        "x=1",
    ] {
        assert_eq!(found(none, None), Ok(None), "{none}");
    }
}

#[test]
fn forged_truncated_oversized_and_nested_sessions_are_told_apart() {
    use SerializedError::{Malformed, TooDeep, Truncated};
    let unreadable = |error| Err(SessionError::Unreadable(error));
    for forged in [
        "../../../../etc/passwd",
        "abcdefghijklmnopqrstuvwxy/",
        "abc",
        &"a".repeat(257),
        "%2e%2e%2fabcdefghijklmnopqrstuv",
        "abcdefghijklmnopqrstuvwxy%00",
    ] {
        let found = found(&format!("PHPSESSID={forged}"), None);
        assert_eq!(found, Err(SessionError::BadCookie), "{forged}");
    }
    assert_eq!(of("user|a:1:{s:2:\"id\";s:4:\"an"), unreadable(Truncated));
    assert_eq!(
        of("user|a:1:{s:2:\"id\";S:4:\"anna\";}"),
        unreadable(Malformed)
    );
    let nested = format!("x|{}", "a:1:{i:0;".repeat(1000));
    assert_eq!(of(&nested), unreadable(TooDeep));
    let long = format!("x|s:1048577:\"{}\";", "x".repeat(1_048_577));
    assert_eq!(of(&long), Err(SessionError::TooLong));
    for value in [
        "b:1;",
        "d:0.5;",
        "a:0:{}",
        "O:8:\"stdClass\":0:{}",
        "s:3:\"a\nb\";",
        "s:1:\"\u{1}\";",
    ] {
        let session = format!("user|a:1:{{s:2:\"id\";{value}}}");
        assert_eq!(of(&session), Err(SessionError::BadUser), "{value}");
    }
    let latin = found(
        &format!("PHPSESSID={ID}"),
        Some(b"user|a:1:{s:2:\"id\";s:1:\"\xff\";}"),
    );
    assert_eq!(latin, Err(SessionError::BadUser));
}

#[test]
fn a_session_that_is_being_written_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("sess_{ID}"));
    std::fs::write(&path, "user|a:1:{s:2:\"i").expect("written");
    let sessions = sessions(folder.path(), "user.id");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let found = runtime.expect("a runtime").block_on(async {
        // It is begun to be read before the rest is written: both are on one thread.
        let find = sessions.find(ID);
        let write = async {
            sleep(READ_AGAIN[0] / 2).await;
            std::fs::write(&path, "user|a:1:{s:2:\"id\";i:5;}").expect("written");
        };
        tokio::join!(find, write).0
    });
    assert_eq!(
        found
            .expect("read")
            .map(|ticket| ticket.user.to_string())
            .as_deref(),
        Ok("5")
    );
}

#[test]
fn nothing_of_a_session_is_shown() {
    let sessions = sessions(FilePath::new("/nowhere/canary"), "canary");
    let ticket = Ticket {
        id: SessionId::of_php(&"canary".repeat(5)).expect("an id"),
        user: "anna".into(),
    };
    assert!(!format!("{ticket:?}").contains("canary"));
    assert!(!format!("{:?}", sessions.store).contains("canary"));
}
