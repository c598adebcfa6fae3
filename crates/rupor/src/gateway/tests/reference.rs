//! Runs every example of `docs/reference/rupor-v1.md`: `>` the client sends, `<` it receives, `!` the site publishes.

use super::*;

const PAGE: &str = include_str!("../../../../../docs/reference/rupor-v1.md");

#[test]
fn every_example_runs() {
    let mut examples = 0;
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```rupor.v1") else {
            continue;
        };
        let example: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        run(&example, kind.trim());
        examples += 1;
    }
    assert_eq!(examples, 10, "examples were found");
}

fn run(example: &[&str], kind: &str) {
    let auth = match kind {
        "" => config::Auth::none(),
        "first-message" => first_message(),
        "token" => config::Auth {
            ways: vec![config::Way::None],
            ..first_message()
        },
        other => panic!("unknown kind of example: {other}"),
    };
    let site = Site::with(settings(), &auth, Limits::default());
    let mut client = site.connect_v1("/echo?user=anna");
    for line in example {
        let (mark, text) = line.split_at(2);
        match mark {
            "> " => {
                let for_channel =
                    channel_token(&serde_json::json!({"channel": "private-orders.5"}));
                let text = text.replace("TOKEN-OF-BORIS", &token("boris", 60));
                let text = text.replace("TOKEN-FOR-ORDERS", &for_channel);
                client.send_text(&text.replace("TOKEN", &token("anna", 60)));
            }
            "< " => assert_eq!(without_number(&client.receive_text()), without_number(text)),
            "! " => publish(&site, text),
            _ => panic!("{line}"),
        }
    }
}

/// Connection ids differ from run to run.
fn without_number(text: &str) -> String {
    match text.split_once("\"connection\":\"") {
        Some((before, after)) => {
            let (number, after) = after.split_at(16);
            assert!(number.parse::<ConnectionId>().is_ok(), "{number}");
            format!("{before}…{after}")
        }
        None => text.to_owned(),
    }
}

fn publish(site: &Site, line: &str) {
    let request: serde_json::Value = serde_json::from_str(line).unwrap();
    let target = if let Some(name) = request["user"].as_str() {
        user(name)
    } else if let Some(name) = request["channel"].as_str() {
        channel(name)
    } else {
        assert_eq!(request["all"], true);
        Target::All
    };
    let message = &request["message"];
    let text = message
        .as_str()
        .map_or_else(|| message.to_string(), str::to_owned);
    assert_eq!(site.publish(target, &text), Ok(1));
}
