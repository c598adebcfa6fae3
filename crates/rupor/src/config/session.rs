//! `[session]`: the site's own sessions, as options, and what they come to.

use super::build::{self, Values};
use super::definition::{Default, Definition, SERVE, Shape, option};
use super::error::{ConfigError, Problem};
use super::source::Located;
use super::{Secret, parse, redis};
use crate::auth::session::{APP_KEY_BYTES, Cipher, Format, Path};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Heading that they stand under.
const SECTION: &str = "The site's sessions";
/// What `recheck` may be.
const RECHECK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
/// What `lifetime` may be.
const LIFETIME: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600));
/// Most folders in one another that PHP's `files` may make.
const LEVELS_MAX: usize = 8;
/// Most keys of a Laravel app.
const APP_KEYS_MAX: usize = 16;

/// The site's sessions.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Name of the cookie.
    pub(crate) cookie: String,
    /// Where they lie.
    pub(crate) place: SessionPlace,
    /// How they are written.
    pub(crate) format: Format,
    /// What seals cookies, and perhaps sessions; `None`: a cookie's value is the id.
    pub(crate) laravel: Option<Laravel>,
    /// Under which key the user stands.
    pub(crate) user: Path,
    /// How often those of open connections are looked at again.
    pub(crate) recheck: Duration,
    /// A file that was not written for so long is no session; `None`: it is one for as long as it is there.
    pub(crate) lifetime: Option<Duration>,
}

/// Where sessions lie.
#[derive(Debug, Clone)]
pub(crate) enum SessionPlace {
    /// In files.
    Files {
        /// The folder.
        folder: PathBuf,
        /// Folders in one another below it.
        levels: usize,
        /// What stands before the id in a file's name.
        prefix: &'static str,
    },
    /// In a Redis.
    Redis {
        /// Where it is, perhaps with a password.
        url: Secret,
        /// What stands before the id in a key.
        prefix: String,
    },
}

/// How a Laravel app seals.
#[derive(Debug, Clone)]
pub(crate) struct Laravel {
    /// `APP_KEY` and those before it.
    pub(crate) keys: AppKeys,
    /// `app.cipher`.
    pub(crate) cipher: Cipher,
}

/// Keys that do not print themselves.
#[derive(Clone)]
pub(crate) struct AppKeys(Vec<[u8; APP_KEY_BYTES]>);

impl AppKeys {
    /// The keys.
    pub(crate) fn expose(&self) -> &[[u8; APP_KEY_BYTES]] {
        &self.0
    }
}

impl fmt::Debug for AppKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AppKeys(…)")
    }
}

/// Who writes sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Php,
    PhpSerialize,
    Laravel,
}

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// The sessions; `None`: there are none.
pub(super) fn session(values: &Values<'_>) -> Result<Option<Session>, ConfigError> {
    let formats = [
        ("php", Writer::Php),
        ("php_serialize", Writer::PhpSerialize),
        ("laravel", Writer::Laravel),
    ];
    let writer = values
        .optional("session.format", |text| parse::choice(text, &formats))?
        .unwrap_or(Writer::Php);
    let of_laravel = writer == Writer::Laravel;
    let cookie = values
        .optional("session.cookie", cookie)?
        .unwrap_or_else(|| {
            if of_laravel {
                "laravel_session"
            } else {
                "PHPSESSID"
            }
            .to_owned()
        });
    let user = values.located("session.user");
    let user = match user {
        Some(located) => located.parse(user_path)?,
        None => user_path(if of_laravel { "login_web_*" } else { "user_id" })
            .map_err(ConfigError::Conflict)?,
    };
    let (shortest, longest) = RECHECK;
    let recheck = |text: &str| parse::duration(text, shortest, longest);
    let recheck = values
        .optional("session.recheck", recheck)?
        .unwrap_or(longest);
    let lifetime = |text: &str| parse::duration(text, LIFETIME.0, LIFETIME.1);
    let lifetime = values.optional("session.lifetime", lifetime)?;
    let laravel = laravel(values, of_laravel)?;
    let Some(place) = place(values, of_laravel)? else {
        return Ok(None);
    };
    Ok(Some(Session {
        cookie,
        place,
        format: match writer {
            Writer::Php => Format::Php,
            Writer::PhpSerialize | Writer::Laravel => Format::PhpSerialize,
        },
        laravel,
        user,
        recheck,
        lifetime,
    }))
}

