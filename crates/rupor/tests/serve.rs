//! `rupor serve`: what it asks for before it starts, what it says, and that its key opens what it should.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::{start, start_with};
use rupor_testkit::{Client, Opening, Process, http};
use std::net::SocketAddr;

const KEY: &str = "c4f1e09a7b3d58264e9f10b2a6d7c835f0e1d2c3b4a59687";
const FREE_PORTS: &[&str] = &["--listen", "127.0.0.1:0", "--inlet", "tcp://127.0.0.1:0"];

fn serve(flags: &[&str], environment: &[(&str, &str)]) -> (Process, SocketAddr) {
    let process = start_with(&[&["serve"], FREE_PORTS, flags].concat(), environment);
    let address = process.wait_for_address("listening on ws");
    process.wait_for("lines on ");
    (process, address)
}

#[test]
fn it_does_not_start_without_a_way_to_know_who_connects() {
    let mut process = start(&[&["serve"], FREE_PORTS].concat());
    assert_eq!(process.wait().code(), Some(2));
    let output = process.output();
    assert!(
        output.contains("[[jwt]]") && output.contains("--auth none"),
        "{output}"
    );
}

#[test]
fn without_a_key_the_api_is_off_and_it_says_so() {
    let (process, address) = serve(&["--auth", "none"], &[]);
    process.wait_for("api_key");
    let bearer = [
        ("Authorization", "Bearer "),
        ("Content-Type", "application/json"),
    ];
    for (method, path) in [
        ("POST", "/api/publish"),
        ("POST", "/api/disconnect"),
        ("GET", "/api/users/a"),
        ("GET", "/metrics"),
    ] {
        let status = http(address, method, path, &bearer, b"{}").status;
        assert!([401, 403, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(http(address, "GET", "/healthz", &[], b"").status, 200);
    // The start page is demo mode's, the console is off unless asked for.
    assert_eq!(http(address, "GET", "/", &[], b"").status, 404);
    assert_eq!(http(address, "GET", "/console", &[], b"").status, 404);
}

#[test]
fn the_key_opens_the_api_and_the_metrics() {
    let (process, address) = serve(
        &["--auth", "none", "--pages"],
        &[("RUPOR_API_KEY", KEY), ("RUPOR_LOG", "trace")],
    );
    let mut tester = Client::connect(address, "/?user=tester01");
    let bearer = format!("Bearer {KEY}");
    let right = [
        ("Authorization", &*bearer),
        ("Content-Type", "application/json"),
    ];
    let body = br#"{"user":"tester01","message":"test"}"#;
    assert_eq!(
        http(address, "POST", "/api/publish", &right, body).status,
        200
    );
    tester.expect_text("test");
    assert_eq!(http(address, "GET", "/metrics", &[], b"").status, 401);
    let wrong = [("Authorization", &*format!("Bearer {KEY}x"))];
    assert_eq!(http(address, "GET", "/metrics", &wrong, b"").status, 401);
    let metrics = http(address, "GET", "/metrics", &right, b"");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.text().contains("rupor_publications_total 1"),
        "{}",
        metrics.text()
    );
    assert_eq!(http(address, "GET", "/console", &[], b"").status, 200);
    assert!(!process.output().contains(KEY), "{}", process.output());
}

#[test]
fn the_configuration_file_is_found_and_used() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.key"), format!("{KEY}\n")).unwrap();
    let file = "listen = [\"127.0.0.1:0\"]\ninlet = [\"tcp://127.0.0.1:0\"]\nauth = \"none\"\n\
                api_key_file = \"api.key\"\n[[channel]]\nname = \"news\"\nsubscribe = \"anyone\"\n\
                [[application]]\npath = \"/echo\"\nname = \"echo\"\n";
    std::fs::write(folder.path().join("rupor.toml"), file).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rupor"));
    command.current_dir(folder.path());
    // No command and a file: serve.
    let process = Process::spawn(command);
    process.wait_for("rupor serve");
    let address = process.wait_for_address("listening on ws");
    let mut echo = Client::connect(address, "/echo?channel=news");
    echo.send_text("back");
    echo.expect_text("back");
    let bearer = format!("Bearer {KEY}");
    let right = [
        ("Authorization", &*bearer),
        ("Content-Type", "application/json"),
    ];
    let body = br#"{"channel":"news","message":"fresh"}"#;
    let answer = http(address, "POST", "/api/publish", &right, body);
    assert!(
        answer.text().contains("\"connections\":1"),
        "{}",
        answer.text()
    );
    echo.expect_text("fresh");
    // A channel that no rule names is nobody's.
    let status = Opening::new(address, "/?channel=secret").refused().status;
    assert_eq!(status, 403);
}

#[test]
fn a_token_is_asked_for_and_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("jwt.key");
    std::fs::write(&key, KEY).unwrap();
    let jwt = format!("algorithm=HS256,key_file={}", key.display());
    let (process, address) = serve(
        &["--jwt", &jwt, "--token-from", "query"],
        &[("RUPOR_LOG", "trace")],
    );
    assert_eq!(Opening::new(address, "/").refused().status, 401);
    assert_eq!(
        Opening::new(address, "/?user=tester01").refused().status,
        401
    );
    let canary = "eyJhbGciOiJIUzI1NiJ9.canary.canary";
    assert_eq!(
        Opening::new(address, &format!("/?token={canary}"))
            .refused()
            .status,
        401
    );

    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let claims = serde_json::json!({ "sub": "tester01", "exp": 4_102_444_800_u64 });
    let secret = jsonwebtoken::EncodingKey::from_secret(KEY.as_bytes());
    let token = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
    let client = Client::connect(address, &format!("/?token={token}"));
    drop(client);
    let output = process.output();
    for secret in [canary, &token, KEY] {
        assert!(!output.contains(secret), "{output}");
    }
}

/// They were fixed where nobody could see or change them.
#[test]
fn the_limits_of_the_hub_are_options() {
    let (process, address) = serve(
        &[
            "--auth",
            "none",
            "--connections-per-user-max",
            "1",
            "--users-per-publication-max",
            "2",
            "--connections-per-cookie-max",
            "1",
            "--cookie-bytes-max",
            "4",
        ],
        &[("RUPOR_API_KEY", KEY)],
    );
    let with_cookie = |user: &str, value: &str| {
        Opening::new(address, &format!("/?user={user}"))
            .header("Cookie", &format!("PHPSESSID={value}"))
            .open()
    };
    let mut first = with_cookie("anna", "abcd");
    assert_eq!(
        Client::connect(address, "/?user=anna").expect_close().0,
        3502
    );
    let _not_found = with_cookie("boris", "abcd");
    let _too_long = with_cookie("clara", "abcde");
    let authorization = format!("Bearer {KEY}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
    ];
    for (body, status, connections) in [
        (r#"{"PHPSESSID":"abcd","message":"x"}"#, 200, Some(1)),
        (r#"{"PHPSESSID":"abcde","message":"x"}"#, 200, Some(0)),
        (r#"{"users":["anna","boris"],"message":"x"}"#, 200, Some(2)),
        (r#"{"users":["a","b","c"],"message":"x"}"#, 422, None),
    ] {
        let answer = http(address, "POST", "/api/publish", &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{body}");
        if let Some(connections) = connections {
            let expected = format!(r#"{{"ok":true,"connections":{connections}}}"#);
            assert_eq!(answer.text().trim_end(), expected, "{body}");
        }
    }
    first.expect_text("x");
    drop(process);
}
