//! What a connection may do in a channel: the rules, what one of them asks for (a token, the site), and how a refusal is
//! told.
//!
//! A refusal names its rule and where that was written: always in the log, and to the client where
//! [`Settings::explain`](super::Settings) says so.

use super::close::FORBIDDEN;
use super::rules::{Decision, Right, decide, matches};
use super::{Gateway, PublishError, Settings};
use crate::auth::webhook::{Asker, MayQuestion};
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

/// Why what the site was asked about is not done.
#[derive(Debug)]
pub(super) enum Denied {
    /// It may not.
    Forbidden(Forbidden),
    /// The site did not say. The text is for the client.
    Unavailable(String),
}

impl Denied {
    /// A word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => FORBIDDEN.name,
            Self::Unavailable(_) => PublishError::Unavailable.code(),
        }
    }

    /// What the client is told.
    pub(super) fn text(self) -> String {
        match self {
            Self::Forbidden(forbidden) => forbidden.0,
            Self::Unavailable(text) => text,
        }
    }
}

/// Whether the rules and the token allow it: `Some`: if the site does, which this rule asks.
pub(super) fn check<'g>(
    gateway: &'g Gateway,
    auth: &Auth,
    wish: Wish<'_>,
) -> Result<Option<&'g ChannelRule>, Forbidden> {
    let settings = gateway.settings();
    let (rule, why) = match decide(&settings.channels, wish.right, wish.channel, wish.user) {
        Decision::Allowed => return Ok(None),
        Decision::Webhook(rule) => return Ok(Some(rule)),
        Decision::Refused(rule) => (rule, None),
        Decision::Token(rule) => match by_token(auth, wish) {
            Ok(()) => return Ok(None),
            Err(why) => (Some(rule), Some(why)),
        },
    };
    Err(forbid(gateway, rule, wish, why))
}

/// The same where the site cannot be asked, because who connects said only by a message who it is: what the site would have
/// to be asked about it may not.
pub(super) fn check_unasked(
    gateway: &Gateway,
    auth: &Auth,
    wish: Wish<'_>,
) -> Result<(), Forbidden> {
    let Some(rule) = check(gateway, auth, wish)? else {
        return Ok(());
    };
    let right = wish.right.name();
    let why = format!(
        "{right} = \"webhook\", and the site is not asked about a channel in an address whose token comes in the first message: \
         subscribe when `authenticated` has come"
    );
    Err(forbid(gateway, Some(rule), wish, Some(why)))
}

/// Asks the site, as a rule says. `message`: what is to be published.
pub(super) async fn ask(
    gateway: &Gateway,
    asker: &Asker,
    rule: &ChannelRule,
    wish: Wish<'_>,
    message: Option<&str>,
) -> Result<(), Denied> {
    let question = MayQuestion {
        ask: wish.right.name(),
        channel: wish.channel,
        user: wish.user,
        message,
    };
    let right = wish.right.name();
    let (failed, why) = match asker.may(&question).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(reason)) if reason.is_empty() => (false, "the site does not allow it".to_owned()),
        Ok(Err(reason)) => (false, format!("the site does not allow it: {reason}")),
        Err(error) => (error.is_failure(), error.to_string()),
    };
    let why = format!("{right} = \"webhook\", and {why}");
    if !failed {
        return Err(Denied::Forbidden(forbid(
            gateway,
            Some(rule),
            wish,
            Some(why),
        )));
    }
    let reason = reason(Some(rule), wish, Some(why));
    log_refusal(wish, &reason);
    let mut text = "the site cannot be asked now; nothing was done".to_owned();
    if gateway.settings().explain {
        // Writing into a String does not fail.
        let _ = write!(text, ": {reason}");
    }
    Err(Denied::Unavailable(text))
}

/// Counts and logs that it may not.
pub(super) fn forbid(
    gateway: &Gateway,
    rule: Option<&ChannelRule>,
    wish: Wish<'_>,
    why: Option<String>,
) -> Forbidden {
    gateway.count_forbidden(wish.right);
    let reason = reason(rule, wish, why);
    log_refusal(wish, &reason);
    Forbidden(told(gateway.settings(), wish.right, &reason))
}

fn log_refusal(wish: Wish<'_>, reason: &str) {
    REFUSALS.log(|| {
        format!(
            "{} of channel {} by user {} is refused: {reason}",
            wish.right.name(),
            log::peer(wish.channel),
            wish.user.map_or_else(|| "(nobody)".to_owned(), log::peer),
        )
    });
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
        return "no [[channel]] rule has a name that covers it; `{user}` in one is who is connected".to_owned();
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
