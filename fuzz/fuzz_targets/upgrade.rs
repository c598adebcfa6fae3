//! Request heads: the verdict does not depend on cuts, what is accepted means the same when it is
//! written anew, and what an upgrade says can be answered and understood.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rupor_proto::handshake::{
    ClientHandshake, HandshakeError, HeadLimits, HeadProgress, HttpVersion, RequestHead, Upgrade,
    parse_request, write_response,
};

/// Limits that an input can reach.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 1500,
    headers_max: 20,
    target_bytes_max: 300,
};

/// A head that owns what it says.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    method: String,
    target: String,
    version: HttpVersion,
    headers: Vec<(String, Vec<u8>)>,
    used: usize,
    upgrade: Result<Upgrade, HandshakeError>,
}

impl Parsed {
    fn new(head: &RequestHead<'_>, used: usize) -> Self {
        let headers = head.headers();
        Self {
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            version: head.version(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
            used,
            upgrade: head.upgrade(),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes, usize::MAX);
    assert_eq!(parse(bytes, 1), whole);
    assert_eq!(parse(bytes, 1 + bytes.len() % 13), whole);
    let Ok(Some(parsed)) = whole else { return };
    form(bytes, &parsed);
    again(&parsed);
    if let Ok(upgrade) = &parsed.upgrade {
        answered(upgrade);
    }
});

/// Parses a head that comes in pieces of `step` bytes.
fn parse(bytes: &[u8], step: usize) -> Result<Option<Parsed>, HandshakeError> {
    let mut progress = HeadProgress::default();
    let mut len = 0;
    while len < bytes.len() {
        len = bytes.len().min(len.saturating_add(step));
        if let Some((head, used)) = progress.parse_request(&bytes[..len], &LIMITS)? {
            return Ok(Some(Parsed::new(&head, used)));
        }
    }
    Ok(None)
}

/// RFC 9112 §2-3, §5: nothing that could be read in two ways.
fn form(bytes: &[u8], parsed: &Parsed) {
    let head = &bytes[..parsed.used];
    assert!(head.len() <= LIMITS.head_bytes_max);
    assert!(parsed.headers.len() <= LIMITS.headers_max);
    assert!(parsed.target.len() <= LIMITS.target_bytes_max);
    let end = head.windows(4).position(|four| four == b"\r\n\r\n");
    assert_eq!(end, Some(head.len() - 4), "it ends at the first empty line");
    for (index, byte) in head.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(head[index + 1], b'\n'),
            b'\n' => assert_eq!(head[index - 1], b'\r'),
            byte => assert!(*byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)),
        }
    }
    for (name, value) in &parsed.headers {
        assert!(!name.is_empty() && !name.contains([' ', ':', '\t']));
        assert!(!value.contains(&b'\r') && !value.contains(&b'\n') && !value.contains(&0));
    }
}

/// Written anew it means the same, also with names in another case.
fn again(parsed: &Parsed) {
    let version = match parsed.version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http11 => "1.1",
    };
    let mut head = format!("{} {} HTTP/{version}\r\n", parsed.method, parsed.target).into_bytes();
    for (name, value) in &parsed.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    // A space may have been added to each line.
    let limits = HeadLimits {
        head_bytes_max: usize::MAX,
        ..LIMITS
    };
    let (request, used) = parse_request(&head, &limits)
        .expect("accepted before")
        .expect("whole");
    assert_eq!(used, head.len());
    let mut again = Parsed::new(&request, used);
    again.used = parsed.used;
    assert_eq!(again, *parsed);

    let upper: Vec<(String, &[u8])> = parsed
        .headers
        .iter()
        .map(|(name, value)| (name.to_uppercase(), &value[..]))
        .collect();
    let headers = upper.iter().map(|(name, value)| (name.as_str(), *value));
    let upgrade = Upgrade::from_parts(&parsed.method, &parsed.target, parsed.version, headers);
    assert_eq!(upgrade, parsed.upgrade);
}

/// A 101 can be written, and a client with the same key takes it.
fn answered(upgrade: &Upgrade) {
    assert!(upgrade.subprotocols.len() <= Upgrade::SUBPROTOCOLS_MAX);
    assert!(!upgrade.host.is_empty());
    let offered: Vec<&str> = upgrade.subprotocols.iter().map(String::as_str).collect();
    let nonce = decode(&upgrade.key);
    let client = ClientHandshake::new("example.org", "/", nonce, &offered, &[]);
    let client = client.expect("the same subprotocols can be offered");
    for chosen in offered.into_iter().map(Some).chain([None]) {
        let mut response = Vec::new();
        write_response(upgrade, chosen, &[], &mut response).expect("it was offered");
        let accepted = client.clone().receive(&response);
        let (accepted, used) = accepted.expect("a right answer").expect("whole");
        assert_eq!(
            (accepted.subprotocol.as_deref(), used),
            (chosen, response.len())
        );
    }
}

/// The 16 bytes of a key, by the alphabet alone (RFC 4648 §4).
fn decode(key: &str) -> [u8; 16] {
    assert_eq!(key.len(), 24);
    let mut bits: u128 = 0;
    for byte in key.bytes().take(21) {
        bits = bits << 6 | value(byte);
    }
    // 126 bits, and 2 more in the last character, whose other 4 are 0.
    let last = value(key.as_bytes()[21]);
    assert_eq!((last & 0x0f, &key[22..]), (0, "=="));
    (bits << 2 | last >> 4).to_be_bytes()
}

fn value(byte: u8) -> u128 {
    u128::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base64: {byte}"),
    })
}
