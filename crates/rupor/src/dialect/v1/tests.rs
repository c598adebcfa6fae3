//! What is read, what is refused, what is written. The examples of the reference page run in `gateway/tests`.

use super::*;
use proptest::prelude::*;

fn asked(text: &str) -> Asked<'_> {
    V1.decode(Message::Text(text), true).unwrap().asked
}

fn refused(text: &str) -> (Option<Id>, &'static str) {
    let bad = V1.decode(Message::Text(text), true).unwrap_err();
    (bad.id, bad.code)
}

#[test]
fn every_request_is_read() {
    let cases = [
        (
            r#"{"type":"subscribe","channel":"a"}"#,
            Asked::Subscribe {
                channel: "a".into(),
                token: None,
            },
        ),
        (
            r#"{"type":"unsubscribe","channel":"a"}"#,
            Asked::Unsubscribe("a".into()),
        ),
        (
            r#"{"type":"publish","channel":"a","message":"x\n"}"#,
            Asked::Publish {
                channel: "a".into(),
                text: "x\n".into(),
                token: None,
            },
        ),
        (
            r#"{"type":"send","message":"x"}"#,
            Asked::ApplicationText("x".into()),
        ),
        (r#" { "type" : "ping" } "#, Asked::Ping),
        (r#"{"type":"auth","token":"t"}"#, Asked::Auth("t".into())),
    ];
    for (text, expected) in cases {
        assert_eq!(asked(text), expected);
    }
}

#[test]
fn a_message_that_is_no_string_is_its_json_text() {
    for (json, text) in [
        ("\"a\\u0041\"", "aA"),
        ("42", "42"),
        ("1.50", "1.50"),
        ("{\"a\": [1, 2]}", "{\"a\": [1, 2]}"),
        ("true", "true"),
        ("null", "null"),
        ("\"\"", ""),
    ] {
        let request = format!(r#"{{"type":"send","message":{json}}}"#);
        assert_eq!(asked(&request), Asked::ApplicationText(text.into()));
    }
}

#[test]
fn what_is_wrong_is_named_and_its_id_found() {
    let one = Some(Id::Number(1));
    let cases = [
        ("", None, "bad_json"),
        ("[]", None, "bad_json"),
        (r#"["ping"]"#, None, "bad_json"),
        ("{", None, "bad_json"),
        (r#"{"type":"ping"} {}"#, None, "bad_json"),
        ("\"ping\"", None, "bad_json"),
        ("{}", None, "missing_field"),
        (r#"{"id":1}"#, one.clone(), "missing_field"),
        (
            r#"{"type":"subscribe","chanel":"a","id":1}"#,
            one.clone(),
            "unknown_field",
        ),
        (
            r#"{"type":"subscribe","channel":7,"id":1}"#,
            one.clone(),
            "bad_value",
        ),
        (
            r#"{"type":"ping","channel":"a","id":1}"#,
            one.clone(),
            "unknown_field",
        ),
        (r#"{"type":"auth","id":1}"#, one.clone(), "missing_field"),
        (
            r#"{"type":"publish","channel":"a","id":1}"#,
            one.clone(),
            "missing_field",
        ),
        (r#"{"type":"ping","type":"ping"}"#, None, "bad_value"),
        (r#"{"type":"ping","id":1.5}"#, None, "bad_value"),
        (r#"{"type":"ping","id":[1]}"#, None, "bad_value"),
        (r#"{"type":"pong","id":1}"#, one, "unknown_type"),
    ];
    for (text, id, code) in cases {
        assert_eq!(refused(text), (id, code), "{text}");
    }
    let bad = V1.decode(Message::Binary(b"{}"), true).unwrap_err();
    assert_eq!(bad.code, "unsupported");
}

#[test]
fn a_wrong_id_is_told_what_an_id_is() {
    let bad = V1
        .decode(Message::Text(r#"{"type":"ping","id":1.5}"#), true)
        .unwrap_err();
    assert!(
        bad.text.starts_with("id is a whole number or a text"),
        "{}",
        bad.text
    );
}

#[test]
fn an_id_has_a_limit() {
    let ping = |length: usize| format!(r#"{{"type":"ping","id":"{}"}}"#, "i".repeat(length));
    assert!(V1.decode(Message::Text(&ping(ID_BYTES_MAX)), true).is_ok());
    assert_eq!(refused(&ping(ID_BYTES_MAX + 1)), (None, "bad_value"));
    let unreadable = ping(ID_BYTES_MAX + 1).replace("ping", "ping\",\"x\":\"");
    assert_eq!(refused(&unreadable), (None, "unknown_field"));
}

#[test]
fn an_error_does_not_send_a_long_message_back() {
    let text = format!(r#"{{"type":"ping","{}":1}}"#, "x".repeat(10_000));
    let bad = V1.decode(Message::Text(&text), true).unwrap_err();
    assert!(bad.text.len() <= 200, "{}", bad.text.len());
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let deep = format!(r#"{{"type":"send","message":{}}}"#, "[".repeat(50_000));
    assert_eq!(refused(&deep), (None, "bad_json"));
}

#[test]
fn what_is_written_is_escaped() {
    let address = Address {
        channel: Some("news"),
        publication: Some("7"),
        ..Address::default()
    };
    let frame = V1.publication(address, "\"\u{2028}\n</script>");
    let text = r#"{"type":"message","channel":"news","publication":"7","message":"\"#.to_owned()
        + "\"\u{2028}\\n</script>\"}";
    assert_eq!(&frame.as_bytes()[2..], text.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, it is a request or an error that is short and can be sent back.
    #[test]
    fn any_text_is_a_request_or_an_error(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("{\"type\":\"".to_owned()), Just("publish".to_owned()), Just("subscribe".to_owned()),
                Just("\"".to_owned()), Just("\",\"channel\":\"".to_owned()), Just("}".to_owned()),
                Just("\",\"message\":".to_owned()), Just("\",\"id\":".to_owned()), Just("[1,{".to_owned()),
                Just("\\ud800".to_owned()), any::<i64>().prop_map(|number| number.to_string()),
                ".{0,8}",
            ],
            0..12,
        )
    ) {
        let text = pieces.concat();
        match V1.decode(Message::Text(&text), true) {
            Ok(request) => prop_assert!(request.id.is_none_or(|id| id.is_short())),
            Err(bad) => {
                let answer = Answer::Error { code: bad.code, text: &bad.text };
                let sent = V1.answer(&answer, bad.id.as_ref()).unwrap();
                let read: serde_json::Value = serde_json::from_str(&sent).unwrap();
                prop_assert_eq!(&read["code"], bad.code);
                prop_assert!(bad.text.chars().count() <= 200);
            }
        }
    }

    /// What is published arrives as it was, whatever it is.
    #[test]
    fn any_text_survives_being_published(text in any::<String>(), channel in "[a-z]{1,9}") {
        let address = Address { channel: Some(&channel), ..Address::default() };
        let frame = V1.publication(address, &text);
        // RFC 6455 §5.2: a length of 126 or 127 says that 2 or 8 bytes of length follow.
        let start = match frame.as_bytes()[1] { 126 => 4, 127 => 10, _ => 2 };
        let read: serde_json::Value = serde_json::from_slice(&frame.as_bytes()[start..]).unwrap();
        prop_assert_eq!(&read["message"], &text);
        prop_assert_eq!(&read["channel"], &channel);
    }
}
