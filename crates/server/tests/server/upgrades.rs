//! The table of upgrades, good and bad, over TCP: as the first request of a connection, and as one
//! that follows others. The verdict is the same, and nothing behind a refusal is ever answered.

use std::io::{Read, Write};

use rupor_testkit::{
    Frame as RawFrame, SAMPLE_ACCEPT, UpgradeCase, Verdict, opcode, upgrade_cases,
};

use super::*;

/// What a peer might hope to have read as a request of its own.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

fn drive(stream: &mut TcpStream, case: &UpgradeCase) {
    send(stream, case);
    expect(stream, case);
}

/// Sends the case with something behind it.
fn send(stream: &mut TcpStream, case: &UpgradeCase) {
    let behind = match case.verdict {
        Verdict::Opens => RawFrame::new(opcode::TEXT, "early").encode(),
        Verdict::Refused(_) => SMUGGLED.to_vec(),
        Verdict::NotAsked => Vec::new(),
    };
    // Who is refused early may be cut while he still writes.
    let _ = stream.write_all(&[&case.head, &behind[..]].concat());
}

/// Holds what comes to the verdict.
fn expect(stream: &mut TcpStream, case: &UpgradeCase) {
    match case.verdict {
        Verdict::Opens => {
            let answer = until(stream, b"early");
            assert!(
                answer.starts_with("HTTP/1.1 101 "),
                "{}: {answer}",
                case.name
            );
            assert!(answer.contains(SAMPLE_ACCEPT), "{}: {answer}", case.name);
        }
        Verdict::Refused(status) => {
            let answer = rest(stream);
            let (head, reason) = answer.split_once("\r\n\r\n").unwrap_or_default();
            let expected = format!("HTTP/1.1 {status} ");
            assert!(head.starts_with(&expected), "{}: {answer}", case.name);
            let closes = head.to_lowercase().contains("\r\nconnection: close");
            assert!(closes, "{}: {answer}", case.name);
            assert!(!reason.trim().is_empty(), "{}: {answer}", case.name);
            let answers = answer.matches("HTTP/1.1 ").count();
            assert_eq!(answers, 1, "{}: {answer}", case.name);
        }
        Verdict::NotAsked => {
            let answer = until(stream, b"\r\n\r\n");
            let plain = ["HTTP/1.1 200 ", "HTTP/1.1 426 "];
            let is_plain = plain.iter().any(|it| answer.starts_with(it));
            assert!(is_plain, "{}: {answer}", case.name);
        }
    }
}

/// Everything up to `mark`.
fn until(stream: &mut TcpStream, mark: &[u8]) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(mark) && matches!(stream.read(&mut byte), Ok(1)) {
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset behind the answer is an end too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// W-S1 to W-S4, W-H2 to W-H5 and RFC 6455 §4.2.1, over a real connection.
#[test]
fn every_upgrade_of_the_table_has_its_verdict_as_the_first_request() {
    let up = up(Limits::default());
    for case in upgrade_cases("localhost:8000") {
        drive(&mut up.tcp(), &case);
    }
}

/// The same behind another request: nobody else judges the heads of a connection that is kept.
#[test]
fn every_upgrade_of_the_table_has_its_verdict_as_a_later_request() {
    let up = super::http::with_service(Limits::default());
    for case in upgrade_cases("localhost:8000") {
        let mut stream = up.tcp();
        stream
            .write_all(b"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            .unwrap();
        let first = until(&mut stream, b"POST /first 127.0.0.1");
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        drive(&mut stream, &case);
    }
}

/// And when it was sent together with the one before.
#[test]
fn every_upgrade_of_the_table_has_its_verdict_when_it_is_pipelined() {
    let up = super::http::with_service(Limits::default());
    for mut case in upgrade_cases("localhost:8000") {
        let mut stream = up.tcp();
        let first = b"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
        case.head.splice(0..0, first.iter().copied());
        send(&mut stream, &case);
        let first = until(&mut stream, b"POST /first 127.0.0.1");
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        expect(&mut stream, &case);
    }
}
