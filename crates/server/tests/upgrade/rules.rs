//! The table of upgrades, good and bad: the verdict does not depend on who parsed.

use std::io::{Read, Write};

use rupor_testkit::{Frame, SAMPLE_ACCEPT, UpgradeCase, Verdict, opcode, upgrade_cases};

use super::*;

/// What a peer might hope to have read as a request of its own.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// What hyper mends before anybody sees it: it takes these line ends for what was meant, and leaves
/// a fragment off. The rest of such a request was checked all the same.
const MENDED: [&str; 5] = [
    "a fragment",
    "bare LF",
    "one bare LF",
    "a bare LF at the end",
    "an empty line in front",
];

#[test]
fn every_upgrade_of_the_table_has_its_verdict_whoever_parses() {
    for parser in PARSERS {
        let address = serve(parser, |upgrade| upgrade);
        for case in upgrade_cases("localhost:8000") {
            drive(parser, &mut tcp(address), &case);
        }
    }
}

fn drive(parser: Parser, stream: &mut TcpStream, case: &UpgradeCase) {
    let name = format!("{parser:?}: {}", case.name);
    let behind = match case.verdict {
        Verdict::Opens => Frame::new(opcode::TEXT, "early").encode(),
        Verdict::Refused(_) | Verdict::NotAsked => SMUGGLED.to_vec(),
    };
    // Who is refused early may be cut while he still writes.
    let _ = stream.write_all(&[&case.head, &behind[..]].concat());
    let mended = MENDED.contains(&case.name);
    let answer = match case.verdict {
        Verdict::Opens => until(stream, b"early"),
        Verdict::Refused(_) | Verdict::NotAsked => rest(stream, case.form || mended),
    };
    let status: u16 = answer
        .get(9..12)
        .and_then(|it| it.parse().ok())
        .unwrap_or_default();
    match case.verdict {
        Verdict::Opens => {
            assert_eq!(status, 101, "{name}: {answer}");
            assert!(answer.contains(SAMPLE_ACCEPT), "{name}: {answer}");
        }
        Verdict::Refused(_) if mended && status == 101 => {}
        // What hyper refuses it refuses by itself, and some of it without a word.
        Verdict::Refused(_) if case.form => {
            let within_other_limits =
                case.verdict == Verdict::Refused(431) || case.verdict == Verdict::Refused(414);
            let refused = status == 0 || (400..=505).contains(&status);
            assert!(refused || within_other_limits, "{name}: {answer}");
        }
        Verdict::Refused(expected) => {
            assert_eq!(status, expected, "{name}: {answer}");
            refused_in_order(&name, &answer);
        }
        Verdict::NotAsked => {
            assert_eq!(status, 426, "{name}: {answer}");
            refused_in_order(&name, &answer);
        }
    }
}

/// It says why and closes, and what is behind it is never answered.
fn refused_in_order(name: &str, answer: &str) {
    let (head, reason) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let closes = head.to_lowercase().contains("\r\nconnection: close");
    assert!(closes, "{name}: {answer}");
    // Bodies that hyper cannot tell the end of it refuses by itself.
    let by_hyper = head.contains("content-length: 0") && head.contains(" 400 ");
    assert!(by_hyper || !reason.trim().is_empty(), "{name}: {answer}");
    let answers = answer.matches("content-length:").count();
    assert_eq!(answers, 1, "{name}: {answer}");
}

/// Everything up to `mark`.
fn until(stream: &mut TcpStream, mark: &[u8]) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(mark) && matches!(stream.read(&mut byte), Ok(1)) {
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything until the server closes; of what may be let pass, only the head.
fn rest(stream: &mut TcpStream, head_only: bool) -> String {
    if head_only {
        return until(stream, b"\r\n\r\n");
    }
    let mut bytes = Vec::new();
    // A reset behind the answer is an end too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
