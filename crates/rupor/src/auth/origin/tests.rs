//! A-O1 and A-O2: what a hostile page can make a browser send, and what a list must not be read as.

use super::{Hosts, Origin, OriginRefused, Origins};
use crate::config;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::{any, proptest};

fn listed(list: &[&str]) -> Origins {
    let list = list.iter().map(ToString::to_string).collect();
    Origins::new(&config::Origins::SameHostAnd(list)).expect("a right list")
}

fn check(origins: &Origins, origin: &str, host: &str, secure: bool) -> Result<(), OriginRefused> {
    origins.check_values([origin.as_bytes()].into_iter(), Some(host), secure)
}

/// What must not pass for `https://example.org` and its neighbours in the list.
const FOREIGN: &[&str] = &[
    "",
    " ",
    "null",
    "NULL",
    "file://",
    "file:///home/user/page.html",
    "https://evil.example",
    "http://example.org",
    "https://example.org.evil.example",
    "https://evilexample.org",
    "https://evil-example.org",
    "https://example.orgevil",
    "https://sub.example.org",
    "https://www.chat.example.org",
    "https://example.org:443.evil.example",
    "https://example.org:444",
    "https://example.org:84430",
    "https://example.org:8443:443",
    "https://example.org:",
    "https://example.org:0443",
    "https://example.org:+443",
    "https://example.org:0",
    "https://example.org.",
    "https://example.org/",
    "https://example.org/path",
    "https://example.org?",
    "https://example.org#",
    "https://example.org\\@evil.example",
    "https://example.org@evil.example",
    "https://user@example.org",
    "https://user:password@example.org",
    "https://evil.example#https://example.org",
    "https://evil.example/https://example.org",
    "https://evil.example, https://example.org",
    "https://example.org, https://evil.example",
    "https://example.org https://evil.example",
    " https://example.org",
    "https://example.org ",
    "https://example.org\t",
    "https://example.org\0",
    "https:/example.org",
    "https:example.org",
    "//example.org",
    "example.org",
    "://example.org",
    "https://",
    "https://.",
    "https://*.example.org",
    "https://*",
    "*",
    "https://exämple.org",
    "https://xn--exmple-cua.org",
    "https://ex%61mple.org",
    "https://example\u{3002}org",
    "https://[::1",
    "https://[::1]]",
    "https://[example.org]",
    "https://[::1]example.org",
    "wss://example.org",
    "ftp://example.org",
    "chrome-extension://example.org",
    "https://old.example.org",
    "http://old.example.org:8080",
    "http://chat.example.org",
    "https://chat.example.org:8443",
    "javascript://example.org",
    "https+://example.org",
    "data:text/html,hello",
    "about:blank",
    "undefined",
];

#[test]
fn foreign_origins_are_refused() {
    // Served at wss://chat.example.org; the list adds the site itself, one with a port, and one by plain http.
    let origins = listed(&[
        "https://example.org",
        "https://example.org:8443",
        "http://old.example.org",
    ]);
    assert!(FOREIGN.len() >= 40);
    for origin in FOREIGN {
        assert!(
            check(&origins, origin, "chat.example.org", true).is_err(),
            "{origin:?} was let in"
        );
    }
}

#[test]
fn the_list_and_the_same_host_are_accepted() {
    let origins = listed(&[
        "https://example.org",
        "https://example.org:8443",
        "http://old.example.org",
        "https://[2001:db8::1]:444",
        "app://shell",
    ]);
    for origin in [
        "https://example.org",
        "https://example.org:443",
        "https://EXAMPLE.org",
        "HTTPS://example.org",
        "https://example.org:8443",
        "http://old.example.org",
        "http://old.example.org:80",
        "https://[2001:db8::1]:444",
        "https://[2001:DB8:0:0:0:0:0:1]:444",
        "app://shell",
        "https://chat.example.org",
        "https://chat.example.org:443",
    ] {
        assert_eq!(
            check(&origins, origin, "chat.example.org", true),
            Ok(()),
            "{origin:?}"
        );
    }
}

