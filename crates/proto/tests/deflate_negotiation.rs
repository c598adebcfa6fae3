//! Agreeing to permessage-deflate (RFC 7692 §7.1, RFC 6455 §9.1): which offers are taken, what is
//! answered, and which answers a client takes. An offer that means nothing is declined, and only one
//! that breaks the grammar fails the handshake (W-Z3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::field_reassign_with_default,
    reason = "a test may panic"
)]

mod zlib;

use proptest::prelude::*;
use rupor_proto::{
    ApiMisuse, DeflateConfig, DeflateOffer,
    handshake::{
        ClientHandshake, HandshakeError, ResponseError, write_response, write_response_with,
    },
};
use zlib::upgrade;

const DEFLATE: &str = "permessage-deflate";

/// A server that leaves as much as it can to the client.
fn generous() -> DeflateConfig {
    let mut config = DeflateConfig::default();
    config.server_no_context_takeover = false;
    config.client_no_context_takeover = false;
    config.server_window_bits_max = 15;
    config.client_window_bits_max = 15;
    config
}

/// The server's answer to these lines.
fn answer(config: &DeflateConfig, lines: &[&str]) -> Option<String> {
    let offers = upgrade(lines).deflate_offers;
    config
        .accept(&offers, None)
        .map(|agreed| agreed.to_string())
}

/// Parameters of one offer, and those of the answer; `None`: declined.
const OFFERS: &[(&str, Option<&str>)] = &[
    ("", Some("")),
    (
        "; server_no_context_takeover",
        Some("; server_no_context_takeover"),
    ),
    (
        "; client_no_context_takeover",
        Some("; client_no_context_takeover"),
    ),
    (
        "; client_max_window_bits",
        Some("; client_max_window_bits=15"),
    ),
    (
        "; client_max_window_bits=9",
        Some("; client_max_window_bits=9"),
    ),
    (
        "; server_max_window_bits=10",
        Some("; server_max_window_bits=10"),
    ),
    (
        "; server_max_window_bits=15",
        Some("; server_max_window_bits=15"),
    ),
    (
        "; server_max_window_bits=\"12\"",
        Some("; server_max_window_bits=12"),
    ),
    (
        " ;\tserver_max_window_bits = 12 ",
        Some("; server_max_window_bits=12"),
    ),
    (
        ";client_max_window_bits=11;server_max_window_bits=13;server_no_context_takeover",
        Some("; server_no_context_takeover; server_max_window_bits=13; client_max_window_bits=11"),
    ),
    // Windows of 8 bits: declined, because zlib takes 9 instead.
    ("; server_max_window_bits=8", None),
    ("; client_max_window_bits=8", None),
    // Values that are not allowed.
    ("; server_max_window_bits", None),
    ("; server_max_window_bits=0", None),
    ("; server_max_window_bits=7", None),
    ("; server_max_window_bits=16", None),
    ("; server_max_window_bits=999", None),
    ("; server_max_window_bits=99999999999999999999", None),
    ("; server_max_window_bits=09", None),
    ("; server_max_window_bits=010", None),
    ("; server_max_window_bits=+10", None),
    ("; server_max_window_bits=10.0", None),
    ("; client_max_window_bits=7", None),
    ("; client_max_window_bits=x", None),
    ("; server_no_context_takeover=1", None),
    ("; client_no_context_takeover=true", None),
    // Twice, unknown, in another case.
    (
        "; server_no_context_takeover; server_no_context_takeover",
        None,
    ),
    ("; client_max_window_bits; client_max_window_bits=10", None),
    (
        "; server_max_window_bits=10; server_max_window_bits=10",
        None,
    ),
    ("; max_window_bits=10", None),
    ("; x=0", None),
    ("; constructor", None),
    ("; Server_No_Context_Takeover", None),
    // An escape stands for what is behind it (RFC 9110 §5.6.4).
    (
        "; server_max_window_bits=\"1\\0\"",
        Some("; server_max_window_bits=10"),
    ),
    ("; server_max_window_bits=\"\\1\\6\"", None),
];

