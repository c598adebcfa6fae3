//! Upgrade requests, good and bad, as one table: whoever parses them, the verdict must be the same.
//!
//! The rules are RFC 6455 §4.2.1, RFC 9112 §2-3 and §5-6, and the default limits of a head.

use crate::opening::SAMPLE_KEY;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered with 101.
    Opens,
    /// It is refused with this status, a reason and the end of the connection; nothing behind it
    /// is read as a request.
    Refused(u16),
    /// It does not ask to become a WebSocket: an answer like any other request's, never 101.
    NotAsked,
}

/// One request of the table.
#[derive(Clone, Debug)]
pub struct UpgradeCase {
    /// What is special about it.
    pub name: &'static str,
    /// The head, its empty line included, if it has one.
    pub head: Vec<u8>,
    /// What is to become of it.
    pub verdict: Verdict,
    /// Whether it is wrong already in the form of its bytes: a library that parses in front of the
    /// rules of RFC 6455 may answer it by itself, with another status of the same class, or, at
    /// worst, mend it.
    pub form: bool,
}

/// A head under construction: lines without their ends.
#[derive(Clone)]
struct Head {
    line: String,
    headers: Vec<String>,
}

impl Head {
    fn good(host: &str) -> Self {
        let headers = [
            format!("Host: {host}"),
            "Upgrade: websocket".to_owned(),
            "Connection: Upgrade".to_owned(),
            format!("Sec-WebSocket-Key: {SAMPLE_KEY}"),
            "Sec-WebSocket-Version: 13".to_owned(),
        ];
        Self {
            line: "GET / HTTP/1.1".to_owned(),
            headers: headers.into(),
        }
    }

    fn line(&self, line: impl Into<String>) -> Self {
        let line = line.into();
        Self {
            line,
            ..self.clone()
        }
    }

    fn target(&self, target: &str) -> Self {
        self.line(format!("GET {target} HTTP/1.1"))
    }

    fn without(&self, name: &str) -> Self {
        let mut head = self.clone();
        head.headers.retain(|it| it.split(':').next() != Some(name));
        head
    }

    /// With this line in the place of those of the same name.
    fn with(&self, line: &str) -> Self {
        let name = line.split(':').next().unwrap_or_default();
        self.without(name).plus(line)
    }

    fn plus(&self, line: &str) -> Self {
        let mut head = self.clone();
        head.headers.push(line.to_owned());
        head
    }

    fn first(&self, line: &str) -> Self {
        let mut head = self.clone();
        head.headers.insert(0, line.to_owned());
        head
    }

    /// With so many headers in all.
    fn of_headers(&self, count: usize) -> Self {
        let mut head = self.clone();
        while head.headers.len() < count {
            head.headers.insert(0, "X: y".to_owned());
        }
        head
    }

    /// With so many bytes in all.
    fn of_bytes(&self, count: usize) -> Self {
        let empty = self.plus("X: ");
        let missing = count - empty.text().len();
        self.plus(&format!("X: {}", "x".repeat(missing)))
    }

    fn text(&self) -> String {
        let lines = [&self.line].into_iter().chain(&self.headers);
        let mut text: String = lines.flat_map(|line| [line, "\r\n"]).collect();
        text.push_str("\r\n");
        text
    }
}

/// The whole table, for a server that is reached as `host`.
pub fn upgrade_cases(host: &str) -> Vec<UpgradeCase> {
    let good = Head::good(host);
    let mut cases = Vec::new();
    forms(&good, host, &mut cases);
    offers(&good, &mut cases);
    wrong_requests(&good, &mut cases);
    wrong_headers(&good, &mut cases);
    wrong_lists(&good, &mut cases);
    bodies(&good, &mut cases);
    targets(&good, host, &mut cases);
    limits(&good, &mut cases);
    malformed(&good, &mut cases);
    not_asked(&good, &mut cases);
    cases
}

fn add(cases: &mut Vec<UpgradeCase>, name: &'static str, head: &Head, verdict: Verdict) {
    cases.push(UpgradeCase {
        name,
        head: head.text().into(),
        verdict,
        form: false,
    });
}

