//! That `docs/reference/inlets.md` names every field and every code.

use super::field::Shape;
use super::request::publish;
use crate::gateway::PublishError;
use rupor_hub::Refused;

const PAGE: &str = include_str!("../../../../docs/reference/inlets.md");

#[test]
fn the_reference_names_every_field_and_code() {
    let named = |word: &str| assert!(PAGE.contains(&format!("`{word}`")), "`{word}` is missing");
    for shape in [Shape::Publish, Shape::Disconnect] {
        shape.fields().iter().for_each(|field| named(field.name()));
    }
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"x":1}"#,
        r#"{"all":true}"#,
        r#"{"all":true,"user":1}"#,
        r#"{"all":1,"message":1}"#,
    ] {
        named(publish(wrong.as_bytes()).outcome.expect_err(wrong).code());
    }
    for error in [
        PublishError::Overloaded,
        PublishError::Unavailable,
        PublishError::BadCloseCode,
        PublishError::Refused(Refused::BadUserName),
        PublishError::Refused(Refused::BadChannelName),
        PublishError::Refused(Refused::TooManyUsers),
    ] {
        named(error.code());
    }
    // Written where they arise, in lines and HTTP.
    let sources = [
        include_str!("lines/exchange.rs"),
        include_str!("lines/answers.rs"),
        include_str!("http.rs"),
        include_str!("http/guard.rs"),
        include_str!("http/reply.rs"),
    ];
    let codes = [
        "line_too_long",
        "http",
        "answers_dropped",
        "not_sent",
        "not_found",
        "api_off",
        "method_not_allowed",
        "unsupported_media_type",
        "body_too_long",
        "too_slow",
        "bad_body",
        "foreign_host",
        "foreign_origin",
        "no_key",
        "wrong_key",
    ];
    for code in codes {
        named(code);
        let quoted = [format!("\"{code}\""), format!("\\\"{code}\\\"")];
        let is_used = sources
            .iter()
            .any(|source| quoted.iter().any(|it| source.contains(it)));
        assert!(is_used, "`{code}` is in the reference and nowhere else");
    }
}
