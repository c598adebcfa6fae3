//! What a message of Redis says.

use crate::config::RedisConfig;
use crate::gateway::ConnectionId;
use crate::inlet::heard::{Meaning, object};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What Laravel's `redis` broadcaster writes. There may be more in it.
#[derive(Deserialize)]
struct Broadcast<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    socket: Option<&'a RawValue>,
}

/// The publish object that a broadcast comes to.
#[derive(Serialize)]
struct Object<'a> {
    channel: &'a str,
    message: Text<'a>,
    exclude: Option<&'a RawValue>,
}

/// What browsers get.
#[derive(Serialize)]
struct Text<'a> {
    event: &'a str,
    data: Option<&'a RawValue>,
}

/// The pattern of all channels whose names begin with `prefix`: what means something in a pattern is taken literally.
pub(super) fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

/// A message on a channel of Redis that begins with Laravel's prefix.
pub(super) fn laravel(config: &RedisConfig, redis_channel: &str, payload: &[u8]) -> Meaning {
    if config.channels.iter().any(|own| own == redis_channel) {
        return Meaning::HeardElsewhere;
    }
    let prefix = config.laravel_prefix.as_deref().unwrap_or_default();
    let channel = redis_channel.strip_prefix(prefix).unwrap_or(redis_channel);
    let broadcast: Broadcast<'_> = match serde_json::from_slice(payload) {
        Ok(broadcast) => broadcast,
        Err(error) => return Meaning::Wrong(format!("no broadcast of Laravel: {error}")),
    };
    // Another server's id of a socket is none of our connections, so it leaves out nobody.
    let is_ours = |socket: &&RawValue| {
        serde_json::from_str::<&str>(socket.get())
            .is_ok_and(|text| text.parse::<ConnectionId>().is_ok())
    };
    let wanted = Object {
        channel,
        message: Text {
            event: &broadcast.event,
            data: broadcast.data,
        },
        exclude: broadcast.socket.filter(is_ours),
    };
    // Read as any other, so that the same rules hold for it.
    match serde_json::to_vec(&wanted) {
        Ok(json) => object(&json),
        Err(error) => Meaning::Wrong(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn config() -> RedisConfig {
        RedisConfig {
            url: Secret::new("redis://127.0.0.1"),
            channels: vec!["l_own".to_owned()],
            laravel_prefix: Some("l_".to_owned()),
        }
    }

    #[test]
    fn a_broadcast_of_laravel_is_a_publication_to_its_channel() {
        let payload =
            br#"{"event":"App\\Events\\A","data":{"n":1.50},"socket":"00000000000000ff","more":1}"#;
        let expected = object(
            br#"{"channel":"chat","message":{"event":"App\\Events\\A","data":{"n":1.50}},"exclude":"00000000000000ff"}"#,
        );
        assert!(matches!(expected, Meaning::Publication(_)), "{expected:?}");
        assert_eq!(laravel(&config(), "l_chat", payload), expected);
    }

    #[test]
    fn sockets_of_others_leave_out_nobody() {
        let expected = object(br#"{"channel":"chat","message":{"event":"e","data":null}}"#);
        for payload in [
            r#"{"event":"e"}"#,
            r#"{"event":"e","data":null,"socket":null}"#,
            r#"{"event":"e","socket":"123.456"}"#,
        ] {
            let meaning = laravel(&config(), "l_chat", payload.as_bytes());
            assert_eq!(meaning, expected, "{payload}");
        }
    }

    #[test]
    fn what_is_no_broadcast_is_wrong_and_own_channels_are_heard_once() {
        for payload in ["", "[]", "{", r#"{"data":1}"#, r#"{"event":1}"#, "\u{0}"] {
            let meaning = laravel(&config(), "l_chat", payload.as_bytes());
            assert!(matches!(meaning, Meaning::Wrong(_)), "{payload}");
        }
        let json = br#"{"all":true,"message":1}"#;
        let heard = laravel(&config(), "l_own", json);
        assert_eq!(heard, Meaning::HeardElsewhere);
        assert!(matches!(object(b"nonsense"), Meaning::Wrong(_)));
    }

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(pattern("laravel_database_"), "laravel_database_*");
        assert_eq!(pattern(r"a*[b]?\"), r"a\*\[b\]\?\\*");
    }
}
