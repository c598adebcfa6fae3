use super::examples::PAGES;
use super::{
    CONSOLE_ASSETS, CONSOLE_HTML, DEMO_ASSETS, DEMO_HTML, DemoPage, SETTINGS_MARK, START_LINK,
    console_router, embedded_json, is_own_host, page_policy, router,
};
use crate::config::{InletAddress, Secret};
use crate::demo::Lack;
use rupor_proto::CloseCode;
use rupor_testkit::http;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Pages on a port of their own, until it is dropped.
struct Served {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    fn new(router: axum::Router) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            _runtime: runtime,
        }
    }

    fn ask(&self, target: &str, headers: &[(&str, &str)]) -> rupor_testkit::Response {
        http(self.address, "GET", target, headers, b"")
    }
}

fn demo(key: &str) -> DemoPage {
    DemoPage {
        api_key: Secret::new(key),
        inlets: vec![
            InletAddress::Tcp("127.0.0.1:1234".parse().unwrap()),
            InletAddress::Unix("/run/rupor.sock".into()),
        ],
        lack: None,
    }
}

const EVERY_ANSWER: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[test]
fn every_answer_has_the_security_headers() {
    let served = Served::new(router(demo("key")));
    let mut targets = vec!["/", "/?user=tester02", "/console", "/favicon.ico"];
    targets.extend(DEMO_ASSETS.iter().chain(CONSOLE_ASSETS).map(|a| a.path));
    for page in PAGES {
        targets.push(page.path);
        targets.extend(page.assets.iter().map(|a| a.path));
    }
    for target in targets {
        let response = served.ask(target, &[]);
        assert!(matches!(response.status, 200 | 204), "{target}");
        for (name, value) in EVERY_ANSWER {
            assert_eq!(response.header(name), Some(value), "{target}: {name}");
        }
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{target}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{target}");
        assert!(!policy.contains("unsafe"), "{target}: {policy}");
    }
    // A refusal too.
    let refused = http(served.address, "POST", "/console", &[], b"");
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn pages_and_assets_have_their_content_types() {
    let served = Served::new(router(demo("key")));
    for (target, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/console", "text/html; charset=utf-8"),
        ("/assets/rupor.css", "text/css; charset=utf-8"),
        ("/assets/demo.js", "text/javascript; charset=utf-8"),
        ("/assets/mark.svg", "image/svg+xml"),
        ("/demo/chat/", "text/html; charset=utf-8"),
        ("/demo/tanks/tanks.js", "text/javascript; charset=utf-8"),
        ("/demo/tanks/tanks.css", "text/css; charset=utf-8"),
    ] {
        let response = served.ask(target, &[]);
        assert_eq!(response.header("content-type"), Some(content_type));
        assert!(!response.body.is_empty(), "{target}");
    }
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let served = Served::new(console_router());
    let first = served.ask("/assets/console.js", &[]);
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let tag = first.header("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {tag}");
    for known in [tag.as_str(), &weak, &list, "*"] {
        let again = served.ask("/assets/console.js", &[("If-None-Match", known)]);
        assert_eq!(again.status, 304, "{known}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        assert!(again.body.is_empty());
    }
    let other = served.ask("/assets/console.js", &[("If-None-Match", "\"other\"")]);
    assert_eq!(other.status, 200);
    assert_eq!(other.body, first.body);
}

#[test]
fn the_start_page_carries_the_key_and_is_never_stored() {
    let served = Served::new(router(demo("a-demo-key")));
    let page = served.ask("/", &[]);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("etag"), None);
    assert!(page.text().contains(r#""apiKey":"a-demo-key""#));
    assert!(page.text().contains(r#""port":1234"#));
    assert!(!page.text().contains(SETTINGS_MARK));
    // The key is there, and nowhere else.
    for asset in DEMO_ASSETS.iter().chain(CONSOLE_ASSETS) {
        assert!(!served.ask(asset.path, &[]).text().contains("a-demo-key"));
    }
}

#[test]
fn the_console_alone_has_no_start_page() {
    let served = Served::new(console_router());
    assert_eq!(served.ask("/console", &[]).status, 200);
    assert_eq!(served.ask("/", &[]).status, 404);
    assert!(!served.ask("/console", &[]).text().contains("href=\"/\""));
    assert_eq!(served.ask("/assets/demo.js", &[]).status, 404);
}

/// DNS rebinding: a foreign name that resolves to us must not read the key.
#[test]
fn a_foreign_host_does_not_get_the_start_page() {
    let served = Served::new(router(demo("a-demo-key")));
    for host in [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
    ] {
        let response = served.ask("/", &[("Host", host)]);
        assert_eq!(response.status, 421, "{host}");
        assert!(!response.text().contains("a-demo-key"), "{host}");
    }
    for host in [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
    ] {
        assert_eq!(served.ask("/", &[("Host", host)]).status, 200, "{host}");
    }
}

#[test]
fn own_hosts_are_addresses_and_localhost() {
    for host in [
        "127.0.0.1",
        "192.168.1.5:8000",
        "[::1]",
        "[::1]:65535",
        "localhost:80",
    ] {
        assert!(is_own_host(host), "{host}");
    }
    for host in [
        "",
        ":",
        ":8000",
        "localhost:",
        "localhost.evil.example",
        "evil.localhost.",
        "example.org",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:+80",
        "127.0.0.1:80;x",
        "127.1",
        "0x7f.0.0.1",
        "[::1",
        "[::1]x",
        "[localhost]",
        "::1",
        "a@127.0.0.1",
        "127.0.0.1 ws://evil.example",
    ] {
        assert!(!is_own_host(host), "{host}");
    }
}

#[test]
fn the_start_page_may_reach_this_server_only() {
    let policy = page_policy("127.0.0.1:8000", "");
    assert!(policy.contains("connect-src 'self' ws://127.0.0.1:8000 wss://127.0.0.1:8000;"));
    // Nor may a host be more than one.
    assert!(page_policy("a ws://evil.example", "").contains("connect-src 'self';"));
    // A CSP source cannot spell an IPv6 address.
    assert!(page_policy("[::1]:8000", "").contains("connect-src 'self';"));
}

#[test]
fn embedded_settings_cannot_end_their_element() {
    let key = "</script><script>alert(1)</script><!-- & \" \\ \u{2028}";
    let json = embedded_json(&demo(key));
    assert!(!json.contains(['<', '>', '&']), "{json}");
    let back: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(back["apiKey"], key);
    assert_eq!(back["inlets"][1]["path"], "/run/rupor.sock");
    let served = Served::new(router(demo(key)));
    let scripts = served.ask("/", &[]).text().matches("</script>").count();
    assert_eq!(scripts, DEMO_HTML.matches("</script>").count());
}

#[test]
fn a_wildcard_inlet_is_shown_as_loopback() {
    let json = embedded_json(&DemoPage {
        api_key: Secret::new("key"),
        inlets: vec![
            InletAddress::Tcp("0.0.0.0:1234".parse().unwrap()),
            InletAddress::Tcp("[::]:1234".parse().unwrap()),
        ],
        lack: None,
    });
    assert!(json.contains(r#""host":"127.0.0.1""#), "{json}");
    assert!(json.contains(r#""host":"::1""#), "{json}");
}

#[test]
fn what_the_server_replaces_is_there_once() {
    assert_eq!(CONSOLE_HTML.matches(START_LINK).count(), 1);
    assert_eq!(DEMO_HTML.matches(SETTINGS_MARK).count(), 1);
}

/// Everything that a page or a module names is served, everything served is named, and all of it is
/// ours.
#[test]
fn every_reference_has_its_asset() {
    let assets: Vec<_> = DEMO_ASSETS.iter().chain(CONSOLE_ASSETS).collect();
    let bodies = assets.iter().map(|a| String::from_utf8_lossy(a.body));
    let mut named = BTreeSet::new();
    for text in [DEMO_HTML.into(), CONSOLE_HTML.into()]
        .into_iter()
        .chain(bodies)
    {
        for rest in text.split("\"/assets/").skip(1) {
            named.insert(format!("/assets/{}", rest.split('"').next().unwrap()));
        }
    }
    let served: BTreeSet<_> = assets.iter().map(|a| a.path.to_owned()).collect();
    assert_eq!(named, served);
    // The console is served without the start page: it may name only what comes with it.
    let alone: BTreeSet<_> = CONSOLE_ASSETS.iter().map(|a| a.path).collect();
    let console_bodies = CONSOLE_ASSETS
        .iter()
        .map(|a| String::from_utf8_lossy(a.body));
    for text in [CONSOLE_HTML.into()].into_iter().chain(console_bodies) {
        for rest in text.split("\"/assets/").skip(1) {
            let path = format!("/assets/{}", rest.split('"').next().unwrap());
            assert!(alone.contains(path.as_str()), "{path}");
        }
    }
}

/// What the policy forbids is not there to be missed: inline scripts, styles, handlers; markup made
/// from text.
#[test]
fn nothing_is_inline_and_nothing_is_foreign() {
    for page in [DEMO_HTML, CONSOLE_HTML] {
        for forbidden in [
            " style=",
            "<style",
            " onclick=",
            " onload=",
            "javascript:",
            "src=\"http",
            "href=\"http",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        let inline =
            page.matches("<script").count() - page.matches("<script type=\"module\" src=").count();
        assert_eq!(
            inline,
            page.matches("<script type=\"application/json\"").count()
        );
    }
    for asset in DEMO_ASSETS.iter().chain(CONSOLE_ASSETS) {
        let text = String::from_utf8_lossy(asset.body);
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "url(http",
            "@import",
        ] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", asset.path);
        }
    }
}

#[test]
fn an_example_is_as_it_is_but_for_where_it_connects_to() {
    let served = Served::new(router(demo("a-demo-key")));
    for page in PAGES {
        let answer = served.ask(page.path, &[("Host", "127.0.0.1:8000")]);
        assert_eq!(answer.text(), page.html);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("connect-src 'self' ws://127.0.0.1:8000"),
            "{policy}"
        );
        assert!(policy.contains("img-src 'self' data:;"), "{policy}");
        let foreign = served.ask(page.path, &[("Host", "evil.example")]);
        let policy = foreign.header("content-security-policy").unwrap();
        assert!(policy.contains("connect-src 'self';"), "{policy}");
        let folder = page.path.trim_end_matches('/');
        let redirect = served.ask(folder, &[]);
        assert_eq!(redirect.status, 308);
        assert_eq!(redirect.header("location"), Some(page.path));
        // All that it refers to is beside it, and nothing else is.
        let named: BTreeSet<_> = page
            .html
            .split("src=\"")
            .chain(page.html.split("rel=\"stylesheet\" href=\""))
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| !name.contains('<'))
            .map(|name| format!("{}{name}", page.path))
            .collect();
        let beside: BTreeSet<_> = page.assets.iter().map(|a| a.path.to_owned()).collect();
        assert_eq!(named, beside);
        for asset in page.assets {
            let text = String::from_utf8_lossy(asset.body);
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", asset.path);
            }
        }
        assert!(!page.html.contains("<script>") && !page.html.contains(" style="));
    }
}

#[test]
fn where_php_is_missing_the_pages_say_so() {
    let lack = Lack::NotThere("<i>php</i> & \"co\"".to_owned());
    let served = Served::new(router(DemoPage {
        lack: Some(lack),
        ..demo("a-demo-key")
    }));
    for page in PAGES {
        let answer = served.ask(page.path, &[]);
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let text = answer.text();
        assert!(
            text.contains("no program &lt;i&gt;php&lt;/i&gt; &amp;"),
            "{text}"
        );
        assert!(text.contains("apt install php-cli"), "{text}");
    }
    let start = served.ask("/", &[]).text();
    assert!(
        start.contains(r#""lack":"There is no program \u003ci\u003ephp"#),
        "{start}"
    );
    assert!(
        Served::new(router(demo("key")))
            .ask("/", &[])
            .text()
            .contains(r#""lack":null"#)
    );
}

/// The console's table of close codes agrees with the server's.
#[test]
fn close_codes_are_those_of_the_protocol_crate() {
    let asset = CONSOLE_ASSETS
        .iter()
        .find(|a| a.path.ends_with("close-codes.js"));
    let text = std::str::from_utf8(asset.unwrap().body).unwrap();
    // Rows of codes, `[1000, "…", "…", false],`, and of ranges, `[3000, 3499, "…", true],`.
    let mut codes = BTreeSet::new();
    for line in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('['))
    {
        let first: u16 = line.split(',').next().unwrap().parse().unwrap();
        let second = line.split(',').nth(1).unwrap().trim();
        let reconnects = line.ends_with("true],");
        assert!(reconnects || line.ends_with("false],"), "{line}");
        codes.insert(first);
        let last = second.parse().unwrap_or(first);
        for code in first..=last {
            assert_eq!(
                CloseCode::new(code).client_reconnects(),
                reconnects,
                "{code}"
            );
        }
    }
    for code in 1000..=1015 {
        assert!(codes.contains(&code), "{code} has no row");
    }
}
