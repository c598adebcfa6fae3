//! Who is let in, as whom, speaking what; and how long.

use super::*;
use crate::gateway::Clock;
use crate::gateway::close::TABLE;

fn refused(site: &Site, target: &str, header: (&str, &str)) -> (u16, String) {
    let response = Opening::new(site.address, target)
        .header(header.0, header.1)
        .refused();
    (response.status, response.text())
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let site = Site::start();
    assert_eq!(refused(&site, "/", ("Host", "evil.example")).0, 421);
    assert_eq!(
        refused(&site, "/", ("Origin", "https://evil.example")).0,
        403
    );
    assert_eq!(
        refused(&site, "/", ("Origin", "http://localhost.evil.example")).0,
        403
    );
    for origin in ["null", "http://localhost:3000", "http://127.0.0.1:8000"] {
        Opening::new(site.address, "/").origin(origin).open();
    }
}

#[test]
fn a_name_that_is_none_is_refused() {
    let site = Site::start();
    let none = ("Accept", "*/*");
    assert_eq!(refused(&site, "/?user=a%0Ab", none).0, 400);
    assert_eq!(
        refused(&site, &format!("/?user={}", "u".repeat(201)), none).0,
        400
    );
    let longest = "u".repeat(200);
    let _client = site.connect(&format!("/?user={longest}"));
    assert!(site.gateway.user(&longest).online());
}

#[test]
fn only_an_offered_subprotocol_that_is_configured_is_answered() {
    let site = Site::start();
    let cases: [(&str, &[&str], Option<&str>); 10] = [
        ("/", &[], None),
        ("/", &["rupor.v1"], Some("rupor.v1")),
        ("/", &["Rupor.V1"], None),
        ("/", &["mqtt"], None),
        ("/", &["mqtt", "wamp"], Some("wamp")),
        ("/", &["wamp", "rupor.v1"], Some("wamp")),
        ("/", &["soap"], None),
        ("/echo", &["soap", "wamp"], Some("soap")),
        ("/", &["rupor.jwt.abc", "rupor.v1"], Some("rupor.v1")),
        ("/", &["rupor.jwt.abc", "rupor.plain"], Some("rupor.plain")),
    ];
    for (target, offered, expected) in cases {
        let opening = Opening::new(site.address, target);
        let opening = if offered.is_empty() {
            opening
        } else {
            opening.subprotocols(offered)
        };
        assert_eq!(
            opening.open().subprotocol(),
            expected,
            "{target} {offered:?}"
        );
    }
}

#[test]
fn a_subprotocol_of_the_application_is_plain() {
    let site = Site::start();
    let mut client = Opening::new(site.address, "/echo?user=anna")
        .subprotocols(&["soap"])
        .open();
    site.publish(user("anna"), "<x/>").unwrap();
    client.expect_text("<x/>");
}

#[test]
fn channels_of_the_address_are_checked_against_the_rules() {
    let site = Site::start();
    let none = ("Accept", "*/*");
    for (target, status) in [
        ("/?channel=staff", 403),
        ("/?channel=team:1", 403),
        ("/?user=anna&channel=inbox:boris&channel=news", 200),
        ("/?channel=", 400),
        ("/?channel=a%20b", 400),
        ("/?channel=*", 400),
    ] {
        if status == 200 {
            // The last rule lets anyone listen to any other channel.
            site.connect(target);
        } else {
            assert_eq!(refused(&site, target, none).0, status, "{target}");
        }
    }
    site.connect("/?user=anna&channel=team:1&channel=inbox:anna");
    let (status, text) = refused(&site, "/?channel=staff", none);
    assert_eq!(
        (status, text.trim()),
        (
            403,
            "staff: the configuration does not let this connection listen there"
        )
    );
}

#[test]
fn channels_of_the_address_have_limits() {
    let mut settings = settings();
    settings.limits.subscriptions_per_connection_max = 3;
    settings.limits.channels_max = 4;
    let site = Site::with(settings, &config::Auth::none(), Limits::default());
    let none = ("Accept", "*/*");
    let _first = site.connect("/?channel=a&channel=b&channel=c");
    assert_eq!(
        refused(&site, "/?channel=a&channel=b&channel=c&channel=d", none).0,
        400
    );
    let _second = site.connect("/?channel=a&channel=d");
    let mut late = site.connect("/?channel=e");
    assert_eq!(late.expect_close().0, 3503);
    assert_eq!(
        refused(&site, &format!("/?channel={}", "c".repeat(201)), none).0,
        400
    );
}

#[test]
fn the_longest_channel_name_and_the_last_subscription_work() {
    let site = Site::start();
    let longest = "c".repeat(200);
    let mut target = format!("/?channel={longest}");
    (1..128).for_each(|n| target.push_str(&format!("&channel={n}")));
    let mut client = site.connect(&target);
    for name in [&longest, "127", "1"] {
        assert_eq!(site.publish(channel(name), name), Ok(1));
        client.expect_text(name);
    }
    // The topic of everybody is one more.
    assert_eq!(site.publish(Target::All, "all"), Ok(1));
    client.expect_text("all");
}

#[test]
fn a_user_has_a_limit_of_connections() {
    let mut settings = settings();
    settings.limits.connections_per_user_max = 2;
    let site = Site::with(settings, &config::Auth::none(), Limits::default());
    let mut open = [site.connect("/?user=anna"), site.connect("/?user=anna")];
    let (code, reason) = site.connect("/?user=anna").expect_close();
    assert_eq!(code, 3502);
    assert!(reason.starts_with("too_many_connections: "), "{reason}");
    assert_eq!(site.publish(user("anna"), "x"), Ok(2));
    open.iter_mut().for_each(|client| client.expect_text("x"));
}

