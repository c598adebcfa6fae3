//! `rupor bench` against `rupor echo` and `rupor demo`: that everything is counted, exactly. How fast is not asked here.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::{Pair, start};
use rupor_server::{Connection, Frame, Handler, Message, Server, Topic, UpgradeRequest};
use rupor_testkit::{Process, Stream, free_port, http, wait_until};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

/// Gives each message of a connection without a channel to all that have one.
struct Topics(Topic);

impl Handler for Topics {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, connection: &mut Connection<'_>, request: UpgradeRequest) {
        if request.target.contains("channel=bench") {
            connection.subscribe(&self.0);
        }
    }

    fn on_message(&mut self, connection: &mut Connection<'_>, _: &mut (), message: Message<'_>) {
        connection.publish(&self.0, &Frame::new(message)).unwrap();
    }
}

/// A server that speaks no WebSocket: what a connection sends to it goes to all of the others, or back if it is alone.
fn bare(echo: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (mut stream, open) = (stream.unwrap(), Arc::clone(&open));
            open.lock().unwrap().push(stream.try_clone().unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    for (other, mut it) in open.lock().unwrap().iter().enumerate() {
                        if echo == (other == number) {
                            let _ = it.write_all(&buffer[..count]);
                        }
                    }
                }
            });
        }
    });
    address
}

/// Runs to the end: the exit code and what was printed.
fn bench(arguments: &[&str]) -> (Option<i32>, Process) {
    let mut process = start(&[&["bench"], arguments].concat());
    let code = process.wait().code();
    (code, process)
}

/// Runs a short one that has to go well, and takes its JSON.
fn measured(arguments: &[&str]) -> Value {
    let short = ["--duration", "200ms", "--warmup", "50ms", "--json"];
    let (code, process) = bench(&[arguments, &short].concat());
    assert_eq!(code, Some(0), "{}", process.output());
    assert_eq!(process.output_of(Stream::Err), "");
    let report: Value = serde_json::from_str(&process.output_of(Stream::Out)).unwrap();
    assert_eq!(report["error"], Value::Null);
    assert_eq!(report["lost_connections"], 0);
    assert_eq!(report["opened"], report["connections"]);
    report
}

fn total(report: &Value, name: &str) -> u64 {
    report["total"][name].as_u64().unwrap()
}

fn echo() -> (Process, String) {
    let process = start(&["echo", "--listen", "127.0.0.1:0", "--workers", "2"]);
    let address = process.wait_for_address("listening on ws");
    (process, format!("ws://{address}/any"))
}

struct Demo {
    process: Process,
    address: SocketAddr,
    url: String,
    tcp: String,
    unix: String,
    _folder: tempfile::TempDir,
}

impl Demo {
    /// Waits until so many WebSockets are open.
    fn wait_for_connections(&self, count: usize) {
        let line = format!("rupor_connections {count}");
        wait_until(&line, || {
            let metrics = http(self.address, "GET", "/metrics", &[], b"");
            metrics.text().lines().any(|it| it == line)
        });
    }
}

fn demo() -> Demo {
    let folder = tempfile::tempdir().unwrap();
    let unix: PathBuf = folder.path().join("rupor.sock");
    let unix = format!("unix://{}", unix.display());
    let process = start(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--inlet",
        "tcp://127.0.0.1:0",
        "--inlet",
        &unix,
    ]);
    let address = process.wait_for_address("listening on ws");
    let tcp = format!("tcp://{}", process.wait_for_address("lines on tcp"));
    Demo {
        process,
        address,
        url: format!("ws://{address}"),
        tcp,
        unix,
        _folder: folder,
    }
}

#[test]
fn every_request_has_its_reply() {
    let (_echo, url) = echo();
    for flags in [
        &["-c", "1"][..],
        &["-c", "7", "--in-flight", "16", "--binary"],
        &["-c", "5", "--threads", "2", "--in-flight", "3"],
        &["-c", "3", "--payload", "0", "--in-flight", "40"],
        &["-c", "3", "--payload", "126", "--in-flight", "5", "--text"],
        // Neither what is written at a time nor what is read at a time holds one of these.
        &["-c", "2", "--payload", "1500000", "--in-flight", "2"],
    ] {
        let report = measured(&[&["echo", &url], flags].concat());
        assert!(total(&report, "sent") > 0, "{report}");
        assert_eq!(total(&report, "sent"), total(&report, "answered"));
        assert_eq!(total(&report, "missing"), 0);
        assert!(report["messages"].as_u64().unwrap() <= total(&report, "answered"));
    }
}