/// RFC 6455 §4.2.1: what must be accepted: lists, cases and odd spaces.
fn forms(good: &Head, host: &str, cases: &mut Vec<UpgradeCase>) {
    let lower = |line: &String| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        format!("{}:{value}", name.to_lowercase())
    };
    let lowered = Head {
        line: good.line.clone(),
        headers: good.headers.iter().map(lower).collect(),
    };
    let table = [
        ("the plainest", good.clone()),
        ("names in lower case", lowered),
        (
            "tokens in any case",
            good.with("Upgrade: WebSocket").with("Connection: uPGRADE"),
        ),
        ("no space behind the colon", good.with("Upgrade:websocket")),
        (
            "spaces and tabs around a value",
            good.with("Upgrade: \t websocket \t "),
        ),
        ("websocket in a list", good.with("Upgrade: h2c,\twebsocket")),
        (
            "websocket on a second line",
            good.with("Upgrade: h2c").plus("Upgrade: websocket"),
        ),
        (
            "empty list elements",
            good.with("Upgrade: , websocket ,,")
                .with("Connection: a,,Upgrade"),
        ),
        (
            "connection in a list",
            good.with("Connection: keep-alive, Upgrade"),
        ),
        (
            "connection on a second line",
            good.with("Connection: keep-alive")
                .plus("Connection: Upgrade"),
        ),
        (
            "host in another case",
            good.with(&format!("Host: {} ", host.to_uppercase())),
        ),
    ];
    for (name, head) in &table {
        add(cases, name, head, Verdict::Opens);
    }
}

/// What a client may ask for besides, also in vain: it never keeps a connection from opening.
fn offers(good: &Head, cases: &mut Vec<UpgradeCase>) {
    let table = [
        ("an origin", good.plus("Origin: https://example.org")),
        ("the null origin", good.plus("Origin: null")),
        (
            "subprotocols over two lines",
            good.plus("Sec-WebSocket-Protocol: a, b")
                .plus("Sec-WebSocket-Protocol: c"),
        ),
        (
            "subprotocols with names of object members",
            good.plus("Sec-WebSocket-Protocol: __proto__, constructor"),
        ),
        (
            "an extension nobody knows",
            good.plus("Sec-WebSocket-Extensions: constructor"),
        ),
        (
            "an offer of permessage-deflate that means nothing",
            good.plus("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=999"),
        ),
        (
            "a header value that is not ASCII",
            good.plus("Cookie: a=\u{44b}"),
        ),
    ];
    for (name, head) in &table {
        add(cases, name, head, Verdict::Opens);
    }
}

/// RFC 6455 §4.2.1, one broken rule at a time.
fn wrong_requests(good: &Head, cases: &mut Vec<UpgradeCase>) {
    let host = good.headers.first().cloned().unwrap_or_default();
    let table = [
        ("POST", good.line("POST / HTTP/1.1"), 405),
        ("a method in lower case", good.line("get / HTTP/1.1"), 405),
        ("HTTP/1.0", good.line("GET / HTTP/1.0"), 400),
        ("no host", good.without("Host"), 400),
        ("two hosts", good.plus(&host), 400),
        ("two hosts that differ", good.first("Host: other"), 400),
        ("an empty host", good.with("Host:"), 400),
        ("a host with a path", good.with("Host: a/b"), 400),
        ("a host with a user", good.with("Host: a@b"), 400),
        ("a list of hosts", good.with("Host: a, b"), 400),
        ("a host with a bad port", good.with("Host: a:b"), 400),
        ("no connection header", good.without("Connection"), 400),
        (
            "a connection that stays HTTP",
            good.with("Connection: keep-alive"),
            400,
        ),
        (
            "a quoted connection token",
            good.with("Connection: \"Upgrade\""),
            400,
        ),
    ];
    for (name, head, status) in &table {
        add(cases, name, head, Verdict::Refused(*status));
    }
}

/// RFC 6455 §4.2.1, the headers of its own.
fn wrong_headers(good: &Head, cases: &mut Vec<UpgradeCase>) {
    let key = format!("Sec-WebSocket-Key: {SAMPLE_KEY}");
    let table = [
        ("no version", good.without("Sec-WebSocket-Version"), 400),
        ("two versions", good.plus("Sec-WebSocket-Version: 13"), 400),
        (
            "the version before",
            good.with("Sec-WebSocket-Version: 8"),
            426,
        ),
        (
            "a version with a leading zero",
            good.with("Sec-WebSocket-Version: 013"),
            426,
        ),
        (
            "a list of versions",
            good.with("Sec-WebSocket-Version: 13, 8"),
            426,
        ),
        ("no key", good.without("Sec-WebSocket-Key"), 400),
        ("two keys", good.plus(&key), 400),
        ("an empty key", good.with("Sec-WebSocket-Key:"), 400),
        (
            "a key of 15 bytes",
            good.with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"),
            400,
        ),
        (
            "a key of 17 bytes",
            good.with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE="),
            400,
        ),
        (
            "a key without padding",
            good.with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"),
            400,
        ),
        (
            "a key with stray bits",
            good.with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="),
            400,
        ),
        (
            "two origins",
            good.plus("Origin: http://a").plus("Origin: http://a"),
            400,
        ),
        ("an empty origin", good.plus("Origin:"), 400),
    ];
    for (name, head, status) in &table {
        add(cases, name, head, Verdict::Refused(*status));
    }
}