#[test]
fn one_offer() {
    for (offer, expected) in OFFERS {
        let found = answer(&generous(), &[&format!("{DEFLATE}{offer}")]);
        assert_eq!(
            found,
            expected.map(|it| format!("{DEFLATE}{it}")),
            "{offer}"
        );
    }
}

/// A bad offer is passed over, in whatever line it is; the first good one counts.
#[test]
fn several_offers_and_lines() {
    let ten = "permessage-deflate; server_max_window_bits=10";
    let found = Some("permessage-deflate; server_max_window_bits=10".to_owned());
    let cases: &[&[&str]] = &[
        &[ten],
        &["x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=10"],
        &[
            "permessage-deflate; x=1, permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ],
        &["permessage-deflate; server_max_window_bits=8", ten],
        &[
            "permessage-deflate; x=\"a\", foo; y",
            ten,
            "permessage-deflate",
        ],
        &["", ",", " , ,", ten],
        &["foo; bar=\"permessage-deflate\"", ten],
    ];
    for lines in cases {
        assert_eq!(answer(&generous(), lines), found, "{lines:?}");
    }
    let none: &[&[&str]] = &[
        &[],
        &["permessage-bzip2"],
        &["x-permessage-deflate"],
        &["constructor, __proto__"],
    ];
    for lines in none {
        assert_eq!(answer(&generous(), lines), None, "{lines:?}");
    }
}

/// What the server's policy makes of good offers.
#[test]
fn policy() {
    let mut takeover = DeflateConfig::default();
    takeover.server_no_context_takeover = false;
    takeover.client_no_context_takeover = false;
    let off = DeflateConfig::default();
    let cases: &[(&DeflateConfig, &str, &str)] = &[
        (
            &off,
            "",
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            &off,
            "; client_max_window_bits",
            "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12",
        ),
        // A client whose window cannot be limited (Firefox) does not get takeover for 32 KiB.
        (&takeover, "", "; client_no_context_takeover"),
        (
            &takeover,
            "; client_max_window_bits",
            "; client_max_window_bits=12",
        ),
        (
            &takeover,
            "; client_max_window_bits=10",
            "; client_max_window_bits=10",
        ),
        (
            &takeover,
            "; server_max_window_bits=15",
            "; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            &takeover,
            "; client_max_window_bits; client_no_context_takeover; server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12",
        ),
    ];
    for (config, offer, expected) in cases {
        let found = answer(config, &[&format!("{DEFLATE}{offer}")]);
        assert_eq!(found, Some(format!("{DEFLATE}{expected}")), "{offer}");
    }
    let offers = upgrade(&["permessage-deflate; client_max_window_bits=10"]).deflate_offers;
    let agreed = takeover.accept(&offers, Some("curl/8.5.0")).unwrap();
    assert!(agreed.server_context_takeover() && agreed.client_context_takeover());
    assert_eq!(
        agreed.server_max_window_bits(),
        15,
        "not named, so the client must reckon with it"
    );
    assert_eq!(agreed.client_max_window_bits(), 10);
}

/// Listed clients get no compression, in one place.
#[test]
fn veto() {
    let offers = upgrade(&[DEFLATE]).deflate_offers;
    let mut config = DeflateConfig::default();
    let safari = |version| {
        format!(
            "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version} Safari/605.1.15"
        )
    };
    assert!(config.accept(&offers, Some(&safari("15.2"))).is_none());
    assert!(config.accept(&offers, Some(&safari("17.4"))).is_some());
    assert!(
        config
            .accept(&offers, Some("Chat/3 CFNetwork/1335.0.3 Darwin/21.6.0"))
            .is_none()
    );
    config.user_agents_vetoed = vec!["Safari/".into(), String::new()];
    assert!(config.accept(&offers, Some(&safari("17.4"))).is_none());
    assert!(config.accept(&offers, Some("curl/8.5.0")).is_some());
    assert!(config.accept(&offers, None).is_some());
}

/// The `101` carries the agreement, and only one that answers this client's offers.
#[test]
fn response() {
    let config = generous();
    let ten =
        upgrade(&["permessage-deflate; server_max_window_bits=10; client_max_window_bits=11"]);
    let agreed = config.accept(&ten.deflate_offers, None).unwrap();
    let mut out = Vec::new();
    write_response_with(&ten, None, Some(&agreed), &[], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let line = "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits=11\r\n";
    assert!(text.contains(line) && text.ends_with("\r\n\r\n"), "{text}");
    assert_eq!(text.matches("Extensions").count(), 1);

    let others = [
        &[][..],
        &["permessage-bzip2"],
        &["permessage-deflate"],
        &["permessage-deflate; server_max_window_bits=9; client_max_window_bits"],
        &["permessage-deflate; server_max_window_bits=10"],
        &["permessage-deflate; server_max_window_bits=10; client_max_window_bits=10"],
        &[
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits; server_no_context_takeover",
        ],
    ];
    for lines in others {
        let mut out = Vec::new();
        let written = write_response_with(&upgrade(lines), None, Some(&agreed), &[], &mut out);
        assert_eq!(written, Err(ApiMisuse::Extension), "{lines:?}");
        assert!(out.is_empty());
    }
    // Who does not ask for it has none.
    let mut out = Vec::new();
    write_response(&ten, None, &[], &mut out).unwrap();
    assert!(!String::from_utf8(out).unwrap().contains("Extensions"));
}

/// The client's request, less its extensions, for the answers below.
fn receive(
    config: Option<&DeflateConfig>,
    lines: &[&str],
) -> Result<Option<String>, HandshakeError> {
    let mut handshake =
        ClientHandshake::new("example.org", "/", *b"the sample nonce", &[], &[]).unwrap();
    if let Some(config) = config {
        handshake = handshake.offer_deflate(config);
    }
    let mut head =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            .to_owned();
    for line in lines {
        head.push_str(&format!("Sec-WebSocket-Extensions: {line}\r\n"));
    }
    head.push_str("\r\n");
    let (accepted, used) = handshake.receive(head.as_bytes())?.unwrap();
    assert_eq!(used, head.len());
    Ok(accepted.deflate.map(|agreed| agreed.to_string()))
}

#[test]
fn client_offers() {
    let request = |config: &DeflateConfig| {
        let handshake =
            ClientHandshake::new("example.org", "/", [1; 16], &[], &[("Origin", "http://a")])
                .unwrap();
        let text = handshake.offer_deflate(config).offer_deflate(config);
        String::from_utf8(text.request().to_vec()).unwrap()
    };
    let text = request(&generous());
    assert!(
        text.ends_with(
            "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        ),
        "{text}"
    );
    assert_eq!(text.matches("Extensions").count(), 1);
    let text = request(&DeflateConfig::default());
    assert!(
        text.contains(
            ": permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=12; client_max_window_bits=12\r\n"
        ),
        "{text}"
    );
}

/// Which answers a client takes (RFC 7692 §7.1).
#[test]
fn client_checks_the_answer() {
    let generous = generous();
    let strict = DeflateConfig::default();
    let good: &[(&DeflateConfig, &str)] = &[
        (&generous, ""),
        (&generous, "; server_no_context_takeover"),
        (&generous, "; client_no_context_takeover"),
        (&generous, "; server_max_window_bits=9"),
        (&generous, "; client_max_window_bits=15"),
        (&generous, "; client_max_window_bits=\"9\""),
        (
            &strict,
            "; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            &strict,
            "; server_no_context_takeover; server_max_window_bits=9",
        ),
    ];
    for (config, parameters) in good {
        let found = receive(Some(config), &[&format!("{DEFLATE}{parameters}")]);
        assert!(matches!(found, Ok(Some(_))), "{parameters}: {found:?}");
    }
}

/// RFC 7692 §7.1.1.2: what a client said of itself holds, though the server does not repeat it.
#[test]
fn client_keeps_to_what_it_said() {
    let answer = "permessage-deflate; server_no_context_takeover; server_max_window_bits=12";
    let agreed = receive(Some(&DeflateConfig::default()), &[answer]);
    let expected = "permessage-deflate; server_no_context_takeover; \
        client_no_context_takeover; server_max_window_bits=12";
    assert_eq!(agreed, Ok(Some(expected.to_owned())));
}

/// Any other answer fails the handshake.
#[test]
fn client_refuses_other_answers() {
    let generous = generous();
    let strict = DeflateConfig::default();
    let refused = Err(HandshakeError::Response(ResponseError::ExtensionNotOffered));
    let bad: &[(Option<&DeflateConfig>, &[&str])] = &[
        (None, &["permessage-deflate"]),
        (None, &[", "]),
        (Some(&generous), &[""]),
        (Some(&generous), &["permessage-deflate", ""]),
        (
            Some(&generous),
            &["permessage-deflate; server_max_window_bits=\"9"],
        ),
        (Some(&generous), &["permessage-deflate, permessage-deflate"]),
        (
            Some(&generous),
            &["permessage-deflate", "permessage-deflate"],
        ),
        (Some(&generous), &["permessage-deflate, @"]),
        (Some(&generous), &["permessage-bzip2"]),
        (Some(&generous), &["permessage-deflate; x"]),
        (
            Some(&generous),
            &["permessage-deflate; client_max_window_bits"],
        ),
        (
            Some(&generous),
            &["permessage-deflate; client_max_window_bits=8"],
        ),
        (
            Some(&generous),
            &["permessage-deflate; server_max_window_bits=16"],
        ),
        (
            Some(&generous),
            &["permessage-deflate; server_no_context_takeover=0"],
        ),
        (
            Some(&generous),
            &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"],
        ),
        (
            Some(&strict),
            &["permessage-deflate; server_max_window_bits=12"],
        ),
        (
            Some(&strict),
            &["permessage-deflate; server_no_context_takeover"],
        ),
        (
            Some(&strict),
            &["permessage-deflate; server_no_context_takeover; server_max_window_bits=13"],
        ),
        (
            Some(&strict),
            &[
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=13",
            ],
        ),
    ];
    for (config, lines) in bad {
        assert_eq!(receive(*config, lines), refused, "{lines:?}");
    }
    assert_eq!(receive(Some(&generous), &[]), Ok(None), "declined");
}

/// More offers than anybody makes are not looked at.
#[test]
fn offers_have_a_limit() {
    let many = vec!["permessage-deflate; server_max_window_bits=8"; DeflateOffer::OFFERS_MAX];
    let at_limit = [&many[1..], &[DEFLATE]].concat();
    assert!(answer(&generous(), &[&at_limit.join(",")]).is_some());
    let over = [&many[..], &[DEFLATE]].concat();
    assert_eq!(
        upgrade(&over).deflate_offers.len(),
        DeflateOffer::OFFERS_MAX
    );
    assert_eq!(answer(&generous(), &over), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// A header value fails an upgrade or is a list; every agreement answers an offer and is one that
    /// our own client, having made such an offer, understands.
    #[test]
    fn any_value(parts in prop::collection::vec(prop_oneof![
        30 => prop::sample::select(vec![
            ", permessage-deflate", "; server_max_window_bits=9", "; server_max_window_bits=15",
            "; client_max_window_bits", "; client_max_window_bits=8", "; client_max_window_bits=10",
            "; client_max_window_bits=\"12\"", "; server_no_context_takeover",
            "; client_no_context_takeover", " ", "; a", ", b",
        ]).prop_map(String::from),
        1 => "[ -~]{0,3}",
    ], 0..20), takeover: bool, window_bits in 0..20_u8) {
        let value = format!("{DEFLATE}{}", parts.concat());
        let Ok(upgrade) = zlib::try_upgrade(&[&value, DEFLATE]) else {
            return Ok(());
        };
        let config = zlib::config(takeover, window_bits);
        let agreed = config.accept(&upgrade.deflate_offers, None);
        if let Some(agreed) = agreed {
            prop_assert!((9..=15).contains(&agreed.server_max_window_bits()));
            prop_assert!((9..=15).contains(&agreed.client_max_window_bits()));
            prop_assert!(!takeover || !agreed.client_context_takeover()
                || agreed.client_max_window_bits() <= window_bits.clamp(9, 15));
            let mut out = Vec::new();
            prop_assert_eq!(write_response_with(&upgrade, None, Some(&agreed), &[], &mut out), Ok(()));
        }
    }
}
