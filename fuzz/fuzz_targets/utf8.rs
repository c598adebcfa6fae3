//! Text is judged as the standard library judges it, wherever frames and reads cut it, and a bad
//! byte is noticed when it comes.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rupor_fuzz::wire::{Seen, connect, feed, wide};
use rupor_proto::{DeflatePool, State};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Where frames end.
    frames: Vec<u8>,
    /// Where reads end.
    reads: Vec<u8>,
    text: Vec<u8>,
}

fuzz_target!(|input: Input| {
    if input.text.len() > 4096 {
        return;
    }
    let expected = match std::str::from_utf8(&input.text) {
        Ok(_) => vec![Seen::Message(true, input.text.clone())],
        Err(_) => vec![Seen::Failed(1007)],
    };
    let bytes = frames(&input.text, &input.frames);
    let mut connection = connect(false, wide());
    let (mut pool, mut out) = (DeflatePool::new(), Vec::new());
    let seen = feed(&mut connection, &mut pool, &bytes, &input.reads, &mut out);
    assert_eq!(seen, expected);

    // A byte at a time: the connection is open exactly while what came may become text.
    let mut connection = connect(false, wide());
    let mut came = 0;
    for (is_payload, byte) in marked(&input.text, &input.frames) {
        feed(&mut connection, &mut pool, &[byte], &[], &mut out);
        came += usize::from(is_payload);
        let may_become_text = std::str::from_utf8(&input.text[..came])
            .map_or_else(|error| error.error_len().is_none(), |_| true);
        let finished = came == input.text.len();
        if !finished {
            assert_eq!(connection.state() == State::Open, may_become_text);
        }
    }
});

/// The text in frames of these sizes, each byte with whether it is payload.
fn marked(text: &[u8], sizes: &[u8]) -> Vec<(bool, u8)> {
    let mut bytes = Vec::new();
    let mut rest = text;
    let mut sizes = sizes.iter();
    let mut opcode = 1;
    loop {
        let size = sizes.next().map_or(125, |size| usize::from(*size).min(125));
        let (part, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        let fin = if rest.is_empty() { 0x80 } else { 0 };
        bytes.push((false, fin | opcode));
        bytes.push((false, part.len() as u8));
        bytes.extend(part.iter().map(|byte| (true, *byte)));
        opcode = 0;
        if rest.is_empty() {
            return bytes;
        }
    }
}

fn frames(text: &[u8], sizes: &[u8]) -> Vec<u8> {
    marked(text, sizes)
        .into_iter()
        .map(|(_, byte)| byte)
        .collect()
}
