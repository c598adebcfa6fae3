//! `rupor demo` as a newcomer meets it: what it prints is run as printed. The real program, the real tools.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::{Pair, fast_drain, has, start, start_with, tls_link};
use rupor_testkit::{Client, Opening, Process, Stream, http, wait_until};
use std::net::SocketAddr;
use std::process::Command;

const FREE_PORTS: &[&str] = &["--listen", "127.0.0.1:0", "--inlet", "tcp://127.0.0.1:0"];

/// Starts a demo and waits until everything is printed.
fn demo(flags: &[&str]) -> (Process, SocketAddr) {
    let process = start(&[&["demo"], FREE_PORTS, flags].concat());
    let address = process.wait_for_address("listening on ws");
    process.wait_for("lines on ");
    (process, address)
}

/// The first printed line that begins with this, run by a shell; it must succeed. What it printed.
fn run_printed(process: &Process, begins: &str) -> String {
    let output = process.output_of(Stream::Out);
    let line = output
        .lines()
        .find(|line| line.trim_start().starts_with(begins));
    let line = line.unwrap_or_else(|| unreachable!("no line begins with {begins}:\n{output}"));
    let ran = Command::new("timeout")
        .args(["20", "sh", "-c", line])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && errors.is_empty(),
        "{line}\n{text}\n{errors}"
    );
    text
}

/// The printed key.
fn key(process: &Process) -> String {
    let output = process.output_of(Stream::Out);
    let (_, rest) = output.split_once("Bearer ").expect("the key is printed");
    rest.split('\'').next().expect("it ends").to_owned()
}

#[test]
fn the_printed_commands_work_as_printed() {
    let (process, address) = demo(&["--workers", "2"]);
    let mut testers: Vec<Client> = (0..3)
        .map(|_| Client::connect(address, "/?user=tester01"))
        .collect();
    let mut other = Client::connect(address, "/?user=other");
    let mut sent = 0;
    for (tool, begins, answer) in [
        ("curl", "curl ", "\"connections\":3"),
        ("php", "php -r ", ""),
        ("nc", "echo ", "\"connections\":3"),
    ] {
        if !has(tool) {
            continue;
        }
        let printed = run_printed(&process, begins);
        assert!(printed.contains(answer), "{tool}: {printed}");
        for tester in &mut testers {
            tester.expect_text("test");
        }
        sent += 1;
    }
    assert!(sent > 0, "none of the tools is installed");
    other.expect_only("mark");
}

