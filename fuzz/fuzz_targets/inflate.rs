//! Compressed messages of any bytes, one after another: what the C zlib makes of them is what a
//! connection hands out, and what zlib refuses is refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rupor_fuzz::ends::{agree, deflate_config};
use rupor_fuzz::wire::{Seen, connect, feed, wide};
use rupor_fuzz::zlib::{self, Refused};
use rupor_proto::{Config, DeflatePool, Limits};

#[derive(Arbitrary, Debug)]
struct Input {
    takeover: bool,
    window_bits: u8,
    message_bytes_max: u16,
    sizes: Vec<u8>,
    messages: Vec<Message>,
}

#[derive(Arbitrary, Debug)]
enum Message {
    /// Any bytes.
    Bytes(Vec<u8>),
    /// What zlib makes of a payload, repeated so often, with some bytes changed.
    Compressed {
        payload: Vec<u8>,
        times: u8,
        level: u8,
        changes: Vec<(u16, u8)>,
    },
}

impl Message {
    fn bytes(&self, history: &[u8], window_bits: u8) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Compressed {
                payload,
                times,
                level,
                changes,
            } => {
                let payload = payload.repeat(usize::from(*times));
                let level = u32::from(*level % 10);
                let mut bytes = zlib::compress(history, window_bits, level, &payload);
                for (at, byte) in changes {
                    let len = bytes.len().max(1);
                    if let Some(changed) = bytes.get_mut(usize::from(*at) % len) {
                        *changed = *byte;
                    }
                }
                bytes
            }
        }
    }
}

fuzz_target!(|input: Input| {
    let window_bits = 9 + input.window_bits % 7;
    let bytes_max = usize::from(input.message_bytes_max);
    let config = Config {
        limits: Limits {
            message_bytes_max: bytes_max,
            ..wide().limits
        },
        ..wide()
    };
    let agreement = agree(&deflate_config(input.takeover, window_bits));
    let mut connection = connect(false, config).with_deflate(&agreement);
    let (mut pool, mut out) = (DeflatePool::new(), Vec::new());
    let mut history = Vec::new();
    for message in input.messages.iter().take(8) {
        let bytes = message.bytes(&history, window_bits);
        if bytes.len() > 4096 {
            return;
        }
        let seen = feed(
            &mut connection,
            &mut pool,
            &frame(&bytes),
            &input.sizes,
            &mut out,
        );
        // On the wire a compressed message may be somewhat longer.
        let wire_max = bytes_max + bytes_max / 8 + 64;
        let expected = if bytes.len() > wire_max {
            Err(Refused::TooBig)
        } else {
            zlib::inflate(&history, window_bits, bytes_max, &bytes)
        };
        match (&expected, &seen[..]) {
            (Ok(payload), [Seen::Message(false, ours)]) => assert_eq!(ours, payload),
            // zlib makes what there is of a stored block that is cut off; ours looks at its end first.
            (Err(Refused::TooBig), [Seen::Failed(1009 | 1007)]) => return,
            (Err(Refused::Invalid), [Seen::Failed(1002 | 1007)]) => return,
            _ => panic!("zlib {expected:?}, seen {seen:?}"),
        }
        if input.takeover {
            history.extend(expected.unwrap_or_default());
        }
    }
});

/// The message in one compressed frame of a server.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc2];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..=125) => bytes.push(len),
        _ => {
            bytes.push(126);
            bytes.extend((payload.len() as u16).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}