#[test]
fn with_a_rate_as_many_leave_as_the_clock_says() {
    let (_echo, url) = echo();
    for flags in [
        &["--threads", "1"][..],
        &["--threads", "3"],
        // What finds no room waits, and is counted all the same.
        &["--in-flight", "1"],
    ] {
        let rate = ["echo", &url, "-c", "10", "--rate", "2000"];
        let report = measured(&[&rate, flags].concat());
        // 2,000 a second for a quarter of one, the first at its begin, however busy this machine is.
        assert_eq!(total(&report, "sent"), 500, "{report}");
        assert_eq!(total(&report, "answered"), 500);
        // Without the warm-up.
        assert_eq!(report["latency"]["messages"], 400, "{report}");
    }
}

#[test]
fn every_subscriber_has_every_publication() {
    let demo = demo();
    for flags in [
        &["--inlet", &demo.tcp, "--in-flight", "16"][..],
        &["--inlet", &demo.unix, "--threads", "2"],
        &["--inlet", &demo.unix, "--threads", "2", "--rate", "400"],
    ] {
        let report = measured(&[&["broadcast", &demo.url, "-c", "9"], flags].concat());
        let sent = total(&report, "sent");
        assert!(sent > 0, "{report}");
        assert_eq!(total(&report, "answered"), sent);
        assert_eq!(total(&report, "deliveries"), sent * 9);
        assert_eq!(total(&report, "deliveries_expected"), sent * 9);
        if report["rate"].is_u64() {
            assert_eq!(sent, 100, "{report}");
        }
    }
}

#[test]
fn every_push_reaches_its_user() {
    let demo = demo();
    for flags in [
        &["--inlet", &demo.tcp, "--in-flight", "16"][..],
        &["--inlet", &demo.unix, "--threads", "2", "--in-flight", "40"],
        &["--inlet", &demo.tcp, "--rate", "1000", "--payload", "2000"],
    ] {
        let report = measured(&[&["push", &demo.url, "-c", "9"], flags].concat());
        let sent = total(&report, "sent");
        assert!(sent > 0, "{report}");
        assert_eq!(total(&report, "answered"), sent);
        assert_eq!(total(&report, "deliveries"), sent);
    }
}

#[test]
fn what_a_connection_publishes_reaches_every_subscriber() {
    let server = Server::new(|_, _| Topics(Topic::from("bench")));
    let running = server.workers(2).listen("127.0.0.1:0").unwrap().start();
    let running = running.unwrap();
    let url = format!("ws://{}", running.addresses()[0]);
    let bare = format!("tcp://{}", bare(false));
    for (url, flags) in [
        (&url, &["--in-flight", "16"][..]),
        (&url, &["--threads", "2", "--binary", "--payload", "5000"]),
        (&bare, &["--in-flight", "3"]),
    ] {
        let way = ["broadcast", url, "--publish-url", url, "-c", "9"];
        let report = measured(&[&way, flags].concat());
        let sent = total(&report, "sent");
        assert!(sent > 0, "{report}");
        assert_eq!(total(&report, "deliveries"), sent * 9);
        assert_eq!(total(&report, "missing"), 0);
    }
    running.handle().stop();
    running.wait();
}

#[test]
fn bytes_are_measured_too_where_nobody_speaks_websocket() {
    let url = format!("tcp://{}", bare(true));
    let report = measured(&["echo", &url, "-c", "5", "--in-flight", "16"]);
    assert!(total(&report, "sent") > 0, "{report}");
    assert_eq!(total(&report, "sent"), total(&report, "answered"));
    let report = measured(&["idle", &url, "-c", "5"]);
    assert_eq!(report["opened"], 5);
}

