//! Where a token is looked for, and that it shows nowhere.

use super::origin::Origins;
use super::signed_url::SignedUrlError;
use super::{Auth, AuthError, Identified, is_token_subprotocol};
use crate::auth::jwt::TokenError;
use crate::config::{self, Jwt, JwtAlgorithm, JwtKey, JwtSources, Secret};
use futures_util::FutureExt as _;
use http::HeaderMap;
use jsonwebtoken::{EncodingKey, Header, encode};
use rupor_server::UpgradeRequest;
use serde_json::json;
use std::time::Duration;

const SECRET: &[u8] = b"q8Zk3vX0tYw7Lr2Nf5Jc9Hs1Gd4Bm6Pa";
const FAR: u64 = 4_000_000_000;

fn jwt(query: bool, subprotocol: bool, first_message: bool) -> Auth {
    let settings = config::Auth {
        ways: vec![config::Way::Jwt],
        jwt: jwt_settings(query, subprotocol, first_message),
        ..config::Auth::none()
    };
    Auth::new(&settings).expect("a good key")
}

fn jwt_settings(query: bool, subprotocol: bool, first_message: bool) -> Option<Jwt> {
    let key = JwtKey {
        id: None,
        algorithm: JwtAlgorithm::Hs256,
        key: Secret::new(SECRET),
    };
    Some(Jwt {
        keys: vec![key],
        sources: JwtSources {
            query,
            subprotocol,
            first_message,
        },
        query_parameter: "token".to_string(),
        user_claim: "sub".to_string(),
        issuer: None,
        audience: None,
        leeway: Duration::from_secs(30),
    })
}

fn token(user: &str) -> String {
    let claims = json!({"sub": user, "exp": FAR});
    encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET),
    )
    .expect("signed")
}

/// At an upgrade with this query and these subprotocols.
fn identify<'a>(
    auth: &Auth,
    query: Option<&str>,
    subprotocols: impl IntoIterator<Item = &'a str>,
) -> Result<Identified, AuthError> {
    let target = query.map_or_else(|| "/".to_owned(), |query| format!("/?{query}"));
    let remote = "192.0.2.1:5".parse().expect("an address");
    let mut request = UpgradeRequest::new(target, HeaderMap::new(), remote);
    request.subprotocols = subprotocols.into_iter().map(str::to_owned).collect();
    let origins = Origins::new(&config::Origins::SameHostAnd(Vec::new())).expect("none");
    let found = auth.at_upgrade(&request, &origins).now_or_never();
    found.expect("at once").map_err(|refused| refused.error)
}

fn user(outcome: Result<Identified, AuthError>) -> Result<Option<String>, AuthError> {
    outcome.map(|identified| match identified {
        Identified::Known(identity) => identity.user.map(|user| user.to_string()),
        Identified::FirstMessage => Some("(first message)".to_string()),
    })
}

#[test]
fn demo_believes_the_query() {
    let auth = Auth::new(&config::Auth::none()).expect("nothing to check");
    for (query, expected) in [
        (None, Ok(None)),
        (Some(""), Ok(None)),
        (Some("channel=news"), Ok(None)),
        (Some("user="), Ok(None)),
        (Some("user=tester01"), Ok(Some("tester01".to_string()))),
        (
            Some("channel=news&user=%D0%90%D0%BD%D0%BD%D0%B0+B"),
            Ok(Some("Анна B".to_string())),
        ),
        (Some("user=a&user=b"), Err(AuthError::BadUser)),
        (Some("user=a&user=a"), Err(AuthError::BadUser)),
        (Some("user=a%0ab"), Err(AuthError::BadUser)),
    ] {
        assert_eq!(user(identify(&auth, query, [])), expected, "{query:?}");
    }
    let long = format!("user={}", "u".repeat(200));
    assert!(identify(&auth, Some(&long), []).is_ok());
    assert_eq!(
        user(identify(&auth, Some(&format!("{long}u")), [])),
        Err(AuthError::BadUser)
    );
    assert_eq!(auth.first_message(&token("u")), Err(AuthError::NotAsked));
}

