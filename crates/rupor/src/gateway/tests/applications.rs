//! The applications over sockets.

use super::*;
use rupor_testkit::Event;
use serde_json::{Value, json};

fn event(client: &mut Client) -> Value {
    serde_json::from_str(&client.receive_text()).unwrap()
}

#[test]
fn two_chat_with_each_other_across_workers() {
    let site = Site::start();
    let mut anna = site.connect("/chat?user=anna");
    let hello = event(&mut anna);
    assert_eq!(
        (&hello["type"], &hello["you"]),
        (&json!("hello"), &json!("anna"))
    );
    let mut boris = site.connect("/chat?user=boris");
    assert_eq!(event(&mut boris)["online"], json!(["anna", "boris"]));
    assert_eq!(
        event(&mut anna),
        json!({"type": "join", "user": "boris", "online": 2})
    );
    anna.send_text("hi, boris");
    for client in [&mut anna, &mut boris] {
        let mut line = event(client);
        assert!(line["at"].as_u64().unwrap() > 1_700_000_000_000);
        line.as_object_mut().unwrap().remove("at");
        assert_eq!(
            line,
            json!({"type": "message", "user": "anna", "text": "hi, boris"})
        );
    }
    boris.close(1000, "");
    assert_eq!(
        event(&mut anna),
        json!({"type": "leave", "user": "boris", "online": 1})
    );
    let mut late = site.connect("/chat");
    let hello = event(&mut late);
    assert_eq!(hello["history"][0]["text"], "hi, boris");
    assert!(hello["you"].as_str().unwrap().starts_with("guest-"));
}

#[test]
fn a_page_that_only_listens_hears_nothing_of_the_chat() {
    let site = Site::start();
    let mut listener = site.connect("/?user=tester01");
    let mut anna = site.connect("/chat?user=anna");
    event(&mut anna);
    anna.send_text("hi");
    assert_eq!(event(&mut anna)["type"], "message");
    site.publish(user("tester01"), "test").unwrap();
    listener.expect_text("test");
    // With its first line it is in.
    listener.send_text("hello");
    let hello = event(&mut listener);
    assert_eq!(
        (&hello["type"], &hello["you"]),
        (&json!("hello"), &json!("tester01"))
    );
    assert_eq!(event(&mut listener)["text"], "hello");
    assert_eq!(event(&mut anna)["type"], "join");
    assert_eq!(event(&mut anna)["text"], "hello");
}

#[test]
fn whoever_joins_gets_each_line_once_in_history_or_after_it() {
    let site = Site::start();
    // Many speakers, each within what the flood guard allows.
    let speakers: Vec<_> = (0..10)
        .map(|n| site.connect(&format!("/chat?user=s{n}")))
        .collect();
    std::thread::scope(|scope| {
        for mut speaker in speakers {
            scope.spawn(move || {
                for _ in 0..2 {
                    speaker.send_text("line");
                    while event(&mut speaker)["type"] != "message" {}
                    std::thread::sleep(Duration::from_millis(2));
                }
                speaker
            });
        }
        for n in 0..20 {
            let mut visitor = site.connect(&format!("/chat?user=visitor{n}"));
            let hello = event(&mut visitor);
            let mut seen = hello["history"].as_array().unwrap().len();
            // Everything after the history arrives as a message, up to one's own line.
            visitor.send_text("end");
            loop {
                let event = event(&mut visitor);
                if event["type"] != "message" {
                    continue;
                }
                seen += 1;
                if event["user"] == format!("visitor{n}") {
                    break;
                }
            }
            let mut check = site.connect("/chat?user=check");
            let history = event(&mut check)["history"].as_array().unwrap().clone();
            let own = format!("visitor{n}");
            let place = history.iter().position(|line| line["user"] == own.as_str());
            assert_eq!(
                place.map(|place| place + 1),
                Some(seen),
                "of at most 40 lines"
            );
        }
    });
}

#[test]
fn the_echo_sends_back_text_and_binary() {
    let site = Site::start();
    let mut client = site.connect("/echo?user=anna");
    client.send_text("text");
    client.expect_text("text");
    client.send_binary(&[0, 255, 7]);
    assert_eq!(client.receive(), Event::Binary(vec![0, 255, 7]));
    let mut v1 = site.connect_v1("/echo");
    v1.receive_text();
    v1.send_text(r#"{"type":"send","message":[1, 2]}"#);
    v1.expect_text(r#"{"type":"message","message":"[1, 2]"}"#);
    v1.expect_text(r#"{"type":"sent"}"#);
}

#[test]
fn the_chat_speaks_v1_too() {
    let site = Site::start();
    let mut anna = site.connect_v1("/chat?user=anna");
    anna.receive_text();
    let hello = event(&mut anna);
    assert_eq!(hello["type"], "message");
    let inside: Value = serde_json::from_str(hello["message"].as_str().unwrap()).unwrap();
    assert_eq!(inside["type"], "hello");
    anna.send_text(r#"{"type":"send","message":"hi","id":1}"#);
    anna.expect_text(r#"{"type":"sent","id":1}"#);
    let line = event(&mut anna);
    assert_eq!(
        (&line["type"], &line["channel"]),
        (&json!("message"), &json!("chat"))
    );
}
