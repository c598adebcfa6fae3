//! `[deflate]`: permessage-deflate (RFC 7692) as options, and what they come to.
//!
//! What they mean and why they are as they are by default is said in [`DeflateConfig`].

use super::definition::{self, Default, Definition, EVERY, Shape};
use super::error::{ConfigError, Problem};
use super::types::Mode;
use super::{build::Values, parse};
use rupor_server::DeflateConfig;

/// Heading that they stand under.
const COMPRESSION: &str = "Compression";
/// Longest part of a `User-Agent` that is looked for, in bytes.
const USER_AGENT_BYTES_MAX: usize = 200;

/// Every option of the table.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter()
}

/// What a command agrees to; `None`: nothing.
pub(super) fn deflate(
    mode: Mode,
    values: &Values<'_>,
) -> Result<Option<DeflateConfig>, ConfigError> {
    let switch = |key| Ok(values.optional(key, parse::switch)?.unwrap_or(false));
    let number = |key, min, max| {
        let parsed = values.optional(key, |text| parse::count(text, min, max))?;
        Ok(parsed.and_then(|number| u8::try_from(number).ok()))
    };
    let bytes = |key| {
        let max = u64::from(u32::MAX);
        let parsed = values.optional(key, |text| parse::bytes(text, 0, max))?;
        Ok(parsed.and_then(|bytes| u32::try_from(bytes).ok()))
    };
    let known = DeflateConfig::default();
    let config = DeflateConfig {
        server_no_context_takeover: !switch("deflate.server_takeover")?,
        client_no_context_takeover: !switch("deflate.client_takeover")?,
        server_window_bits_max: number("deflate.server_window_bits", 9, 15)?
            .unwrap_or(known.server_window_bits_max),
        client_window_bits_max: number("deflate.client_window_bits", 9, 15)?
            .unwrap_or(known.client_window_bits_max),
        message_bytes_min: bytes("deflate.message_bytes_min")?.unwrap_or(known.message_bytes_min),
        takeover_message_bytes_min: bytes("deflate.takeover_message_bytes_min")?
            .unwrap_or(known.takeover_message_bytes_min),
        // Conformance suites cannot read a plain message where they expect a compressed one.
        even_if_longer: mode == Mode::Echo,
        level: number("deflate.level", 1, 9)?.unwrap_or(known.level),
        user_agents_vetoed: values.each("deflate.vetoed_user_agents", user_agent)?,
    };
    // Last, so that a slip in the table is named also where it is off.
    Ok(switch("deflate.enabled")?.then_some(config))
}

/// A part of a `User-Agent` header.
fn user_agent(text: &str) -> Result<String, Problem> {
    if !text.is_empty() && text.len() <= USER_AGENT_BYTES_MAX {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        format!("{} is no part of a User-Agent", parse::shown(text)),
        format!(
            "write 1 to {USER_AGENT_BYTES_MAX} bytes that the header contains, as in CFNetwork/"
        ),
    ))
}

const fn option(
    key: &'static str,
    shape: Shape,
    form: &'static str,
    default: Default,
    help: &'static str,
) -> Definition {
    definition::option(COMPRESSION, key, shape, form, default, help).of(EVERY)
}