#[test]
fn a_token_is_found_where_it_may_be() {
    let token = token("anna");
    let query = format!("a=b&token={token}");
    let query = Some(query.as_str());
    let offer = format!("rupor.jwt.{token}");
    let offer = ["rupor.v1", offer.as_str()];
    let anna = Ok(Some("anna".to_string()));
    let later = Ok(Some("(first message)".to_string()));
    assert_eq!(user(identify(&jwt(true, false, false), query, [])), anna);
    assert_eq!(user(identify(&jwt(false, true, false), None, offer)), anna);
    assert_eq!(user(identify(&jwt(true, true, true), None, offer)), anna);
    assert_eq!(user(identify(&jwt(false, false, true), None, [])), later);
    // A place that is not allowed is not looked at.
    assert_eq!(
        user(identify(&jwt(false, true, false), query, [])),
        Err(AuthError::NoToken)
    );
    assert_eq!(
        user(identify(&jwt(true, false, false), None, offer)),
        Err(AuthError::NoToken)
    );
    assert_eq!(
        user(identify(&jwt(false, false, true), query, offer)),
        later
    );
    // `?user=` means nothing where tokens are asked for.
    assert_eq!(
        user(identify(&jwt(true, true, false), Some("user=anna"), [])),
        Err(AuthError::NoToken)
    );
    // Two tokens: whose would it be?
    let auth = jwt(true, true, true);
    assert_eq!(
        user(identify(&auth, query, offer)),
        Err(AuthError::SeveralTokens)
    );
    let twice = format!("token={token}&token={token}");
    assert_eq!(
        user(identify(&auth, Some(&twice), [])),
        Err(AuthError::SeveralTokens)
    );
    // A bad token is not a missing token.
    for bad in ["token=", "token=x", "token=a.b.c"] {
        let outcome = user(identify(&auth, Some(bad), []));
        assert_eq!(
            outcome,
            Err(AuthError::Token(TokenError::Malformed)),
            "{bad}"
        );
    }
    assert_eq!(AuthError::NoToken.status(), 401);
}

#[test]
fn the_first_message_is_a_token_or_an_object_with_one() {
    let auth = jwt(false, false, true);
    let token = token("anna");
    for text in [
        token.clone(),
        format!(" {token}\n"),
        json!({"token": token}).to_string(),
        format!(" {{ \"token\" : \"{token}\" }} "),
    ] {
        let identity = auth.first_message(&text).expect("a right token");
        assert_eq!(identity.user.as_deref(), Some("anna"), "{text}");
        // The token is believed for its leeway longer.
        assert_eq!(identity.expires_at, Some(FAR + 30));
    }
    for text in [
        String::new(),
        "hello".to_string(),
        "{}".to_string(),
        "{\"token\":1}".to_string(),
        format!("{{\"token\":\"{token}\",\"x\":1}}"),
        format!("{{\"token\":\"{token}\",\"token\":\"{token}\"}}"),
        format!("[\"{token}\"]"),
        "[".repeat(100_000),
        format!("{{\"token\":{}", "[".repeat(100_000)),
        "a".repeat(1 << 20),
    ] {
        assert!(
            auth.first_message(&text).is_err(),
            "{}",
            &text[..text.len().min(80)]
        );
    }
    assert_eq!(
        jwt(true, true, false).first_message(&token),
        Err(AuthError::NotAsked)
    );
}

#[test]
fn tokens_are_in_no_error_and_no_debug() {
    assert!(is_token_subprotocol("rupor.jwt.abc"));
    assert!(!is_token_subprotocol("rupor.v1"));
    // Errors carry no part of a token.
    let auth = jwt(true, true, true);
    let canary = "canary.canary.canary";
    for error in [
        identify(&auth, Some(&format!("token={canary}")), []).expect_err("bad"),
        auth.first_message(canary).expect_err("bad"),
    ] {
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    assert!(!format!("{auth:?}").contains("q8Zk"));
}

#[test]
fn the_first_way_that_finds_something_decides() {
    let ways = |ways: &[config::Way]| {
        let secret = Secret::new(SECRET);
        let settings = config::Auth {
            ways: ways.to_vec(),
            jwt: jwt_settings(true, false, false),
            signed_url_key: Some(secret),
            ..config::Auth::none()
        };
        Auth::new(&settings).expect("a good key")
    };
    let token = format!("token={}", token("anna"));
    let wrong = "user=boris&expires=4000000000&signature=00";
    let both = format!("{token}&{wrong}");
    use config::Way::{Jwt, SignedUrl};
    let refused = || Err(AuthError::SignedUrl(SignedUrlError::WrongSignature));
    let anna = || Ok(Some("anna".to_string()));
    for (order, query, expected) in [
        (&[SignedUrl, Jwt][..], token.as_str(), anna()),
        (&[SignedUrl, Jwt], &both, refused()),
        (&[Jwt, SignedUrl], &both, anna()),
        (&[Jwt, SignedUrl], wrong, refused()),
        (&[Jwt], wrong, Err(AuthError::NoToken)),
        (&[SignedUrl], "", Err(AuthError::NoToken)),
    ] {
        let found = user(identify(&ways(order), Some(query), []));
        assert_eq!(found, expected, "{order:?}");
    }
}
