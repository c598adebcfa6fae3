//! The client's side of permessage-deflate (RFC 7692) by the C zlib, with a stream of its own for
//! each direction: nothing of it is shared with what it tests.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The end of every compressed message, which is cut off (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The most that a message may be inflated to: more is a mistake of the test.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// What a response agreed to, and both directions' streams.
pub(crate) struct Deflate {
    server_takeover: bool,
    client_takeover: bool,
    inflater: Decompress,
    compressor: Compress,
}

impl Deflate {
    /// As the server's `Sec-WebSocket-Extensions` says (RFC 7692 §7.1).
    pub(crate) fn agreed(response: &str) -> Self {
        let mut parameters = response.split(';').map(str::trim);
        assert_eq!(parameters.next(), Some("permessage-deflate"), "{response}");
        let mut deflate = Self {
            server_takeover: true,
            client_takeover: true,
            inflater: Decompress::new(false),
            compressor: Compress::new_with_window_bits(Compression::best(), false, 15),
        };
        for parameter in parameters {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "server_no_context_takeover" => deflate.server_takeover = false,
                "client_no_context_takeover" => deflate.client_takeover = false,
                "server_max_window_bits" => {
                    let bits = value.parse().expect("a window");
                    deflate.inflater = Decompress::new_with_window_bits(false, bits);
                }
                "client_max_window_bits" => {
                    let bits = value.parse().expect("a window");
                    deflate.compressor =
                        Compress::new_with_window_bits(Compression::best(), false, bits);
                }
                _ => panic!("an unknown parameter: {response}"),
            }
        }
        deflate
    }

    pub(crate) fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            // zlib does not flush twice in a row (RFC 7692 §7.2.3.6).
            return vec![0];
        }
        if !self.client_takeover {
            self.compressor.reset();
        }
        let mut out = vec![0; payload.len() * 2 + 1000];
        let before = self.compressor.total_out();
        self.compressor
            .compress(payload, &mut out, FlushCompress::Sync)
            .expect("zlib compresses");
        let made = usize::try_from(self.compressor.total_out() - before).expect("a length");
        out.truncate(made);
        assert!(out.ends_with(&TAIL), "there was room for all of it");
        out.truncate(made - TAIL.len());
        out
    }

    pub(crate) fn inflate(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.server_takeover {
            self.inflater.reset(false);
        }
        let input = [message, &TAIL].concat();
        let (mut out, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let start = self.inflater.total_in();
        loop {
            let used = usize::try_from(self.inflater.total_in() - start).expect("a length");
            let before = self.inflater.total_out();
            let status =
                self.inflater
                    .decompress(&input[used..], &mut buffer, FlushDecompress::Sync);
            let made = usize::try_from(self.inflater.total_out() - before).expect("a length");
            out.extend_from_slice(&buffer[..made]);
            assert!(out.len() <= INFLATED_BYTES_MAX, "a bomb");
            match status {
                Ok(Status::Ok) if made == buffer.len() => {}
                Ok(Status::Ok | Status::BufError) => {
                    let used = self.inflater.total_in() - start;
                    assert_eq!(used, input.len() as u64, "zlib waits for more");
                    return out;
                }
                other => panic!("zlib cannot read what the server sent: {other:?}"),
            }
        }
    }
}
