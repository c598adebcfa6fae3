//! What becomes of the arguments, and what is read of an answer. The real program: `tests/clients.rs`.

use super::{Failure, MESSAGE_BYTES_MAX, PublishArgs, read_answer, read_message, request};
use crate::inlet::request::publish;
use clap::{Args as _, Command, FromArgMatches as _};
use std::io;

fn arguments(arguments: &[&str]) -> Result<PublishArgs, clap::Error> {
    let command = PublishArgs::augment_args(Command::new("publish"));
    let all = ["publish"].iter().chain(arguments);
    PublishArgs::from_arg_matches(&command.try_get_matches_from(all)?)
}

fn line(given: &[&str]) -> String {
    let arguments = arguments(given).unwrap_or_else(|error| panic!("{error}"));
    request(&arguments, &arguments.message).expect("a right message")
}

#[test]
fn who_may_not_write_to_the_socket_is_told_of_its_group() {
    for (kind, advice) in [
        (io::ErrorKind::PermissionDenied, "the group of that socket"),
        (io::ErrorKind::ConnectionRefused, "Is rupor running"),
    ] {
        let place = "unix:///run/rupor/rupor.sock".to_owned();
        let error = kind.into();
        let shown = Failure::Unreachable { place, error }.to_string();
        assert!(shown.contains(advice), "{shown}");
    }
}

#[test]
fn arguments_become_the_publish_object() {
    for (given, expected) in [
        (
            &["--user", "tester01", "test"] as &[&str],
            r#"{"message":"test","user":"tester01"}"#,
        ),
        (
            &["--user", "a", "--user", "b", "x"],
            r#"{"message":"x","users":["a","b"]}"#,
        ),
        (
            &["--channel", "news", "\"x\"\n"],
            r#"{"channel":"news","message":"\"x\"\n"}"#,
        ),
        (
            &["--connection", "0123456789abcdef", "x"],
            r#"{"connection":"0123456789abcdef","message":"x"}"#,
        ),
        (
            &["--all", "--exclude", "0123456789abcdef", "x"],
            r#"{"all":true,"exclude":"0123456789abcdef","message":"x"}"#,
        ),
        (
            &["--all", "--json", "{\"a\":\n 1.50}"],
            r#"{"all":true,"message":{"a":  1.50}}"#,
        ),
        (
            &["--all", "--no-compress", "x"],
            r#"{"all":true,"compress":false,"message":"x"}"#,
        ),
        (
            &["--all", "--json", " \"text\" "],
            r#"{"all":true,"message":"text"}"#,
        ),
    ] {
        let line = line(given);
        assert_eq!(line, expected);
        assert!(!line.contains('\n'));
        assert!(publish(line.as_bytes()).outcome.is_ok(), "{line}");
    }
}

#[test]
fn wrong_arguments_are_refused() {
    for given in [
        &["x"] as &[&str],
        &["--user", "a"],
        &["--user", "a", "--all", "x"],
        &["--user", "a", "--channel", "b", "x"],
        &["--all", "x", "y"],
        &["--all", "--inlet", "127.0.0.1:1", "x"],
        &[
            "--all",
            "--inlet",
            "tcp://127.0.0.1:1",
            "--url",
            "http://127.0.0.1:1",
            "x",
        ],
        &["--all", "--url", "http://a", "--ca", "f", "--insecure", "x"],
    ] {
        assert!(arguments(given).is_err(), "{given:?}");
    }
    let given = arguments(&["--all", "--json", "{"]).expect("clap does not know JSON");
    assert!(matches!(request(&given, "{"), Err(Failure::NotJson(_))));
}

#[test]
fn a_message_from_standard_input_loses_one_line_end() {
    for (input, expected) in [
        ("test\n", "test"),
        ("test", "test"),
        ("a\r\n", "a"),
        ("a\nb\n\n", "a\nb\n"),
        ("", ""),
    ] {
        assert_eq!(read_message(input.as_bytes()).expect("text"), expected);
    }
    assert!(matches!(
        read_message([0xff].as_slice()),
        Err(Failure::Unreadable { .. })
    ));
    let max = usize::try_from(MESSAGE_BYTES_MAX).expect("a size");
    assert!(read_message("x".repeat(max).as_bytes()).is_ok());
    assert!(matches!(
        read_message("x".repeat(max + 1).as_bytes()),
        Err(Failure::TooLong)
    ));
}

#[test]
fn answers_are_believed_only_when_they_are_ours() {
    assert_eq!(
        read_answer("", r#"{"ok":true,"connections":2}"#).expect("taken"),
        2
    );
    let refused = read_answer("", r#"{"ok":false,"error":"why","code":"no_target"}"#);
    assert_eq!(
        refused.expect_err("refused").to_string(),
        "refused: why (no_target)"
    );
    for answer in [
        "",
        "\n",
        "HTTP/1.1 400 Bad Request",
        "{}",
        "[]",
        r#"{"ok":true}"#,
        "null",
    ] {
        let failure = read_answer("place", answer).expect_err("no answer");
        assert!(matches!(failure, Failure::NoAnswer { .. }), "{answer}");
    }
}
