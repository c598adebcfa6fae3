//! The API over real sockets, with the real gateway and server behind it.

use super::{Settings, Troubles, only_hosts, router};
use crate::auth::Auth;
use crate::auth::api_key::ApiKey;
use crate::auth::origin::{Hosts, Origins};
use crate::config::{self, Secret};
use crate::gateway::{self, Admission, Gateway, WorkerHandler};
use rupor_server::{Limits, Running, Server};
use rupor_testkit::{Client, Response, http};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

const KEY: &str = "Zx9Cv8Bn7Mq6Wl5Ek4Rj3Th2Yg1Uf0Id";
const BODY_BYTES_MAX: usize = 1000;

struct Site {
    running: Running,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    /// Whether there is something that is not as it should be.
    troubled: Arc<AtomicBool>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.running.handle().stop();
    }
}

impl Site {
    fn start() -> Self {
        Self::with(Some(KEY), Hosts::Any)
    }

    fn with(key: Option<&str>, hosts: Hosts) -> Self {
        let gateway = Gateway::new(gateway::Settings::default());
        let auth = Arc::new(Auth::new(&config::Auth::none()).expect("nothing to check"));
        let same_host = config::Origins::SameHostAnd(vec!["https://good.example".to_string()]);
        let origins = Origins::new(&same_host).expect("a right list");
        let settings = Settings {
            key: key.map(|key| ApiKey::new(&Secret::new(key)).expect("random numbers")),
            origins: origins.clone(),
            body_bytes_max: BODY_BYTES_MAX,
            batch_max: 3,
        };
        let (stop, stopping) = watch::channel(false);
        let troubled = Arc::new(AtomicBool::new(false));
        let is_troubled = Arc::clone(&troubled);
        let troubles: Troubles = Arc::new(move || {
            let troubled = is_troubled.load(Ordering::Relaxed);
            troubled.then_some("a test").into_iter().collect()
        });
        let http = only_hosts(
            hosts,
            router(Arc::clone(&gateway), settings, None, stopping, troubles),
        );
        let admission = Admission::new(Arc::clone(&gateway), Arc::clone(&auth), origins);
        let mut limits = Limits::default();
        gateway.settings().fit(&mut limits);
        let running = Server::new(move |_, handle| {
            WorkerHandler::new(Arc::clone(&gateway), Arc::clone(&auth), handle)
        })
        .admit(admission)
        .http(http)
        .limits(limits)
        .workers(2)
        .listen("127.0.0.1:0")
        .and_then(Server::start)
        .expect("started");
        let address = running.addresses()[0];
        Self {
            running,
            address,
            stop,
            troubled,
        }
    }

    fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let bearer = format!("Bearer {KEY}");
        let mut all = vec![("Authorization", bearer.as_str())];
        if !headers.iter().any(|(name, _)| *name == "Content-Type") {
            all.push(("Content-Type", "application/json"));
        }
        all.extend(headers);
        http(self.address, method, target, &all, body.as_bytes())
    }

    fn post(&self, target: &str, body: &str) -> (u16, Value) {
        let response = self.request("POST", target, &[], body);
        (response.status, object(&response))
    }

    fn get(&self, target: &str) -> (u16, Value) {
        let response = self.request("GET", target, &[], "");
        (response.status, object(&response))
    }
}

fn object(response: &Response) -> Value {
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()))
}