/// RFC 6455 §4.3, §9.1: what is no list of tokens, or of extensions.
fn wrong_lists(good: &Head, cases: &mut Vec<UpgradeCase>) {
    let table = [
        (
            "no subprotocol in the list",
            good.plus("Sec-WebSocket-Protocol: ,"),
        ),
        (
            "a subprotocol twice",
            good.plus("Sec-WebSocket-Protocol: a, a"),
        ),
        (
            "a subprotocol that is no token",
            good.plus("Sec-WebSocket-Protocol: a b"),
        ),
        (
            "no extension in the list",
            good.plus("Sec-WebSocket-Extensions:"),
        ),
        (
            "extensions that are only separators",
            good.plus("Sec-WebSocket-Extensions: ,,;;=="),
        ),
        (
            "an unclosed quote among extensions",
            good.plus("Sec-WebSocket-Extensions: a; b=\"\\c\\c\\c"),
        ),
    ];
    for (name, head) in &table {
        add(cases, name, head, Verdict::Refused(400));
    }
}

/// An upgrade has no body: what announces one is refused, and what follows is nobody's request.
fn bodies(good: &Head, cases: &mut Vec<UpgradeCase>) {
    let table = [
        ("a content length", good.plus("Content-Length: 5")),
        (
            "a content length of nothing",
            good.plus("Content-Length: 0"),
        ),
        ("a chunked body", good.plus("Transfer-Encoding: chunked")),
        ("an identity body", good.plus("Transfer-Encoding: identity")),
        (
            "length and chunks",
            good.plus("Content-Length: 5")
                .plus("Transfer-Encoding: chunked"),
        ),
        (
            "a body that waits to be asked for",
            good.plus("Expect: 100-continue"),
        ),
    ];
    for (name, head) in &table {
        add(cases, name, head, Verdict::Refused(400));
    }
    // A library may find these wrong before anybody asks what the request is for.
    let table = [
        (
            "two content lengths",
            good.plus("Content-Length: 5").plus("Content-Length: 6"),
        ),
        (
            "a content length that is no number",
            good.plus("Content-Length: five"),
        ),
        (
            "a content length with a sign",
            good.plus("Content-Length: +5"),
        ),
        (
            "a transfer coding nobody knows",
            good.plus("Transfer-Encoding: gzip"),
        ),
    ];
    for (name, head) in &table {
        add_form(cases, name, head.text(), 400);
    }
}

/// RFC 9112 §3.2: a path, or a whole URI of the same host.
fn targets(good: &Head, host: &str, cases: &mut Vec<UpgradeCase>) {
    add(
        cases,
        "a path and query",
        &good.target("/a?b=/c"),
        Verdict::Opens,
    );
    for (name, scheme) in [
        ("an absolute target", "http"),
        ("an absolute target of ws", "ws"),
        ("an absolute target of wss", "WSS"),
    ] {
        let target = format!("{scheme}://{host}/a?b");
        add(cases, name, &good.target(&target), Verdict::Opens);
    }
    let table = [
        (
            "an absolute target of another host",
            "http://other/".to_owned(),
        ),
        (
            "an absolute target with a user",
            format!("http://user@{host}/"),
        ),
        (
            "an absolute target of another scheme",
            format!("ftp://{host}/"),
        ),
        ("a file", "file:///etc/passwd".to_owned()),
        ("the asterisk", "*".to_owned()),
        ("a host and port", host.to_owned()),
        ("a fragment", "/a#b".to_owned()),
        ("a target that begins with nothing", "a".to_owned()),
        ("a target that is not ASCII", "/\u{44f}".to_owned()),
    ];
    for (name, target) in &table {
        add_form(cases, name, good.target(target).text(), 400);
    }
}

