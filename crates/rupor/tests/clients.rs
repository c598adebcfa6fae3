//! `rupor publish` and `rupor connect`: the real program against the real program.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::{Pair, start, start_with};
use rupor_testkit::{Client, Process, Stream};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

/// A demo with a line inlet on TCP and one on a Unix socket.
struct Demo {
    process: Process,
    address: SocketAddr,
    tcp: String,
    unix: String,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let unix = format!("unix://{}", folder.path().join("rupor.sock").display());
        let process = start(&[
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--inlet",
            "tcp://127.0.0.1:0",
            "--inlet",
            &unix,
        ]);
        let address = process.wait_for_address("listening on ws");
        let tcp = process.wait_for_line("the line inlet", |line| {
            line.strip_prefix("lines on tcp://")
                .map(|rest| format!("tcp://{rest}"))
        });
        Self {
            process,
            address,
            tcp,
            unix,
            _folder: folder,
        }
    }

    fn api_key(&self) -> String {
        self.process.wait_for_line("the key", |line| {
            let (_, rest) = line.split_once("Authorization: Bearer ")?;
            Some(rest.split('\'').next()?.to_owned())
        })
    }
}

/// Runs to its end: the exit code, standard output and standard error.
fn run(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> (i32, String, String) {
    let mut process = start_with(arguments, environment);
    process.write(input);
    process.close_input();
    let status = process.wait();
    (
        status.code().unwrap_or(-1),
        process.output_of(Stream::Out),
        process.output_of(Stream::Err),
    )
}

#[test]
fn publish_reaches_the_user_by_every_way_in() {
    let demo = Demo::start();
    let mut tester = Client::connect(demo.address, "/?user=tester01");
    for inlet in [&demo.tcp, &demo.unix] {
        let arguments = ["publish", "--inlet", inlet, "--user", "tester01", "test"];
        let (code, out, err) = run(&arguments, &[], "");
        assert_eq!((code, out.trim()), (0, "1"), "{err}");
        tester.expect_text("test");
    }
    let arguments = ["publish", "--inlet", &demo.unix, "--all", "--json", "-"];
    assert_eq!(run(&arguments, &[], "{\n \"a\": 1 }\n").0, 0);
    tester.expect_text("{  \"a\": 1 }");

    let (url, key) = (format!("http://{}", demo.address), demo.api_key());
    let arguments = ["publish", "--url", &url, "--user", "tester01", "by http"];
    let (code, out, err) = run(&arguments, &[("RUPOR_API_KEY", &key)], "");
    assert_eq!((code, out.trim()), (0, "1"), "{err}");
    tester.expect_text("by http");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{key}").unwrap();
    let file = file.path().display().to_string();
    let arguments = [
        "publish",
        "--url",
        &url,
        "--key-file",
        &file,
        "--user",
        "tester01",
        "x",
    ];
    assert_eq!(run(&arguments, &[], "").0, 0);
    tester.expect_text("x");
}

/// The key goes where it was told to and nowhere else (CVE-2026-42498).
#[test]
fn publish_follows_no_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = elsewhere.local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        write!(
            stream,
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{location}/api/publish\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let key = [("RUPOR_API_KEY", "canary-canary-canary-canary-canary")];
    let (code, _, err) = run(&["publish", "--url", &url, "--all", "x"], &key, "");
    assert!(code == 1 && err.contains("307"), "{err}");
    assert!(server.join().unwrap().contains("canary"), "here it belongs");
    assert!(elsewhere.accept().is_err(), "nobody came");
}

#[test]
fn publish_says_what_is_wrong_and_fails() {
    let demo = Demo::start();
    let (code, out, err) = run(
        &["publish", "--inlet", &demo.tcp, "--user", "nobody", "x"],
        &[],
        "",
    );
    assert_eq!((code, out.trim()), (0, "0"));
    assert!(err.contains("nobody"), "{err}");
    let (code, out, err) = run(
        &["publish", "--inlet", &demo.tcp, "--channel", "a b", "x"],
        &[],
        "",
    );
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("bad_channel_name"), "{err}");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, _, err) = run(
        &["publish", "--inlet", &format!("tcp://{free}"), "--all", "x"],
        &[],
        "",
    );
    assert!(code == 1 && err.contains("--inlet"), "{err}");
    let url = format!("http://{}", demo.address);
    let secret = "canary-canary-canary-canary-canary";
    let arguments = ["publish", "--url", &url, "--key", secret, "--all", "x"];
    let (code, _, err) = run(&arguments, &[], "");
    assert!(
        code == 1 && err.contains("wrong_key") && !err.contains("canary"),
        "{err}"
    );
    assert_eq!(run(&["publish", "x"], &[], "").0, 2);
}

#[test]
fn connect_prints_what_the_site_sends() {
    let demo = Demo::start();
    let url = format!("ws://{}/?user=tester01", demo.address);
    // Its input is at its end at once, as that of a background job: it goes on listening.
    let mut listener = start(&["connect", &url]);
    listener.close_input();
    listener.wait_for("connected to");
    for message in ["first", "второе"] {
        assert_eq!(
            run(
                &[
                    "publish", "--inlet", &demo.tcp, "--user", "tester01", message
                ],
                &[],
                ""
            )
            .1
            .trim(),
            "1"
        );
        listener.wait_for(message);
    }
    listener.signal("INT");
    assert_eq!(listener.wait().code(), Some(0));
    assert_eq!(listener.output_of(Stream::Out), "first\nвторое");
    let err = listener.output_of(Stream::Err);
    assert!(
        err.contains("closed by us, code 1000 (normal closure)"),
        "{err}"
    );
}