#[test]
fn the_printed_nc_line_works_on_a_unix_socket() {
    if !has("nc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let inlet = format!("unix://{}/inlet.sock", folder.path().display());
    let process = start(&["demo", "--listen", "127.0.0.1:0", "--inlet", &inlet]);
    let address = process.wait_for_address("listening on ws");
    process.wait_for("lines on unix://");
    let mut tester = Client::connect(address, "/?user=tester01");
    run_printed(&process, "echo ");
    tester.expect_text("test");
    if has("php") {
        run_printed(&process, "php -r ");
        tester.expect_text("test");
    }
}

#[test]
fn the_printed_curl_line_works_with_a_certificate() {
    if !has("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::write(folder.path());
    let (process, address) = demo(&[
        "--tls-cert",
        &pair.cert_path(),
        "--tls-key",
        &pair.key_path(),
    ]);
    let link = tls_link(address, &pair).unwrap();
    let mut tester = Opening::new(address, "/?user=tester01").open_over(link);
    run_printed(&process, "curl ");
    tester.expect_text("test");
}

#[test]
fn it_says_what_is_trusted() {
    let (process, address) = demo(&[]);
    let output = process.output_of(Stream::Out);
    for part in [
        format!("http://{address}/"),
        format!("ws://{address}/?user=tester01"),
        "Trusted here, and never to be in production".to_owned(),
        "rupor serve".to_owned(),
    ] {
        assert!(output.contains(&part), "{part}\n{output}");
    }
    assert!(
        !process.output().contains('\x1b'),
        "no colours where there is no terminal"
    );
}

#[test]
fn the_key_is_new_at_every_start_and_needed() {
    let (first, address) = demo(&[]);
    let (second, _) = demo(&[]);
    assert_ne!(key(&first), key(&second));
    assert!(key(&first).len() >= 32);
    let ask = |authorization: &str| {
        let headers = [("Authorization", authorization)];
        http(address, "GET", "/api/users/tester01", &headers, b"").status
    };
    assert_eq!(ask(&format!("Bearer {}", key(&first))), 200);
    assert_eq!(ask(&format!("Bearer {}", key(&second))), 401);
}

#[test]
fn pages_health_and_metrics_are_served() {
    let (_process, address) = demo(&[]);
    let _connection = Client::connect(address, "/?user=tester01");
    for path in ["/", "/console", "/healthz", "/readyz"] {
        assert_eq!(http(address, "GET", path, &[], b"").status, 200, "{path}");
    }
    assert_eq!(http(address, "GET", "/nothing-here", &[], b"").status, 404);
    let metrics = http(address, "GET", "/metrics", &[], b"");
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    assert!(
        text.lines().any(|line| line == "rupor_connections 1"),
        "{text}"
    );
    assert!(text.lines().any(|line| line == "rupor_users 1"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn no_secret_is_in_log_or_metrics() {
    const CANARY: &str = "canary-2b61d0f95c7e4a38";
    let arguments = [&["demo"], FREE_PORTS, fast_drain()].concat();
    let mut process = start_with(&arguments, &[("RUPOR_LOG", "trace")]);
    let address = process.wait_for_address("listening on ws");
    process.wait_for("lines on ");
    let key = key(&process);

    let target = format!("/?user=tester01&token={CANARY}");
    let mut tester = Opening::new(address, &target)
        .header("Cookie", &format!("PHPSESSID={CANARY}"))
        .subprotocols(&[&format!("rupor.jwt.{CANARY}")])
        .open();
    let wrong = [("Authorization", &*format!("Bearer {CANARY}"))];
    assert_eq!(
        http(address, "GET", "/api/users/a", &wrong, b"").status,
        401
    );
    let right = [
        ("Authorization", &*format!("Bearer {key}")),
        ("Content-Type", "application/json"),
    ];
    let body = format!(r#"{{"user":"tester01","message":"{CANARY}"}}"#);
    assert_eq!(
        http(address, "POST", "/api/publish", &right, body.as_bytes()).status,
        200
    );
    tester.expect_text(CANARY);
    // What no log may hold raw, where a log might hold it.
    let nasty = "/%0d%0aforged?user=\u{1b}[31m";
    let _ = Opening::new(address, nasty).ask(std::net::TcpStream::connect(address).unwrap());
    let metrics = http(address, "GET", "/metrics", &[], b"").text();
    process.signal("TERM");
    assert_eq!(tester.expect_close().0, 1001);
    process.wait();

    let log = process.output_of(Stream::Err);
    for (what, text) in [("log", &log), ("metrics", &metrics)] {
        assert!(!text.contains(CANARY), "{what}:\n{text}");
        assert!(!text.contains(&key), "{what}:\n{text}");
    }
    let raw = |byte: &u8| *byte < 0x20 && *byte != b'\n';
    assert!(!log.as_bytes().iter().any(raw), "{log}");
}

#[test]
fn readyz_says_no_while_it_drains() {
    let (process, address) = demo(&["--drain", "60s"]);
    let _connection = Client::connect(address, "/?user=a");
    let mut kept = std::net::TcpStream::connect(address).unwrap();
    process.signal("TERM");
    process.wait_for("draining");
    wait_until("not ready", || {
        use std::io::{Read as _, Write as _};
        let request = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        let mut answer = [0; 12];
        // Closed is as good an answer as 503: a balancer takes both for no.
        kept.write_all(request).is_err()
            || kept.read_exact(&mut answer).is_err()
            || &answer == b"HTTP/1.1 503"
    });
}

#[test]
fn lines_that_were_sent_before_a_signal_arrive_before_the_close() {
    let (mut process, address) = demo(&["--workers", "2"]);
    let inlet = process.wait_for_address("lines on tcp");
    let mut testers: Vec<Client> = (0..4)
        .map(|_| Client::connect(address, "/?user=tester01"))
        .collect();
    let lines: String = (0..2_000)
        .map(|n| format!("{{\"user\":\"tester01\",\"message\":\"{n}\"}}\n"))
        .collect();
    // The article's writer: it reads nothing and is gone before the signal.
    let mut writer = std::net::TcpStream::connect(inlet).unwrap();
    std::io::Write::write_all(&mut writer, lines.as_bytes()).unwrap();
    drop(writer);
    process.signal("TERM");
    for tester in &mut testers {
        for n in 0..2_000 {
            tester.expect_text(&n.to_string());
        }
        assert_eq!(tester.expect_close().0, 1001);
    }
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn the_log_can_be_json() {
    let arguments = [&["demo"], FREE_PORTS, &["--log-format", "json"]].concat();
    let mut process = start(&arguments);
    process.wait_for("lines on ");
    process.signal("TERM");
    process.wait();
    let log = process.output_of(Stream::Err);
    assert!(log.contains("draining"), "{log}");
    for line in log.lines() {
        let read: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            read["message"].is_string() && read["level"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn without_a_command_it_is_the_demo_and_says_so() {
    let process = start(FREE_PORTS);
    process.wait_for("rupor demo");
    process.wait_for("listening on ws");
}
