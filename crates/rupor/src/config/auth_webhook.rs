//! `[auth_webhook]`: the address of the site's that says who somebody is and what he may, as options, and what they come to.

use super::build::Values;
use super::definition::{Default, Definition, SERVE, Shape, option};
use super::error::{ConfigError, Problem};
use super::{Secret, calls, parse};
use http::header::{self, HeaderName};
use std::time::Duration;

/// Heading that they stand under.
const SECTION: &str = "Asking the site";
/// What an answer may take: an upgrade has `limits.admit_timeout_ms`.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Who is asked.
#[derive(Debug, Clone)]
pub(crate) struct AuthWebhookConfig {
    /// `http` or `https`.
    pub(crate) url: http::Uri,
    /// What questions are signed with.
    pub(crate) key: Secret,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// Headers of an upgrade that go along.
    pub(crate) headers: Vec<HeaderName>,
}

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// Who is asked; `None`: nobody.
pub(super) fn auth_webhook(values: &Values<'_>) -> Result<Option<AuthWebhookConfig>, ConfigError> {
    let (shortest, longest) = TIMEOUT;
    let timeout = |text: &str| parse::duration(text, shortest, longest);
    let timeout = values.optional("auth_webhook.timeout", timeout)?;
    let headers = values.each("auth_webhook.headers", header)?;
    let Some((url, key)) = calls::signed_address(values, "auth_webhook")? else {
        return Ok(None);
    };
    Ok(Some(AuthWebhookConfig {
        url,
        key,
        timeout: timeout.unwrap_or(longest),
        headers,
    }))
}

fn header(text: &str) -> Result<HeaderName, Problem> {
    let name = HeaderName::try_from(text).ok();
    // What is of the handshake says nothing about who it is.
    let is_of_handshake = |name: &HeaderName| *name == header::SEC_WEBSOCKET_KEY;
    name.filter(|name| !is_of_handshake(name)).ok_or_else(|| {
        let what = format!("{} is no header's name", parse::shown(text));
        Problem::new(
            what,
            "write names of headers: [\"cookie\", \"authorization\"]",
        )
    })
}

static OPTIONS: &[Definition] = &[
    option(
        SECTION,
        "auth_webhook.url",
        Shape::Text,
        "URL",
        Default::Explained(
            "nobody is asked; `auth = \"webhook\"` and rules with `webhook` need one",
        ),
        "What is asked by POST who an upgrade comes from (`auth = \"webhook\"`), and what a connection may do in a channel (`subscribe = \"webhook\"`): docs/howto/auth-webhook.md",
    ).of(SERVE).example("url = \"https://example.org/ws-auth\""),
    option(
        SECTION,
        "auth_webhook.key_file",
        Shape::Text,
        "FILE",
        Default::Explained("none; it needs one"),
        "File with the key that questions are signed with: 32 bytes or more; one line end at its end is left out",
    ).of(SERVE).example("key_file = \"/etc/rupor/auth.key\""),
    option(
        SECTION,
        "auth_webhook.key",
        Shape::Secret,
        "TEXT",
        Default::Explained("see auth_webhook.key_file"),
        "The same in place. There is no flag for it, because other users can read a command line",
    ).of(SERVE).example("key = \"…\""),
    option(
        SECTION,
        "auth_webhook.timeout",
        Shape::Text,
        "TIME",
        Default::Value("3s"),
        "How long an answer may take, from 100ms to 30s. Over it nobody is let in (503). An upgrade has `limits.admit_timeout_ms` in all",
    ).of(SERVE),
    option(
        SECTION,
        "auth_webhook.headers",
        Shape::List,
        "NAME",
        Default::Value("cookie authorization"),
        "Headers of the upgrade that go along. With `cookie` among them a connection that comes with one needs an `Origin` of the site. Repeatable",
    ).of(SERVE),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use crate::config::source;

    fn loaded(table: &str) -> Result<Option<AuthWebhookConfig>, String> {
        let layer = source::of_text(Mode::Serve, &format!("[auth_webhook]\n{table}"))
            .map_err(|error| error.to_string())?;
        auth_webhook(&Values::new(&layer)).map_err(|error| error.to_string())
    }

    #[test]
    fn it_has_an_address_a_key_and_headers() {
        assert!(loaded("").unwrap().is_none());
        let url = "url = \"https://example.org/auth\"\n";
        let key = "k".repeat(32);
        let config = loaded(&format!("{url}key = \"{key}\"")).unwrap().unwrap();
        assert_eq!(config.headers, [header::COOKIE, header::AUTHORIZATION]);
        assert_eq!(config.timeout, Duration::from_secs(3));
        for (table, told) in [
            (url.to_owned(), "--auth-webhook-key-file"),
            (format!("{url}key = \"hush\""), "openssl rand"),
            ("headers = [\"a b\"]".to_owned(), "no header's name"),
            ("timeout = \"1m\"".to_owned(), "out of range"),
        ] {
            let error = loaded(&table).unwrap_err();
            assert!(error.contains(told) && !error.contains("hush"), "{error}");
        }
    }
}