#[test]
fn same_host_is_scheme_host_and_port() {
    let origins = listed(&[]);
    for (origin, host, secure, allowed) in [
        ("https://example.org", "example.org", true, true),
        ("https://example.org", "example.org:443", true, true),
        ("https://example.org", "EXAMPLE.ORG", true, true),
        // TLS ended at a proxy: the page came by https, the request looks plain.
        ("https://example.org", "example.org", false, true),
        ("http://example.org", "example.org", false, true),
        ("http://example.org", "example.org:80", false, true),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", false, true),
        ("http://[::1]:8000", "[0:0::1]:8000", false, true),
        // A page that anybody on the way could have changed must not ride on an encrypted connection.
        ("http://example.org", "example.org", true, false),
        ("http://example.org", "example.org:443", true, false),
        ("http://example.org:8000", "example.org", false, false),
        ("http://example.org", "example.org:8000", false, false),
        ("http://127.0.0.1:3000", "127.0.0.1:8000", false, false),
        ("http://localhost:8000", "127.0.0.1:8000", false, false),
        ("http://example.org.", "example.org", false, false),
        ("http://example.org", "example.org.", false, false),
        ("http://example.org", "", false, false),
        (
            "http://example.org",
            "example.org, evil.example",
            false,
            false,
        ),
        ("http://example.org", "user@example.org", false, false),
        ("ws://example.org", "example.org", false, false),
        ("null", "null", false, false),
        ("file://", "", false, false),
    ] {
        assert_eq!(
            check(&origins, origin, host, secure).is_ok(),
            allowed,
            "{origin:?} at {host:?}, secure {secure}"
        );
    }
    let no_host = origins.check_values([b"http://example.org".as_slice()].into_iter(), None, false);
    assert_eq!(no_host, Err(OriginRefused::Foreign));
}

#[test]
fn one_header_or_none() {
    let origins = listed(&["https://example.org"]);
    let none: [&[u8]; 0] = [];
    assert_eq!(
        origins.check_values(none.into_iter(), Some("example.org"), true),
        Ok(())
    );
    let twice = [b"https://example.org".as_slice(), b"https://example.org"];
    assert_eq!(
        origins.check_values(twice.into_iter(), Some("example.org"), true),
        Err(OriginRefused::Several)
    );
    let not_text = [b"https://\xff".as_slice()];
    assert_eq!(
        origins.check_values(not_text.into_iter(), Some("example.org"), true),
        Err(OriginRefused::Malformed)
    );
}

#[test]
fn null_and_file_are_let_in_only_when_listed() {
    assert_eq!(
        check(&listed(&["null"]), "null", "example.org", true),
        Ok(())
    );
    assert!(check(&listed(&["null"]), "file://", "example.org", true).is_err());
    assert_eq!(
        check(&listed(&["file://"]), "file://", "example.org", true),
        Ok(())
    );
    assert!(check(&listed(&["file://"]), "null", "example.org", true).is_err());
}

#[test]
fn demo_takes_this_machine_and_pages_from_disk() {
    let origins = Origins::new(&config::Origins::Loopback).expect("nothing to parse");
    for origin in [
        "null",
        "http://localhost",
        "http://localhost:3000",
        "https://LOCALHOST:8443",
        "http://127.0.0.1:8000",
        "http://127.8.9.10",
        "http://[::1]:8000",
    ] {
        assert_eq!(
            check(&origins, origin, "evil.example", false),
            Ok(()),
            "{origin:?}"
        );
    }
    for origin in [
        "file://",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://localhost.",
        "http://evil.localhost",
        "http://127.0.0.1.evil.example",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0.0.0.0",
        "http://[::ffff:127.0.0.1]",
        "http://[::]",
        "http://10.0.0.1",
        "ftp://localhost",
        "http://localhost@evil.example",
    ] {
        assert!(
            check(&origins, origin, "127.0.0.1:8000", false).is_err(),
            "{origin:?}"
        );
    }
}

