//! A-J1 to A-J6: what a forger tries. The real library signs the tokens; nothing is mocked.

use super::{TOKEN_BYTES_MAX, TokenError, Verifier};
use crate::auth::key::KeyError;
use crate::config::{Jwt, JwtAlgorithm, JwtKey, JwtSources, Secret};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::{any, proptest};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"q8Zk3vX0tYw7Lr2Nf5Jc9Hs1Gd4Bm6Pa";

fn key(algorithm: JwtAlgorithm, key: &[u8], id: Option<&str>) -> JwtKey {
    JwtKey {
        id: id.map(ToString::to_string),
        algorithm,
        key: Secret::new(key),
    }
}

fn settings(keys: Vec<JwtKey>) -> Jwt {
    Jwt {
        keys,
        sources: JwtSources {
            query: true,
            subprotocol: true,
            first_message: true,
        },
        query_parameter: "token".to_string(),
        user_claim: "sub".to_string(),
        issuer: None,
        audience: None,
        leeway: Duration::from_secs(30),
    }
}

fn hs256() -> Verifier {
    Verifier::new(&settings(vec![key(JwtAlgorithm::Hs256, SECRET, None)])).expect("a good key")
}

fn sign(header: &Header, claims: &Value, secret: &[u8]) -> String {
    encode(header, claims, &EncodingKey::from_secret(secret)).expect("signed")
}

fn token(claims: &Value) -> String {
    sign(&Header::new(Algorithm::HS256), claims, SECRET)
}

/// A token whose header and claims are any text, rightly signed by HS256.
fn raw_token(header: &str, claims: &str) -> String {
    let body = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = jsonwebtoken::crypto::sign(
        body.as_bytes(),
        &EncodingKey::from_secret(SECRET),
        Algorithm::HS256,
    )
    .expect("signed");
    format!("{body}.{signature}")
}

/// What the settings of these tests allow clocks to differ, in seconds.
const LEEWAY: u64 = 30;

fn verify(verifier: &Verifier, token: &str) -> Result<(String, u64), TokenError> {
    let verified = verifier.verify(token, Duration::from_secs(NOW))?;
    Ok((verified.user.to_string(), verified.expires_at))
}

#[test]
fn a_right_token_names_its_user() {
    let claims = json!({"sub": "tester01", "exp": NOW + 60});
    assert_eq!(
        verify(&hs256(), &token(&claims)),
        Ok(("tester01".to_string(), NOW + 60 + LEEWAY))
    );
    let claims = json!({"sub": 42, "exp": NOW + 60});
    assert_eq!(
        verify(&hs256(), &token(&claims)),
        Ok(("42".to_string(), NOW + 60 + LEEWAY))
    );
    let claims = json!({"sub": "Анна", "exp": NOW + 60, "role": {"deep": [1, 2, {"x": null}]}});
    assert_eq!(
        verify(&hs256(), &token(&claims)),
        Ok(("Анна".to_string(), NOW + 60 + LEEWAY))
    );
}

#[test]
fn dates_are_integers_or_floats_and_have_a_leeway() {
    let expired = Err(TokenError::Expired);
    let early = Err(TokenError::NotYetValid);
    let no_expiry = Err(TokenError::NoExpiry);
    for (claims, expected) in [
        (json!({"exp": NOW + 1}), Ok(NOW + 1 + LEEWAY)),
        (json!({"exp": NOW}), Ok(NOW + LEEWAY)),
        (json!({"exp": NOW - 29}), Ok(NOW + 1)),
        (json!({"exp": NOW - 30}), expired),
        (json!({"exp": 1_800_000_000.75}), Ok(NOW + LEEWAY + 1)),
        (json!({"exp": 1_799_999_970.5}), Ok(NOW + 1)),
        (json!({"exp": 1_799_999_969.9}), expired),
        (json!({"exp": 1e300}), Ok(u64::MAX)),
        (json!({"exp": u64::MAX}), Ok(u64::MAX)),
        (json!({"exp": 0}), expired),
        (json!({"exp": -1}), expired),
        (json!({"exp": -1e300}), expired),
        (json!({"exp": i64::MIN}), expired),
        (json!({"exp": (NOW + 60).to_string()}), no_expiry),
        (json!({"exp": null}), no_expiry),
        (json!({"exp": true}), no_expiry),
        (json!({"exp": [NOW + 60]}), no_expiry),
        (json!({}), no_expiry),
        (
            json!({"exp": NOW + 60, "nbf": NOW + 30}),
            Ok(NOW + 60 + LEEWAY),
        ),
        (json!({"exp": NOW + 60, "nbf": NOW + 31}), early),
        (json!({"exp": NOW + 60, "nbf": 1_800_000_030.5}), early),
        (json!({"exp": NOW + 60, "nbf": "0"}), early),
        (json!({"exp": NOW + 60, "nbf": null}), early),
        (json!({"exp": NOW + 60, "nbf": 1e300}), early),
        (json!({"exp": NOW + 60, "nbf": -5}), Ok(NOW + 60 + LEEWAY)),
    ] {
        let mut claims = claims;
        claims["sub"] = json!("u");
        let outcome = verify(&hs256(), &token(&claims)).map(|(_, expires_at)| expires_at);
        assert_eq!(outcome, expected, "{claims}");
    }
}