#[test]
fn connect_sends_its_input_and_waits_for_the_answers() {
    let demo = Demo::start();
    let url = format!("ws://{}/echo", demo.address);
    let lines: String = (0..450).map(|number| format!("line {number}\n")).collect();
    let (code, out, err) = run(&["connect", &url], &[], &lines);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, lines.trim_end());
}

/// More than all buffers on the way hold: who does not read while he sends waits for ever.
#[test]
fn connect_reads_while_it_sends() {
    let server = start(&["echo", "--listen", "127.0.0.1:0"]);
    let url = format!("ws://{}/", server.wait_for_address("listening on ws"));
    let line = format!("{}\n", "x".repeat(50_000));
    let lines = line.repeat(400);
    let (code, out, err) = run(&["connect", &url], &[], &lines);
    assert_eq!(code, 0, "{err}");
    assert!(out == lines.trim_end(), "{} of {}", out.len(), lines.len());
}

#[test]
fn connect_shows_how_the_server_closes() {
    let demo = Demo::start();
    let url = format!("ws://{}/?user=leaving", demo.address);
    let mut listener = start(&["connect", "--no-input", &url]);
    listener.wait_for("connected to");
    let bearer = format!("Bearer {}", demo.api_key());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = br#"{"user":"leaving","code":4001,"reason":"signed out"}"#;
    let response = rupor_testkit::http(demo.address, "POST", "/api/disconnect", &headers, body);
    assert_eq!(response.status, 200);
    assert_eq!(listener.wait().code(), Some(0));
    let err = listener.output_of(Stream::Err);
    assert!(
        err.contains("closed by the server, code 4001") && err.contains("signed out"),
        "{err}"
    );
}

#[test]
fn connect_says_why_it_was_not_let_in() {
    let demo = Demo::start();
    let url = format!("ws://{}/", demo.address);
    let (code, _, err) = run(
        &["connect", "--origin", "https://evil.example", &url],
        &[],
        "",
    );
    assert!(
        code == 1 && err.contains("403") && err.contains("origin"),
        "{err}"
    );
    let (code, _, err) = run(&["connect", "http://localhost/"], &[], "");
    assert!(code == 1 && err.contains("ws://127.0.0.1:8000"), "{err}");
    let (code, _, err) = run(&["connect", "--header", "Bad Name: x", &url], &[], "");
    assert!(code == 1 && err.contains("cannot be sent"), "{err}");
    // Offered, selected, told.
    let mut listener = start(&["connect", "-n", "--subprotocol", "rupor.v1", &url]);
    assert!(
        listener
            .wait_for("connected to")
            .contains("subprotocol rupor.v1")
    );
    listener.signal("INT");
    assert_eq!(listener.wait().code(), Some(0));
    // The port of the lines does not speak WebSocket.
    let inlet = demo.tcp.replace("tcp://", "ws://");
    assert_eq!(run(&["connect", &inlet], &[], "").0, 1);
}

#[test]
fn connect_goes_by_the_proxy_of_the_environment() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://user:canary@{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        stream.write_all(answer).unwrap();
        String::from_utf8(head).unwrap()
    });
    let environment = [("http_proxy", proxy.as_str())];
    let (code, _, err) = run(&["connect", "ws://example.invalid/"], &environment, "");
    assert_eq!(code, 1);
    assert!(err.contains("proxy") && err.contains("407"), "{err}");
    assert!(!err.contains("canary"), "{err}");
    let asked = answering.join().unwrap();
    assert!(asked.starts_with("CONNECT example.invalid:80 "), "{asked}");
}

#[test]
fn certificates_are_checked_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::write(folder.path());
    let other_folder = tempfile::tempdir().unwrap();
    let other = Pair::write(other_folder.path());
    let (cert, key) = (pair.cert_path(), pair.key_path());
    let server = start(&[
        "echo",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ]);
    let url = format!("wss://{}/", server.wait_for_address("listening on wss"));
    for (flags, let_in) in [
        (&["--ca", cert.as_str()] as &[&str], true),
        (&["--insecure"], true),
        (&["--ca", other.cert_path().as_str()], false),
        (&[], false),
    ] {
        let (code, out, err) = run(&[&["connect", &url], flags].concat(), &[], "hello\n");
        assert_eq!(code == 0, let_in, "{flags:?}: {err}");
        assert_eq!(out, if let_in { "hello" } else { "" });
        assert!(let_in || err.contains("certificate"), "{err}");
    }
    // The right certificate, but of another name.
    let other_name = url.replace("127.0.0.1", "localhost");
    let (code, out, err) = run(&["connect", &other_name, "--ca", &cert], &[], "hello\n");
    assert!(
        code == 1 && out.is_empty() && err.contains("certificate"),
        "{err}"
    );
    let (code, _, err) = run(&["connect", "--ca", &key, &url], &[], "");
    assert!(code == 1 && err.contains("--ca"), "{err}");
}
