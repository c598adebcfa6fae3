//! Who may do what in which channel, and which application answers on which path.

use crate::config::{ChannelRule, WhenSlow, Who};

/// What stands for the connection's own user in a rule's name.
const USER: &str = "{user}";

/// What a browser wants to do in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Listen.
    Subscribe,
    /// Speak.
    Publish,
}

/// What the rules say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision<'r> {
    /// It may.
    Allowed,
    /// It may, with a token.
    Token(&'r ChannelRule),
    /// It may, if the site says so.
    Webhook(&'r ChannelRule),
    /// It may not, by this rule; `None`: no rule is about the channel.
    Refused(Option<&'r ChannelRule>),
}

/// Whether a connection may: the first rule whose name matches decides; where none does nobody may.
pub(crate) fn decide<'r>(
    rules: &'r [ChannelRule],
    right: Right,
    channel: &str,
    user: Option<&str>,
) -> Decision<'r> {
    let mut rules_for_it = rules.iter().filter(|rule| {
        matches(&rule.name, channel, user) && !is_anothers(rules, &rule.name, channel, user)
    });
    let Some(rule) = rules_for_it.next() else {
        return Decision::Refused(None);
    };
    match (right.who(rule), user) {
        (Who::Anyone, _) | (Who::Users, Some(_)) => Decision::Allowed,
        (Who::Token, _) => Decision::Token(rule),
        (Who::Webhook, _) => Decision::Webhook(rule),
        (Who::Users, None) | (Who::Nobody, _) => Decision::Refused(Some(rule)),
    }
}

impl Right {
    /// What it is called in a sentence, and in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
        }
    }

    /// Who has it by a rule.
    pub(crate) fn who(self, rule: &ChannelRule) -> Who {
        match self {
            Self::Subscribe => rule.subscribe,
            Self::Publish => rule.publish,
        }
    }
}

/// What becomes of a channel's publications at slow readers: the first rule decides whose name matches for any user at all,
/// because one publication has one policy for everybody.
pub(crate) fn when_slow(rules: &[ChannelRule], channel: &str) -> WhenSlow {
    rules
        .iter()
        .find(|rule| matches_anybody(&rule.name, channel))
        .map_or(WhenSlow::Disconnect, |rule| rule.slow)
}

/// Whether there is a user for whom [`matches()`] holds.
fn matches_anybody(pattern: &str, channel: &str) -> bool {
    matches(pattern, channel, None) || owner(pattern, channel).is_some()
}

/// The user whose channel it is by a rule with `{user}` in its name. There is one at most.
fn owner<'c>(pattern: &str, channel: &'c str) -> Option<&'c str> {
    let (before, _) = pattern.split_once(USER)?;
    let rest = channel.strip_prefix(before)?;
    // The whole rest first: most often it is the user's name.
    let ends = rest
        .char_indices()
        .rev()
        .map(|(at, last)| at + last.len_utf8());
    ends.filter_map(|end| rest.get(..end))
        .find(|user| matches(pattern, channel, Some(user)))
}

/// Whether a channel that is this user's by one rule is another's by a rule that names as much of it, or more. By
/// `x:{user}` the channel `x:a:b` is of `a:b`, by `x:{user}:*` of `a`, whom it belongs to: whoever may choose his name
/// must not come into the channels of others by it.
fn is_anothers(rules: &[ChannelRule], pattern: &str, channel: &str, user: Option<&str>) -> bool {
    let named = |pattern: &str| {
        let pattern = pattern.strip_suffix('*').unwrap_or(pattern);
        pattern.len() - USER.len() * pattern.matches(USER).count()
    };
    pattern.contains(USER)
        && rules.iter().any(|other| {
            let of = owner(&other.name, channel);
            of.is_some() && of != user && named(&other.name) >= named(pattern)
        })
}