#[test]
fn the_user_is_a_users_name() {
    for sub in [
        json!(null),
        json!(""),
        json!(true),
        json!(4.5),
        json!(["u"]),
        json!({"u": 1}),
        json!("a\nb"),
        json!("u".repeat(201)),
    ] {
        let claims = json!({"sub": sub, "exp": NOW + 60});
        assert_eq!(
            verify(&hs256(), &token(&claims)),
            Err(TokenError::NoUser),
            "{claims}"
        );
    }
    assert_eq!(
        verify(&hs256(), &token(&json!({"exp": NOW + 60}))),
        Err(TokenError::NoUser)
    );
    let mut settings = settings(vec![key(JwtAlgorithm::Hs256, SECRET, None)]);
    settings.user_claim = "uid".to_string();
    let verifier = Verifier::new(&settings).expect("a good key");
    let claims = json!({"sub": "other", "uid": "u", "exp": NOW + 60});
    assert_eq!(
        verify(&verifier, &token(&claims)),
        Ok(("u".to_string(), NOW + 60 + LEEWAY))
    );
}

#[test]
fn issuer_and_audience_are_checked_when_set() {
    let mut settings = settings(vec![key(JwtAlgorithm::Hs256, SECRET, None)]);
    settings.issuer = Some("https://example.org".to_string());
    settings.audience = Some("rupor".to_string());
    let verifier = Verifier::new(&settings).expect("a good key");
    let right = "https://example.org";
    for (iss, aud, expected) in [
        (json!(right), json!("rupor"), None),
        (json!(right), json!(["other", "rupor"]), None),
        (json!(null), json!("rupor"), Some(TokenError::WrongIssuer)),
        (
            json!([right]),
            json!("rupor"),
            Some(TokenError::WrongIssuer),
        ),
        (
            json!("https://example.org.evil.example"),
            json!("rupor"),
            Some(TokenError::WrongIssuer),
        ),
        (json!(right), json!(null), Some(TokenError::WrongAudience)),
        (json!(right), json!([]), Some(TokenError::WrongAudience)),
        (
            json!(right),
            json!("ruporx"),
            Some(TokenError::WrongAudience),
        ),
        (
            json!(right),
            json!({"rupor": 1}),
            Some(TokenError::WrongAudience),
        ),
    ] {
        let claims = json!({"sub": "u", "exp": NOW + 60, "iss": iss, "aud": aud});
        assert_eq!(
            verify(&verifier, &token(&claims)).err(),
            expected,
            "{claims}"
        );
    }
    // Not asked for: whatever the token says of them does not matter.
    let claims = json!({"sub": "u", "exp": NOW + 60, "iss": 1, "aud": {"a": 1}});
    assert_eq!(verify(&hs256(), &token(&claims)).err(), None);
}