fn place(values: &Values<'_>, of_laravel: bool) -> Result<Option<SessionPlace>, ConfigError> {
    let prefix = values.located("session.redis_prefix");
    match (
        values.located("session.files"),
        values.located("session.redis"),
    ) {
        (None, None) => Ok(None),
        (Some(files), None) => {
            let (levels, folder) = files.parse(folder)?;
            let prefix = if of_laravel { "" } else { "sess_" };
            Ok(Some(SessionPlace::Files {
                folder,
                levels,
                prefix,
            }))
        }
        (None, Some(url)) => {
            let usual = if of_laravel {
                "laravel_database_laravel_cache:"
            } else {
                "PHPREDIS_SESSION:"
            };
            Ok(Some(SessionPlace::Redis {
                url: url.parse(redis::address)?,
                prefix: prefix.map_or(usual, |prefix| &prefix.text).to_owned(),
            }))
        }
        (Some(_), Some(url)) => {
            let what =
                "sessions lie in one place, and `session.files` and `session.redis` are both given";
            Err(Problem::new(what, "leave one of them out").at(&url.origin))
        }
    }
}

fn laravel(values: &Values<'_>, of_laravel: bool) -> Result<Option<Laravel>, ConfigError> {
    let ciphers = [("AES-256-CBC", Cipher::Cbc), ("AES-256-GCM", Cipher::Gcm)];
    let cipher = values
        .optional("session.cipher", |text| parse::choice(text, &ciphers))?
        .unwrap_or(Cipher::Cbc);
    let keys = match (
        values.located("session.app_key"),
        values.located("session.app_key_file"),
    ) {
        (None, None) => None,
        (Some(text), None) => Some((text, app_keys(text, &text.text)?)),
        (None, Some(file)) => {
            let bytes = build::read_key_file(file)?;
            Some((file, app_keys(file, &String::from_utf8_lossy(&bytes))?))
        }
        (Some(_), Some(file)) => {
            let what = "`session.app_key` and `session.app_key_file` are both given";
            return Err(Problem::new(what, "leave one of them out").at(&file.origin));
        }
    };
    match (keys, of_laravel) {
        (Some((_, keys)), true) => Ok(Some(Laravel { keys, cipher })),
        (None, false) => Ok(None),
        (None, true) => Err(ConfigError::Conflict(Problem::new(
            "session.format = \"laravel\", and there is no key that opens the cookie",
            "give --session-app-key-file FILE with the app's APP_KEY, or RUPOR_SESSION_APP_KEY",
        ))),
        (Some((place, _)), false) => {
            let what = "only Laravel's cookies are sealed with an APP_KEY";
            Err(Problem::new(what, "add session.format = \"laravel\"").at(&place.origin))
        }
    }
}

/// `base64:…` for each, the app's own first. What is wrong is told without them.
fn app_keys(located: &Located, text: &str) -> Result<AppKeys, ConfigError> {
    let parts = text.split(|character: char| character.is_whitespace() || character == ',');
    let key = |part: &str| {
        STANDARD
            .decode(part.strip_prefix("base64:")?)
            .ok()?
            .try_into()
            .ok()
    };
    let keys: Option<Vec<[u8; APP_KEY_BYTES]>> =
        parts.filter(|part| !part.is_empty()).map(key).collect();
    match keys {
        Some(keys) if (1..=APP_KEYS_MAX).contains(&keys.len()) => Ok(AppKeys(keys)),
        _ => {
            let what = format!("this is no APP_KEY: it has `base64:` and {APP_KEY_BYTES} bytes");
            let fix = "copy it from the app's .env; earlier ones (APP_PREVIOUS_KEYS) stand behind it, with a comma or on a line of their own, 16 in all";
            Err(Problem::new(what, fix).at(&located.origin))
        }
    }
}

fn cookie(text: &str) -> Result<String, Problem> {
    // RFC 6265 §4.1.1: a token.
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token_byte) {
        let what = format!("{} is no cookie's name", parse::shown(text));
        return Err(Problem::new(
            what,
            "write what session_name() gives: PHPSESSID",
        ));
    }
    Ok(text.to_owned())
}

fn user_path(text: &str) -> Result<Path, Problem> {
    Path::new(text).ok_or_else(|| {
        let what = format!("{} leads nowhere", parse::shown(text));
        Problem::new(
            what,
            "write the keys in one another with full stops: user_id, or user.id",
        )
    })
}