#[test]
fn a_file_says_what_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("message.json");
    std::fs::write(&path, "{\"quoted\": \"\\\"я\"}\n").unwrap();
    let file = path.to_str().unwrap();
    let (_echo, url) = echo();
    let demo = demo();
    let report = measured(&["echo", &url, "-c", "2", "--payload-file", file]);
    assert_eq!(report["payload_bytes"], 19);
    assert_eq!(total(&report, "missing"), 0);
    let way = ["broadcast", &demo.url, "--inlet", &demo.tcp, "-c", "3"];
    let report = measured(&[&way[..], &["--payload-file", file]].concat());
    assert!(total(&report, "deliveries") > 0, "{report}");
    assert_eq!(total(&report, "missing"), 0);
}

#[test]
fn so_many_messages_leave_and_then_silence() {
    let (_echo, url) = echo();
    let flags = ["--rate", "5000", "--messages", "20"];
    for threads in ["1", "2"] {
        let count = ["-c", "10", "--threads", threads];
        let report = measured(&[&["echo", &url], &flags[..], &count].concat());
        // A machine that is busy elsewhere may not come to all of them in so short a time.
        let sent = total(&report, "sent");
        assert!((1..=20).contains(&sent), "{report}");
        assert_eq!(total(&report, "answered"), sent);
        // How long depends on when the conductor looks up; it is nothing where the run ended with the last message, in
        // the warm-up.
        assert!(report["duration_s"].as_f64().unwrap() > 0.0, "{report}");
    }
}

#[test]
fn compression_is_measured_only_if_it_was_agreed_to() {
    let demo = demo();
    let flags = [
        "--deflate",
        "--payload",
        "1000",
        "-d",
        "200ms",
        "--warmup",
        "0s",
    ];
    let way = ["broadcast", &demo.url, "--inlet", &demo.tcp, "-c", "3"];
    let (code, process) = bench(&[&way[..], &flags].concat());
    let output = process.output();
    let refused = output.contains("does not agree to permessage-deflate");
    assert!(
        code == Some(0) || code == Some(1) && refused,
        "{code:?} {output}"
    );
}