#[test]
fn a_wrong_entry_is_named_by_its_place() {
    for wrong in [
        "example.org",
        "https://*.example.org",
        "https://example.org/",
        "https://пример.рф",
        "",
    ] {
        let list = vec!["https://example.org".to_string(), wrong.to_string()];
        let error = Origins::new(&config::Origins::SameHostAnd(list)).expect_err(wrong);
        assert_eq!(error.0, 1, "{wrong:?}");
    }
}

#[test]
fn the_length_of_an_origin_is_bounded() {
    let at_the_limit = format!("https://{}", "a".repeat(super::ORIGIN_BYTES_MAX - 8));
    assert!(at_the_limit.parse::<Origin>().is_ok());
    assert!(format!("{at_the_limit}a").parse::<Origin>().is_err());
}

#[test]
fn demo_is_for_loopback_hosts() {
    for (host, allowed) in [
        ("127.0.0.1:8000", true),
        ("localhost:8000", true),
        ("LocalHost", true),
        ("[::1]:8000", true),
        ("evil.example", false),
        ("evil.example:8000", false),
        ("127.0.0.1.evil.example:8000", false),
        ("localhost.evil.example", false),
        ("192.168.0.1:8000", false),
        ("0.0.0.0:8000", false),
        ("", false),
        ("localhost:8000:1", false),
    ] {
        assert_eq!(Hosts::Loopback.allow(Some(host)), allowed, "{host:?}");
        assert!(Hosts::Any.allow(Some(host)));
    }
    assert!(!Hosts::Loopback.allow(None));
}

#[test]
fn headers_are_read_as_they_came() {
    let origins = listed(&["https://example.org"]);
    let mut headers = http::HeaderMap::new();
    assert_eq!(origins.check(&headers, true), Ok(()));
    let mut add = |name: &'static str, value: &'static str| {
        headers.append(name, value.parse().expect("a header's value"));
        origins.check(&headers, false)
    };
    assert_eq!(add("host", "127.0.0.1:8000"), Ok(()));
    assert_eq!(add("origin", "http://127.0.0.1:8000"), Ok(()));
    assert_eq!(
        add("origin", "https://example.org"),
        Err(OriginRefused::Several)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_equal_an_entry(origin in any::<Vec<u8>>(), host in ".{0,20}") {
        let origins = listed(&["https://example.org"]);
        let outcome = origins.check_values([origin.as_slice()].into_iter(), Some(&host), true);
        if outcome.is_ok() {
            let text = String::from_utf8(origin).expect("accepted, so it is text");
            assert!(text.eq_ignore_ascii_case("https://example.org") || text.to_ascii_lowercase().contains(&host.to_ascii_lowercase()));
        }
    }

    #[test]
    fn origins_that_look_alike_are_refused(prefix in "[a-z0-9.-]{0,8}", suffix in "[a-z0-9.:@/-]{1,8}") {
        let origins = listed(&["https://example.org"]);
        let text = format!("https://{prefix}example.org{suffix}");
        if suffix != ":443" || !prefix.is_empty() {
            assert!(check(&origins, &text, "chat.invalid", true).is_err(), "{text}");
        }
    }
}

#[test]
fn a_cookie_is_believed_from_a_page_of_the_site_only() {
    let origins = listed(&["https://example.org", "null", "file://"]);
    let check = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("ws.example.org"));
        for value in values {
            headers.append(header::ORIGIN, value.parse().expect("a value"));
        }
        origins.check_for_cookie(&headers, true)
    };
    assert_eq!(check(&["https://example.org"]), Ok(()));
    assert_eq!(check(&["https://ws.example.org"]), Ok(()));
    // Without one it is no browser of today, and any page's frame can have these, listed or not.
    for none in [&[][..], &["null"], &["file://"]] {
        assert_eq!(check(none), Err(OriginRefused::NotOfSite), "{none:?}");
    }
    for foreign in FOREIGN
        .iter()
        .filter(|origin| **origin != "null" && **origin != "file://")
    {
        if foreign.parse::<HeaderValue>().is_ok() {
            assert!(check(&[foreign]).is_err(), "{foreign}");
        }
    }
    let twice = ["https://example.org", "https://example.org"];
    assert_eq!(check(&twice), Err(OriginRefused::Several));
}