/// The default limits of a head, each at it and one over it.
fn limits(good: &Head, cases: &mut Vec<UpgradeCase>) {
    add(cases, "64 headers", &good.of_headers(64), Verdict::Opens);
    add(
        cases,
        "a head of 8192 bytes",
        &good.of_bytes(8192),
        Verdict::Opens,
    );
    let long = format!("/{}", "x".repeat(4095));
    add(
        cases,
        "a target of 4096 bytes",
        &good.target(&long),
        Verdict::Opens,
    );
    add_form(cases, "65 headers", good.of_headers(65).text(), 431);
    add_form(
        cases,
        "10,000 headers, the upgrade last",
        good.of_headers(10_000).text(),
        431,
    );
    add_form(
        cases,
        "a head of 8193 bytes",
        good.of_bytes(8193).text(),
        431,
    );
    add_form(
        cases,
        "a target of 4097 bytes",
        good.target(&format!("{long}x")).text(),
        414,
    );
    let spaces = " ".repeat(32 * 1024);
    for (name, header) in [
        (
            "32 KiB of spaces among subprotocols",
            "Sec-WebSocket-Protocol: a",
        ),
        (
            "32 KiB of spaces among extensions",
            "Sec-WebSocket-Extensions: a",
        ),
    ] {
        let head = good.plus(&format!("{header}{spaces}b"));
        add_form(cases, name, head.text(), 431);
    }
}

/// RFC 9112 §2.2, §3, §5.1-5.2: what two parsers might read in two ways.
fn malformed(good: &Head, cases: &mut Vec<UpgradeCase>) {
    let text = good.text();
    let table = [
        ("bare LF", text.replace("\r\n", "\n")),
        ("one bare LF", text.replacen("\r\n", "\n", 1)),
        ("a bare LF at the end", text.replace("\r\n\r\n", "\r\n\n")),
        ("a bare CR", good.plus("X: a\rb").text()),
        (
            "a bare CR for an end of line",
            text.replacen("\r\n", "\r", 1),
        ),
        ("a folded line", good.plus("X: a\r\n b").text()),
        ("a folded line by a tab", good.plus("X: a\r\n\tb").text()),
        (
            "a first header that is folded",
            text.replacen("Host", " Host", 1),
        ),
        ("a space before a colon", text.replace("Host:", "Host :")),
        ("a NUL in a value", good.plus("X: a\0b").text()),
        ("a NUL in a name", good.plus("X\0: a").text()),
        ("a control character", good.plus("X: a\x1bb").text()),
        ("a DEL", good.plus("X: a\x7fb").text()),
        ("no name", good.plus(": x").text()),
        ("no colon", good.plus("nothing").text()),
        ("a space in a name", good.plus("bad name: x").text()),
        (
            "a name that is not ASCII",
            good.plus("bad\u{44f}: x").text(),
        ),
        ("an empty line in front", format!("\r\n{text}")),
        ("a space in front", format!(" {text}")),
        (
            "two spaces before the target",
            good.line("GET  / HTTP/1.1").text(),
        ),
        (
            "two spaces before the version",
            good.line("GET /  HTTP/1.1").text(),
        ),
        (
            "a tab in the request line",
            good.line("GET\t/ HTTP/1.1").text(),
        ),
        (
            "a space behind the version",
            good.line("GET / HTTP/1.1 ").text(),
        ),
        ("no version of HTTP", good.line("GET /").text()),
        (
            "a protocol that is not HTTP",
            good.line("GET / XTTP/1.1").text(),
        ),
        ("no method", good.line(" / HTTP/1.1").text()),
    ];
    for (name, head) in table {
        add_form(cases, name, head, 400);
    }
    for (name, version) in [
        ("HTTP/2.0", "HTTP/2.0"),
        ("HTTP/1.2", "HTTP/1.2"),
        ("HTTP/0.9", "HTTP/0.9"),
    ] {
        add_form(
            cases,
            name,
            good.line(format!("GET / {version}")).text(),
            505,
        );
    }
}

fn add_form(cases: &mut Vec<UpgradeCase>, name: &'static str, head: String, status: u16) {
    cases.push(UpgradeCase {
        name,
        head: head.into_bytes(),
        verdict: Verdict::Refused(status),
        form: true,
    });
}

fn not_asked(good: &Head, cases: &mut Vec<UpgradeCase>) {
    for (name, head) in [
        ("no upgrade", good.without("Upgrade")),
        ("an empty upgrade", good.with("Upgrade:")),
        ("an upgrade to something else", good.with("Upgrade: h2c")),
        (
            "an upgrade that only begins so",
            good.with("Upgrade: websockets"),
        ),
        ("an upgrade in two words", good.with("Upgrade: web socket")),
    ] {
        add(cases, name, &head, Verdict::NotAsked);
    }
}
