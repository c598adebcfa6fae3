//! Tables of requests, right and wrong, and that no bytes panic.

use super::{ID_BYTES_MAX, KEY_BYTES_MAX, MESSAGE_DEPTH_MAX, RequestError, disconnect, publish};
use crate::gateway::{ConnectionId, Publish, Target};
use proptest::prelude::{any, prop, proptest};
use std::sync::Arc;

fn right(json: &str) -> Publish {
    publish(json.as_bytes())
        .outcome
        .unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn wrong(json: &str) -> RequestError {
    publish(json.as_bytes()).outcome.expect_err(json)
}

fn user(name: &str) -> Target {
    Target::User(Arc::from(name))
}

#[test]
fn the_articles_line_is_understood() {
    let request = publish(br#"{"user":"tester01","message":"test"}"#);
    let expected = Publish {
        target: user("tester01"),
        exclude: None,
        body: Arc::from("test"),
        compress: true,
        key: None,
        id: None,
    };
    assert_eq!(request.outcome, Ok(expected));
    assert_eq!(request.id, None);
}

#[test]
fn every_target_is_understood() {
    let id = ConnectionId(0x0123_4567_89ab_cdef);
    for (target, expected) in [
        (r#""user":"tester01""#, user("tester01")),
        (r#""user":42"#, user("42")),
        (r#""user":-0.50e+3"#, user("-0.50e+3")),
        (r#""user":"\u0410\u043d\u043d\u0430""#, user("Анна")),
        (r#""user":"a\"b""#, user("a\"b")),
        (r#""userId":"tester01""#, user("tester01")),
        (
            r#""userId":18446744073709551616"#,
            user("18446744073709551616"),
        ),
        (
            r#""users":["a",2]"#,
            Target::Users(vec![Arc::from("a"), Arc::from("2")]),
        ),
        (
            r#""users": [ "a" , "b" ] "#,
            Target::Users(vec![Arc::from("a"), Arc::from("b")]),
        ),
        (r#""users":[]"#, Target::Users(vec![])),
        (r#""connection":"0123456789abcdef""#, Target::Connection(id)),
        (r#""clientId":"0123456789ABCDEF""#, Target::Connection(id)),
        (
            r#""PHPSESSID":"q1w2e3""#,
            Target::Cookie(Arc::from("q1w2e3")),
        ),
        (r#""channel":"news""#, Target::Channel(Arc::from("news"))),
        (r#""all":true"#, Target::All),
    ] {
        assert_eq!(
            right(&format!(r#"{{{target},"message":""}}"#)).target,
            expected,
            "{target}"
        );
        // Order and white space do not matter.
        let spaced = format!(" {{ \"message\" : 1 ,\t{target} }}\r");
        assert_eq!(right(&spaced).target, expected, "{spaced}");
    }
}

#[test]
fn a_message_that_is_a_string_is_text_and_all_else_is_verbatim() {
    for (message, expected) in [
        (r#""test""#, "test"),
        (r#""""#, ""),
        (r#""\u0442\n\"\\\/\ud83d\ude00""#, "т\n\"\\/😀"),
        (r#""😀\u0000""#, "😀\0"),
        ("null", "null"),
        ("true", "true"),
        ("1.0", "1.0"),
        ("1e400", "1e400"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("{}", "{}"),
        (
            r#"{ "b" : 1, "a" : [ 1.50, "\u0041" ], "b" : 2 }"#,
            r#"{ "b" : 1, "a" : [ 1.50, "\u0041" ], "b" : 2 }"#,
        ),
        (r#"{"a":"\ud800"}"#, r#"{"a":"\ud800"}"#),
        (r#"["]","\"[[[["]"#, r#"["]","\"[[[["]"#),
    ] {
        let json = format!(r#"{{"all":true,"message": {message} }}"#);
        assert_eq!(&*right(&json).body, expected, "{json}");
    }
}

#[test]
fn exclude_and_id_are_read() {
    let request =
        publish(br#"{"id":"a\u0062","channel":"c","message":"m","exclude":"00000000000000ff"}"#);
    assert_eq!(
        request.id.as_ref().map(super::Id::as_json),
        Some(r#""a\u0062""#)
    );
    assert_eq!(
        request.outcome.map(|publish| publish.exclude),
        Ok(Some(ConnectionId(255)))
    );
    let request = publish(br#"{"id":null,"channel":"c","message":"m","exclude":null}"#);
    assert_eq!(request.id, None);
    assert_eq!(request.outcome.map(|publish| publish.exclude), Ok(None));
}

#[test]
fn a_key_is_a_short_text_or_a_number() {
    let longest = "x".repeat(KEY_BYTES_MAX);
    for (field, expected) in [
        (String::new(), None),
        (r#","key":null"#.to_owned(), None),
        (r#","key":"bid""#.to_owned(), Some("bid")),
        (r#","key":42"#.to_owned(), Some("42")),
        (r#","key":"""#.to_owned(), Some("")),
        (format!(r#","key":"{longest}""#), Some(&*longest)),
    ] {
        let json = format!(r#"{{"channel":"c","message":""{field}}}"#);
        assert_eq!(right(&json).key.as_deref(), expected, "{json}");
    }
    for value in ["true", "[]", "{}", &format!("\"{longest}x\"")] {
        let json = format!(r#"{{"channel":"c","message":"","key":{value}}}"#);
        assert_eq!(wrong(&json).code(), "bad_value", "{json}");
    }
}

#[test]
fn compress_is_true_unless_it_is_said_to_be_false() {
    for (field, expected) in [
        ("", true),
        (r#","compress":true"#, true),
        (r#","compress":null"#, true),
        (r#","compress":false"#, false),
    ] {
        let json = format!(r#"{{"all":true,"message":""{field}}}"#);
        assert_eq!(right(&json).compress, expected, "{json}");
    }
    for value in ["0", "\"false\"", "[]", "False"] {
        let json = format!(r#"{{"all":true,"message":"","compress":{value}}}"#);
        let error = wrong(&json);
        assert!(["bad_value", "bad_json"].contains(&error.code()), "{json}");
    }
    let error = disconnect(br#"{"all":true,"compress":false}"#).outcome;
    assert_eq!(error.expect_err("not there").code(), "unknown_field");
}

/// Wrong objects, the code of their error, and a part of its text.
const WRONG: &[(&str, &str, &str)] = &[
    ("", "bad_json", "EOF"),
    ("   ", "bad_json", "EOF"),
    ("hello", "bad_json", "column 1"),
    ("{", "bad_json", "EOF"),
    (r#"{"user":"a","message":"b""#, "bad_json", "EOF"),
    (r#"{"user":"a","message":"b"}}"#, "bad_json", "trailing"),
    (r#"{"user":"a","message":"b"} {}"#, "bad_json", "trailing"),
    (r#"{"user":"a" "message":"b"}"#, "bad_json", "column"),
    (r#"{'user':'a'}"#, "bad_json", "column"),
    (r#"{"user":"a","message":"b",}"#, "bad_json", "column"),
    (r#"{"user":"a","message":01}"#, "bad_json", "column"),
    (r#"{"user":"a","message":NaN}"#, "bad_json", "column"),
    (
        "{\"user\":\"a\",\"message\":\"\u{1}\"}",
        "bad_json",
        "control",
    ),
    (r#"{"user":"a","message":"\x"}"#, "bad_json", "escape"),
    ("\u{feff}{}", "bad_json", "column 1"),
    ("[]", "bad_value", "object"),
    ("null", "bad_value", "object"),
    (r#""text""#, "bad_value", "object"),
    ("1", "bad_value", "object"),
    ("{}", "no_target", "`user`"),
    (r#"{"message":"b"}"#, "no_target", "`user`"),
    (r#"{"user":"a"}"#, "no_message", "`message`"),
    (
        r#"{"user":"a","userId":"a","message":"b"}"#,
        "several_targets",
        "`userId`",
    ),
    (
        r#"{"user":"a","all":true,"message":"b"}"#,
        "several_targets",
        "`all`",
    ),
    (
        r#"{"users":["a"],"channel":"c","message":"b"}"#,
        "several_targets",
        "`channel`",
    ),
    (
        r#"{"user":"a","user":"a","message":"b"}"#,
        "bad_value",
        "twice",
    ),
    (
        r#"{"user":"a","message":"b","message":"b"}"#,
        "bad_value",
        "`message`",
    ),
    (
        r#"{"user":"a","\u0075ser":"b","message":"b"}"#,
        "bad_value",
        "twice",
    ),
    (
        r#"{"user":"a","mesage":"b"}"#,
        "unknown_field",
        "did you mean `message`",
    ),
    (
        r#"{"user":"a","message":"b","ttl":1}"#,
        "unknown_field",
        "channel, all",
    ),
    (
        r#"{"user":"a","message":"b","code":1000}"#,
        "unknown_field",
        "`code`",
    ),
    (r#"{"user":"a","message":"b","":1}"#, "unknown_field", "``"),
    (
        r#"{"user":"a","message":"b","__proto__":{"x":[1,{}]}}"#,
        "unknown_field",
        "__proto__",
    ),
    (
        r#"{"user":null,"message":"b"}"#,
        "bad_value",
        "a string or a number",
    ),
    (r#"{"user":["a"],"message":"b"}"#, "bad_value", "`user`"),
    (r#"{"user":{},"message":"b"}"#, "bad_value", "`user`"),
    (r#"{"user":true,"message":"b"}"#, "bad_value", "`user`"),
    (r#"{"user":"\ud800","message":"b"}"#, "bad_value", "`user`"),
    (r#"{"users":"a","message":"b"}"#, "bad_value", "array"),
    (
        r#"{"users":["a",null],"message":"b"}"#,
        "bad_value",
        "array",
    ),
    (r#"{"users":[["a"]],"message":"b"}"#, "bad_value", "array"),
    (
        r#"{"connection":"1","message":"b"}"#,
        "bad_value",
        "16 hexadecimal",
    ),
    (
        r#"{"connection":1,"message":"b"}"#,
        "bad_value",
        "16 hexadecimal",
    ),
    (
        r#"{"clientId":"0123456789abcdeg","message":"b"}"#,
        "bad_value",
        "`clientId`",
    ),
    (
        r#"{"all":false,"message":"b"}"#,
        "bad_value",
        "`all` must be true",
    ),
    (
        r#"{"all":1,"message":"b"}"#,
        "bad_value",
        "`all` must be true",
    ),
    (
        r#"{"all":"true","message":"b"}"#,
        "bad_value",
        "`all` must be true",
    ),
    (
        r#"{"all":true,"message":"b","exclude":"x"}"#,
        "bad_value",
        "`exclude`",
    ),
    (
        r#"{"all":true,"message":"b","id":true}"#,
        "bad_value",
        "`id`",
    ),
    (
        r#"{"all":true,"message":"b","id":[1]}"#,
        "bad_value",
        "`id`",
    ),
    (
        r#"{"all":true,"message":"\ud800"}"#,
        "bad_value",
        "surrogate",
    ),
];

#[test]
fn wrong_objects_have_a_code_and_say_what_to_do() {
    for (json, code, says) in WRONG {
        let error = wrong(json);
        assert_eq!(error.code(), *code, "{json}: {error}");
        assert!(error.to_string().contains(says), "{json}: {error}");
    }
    let not_utf8 = publish(b"{\"user\":\"\xff\",\"message\":\"b\"}").outcome;
    assert_eq!(not_utf8, Err(RequestError::NotUtf8));
}

#[test]
fn a_wrong_object_still_has_its_id_answered() {
    for json in [
        r#"{"id":7}"#,
        r#"{"id":7,"user":"a"}"#,
        r#"{"bad":1,"user":"a","message":"b","id":7}"#,
        r#"{"user":"a","user":"a","id":7}"#,
        r#"{"id":7,"user":{},"message":"b"}"#,
    ] {
        let request = publish(json.as_bytes());
        assert!(request.outcome.is_err(), "{json}");
        assert_eq!(
            request.id.as_ref().map(super::Id::as_json),
            Some("7"),
            "{json}"
        );
    }
}

#[test]
fn limits_end_where_they_say() {
    let nested = |depth: usize| {
        format!(
            r#"{{"all":true,"message":{}1{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(
        publish(nested(MESSAGE_DEPTH_MAX).as_bytes())
            .outcome
            .is_ok()
    );
    assert_eq!(wrong(&nested(MESSAGE_DEPTH_MAX + 1)).code(), "bad_value");
    // Deep enough to end the stack of a parser that recurses.
    assert_eq!(wrong(&nested(400_000)).code(), "bad_value");
    let unknown = format!(r#"{{"x":{}{}}}"#, "[".repeat(400_000), "]".repeat(400_000));
    assert_eq!(wrong(&unknown).code(), "unknown_field");
    assert_eq!(wrong(&"[".repeat(400_000)).code(), "bad_value");

    let with_id = |bytes: usize| {
        format!(
            r#"{{"all":true,"message":1,"id":"{}"}}"#,
            "i".repeat(bytes - 2)
        )
    };
    assert!(publish(with_id(ID_BYTES_MAX).as_bytes()).outcome.is_ok());
    assert_eq!(wrong(&with_id(ID_BYTES_MAX + 1)).code(), "bad_value");

    let name = "ы".repeat(1000);
    let error = wrong(&format!(r#"{{"{name}":1}}"#)).to_string();
    assert!(error.len() < 400, "{error}");
}

#[test]
fn a_disconnect_has_a_target_and_perhaps_code_and_reason() {
    let request = disconnect(br#"{"user":"a"}"#).outcome.expect("right");
    assert_eq!((request.target, request.code), (user("a"), 1000));
    let request = disconnect(br#"{"all":true,"code":4001,"reason":"b\u0079e"}"#).outcome;
    let request = request.expect("right");
    assert_eq!((request.code, request.reason.as_str()), (4001, "bye"));
    for (json, code) in [
        (r#"{"code":4001}"#, "no_target"),
        (r#"{"user":"a","message":"b"}"#, "unknown_field"),
        (
            r#"{"user":"a","exclude":"0123456789abcdef"}"#,
            "unknown_field",
        ),
        (r#"{"user":"a","code":"4001"}"#, "bad_value"),
        (r#"{"user":"a","code":65536}"#, "bad_value"),
        (r#"{"user":"a","code":-1}"#, "bad_value"),
        (r#"{"user":"a","code":1e3}"#, "bad_value"),
        (r#"{"user":"a","reason":1}"#, "bad_value"),
    ] {
        let error = disconnect(json.as_bytes()).outcome.expect_err(json);
        assert_eq!(error.code(), code, "{json}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in r#"[{}\[\]",:\\a-z0-9 ]{0,60}"#) {
        let _ = (publish(&bytes), disconnect(&bytes));
        let _ = (publish(text.as_bytes()), disconnect(text.as_bytes()));
    }

    #[test]
    fn no_damage_to_a_right_object_panics(place in 0_usize..80, byte in any::<u8>()) {
        let mut json = br#"{"users":["a",1],"message":{"a":[1,"\u0041"]},"exclude":null,"id":"x"}"#.to_vec();
        let place = place % json.len();
        json[place] = byte;
        let _ = publish(&json);
        let _ = publish(&json[..place]);
    }

    #[test]
    fn any_text_arrives_as_it_was(message in any::<String>(), name in any::<String>()) {
        let json = serde_json::json!({"user": name, "message": message}).to_string();
        let request = right(&json);
        assert_eq!(&*request.body, message.as_str());
        assert_eq!(request.target, user(&name));
    }

    #[test]
    fn depth_is_what_a_tree_has(shape in prop::collection::vec(0_u8..3, 0..12)) {
        let mut json = "1".to_string();
        for step in &shape {
            json = match step {
                0 => format!("[{json}]"),
                1 => format!(r#"{{"[[\"": {json}}}"#),
                _ => format!(r#"["]\\", {json}, []]"#),
            };
        }
        // The last kind holds an empty array beside the rest, which is one deep itself.
        let innermost = usize::from(shape.first() == Some(&2));
        assert_eq!(super::depth(&json), shape.len() + innermost, "{json}");
    }
}