/// It was answered "a token is needed here" where none is ever looked at.
#[test]
fn a_token_that_nobody_asked_for_is_told_so() {
    let site = Site::with(settings(), &config::Auth::none(), Limits::default());
    let mut client = site.connect_v1("/?user=anna");
    client.receive_text();
    client.send_text(r#"{"type":"auth","token":"x","id":1}"#);
    let answer = client.receive_text();
    assert!(answer.contains(r#""code":"unsupported""#), "{answer}");
    assert!(answer.contains("no token is looked at"), "{answer}");
    client.send_text(r#"{"type":"ping","id":2}"#);
    client.expect_text(r#"{"type":"pong","id":2}"#);
}

#[test]
fn the_first_message_says_who_it_is() {
    let site = Site::with(settings(), &first_message(), Limits::default());
    let mut client = site.connect("/chat?channel=inbox:anna");
    assert_eq!(
        site.gateway.counts().subscriptions,
        0,
        "not before it is known who listens"
    );
    client.send_text(&token("anna", 60));
    let hello = client.receive_text();
    assert!(
        hello.starts_with(r#"{"type":"hello","you":"anna""#),
        "{hello}"
    );
    assert_eq!(site.publish(user("anna"), "x"), Ok(1));
    client.expect_text("x");
    assert_eq!(site.publish(channel("inbox:anna"), "y"), Ok(1));
    client.expect_text("y");
}

#[test]
fn a_token_that_is_not_believed_closes() {
    let site = Site::with(settings(), &first_message(), Limits::default());
    let mut client = site.connect("/");
    client.send_text("not a token");
    // What comes after it does not count.
    client.send_text(&token("anna", 60));
    let (code, reason) = client.expect_close();
    assert_eq!(code, 3500);
    assert!(reason.starts_with("unauthorized: "), "{reason}");
    assert!(!site.gateway.user("anna").online());

    let mut client = site.connect_v1("/");
    client.receive_text();
    client.send_text(r#"{"type":"auth","token":"x","id":1}"#);
    let error: serde_json::Value = serde_json::from_str(&client.receive_text()).unwrap();
    assert_eq!(
        (&error["code"], &error["id"]),
        (&"unauthorized".into(), &1.into())
    );
    assert_eq!(client.expect_close().0, 3500);
}

#[test]
fn a_channel_of_the_address_that_is_not_for_the_user_closes() {
    let mut settings = settings();
    // Nobody could be asked at that moment, even if the site were there.
    settings.channels[2].subscribe = Who::Webhook;
    let site = Site::with(settings, &first_message(), Limits::default());
    for (channel, refused) in [("staff", 1), ("team:red", 2)] {
        let mut client = site.connect(&format!("/?channel={channel}"));
        client.send_text(&token("anna", 60));
        assert_eq!(client.expect_close().0, 3501);
        assert_eq!(site.gateway.counts().forbidden, [refused, 0]);
    }
    site.expect_empty();
}

#[test]
fn who_does_not_say_it_in_time_is_closed() {
    let mut settings = settings();
    settings.identify_deadline = Duration::from_millis(50);
    let site = Site::with(settings, &first_message(), Limits::default());
    let mut client = site.connect("/chat");
    client.send_binary(b"not a token");
    let (code, reason) = client.expect_close();
    assert_eq!(code, 3001);
    assert!(reason.starts_with("identify_timeout: "), "{reason}");
    drop(client);
    site.expect_empty();
    assert_eq!(site.gateway.counts().dropped_unidentified, 1);
}

#[test]
fn an_identity_that_expires_closes_and_a_new_token_keeps_it_open() {
    const HOUR: u64 = 3600;
    let mut settings = settings();
    // Tokens of an hour have a second left, the grace for clocks that differ included.
    settings.clock = Clock::from_fn(|| Clock::system().now_ms() + (HOUR + 29) * 1000);
    let site = Site::with(settings, &first_message(), Limits::default());
    let mut expiring = Opening::new(site.address, "/")
        .subprotocols(&[&format!("rupor.jwt.{}", token("anna", HOUR))])
        .open();
    let mut renewed = site.connect_v1("/");
    for seconds in [HOUR, 2 * HOUR] {
        let token = token("boris", seconds);
        renewed.send_text(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
    }
    let (code, reason) = expiring.expect_close();
    assert_eq!(code, 3000);
    assert!(reason.starts_with("expired: "), "{reason}");
    renewed.receive_text();
    for _ in 0..2 {
        renewed.expect_text(r#"{"type":"authenticated","user":"boris"}"#);
    }
    // Its own hour has passed by now as well.
    renewed.send_text(r#"{"type":"ping"}"#);
    renewed.expect_text(r#"{"type":"pong"}"#);
}

#[test]
fn the_reference_lists_every_close_code() {
    let page = include_str!("../../../../../docs/reference/rupor-v1.md");
    for row in TABLE {
        let line = format!(
            "| {} | `{}` | {} |",
            row.code.as_u16(),
            row.name,
            row.meaning
        );
        assert!(page.contains(&line), "{line}");
    }
    // The server's own.
    assert!(page.contains("| 3008 | | "));
}