#[test]
fn idle_connections_are_kept_whatever_they_receive() {
    let demo = demo();
    let flags = ["idle", &demo.url, "-c", "20", "--threads", "2"];
    let report = measured(&flags);
    assert_eq!(report["opened"], 20);
    assert_eq!(total(&report, "sent"), 0);
    assert_eq!(report["latency"], Value::Null);
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_of_a_pid_is_measured_too() {
    let (process, url) = echo();
    let pid = process.id().to_string();
    let report = measured(&["echo", &url, "-c", "50", "--pid", &pid]);
    let server = &report["server"];
    assert!(
        server["messages_per_cpu_s"].as_f64().unwrap() > 0.0,
        "{report}"
    );
    assert!(
        server["resident_bytes"].as_u64().unwrap() > 100_000,
        "{report}"
    );
    let (code, process) = bench(&["echo", &url, "--pid", "4294967295"]);
    assert_eq!(code, Some(2));
    assert!(process.output().contains("--pid 4294967295"));
}

#[test]
fn wss_is_measured_like_ws() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::write(folder.path());
    let (cert, key) = (pair.cert_path(), pair.key_path());
    let listen = ["echo", "--listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let server = start(&[&listen[..], &tls].concat());
    let url = format!("wss://{}", server.wait_for_address("listening on wss"));
    for flags in [
        &["-c", "5", "--in-flight", "16", "--payload", "1000"][..],
        &["-c", "2", "--in-flight", "3", "--payload", "300000"],
    ] {
        let report = measured(&[&["echo", &url, "--ca", &cert], flags].concat());
        assert!(total(&report, "sent") > 0, "{report}");
        assert_eq!(total(&report, "sent"), total(&report, "answered"));
    }
    let (code, process) = bench(&["echo", &url]);
    assert_eq!(code, Some(1));
    assert!(
        process.output().contains("certificate"),
        "{}",
        process.output()
    );
}

#[test]
fn the_table_says_what_was_measured() {
    let (_echo, url) = echo();
    let short = ["-c", "2", "-d", "100ms", "--warmup", "0s"];
    let (code, process) = bench(&[&["echo", &url], &short[..]].concat());
    assert_eq!(code, Some(0), "{}", process.output());
    let table = process.output_of(Stream::Out);
    for line in [
        "echo         ws://",
        "messages of  64 bytes text, 1 in flight",
        "opened       2 of 2 connections",
        "replies ",
        "latency      p50 ",
        "errors       none",
    ] {
        assert!(
            table.lines().any(|it| it.starts_with(line)),
            "{line}\n{table}"
        );
    }
}

#[test]
fn ctrl_c_ends_it_with_what_was_measured() {
    let demo = demo();
    for flags in [
        &["push", &demo.url, "--inlet", &demo.tcp][..],
        &["idle", &demo.url],
    ] {
        demo.wait_for_connections(0);
        let long = ["-c", "3", "-d", "30m", "--json"];
        let mut process = start(&[&["bench"], flags, &long].concat());
        demo.wait_for_connections(3);
        process.signal("INT");
        assert_eq!(process.wait().code(), Some(0), "{}", process.output());
        let report: Value = serde_json::from_str(&process.output()).unwrap();
        assert_eq!(report["interrupted"], true);
        assert_eq!(total(&report, "sent"), total(&report, "answered"));
        assert_eq!(total(&report, "missing"), 0);
    }
}

#[test]
fn a_server_that_is_not_there_or_is_another_one_is_named() {
    let demo = demo();
    let port = free_port();
    let (nobody, no_inlet) = (
        format!("ws://127.0.0.1:{port}"),
        format!("tcp://127.0.0.1:{port}"),
    );
    let refused = format!("{}/?channel={}", demo.url, "x".repeat(2000));
    let short = ["-c", "2", "-d", "200ms"];
    for (arguments, expected_code, expected) in [
        (&["echo", &nobody][..], 1, "refused"),
        (&["echo", &refused], 1, "(status 400)"),
        (&["echo", &demo.url], 1, "something else than the message"),
        (
            &["push", &demo.url, "--inlet", &no_inlet],
            1,
            "Is the server running",
        ),
        (&["push", &demo.url], 2, "--inlet"),
        (
            &["push", &demo.url, "--inlet", &demo.tcp, "--binary"],
            2,
            "--binary",
        ),
        (&["broadcast", &demo.url], 2, "--publish-url"),
        (
            &["broadcast", &demo.url, "--publish-url", "tcp://127.0.0.1:1"],
            2,
            "like the URL",
        ),
        (
            &["push", "tcp://127.0.0.1:1", "--inlet", &demo.tcp],
            2,
            "WebSockets",
        ),
        (
            &["echo", &demo.url, "--payload-file", "/nowhere"],
            2,
            "/nowhere",
        ),
        (&["echo", &demo.url, "--messages", "1"], 2, "--rate"),
        (&["echo", "http://127.0.0.1/"], 2, "ws://"),
        (&["echo", &demo.url, "--in-flight", "65537"], 2, "65536"),
        (&["echo", &demo.url, "--rate", "0"], 2, "--rate"),
        (&["race", &demo.url], 2, "broadcast"),
    ] {
        let (code, process) = bench(&[arguments, &short].concat());
        let output = process.output();
        assert_eq!(code, Some(expected_code), "{arguments:?}: {output}");
        assert!(output.contains(expected), "{arguments:?}: {output}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_connections_than_descriptors_are_refused_with_the_fix() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let allowed = line.unwrap().split_whitespace().nth(3).unwrap();
    let too_many = allowed.parse::<usize>().unwrap_or(usize::MAX);
    if too_many > 1_000_000 {
        return;
    }
    let too_many = too_many.to_string();
    let (code, process) = bench(&["idle", "ws://127.0.0.1:1", "-c", &too_many]);
    assert_eq!(code, Some(2));
    assert!(
        process.output().contains("ulimit -n"),
        "{}",
        process.output()
    );
}

#[test]
fn a_server_that_goes_away_is_an_error_with_what_was_measured() {
    for scenario in ["idle", "push"] {
        let demo = demo();
        let flags = [
            "bench", scenario, &demo.url, "-c", "3", "-d", "30m", "--json",
        ];
        let inlet = ["--inlet", &demo.tcp];
        let mut process = start(&[&flags[..], &inlet].concat());
        demo.wait_for_connections(3);
        demo.process.signal("TERM");
        assert_eq!(process.wait().code(), Some(1), "{}", process.output());
        let report: Value = serde_json::from_str(&process.output()).unwrap();
        assert!(report["error"].is_string(), "{report}");
    }
}