/// `/PATH`, `N;/PATH`, `N;MODE;/PATH`, as PHP has it.
fn folder(text: &str) -> Result<(usize, PathBuf), Problem> {
    let (levels, path) = match text.split_once(';') {
        None => (Some(0), text),
        Some((levels, rest)) => {
            let levels = levels.parse().ok().filter(|levels| *levels <= LEVELS_MAX);
            (levels, rest.rsplit(';').next().unwrap_or(rest))
        }
    };
    match levels {
        Some(levels) if path.starts_with('/') => Ok((levels, PathBuf::from(path))),
        _ => Err(Problem::new(
            format!("{} is no folder of sessions", parse::shown(text)),
            "write what session_save_path() gives: /var/lib/php/sessions, or N;/PATH; for Laravel the full path of storage/framework/sessions",
        )),
    }
}

static OPTIONS: &[Definition] = &[
    option(
        SECTION,
        "session.files",
        Shape::Text,
        "FOLDER",
        Default::Explained("none; `auth = \"session\"` needs a place"),
        "Where PHP keeps sessions in files (docs/howto/sessions.md): `session.save_path`, also as `N;/PATH`; for Laravel `storage/framework/sessions`",
    ).of(SERVE).example("files = \"/var/lib/php/sessions\""),
    option(
        SECTION,
        "session.redis",
        Shape::Secret,
        "redis://HOST:PORT/DB",
        Default::Explained("none"),
        "The Redis that keeps sessions instead, perhaps with a password: `redis://:PASSWORD@HOST:PORT/DB`. There is no flag for it, because other users can \
         read a command line",
    ).of(SERVE).example("redis = \"redis://127.0.0.1:6379/0\""),
    option(
        SECTION,
        "session.redis_prefix",
        Shape::Text,
        "TEXT",
        Default::Explained(
            "`PHPREDIS_SESSION:`; for Laravel `laravel_database_laravel_cache:`",
        ),
        "What stands before a session's id in a key of that Redis; for Laravel `database.redis.options.prefix`, `cache.prefix` and a colon",
    ).of(SERVE).example("redis_prefix = \"PHPREDIS_SESSION:\""),
    option(
        SECTION,
        "session.format",
        Shape::Text,
        "php|php_serialize|laravel",
        Default::Value("php"),
        "How sessions are written: `session.serialize_handler` of PHP, or `laravel`, which seals the cookie, too",
    ).of(SERVE),
    option(
        SECTION,
        "session.cookie",
        Shape::Text,
        "NAME",
        Default::Explained("`PHPSESSID`; for Laravel `laravel_session`"),
        "The cookie that names the session: `session.name` of PHP, `session.cookie` of Laravel",
    ).of(SERVE).example("cookie = \"PHPSESSID\""),
    option(
        SECTION,
        "session.user",
        Shape::Text,
        "KEY",
        Default::Explained("`user_id`; for Laravel `login_web_*`"),
        "The key of the session that the user's id stands under; of arrays in one another with full stops, `user.id`; `*` at the end of a key stands for any rest. \
         What PHP calls empty is nobody",
    ).of(SERVE).example("user = \"user_id\""),
    option(
        SECTION,
        "session.recheck",
        Shape::Text,
        "TIME",
        Default::Value("1m"),
        "How often sessions of open connections are looked at again, from 1s to 24h: who has signed out is closed with 3504, who is another user with 3002",
    ).of(SERVE),
    option(
        SECTION,
        "session.lifetime",
        Shape::Text,
        "TIME",
        Default::Explained("a file is a session for as long as it is there"),
        "A file that was not written for so long is no session any more: `session.lifetime` of Laravel. A Redis forgets keys by itself",
    ).of(SERVE).example("lifetime = \"2h\""),
    option(
        SECTION,
        "session.app_key_file",
        Shape::Text,
        "FILE",
        Default::Explained("none; Laravel's cookies need one"),
        "File with the `APP_KEY` of a Laravel app, `base64:…`; earlier ones (`APP_PREVIOUS_KEYS`) on lines of their own below it",
    ).of(SERVE).example("app_key_file = \"/etc/rupor/app.key\""),
    option(
        SECTION,
        "session.app_key",
        Shape::Secret,
        "TEXT",
        Default::Explained("see session.app_key_file"),
        "The same in place, with commas between several. There is no flag for it, because other users can read a command line",
    ).of(SERVE).example("app_key = \"base64:…\""),
    option(
        SECTION,
        "session.cipher",
        Shape::Text,
        "AES-256-CBC|AES-256-GCM",
        Default::Value("AES-256-CBC"),
        "How the app seals: `app.cipher` of Laravel",
    ).of(SERVE),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use crate::config::source;

    fn loaded(table: &str) -> Result<Option<Session>, String> {
        let layer = source::of_text(Mode::Serve, &format!("[session]\n{table}"))
            .map_err(|error| error.to_string())?;
        session(&Values::new(&layer)).map_err(|error| error.to_string())
    }

    fn error(table: &str) -> String {
        loaded(table).expect_err(table)
    }

    #[test]
    fn defaults_are_those_of_php_and_of_laravel() {
        assert!(loaded("").unwrap().is_none());
        let php = loaded("files = \"/var/lib/php/sessions\"")
            .unwrap()
            .unwrap();
        assert_eq!((&*php.cookie, php.format), ("PHPSESSID", Format::Php));
        assert_eq!(php.recheck, Duration::from_secs(60));
        assert!(matches!(
            php.place,
            SessionPlace::Files {
                levels: 0,
                prefix: "sess_",
                ..
            }
        ));
        let key = format!("base64:{}", STANDARD.encode([7; 32]));
        let laravel = format!(
            "redis = \"redis://127.0.0.1/\"\nformat = \"laravel\"\napp_key = \"{key},{key}\""
        );
        let laravel = loaded(&laravel).unwrap().unwrap();
        assert_eq!(
            (&*laravel.cookie, laravel.format),
            ("laravel_session", Format::PhpSerialize)
        );
        assert_eq!(laravel.laravel.unwrap().keys.expose(), [[7; 32]; 2]);
        let keys = |count: usize| {
            format!(
                "format = \"laravel\"\nfiles = \"/a\"\napp_key = \"{}\"",
                vec![&*key; count].join(" ")
            )
        };
        assert!(loaded(&keys(APP_KEYS_MAX)).is_ok());
        assert!(error(&keys(APP_KEYS_MAX + 1)).contains("16 in all"));
    }

    #[test]
    fn folders_are_written_as_php_has_them() {
        for (text, levels, path) in [
            ("/a/b", 0, "/a/b"),
            ("2;/a", 2, "/a"),
            ("1;0660;/a;b", 1, "b"),
        ] {
            let expected = path.starts_with('/').then(|| (levels, PathBuf::from(path)));
            assert_eq!(folder(text).ok(), expected, "{text}");
        }
        for bad in ["", "a", "x;/a", "9;/a", "tcp://127.0.0.1:6379"] {
            assert!(folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_told_and_no_secret() {
        let files = "files = \"/a\"\n";
        for (table, told) in [
            (
                "files = \"/a\"\nredis = \"redis://:hush@127.0.0.1/\"",
                "both given",
            ),
            ("redis = \"hush\"", "redis://HOST"),
            ("files = \"/a\"\ncookie = \"a b\"", "session_name()"),
            ("files = \"/a\"\nuser = \"a..b\"", "user.id"),
            ("files = \"/a\"\nrecheck = \"0s\"", "out of range"),
            ("files = \"/a\"\nformat = \"igbinary\"", "php_serialize"),
            (
                "files = \"/a\"\nformat = \"laravel\"",
                "--session-app-key-file",
            ),
            ("files = \"/a\"\napp_key = \"base64:aHVzaA==\"", "base64:"),
            (
                "files = \"/a\"\nformat = \"laravel\"\napp_key = \"hush\"",
                "APP_KEY",
            ),
        ] {
            let error = error(table);
            assert!(
                error.contains(told) && !error.contains("hush") && !error.contains("aHVz"),
                "{error}"
            );
        }
        let key = STANDARD.encode([7; 32]);
        let sealed = error(&format!("{files}app_key = \"base64:{key}\""));
        assert!(
            sealed.contains("session.format") && !sealed.contains(&key),
            "{sealed}"
        );
        let config = loaded(&format!(
            "{files}format = \"laravel\"\napp_key = \"base64:{key}\""
        ));
        assert!(!format!("{config:?}").contains('7'), "{config:?}");
    }
}