static OPTIONS: &[Definition] = &[
    option(
        "deflate.enabled",
        Shape::Switch,
        "true|false",
        Default::PerMode("false", "false", "true"),
        "Whether messages are compressed for clients that offer it (permessage-deflate, RFC 7692). Before you switch it \
         on: what is in a compressed message beside text that others choose can be guessed from its size, so secrets \
         belong into messages of their own with \"compress\":false; see docs/explanation/compression.md",
    ),
    option(
        "deflate.server_takeover",
        Shape::Switch,
        "true|false",
        Default::PerMode("false", "false", "true"),
        "Whether the server's messages are compressed behind the ones before (context takeover). Short messages shrink to \
         a quarter by it, and without it hardly at all; each connection then keeps a window of what it was sent, and a \
         secret in any message of a connection can be guessed at by later ones",
    ),
    option(
        "deflate.client_takeover",
        Shape::Switch,
        "true|false",
        Default::PerMode("false", "false", "true"),
        "The same for what clients send: each connection keeps a window of that",
    ),
    option(
        "deflate.server_window_bits",
        Shape::Number,
        "BITS",
        Default::PerMode("12", "12", "15"),
        "Window of the server's compression: 9 is 512 bytes, 12 is 4 KiB, 15 is 32 KiB. With context takeover it is kept \
         for each connection, but once for all that were sent the same",
    ),
    option(
        "deflate.client_window_bits",
        Shape::Number,
        "BITS",
        Default::PerMode("12", "12", "15"),
        "Largest window that clients may use, 9 to 15; kept for each connection with context takeover. A client that does \
         not let it be limited is asked to do without takeover",
    ),
    option(
        "deflate.level",
        Shape::Number,
        "LEVEL",
        Default::Value("6"),
        "How hard the server tries to make messages shorter, 1 to 9",
    ),
    option(
        "deflate.message_bytes_min",
        Shape::Number,
        "BYTES",
        Default::PerMode("256", "256", "0"),
        "Shorter messages are sent plain where each is compressed on its own: they do not become shorter",
    ),
    option(
        "deflate.takeover_message_bytes_min",
        Shape::Number,
        "BYTES",
        Default::PerMode("32", "32", "0"),
        "The same with context takeover",
    ),
    option(
        "deflate.vetoed_user_agents",
        Shape::List,
        "TEXT",
        Default::Value("Version/15.0 Version/15.1 Version/15.2 Version/15.3 CFNetwork/"),
        "A client whose User-Agent contains one of these gets no compression. The default has Safari 15.0 to 15.3 and \
         programs on Apple's network stack, which break on it. Repeatable",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    fn loaded(mode: Mode, file: &str) -> Result<Option<DeflateConfig>, String> {
        let layer = source::of_text(mode, file).map_err(|error| error.to_string())?;
        deflate(mode, &Values::new(&layer)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_library_s() {
        for mode in [Mode::Serve, Mode::Demo] {
            assert_eq!(loaded(mode, ""), Ok(None));
            let on = "[deflate]\nenabled = true";
            assert_eq!(loaded(mode, on), Ok(Some(DeflateConfig::default())));
        }
    }

    #[test]
    fn echo_agrees_to_all_and_compresses_all() {
        let echo = loaded(Mode::Echo, "").unwrap().unwrap();
        let wide = DeflateConfig {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_window_bits_max: 15,
            client_window_bits_max: 15,
            message_bytes_min: 0,
            takeover_message_bytes_min: 0,
            even_if_longer: true,
            ..DeflateConfig::default()
        };
        assert_eq!(echo, wide);
        assert_eq!(loaded(Mode::Echo, "[deflate]\nenabled = false"), Ok(None));
    }

    #[test]
    fn every_option_is_read() {
        let file = "[deflate]\nenabled = true\nserver_takeover = true\nclient_takeover = true\nserver_window_bits = 9\n\
                    client_window_bits = 15\nlevel = 1\nmessage_bytes_min = \"1KiB\"\ntakeover_message_bytes_min = 64\n\
                    vetoed_user_agents = [\"Some Browser/1\"]";
        let expected = DeflateConfig {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_window_bits_max: 9,
            client_window_bits_max: 15,
            message_bytes_min: 1024,
            takeover_message_bytes_min: 64,
            even_if_longer: false,
            level: 1,
            user_agents_vetoed: vec!["Some Browser/1".to_owned()],
        };
        assert_eq!(loaded(Mode::Serve, file), Ok(Some(expected)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_fix_also_where_it_is_off() {
        for (line, problem, fix) in [
            (
                "server_window_bits = 8",
                "8 is out of range",
                "from 9 to 15",
            ),
            (
                "client_window_bits = 16",
                "16 is out of range",
                "from 9 to 15",
            ),
            ("level = 0", "0 is out of range", "from 1 to 9"),
            (
                "message_bytes_min = \"some\"",
                "not a number of bytes",
                "64KiB",
            ),
            ("enabled = \"yes\"", "does not fit here", "true or false"),
            (
                "vetoed_user_agents = [\"\"]",
                "no part of a User-Agent",
                "CFNetwork/",
            ),
            ("windowbits = 9", "windowbits", "deflate"),
        ] {
            let error = loaded(Mode::Serve, &format!("[deflate]\n{line}")).unwrap_err();
            assert!(error.contains(problem) && error.contains(fix), "{error}");
            assert!(error.contains("rupor.toml:2"), "{error}");
        }
    }
}
