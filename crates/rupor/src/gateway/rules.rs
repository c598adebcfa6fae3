//! Who may do what in which channel, and which application answers on which path.

use crate::config::{ChannelRule, Who};

/// What a browser wants to do in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Listen.
    Subscribe,
    /// Speak.
    Publish,
}

/// Whether a connection may: the first rule whose name matches decides; where none does nobody may.
pub(crate) fn allows(
    rules: &[ChannelRule],
    right: Right,
    channel: &str,
    user: Option<&str>,
) -> bool {
    let Some(rule) = rules.iter().find(|rule| matches(&rule.name, channel, user)) else {
        return false;
    };
    let who = match right {
        Right::Subscribe => rule.subscribe,
        Right::Publish => rule.publish,
    };
    match who {
        Who::Nobody => false,
        Who::Users => user.is_some(),
        Who::Anyone => true,
    }
}

/// Whether a rule's name covers a channel: `*` at its end stands for any rest, `{user}` for the connection's own user.
/// A connection without a user matches no rule with `{user}` in its name.
fn matches(pattern: &str, channel: &str, user: Option<&str>) -> bool {
    let (pattern, any_rest) = match pattern.strip_suffix('*') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut rest = channel;
    let mut pieces = pattern.split("{user}");
    let Some(first) = pieces.next() else {
        return false;
    };
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    for piece in pieces {
        let after = user
            .and_then(|user| rest.strip_prefix(user))
            .and_then(|rest| rest.strip_prefix(piece));
        let Some(after) = after else { return false };
        rest = after;
    }
    any_rest || rest.is_empty()
}

/// How well a path's rule covers a path: `None` not at all, else a number that grows with the part of it that is named;
/// an exact rule is better than one with `*`.
pub(crate) fn path_match(pattern: &str, path: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix).then_some(2 * prefix.len()),
        None => (pattern == path).then_some(2 * pattern.len() + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::{Right, allows, matches, path_match};
    use crate::config::{ChannelRule, Who};

    #[test]
    fn names_match_with_a_rest_and_with_the_own_user() {
        let cases = [
            ("news", "news", None, true),
            ("news", "newsx", None, false),
            ("news*", "newsx", None, true),
            ("*", "anything", None, true),
            ("news:*", "news", None, false),
            ("inbox:{user}", "inbox:anna", Some("anna"), true),
            ("inbox:{user}", "inbox:boris", Some("anna"), false),
            ("inbox:{user}", "inbox:{user}", Some("anna"), false),
            ("inbox:{user}", "inbox:", None, false),
            ("inbox:{user}", "inbox:annabel", Some("anna"), false),
            ("{user}:*", "anna:x", Some("anna"), true),
            ("{user}@{user}", "anna@anna", Some("anna"), true),
            ("{user}@{user}", "anna@boris", Some("anna"), false),
            ("a*b", "a*b", None, true),
            ("a*b", "axb", None, false),
        ];
        for (pattern, channel, user, expected) in cases {
            assert_eq!(
                matches(pattern, channel, user),
                expected,
                "{pattern} {channel} {user:?}"
            );
        }
    }

    #[test]
    fn the_first_rule_decides_and_without_one_nobody_may() {
        let rule = |name: &str, subscribe, publish| ChannelRule {
            name: name.to_owned(),
            subscribe,
            publish,
        };
        let rules = [
            rule("news", Who::Anyone, Who::Nobody),
            rule("team*", Who::Users, Who::Users),
            rule("*", Who::Nobody, Who::Anyone),
        ];
        let may = |right, channel, user| allows(&rules, right, channel, user);
        assert!(may(Right::Subscribe, "news", None));
        assert!(!may(Right::Publish, "news", Some("anna")));
        assert!(!may(Right::Subscribe, "team1", None));
        assert!(may(Right::Subscribe, "team1", Some("anna")));
        assert!(may(Right::Publish, "team1", Some("anna")));
        assert!(!may(Right::Subscribe, "other", Some("anna")));
        assert!(!allows(&[], Right::Subscribe, "news", Some("anna")));
    }

    #[test]
    fn the_better_named_path_wins() {
        let best = |path: &str| {
            let rules = ["*", "/chat", "/chat/*", "/chat/a"];
            rules
                .into_iter()
                .filter_map(|rule| Some((path_match(rule, path)?, rule)))
                .max()
        };
        for (path, rule) in [
            ("/", "*"),
            ("/chat", "/chat"),
            ("/chat/b", "/chat/*"),
            ("/chat/a", "/chat/a"),
        ] {
            assert_eq!(best(path).unwrap().1, rule);
        }
    }
}
