//! Who may do what in which channel, and what is said to whoever may not.

use super::*;
use serde_json::{Value, json};

/// Users are who they say; tokens open channels.
fn tokens_for_channels(explain: bool) -> Site {
    let auth = config::Auth {
        ways: vec![config::Way::None],
        ..first_message()
    };
    let settings = Settings {
        explain,
        ..settings()
    };
    Site::with(settings, &auth, Limits::default())
}

fn ask(client: &mut Client, request: &Value) -> Value {
    client.send_text(&request.to_string());
    serde_json::from_str(&client.receive_text()).unwrap()
}

fn connect(site: &Site, target: &str) -> Client {
    let mut client = site.connect_v1(target);
    client.receive_text();
    client
}

#[test]
fn a_token_opens_its_channel() {
    let site = tokens_for_channels(false);
    let mut client = connect(&site, "/?user=anna");
    for (claims, channel, expected) in [
        (json!({"channel": "private-1"}), "private-1", "subscribed"),
        (
            json!({"channel": "private-2", "sub": "anna"}),
            "private-2",
            "subscribed",
        ),
        (json!({"channel": "private-b*"}), "private-b7", "subscribed"),
        (json!({"channel": "private-3"}), "private-4", "error"),
        (
            json!({"channel": "private-4", "sub": "boris"}),
            "private-4",
            "error",
        ),
        (
            json!({"channel": "private-4", "exp": 1_000_000}),
            "private-4",
            "error",
        ),
        (
            json!({"channel": "private-4", "exp": "soon"}),
            "private-4",
            "error",
        ),
        (json!({"channel": ["private-4"]}), "private-4", "error"),
        (json!({"sub": "anna"}), "private-4", "error"),
        // What a rule lets nobody do no token does.
        (json!({"channel": "staff"}), "staff", "error"),
    ] {
        let token = channel_token(&claims);
        let request = json!({"type": "subscribe", "channel": channel, "token": token});
        assert_eq!(ask(&mut client, &request)["type"], expected, "{claims}");
    }
    assert_eq!(site.publish(channel("private-1"), "x"), Ok(1));
    assert_eq!(site.publish(channel("private-4"), "x"), Ok(0));
    assert_eq!(site.gateway.counts().forbidden, [7, 0]);
}

#[test]
fn a_token_for_publishing_says_so() {
    let site = tokens_for_channels(true);
    let mut client = connect(&site, "/?user=anna");
    let mut publish = |claims: &Value| {
        let token = channel_token(claims);
        let request =
            json!({"type": "publish", "channel": "private-1", "message": "x", "token": token});
        ask(&mut client, &request)
    };
    assert_eq!(
        publish(&json!({"channel": "private-1", "publish": true}))["type"],
        "published"
    );
    let refused = publish(&json!({"channel": "private-1"}));
    let text = refused["text"].as_str().unwrap();
    assert!(text.contains("not for publishing"), "{text}");
    assert_eq!(site.gateway.counts().forbidden, [0, 1]);
}

#[test]
fn a_refusal_names_its_rule_only_where_that_is_asked_for() {
    for explain in [false, true] {
        let site = tokens_for_channels(explain);
        let mut client = connect(&site, "/");
        for (channel, rule) in [
            (
                "staff",
                "rule staff (rupor.toml:1: staff): subscribe = \"nobody\"",
            ),
            (
                "team:1",
                "rule team:* (rupor.toml:1: team:*): subscribe = \"users\", and this connection has no user",
            ),
            (
                "private-1",
                "rule private-* (rupor.toml:1: private-*): subscribe = \"token\", and no token came with it",
            ),
        ] {
            let refused = ask(
                &mut client,
                &json!({"type": "subscribe", "channel": channel}),
            );
            assert_eq!(refused["code"], "forbidden");
            let mut expected =
                "the configuration does not let this connection listen there".to_owned();
            if explain {
                expected += &format!(": {rule}");
            }
            assert_eq!(refused["text"], expected);
            let refused = Opening::new(site.address, &format!("/?channel={channel}")).refused();
            assert_eq!(refused.text().trim(), format!("{channel}: {expected}"));
        }
    }
}

/// RFC 8725 §3.12: a token of one kind is none of the other.
#[test]
fn a_token_of_a_channel_says_of_nobody_who_he_is() {
    let site = Site::with(settings(), &first_message(), Limits::default());
    let mut client = site.connect("/");
    client.send_text(&channel_token(
        &json!({"channel": "private-1", "sub": "anna"}),
    ));
    assert_eq!(client.expect_close().0, 3500);
    assert!(!site.gateway.user("anna").online());
}
