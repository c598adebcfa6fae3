//! What a connection may do in a channel: the rules, the token that one of them asks for, and how a refusal is told.
//!
//! A refusal names its rule and where that was written: always in the log, and to the client where
//! [`Settings::explain`](super::Settings) says so.

use super::rules::{Decision, Right, decide, matches};
use super::{Gateway, Settings};
use crate::auth::{Auth, ChannelGrant};
use crate::config::{ChannelRule, Who};
use crate::log;
use std::fmt::Write as _;

/// Log lines about refusals a second; over it they are logged at `debug`. A peer chooses how many there are.
const REFUSALS_LOGGED_PER_SECOND: u32 = 10;

static REFUSALS: log::Sparing = log::Sparing::new(REFUSALS_LOGGED_PER_SECOND);

/// Who wants to do what where.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) right: Right,
    pub(super) channel: &'a str,
    pub(super) user: Option<&'a str>,
    /// The token that came along; it is in no log.
    pub(super) token: Option<&'a str>,
}

/// That it may not. The text is for the client.
#[derive(Debug)]
pub(super) struct Forbidden(pub(super) String);

/// Whether the rules and the token allow it.
pub(super) fn check(gateway: &Gateway, auth: &Auth, wish: Wish<'_>) -> Result<(), Forbidden> {
    let settings = gateway.settings();
    let user = wish.user;
    let (rule, why) = match decide(&settings.channels, wish.right, wish.channel, user) {
        Decision::Allowed => return Ok(()),
        Decision::Refused(rule) => (rule, None),
        Decision::Token(rule) => match by_token(auth, wish) {
            Ok(()) => return Ok(()),
            Err(why) => (Some(rule), Some(why)),
        },
    };
    gateway.count_forbidden(wish.right);
    let reason = reason(rule, wish, why);
    REFUSALS.log(|| {
        format!(
            "{} of channel {} by user {} is refused: {reason}",
            wish.right.name(),
            log::peer(wish.channel),
            user.map_or_else(|| "(nobody)".to_owned(), log::peer),
        )
    });
    Err(Forbidden(told(settings, wish.right, &reason)))
}

/// What the client is told.
fn told(settings: &Settings, right: Right, reason: &str) -> String {
    let verb = match right {
        Right::Subscribe => "listen",
        Right::Publish => "publish",
    };
    let mut text = format!("the configuration does not let this connection {verb} there");
    if settings.explain {
        // Writing into a String does not fail.
        let _ = write!(text, ": {reason}");
    }
    text
}

/// Which rule refuses, and why.
fn reason(rule: Option<&ChannelRule>, wish: Wish<'_>, why: Option<String>) -> String {
    let Some(rule) = rule else {
        return "no [[channel]] rule has a name that covers it".to_owned();
    };
    let right = wish.right.name();
    let why = why.unwrap_or_else(|| match wish.right.who(rule) {
        Who::Users => format!("{right} = \"users\", and this connection has no user"),
        _ => format!("{right} = \"nobody\""),
    });
    format!("rule {} ({}): {why}", rule.name, rule.place)
}

/// Whether the token is for this.
fn by_token(auth: &Auth, wish: Wish<'_>) -> Result<(), String> {
    let Some(token) = wish.token else {
        let right = wish.right.name();
        return Err(format!("{right} = \"token\", and no token came with it"));
    };
    let grant = auth
        .channel_token(token)
        .map_err(|error| error.to_string())?;
    covers(&grant, wish).map_err(ToOwned::to_owned)
}

fn covers(grant: &ChannelGrant, wish: Wish<'_>) -> Result<(), &'static str> {
    if !matches(&grant.channel, wish.channel, wish.user) {
        return Err("the token is for another channel");
    }
    if let (Some(of), Some(user)) = (grant.user.as_deref(), wish.user)
        && of != user
    {
        return Err("the token is another user's (`sub`)");
    }
    if wish.right == Right::Publish && !grant.publish {
        return Err("the token is not for publishing: it has no \"publish\":true");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_its_channel_its_user_and_its_right() {
        let grant = |channel: &str, user: Option<&str>, publish| ChannelGrant {
            channel: channel.to_owned(),
            user: user.map(ToOwned::to_owned),
            publish,
        };
        let wish = |right, channel, user| Wish {
            right,
            channel,
            user,
            token: None,
        };
        use Right::{Publish, Subscribe};
        let cases = [
            (grant("a", None, false), wish(Subscribe, "a", None), true),
            (grant("a", None, false), wish(Subscribe, "ab", None), false),
            (grant("a*", None, false), wish(Subscribe, "ab", None), true),
            (grant("", None, false), wish(Subscribe, "a", None), false),
            (
                grant("a", Some("u"), false),
                wish(Subscribe, "a", Some("u")),
                true,
            ),
            (
                grant("a", Some("u"), false),
                wish(Subscribe, "a", Some("v")),
                false,
            ),
            // It says whose it is and makes nobody him.
            (
                grant("a", Some("u"), false),
                wish(Subscribe, "a", None),
                true,
            ),
            (
                grant("a", None, false),
                wish(Subscribe, "a", Some("v")),
                true,
            ),
            (grant("a", None, false), wish(Publish, "a", None), false),
            (grant("a", None, true), wish(Publish, "a", None), true),
            (
                grant("a-{user}", None, true),
                wish(Subscribe, "a-u", Some("u")),
                true,
            ),
            (
                grant("a-{user}", None, true),
                wish(Subscribe, "a-u", None),
                false,
            ),
        ];
        for (grant, wish, expected) in cases {
            let channel = wish.channel;
            assert_eq!(
                covers(&grant, wish).is_ok(),
                expected,
                "{grant:?} {channel}"
            );
        }
    }
}
