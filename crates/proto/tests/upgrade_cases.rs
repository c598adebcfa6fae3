//! The table of upgrades, good and bad, that every way into the server is held to, as this parser
//! and these rules judge it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use rupor_proto::handshake::{HandshakeError, HeadLimits, HeadProgress};
use rupor_testkit::{Verdict, upgrade_cases};

/// The verdict on a head that comes in pieces of `step` bytes.
fn judge(head: &[u8], step: usize) -> Verdict {
    let verdict = |error: HandshakeError| Verdict::Refused(error.status());
    let limits = HeadLimits::default();
    let mut progress = HeadProgress::default();
    let mut len = 0;
    while len < head.len() {
        len = head.len().min(len.saturating_add(step));
        match progress.parse_request(&head[..len], &limits) {
            Ok(None) => {}
            Ok(Some((request, used))) => {
                assert_eq!(used, head.len());
                if !request.is_upgrade() {
                    return Verdict::NotAsked;
                }
                return request.upgrade().map_or_else(verdict, |_| Verdict::Opens);
            }
            Err(error) => return verdict(error),
        }
    }
    panic!("neither right nor wrong: {}", head.escape_ascii());
}

/// RFC 6455 §4.2.1, RFC 9112: one verdict for each case, however it is cut.
#[test]
fn every_upgrade_of_the_table_has_its_verdict() {
    let cases = upgrade_cases("example.com:8000");
    assert!(cases.len() > 100, "{} cases", cases.len());
    for case in cases {
        for step in [usize::MAX, 1000, 7, 1] {
            assert_eq!(judge(&case.head, step), case.verdict, "{}", case.name);
        }
    }
}