#[test]
fn one_object_reaches_the_user_and_nobody_else() {
    let site = Site::start();
    let mut tester = Client::connect(site.address, "/?user=tester01");
    let mut again = Client::connect(site.address, "/?user=tester01");
    let mut other = Client::connect(site.address, "/?user=other");
    let answer = site.post(
        "/api/publish",
        r#"{"user":"tester01","message":"test","id":"a"}"#,
    );
    assert_eq!(
        answer,
        (200, json!({"ok": true, "connections": 2, "id": "a"}))
    );
    tester.expect_text("test");
    again.expect_text("test");
    let answer = site.post("/api/publish", r#"{"all":true,"message":{"b":[1, 2]}}"#);
    assert_eq!(answer, (200, json!({"ok": true, "connections": 3})));
    for client in [&mut tester, &mut again, &mut other] {
        client.expect_text(r#"{"b":[1, 2]}"#);
    }
    let answer = site.post("/api/publish", r#"{"userId":"nobody","message":"test"}"#);
    assert_eq!(answer, (200, json!({"ok": true, "connections": 0})));
}

#[test]
fn an_array_is_carried_out_as_a_whole() {
    let site = Site::start();
    let mut tester = Client::connect(site.address, "/?user=tester01");
    let two = r#" [{"user":"tester01","message":"1"}, {"user":"tester01","message":"2","id":2}] "#;
    let expected = json!([{"ok": true, "connections": 1}, {"ok": true, "connections": 1, "id": 2}]);
    assert_eq!(site.post("/api/publish", two), (200, expected));
    tester.expect_text("1");
    tester.expect_text("2");
    assert_eq!(site.post("/api/publish", "[]"), (200, json!([])));

    let one_wrong = r#"[{"user":"tester01","message":"3","id":3}, {"user":"tester01"}]"#;
    let (status, results) = site.post("/api/publish", one_wrong);
    assert_eq!(status, 422);
    assert_eq!(
        (&results[0]["code"], &results[0]["id"]),
        (&json!("not_sent"), &json!(3))
    );
    assert_eq!(results[1]["code"], "no_message");

    let four = format!(
        "[{}]",
        [r#"{"user":"tester01","message":"4"}"#; 4].join(",")
    );
    let (status, result) = site.post("/api/publish", &four);
    assert_eq!((status, &result["code"]), (422, &json!("bad_value")));
    assert!(
        result["error"]
            .as_str()
            .is_some_and(|text| text.contains("publish_batch_max"))
    );

    // What only the hub can refuse is told object by object, and the rest is sent.
    let bad_name =
        r#"[{"channel":"no such/name","message":"5"}, {"user":"tester01","message":"6"}]"#;
    let (status, results) = site.post("/api/publish", bad_name);
    assert_eq!(
        (status, &results[0]["code"]),
        (422, &json!("bad_channel_name"))
    );
    assert_eq!(results[1]["ok"], true);
    tester.expect_text("6");
}

/// What is wrong with a body, its status and its code.
const WRONG_BODIES: &[(&str, u16, &str)] = &[
    ("", 400, "bad_json"),
    ("hello", 400, "bad_json"),
    ("{", 400, "bad_json"),
    ("[", 400, "bad_json"),
    ("[{},]", 400, "bad_json"),
    ("[] []", 400, "bad_json"),
    ("\u{feff}{}", 400, "bad_json"),
    ("{}", 422, "no_target"),
    ("null", 422, "bad_value"),
    ("7", 422, "bad_value"),
    (r#"{"user":"a"}"#, 422, "no_message"),
    (r#"{"user":"a","mesage":"b"}"#, 422, "unknown_field"),
    (r#"{"user":"a","user":"b","message":"c"}"#, 422, "bad_value"),
    (
        r#"{"user":"a","all":true,"message":"c"}"#,
        422,
        "several_targets",
    ),
    (r#"{"user":"","message":"c"}"#, 422, "bad_user_name"),
    (
        r#"{"channel":"a b","message":"c"}"#,
        422,
        "bad_channel_name",
    ),
];

#[test]
fn wrong_bodies_have_a_status_and_a_code() {
    let site = Site::start();
    for (body, status, code) in WRONG_BODIES {
        let answer = site.post("/api/publish", body);
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (*status, &json!(code)),
            "{body}"
        );
        assert_eq!(answer.1["ok"], false);
        assert!(answer.1["error"].is_string());
    }
    let deep = "[".repeat(900);
    assert_eq!(site.post("/api/publish", &deep).0, 400);
}

#[test]
fn without_the_key_nothing_is_told() {
    let site = Site::start();
    let wrong = format!("Bearer {}", "x".repeat(KEY.len()));
    let basic = format!("Basic {KEY}");
    let no_space = format!("Bearer{KEY}");
    for (authorization, code) in [
        (None, "no_key"),
        (Some(""), "no_key"),
        (Some("Bearer"), "no_key"),
        (Some(basic.as_str()), "no_key"),
        (Some(no_space.as_str()), "no_key"),
        (Some("Bearer x"), "wrong_key"),
        (Some("Bearer "), "no_key"),
        (Some(wrong.as_str()), "wrong_key"),
    ] {
        for (method, target) in [
            ("POST", "/api/publish"),
            ("POST", "/api/disconnect"),
            ("GET", "/api/users/a"),
            ("GET", "/api/channels/a"),
            ("GET", "/api/none"),
            ("DELETE", "/api/publish"),
        ] {
            let headers: Vec<_> = authorization
                .map(|value| ("Authorization", value))
                .into_iter()
                .collect();
            let response = http(site.address, method, target, &headers, b"");
            assert_eq!(response.status, 401, "{authorization:?} {method} {target}");
            assert_eq!(object(&response)["code"], code, "{authorization:?}");
            let challenge = response
                .header("www-authenticate")
                .expect("RFC 9110 §15.5.2");
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
    let lower = format!("bearer {KEY}");
    let good = http(
        site.address,
        "GET",
        "/api/users/a",
        &[("Authorization", lower.as_str())],
        b"",
    );
    assert_eq!(good.status, 200);
    let twice = site.request("GET", "/api/users/a", &[("Authorization", "Bearer x")], "");
    assert_eq!(twice.status, 401);
    // A key in the query is no key: it would be in logs.
    let query = format!("/api/users/a?key={KEY}&access_token={KEY}");
    assert_eq!(http(site.address, "GET", &query, &[], b"").status, 401);
}

#[test]
fn pages_of_foreign_origins_are_refused_even_with_the_key() {
    let site = Site::start();
    let same = format!("http://{}", site.address);
    for (origin, status) in [
        (same.as_str(), 200),
        ("https://good.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("file://", 403),
        ("http://127.0.0.1:1", 403),
    ] {
        let response = site.request("GET", "/api/users/a", &[("Origin", origin)], "");
        assert_eq!(response.status, status, "{origin}");
        if status == 403 {
            assert_eq!(object(&response)["code"], "foreign_origin");
        }
        let cors = response
            .headers
            .iter()
            .any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"));
        assert!(!cors);
    }
    let preflight = [
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "authorization,content-type",
        ),
    ];
    let response = http(site.address, "OPTIONS", "/api/publish", &preflight, b"");
    assert_eq!(response.status, 403);
}

#[test]
fn media_types_methods_and_paths_are_told_apart() {
    let site = Site::start();
    let body = r#"{"user":"a","message":"b"}"#;
    for (media_type, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data", 415),
        ("application/jsonx", 415),
        ("text/json", 415),
        ("", 415),
    ] {
        let response = site.request(
            "POST",
            "/api/publish",
            &[("Content-Type", media_type)],
            body,
        );
        assert_eq!(response.status, status, "{media_type}");
    }
    let compressed = [
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
    ];
    assert_eq!(
        site.request("POST", "/api/publish", &compressed, body)
            .status,
        415
    );
    for (method, target, allow) in [
        ("GET", "/api/publish", "POST"),
        ("PUT", "/api/publish", "POST"),
        ("OPTIONS", "/api/disconnect", "POST"),
        ("POST", "/api/users/a", "GET,HEAD"),
        ("DELETE", "/api/channels/a", "GET,HEAD"),
    ] {
        let response = site.request(method, target, &[], "");
        assert_eq!(response.status, 405, "{method} {target}");
        assert_eq!(response.header("allow"), Some(allow), "{method} {target}");
        assert_eq!(object(&response)["code"], "method_not_allowed");
    }
    for target in [
        "/api",
        "/api/",
        "/api/none",
        "/api/users",
        "/api/users/",
        "/api/users/a/b",
    ] {
        let (status, answer) = site.get(target);
        assert_eq!(
            (status, &answer["code"]),
            (404, &json!("not_found")),
            "{target}"
        );
    }
}

#[test]
fn a_body_over_the_limit_is_refused_and_not_kept() {
    let site = Site::start();
    let body = |length: usize| {
        let empty = r#"{"user":"a","message":""}"#;
        format!(
            r#"{{"user":"a","message":"{}"}}"#,
            "m".repeat(length - empty.len())
        )
    };
    assert_eq!(site.post("/api/publish", &body(BODY_BYTES_MAX)).0, 200);
    let (status, answer) = site.post("/api/publish", &body(BODY_BYTES_MAX + 1));
    assert_eq!((status, &answer["code"]), (413, &json!("body_too_long")));
    assert_eq!(site.post("/api/publish", &body(3_000_000)).0, 413);
    // Of unknown length, in chunks.
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    let chunked = format!("{chunk}{chunk}0\r\n\r\n");
    let headers = [("Transfer-Encoding", "chunked"), ("Content-Length", "")];
    let headers = &headers[..1];
    let bearer = format!("Bearer {KEY}");
    let response = chunked_request(site.address, &bearer, headers, &chunked);
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
}

/// The test kit's client always announces a length.
fn chunked_request(
    address: SocketAddr,
    bearer: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(rupor_testkit::DEADLINE))
        .expect("a timeout");
    let extra: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: {bearer}\r\n\
         Content-Type: application/json\r\n{extra}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("written");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("answered");
    response
}

#[test]
fn users_and_channels_are_told() {
    let site = Site::start();
    assert_eq!(
        site.get("/api/users/tester01"),
        (
            200,
            json!({"user": "tester01", "online": false, "connections": []})
        )
    );
    let _first = Client::connect(site.address, "/?user=%D0%90%D0%BD%D0%BD%D0%B0");
    let (status, answer) = site.get("/api/users/%D0%90%D0%BD%D0%BD%D0%B0");
    assert_eq!(
        (status, &answer["user"], &answer["online"]),
        (200, &json!("Анна"), &json!(true))
    );
    let id = answer["connections"][0]
        .as_str()
        .expect("an id")
        .to_string();
    assert_eq!(id.len(), 16);
    let sent = format!(r#"{{"connection":"{id}","message":"x"}}"#);
    assert_eq!(site.post("/api/publish", &sent).1["connections"], 1);
    assert_eq!(
        site.get("/api/channels/news"),
        (200, json!({"channel": "news", "subscribers": 0}))
    );
    for target in [
        "/api/users/%0a",
        "/api/users/%ff",
        "/api/channels/a%20b",
        "/api/channels/%ff",
    ] {
        let (status, answer) = site.get(target);
        assert_eq!(
            (status, &answer["code"]),
            (422, &json!("bad_value")),
            "{target}"
        );
    }
}

#[test]
fn connections_are_closed_with_code_and_reason() {
    let site = Site::start();
    let mut tester = Client::connect(site.address, "/?user=tester01");
    let mut other = Client::connect(site.address, "/?user=other");
    let body = r#"{"user":"tester01","code":4001,"reason":"signed out","id":1}"#;
    let answer = site.post("/api/disconnect", body);
    assert_eq!(
        answer,
        (200, json!({"ok": true, "connections": 1, "id": 1}))
    );
    assert_eq!(tester.expect_close(), (4001, "signed out".to_string()));
    assert_eq!(
        site.post("/api/publish", r#"{"all":true,"message":"still"}"#)
            .0,
        200
    );
    other.expect_text("still");
    let long = format!(r#"{{"user":"other","reason":"{}"}}"#, "r".repeat(124));
    for (body, status, code) in [
        (r#"{"code":4001}"#, 422, "no_target"),
        (r#"{"user":"other","code":1005}"#, 422, "bad_value"),
        (r#"{"user":"other","code":2999}"#, 422, "bad_value"),
        (r#"{"user":"other","message":"x"}"#, 422, "unknown_field"),
        (r#"[{"user":"other"}]"#, 422, "bad_value"),
        (long.as_str(), 422, "bad_value"),
    ] {
        let answer = site.post("/api/disconnect", body);
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (status, &json!(code)),
            "{body}"
        );
    }
    let answer = site.post("/api/disconnect", r#"{"user":"nobody"}"#);
    assert_eq!(answer, (200, json!({"ok": true, "connections": 0})));
}

#[test]
fn demo_is_called_by_loopback_names_only() {
    let site = Site::with(Some(KEY), Hosts::Loopback);
    for (host, status) in [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
    ] {
        for target in ["/api/users/a", "/healthz"] {
            let response = site.request("GET", target, &[("Host", host)], "");
            assert_eq!(response.status, status, "{host} {target}");
        }
    }
    let absolute = site.request("GET", "http://evil.example/api/users/a", &[], "");
    assert!(matches!(absolute.status, 400 | 421), "{}", absolute.status);
}

#[test]
fn without_a_configured_key_the_api_is_off() {
    let site = Site::with(None, Hosts::Any);
    for authorization in ["Bearer ", "Bearer x"] {
        let response = http(
            site.address,
            "GET",
            "/api/users/a",
            &[("Authorization", authorization)],
            b"",
        );
        assert_eq!(
            (response.status, &object(&response)["code"]),
            (404, &json!("api_off"))
        );
    }
}

#[test]
fn health_needs_no_key_and_readiness_ends_with_the_stop() {
    let site = Site::start();
    let ask = |target| http(site.address, "GET", target, &[], b"").status;
    assert_eq!((ask("/healthz"), ask("/readyz")), (200, 200));
    site.troubled.store(true, Ordering::Relaxed);
    let troubled = http(site.address, "GET", "/readyz", &[], b"");
    assert_eq!(troubled.status, 200);
    assert_eq!(troubled.body, b"ready, but: a test\n");
    site.stop.send_replace(true);
    assert_eq!((ask("/healthz"), ask("/readyz")), (200, 503));
}