/// Whether a rule's name covers a channel: `*` at its end stands for any rest, `{user}` for the connection's own user.
/// A connection without a user matches no rule with `{user}` in its name.
///
/// Invariant: of one rule with `{user}` a channel is covered for one user only, whatever characters names are made of.
/// `*` after `{user}` therefore does not stand for the character before it: where `x:{user}:*` covers `x:a:b:c`, that is
/// for the user `a:b`, not for `a`. Without it whoever calls himself `a` would hear what is for `a:b`.
pub(crate) fn matches(pattern: &str, channel: &str, user: Option<&str>) -> bool {
    let (pattern, any_rest) = match pattern.strip_suffix('*') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut rest = channel;
    let separator = pattern.chars().next_back();
    let mut pieces = pattern.split(USER);
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
    match (any_rest, separator) {
        (false, _) => rest.is_empty(),
        // The configuration takes no `{user}*`: it would cover the channels of everybody whose name begins alike.
        (true, Some(separator)) if pattern.contains(USER) => {
            !pattern.ends_with(USER) && !rest.contains(separator)
        }
        (true, _) => true,
    }
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
    use super::{Decision, Right, decide, matches, owner, path_match, when_slow};
    use crate::config::{ChannelRule, WhenSlow, Who};

    /// Names of rules whose own characters may stand in names of users.
    const PATTERNS: [&str; 9] = [
        "{user}",
        "a:{user}",
        "{user}:a",
        "{user}:*",
        "a:{user}:*",
        "{user}::*",
        "{user}a:*",
        "{user}:a*",
        "{user}*",
    ];

    /// All texts of at most so many `a` and `:`.
    fn texts(bytes_max: u32) -> impl Iterator<Item = String> {
        (0..=bytes_max).flat_map(|bytes| {
            (0..1_u32 << bytes).map(move |bits| {
                let letter = |at| if bits >> at & 1 == 1 { ':' } else { 'a' };
                (0..bytes).map(letter).collect::<String>()
            })
        })
    }

    fn rule(name: &str, subscribe: Who, publish: Who) -> ChannelRule {
        ChannelRule {
            name: name.to_owned(),
            subscribe,
            publish,
            slow: WhenSlow::Disconnect,
            place: format!("the line of {name}"),
        }
    }

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
            ("x:{user}:*", "x:a:b:c", Some("a:b"), true),
            ("x:{user}:*", "x:a:b:c", Some("a"), false),
            ("x:{user}::*", "x:a:::c", Some("a"), false),
            ("x:{user}:*", "x:a:", Some("a"), true),
            ("x:{user}*", "x:anna", Some("ann"), false),
            ("x:{user}*", "x:ann", Some("ann"), false),
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

    /// A rule's channel of one user is never another's too: a user may choose a name with the rule's own characters in it.
    #[test]
    fn no_channel_is_covered_for_two_users() {
        let users: Vec<_> = texts(5).filter(|user| !user.is_empty()).collect();
        for pattern in PATTERNS {
            for channel in texts(8) {
                let covered = |user: &&String| matches(pattern, &channel, Some(user));
                let owners: Vec<_> = users.iter().filter(covered).collect();
                assert!(owners.len() <= 1, "{pattern} {channel} {owners:?}");
                let owner = owner(pattern, &channel);
                assert!(owners.iter().all(|user| owner == Some(user)), "{pattern}");
            }
        }
    }

    /// Nor is it of one user by one rule and of another by another rule.
    #[test]
    fn rules_that_begin_alike_let_nobody_into_the_channels_of_others() {
        let users: Vec<_> = texts(4).filter(|user| !user.is_empty()).collect();
        for first in PATTERNS {
            for second in PATTERNS {
                let rules = [first, second].map(|name| rule(name, Who::Users, Who::Nobody));
                for channel in texts(5) {
                    let may = |user: &&String| {
                        let user = Some(user.as_str());
                        let decided = decide(&rules, Right::Subscribe, &channel, user);
                        matches!(decided, Decision::Allowed)
                    };
                    let let_in: Vec<_> = users.iter().filter(may).collect();
                    assert!(let_in.len() <= 1, "{first} {second} {channel} {let_in:?}");
                }
            }
        }
        let may = |names: [&str; 2], channel, user| {
            let rules = names.map(|name| rule(name, Who::Users, Who::Nobody));
            let decided = decide(&rules, Right::Subscribe, channel, Some(user));
            matches!(decided, Decision::Allowed)
        };
        // What has the numbers of users in it goes on as it should, in whatever order it is written.
        for names in [["x:{user}", "x:{user}:*"], ["x:{user}:*", "x:{user}"]] {
            assert!(may(names, "x:5", "5") && may(names, "x:5:orders", "5"));
            assert!(!may(names, "x:5:orders", "5:orders"));
        }
        let names = ["inbox:{user}", "{user}:*"];
        assert!(may(names, "inbox:anna", "anna") && may(names, "anna:x", "anna"));
        assert!(!may(names, "inbox:anna", "inbox"));
        // Each names as much as the other.
        let names = ["a:{user}", "{user}:b"];
        assert!(!may(names, "a:b", "a") && !may(names, "a:b", "b"));
    }

    #[test]
    fn the_first_rule_that_matches_for_any_user_says_what_becomes_of_publications() {
        let rule = |name: &str, slow| ChannelRule {
            name: name.to_owned(),
            subscribe: Who::Nobody,
            publish: Who::Nobody,
            slow,
            place: String::new(),
        };
        let rules = [
            rule("prices", WhenSlow::Latest),
            rule("inbox:{user}", WhenSlow::Disconnect),
            rule("{user}/{user}", WhenSlow::DropNewest),
            rule("of:{user}:*", WhenSlow::DropNewest),
            rule("inbox:*", WhenSlow::DropOldest),
            rule("of:*", WhenSlow::DropOldest),
        ];
        for (channel, expected) in [
            ("prices", WhenSlow::Latest),
            ("prices2", WhenSlow::Disconnect),
            ("inbox:anna", WhenSlow::Disconnect),
            ("inbox:", WhenSlow::DropOldest),
            ("anna/anna", WhenSlow::DropNewest),
            ("anna/boris", WhenSlow::Disconnect),
            ("of:a:b:c", WhenSlow::DropNewest),
            ("of:a", WhenSlow::DropOldest),
            ("of:я", WhenSlow::DropOldest),
            ("", WhenSlow::Disconnect),
        ] {
            assert_eq!(when_slow(&rules, channel), expected, "{channel}");
        }
    }

    #[test]
    fn the_first_rule_decides_and_without_one_nobody_may() {
        let rules = [
            rule("news", Who::Anyone, Who::Nobody),
            rule("team*", Who::Users, Who::Users),
            rule("*", Who::Nobody, Who::Anyone),
        ];
        let may = |right, channel, user| {
            matches!(decide(&rules, right, channel, user), Decision::Allowed)
        };
        assert!(may(Right::Subscribe, "news", None));
        assert!(!may(Right::Publish, "news", Some("anna")));
        assert!(!may(Right::Subscribe, "team1", None));
        assert!(may(Right::Subscribe, "team1", Some("anna")));
        assert!(may(Right::Publish, "team1", Some("anna")));
        assert!(!may(Right::Subscribe, "other", Some("anna")));
        let none = decide(&[], Right::Subscribe, "news", Some("anna"));
        assert!(matches!(none, Decision::Refused(None)));
        let refused = decide(&rules, Right::Publish, "news", Some("anna"));
        assert!(matches!(refused, Decision::Refused(Some(rule)) if rule.name == "news"));
        let rules = [rule("private-*", Who::Token, Who::Nobody)];
        let asked = decide(&rules, Right::Subscribe, "private-1", Some("anna"));
        assert!(matches!(asked, Decision::Token(rule) if rule.name == "private-*"));
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
