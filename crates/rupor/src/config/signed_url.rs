//! `[signed_url]`: addresses that the site signed for a user.

use super::Secret;
use super::build::{self, Values};
use super::definition::{Default, Definition, SERVE, Shape, option};
use super::error::{ConfigError, Problem};

/// Heading that they stand under.
const SECTION: &str = "Signed addresses";

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// The key; `None`: there is none.
pub(super) fn key(values: &Values<'_>) -> Result<Option<Secret>, ConfigError> {
    let (key, file) = (
        values.located("signed_url.key"),
        values.located("signed_url.key_file"),
    );
    let (located, bytes) = match (key, file) {
        (None, None) => return Ok(None),
        (Some(key), None) => (key, key.text.clone().into_bytes()),
        (None, Some(file)) => (file, build::without_line_end(build::read_key_file(file)?)),
        (Some(key), Some(_)) => {
            let problem = Problem::new("the key is given twice", "leave one of them out");
            return Err(problem.at(&key.origin));
        }
    };
    crate::auth::key::check_secret(&bytes)
        .map_err(|error| Problem::new(error.to_string(), "name another key").at(&located.origin))?;
    Ok(Some(Secret::new(bytes)))
}

static OPTIONS: &[Definition] = &[
    option(
        SECTION,
        "signed_url.key_file",
        Shape::Text,
        "FILE",
        Default::Explained("none; `auth = \"signed\"` needs one"),
        "File with the key that addresses are signed with (docs/howto/signed-url.md): 32 bytes or more; one line end at its end is left out",
    ).of(SERVE).example("key_file = \"/etc/rupor/url.key\""),
    option(
        SECTION,
        "signed_url.key",
        Shape::Secret,
        "TEXT",
        Default::Explained("see signed_url.key_file"),
        "The same in place. There is no flag for it, because other users can read a command line",
    ).of(SERVE).example("key = \"…\""),
];