#[test]
fn headers_do_not_choose_the_algorithm() {
    let claims = format!(r#"{{"sub":"admin","exp":{}}}"#, NOW + 60);
    let good = json!({"sub": "admin", "exp": NOW + 60});
    let unsigned = |header: &str| {
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(&claims)
        )
    };
    let refused = [
        unsigned(r#"{"alg":"none"}"#),
        unsigned(r#"{"alg":"None","typ":"JWT"}"#),
        unsigned(r#"{"alg":"nOnE"}"#),
        unsigned(r#"{"alg":""}"#),
        unsigned(r#"{"typ":"JWT"}"#),
        unsigned(r#"{"alg":"HS256"}"#),
        unsigned(r#"{"alg":["HS256"]}"#),
        unsigned(r#"{"alg":null}"#),
        raw_token(r#"{"alg":"none"}"#, &claims),
        raw_token(r#"{"alg":"HS512"}"#, &claims),
        raw_token(r#"{"alg":"hs256"}"#, &claims),
        raw_token(r#"{"alg":"RS256"}"#, &claims),
        raw_token(r#"{"alg":"HS256","alg":"none"}"#, &claims),
        raw_token(r#"{"alg":"HS256","crit":["exp"]}"#, &claims),
        raw_token(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, &claims),
        sign(&Header::new(Algorithm::HS384), &good, SECRET),
        sign(
            &Header::new(Algorithm::HS256),
            &good,
            b"another secret of the same length",
        ),
        sign(&Header::new(Algorithm::HS256), &good, b""),
        raw_token(
            &format!(r#"{{"alg":"HS256","x":{}}}"#, "[".repeat(300)),
            &claims,
        ),
        raw_token(
            r#"{"alg":"HS256"}"#,
            &format!(r#"{{"x":{}"#, "[".repeat(300)),
        ),
        raw_token(r#"{"alg":"HS256"}"#, "[]"),
        raw_token(r#"{"alg":"HS256"}"#, "\"admin\""),
        raw_token(r#"{"alg":"HS256"}"#, "\u{0}"),
        raw_token("", &claims),
        raw_token("\u{feff}{}", &claims),
        String::new(),
        ".".to_string(),
        "..".to_string(),
        "...".to_string(),
        "a.b.c".to_string(),
        format!("{}.extra", token(&good)),
        format!("{} ", token(&good)),
        format!("{}=", token(&good)),
        format!(" {}", token(&good)),
        format!("Bearer {}", token(&good)),
        token(&good).replace('.', ".."),
        token(&good)[..token(&good).len() - 1].to_string(),
    ];
    for token in &refused {
        assert!(verify(&hs256(), token).is_err(), "{token}");
    }
    assert!(verify(&hs256(), &raw_token(r#"{"alg":"HS256"}"#, &claims)).is_ok());
}

#[test]
fn where_the_header_points_is_not_followed() {
    // A-J3, A-J4: with one key and no id the rest of the header changes nothing.
    let claims = format!(r#"{{"sub":"u","exp":{}}}"#, NOW + 60);
    for extra in [
        r#""kid":"../../../../dev/null""#,
        r#""kid":"' UNION SELECT 'x""#,
        r#""jku":"http://127.0.0.1:1/jwks.json""#,
        r#""x5u":"file:///etc/passwd""#,
    ] {
        let token = raw_token(&format!(r#"{{"alg":"HS256",{extra}}}"#), &claims);
        assert!(verify(&hs256(), &token).is_ok(), "{extra}");
        let forged = token
            .rsplit_once('.')
            .map(|(body, _)| format!("{body}.AAAA"));
        assert_eq!(
            verify(&hs256(), &forged.expect("dots")),
            Err(TokenError::WrongSignature)
        );
    }
}

#[test]
fn kid_chooses_among_the_configured_keys() {
    let other: &[u8] = b"Zx9Cv8Bn7Mq6Wl5Ek4Rj3Th2Yg1Uf0Id";
    let verifier = Verifier::new(&settings(vec![
        key(JwtAlgorithm::Hs256, SECRET, Some("2025")),
        key(JwtAlgorithm::Hs512, other, Some("2026")),
    ]))
    .expect("good keys");
    let claims = json!({"sub": "u", "exp": NOW + 60});
    let signed = |algorithm, kid: Option<&str>, secret| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(ToString::to_string);
        verify(&verifier, &sign(&header, &claims, secret)).err()
    };
    assert_eq!(signed(Algorithm::HS256, Some("2025"), SECRET), None);
    assert_eq!(signed(Algorithm::HS512, Some("2026"), other), None);
    assert_eq!(
        signed(Algorithm::HS256, Some("2026"), SECRET),
        Some(TokenError::WrongAlgorithm)
    );
    assert_eq!(
        signed(Algorithm::HS512, Some("2026"), SECRET),
        Some(TokenError::WrongSignature)
    );
    assert_eq!(
        signed(Algorithm::HS256, Some("2027"), SECRET),
        Some(TokenError::UnknownKey)
    );
    assert_eq!(
        signed(Algorithm::HS256, None, SECRET),
        Some(TokenError::UnknownKey)
    );

    // One key with an id: a token may leave it out, but may not name another.
    let only = Verifier::new(&settings(vec![key(JwtAlgorithm::Hs256, SECRET, Some("a"))]));
    let only = only.expect("a good key");
    let mut header = Header::new(Algorithm::HS256);
    assert_eq!(verify(&only, &sign(&header, &claims, SECRET)).err(), None);
    header.kid = Some("b".to_string());
    assert_eq!(
        verify(&only, &sign(&header, &claims, SECRET)).err(),
        Some(TokenError::UnknownKey)
    );
}

/// The private key for signing and the public key as PEM.
fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let pair = KeyPair::generate_for(algorithm).expect("a key pair");
    (pair.serialize_pem(), pair.public_key_pem())
}

#[test]
fn public_keys_verify_their_own_algorithm_only() {
    let (rsa, rsa_public) = pair(&rcgen::PKCS_RSA_SHA256);
    let (p256, p256_public) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (p384, p384_public) = pair(&rcgen::PKCS_ECDSA_P384_SHA384);
    let (ed, ed_public) = pair(&rcgen::PKCS_ED25519);
    let rsa_key = EncodingKey::from_rsa_pem(rsa.as_bytes()).expect("a key");
    let p256_key = EncodingKey::from_ec_pem(p256.as_bytes()).expect("a key");
    let p384_key = EncodingKey::from_ec_pem(p384.as_bytes()).expect("a key");
    let ed_key = EncodingKey::from_ed_pem(ed.as_bytes()).expect("a key");
    let cases = [
        (JwtAlgorithm::Rs256, Algorithm::RS256, &rsa_key, &rsa_public),
        (JwtAlgorithm::Rs384, Algorithm::RS384, &rsa_key, &rsa_public),
        (JwtAlgorithm::Rs512, Algorithm::RS512, &rsa_key, &rsa_public),
        (JwtAlgorithm::Ps256, Algorithm::PS256, &rsa_key, &rsa_public),
        (JwtAlgorithm::Ps384, Algorithm::PS384, &rsa_key, &rsa_public),
        (JwtAlgorithm::Ps512, Algorithm::PS512, &rsa_key, &rsa_public),
        (
            JwtAlgorithm::Es256,
            Algorithm::ES256,
            &p256_key,
            &p256_public,
        ),
        (
            JwtAlgorithm::Es384,
            Algorithm::ES384,
            &p384_key,
            &p384_public,
        ),
        (JwtAlgorithm::EdDsa, Algorithm::EdDSA, &ed_key, &ed_public),
    ];
    let claims = json!({"sub": "u", "exp": NOW + 60});
    let tokens: Vec<_> = cases
        .iter()
        .map(|(_, algorithm, key, _)| {
            encode(&Header::new(*algorithm), &claims, key).expect("signed")
        })
        .collect();
    for (place, (pinned, _, _, public)) in cases.iter().enumerate() {
        let verifier = Verifier::new(&settings(vec![key(*pinned, public.as_bytes(), None)]))
            .expect("a good key");
        for (other, token) in tokens.iter().enumerate() {
            let expected = (other != place).then_some(TokenError::WrongAlgorithm);
            assert_eq!(
                verify(&verifier, token).err(),
                expected,
                "{pinned:?}, token {other}"
            );
        }
        // A-J2: the public key, which everybody has, as the secret of an HMAC.
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for secret in [public.as_bytes(), public.trim().as_bytes()] {
                let confused = sign(&Header::new(algorithm), &claims, secret);
                assert_eq!(
                    verify(&verifier, &confused),
                    Err(TokenError::WrongAlgorithm)
                );
            }
        }
    }
}

#[test]
fn keys_are_checked_at_start() {
    let (rsa, rsa_public) = pair(&rcgen::PKCS_RSA_SHA256);
    let (_, p256_public) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (_, p384_public) = pair(&rcgen::PKCS_ECDSA_P384_SHA384);
    let (_, ed_public) = pair(&rcgen::PKCS_ED25519);
    use JwtAlgorithm::{EdDsa, Es256, Es384, Hs256, Hs512, Ps256, Rs256};
    let wrong = KeyError::WrongKey;
    for (algorithm, bytes, expected) in [
        (Hs256, &SECRET[..31], KeyError::ShortSecret),
        (Hs512, b"".as_slice(), KeyError::ShortSecret),
        (
            Hs256,
            b"changeme-changeme-changeme-changeme",
            KeyError::WellKnownSecret,
        ),
        (
            Hs256,
            b"Please-ChangeMe-0f9e8d7c6b5a49382716",
            KeyError::WellKnownSecret,
        ),
        (
            Hs256,
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            KeyError::WellKnownSecret,
        ),
        (
            Hs256,
            b"abababababababababababababababababababab",
            KeyError::WellKnownSecret,
        ),
        (
            Hs256,
            b"your-256-bit-secret-your-256-bit-secret",
            KeyError::WellKnownSecret,
        ),
        (Hs256, rsa_public.as_bytes(), KeyError::PemAsSecret),
        (Hs256, p256_public.as_bytes(), KeyError::PemAsSecret),
        (Rs256, rsa.as_bytes(), KeyError::PrivateKey),
        (Rs256, SECRET, wrong(Rs256)),
        (Rs256, p256_public.as_bytes(), wrong(Rs256)),
        (Ps256, ed_public.as_bytes(), wrong(Ps256)),
        (Es256, rsa_public.as_bytes(), wrong(Es256)),
        (Es256, p384_public.as_bytes(), wrong(Es256)),
        (Es384, p256_public.as_bytes(), wrong(Es384)),
        (EdDsa, p256_public.as_bytes(), wrong(EdDsa)),
        (EdDsa, b"", wrong(EdDsa)),
    ] {
        let error = Verifier::new(&settings(vec![key(algorithm, bytes, None)])).expect_err("bad");
        assert_eq!(error, (0, expected));
        assert!(!error.1.to_string().is_empty());
    }
    assert_eq!(
        Verifier::new(&settings(vec![])).expect_err("none"),
        (0, KeyError::NoKeys)
    );
    for ids in [[None, Some("a")], [Some("a"), None], [Some("a"), Some("a")]] {
        let keys = ids.map(|id| key(Hs256, SECRET, id)).to_vec();
        let error = Verifier::new(&settings(keys)).expect_err("ambiguous");
        assert_eq!(error.1, KeyError::AmbiguousIds, "{ids:?}");
    }
}

#[test]
fn a_token_has_at_most_4096_bytes() {
    let of_length =
        |pad: usize| token(&json!({"sub": "u", "exp": NOW + 60, "pad": "p".repeat(pad)}));
    let pad = (0..TOKEN_BYTES_MAX)
        .rev()
        .find(|pad| of_length(*pad).len() <= TOKEN_BYTES_MAX);
    let longest = of_length(pad.expect("some pad fits"));
    assert!(longest.len() > TOKEN_BYTES_MAX - 2);
    assert!(verify(&hs256(), &longest).is_ok());
    let longer = of_length(pad.expect("some pad fits") + 2);
    assert_eq!(verify(&hs256(), &longer), Err(TokenError::TooLong));
}

#[test]
fn nothing_shows_a_key() {
    let verifier = format!("{:?}", hs256());
    let secret = str::from_utf8(SECRET).expect("text");
    assert!(
        !verifier.contains(secret) && !verifier.contains("113, 56"),
        "{verifier}"
    );
}

proptest! {
    #[test]
    fn no_text_panics_or_passes(text in ".{0,200}", parts in "[A-Za-z0-9_.-]{0,300}") {
        assert!(hs256().verify(&text, Duration::from_secs(NOW)).is_err());
        assert!(hs256().verify(&parts, Duration::from_secs(NOW)).is_err());
    }

    #[test]
    fn no_header_or_claims_panic(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>()) {
        let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        assert!(hs256().verify(&format!("{body}.c2ln"), Duration::from_secs(NOW)).is_err());
    }

    #[test]
    fn one_changed_character_is_noticed(place in 0_usize..150, to in "[A-Za-z0-9_.-]") {
        let good = token(&json!({"sub": "tester01", "exp": NOW + 60}));
        let place = place % good.len();
        let changed = format!("{}{to}{}", &good[..place], &good[place + 1..]);
        assert_eq!(verify(&hs256(), &changed).is_ok(), changed == good, "{changed}");
    }
}
