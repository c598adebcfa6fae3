//! `rupor echo`, and what all serving commands share: addresses, certificates, signals. The real program.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::{Pair, fast_drain, start, tls_link};
use rupor_testkit::{Client, Event, Frame, Opening, Process, opcode, wait_until};
use std::net::{SocketAddr, TcpListener};

fn echo(flags: &[&str]) -> (Process, SocketAddr) {
    let process = start(
        &[
            &["echo", "--listen", "127.0.0.1:0", "--workers", "2"],
            flags,
        ]
        .concat(),
    );
    let address = process.wait_for_address("listening on ws");
    (process, address)
}

#[test]
fn every_path_gets_text_and_binary_back() {
    let (_process, address) = echo(&[]);
    for path in ["/", "/chat?user=a", "/deep/er%20path"] {
        let mut client = Client::connect(address, path);
        client.send_text("привет");
        client.expect_text("привет");
        client.send_binary(&[0, 255, 128]);
        assert_eq!(client.receive(), Event::Binary(vec![0, 255, 128]));
        assert_eq!(client.close(1000, "").0, 1000);
    }
}

#[test]
fn its_limits_are_wide() {
    let (_process, address) = echo(&[]);
    let mut client = Client::connect(address, "/");
    let large = "x".repeat(16 << 20);
    client.send_text(&large);
    client.expect_text(&large);
    // More fragments than any conformance case sends.
    let fragments = 131_072 + 1;
    let mut bytes = Frame::fragment(opcode::TEXT, "y", false).encode();
    for _ in 2..fragments {
        bytes.extend(Frame::fragment(opcode::CONTINUATION, "y", false).encode());
    }
    bytes.extend(Frame::fragment(opcode::CONTINUATION, "y", true).encode());
    client.send_bytes(&bytes);
    client.expect_text(&"y".repeat(fragments));
    // More messages and control frames than a gateway would take from one connection.
    for _ in 0..1_000 {
        client.send_ping(b"ping");
        client.send_text("z");
    }
    let mut texts = 0;
    while texts < 1_000 {
        match client.receive() {
            Event::Text(text) if text == "z" => texts += 1,
            Event::Pong(_) => {}
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn a_message_over_the_configured_limit_is_1009() {
    let (_process, address) = echo(&["--message-bytes-max", "1000"]);
    let mut client = Client::connect(address, "/");
    client.send_text(&"x".repeat(1000));
    client.expect_text(&"x".repeat(1000));
    client.send_text(&"x".repeat(1001));
    assert_eq!(client.expect_close().0, 1009);
}

#[test]
fn an_inlet_is_taken_and_not_opened() {
    let (process, _) = echo(&["--inlet", "tcp://127.0.0.1:0"]);
    process.wait_for("not opened");
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["demo", "echo", "serve"] {
        let mut arguments = vec![command, "--listen", &address];
        if command == "serve" {
            arguments.extend(["--auth", "none"]);
        }
        if command != "echo" {
            arguments.extend(["--inlet", "tcp://127.0.0.1:0"]);
        }
        let mut process = start(&arguments);
        assert_eq!(process.wait().code(), Some(1), "{command}");
        let output = process.output();
        assert!(
            output.contains(&address) && output.contains("--listen"),
            "{output}"
        );
        assert!(!output.contains("panicked"), "{output}");
    }
}

#[test]
fn a_taken_inlet_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let inlet = format!("tcp://{}", taken.local_addr().unwrap());
    let mut process = start(&["demo", "--listen", "127.0.0.1:0", "--inlet", &inlet]);
    assert_eq!(process.wait().code(), Some(1));
    let output = process.output();
    assert!(
        output.contains(&inlet) && output.contains("--inlet"),
        "{output}"
    );
}

#[test]
fn sigterm_drains_with_1001() {
    for signal in ["TERM", "INT"] {
        let (mut process, address) = echo(fast_drain());
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(address, "/")).collect();
        process.signal(signal);
        for client in &mut clients {
            assert_eq!(client.expect_close().0, 1001);
        }
        assert_eq!(process.wait().code(), Some(0), "{}", process.output());
    }
}

#[test]
fn nobody_new_comes_in_while_it_drains() {
    let (process, address) = echo(&["--drain", "60s"]);
    let _client = Client::connect(address, "/");
    process.signal("TERM");
    process.wait_for("draining");
    wait_until("the port is closed or refuses", || {
        let Ok(link) = std::net::TcpStream::connect(address) else {
            return true;
        };
        link.set_read_timeout(Some(rupor_testkit::DEADLINE))
            .unwrap();
        let opening = Opening::new(address, "/");
        refuses(link, &opening)
    });
}

/// Whether an upgrade gets anything but 101 on this link.
fn refuses(mut link: std::net::TcpStream, opening: &Opening) -> bool {
    use std::io::{Read as _, Write as _};
    let mut answer = [0; 12];
    let asked = link.write_all(&opening.bytes());
    asked.is_err() || link.read_exact(&mut answer).is_err() || &answer != b"HTTP/1.1 101"
}

#[test]
fn a_second_signal_stops_at_once() {
    let (mut process, address) = echo(&["--drain", "1h"]);
    // With a window of an hour, not all of these are closed before the second signal.
    let clients: Vec<Client> = (0..20).map(|_| Client::connect(address, "/")).collect();
    process.signal("TERM");
    process.wait_for("draining");
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(3), "{}", process.output());
    drop(clients);
}

#[test]
fn sighup_takes_a_new_certificate_and_keeps_the_old_one_when_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let first = Pair::write(folder.path());
    let (cert, key) = (first.cert_path(), first.key_path());
    let (process, address) = echo(&["--tls-cert", &cert, "--tls-key", &key]);
    process.wait_for(&format!("wss://{address}"));

    let opening = Opening::new(address, "/");
    let mut open_before = opening.open_over(tls_link(address, &first).expect("its certificate"));
    open_before.send_text("before");
    open_before.expect_text("before");

    let second = Pair::write(folder.path());
    process.signal("HUP");
    process.wait_for("read again");
    assert!(
        tls_link(address, &first).is_err(),
        "the first certificate is served no more"
    );
    let mut client = opening.open_over(tls_link(address, &second).expect("the second one"));
    client.send_text("after");
    client.expect_text("after");
    // Who was connected stays so.
    open_before.send_text("still here");
    open_before.expect_text("still here");

    std::fs::write(&cert, "no certificate").unwrap();
    process.signal("HUP");
    process.wait_for("the old one stays");
    let mut client = opening.open_over(tls_link(address, &second).expect("still the second one"));
    client.send_text("kept");
    client.expect_text("kept");
}

#[test]
fn a_bad_pair_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = Pair::write(folder.path());
    let other = tempfile::tempdir().unwrap();
    let second = Pair::write(other.path());
    let (cert, key) = (first.cert_path(), second.key_path());
    let mut process = start(&[
        "echo",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ]);
    assert_eq!(process.wait().code(), Some(2));
    let output = process.output();
    assert!(
        output.contains(&key) && output.contains("--tls-key"),
        "{output}"
    );
}
