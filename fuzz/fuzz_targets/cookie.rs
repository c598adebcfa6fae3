//! Cookies: any headers give a value or none, and what was encoded and written is found again, the first of its name. So is
//! what stands in a sealed value of Laravel's.
#![no_main]

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../crates/rupor/src/auth/session/cookie.rs"]
mod cookie;
#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../crates/rupor/src/auth/session/envelope.rs"]
mod envelope;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope::Envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = || bytes.split(|byte| *byte == b'\n');
    let found = cookie::value(lines(), "S");
    let asked = lines().any(|line| line.windows(2).any(|two| two == b"S="));
    assert!(asked || found.is_none());

    // Encoded in one of two ways, before whatever else is there.
    let text = String::from_utf8_lossy(bytes);
    let all: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let some: String = text.bytes().map(encoded).collect();
    for encoded in [all, some] {
        let first = format!("a=1; S={encoded} ; S=2");
        let with = [first.as_bytes()].into_iter().chain(lines());
        assert_eq!(cookie::value(with, "S").as_deref(), Some(&*text));
    }
    sealed(bytes);
});

fn encoded(byte: u8) -> String {
    match byte {
        b' ' => "+".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    }
}

fn sealed(bytes: &[u8]) {
    // As it comes, and as JSON that was encoded.
    let _ = Envelope::read(bytes);
    let _ = Envelope::read(STANDARD.encode(bytes).as_bytes());
    let (iv, value) = bytes.split_at(bytes.len() / 2);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let json = format!(
        r#"{{"iv":"{}","value":"{}","mac":"{digits}","tag":""}}"#,
        STANDARD.encode(iv),
        STANDARD.encode(value)
    );
    let read = Envelope::read(STANDARD.encode(json).as_bytes()).expect("a whole one");
    assert_eq!((&*read.iv, &*read.value, &*read.mac), (iv, value, bytes));
    assert_eq!(read.iv_text, STANDARD.encode(iv));
}
