//! `[[channel]]`: who may do what in which channel.

use super::Values;
use crate::config::error::{ConfigError, Problem};
use crate::config::parse;
use crate::config::source::Table;
use crate::config::types::{ChannelRule, Config, Mode, WhenSlow, Who};

/// The rules, in their order.
pub(super) fn rules(mode: Mode, values: &Values<'_>) -> Result<Vec<ChannelRule>, ConfigError> {
    if mode != Mode::Serve {
        return Ok(vec![ChannelRule {
            name: "*".to_owned(),
            subscribe: Who::Anyone,
            publish: Who::Anyone,
            slow: WhenSlow::Disconnect,
            place: "of the demo".to_owned(),
        }]);
    }
    values.tables("channel").iter().map(rule).collect()
}

/// Whether a rule looks at tokens.
pub(super) fn ask_tokens(rules: &[ChannelRule]) -> bool {
    rules.iter().any(|rule| asks(rule, Who::Token))
}

fn asks(rule: &ChannelRule, who: Who) -> bool {
    rule.subscribe == who || rule.publish == who
}

/// Whether there is what the rules look for.
pub(super) fn check(values: &Values<'_>, config: &Config) -> Result<(), ConfigError> {
    let tables = values.tables("channel").iter().zip(&config.channels);
    for (table, rule) in tables {
        if config.auth.jwt.is_none() && asks(rule, Who::Token) {
            let what = "this rule asks for a token, and there is no key that verifies it";
            let fix = "give one: [[jwt]] in rupor.toml or --jwt algorithm=HS256,key_file=FILE";
            return Err(Problem::new(what, fix).at(&table.origin));
        }
        if config.auth.webhook.is_none() && asks(rule, Who::Webhook) {
            let what = "this rule asks the site, and nothing says where";
            let fix = "give an address: [auth_webhook] in rupor.toml or --auth-webhook-url URL";
            return Err(Problem::new(what, fix).at(&table.origin));
        }
    }
    Ok(())
}

fn rule(table: &Table) -> Result<ChannelRule, ConfigError> {
    let who = |key: &str| match table.field(key) {
        None => Ok(Who::Nobody),
        Some(located) => located.parse(|text| {
            let choices = [
                ("anyone", Who::Anyone),
                ("users", Who::Users),
                ("token", Who::Token),
                ("webhook", Who::Webhook),
                ("nobody", Who::Nobody),
            ];
            parse::choice(text, &choices)
        }),
    };
    let slow = match table.field("slow") {
        None => WhenSlow::Disconnect,
        Some(located) => located.parse(|text| {
            let choices = [
                ("disconnect", WhenSlow::Disconnect),
                ("drop-newest", WhenSlow::DropNewest),
                ("drop-oldest", WhenSlow::DropOldest),
                ("latest", WhenSlow::Latest),
            ];
            parse::choice(text, &choices)
        })?,
    };
    Ok(ChannelRule {
        name: table
            .required("name", "name = \"news\"")?
            .parse(parse::channel_rule)?,
        subscribe: who("subscribe")?,
        publish: who("publish")?,
        slow,
        place: table.origin.to_string(),
    })
}
