//! Whatever a peer sends, however it is cut, a connection sees and answers what the slow reference
//! sees and the RFC wants answered.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rupor_fuzz::reference::{Reference, Rules};
use rupor_fuzz::wire::{self, Piece, Seen, connect, feed};
use rupor_proto::{Config, DeflatePool, Limits};

#[derive(Arbitrary, Debug)]
struct Input {
    server: bool,
    message_bytes_max: u16,
    frames_per_message_max: u8,
    sizes: Vec<u8>,
    pieces: Vec<Piece>,
}

fuzz_target!(|input: Input| {
    let bytes = wire::encode(&input.pieces, input.server);
    if bytes.len() > 4096 {
        return;
    }
    let config = Config {
        limits: Limits {
            message_bytes_max: input.message_bytes_max.into(),
            frames_per_message_max: input.frames_per_message_max.into(),
            ..wire::wide().limits
        },
        ..wire::wide()
    };
    let mut reference = Reference::new(Rules {
        peer_is_client: input.server,
        message_bytes_max: config.limits.message_bytes_max,
        frames_per_message_max: config.limits.frames_per_message_max,
    });
    reference.bytes(&bytes);
    for sizes in [&input.sizes[..], &[]] {
        let mut connection = connect(input.server, config);
        let (mut pool, mut out) = (DeflatePool::new(), Vec::new());
        let seen = feed(&mut connection, &mut pool, &bytes, sizes, &mut out);
        assert_eq!(seen, reference.seen);
        answers(input.server, &seen, &out);
    }
});

/// §5.5: a Pong for each Ping, and one Close frame at the end.
fn answers(server: bool, seen: &[Seen], out: &[u8]) {
    let mut peer = Reference::new(Rules {
        peer_is_client: !server,
        message_bytes_max: 0,
        frames_per_message_max: 0,
    });
    peer.bytes(out);
    let expected: Vec<Seen> = seen
        .iter()
        .filter_map(|event| match event {
            Seen::Ping(payload) => Some(Seen::Pong(payload.clone())),
            Seen::Closed(code) | Seen::Failed(code) => Some(Seen::Closed(*code)),
            Seen::Message(..) | Seen::Pong(_) => None,
        })
        .collect();
    assert_eq!(peer.seen, expected);
}
